//! musl's loader: which objects it loads for a program, in which order, from where (`ldso/dynlink.c` in musl).

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::expand::RELATIVE_NAME;
use super::files::{Files, Opened, Spot};
use super::hidden::{self, Opening};
use super::process::{
    Asked, INTERPRETER, Ignored, Loaded, Loading, Names, NotFound, PROGRAM, RelativeElement, Requested,
};
use super::search::{Anchor, FileTree, Found, Notes, Place};
use super::setting::{Library, Setting};
use crate::analyze::{DependencyKind, Machine};
use crate::root::{Fault, FileId, PATH_MAX};
use crate::trace::{Attempt, Refusal, Rule, Why};

/// What is built into a musl loader, and what its path file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MuslBuild {
    /// Where the loader looks for a list of directories.
    pub(crate) path_file: PathBuf,
    /// The directories searched last: those of the path file, or the builtin ones where there is no such file.
    pub(crate) directories: Vec<PathBuf>,
}

/// Searched last where there is no path file.
pub(crate) const BUILTIN: [&str; 3] = ["/lib", "/usr/local/lib", "/usr/lib"];

/// Bytes of a path file that are believed.
const MAX_PATH_FILE: u64 = 1 << 20;

/// What stands where the loader looks for its list of directories.
pub(crate) enum PathFile {
    Absent,
    /// The loader takes it for an empty one.
    Unreadable,
    Holds(Vec<u8>),
}

impl PathFile {
    pub(crate) fn read(files: &Files<'_>, path: &Path) -> PathFile {
        match files.read_whole(path, MAX_PATH_FILE) {
            Ok(list) => PathFile::Holds(list),
            Err(Fault::System(Errno::NOENT)) => PathFile::Absent,
            Err(_) => PathFile::Unreadable,
        }
    }
}

impl MuslBuild {
    /// With what the path file says, if there is one.
    pub(crate) fn with_list(path_file: PathBuf, list: &PathFile) -> MuslBuild {
        let directories = match list {
            PathFile::Holds(list) => elements(list).map(|element| path_of(element.to_vec())).collect(),
            PathFile::Unreadable => Vec::new(),
            PathFile::Absent => BUILTIN.map(PathBuf::from).to_vec(),
        };
        MuslBuild { path_file, directories }
    }
}

/// How the path of a path file begins in a loader's binary.
pub(crate) const PATH_FILE: &[u8] = b"/etc/ld-musl-";

/// `/etc/ld-musl-<ARCH>.path`, as it stands in the loader's binary.
pub(crate) fn path_file_name(parts: &[Vec<u8>]) -> Option<OsString> {
    parts.iter().find_map(|part| {
        let at = memchr::memmem::find(part, PATH_FILE)?;
        let end = memchr::memchr(0, &part[at..]).filter(|&end| end <= PATH_MAX)?;
        Some(OsStr::from_bytes(&part[at..at + end]).to_owned())
    })
}

/// `<prefix>/etc/ld-musl-<ARCH>.path`, where the prefix is the interpreter's path less its last two components.
pub(crate) fn path_file(built_in: Option<&OsStr>, interpreter: &Path, machine: Machine) -> PathBuf {
    let by_machine = || OsString::from(format!("/etc/ld-musl-{}.path", machine.musl_architecture()));
    let name = PathBuf::from(built_in.map_or_else(by_machine, OsStr::to_owned));
    let prefix = interpreter.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
    prefix.join(name.strip_prefix("/").unwrap_or(&name))
}

/// Lists are split at `:` and newlines, and empty elements mean nothing (`path_open` in musl).
fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| matches!(byte, b':' | b'\n' | 0)).filter(|element| !element.is_empty())
}

/// What a search starts from.
pub(crate) struct Start<'t, T> {
    pub(crate) tree: &'t T,
    pub(crate) directories: &'t [PathBuf],
    pub(crate) setting: &'t Setting,
}

/// Loads `program` and all that it needs. The interpreter is the C library itself.
pub(crate) fn load<T: FileTree>(start: &Start<'_, T>, program: Loaded, interpreter: Loaded) -> Loading {
    let mut process = Process::of_program(start, program, interpreter);
    process.run();
    hidden::load(&mut process);
    let Process { mut loading, short_names, notes, .. } = process;
    loading.note_lookups(&notes);
    loading.names = short_names;
    loading.names.insert(loading.objects[INTERPRETER].name.clone(), INTERPRETER);
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
    let unknown = names.into_iter().filter(|name| !is_libc(name));
    unknown.filter_map(|name| Some((name, process.find(PROGRAM, name, &mut Vec::new())?))).collect()
}

struct Process<'t, T> {
    start: &'t Start<'t, T>,
    machine: Machine,
    notes: Notes,
    library_path: Arc<[Place]>,
    system: Arc<[Place]>,
    /// Base names of what a search found; sonames are never read.
    short_names: Names,
    files: HashMap<FileId, usize>,
    /// RPATH or RUNPATH of an object, expanded.
    run_paths: HashMap<usize, Arc<[Place]>>,
    /// Objects in load order that have asked for what they need.
    done: usize,
    loading: Loading,
}

/// What the loader makes of one candidate.
enum Outcome {
    Found(Opened),
    Skip(Refusal),
    Stop(Refusal),
}

/// How a list ended.
enum Ended {
    Found(Found),
    GoOn,
    Stop,
}

impl<'t, T: FileTree> Process<'t, T> {
    fn of_program(start: &'t Start<'t, T>, program: Loaded, interpreter: Loaded) -> Self {
        let setting = start.setting;
        let place = |path: &OsStr| setting.absolute(path).map(Place::fixed);
        let environment =
            elements(setting.environment_path.as_bytes()).filter_map(|path| place(OsStr::from_bytes(path)));
        Process {
            start,
            machine: program.elf.machine(),
            notes: Notes::default(),
            library_path: setting.library_path.iter().cloned().chain(environment).collect(),
            system: start.directories.iter().filter_map(|path| place(path.as_os_str())).collect(),
            short_names: Names::new(),
            files: HashMap::from([(interpreter.opened.parsed.stamp.id, INTERPRETER)]),
            run_paths: HashMap::new(),
            done: 0,
            loading: Loading { objects: vec![program, interpreter], order: vec![PROGRAM], ..Loading::default() },
        }
    }

    fn run(&mut self) {
        let setting = self.start.setting;
        setting.preload.iter().for_each(|name| self.preload(name));
        self.load_dependencies();
    }

    fn load_dependencies(&mut self) {
        let mut at = self.done;
        while let Some(&object) = self.loading.order.get(at).filter(|_| self.loading.excess.is_none()) {
            let elf = self.loading.objects[object].elf.clone();
            let dependencies = elf.dependencies().iter().enumerate();
            let needed = dependencies.filter(|(_, dependency)| dependency.kind() == DependencyKind::Needed);
            needed.for_each(|(entry, dependency)| self.request(object, Asked::Dependency(entry), dependency.name()));
            at += 1;
        }
        self.done = at;
    }

    /// `LD_PRELOAD`: what cannot be loaded is passed over.
    fn preload(&mut self, name: &OsStr) {
        let mut tried = Vec::new();
        if self.known(name).is_some() {
            return;
        }
        match self.find(PROGRAM, name, &mut tried) {
            Some(found) => {
                self.take(PROGRAM, name, found);
            }
            None => {
                let name = name.to_owned();
                let missing =
                    NotFound { name: name.clone(), version: None, needed_by: vec![PROGRAM], tried, note: None };
                self.loading.ignored.push(Ignored { name, asked_by: "LD_PRELOAD", not_found: vec![missing] });
            }
        }
    }

    fn request(&mut self, object: usize, asked: Asked, name: &OsStr) {
        let mut tried = Vec::new();
        if self.known(name).is_none() && self.start.setting.excludes(name) {
            return self.loading.excluded.push((object, name.to_owned()));
        }
        let (rule, target, opened) = match self.known(name) {
            Some(known) => (Rule::Loaded, Some(known), None),
            None => match self.find(object, name, &mut tried) {
                Some(found) => {
                    let (rule, path) = (found.rule, found.place.spot.path.clone());
                    (rule, self.take(object, name, found), Some(path))
                }
                None => {
                    self.note_missing(object, name, std::mem::take(&mut tried));
                    (Rule::Default, None, None)
                }
            },
        };
        let kind = DependencyKind::Needed;
        let requested = Requested { asked, name: name.to_owned(), kind, rule, object: target, opened, tried };
        self.loading.objects[object].requests.push(requested);
    }

    fn note_missing(&mut self, object: usize, name: &OsStr, tried: Vec<Attempt>) {
        let is_relative = is_path(name) && !name.as_bytes().starts_with(b"/");
        let note = (is_relative && tried.is_empty()).then(|| RELATIVE_NAME.to_owned());
        let missing = NotFound { name: name.to_owned(), version: None, needed_by: Vec::new(), tried, note };
        self.loading.note_missing(object, missing);
    }

    /// The loader is the C library under all its names; and what a search found answers to its base name.
    fn known(&self, name: &OsStr) -> Option<usize> {
        if is_libc(name) || name == self.loading.objects[INTERPRETER].name {
            return Some(INTERPRETER);
        }
        self.short_names.get(name).copied()
    }

    fn find(&mut self, object: usize, name: &OsStr, tried: &mut Vec<Attempt>) -> Option<Found> {
        if self.loading.excess.is_some() || self.notes.has_too_many_lookups() {
            return None;
        }
        if is_path(name) {
            let place = self.start.setting.absolute(name).map(Place::fixed)?;
            return self.try_place(place, Rule::Path, tried).found();
        }
        for (rule, places) in self.lists(object) {
            for place in places.iter() {
                match self.try_in(place, name, rule, tried) {
                    Ended::Found(found) => return Some(found),
                    Ended::GoOn => {}
                    Ended::Stop => return None,
                }
            }
        }
        None
    }

    /// LD_LIBRARY_PATH, then the paths of the requester and all its ancestors, then the system's.
    fn lists(&mut self, object: usize) -> Vec<(Rule, Arc<[Place]>)> {
        let mut lists = vec![(Rule::LibraryPath, self.library_path.clone())];
        let chain: Vec<usize> = std::iter::successors(Some(object), |&at| self.loading.objects[at].loader).collect();
        lists.extend(chain.into_iter().filter_map(|at| self.run_path(at)));
        lists.push((Rule::Default, self.system.clone()));
        lists
    }

    fn run_path(&mut self, object: usize) -> Option<(Rule, Arc<[Place]>)> {
        let owner = &self.loading.objects[object];
        let (rule, list) = match (owner.elf.runpath(), owner.elf.rpath()) {
            (Some(list), _) => (Rule::Runpath, list),
            (None, Some(list)) => (Rule::Rpath, list),
            (None, None) => return None,
        };
        if let Some(known) = self.run_paths.get(&object) {
            return Some((rule, known.clone()));
        }
        let is_void = self.start.setting.is_secure && object == PROGRAM && list.as_bytes().contains(&b'$');
        // A program that gains rights does not know where it is, but its libraries do.
        let (mut places, relative) = if is_void { Default::default() } else { expand(&owner.origins, object, list) };
        for element in relative {
            match self.start.setting.absolute(&element) {
                Some(path) => places.push(Place::fixed(path)),
                None => self.loading.relative.push(RelativeElement { owner: object, rule, element }),
            }
        }
        let places: Arc<[Place]> = places.into();
        self.run_paths.insert(object, places.clone());
        Some((rule, places))
    }

    fn try_in(&self, directory: &Place, name: &OsStr, rule: Rule, tried: &mut Vec<Attempt>) -> Ended {
        if !self.start.tree.lacks(&directory.spot, name) || !self.notes.count_lookup() {
            return self.try_place(directory.file(name), rule, tried);
        }
        let attempt = |path| Attempt { path, rule, owner: None, refusal: Refusal::new(Why::Absent) };
        self.notes.add_in(tried, directory, name, attempt);
        Ended::GoOn
    }

    fn try_place(&self, place: Place, rule: Rule, tried: &mut Vec<Attempt>) -> Ended {
        let (refusal, end) = match self.probe(&place.spot) {
            Outcome::Found(opened) => return Ended::Found(Found::plain(place, rule, opened)),
            Outcome::Skip(refusal) => (refusal, Ended::GoOn),
            Outcome::Stop(refusal) => (refusal, Ended::Stop),
        };
        self.notes.add(tried, Attempt { path: place.spot.path, rule, owner: None, refusal });
        end
    }

    /// The first file that opens is final. musl maps it whatever machine it is for; a process would not survive that.
    fn probe(&self, candidate: &Spot) -> Outcome {
        if !self.notes.count_lookup() {
            return Outcome::Stop(Refusal::with(Why::Unreadable, "too many paths were tried"));
        }
        let opened = match self.start.tree.open(candidate) {
            Ok(opened) => opened,
            Err(Fault::System(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG)) => {
                return Outcome::Skip(Refusal::new(Why::Absent));
            }
            Err(Fault::System(Errno::ACCESS)) => return Outcome::Skip(Refusal::new(Why::Unreadable)),
            Err(fault) => return Outcome::Stop(super::refusal_of(fault)),
        };
        match (opened.parsed.machine.and_then(|other| self.machine.mismatch(other)), &opened.parsed.elf) {
            (Some(refusal), _) => Outcome::Stop(refusal),
            (None, Err(cause)) => Outcome::Stop(Refusal::with(Why::NotElf, cause.to_string())),
            (None, Ok(_)) => Outcome::Found(opened),
        }
    }

    /// A file that is loaded already only gets a short name, if it has none.
    fn take(&mut self, object: usize, name: &OsStr, found: Found) -> Option<usize> {
        let id = found.opened.parsed.stamp.id;
        let was_searched = !is_path(name);
        if let Some(&known) = self.files.get(&id) {
            let first = self.loading.objects[known].place.spot.path.file_name().map(OsStr::to_owned);
            if let Some(first) = first.filter(|_| was_searched) {
                self.short_names.entry(first).or_insert(known);
            }
            self.loading.objects[known].aliases.push(found);
            return Some(known);
        }
        let elf = found.opened.parsed.elf.as_ref().ok()?.clone();
        if !self.loading.has_room() {
            return None;
        }
        let index = self.loading.objects.len();
        if let Some(short) = found.place.spot.path.file_name().filter(|_| was_searched) {
            self.short_names.entry(short.to_owned()).or_insert(index);
        }
        self.files.insert(id, index);
        self.loading.objects.push(Loaded::library(name.to_owned(), found, elf, object));
        self.loading.order.push(index);
        Some(index)
    }
}

impl<T: FileTree> hidden::Process for Process<'_, T> {
    fn setting(&self) -> &Setting {
        self.start.setting
    }

    fn loading(&mut self) -> &mut Loading {
        &mut self.loading
    }

    /// Whoever calls dlopen, musl searches in the program's name (`dlopen` in musl).
    fn dlopen(&mut self, _: usize, library: &Library) -> Opening {
        let mut tried = Vec::new();
        if let Some(known) = self.known(&library.name) {
            return Opening::Loaded { rule: Rule::Loaded, object: Some(known), opened: None, tried };
        }
        if self.start.setting.excludes(&library.name) {
            return Opening::Excluded;
        }
        let found = match &library.place {
            Some(place) => self.try_place(place.clone(), Rule::LibraryPath, &mut tried).found(),
            None => self.find(PROGRAM, &library.name, &mut tried),
        };
        match found {
            Some(found) => {
                let (rule, path) = (found.rule, found.place.spot.path.clone());
                let object = self.take(PROGRAM, &library.name, found);
                Opening::Loaded { rule, object, opened: Some(path), tried }
            }
            None => Opening::NotFound { tried, note: None },
        }
    }

    fn load_dependencies(&mut self) {
        Process::load_dependencies(self);
    }
}

impl Ended {
    fn found(self) -> Option<Found> {
        match self {
            Ended::Found(found) => Some(found),
            Ended::GoOn | Ended::Stop => None,
        }
    }
}

fn is_path(name: &OsStr) -> bool {
    name.as_bytes().contains(&b'/')
}

/// Names of the C library, which is the loader: never a file (`load_library` in musl).
fn is_libc(name: &OsStr) -> bool {
    let Some(rest) = name.as_bytes().strip_prefix(b"lib") else { return false };
    ["c.", "pthread.", "rt.", "m.", "dl.", "util.", "xnet."].iter().any(|part| rest.starts_with(part.as_bytes()))
}

/// The directories of an RPATH or RUNPATH, and its elements that mean the working directory. `$ORIGIN` is the only
/// token, and any other `$` voids the whole list (`fixup_rpath` in musl).
fn expand(origins: &[Spot], owner: usize, list: &OsStr) -> (Vec<Place>, Vec<OsString>) {
    let (mut places, mut relative) = (Vec::new(), Vec::new());
    let list = list.as_bytes();
    if memchr::memchr_iter(b'$', list).any(|at| origin_token(&list[at..]).is_none()) {
        return (places, relative);
    }
    for element in elements(list) {
        let has_token = memchr::memchr(b'$', element).is_some();
        match (element.first(), has_token) {
            (Some(b'/'), false) => places.push(Place::fixed(path_of(element.to_vec()))),
            (_, true) => places.extend(origins.iter().map(|origin| at_origin(origin, owner, element))),
            (_, false) => relative.push(OsString::from_vec(element.to_vec())),
        }
    }
    (places, relative)
}

/// How many bytes the token at the start of `text` takes.
fn origin_token(text: &[u8]) -> Option<usize> {
    [&b"$ORIGIN"[..], b"${ORIGIN}"].iter().find(|token| text.starts_with(token)).map(|token| token.len())
}

/// An element with its tokens replaced, hanging on its owner where it begins with one.
fn at_origin(origin: &Spot, owner: usize, element: &[u8]) -> Place {
    let replace = |mut text: &[u8]| {
        let mut replaced = Vec::new();
        // Of what is longer than any path, the rest does not matter.
        while let Some(at) = memchr::memchr(b'$', text).filter(|_| replaced.len() <= PATH_MAX) {
            replaced.extend_from_slice(&text[..at]);
            replaced.extend_from_slice(origin.path.as_os_str().as_bytes());
            text = &text[at + origin_token(&text[at..]).unwrap_or(1)..];
        }
        replaced.extend_from_slice(text);
        replaced
    };
    let spot = Spot { world: origin.world, path: path_of(replace(element)) };
    match origin_token(element) {
        Some(length) => {
            let suffix = OsString::from_vec(replace(&element[length..]));
            Place { spot, anchor: Anchor::Origin { owner, suffix } }
        }
        None => Place::fixed(spot.path),
    }
}

fn path_of(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::{expand, is_libc};
    use crate::collect::files::{Spot, World};
    use std::ffi::OsStr;

    fn expanded(list: &str) -> Vec<String> {
        let origins = [Spot { world: World::Root, path: "/o".into() }];
        expand(&origins, 0, OsStr::new(list)).0.iter().map(|place| place.spot.path.display().to_string()).collect()
    }

    #[test]
    fn origin_is_the_only_token_and_any_other_voids_the_list() {
        assert_eq!(expanded("$ORIGIN/../l:/x\n${ORIGIN}"), ["/o/../l", "/x", "/o"]);
        assert_eq!(expanded("/x:$LIB"), [""; 0]);
        assert_eq!(expanded("$ORIGINAL"), ["/oAL"]);
        assert_eq!(expanded("::/x:"), ["/x"]);
    }

    #[test]
    fn names_of_the_c_library_are_the_loader_whatever_follows() {
        for name in ["libc.so", "libc.musl-x86_64.so.1", "libm.so.6", "libpthread.so.0", "libxnet.x"] {
            assert!(is_libc(OsStr::new(name)), "{name}");
        }
        for name in ["libcrypt.so.1", "libresolv.so.2", "libmount.so", "c.so", "libc"] {
            assert!(!is_libc(OsStr::new(name)), "{name}");
        }
    }
}
