//! glibc's loader: which objects it loads for a program, in which order, from where (`_dl_map_object_deps` in glibc).

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::expand::{Expander, Name, places_at};
use super::ld_cache::LdCache;
use super::loader::GlibcBuild;
use super::process::{Loaded, Loading, PROGRAM, RelativeElement, Requested};
use super::search::{Ended, FileTree, Found, List, Place, Prober, Tried};
use super::setting::Setting;
use crate::analyze::{Dependency, DependencyKind, Machine, glibc};
use crate::root::FileId;
use crate::trace::{Attempt, Refusal, Rule, Why};

/// What a search starts from.
pub(crate) struct Start<'t, T> {
    pub(crate) tree: &'t T,
    pub(crate) build: &'t GlibcBuild,
    pub(crate) cache: Option<LdCache>,
    pub(crate) setting: &'t Setting,
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
        order: vec![PROGRAM],
        listed: Vec::new(),
        done: Vec::new(),
        loading: Loading::default(),
    };
    process.adopt(program);
    process.adopt(interpreter);
    process.run();
    process.loading.order = process.order;
    process.loading
}

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
                self.loading.note_missing(object, &name.text, tried, note);
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
                let owner = &self.loading.objects[object];
                Resolution::NotFound(tried, owner.elf.no_default_lib().then(|| no_default_lib(&owner.name)))
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
        for place in places {
            match self.prober.try_path(place, Rule::Path, tried) {
                Ended::Found(found) => return Some(found),
                Ended::GoOn => {}
                Ended::Stop => break,
            }
        }
        None
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
        if !self.start.setting.library_path.is_empty() {
            let places = self.start.setting.library_path.clone();
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
        let loaded = Loaded::library(name.to_owned(), found, elf, object);
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
}

fn no_default_lib(owner: &OsStr) -> String {
    format!(
        "which was not found; {} was linked with -z nodefaultlib, so the loader's builtin directories, in which an image \
         has what a library path finds, do not count for it",
        crate::text::printable(owner)
    )
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
