//! Where glibc's loader looks for one name, and what it makes of what it finds there (ld.so(8), `elf/dl-load.c`).

use std::borrow::Cow;
use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::files::{Opened, Spot, World};
use crate::analyze::Machine;
use crate::limits::MAX_LOOKUPS;
use crate::root::Fault;
use crate::trace::{Attempt, Refusal, Rule, Why};

/// A file tree as the loader sees it.
pub(crate) trait FileTree {
    /// Opens the regular file at `spot`, and analyzes it.
    fn open(&self, spot: &Spot) -> Result<Opened, Fault>;
    /// Whether a directory stands at `path`.
    fn is_directory(&self, world: World, path: &Path) -> bool;
    /// Whether it is known without another look that nothing stands at `name` in `directory`.
    fn lacks(&self, directory: &Spot, name: &OsStr) -> bool;
    /// Takes down a file that the loader opened, and did not take.
    fn note_refused(&self, spot: &Spot);
}

/// What a path as opened hangs on, and so where it lies in the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// On nothing: the image has it at the same path.
    Fixed,
    /// On the `$ORIGIN` of an object: the image has it at the same place relative to that object.
    Origin { owner: usize, suffix: OsString },
    /// On a directory that only the caller knows: the image has it in a builtin directory, as far below as it is here.
    Caller { below: OsString },
}

/// A directory to look in, or with a name, a path to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) spot: Spot,
    pub(crate) anchor: Anchor,
}

impl Place {
    pub(crate) fn fixed(path: PathBuf) -> Self {
        Place { spot: Spot { world: World::Root, path }, anchor: Anchor::Fixed }
    }

    /// The file `name` in this directory.
    pub(crate) fn file(&self, name: &OsStr) -> Place {
        let anchor = match &self.anchor {
            Anchor::Origin { owner, suffix } => Anchor::Origin { owner: *owner, suffix: join(suffix, name) },
            Anchor::Caller { below } if below.is_empty() => Anchor::Caller { below: name.to_owned() },
            Anchor::Caller { below } => Anchor::Caller { below: join(below, name) },
            Anchor::Fixed => Anchor::Fixed,
        };
        Place { spot: Spot { world: self.spot.world, path: self.path(name) }, anchor }
    }

    fn path(&self, name: &OsStr) -> PathBuf {
        join(self.spot.path.as_os_str(), name).into()
    }
}

/// The loader's way of joining: a slash between, and nothing made prettier.
fn join(directory: &OsStr, name: &OsStr) -> OsString {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory.as_bytes());
    if !path.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend_from_slice(name.as_bytes());
    OsString::from_vec(path)
}

/// An object as it was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) place: Place,
    pub(crate) rule: Rule,
    pub(crate) opened: Opened,
    /// The subdirectory for some CPUs in which it lies.
    pub(crate) variant: Option<String>,
    /// Whether nothing was found that suits all CPUs.
    pub(crate) is_only_variant: bool,
}

impl Found {
    /// In a directory for every CPU.
    pub(crate) fn plain(place: Place, rule: Rule, opened: Opened) -> Found {
        Found { place, rule, opened, variant: None, is_only_variant: false }
    }
}

/// One list of directories of the search order.
pub(crate) struct List {
    pub(crate) rule: Rule,
    /// Whose RPATH or RUNPATH it is.
    pub(crate) owner: Option<OsString>,
    pub(crate) places: Arc<[Place]>,
}

/// The subdirectories in which a name is looked up before the directory itself, or instead of it.
#[derive(Clone, Debug)]
pub(crate) struct Variants {
    pub(crate) subdirectories: Vec<String>,
    /// Whether the directory itself counts.
    pub(crate) plain: bool,
}

impl Variants {
    fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        self.subdirectories.iter().map(|name| Some(name.as_str())).chain(self.plain.then_some(None))
    }
}

/// What the loader makes of one candidate.
enum Outcome {
    Found(Opened),
    /// It tries the next candidate.
    Skip(Refusal),
    /// It goes on with the next list.
    EndList(Refusal),
    /// The program does not start.
    Fatal(Refusal),
}

/// How one list, or one path, ended.
pub(crate) enum Ended {
    Found(Found),
    GoOn,
    Stop,
}

/// Takes down what was tried, as long as there is room: a crafted program can have its loader try paths without end.
pub(crate) struct Notes {
    /// Bytes that may still be taken down.
    room: Cell<usize>,
    /// Paths that were tried.
    lookups: Cell<u64>,
}

impl Default for Notes {
    fn default() -> Self {
        Notes { room: Cell::new(8 << 20), lookups: Cell::new(0) }
    }
}

impl Notes {
    /// Whether one more path may be tried.
    pub(crate) fn count_lookup(&self) -> bool {
        self.lookups.set(self.lookups.get() + 1);
        !self.has_too_many_lookups()
    }

    pub(crate) fn has_too_many_lookups(&self) -> bool {
        self.lookups.get() > MAX_LOOKUPS
    }

    pub(crate) fn add(&self, tried: &mut Vec<Attempt>, attempt: Attempt) {
        let length = attempt.path.as_os_str().len();
        self.add_made(tried, length, || attempt);
    }

    /// The same of the file `name` in a directory, whose path is made only where there is room.
    pub(crate) fn add_in(
        &self,
        tried: &mut Vec<Attempt>,
        directory: &Place,
        name: &OsStr,
        attempt: impl FnOnce(PathBuf) -> Attempt,
    ) {
        let length = directory.spot.path.as_os_str().len() + 1 + name.len();
        self.add_made(tried, length, || attempt(directory.path(name)));
    }

    fn add_made(&self, tried: &mut Vec<Attempt>, length: usize, attempt: impl FnOnce() -> Attempt) {
        if let Some(left) = self.room.get().checked_sub(size_of::<Attempt>() + length) {
            self.room.set(left);
            tried.push(attempt());
        }
    }
}

/// Tries candidates for one process.
pub(crate) struct Prober<'t, T> {
    pub(crate) notes: Notes,
    pub(crate) tree: &'t T,
    pub(crate) machine: Machine,
    /// Debian's patched loader tests the machine first, and so skips what upstream dies of.
    pub(crate) skips_other_byte_order: bool,
}

impl<T: FileTree> Prober<'_, T> {
    /// Tries `name` in each directory of a list: in its subdirectories for some CPUs, and in itself.
    pub(crate) fn try_list(&self, list: &List, name: &OsStr, variants: &Variants, tried: &mut Vec<Attempt>) -> Ended {
        for place in list.places.iter() {
            for variant in variants.iter() {
                let directory =
                    variant.map_or(Cow::Borrowed(place), |variant| Cow::Owned(place.file(OsStr::new(variant))));
                if let Some(end) = self.try_candidate(list, &directory, name, variant, tried) {
                    return end;
                }
            }
        }
        Ended::GoOn
    }

    /// `None` where the next candidate is to be tried; [`Ended::GoOn`] where the next list is.
    fn try_candidate(
        &self,
        list: &List,
        directory: &Place,
        name: &OsStr,
        variant: Option<&str>,
        tried: &mut Vec<Attempt>,
    ) -> Option<Ended> {
        let (refusal, end) = match self.probe_in(directory, name) {
            Outcome::Found(opened) => {
                let found = Found::plain(directory.file(name), list.rule, opened);
                return Some(Ended::Found(Found { variant: variant.map(str::to_owned), ..found }));
            }
            Outcome::Skip(refusal) => (refusal, None),
            Outcome::EndList(refusal) => (refusal, Some(Ended::GoOn)),
            Outcome::Fatal(refusal) => (refusal, Some(Ended::Stop)),
        };
        let attempt = |path| Attempt { path, rule: list.rule, owner: list.owner.clone(), refusal };
        self.notes.add_in(tried, directory, name, attempt);
        end
    }

    /// Tries one path; what is no good there is no good for `rule`, and the search goes on or stops.
    pub(crate) fn try_path(&self, place: Place, rule: Rule, tried: &mut Vec<Attempt>) -> Ended {
        let (refusal, end) = match self.probe(&place.spot) {
            Outcome::Found(opened) => return Ended::Found(Found::plain(place, rule, opened)),
            Outcome::Skip(refusal) | Outcome::EndList(refusal) => (refusal, Ended::GoOn),
            Outcome::Fatal(refusal) => (refusal, Ended::Stop),
        };
        self.notes.add(tried, Attempt { path: place.spot.path, rule, owner: None, refusal });
        end
    }

    fn probe_in(&self, directory: &Place, name: &OsStr) -> Outcome {
        if self.tree.lacks(&directory.spot, name) && self.notes.count_lookup() {
            return Outcome::Skip(Refusal::new(Why::Absent));
        }
        self.probe(&Spot { world: directory.spot.world, path: directory.path(name) })
    }

    fn probe(&self, candidate: &Spot) -> Outcome {
        if !self.notes.count_lookup() {
            return Outcome::Fatal(Refusal::with(Why::Unreadable, "too many paths were tried"));
        }
        match self.tree.open(candidate) {
            Ok(opened) => {
                let outcome = self.judge(opened);
                if !matches!(outcome, Outcome::Found(_)) {
                    self.tree.note_refused(candidate);
                }
                outcome
            }
            Err(fault) => self.judge_fault(fault, candidate),
        }
    }

    /// `open_verify` in glibc.
    fn judge(&self, opened: Opened) -> Outcome {
        if let Some(refusal) = opened.parsed.machine.and_then(|machine| self.mismatch(machine)) {
            return refusal;
        }
        let problem = match &opened.parsed.elf {
            Err(cause) => Some(cause.to_string()),
            Ok(elf) => elf.unloadable().map(str::to_owned),
        };
        match problem {
            Some(problem) => Outcome::Fatal(Refusal::with(Why::NotElf, problem)),
            None => Outcome::Found(opened),
        }
    }

    fn mismatch(&self, other: Machine) -> Option<Outcome> {
        match self.machine.mismatch(other) {
            Some(refusal) if refusal.why == Why::WrongByteOrder && !self.skips_byte_order_of(other) => {
                Some(Outcome::Fatal(refusal))
            }
            Some(refusal) => Some(Outcome::Skip(refusal)),
            None if self.machine.same_abi(other) => None,
            None => Some(Outcome::Skip(Refusal::with(Why::WrongMachine, "another ABI"))),
        }
    }

    /// The bytes of `e_machine` are compared as they stand.
    fn skips_byte_order_of(&self, other: Machine) -> bool {
        self.skips_other_byte_order && other.code.swap_bytes() != self.machine.code
    }

    fn judge_fault(&self, fault: Fault, candidate: &Spot) -> Outcome {
        match fault {
            Fault::Directory => Outcome::Fatal(Refusal::new(Why::Directory)),
            Fault::Special | Fault::OfKernel => Outcome::Fatal(Refusal::with(Why::NotElf, "not a regular file")),
            Fault::System(Errno::NOENT) => Outcome::Skip(Refusal::new(Why::Absent)),
            Fault::System(Errno::ACCESS | Errno::PERM) => Outcome::Skip(Refusal::new(Why::Unreadable)),
            Fault::Loop => self.end_of_list(candidate, Refusal::new(Why::Loop)),
            Fault::System(Errno::NOTDIR) => self.end_of_list(candidate, Refusal::new(Why::Absent)),
            Fault::System(errno) => {
                let words = std::io::Error::from(errno).to_string();
                self.end_of_list(candidate, Refusal::with(Why::Unreadable, words))
            }
        }
    }

    /// `open_path` in glibc: a directory that is none is passed over; in one that exists, such an error ends the list.
    fn end_of_list(&self, candidate: &Spot, refusal: Refusal) -> Outcome {
        let exists = candidate.path.parent().is_some_and(|parent| self.tree.is_directory(candidate.world, parent));
        if exists { Outcome::EndList(refusal) } else { Outcome::Skip(refusal) }
    }
}
