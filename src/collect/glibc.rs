//! glibc's loader: which objects it loads for a program, in which order, from where (`_dl_map_object_deps` in glibc).

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::expand::{Expander, Name, places_at};
use super::files::{Opened, Spot};
use super::ld_cache::LdCache;
use super::loader::GlibcBuild;
use super::search::{Ended, FileTree, Found, List, Place, Prober, Tried};
use crate::analyze::{Dependency, DependencyKind, Elf, Machine, glibc};
use crate::root::FileId;
use crate::trace::{Attempt, Refusal, Rule, Why};

/// An object of the process, and how it came there.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The name by which it was asked for first.
    pub(crate) name: OsString,
    pub(crate) place: Place,
    pub(crate) rule: Rule,
    pub(crate) opened: Opened,
    pub(crate) elf: std::sync::Arc<Elf>,
    /// Where `$ORIGIN` of this object is.
    pub(crate) origins: Vec<Spot>,
    /// The object that caused the load.
    pub(crate) loader: Option<usize>,
    /// Other paths that were opened and turned out to be this file.
    pub(crate) aliases: Vec<Found>,
    pub(crate) requests: Vec<Requested>,
    rpath: OnceCell<Rc<[Place]>>,
    runpath: OnceCell<Rc<[Place]>>,
}

/// One entry of an object's dynamic section, and what became of it.
#[derive(Debug)]
pub(crate) struct Requested {
    pub(crate) name: OsString,
    pub(crate) kind: DependencyKind,
    pub(crate) rule: Rule,
    /// The object that answers to it; `None` for what the kernel provides, and for what was not found.
    pub(crate) object: Option<usize>,
    /// The path that was opened for it; `None` where nothing was.
    pub(crate) opened: Option<PathBuf>,
}

/// A name that nothing was found for.
#[derive(Debug)]
pub(crate) struct NotFound {
    pub(crate) name: OsString,
    pub(crate) needed_by: Vec<usize>,
    pub(crate) tried: Vec<Attempt>,
    pub(crate) note: Option<String>,
}

/// A search path element that means the working directory of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RelativeElement {
    pub(crate) owner: usize,
    pub(crate) rule: Rule,
    pub(crate) element: OsString,
}

/// What the loader of a program would have in memory.
#[derive(Debug)]
pub(crate) struct Loading {
    /// The program is the first, its interpreter the second.
    pub(crate) objects: Vec<Loaded>,
    /// Indices in load order, the program first.
    pub(crate) order: Vec<usize>,
    pub(crate) not_found: Vec<NotFound>,
    pub(crate) relative: Vec<RelativeElement>,
}

/// What a search starts from.
pub(crate) struct Start<'t, T> {
    pub(crate) tree: &'t T,
    pub(crate) build: &'t GlibcBuild,
    pub(crate) cache: Option<LdCache>,
    pub(crate) library_path: Rc<[Place]>,
}

impl Loaded {
    pub(crate) fn new(name: OsString, found: Found, elf: std::sync::Arc<Elf>, origins: Vec<Spot>) -> Self {
        Loaded {
            name,
            place: found.place,
            rule: found.rule,
            opened: found.opened,
            elf,
            origins,
            loader: None,
            aliases: Vec::new(),
            requests: Vec::new(),
            rpath: OnceCell::new(),
            runpath: OnceCell::new(),
        }
    }
}

/// Loads `program` and all that it needs. `interpreter` is known to the process before anything else is.
pub(crate) fn load<T: FileTree>(start: &Start<'_, T>, program: Loaded, interpreter: Loaded) -> Loading {
    let machine = program.elf.machine();
    let prober = Prober { tree: start.tree, machine, skips_other_byte_order: start.build.is_multiarch() };
    let mut process = Process {
        start,
        prober,
        expander: Expander { build: start.build, machine },
        machine,
        names: HashMap::new(),
        files: HashMap::new(),
        order: vec![0],
        listed: Vec::new(),
        done: Vec::new(),
        loading: Loading { objects: Vec::new(), order: Vec::new(), not_found: Vec::new(), relative: Vec::new() },
    };
    process.adopt(program);
    process.adopt(interpreter);
    process.run();
    process.loading.order = process.order;
    process.loading
}

const PROGRAM: usize = 0;

struct Process<'t, T> {
    start: &'t Start<'t, T>,
    prober: Prober<'t, T>,
    expander: Expander<'t>,
    machine: Machine,
    /// Every name that a loaded object answers to.
    names: HashMap<OsString, usize>,
    files: HashMap<FileId, usize>,
    /// The search list that the dependencies are put into.
    order: Vec<usize>,
    /// Whether an object stands in `order`.
    listed: Vec<bool>,
    /// Whether an object's own entries have been processed.
    done: Vec<bool>,
    loading: Loading,
}

impl<T: FileTree> Process<'_, T> {
    /// Breadth first. What a filter puts before the object that names it is processed next.
    fn run(&mut self) {
        let mut at = 0;
        while let Some(&object) = self.order.get(at) {
            match std::mem::replace(&mut self.done[object], true) {
                true => at += 1,
                false => self.process_entries(object, at),
            }
        }
    }

    fn process_entries(&mut self, object: usize, mut at: usize) {
        let elf = self.loading.objects[object].elf.clone();
        for dependency in elf.dependencies() {
            let target = self.request(object, dependency);
            match (target, dependency.kind()) {
                (Some(target), DependencyKind::Needed) => self.append(target),
                (Some(target), _) => self.insert_before(&mut at, target),
                (None, _) => {}
            }
        }
    }

    fn append(&mut self, target: usize) {
        if !std::mem::replace(&mut self.listed[target], true) {
            self.order.push(target);
        }
    }

    /// Puts a filter's object before the one at `at`, also if it stands behind that one already.
    fn insert_before(&mut self, at: &mut usize, target: usize) {
        if self.listed[target] {
            match self.order[*at..].iter().position(|&other| other == target) {
                None | Some(0) => return,
                Some(behind) => self.order.remove(*at + behind),
            };
        }
        self.listed[target] = true;
        self.order.insert(*at, target);
        *at += 1;
    }

    /// What answers to one entry of `object`'s dynamic section.
    fn request(&mut self, object: usize, dependency: &Dependency) -> Option<usize> {
        let origins = &self.loading.objects[object].origins;
        let name = self.expander.name(origins, dependency.name());
        let (rule, target, opened) = match self.resolve(object, &name) {
            Resolution::Kernel => (Rule::Loaded, None, None),
            Resolution::Loaded(target) => (Rule::Loaded, Some(target), None),
            Resolution::Opened(rule, target, path) => (rule, Some(target), Some(path)),
            // A missing DT_AUXILIARY is no error.
            Resolution::NotFound(..) if dependency.kind() == DependencyKind::Auxiliary => return None,
            Resolution::NotFound(tried, note) => {
                self.note_missing(object, &name.text, tried, note);
                (Rule::Default, None, None)
            }
        };
        let requested = Requested { name: name.text, kind: dependency.kind(), rule, object: target, opened };
        self.loading.objects[object].requests.push(requested);
        target
    }

    fn resolve(&mut self, object: usize, name: &Name) -> Resolution {
        if let Some(&known) = self.names.get(&name.text) {
            return Resolution::Loaded(known);
        }
        if name.text == glibc::vdso(self.machine) {
            return Resolution::Kernel;
        }
        if let Some(problem) = name.problem() {
            return Resolution::NotFound(Vec::new(), Some(problem.to_owned()));
        }
        match self.find(object, name, &mut ()) {
            Some(found) => self.take(object, &name.text, found),
            None => {
                // The same once more, taking down what is tried.
                let mut tried = Vec::new();
                self.find(object, name, &mut tried);
                Resolution::NotFound(tried, None)
            }
        }
    }

    fn find(&mut self, object: usize, name: &Name, tried: &mut dyn Tried) -> Option<Found> {
        match name.has_slash() {
            true => self.open_path(object, name, tried),
            false => self.search(object, &name.text, tried),
        }
    }

    /// A name with a slash is opened as it stands.
    fn open_path(&self, object: usize, name: &Name, tried: &mut dyn Tried) -> Option<Found> {
        let places = match &name.after_origin {
            Some(suffix) => places_at(&self.loading.objects[object].origins, object, suffix),
            None => vec![Place::fixed(PathBuf::from(&name.text))],
        };
        places.into_iter().find_map(|place| match self.prober.try_path(place, Rule::Path, tried) {
            Ended::Found(found) => Some(found),
            Ended::GoOn | Ended::Stop => None,
        })
    }

    /// `_dl_map_object` in glibc, for a name without a slash.
    fn search(&mut self, object: usize, name: &OsStr, tried: &mut dyn Tried) -> Option<Found> {
        let no_default_lib = self.loading.objects[object].elf.no_default_lib();
        for list in self.lists_before_cache(object) {
            match self.prober.try_list(&list, name, tried) {
                Ended::Found(found) => return Some(found),
                Ended::GoOn => {}
                Ended::Stop => return None,
            }
        }
        match self.try_cache(name, no_default_lib, tried) {
            Ended::Found(found) => return Some(found),
            Ended::GoOn if !no_default_lib => {}
            Ended::GoOn | Ended::Stop => return None,
        }
        match self.prober.try_list(&self.builtin_list(), name, tried) {
            Ended::Found(found) => Some(found),
            Ended::GoOn | Ended::Stop => None,
        }
    }

    fn lists_before_cache(&mut self, object: usize) -> Vec<List> {
        let mut lists = Vec::new();
        let runpath = self.path_list(object, Rule::Runpath);
        if runpath.is_none() {
            let chain = std::iter::successors(Some(object), |&at| self.loading.objects[at].loader);
            let chain: Vec<usize> = chain.collect();
            lists.extend(chain.into_iter().filter_map(|at| self.path_list(at, Rule::Rpath)));
        }
        if !self.start.library_path.is_empty() {
            let places = self.start.library_path.clone();
            lists.push(List { rule: Rule::LibraryPath, owner: None, places });
        }
        lists.extend(runpath);
        lists
    }

    fn builtin_list(&self) -> List {
        let directories = self.start.build.directories.iter().cloned();
        List { rule: Rule::Default, owner: None, places: directories.map(Place::fixed).collect() }
    }

    fn try_cache(&self, name: &OsStr, no_default_lib: bool, tried: &mut dyn Tried) -> Ended {
        let hit = self.start.cache.as_ref().and_then(|cache| cache.lookup(name.as_bytes(), self.machine));
        match hit.map(|path| Path::new(OsStr::from_bytes(path))) {
            Some(path) if no_default_lib && self.is_under_builtin(path) => Ended::GoOn,
            Some(path) if path.is_absolute() => self.prober.try_path(Place::fixed(path.to_owned()), Rule::Cache, tried),
            _ => {
                let refusal = Refusal::with(Why::Absent, "the name is not in it");
                tried.add(self.start.build.cache.clone(), Rule::Cache, None, refusal);
                Ended::GoOn
            }
        }
    }

    /// The loader compares the text alone, so a directory below counts as well.
    fn is_under_builtin(&self, path: &Path) -> bool {
        self.start.build.directories.iter().any(|directory| {
            let rest = path.as_os_str().as_bytes().strip_prefix(directory.as_os_str().as_bytes());
            rest.is_some_and(|rest| rest.starts_with(b"/"))
        })
    }

    /// RPATH or RUNPATH of an object, its tokens expanded; `None` where there is none.
    fn path_list(&mut self, object: usize, rule: Rule) -> Option<List> {
        let loaded = &self.loading.objects[object];
        let (text, cell) = match rule {
            Rule::Rpath => (loaded.elf.rpath()?, &loaded.rpath),
            _ => (loaded.elf.runpath()?, &loaded.runpath),
        };
        // An object with an empty RUNPATH has one all the same: its RPATH chain is skipped.
        let places = match cell.get() {
            Some(places) => places.clone(),
            None => {
                let expanded = self.expander.list(&loaded.origins, object, text);
                let _ = cell.set(expanded.places.clone());
                let note = |element| RelativeElement { owner: object, rule, element };
                self.loading.relative.extend(expanded.relative.into_iter().map(note));
                expanded.places
            }
        };
        let owner = self.loading.objects[object].name.clone();
        Some(List { rule, owner: Some(owner), places })
    }

    /// Takes what was found into the process: a file that is loaded already only gets one more name.
    fn take(&mut self, object: usize, name: &OsStr, found: Found) -> Resolution {
        let (rule, path) = (found.rule, found.place.spot.path.clone());
        if let Some(&known) = self.files.get(&found.opened.parsed.stamp.id) {
            self.names.insert(name.to_owned(), known);
            self.loading.objects[known].aliases.push(found);
            return Resolution::Opened(rule, known, path);
        }
        let Ok(elf) = found.opened.parsed.elf.as_ref().cloned() else {
            return Resolution::NotFound(Vec::new(), None);
        };
        let spot = &found.place.spot;
        let origin = spot.path.parent().unwrap_or(Path::new("/")).to_owned();
        let origins = vec![Spot { world: spot.world, path: origin }];
        let mut loaded = Loaded::new(name.to_owned(), found, elf, origins);
        loaded.loader = Some(object);
        Resolution::Opened(rule, self.adopt(loaded), path)
    }

    fn adopt(&mut self, loaded: Loaded) -> usize {
        let index = self.loading.objects.len();
        let opened = (index != PROGRAM).then(|| loaded.place.spot.path.clone().into_os_string());
        let name = (index != PROGRAM).then(|| loaded.name.clone());
        let soname = loaded.elf.soname().map(OsStr::to_owned);
        for name in [name, opened, soname].into_iter().flatten() {
            self.names.entry(name).or_insert(index);
        }
        if index != PROGRAM {
            self.files.entry(loaded.opened.parsed.stamp.id).or_insert(index);
        }
        self.listed.push(index == PROGRAM);
        self.done.push(false);
        self.loading.objects.push(loaded);
        index
    }

    fn note_missing(&mut self, object: usize, name: &OsStr, tried: Vec<Attempt>, note: Option<String>) {
        match self.loading.not_found.iter_mut().find(|known| known.name == name) {
            Some(known) => {
                known.needed_by.push(object);
                let new = tried.into_iter().filter(|attempt| !known.tried.contains(attempt));
                let new: Vec<Attempt> = new.collect();
                known.tried.extend(new);
            }
            None => {
                self.loading.not_found.push(NotFound { name: name.to_owned(), needed_by: vec![object], tried, note })
            }
        }
    }
}

/// What became of a request.
enum Resolution {
    /// The kernel provides it.
    Kernel,
    /// It is there already.
    Loaded(usize),
    Opened(Rule, usize, PathBuf),
    NotFound(Vec<Attempt>, Option<String>),
}
