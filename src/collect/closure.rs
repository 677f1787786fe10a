//! The finished closure.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::Collector;
use super::extra::Extra;
use super::files::{Opened, Spot, World};
use super::late::{Late, Needs};
use super::loader::{Libc, LoaderBuild};
use super::place::{Item, Layout};
use super::process::{Asked, Loaded, Loading, Requested};
use super::setting::{ByItself, Cpu, Library, Setting};
use super::source::{LazyHints, Source};
use crate::analyze::{DependencyKind, Elf};
use crate::error::Result;
use crate::finding::Finding;
use crate::need::{Excluded, Need, Requirement};
use crate::root::{Root, Walker};
use crate::trace::{Attempt, Missing, Rule};

/// A program, and all objects that its dynamic loader would load for it.
#[derive(Debug)]
pub struct Closure {
    program: Object,
    /// The interpreter first, then load order.
    objects: Vec<Object>,
    missing: Vec<Missing>,
    search_findings: Vec<Finding>,
    is_foreign: bool,
    has_capabilities: bool,
    items: Vec<Item>,
    loader: Option<LoaderFacts>,
    excluded: Vec<Excluded>,
    looked_at: BTreeSet<PathBuf>,
    late: Late,
    needs: OnceLock<Needs>,
}

/// One object of a closure: the program, its interpreter, or a library.
#[derive(Debug)]
pub struct Object {
    name: OsString,
    path: Arc<Path>,
    opened: PathBuf,
    source: Source,
    needed_by: Vec<Arc<Path>>,
    found_by: Rule,
    elf: Arc<Elf>,
    hints: Arc<LazyHints>,
    requests: Vec<Request>,
}

/// One entry of an object's dynamic section that names another object, and what it came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    asked: Asked,
    name: OsString,
    kind: DependencyKind,
    rule: Rule,
    answer: Answer,
    tried: Vec<Attempt>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Object(Arc<Path>),
    Kernel,
    Excluded,
    Missing,
}

/// What the image's loader is built to do, and what it will be asked for.
#[derive(Clone, Debug)]
pub(crate) struct LoaderFacts {
    pub(crate) build: LoaderBuild,
    /// What the image's loader must find by itself, through its cache or in a directory of the system.
    pub(crate) found_in_system: Vec<InSystem>,
    /// The kinds of CPU on which the program starts, and for which the closure is.
    pub(crate) cpus: Vec<Cpu>,
    /// What it loads while it runs.
    pub(crate) by_itself: Arc<ByItself>,
    /// What whoever runs it provides.
    pub(crate) exclude: Arc<[Vec<u8>]>,
}

/// A library that a loader finds in its cache or in a directory of the system.
#[derive(Clone, Debug)]
pub(crate) struct InSystem {
    pub(crate) name: OsString,
    /// The path that it must open.
    pub(crate) path: PathBuf,
    /// The subdirectory for some CPUs that the path is in.
    pub(crate) variant: Option<String>,
}

pub(super) struct Parts {
    pub(super) loading: Loading,
    pub(super) layout: Layout,
    pub(super) missing: Vec<Missing>,
    pub(super) findings: Vec<Finding>,
    pub(super) is_foreign: bool,
    pub(super) has_capabilities: bool,
    pub(super) build: Option<LoaderBuild>,
    pub(super) cpus: Vec<Cpu>,
    pub(super) looked_at: BTreeSet<PathBuf>,
    pub(super) late: Late,
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
        self.loader.as_ref().map(|loader| loader.build.libc())
    }

    /// The level of the x86 instruction set that the most demanding object needs; see [`Elf::isa_level`].
    pub fn isa_level(&self) -> Option<&'static str> {
        // The names sort as the levels do.
        self.all().filter_map(|object| object.elf.isa_level()).max()
    }

    /// What was not found, with every place tried. Empty for a program that would start.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// What the caller should know: of the search for its objects, and of what they need while they run.
    ///
    /// The first call of this or of [`Closure::requirements`] reads what tells of needs: symbols and constants, and whether
    /// libraries are here that those name. A file that has changed by then is a finding.
    pub fn findings(&self) -> &[Finding] {
        &self.needs().findings
    }

    /// Those of the findings that are of the search for its objects, for which nothing more is read.
    pub fn search_findings(&self) -> &[Finding] {
        &self.search_findings
    }

    /// What the program was found to need beside libraries, whether or not the image has it. See [`Closure::findings`].
    pub fn requirements(&self) -> &[Requirement] {
        &self.needs().requirements
    }

    fn needs(&self) -> &Needs {
        self.needs.get_or_init(|| {
            let Needs { requirements, findings } = self.late.needs(self);
            Needs { requirements, findings: [self.search_findings.as_slice(), &findings].concat() }
        })
    }

    /// The paths on this machine on which the closure hangs, each once, in bytewise order: its files, by the paths by
    /// which they were opened and by those to which symlinks led; caches, lists and configuration that were read; and
    /// directories in which a new file might be found instead. Where such a directory is not there, it is the one in
    /// which it would be made.
    ///
    /// What is read of needs that are told of, but not met, is not in it: nothing but findings hangs on that.
    pub fn inputs(&self) -> impl Iterator<Item = PathBuf> {
        let walker = Walker::new(&self.late.work.machine);
        let objects = self.all().flat_map(|object| [object.source(), object.seen_on_machine(&walker)]);
        objects.chain(self.looked_at.iter().cloned()).collect::<BTreeSet<_>>().into_iter()
    }

    /// What was left out because the caller excluded it.
    pub fn excluded(&self) -> &[Excluded] {
        &self.excluded
    }

    /// The needs that the image meets, part by part.
    pub(crate) fn met(&self) -> impl Iterator<Item = &Need> {
        self.late.met.supplies.iter().map(|(need, _)| need)
    }

    /// What must stand in the image to meet its needs.
    pub(crate) fn extras(&self) -> impl Iterator<Item = &Extra> {
        self.late.met.supplies.iter().flat_map(|(_, supply)| &supply.extras)
    }

    /// The program or library at `path` in the image, as its loader opens it.
    pub fn object_at(&self, path: &Path) -> Option<&Object> {
        self.all().find(|object| *object.path == *path)
    }

    /// Whether the program is for another machine, and nothing of its system is here.
    pub(crate) fn is_foreign(&self) -> bool {
        self.is_foreign
    }

    /// Whether the program's file has capabilities of its own (capabilities(7)).
    pub(crate) fn has_capabilities(&self) -> bool {
        self.has_capabilities
    }

    /// What must stand in the image. The numbers of its objects are those of [`Closure::object`].
    pub(crate) fn items(&self) -> &[Item] {
        &self.items
    }

    /// The program, and the objects behind it.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Object> {
        std::iter::once(&self.program).chain(&self.objects)
    }

    /// The program is 0, the objects follow.
    pub(crate) fn object(&self, number: usize) -> &Object {
        match number.checked_sub(1) {
            None => &self.program,
            Some(index) => &self.objects[index],
        }
    }

    /// What is `/` for everything but what the caller names.
    pub(crate) fn root(&self) -> &Arc<Root> {
        &self.late.work.root
    }

    /// `None` for a static program.
    pub(crate) fn loader(&self) -> Option<&LoaderFacts> {
        self.loader.as_ref()
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

    /// By which path this machine sees that another file is found: the one by which it was opened, unless symlinks on
    /// its way mean something else outside of the root; the link's directory then.
    fn seen_on_machine(&self, walker: &Walker<'_>) -> PathBuf {
        let opened = self.opened_on_machine();
        let real = |path: &Path| walker.walk(path).ok().map(|walk| walk.real);
        let leads_there = real(&opened).is_some_and(|opened| real(&self.source()) == Some(opened));
        let directory = || opened.parent().and_then(|directory| walker.directory(directory).ok());
        match leads_there {
            true => opened,
            false => directory().map_or_else(|| self.source(), |walk| walk.real),
        }
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
    pub fn needed_by(&self) -> impl Iterator<Item = &Path> {
        self.needed_by.iter().map(AsRef::as_ref)
    }

    /// The rule by which it was found first.
    pub fn found_by(&self) -> Rule {
        self.found_by
    }

    /// Whether no object of the closure names it in its dynamic section as something that it needs: the library is
    /// loaded while the program runs, or audits it.
    pub fn is_hidden(&self) -> bool {
        matches!(self.found_by, Rule::Audit | Rule::Symbol | Rule::Note | Rule::Requested) && !self.needed_by.is_empty()
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

    pub(crate) fn shared_elf(&self) -> &Arc<Elf> {
        &self.elf
    }

    /// What tells of its needs.
    pub(crate) fn hints(&self) -> &Arc<LazyHints> {
        &self.hints
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
            Answer::Kernel | Answer::Excluded | Answer::Missing => None,
        }
    }

    /// The places that were tried before, and why each was no good. What was not found has its own list:
    /// [`Missing::tried`].
    pub fn tried(&self) -> &[Attempt] {
        &self.tried
    }

    pub(crate) fn asked(&self) -> Asked {
        self.asked
    }

    /// Whether the caller excluded it, so that nothing was looked up: whoever runs the image provides it.
    pub fn is_excluded(&self) -> bool {
        self.answer == Answer::Excluded
    }

    /// Whether nothing was found for it.
    pub fn is_missing(&self) -> bool {
        self.answer == Answer::Missing
    }
}

/// Makes the public closure of what the loader's rules gave.
pub(super) fn assemble(parts: Parts) -> Closure {
    let numbers = numbers(&parts.loading);
    let Parts {
        loading,
        layout,
        missing,
        findings,
        is_foreign,
        has_capabilities,
        build,
        cpus,
        looked_at,
        late,
        root_of,
    } = parts;
    let setting = &late.setting;
    let found_in_system = found_in_system(&loading, &layout.paths);
    let loader = build.map(|build| LoaderFacts {
        build,
        found_in_system,
        cpus,
        by_itself: by_itself_in_image(setting, &loading),
        exclude: setting.exclude.clone(),
    });
    let hidden = hidden(&loading);
    let excluded = excluded(&loading, &layout.paths);
    let paths: Vec<Arc<Path>> = layout.paths.into_iter().map(Arc::from).collect();
    let needed_by = needed_by(&loading, &paths);
    let not_found: HashSet<OsString> = loading.not_found.into_iter().map(|missing| missing.name).collect();
    let mut objects: Vec<(usize, Object)> = Vec::with_capacity(paths.len());
    for (index, (loaded, needed_by)) in loading.objects.into_iter().zip(needed_by).enumerate() {
        let requests = loaded.requests.into_iter().map(|request| Request {
            answer: match request.object {
                Some(object) => Answer::Object(paths[object].clone()),
                None if setting.excludes(&request.name) => Answer::Excluded,
                None if not_found.contains(&request.name) => Answer::Missing,
                None => Answer::Kernel,
            },
            asked: request.asked,
            name: request.name,
            kind: request.kind,
            rule: hidden_rule(request.asked).unwrap_or(request.rule),
            tried: request.tried,
        });
        let Spot { world, path: opened } = loaded.place.spot;
        let root = root_of[usize::from(world == World::Machine)].clone();
        let Opened { walk, parsed } = loaded.opened;
        objects.push((
            numbers[index],
            Object {
                requests: requests.collect(),
                name: loaded.name,
                path: paths[index].clone(),
                opened,
                source: Source { root, real: walk.real, stamp: parsed.stamp, is_elf: true },
                needed_by,
                found_by: hidden.get(&index).copied().unwrap_or(loaded.rule),
                elf: loaded.elf,
                hints: parsed.hints.clone(),
            },
        ));
    }
    objects.sort_by_key(|(number, _)| *number);
    let mut objects: Vec<Object> = objects.into_iter().map(|(_, object)| object).collect();
    let numbered = |item| match item {
        Item::File { at, object } => Item::File { at, object: numbers[object] },
        other => other,
    };
    Closure {
        program: objects.remove(0),
        objects,
        missing,
        search_findings: findings,
        is_foreign,
        has_capabilities,
        items: layout.items.into_iter().map(numbered).collect(),
        loader,
        excluded,
        looked_at,
        late,
        needs: OnceLock::new(),
    }
}

/// The program, its interpreter (which is there before anything is loaded), and the rest as it is loaded.
fn numbers(loading: &Loading) -> Vec<usize> {
    let mut numbers = vec![0; loading.objects.len()];
    let rest = loading.order.iter().copied().filter(|&index| index > 1);
    for (number, index) in [0, 1].into_iter().chain(rest).enumerate() {
        if let Some(slot) = numbers.get_mut(index) {
            *slot = number;
        }
    }
    numbers
}

fn needed_by(loading: &Loading, paths: &[Arc<Path>]) -> Vec<Vec<Arc<Path>>> {
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); paths.len()];
    if let Some(interpreter) = needed_by.get_mut(1) {
        interpreter.push(0);
    }
    for &index in &loading.order {
        for target in loading.objects[index].requests.iter().filter_map(|request| request.object) {
            // An object's requests come one behind the other, so it can only be the last.
            if needed_by[target].last() != Some(&index) {
                needed_by[target].push(index);
            }
        }
    }
    needed_by.into_iter().map(|by| by.into_iter().map(|index| paths[index].clone()).collect()).collect()
}

/// The objects that no dynamic section names as something that is needed, and what asks for them first.
fn hidden(loading: &Loading) -> HashMap<usize, Rule> {
    let mut hidden = HashMap::new();
    for request in requests(loading) {
        if let Some((object, rule)) = request.object.zip(hidden_rule(request.asked)) {
            hidden.entry(object).or_insert(rule);
        }
    }
    let named = requests(loading).filter(|request| hidden_rule(request.asked).is_none());
    for object in named.filter_map(|request| request.object) {
        hidden.remove(&object);
    }
    hidden
}

/// The rule behind what asks for an object, where that is no entry for something that is needed.
fn hidden_rule(asked: Asked) -> Option<Rule> {
    match asked {
        Asked::Dependency(_) => None,
        Asked::Audit(_) | Asked::Environment(_) => Some(Rule::Audit),
        Asked::Symbol(_) => Some(Rule::Symbol),
        Asked::Note(_) => Some(Rule::Note),
        Asked::Caller(_) => Some(Rule::Requested),
    }
}

fn excluded(loading: &Loading, paths: &[PathBuf]) -> Vec<Excluded> {
    let mut excluded: BTreeMap<&OsStr, BTreeSet<usize>> = BTreeMap::new();
    for (object, name) in &loading.excluded {
        excluded.entry(name).or_default().insert(*object);
    }
    let paths = |objects: BTreeSet<usize>| objects.into_iter().map(|object| paths[object].clone()).collect();
    excluded.into_iter().map(|(name, by)| Excluded { name: name.to_owned(), needed_by: paths(by) }).collect()
}

/// What the program loads while it runs, as it asks for it in the image.
fn by_itself_in_image(setting: &Setting, loading: &Loading) -> Arc<ByItself> {
    let libraries =
        setting.by_itself.libraries.iter().map(|library| Library { place: None, ..library.clone() }).collect();
    let without = loading.unloaded.iter().map(|unloaded| (unloaded.by, unloaded.asked)).collect();
    Arc::new(ByItself { least: setting.by_itself.least, libraries, without })
}

fn requests(loading: &Loading) -> impl Iterator<Item = &Requested> {
    loading.objects.iter().flat_map(|object| &object.requests)
}

fn found_in_system(loading: &Loading, paths: &[PathBuf]) -> Vec<InSystem> {
    let found = requests(loading).filter_map(|request| {
        let object = &loading.objects[request.object?];
        let path = match request.rule {
            Rule::Cache | Rule::Default => request.opened.clone()?,
            Rule::LibraryPath => paths[request.object?].clone(),
            _ => return None,
        };
        let variant = variant_of(object, request.opened.as_deref()?);
        Some(InSystem { name: request.name.clone(), path, variant })
    });
    found.collect()
}

/// The subdirectory for some CPUs in which an object was opened at this path.
fn variant_of(object: &Loaded, opened: &Path) -> Option<String> {
    match object.place.spot.path == opened {
        true => object.variant.clone(),
        false => object.aliases.iter().find(|alias| alias.place.spot.path == opened)?.variant.clone(),
    }
}
