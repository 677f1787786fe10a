//! glibc's loader: which objects it loads for a program, in which order, from where (`_dl_map_object_deps` in glibc).

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::cache::Cache;
use super::expand::{Expander, Name, Owner, places_at};
use super::loader::GlibcBuild;
use super::merge::merge;
use super::process::{INTERPRETER, Ignored, Loaded, Loading, NotFound, PROGRAM, RelativeElement, Requested};
use super::search::{Ended, FileTree, Found, List, Place, Prober, Variants};
use super::setting::Setting;
use super::versions;
use crate::analyze::{DependencyKind, Machine, glibc};
use crate::root::FileId;
use crate::trace::{Attempt, Refusal, Rule, Why};

/// What a search starts from.
pub(crate) struct Start<'t, T> {
    pub(crate) tree: &'t T,
    pub(crate) build: &'t GlibcBuild,
    pub(crate) cache: Option<&'t Cache<'t>>,
    pub(crate) setting: &'t Setting,
}

/// Loads `program` and all that it needs. `interpreter` is known to the process before anything else is.
pub(crate) fn load<T: FileTree>(start: &Start<'_, T>, program: Loaded, interpreter: Loaded) -> Loading {
    let (program_again, interpreter_again) = (program.clone(), interpreter.clone());
    let mut loading = Process::of_program(start, program, interpreter).run();
    for (entry, name, asked_by) in auditing_objects(start.setting, &program_again).into_iter().take(NAMESPACES) {
        let namespace = Process::namespace(start, program_again.clone(), interpreter_again.clone());
        let audit = namespace.run_audit(entry, &name);
        match audit.not_found.is_empty() {
            true => merge(&mut loading, audit),
            // The loader says so, and goes on without.
            false => loading.ignored.push(Ignored { name, asked_by, not_found: audit.not_found }),
        }
    }
    loading
}

/// Namespaces of a process, the program's own left out (`DL_NNS` in glibc). For more the loader has no room.
const NAMESPACES: usize = 15;

/// The auditing objects of a process: those that the program names, then those of its environment.
fn auditing_objects(setting: &Setting, program: &Loaded) -> Vec<(usize, OsString, &'static str)> {
    let first = program.elf.dependencies().len();
    let own = program.elf.audit().map(|name| (name.to_owned(), "its DT_AUDIT or DT_DEPAUDIT"));
    let environment = setting.audit.iter().map(|name| (name.clone(), "LD_AUDIT"));
    own.chain(environment).enumerate().map(|(number, (name, asked_by))| (first + number, name, asked_by)).collect()
}

/// One namespace of a process.
struct Process<'t, T> {
    start: &'t Start<'t, T>,
    prober: Prober<'t, T>,
    expander: Expander<'t>,
    machine: Machine,
    variants: Variants,
    library_path: Rc<[Place]>,
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

    /// What the caller names, and `LD_LIBRARY_PATH`, in which semicolons part as well as colons, and `$ORIGIN` is the
    /// program's (`_dl_init_paths` in glibc).
    fn whole_library_path(&self) -> Rc<[Place]> {
        let setting = self.start.setting;
        if setting.environment_path.is_empty() {
            return setting.library_path.clone();
        }
        let list = setting.environment_path.as_bytes().iter();
        let list: Vec<u8> = list.map(|&byte| if byte == b';' { b':' } else { byte }).collect();
        let expanded = self.expander.list(owner(&self.loading, PROGRAM), OsStr::from_bytes(&list));
        setting.library_path.iter().chain(expanded.places.iter()).cloned().collect()
    }

    /// A namespace in which nothing is loaded yet. The interpreter is shared once it is found, but answers to no name.
    fn namespace(start: &'t Start<'t, T>, program: Loaded, interpreter: Loaded) -> Self {
        let mut process = Process::of_program(start, program, interpreter);
        process.names.clear();
        process.order.clear();
        process
    }

    fn new(start: &'t Start<'t, T>, machine: Machine) -> Self {
        let levels = start.setting.cpu.levels.iter().filter(|_| start.build.has_hwcaps);
        Process {
            start,
            prober: Prober { tree: start.tree, machine, skips_other_byte_order: start.build.is_multiarch() },
            expander: Expander { build: start.build, machine, setting: start.setting },
            machine,
            variants: Variants {
                subdirectories: levels.map(|level| hwcaps_subdirectory(level)).collect(),
                plain: true,
            },
            library_path: Rc::default(),
            names: HashMap::new(),
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
        self.finish()
    }

    /// Asks for an auditing object as the program would (`load_audit_module` in glibc).
    fn run_audit(mut self, entry: usize, name: &OsStr) -> Loading {
        if let Some(target) = self.request(PROGRAM, entry, DependencyKind::Audit, name) {
            self.append(target);
        }
        self.load_dependencies();
        self.finish()
    }

    /// `LD_PRELOAD`: what cannot be loaded is passed over.
    fn preload(&mut self, name: &OsStr) {
        let name = self.name(PROGRAM, name);
        match self.resolve(PROGRAM, &name) {
            Resolution::Opened { object, .. } | Resolution::Loaded(object) => self.append(object),
            Resolution::Kernel => {}
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
        while let Some(&object) = self.order.get(at) {
            match std::mem::replace(&mut self.done[object], true) {
                true => at += 1,
                false => self.process_entries(object, at),
            }
        }
    }

    fn process_entries(&mut self, object: usize, mut at: usize) {
        let elf = self.loading.objects[object].elf.clone();
        for (entry, dependency) in elf.dependencies().iter().enumerate() {
            let target = self.request(object, entry, dependency.kind(), dependency.name());
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
    fn request(&mut self, object: usize, entry: usize, kind: DependencyKind, name: &OsStr) -> Option<usize> {
        let name = self.name(object, name);
        let (rule, target, opened, tried) = match self.resolve(object, &name) {
            Resolution::Kernel => (Rule::Loaded, None, None, Vec::new()),
            Resolution::Loaded(target) => (Rule::Loaded, Some(target), None, Vec::new()),
            Resolution::Opened { rule, object, path, tried } => (rule, Some(object), Some(path), tried),
            // A missing DT_AUXILIARY is no error.
            Resolution::NotFound { .. } if kind == DependencyKind::Auxiliary => return None,
            Resolution::NotFound { tried, note } => {
                let missing = NotFound { name: name.text.clone(), version: None, needed_by: Vec::new(), tried, note };
                self.loading.note_missing(object, missing);
                (Rule::Default, None, None, Vec::new())
            }
        };
        let requested = Requested { entry, name: name.text, kind, rule, object: target, opened, tried };
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
            return Resolution::NotFound { tried: Vec::new(), note: Some(problem.to_owned()) };
        }
        let mut tried = Vec::new();
        let found = match name.has_slash() {
            true => self.open_path(object, name, &mut tried),
            false => self.find(object, &name.text, &mut tried),
        };
        match found {
            Some(found) => self.take(object, &name.text, found, tried),
            None => Resolution::NotFound { note: self.why_not_found(object, name), tried },
        }
    }

    fn why_not_found(&self, object: usize, name: &Name) -> Option<String> {
        let owner = &self.loading.objects[object];
        let relative = self.loading.relative.iter().find(|relative| relative.owner == object);
        match relative.filter(|_| !name.has_slash()) {
            _ if owner.elf.no_default_lib() => Some(no_default_lib(&owner.name)),
            Some(relative) => Some(relative_element(&relative.element)),
            None => None,
        }
    }

    /// A name with a slash is opened as it stands.
    fn open_path(&self, object: usize, name: &Name, tried: &mut Vec<Attempt>) -> Option<Found> {
        let places = match &name.after_origin {
            Some(suffix) => places_at(&self.loading.objects[object].origins, object, suffix),
            None => vec![Place::fixed(name.path())],
        };
        for place in places {
            match self.prober.try_path(place, Rule::Path, tried) {
                Ended::Found(found) => return Some(found),
                Ended::GoOn => {}
                Ended::Stop => break,
            }
        }
        None
    }

    /// What is only in subdirectories for some CPUs is found where nothing is that suits them all.
    fn find(&mut self, object: usize, name: &OsStr, tried: &mut Vec<Attempt>) -> Option<Found> {
        let lists = self.lists_before_cache(object);
        match self.search(object, &lists, name, &self.variants, tried) {
            Ended::Found(found) => Some(found),
            Ended::GoOn => {
                let variants = Variants { subdirectories: self.all_subdirectories(), plain: false };
                match self.search(object, &lists, name, &variants, &mut Vec::new()) {
                    Ended::Found(found) => Some(Found { is_only_variant: true, ..found }),
                    Ended::GoOn | Ended::Stop => None,
                }
            }
            Ended::Stop => None,
        }
    }

    /// `_dl_map_object` in glibc, for a name without a slash.
    fn search(
        &self,
        object: usize,
        lists: &[List],
        name: &OsStr,
        variants: &Variants,
        tried: &mut Vec<Attempt>,
    ) -> Ended {
        let no_default_lib = self.loading.objects[object].elf.no_default_lib();
        for list in lists {
            match self.prober.try_list(list, name, variants, tried) {
                Ended::GoOn => {}
                end => return end,
            }
        }
        match self.try_cache(name, variants, no_default_lib, tried) {
            Ended::GoOn if !no_default_lib => self.prober.try_list(&self.builtin_list(), name, variants, tried),
            end => end,
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
        if !self.library_path.is_empty() {
            let places = self.library_path.clone();
            lists.push(List { rule: Rule::LibraryPath, owner: None, places });
        }
        lists.extend(runpath);
        lists
    }

    fn builtin_list(&self) -> List {
        let directories = self.start.build.directories.iter().cloned();
        List { rule: Rule::Default, owner: None, places: directories.map(Place::fixed).collect() }
    }

    /// Every subdirectory that some CPU of this machine searches, what more of them have first.
    fn all_subdirectories(&self) -> Vec<String> {
        let build = self.start.build;
        let levels = glibc::levels(self.machine).iter().rev().filter(|_| build.has_hwcaps);
        let levels = levels.map(|level| hwcaps_subdirectory(level));
        let legacy = if build.has_legacy_hwcaps { glibc::legacy_subdirectories(self.machine) } else { Vec::new() };
        levels.chain(legacy).collect()
    }

    fn try_cache(&self, name: &OsStr, variants: &Variants, no_default_lib: bool, tried: &mut Vec<Attempt>) -> Ended {
        let hit = self.start.cache.and_then(|cache| cache.lookup(name, self.machine, variants));
        match hit {
            Some((path, _)) if no_default_lib && self.is_under_builtin(&path) => Ended::GoOn,
            Some((path, variant)) if path.is_absolute() => {
                let rule = self.rule_of_hit(&path);
                match self.prober.try_path(Place::fixed(path), rule, tried) {
                    Ended::Found(found) => Ended::Found(Found { variant, ..found }),
                    end => end,
                }
            }
            _ => {
                self.note_not_cached(name, tried);
                Ended::GoOn
            }
        }
    }

    /// What a cache that nobody made would only say again, a builtin directory says.
    fn rule_of_hit(&self, path: &Path) -> Rule {
        let is_unbuilt = self.start.cache.is_some_and(|cache| cache.as_unbuilt().is_some());
        let is_builtin = self.start.build.directories.iter().any(|directory| path.parent() == Some(directory));
        if is_unbuilt && is_builtin { Rule::Default } else { Rule::Cache }
    }

    fn note_not_cached(&self, name: &OsStr, tried: &mut Vec<Attempt>) {
        let directories = self.start.cache.map(Cache::directories).unwrap_or_default();
        for directory in directories {
            let refusal = Refusal::with(Why::Absent, "a directory of ld.so.conf");
            tried.push(Attempt { path: directory.join(name), rule: Rule::Cache, owner: None, refusal });
        }
        let refusal = Refusal::with(Why::Absent, "the name is not in it");
        let path = self.start.build.cache.clone();
        tried.push(Attempt { path, rule: Rule::Cache, owner: None, refusal });
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
                let expanded = self.expander.list(owner(&self.loading, object), text);
                let _ = cell.set(expanded.places.clone());
                let note = |element| RelativeElement { owner: object, rule, element };
                self.loading.relative.extend(expanded.relative.into_iter().map(note));
                self.loading.uses_platform |= expanded.uses_platform;
                expanded.places
            }
        };
        let owner = self.loading.objects[object].name.clone();
        Some(List { rule, owner: Some(owner), places })
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
        let loaded = Loaded::library(name.to_owned(), found, elf, object);
        Resolution::Opened { rule, object: self.adopt(loaded), path, tried }
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
        self.listed.push(false);
        self.done.push(false);
        self.loading.objects.push(loaded);
        index
    }

    fn finish(mut self) -> Loading {
        // In the namespace of an auditing object the program is only who asked for it.
        let members: Vec<usize> = match self.order.first() {
            Some(&PROGRAM) => (PROGRAM..self.loading.objects.len()).collect(),
            _ => (INTERPRETER..self.loading.objects.len()).collect(),
        };
        let problems = versions::problems(&self.loading, &members, self.start.build);
        problems.into_iter().for_each(|(object, problem)| self.loading.note_missing(object, problem));
        self.loading.order = self.order;
        self.loading
    }
}

fn owner(loading: &Loading, object: usize) -> Owner<'_> {
    Owner { object, origins: &loading.objects[object].origins }
}

fn hwcaps_subdirectory(level: &str) -> String {
    format!("glibc-hwcaps/{level}")
}

fn no_default_lib(owner: &OsStr) -> String {
    format!(
        "which was not found; {} was linked with -z nodefaultlib, so the loader's builtin directories, in which an image \
         has what a library path finds, do not count for it",
        crate::text::printable(owner)
    )
}

fn relative_element(element: &OsStr) -> String {
    format!(
        "which was not found; the search path element `{}` means the working directory, which is not known: give the \
         image a working directory, or link with absolute directories or $ORIGIN",
        crate::text::printable(element)
    )
}

/// What became of a request.
enum Resolution {
    /// The kernel provides it.
    Kernel,
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
