//! The finished closure.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::World;
use super::glibc::{Loaded, Loading};
use super::loader::{GlibcBuild, Libc};
use super::place::{Item, Layout};
use super::{Collector, Opened};
use crate::analyze::{DependencyKind, Elf, Machine};
use crate::error::Result;
use crate::finding::Finding;
use crate::root::{Root, Stamp};
use crate::trace::{Missing, Rule};

/// A program, and all objects that its dynamic loader would load for it.
#[derive(Debug)]
pub struct Closure {
    program: Object,
    /// The interpreter first, then load order.
    objects: Vec<Object>,
    missing: Vec<Missing>,
    findings: Vec<Finding>,
    libc: Option<Libc>,
    is_foreign: bool,
    items: Vec<PlacedItem>,
    loader_cache: Option<LoaderCache>,
}

/// One object of a closure: the program, its interpreter, or a library.
#[derive(Debug)]
pub struct Object {
    name: OsString,
    path: PathBuf,
    opened: PathBuf,
    source: Source,
    needed_by: Vec<PathBuf>,
    found_by: Rule,
    elf: Arc<Elf>,
    requests: Vec<Request>,
}

/// One entry of an object's dynamic section that names another object, and what it came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    name: OsString,
    kind: DependencyKind,
    rule: Rule,
    answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Object(PathBuf),
    Kernel,
    Missing,
}

/// A file of this machine in the state in which it was analyzed.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) root: Arc<Root>,
    /// In the root, all symlinks resolved.
    pub(crate) real: PathBuf,
    pub(crate) stamp: Stamp,
    pub(crate) is_elf: bool,
}

/// An item of the image, and the object that it is there for.
#[derive(Clone, Debug)]
pub(crate) struct PlacedItem {
    pub(crate) item: Item,
    pub(crate) file: Option<(Source, FileRole)>,
}

/// What a file of the image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FileRole {
    Program,
    Library { reason: String },
}

/// What the image's own ld.so.cache would have to say.
#[derive(Clone, Debug)]
pub(crate) struct LoaderCache {
    pub(crate) path: PathBuf,
    pub(crate) builtin: Vec<PathBuf>,
    pub(crate) machine: Machine,
    /// Names that were found through the cache, and the paths that it gave.
    pub(crate) found: BTreeSet<(OsString, PathBuf)>,
}

pub(super) struct Parts {
    pub(super) loading: Loading,
    pub(super) layout: Layout,
    pub(super) missing: Vec<Missing>,
    pub(super) findings: Vec<Finding>,
    pub(super) is_foreign: bool,
    pub(super) libc: Option<Libc>,
    pub(super) build: Option<GlibcBuild>,
    /// The roots behind [`World::Root`] and [`World::Machine`].
    pub(super) root_of: [Arc<Root>; 2],
}

impl Closure {
    /// The closure of the program at `path` on this machine; [`Collector`] has options.
    ///
    /// # Errors
    /// Those of [`Collector::collect`].
    pub fn of(path: impl AsRef<Path>) -> Result<Closure> {
        Collector::new().collect(path)
    }

    /// The program itself; its [`Object::path`] is where the image has it.
    pub fn program(&self) -> &Object {
        &self.program
    }

    /// Everything but the program, in load order, the interpreter first.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// The dynamic loader; `None` for a static program, and where it was not found.
    pub fn interpreter(&self) -> Option<&Object> {
        self.objects.first().filter(|object| object.found_by == Rule::Interpreter)
    }

    /// The C library whose loader runs the program; `None` for a static program.
    pub fn libc(&self) -> Option<Libc> {
        self.libc
    }

    /// What was not found, with every place tried. Empty for a program that would start.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// What the caller should know.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The program or library at `path` in the image, as its loader opens it.
    pub fn object_at(&self, path: &Path) -> Option<&Object> {
        std::iter::once(&self.program).chain(&self.objects).find(|object| object.path == path)
    }

    /// Whether the program is for another machine, and nothing of its system is here.
    pub(crate) fn is_foreign(&self) -> bool {
        self.is_foreign
    }

    pub(crate) fn items(&self) -> &[PlacedItem] {
        &self.items
    }

    pub(crate) fn loader_cache(&self) -> Option<&LoaderCache> {
        self.loader_cache.as_ref()
    }
}

impl Object {
    /// The name by which it was asked for first: a `DT_NEEDED` entry, or the path in `PT_INTERP`.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// Its path in the image, as the image's loader opens it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its path in the source root, as the loader opens it there: as it stands in the rule that found it.
    pub fn opened(&self) -> &Path {
        &self.opened
    }

    /// The same on this machine: below the sysroot, where there is one.
    pub fn opened_on_machine(&self) -> PathBuf {
        self.source.root.on_machine(&self.opened)
    }

    /// The file on this machine, symlinks resolved.
    pub fn source(&self) -> PathBuf {
        self.source.on_machine()
    }

    /// The size of the file in bytes.
    pub fn size(&self) -> u64 {
        self.source.stamp.size
    }

    /// The objects that name it, as paths in the image; empty for the program.
    pub fn needed_by(&self) -> &[PathBuf] {
        &self.needed_by
    }

    /// The rule by which it was found first.
    pub fn found_by(&self) -> Rule {
        self.found_by
    }

    /// What the file says about itself.
    pub fn elf(&self) -> &Elf {
        &self.elf
    }

    /// What it asks for, in the order of its dynamic section. An absent `DT_AUXILIARY` is left out.
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    pub(crate) fn file_source(&self) -> &Source {
        &self.source
    }
}

impl Request {
    /// The name asked for, tokens expanded.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// How the object depends on it.
    pub fn kind(&self) -> DependencyKind {
        self.kind
    }

    /// The rule that answered it; [`Rule::Loaded`] where an object that was there already did.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// The object that answers it, by its path in the image; `None` for what the kernel provides and what is missing.
    pub fn path(&self) -> Option<&Path> {
        match &self.answer {
            Answer::Object(path) => Some(path),
            Answer::Kernel | Answer::Missing => None,
        }
    }

    /// Whether nothing was found for it.
    pub fn is_missing(&self) -> bool {
        self.answer == Answer::Missing
    }
}

impl Source {
    pub(crate) fn on_machine(&self) -> PathBuf {
        self.root.on_machine(&self.real)
    }
}

/// Makes the public closure of what the loader's rules gave.
pub(super) fn assemble(parts: Parts) -> Closure {
    let sources = Sources { root_of: &parts.root_of };
    let paths = &parts.layout.paths;
    let needed_by = needed_by(&parts.loading, paths);
    let object = |(index, loaded): (usize, &Loaded)| Object {
        name: loaded.name.clone(),
        path: paths[index].clone(),
        opened: loaded.place.spot.path.clone(),
        source: sources.of(loaded),
        needed_by: needed_by[index].clone(),
        found_by: loaded.rule,
        elf: loaded.elf.clone(),
        requests: requests(loaded, &parts),
    };
    let mut objects: Vec<Object> = parts.loading.objects.iter().enumerate().map(object).collect();
    let items = items(&parts, &objects);
    let loader_cache = parts.build.as_ref().map(|build| loader_cache(&parts, build));
    sort_in_load_order(&mut objects, &parts.loading.order);
    Closure {
        program: objects.remove(0),
        objects,
        missing: parts.missing,
        findings: parts.findings,
        libc: parts.libc,
        is_foreign: parts.is_foreign,
        items,
        loader_cache,
    }
}

/// The program, its interpreter (which is there before anything is loaded), and the rest as it is loaded.
fn sort_in_load_order(objects: &mut Vec<Object>, order: &[usize]) {
    let mut rank = vec![0; objects.len()];
    order.iter().enumerate().for_each(|(at, &index)| rank[index] = at + 2);
    rank.iter_mut().take(2).enumerate().for_each(|(index, rank)| *rank = index);
    let mut ranked: Vec<(usize, Object)> = rank.into_iter().zip(objects.drain(..)).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    objects.extend(ranked.into_iter().map(|(_, object)| object));
}

struct Sources<'a> {
    root_of: &'a [Arc<Root>; 2],
}

impl Sources<'_> {
    fn of(&self, loaded: &Loaded) -> Source {
        let Opened { walk, parsed } = &loaded.opened;
        let root = match loaded.place.spot.world {
            World::Root => &self.root_of[0],
            World::Machine => &self.root_of[1],
        };
        Source { root: root.clone(), real: walk.real.clone(), stamp: parsed.stamp, is_elf: true }
    }
}

fn needed_by(loading: &Loading, paths: &[PathBuf]) -> Vec<Vec<PathBuf>> {
    let mut needed_by: Vec<Vec<PathBuf>> = vec![Vec::new(); paths.len()];
    if let Some(interpreter) = needed_by.get_mut(1) {
        interpreter.push(paths[0].clone());
    }
    for &index in &loading.order {
        for target in loading.objects[index].requests.iter().filter_map(|request| request.object) {
            if !needed_by[target].contains(&paths[index]) {
                needed_by[target].push(paths[index].clone());
            }
        }
    }
    needed_by
}

fn requests(loaded: &Loaded, parts: &Parts) -> Vec<Request> {
    let is_missing = |name: &OsStr| parts.loading.not_found.iter().any(|missing| missing.name == name);
    let request = |requested: &super::glibc::Requested| Request {
        name: requested.name.clone(),
        kind: requested.kind,
        rule: requested.rule,
        answer: match requested.object {
            Some(object) => Answer::Object(parts.layout.paths[object].clone()),
            None if is_missing(&requested.name) => Answer::Missing,
            None => Answer::Kernel,
        },
    };
    loaded.requests.iter().map(request).collect()
}

fn items(parts: &Parts, objects: &[Object]) -> Vec<PlacedItem> {
    let placed = |item: &Item| {
        let file = match item {
            Item::File { object, .. } => {
                let file = &objects[*object];
                let role = if *object == 0 { FileRole::Program } else { role(file) };
                Some((file.source.clone(), role))
            }
            Item::Directory(_) | Item::Link { .. } => None,
        };
        PlacedItem { item: item.clone(), file }
    };
    parts.layout.items.iter().map(placed).collect()
}

fn role(object: &Object) -> FileRole {
    use crate::text::printable;
    let by = object.needed_by.first().map(|path| printable(path).to_string()).unwrap_or_default();
    let reason = match object.found_by {
        Rule::Interpreter => format!("the interpreter of {by}"),
        rule => format!("{} needed by {by}, found by {}", printable(&object.name), rule.code()),
    };
    FileRole::Library { reason }
}

fn loader_cache(parts: &Parts, build: &GlibcBuild) -> LoaderCache {
    let objects = &parts.loading.objects;
    let requests = objects.iter().flat_map(|object| &object.requests);
    let by_cache = requests.filter(|request| request.rule == Rule::Cache);
    let found = by_cache.filter_map(|request| Some((request.name.clone(), request.opened.clone()?)));
    LoaderCache {
        path: build.cache.clone(),
        builtin: build.directories.clone(),
        machine: objects[0].elf.machine(),
        found: found.collect(),
    }
}
