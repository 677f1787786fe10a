//! glibc's loader: which objects it loads for a program, in which order, from where (`_dl_map_object_deps` in glibc).

mod lookup;

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;

use super::cache::Cache;
use super::expand::{Expander, Name, Owner, PathList};
use super::hidden::{self, Brought, Opening};
use super::loader::GlibcBuild;
use super::merge::merge;
use super::process::{Asked, INTERPRETER, Ignored, Loaded, Loading, Names, NotFound, PROGRAM, Requested};
use super::search::{Ended, FileTree, Found, Notes, Place, Prober, Variants};
use super::setting::{Library, Setting};
use super::versions;
use crate::analyze::{DependencyKind, Machine, glibc};
use crate::root::FileId;
use crate::trace::{Attempt, Rule};

/// What a search starts from.
pub(crate) struct Start<'t, T> {
    pub(crate) tree: &'t T,
    pub(crate) build: &'t GlibcBuild,
    pub(crate) cache: Option<&'t Cache<'t>>,
    pub(crate) setting: &'t Setting,
}

/// Loads `program` and all that it needs. `interpreter` is known to the process before anything else is.
pub(crate) fn load<T: FileTree>(start: &Start<'_, T>, program: Loaded, interpreter: Loaded) -> Loading {
    let mut auditing = auditing_objects(start.setting, &program);
    auditing.truncate(NAMESPACES);
    let namespaces: Vec<_> =
        auditing.iter().map(|_| Process::namespace(start, program.clone(), interpreter.clone())).collect();
    let mut loading = Process::of_program(start, program, interpreter).run();
    for ((asked, name, asked_by), namespace) in auditing.into_iter().zip(namespaces) {
        let audit = namespace.run_audit(asked, &name);
        match audit.not_found.is_empty() {
            true => merge(&mut loading, audit),
            // The loader says so, and goes on without.
            false => loading.ignored.push(Ignored { name, asked_by, not_found: audit.not_found }),
        }
    }
    loading
}

/// The files that a program would find by these names, were it to load them.
pub(crate) fn find<'n, T: FileTree>(
    start: &Start<'_, T>,
    program: Loaded,
    interpreter: Loaded,
    names: impl IntoIterator<Item = &'n OsStr>,
) -> Vec<(&'n OsStr, Found)> {
    let mut process = Process::of_program(start, program, interpreter);
    let lists = process.lists_before_cache(PROGRAM);
    let find = |name| match process.search(PROGRAM, &lists, name, &process.variants, &mut Vec::new()) {
        Ended::Found(found) => Some((name, found)),
        Ended::GoOn | Ended::Stop => None,
    };
    names.into_iter().filter_map(find).collect()
}

/// Namespaces of a process, the program's own left out (`DL_NNS` in glibc). For more the loader has no room.
const NAMESPACES: usize = 15;

/// The auditing objects of a process: those that the program names, then those of its environment.
fn auditing_objects(setting: &Setting, program: &Loaded) -> Vec<(Asked, OsString, &'static str)> {
    if setting.is_secure {
        // They would have to be setuid themselves.
        return Vec::new();
    }
    let own = program.elf.audit().enumerate();
    let own = own.map(|(number, name)| (Asked::Audit(number), name.to_owned(), "its DT_AUDIT or DT_DEPAUDIT"));
    let environment = setting.audit.iter().enumerate();
    let environment = environment.map(|(number, name)| (Asked::Environment(number), name.clone(), "LD_AUDIT"));
    own.chain(environment).collect()
}

/// One namespace of a process.
struct Process<'t, T> {
    start: &'t Start<'t, T>,
    prober: Prober<'t, T>,
    expander: Expander<'t>,
    /// Search paths that are the same whoever has them, by their texts.
    path_lists: HashMap<OsString, PathList>,
    machine: Machine,
    variants: Variants,
    /// Whether this is the namespace of an auditing object.
    is_audit: bool,
    library_path: Arc<[Place]>,
    /// Names that an object asked for in vain.
    failed: HashSet<(usize, OsString)>,
    /// Every name that a loaded object answers to.
    names: Names,
    files: HashMap<FileId, usize>,
    /// The search list that the dependencies are put into.
    order: Vec<usize>,
    /// Whether an object stands in `order`.
    listed: Vec<bool>,
    /// Whether an object's own entries have been processed.
    done: Vec<bool>,
    loading: Loading,
}

impl<'t, T: FileTree> Process<'t, T> {
    /// The namespace of the program, in which its interpreter answers to its names.
    fn of_program(start: &'t Start<'t, T>, program: Loaded, interpreter: Loaded) -> Self {
        let mut process = Process::new(start, program.elf.machine());
        // The program's own name in its list of objects is empty.
        process.names.insert(OsString::new(), PROGRAM);
        process.adopt(program);
        process.adopt(interpreter);
        process.append(PROGRAM);
        process.library_path = process.whole_library_path();
        process
    }

    /// A namespace in which nothing is loaded yet. The interpreter is shared once it is found, but answers to no name.
    fn namespace(start: &'t Start<'t, T>, program: Loaded, interpreter: Loaded) -> Self {
        let mut process = Process::of_program(start, program, interpreter);
        process.names.clear();
        process.order.clear();
        process.is_audit = true;
        process
    }

    fn new(start: &'t Start<'t, T>, machine: Machine) -> Self {
        let levels = start.setting.cpu.levels.iter().filter(|_| start.build.has_hwcaps);
        Process {
            start,
            prober: Prober {
                notes: Notes::default(),
                tree: start.tree,
                machine,
                skips_other_byte_order: start.build.is_multiarch(),
            },
            expander: Expander { build: start.build, machine, setting: start.setting },
            path_lists: HashMap::new(),
            machine,
            variants: Variants {
                subdirectories: levels.map(|level| hwcaps_subdirectory(level)).collect(),
                plain: true,
            },
            is_audit: false,
            library_path: Arc::default(),
            failed: HashSet::new(),
            names: Names::new(),
            files: HashMap::new(),
            order: Vec::new(),
            listed: Vec::new(),
            done: Vec::new(),
            loading: Loading::default(),
        }
    }

    fn run(mut self) -> Loading {
        let setting = self.start.setting;
        setting.preload.iter().for_each(|name| self.preload(name));
        self.load_dependencies();
        let brought = hidden::load(&mut self);
        self.finish(&brought)
    }

    /// Asks for an auditing object as the program would (`load_audit_module` in glibc).
    fn run_audit(mut self, asked: Asked, name: &OsStr) -> Loading {
        if let Some(target) = self.request(PROGRAM, asked, DependencyKind::Audit, name) {
            self.append(target);
        }
        self.load_dependencies();
        self.finish(&[])
    }

    /// `LD_PRELOAD`: what cannot be loaded is passed over.
    fn preload(&mut self, name: &OsStr) {
        let name = self.name(PROGRAM, name);
        match self.resolve(PROGRAM, &name) {
            Resolution::Opened { object, .. } | Resolution::Loaded(object) => self.append(object),
            Resolution::Kernel | Resolution::Excluded => {}
            Resolution::NotFound { tried, note } => {
                let missing =
                    NotFound { name: name.text.clone(), version: None, needed_by: vec![PROGRAM], tried, note };
                let ignored = Ignored { name: name.text, asked_by: "LD_PRELOAD", not_found: vec![missing] };
                self.loading.ignored.push(ignored);
            }
        }
    }

    /// Breadth first. What a filter puts before the object that names it is processed next.
    fn load_dependencies(&mut self) {
        let mut at = 0;
        while let Some(&object) = self.order.get(at).filter(|_| self.loading.excess.is_none()) {
            match std::mem::replace(&mut self.done[object], true) {
                true => at += 1,
                false => self.process_entries(object, at),
            }
        }
    }

    fn process_entries(&mut self, object: usize, mut at: usize) {
        let elf = self.loading.objects[object].elf.clone();
        for (entry, dependency) in elf.dependencies().iter().enumerate() {
            let target = self.request(object, Asked::Dependency(entry), dependency.kind(), dependency.name());
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

    fn name(&mut self, object: usize, name: &OsStr) -> Name {
        let name = self.expander.name(owner(&self.loading, object), name);
        self.loading.uses_platform |= name.uses_platform;
        name
    }

    /// What answers to one entry of `object`'s dynamic section.
    fn request(&mut self, object: usize, asked: Asked, kind: DependencyKind, name: &OsStr) -> Option<usize> {
        let name = self.name(object, name);
        let (rule, target, opened, tried) = match self.resolve(object, &name) {
            Resolution::Kernel => (Rule::Loaded, None, None, Vec::new()),
            Resolution::Loaded(target) => (Rule::Loaded, Some(target), None, Vec::new()),
            Resolution::Opened { rule, object, path, tried } => (rule, Some(object), Some(path), tried),
            Resolution::Excluded => {
                self.loading.excluded.push((object, name.text.clone()));
                (Rule::Loaded, None, None, Vec::new())
            }
            // A missing DT_AUXILIARY is no error.
            Resolution::NotFound { .. } if kind == DependencyKind::Auxiliary && !name.is_forbidden => return None,
            Resolution::NotFound { tried, note } => {
                self.failed.insert((object, name.text.clone()));
                let missing = NotFound { name: name.text.clone(), version: None, needed_by: Vec::new(), tried, note };
                self.loading.note_missing(object, missing);
                (Rule::Default, None, None, Vec::new())
            }
        };
        let requested = Requested { asked, name: name.text, kind, rule, object: target, opened, tried };
        self.loading.objects[object].requests.push(requested);
        target
    }

    fn resolve(&mut self, object: usize, name: &Name) -> Resolution {
        if let Some(&known) = self.names.get(&name.text) {
            return Resolution::Loaded(known);
        }
        if self.start.setting.excludes(&name.text) {
            return Resolution::Excluded;
        }
        if name.text == glibc::vdso(self.machine) {
            return Resolution::Kernel;
        }
        if let Some(problem) = name.problem() {
            return Resolution::NotFound { tried: Vec::new(), note: Some(problem.to_owned()) };
        }
        let mut tried = Vec::new();
        if !self.failed.is_empty() && self.failed.contains(&(object, name.text.clone())) {
            return Resolution::NotFound { tried, note: None };
        }
        if self.loading.excess.is_some() || self.prober.notes.has_too_many_lookups() {
            return Resolution::NotFound { tried, note: None };
        }
        let found = match name.has_slash() {
            true => self.open_path(object, name, &mut tried),
            false => self.find(object, &name.text, &mut tried),
        };
        match found {
            Some(found) => self.take(object, &name.text, found, tried),
            None => Resolution::NotFound { note: self.why_not_found(object, name), tried },
        }
    }

    /// The same where the caller says where the file is.
    fn resolve_at(&mut self, place: Place, name: &Name) -> Resolution {
        if self.start.setting.excludes(&name.text) {
            return Resolution::Excluded;
        }
        let mut tried = Vec::new();
        match self.prober.try_path(place, Rule::LibraryPath, &mut tried) {
            Ended::Found(found) => self.take(PROGRAM, &name.text, found, tried),
            Ended::GoOn | Ended::Stop => Resolution::NotFound { tried, note: None },
        }
    }

    /// Takes what was found into the process: a file that is loaded already only gets one more name.
    fn take(&mut self, object: usize, name: &OsStr, found: Found, tried: Vec<Attempt>) -> Resolution {
        let (rule, path) = (found.rule, found.place.spot.path.clone());
        if let Some(&known) = self.files.get(&found.opened.parsed.stamp.id) {
            self.names.insert(name.to_owned(), known);
            self.loading.objects[known].aliases.push(found);
            return Resolution::Opened { rule, object: known, path, tried };
        }
        let Ok(elf) = found.opened.parsed.elf.as_ref().cloned() else {
            return Resolution::NotFound { tried, note: None };
        };
        if !self.loading.has_room() {
            return Resolution::NotFound { tried, note: None };
        }
        let loaded = Loaded::library(name.to_owned(), found, elf, object);
        Resolution::Opened { rule, object: self.adopt(loaded), path, tried }
    }

    fn adopt(&mut self, loaded: Loaded) -> usize {
        let index = self.loading.objects.len();
        let own = [loaded.name.as_os_str(), loaded.place.spot.path.as_os_str()];
        let own = own.into_iter().filter(|_| index != PROGRAM);
        for name in own.chain(loaded.elf.soname()) {
            if !self.names.contains_key(name) {
                self.names.insert(name.to_owned(), index);
            }
        }
        if index != PROGRAM {
            self.files.entry(loaded.opened.parsed.stamp.id).or_insert(index);
        }
        self.listed.push(false);
        self.done.push(false);
        self.loading.objects.push(loaded);
        index
    }

    fn finish(mut self, brought: &[Brought]) -> Loading {
        // In the namespace of an auditing object the program is only who asked for it.
        let members: Vec<usize> = match self.order.first() {
            Some(&PROGRAM) => (PROGRAM..self.loading.objects.len()).collect(),
            _ => (INTERPRETER..self.loading.objects.len()).collect(),
        };
        let problems = versions::problems(&self.loading, &members, self.start.build);
        hidden::give_up(&mut self.loading, brought, problems);
        self.loading.note_lookups(&self.prober.notes);
        self.loading.order = self.order;
        self.loading.names = self.names;
        self.loading
    }
}

impl<T: FileTree> hidden::Process for Process<'_, T> {
    fn setting(&self) -> &Setting {
        self.start.setting
    }

    fn loading(&mut self) -> &mut Loading {
        &mut self.loading
    }

    fn dlopen(&mut self, caller: usize, library: &Library) -> Opening {
        let name = self.name(caller, &library.name);
        let resolution = match &library.place {
            Some(place) => self.resolve_at(place.clone(), &name),
            None => self.resolve(caller, &name),
        };
        let (rule, object, opened, tried) = match resolution {
            Resolution::Kernel => (Rule::Loaded, None, None, Vec::new()),
            Resolution::Loaded(object) => (Rule::Loaded, Some(object), None, Vec::new()),
            Resolution::Opened { rule, object, path, tried } => (rule, Some(object), Some(path), tried),
            Resolution::Excluded => return Opening::Excluded,
            Resolution::NotFound { tried, note } => return Opening::NotFound { tried, note },
        };
        object.into_iter().for_each(|object| self.append(object));
        Opening::Loaded { rule, object, opened, tried }
    }

    fn load_dependencies(&mut self) {
        Process::load_dependencies(self);
    }
}

fn owner(loading: &Loading, object: usize) -> Owner<'_> {
    Owner { object, origins: &loading.objects[object].origins }
}

fn hwcaps_subdirectory(level: &str) -> String {
    format!("glibc-hwcaps/{level}")
}

/// What became of a request.
enum Resolution {
    /// The kernel provides it.
    Kernel,
    /// Whoever runs the image provides it.
    Excluded,
    /// It is there already.
    Loaded(usize),
    Opened {
        rule: Rule,
        object: usize,
        path: PathBuf,
        tried: Vec<Attempt>,
    },
    NotFound {
        tried: Vec<Attempt>,
        note: Option<String>,
    },
}
