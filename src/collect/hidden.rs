//! Libraries that are loaded by name while a program runs (dlopen(3)): what its files say of them, and the same search
//! as for all others.

use std::ffi::OsStr;
use std::ops::Range;
use std::path::PathBuf;

use super::process::{Asked, Loaded, Loading, NotFound, PROGRAM, Requested, Unloaded};
use super::setting::{ByItself, Library, Setting};
use crate::analyze::{DependencyKind, Elf, Priority};
use crate::need::Hint;
use crate::text::printable;
use crate::trace::{Attempt, Rule};

/// A process that can load libraries by name.
pub(super) trait Process {
    fn setting(&self) -> &Setting;
    fn loading(&mut self) -> &mut Loading;
    /// dlopen(3), called by the object `caller`; what it needs is loaded later.
    fn dlopen(&mut self, caller: usize, library: &Library) -> Opening;
    /// Loads what those need that are there.
    fn load_dependencies(&mut self);
}

/// What became of a dlopen.
pub(super) enum Opening {
    Loaded { rule: Rule, object: Option<usize>, opened: Option<PathBuf>, tried: Vec<Attempt> },
    NotFound { tried: Vec<Attempt>, note: Option<String> },
    Excluded,
}

/// Objects that a library brought which the process gets on without.
pub(super) struct Brought {
    objects: Range<usize>,
    as_unloaded: Unloaded,
}

/// Something that an object loads by itself.
struct Hidden {
    by: usize,
    asked: Asked,
    /// In whose name it is searched for, one after the other.
    callers: Vec<usize>,
    /// Of which the first that is there is taken.
    libraries: Vec<Library>,
    is_required: bool,
    /// Why it is wanted, behind its name.
    reason: Option<String>,
}

/// The libraries that glibc loads by name for whoever imports certain symbols, by their numbers in [`Asked::Symbol`].
const BY_SYMBOL: [&str; 3] = ["libgcc_s.so.1", "libnss_files.so.2", "libnss_dns.so.2"];

/// Loads all that is known to be loaded while the program runs. Answers what of it is dispensable.
pub(super) fn load<P: Process>(process: &mut P) -> Vec<Brought> {
    let by_itself = process.setting().by_itself.clone();
    let Some(least) = by_itself.least else { return Vec::new() };
    let mut brought = Vec::new();
    for (number, library) in by_itself.libraries.iter().enumerate() {
        let id = process.loading().objects[PROGRAM].opened.parsed.stamp.id;
        if !by_itself.without.contains(&(id, Asked::Caller(number))) {
            let callers = callers(process.loading());
            brought.extend(Hidden::of_caller(number, library, callers).load(process));
        }
    }
    let mut helpers = Helpers::missing(process.loading());
    let (mut object, mut known) = (0, process.loading().objects.len());
    while object < process.loading().objects.len() {
        if helpers.is_none() && process.loading().objects.len() > known {
            known = process.loading().objects.len();
            helpers = Helpers::missing(process.loading());
        }
        for hidden in of_object(process.loading(), object, least, helpers.as_ref(), &by_itself) {
            brought.extend(hidden.load(process));
        }
        object += 1;
    }
    brought
}

/// Puts apart what is wrong with objects that the process gets on without.
pub(super) fn give_up(loading: &mut Loading, brought: &[Brought], problems: Vec<(usize, NotFound)>) {
    for (object, problem) in problems {
        match brought.iter().find(|brought| brought.objects.contains(&object)) {
            Some(brought) => loading.unloaded.push(brought.as_unloaded.clone()),
            None => loading.note_missing(object, problem),
        }
    }
}

/// In whose name a library is loaded that the caller says is loaded: the program's, or that of another that imports
/// dlopen.
fn callers(loading: &Loading) -> Vec<usize> {
    let imports_dlopen = |object: &Loaded| object.hints().symbol_for(&[Hint::Dlopen]).is_some();
    let others = (PROGRAM + 1..loading.objects.len()).filter(|&object| imports_dlopen(&loading.objects[object]));
    std::iter::once(PROGRAM).chain(others).collect()
}

fn of_object(
    loading: &Loading,
    object: usize,
    least: Priority,
    helpers: Option<&Helpers>,
    by_itself: &ByItself,
) -> Vec<Hidden> {
    let id = loading.objects[object].opened.parsed.stamp.id;
    let by_symbols = helpers.into_iter().flat_map(|helpers| helpers.wanted_by(loading, object));
    let hidden = by_symbols.chain(by_notes(loading, object, least));
    hidden.filter(|hidden| !by_itself.without.contains(&(id, hidden.asked))).collect()
}

/// What glibc loads for its callers: libgcc_s to unwind stacks (`libgcc_s_init`), and up to 2.33 the modules of the name
/// service (nsswitch.conf(5)), without which it finds neither users nor hosts.
struct Helpers {
    /// glibc itself.
    libc: usize,
    /// Those that are not there anyway, by their numbers, and what tells that an object wants one.
    missing: Vec<(usize, &'static [Hint])>,
}

impl Helpers {
    /// `None` where nothing is loaded so.
    fn missing(loading: &Loading) -> Option<Helpers> {
        let libc = loading.objects.iter().position(|object| is_glibc(&object.elf))?;
        let is = |object: &Loaded, name: &str| object.name == name || object.elf.soname() == Some(OsStr::new(name));
        let is_there = |name: &str| loading.objects.iter().any(|object| is(object, name));
        let mut missing: Vec<(usize, &[Hint])> = Vec::new();
        if !is_there(BY_SYMBOL[0]) {
            missing.push((0, &[Hint::Unwind]));
        }
        if !defines(&loading.objects[libc].elf, "GLIBC_2.34") {
            missing.push((1, &[Hint::Users, Hint::Names, Hint::Services]));
            missing.push((2, &[Hint::Names]));
        }
        (!missing.is_empty()).then_some(Helpers { libc, missing })
    }

    fn wanted_by<'s>(&'s self, loading: &'s Loading, object: usize) -> impl Iterator<Item = Hidden> + 's {
        let missing = self.missing.iter().filter(move |_| object != self.libc);
        let wanted = missing.filter(move |(_, hints)| loading.objects[object].hints().symbol_for(hints).is_some());
        wanted.map(move |(number, _)| Hidden::of_symbol(object, *number, self.libc))
    }
}

fn by_notes(loading: &Loading, object: usize, least: Priority) -> impl Iterator<Item = Hidden> {
    let notes = loading.objects[object].elf.dlopen_notes().iter().enumerate();
    notes.filter(move |(_, note)| note.priority() <= least).map(move |(number, note)| Hidden {
        by: object,
        asked: Asked::Note(number),
        callers: vec![object],
        libraries: note.sonames().map(Library::of_name).collect(),
        is_required: note.priority() == Priority::Required,
        reason: Some(format!(
            "which its .note.dlopen requires{} and which was not found",
            note.feature().map(|feature| format!(" for {}", printable(feature))).unwrap_or_default()
        )),
    })
}

pub(super) fn is_glibc(elf: &Elf) -> bool {
    elf.soname().is_some_and(|soname| soname.as_encoded_bytes().starts_with(b"libc.so.")) && defines(elf, "GLIBC_")
}

/// Whether a version that begins so is defined.
fn defines(elf: &Elf, version: &str) -> bool {
    let defined = elf.defined_versions();
    defined.is_some_and(|mut defined| defined.any(|defined| defined.as_encoded_bytes().starts_with(version.as_bytes())))
}

impl Hidden {
    fn of_caller(number: usize, library: &Library, callers: Vec<usize>) -> Hidden {
        let (asked, is_required) = (Asked::Caller(number), library.is_required);
        Hidden { by: PROGRAM, asked, callers, libraries: vec![library.clone()], is_required, reason: None }
    }

    fn of_symbol(by: usize, number: usize, libc: usize) -> Hidden {
        let libraries = vec![Library::of_name(OsStr::new(BY_SYMBOL[number]))];
        Hidden { by, asked: Asked::Symbol(number), callers: vec![libc], libraries, is_required: false, reason: None }
    }

    fn load<P: Process>(self, process: &mut P) -> Option<Brought> {
        let first = process.loading().objects.len();
        let (mut all_tried, mut why) = (Vec::new(), self.reason.clone());
        let mut is_excluded = false;
        for (&caller, library) in self.callers.iter().flat_map(|caller| self.libraries.iter().map(move |l| (caller, l)))
        {
            match process.dlopen(caller, library) {
                Opening::Loaded { rule, object, opened, tried } => {
                    let (name, kind) = (library.name.clone(), DependencyKind::Dlopen);
                    let requested = Requested { asked: self.asked, name, kind, rule, object, opened, tried };
                    process.loading().objects[self.by].requests.push(requested);
                    process.load_dependencies();
                    return self.loaded(process.loading(), first, library);
                }
                Opening::Excluded => {
                    process.loading().excluded.push((self.by, library.name.clone()));
                    is_excluded = true;
                }
                Opening::NotFound { tried, note } => {
                    all_tried.extend(tried);
                    why = why.or(note);
                }
            }
        }
        if !is_excluded {
            self.not_found(process.loading(), all_tried, why);
        }
        None
    }

    /// What came with a library of this name, from the object `first` on.
    fn loaded(&self, loading: &mut Loading, first: usize, library: &Library) -> Option<Brought> {
        if self.is_required {
            return None;
        }
        let as_unloaded = self.unloaded(loading, &library.name, true);
        let is_new = |missing: &NotFound| missing.needed_by.iter().any(|&object| object >= first);
        if loading.not_found.iter().any(is_new) {
            loading.unloaded.push(as_unloaded.clone());
        }
        Some(Brought { objects: first..loading.objects.len(), as_unloaded })
    }

    fn not_found(self, loading: &mut Loading, tried: Vec<Attempt>, note: Option<String>) {
        let Some(name) = self.libraries.first().map(|library| library.name.clone()) else { return };
        if self.is_required {
            let missing = NotFound { name, version: None, needed_by: Vec::new(), tried, note };
            loading.note_missing(self.by, missing);
        } else {
            let unloaded = self.unloaded(loading, &name, false);
            loading.unloaded.push(unloaded);
        }
    }

    fn unloaded(&self, loading: &Loading, name: &OsStr, is_incomplete: bool) -> Unloaded {
        let by = loading.objects[self.by].opened.parsed.stamp.id;
        Unloaded { by, asked: self.asked, name: name.to_owned(), is_incomplete }
    }
}
