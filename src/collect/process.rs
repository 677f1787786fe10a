//! A process as its loader builds it, whichever libc's: the objects in memory, and what each of them asked for.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{Opened, Spot};
use super::search::{Found, Notes, Place};
use crate::analyze::{DependencyKind, Elf, Hints};
use crate::limits::{MAX_LOOKUPS, MAX_OBJECTS};
use crate::root::FileId;
use crate::trace::{Attempt, Missing, Rule};

/// The number of the program among the objects of a process.
pub(crate) const PROGRAM: usize = 0;
/// The number of its interpreter.
pub(crate) const INTERPRETER: usize = 1;

/// An object of the process, and how it came there.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// The name by which it was asked for first.
    pub(crate) name: OsString,
    pub(crate) place: Place,
    pub(crate) rule: Rule,
    pub(crate) opened: Opened,
    /// The subdirectory for some CPUs in which it was found.
    pub(crate) variant: Option<String>,
    /// Whether nothing was found for other CPUs.
    pub(crate) is_only_variant: bool,
    pub(crate) elf: Arc<Elf>,
    /// Where `$ORIGIN` of this object is.
    pub(crate) origins: Vec<Spot>,
    /// The object that caused the load.
    pub(crate) loader: Option<usize>,
    /// Other paths that were opened and turned out to be this file.
    pub(crate) aliases: Vec<Found>,
    pub(crate) requests: Vec<Requested>,
    pub(crate) rpath: OnceCell<Arc<[Place]>>,
    pub(crate) runpath: OnceCell<Arc<[Place]>>,
}

/// What makes an object ask for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asked {
    /// An entry of its dynamic section, by its number among those that name dependencies.
    Dependency(usize),
    /// An auditing object that it names.
    Audit(usize),
    /// An auditing object that the environment of the program names.
    Environment(usize),
    /// Symbols that it imports: its C library loads the library of this number.
    Symbol(usize),
    /// An entry of its dlopen notes.
    Note(usize),
    /// The caller says that the program loads it.
    Caller(usize),
}

/// One request for another object, and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Requested {
    pub(crate) asked: Asked,
    pub(crate) name: OsString,
    pub(crate) kind: DependencyKind,
    pub(crate) rule: Rule,
    /// The object that answers to it; `None` for what the kernel provides, and for what was not found.
    pub(crate) object: Option<usize>,
    /// The path that was opened for it; `None` where nothing was.
    pub(crate) opened: Option<PathBuf>,
    /// What was tried before.
    pub(crate) tried: Vec<Attempt>,
}

/// A name, or a version of what answers to a name, that was not found.
#[derive(Clone, Debug)]
pub(crate) struct NotFound {
    pub(crate) name: OsString,
    pub(crate) version: Option<OsString>,
    pub(crate) needed_by: Vec<usize>,
    pub(crate) tried: Vec<Attempt>,
    pub(crate) note: Option<String>,
}

impl NotFound {
    /// For whoever asks: `program` is the program's name, and `path` where each object lies.
    pub(crate) fn told(&self, program: &OsStr, objects: &[Loaded], path: impl Fn(usize) -> PathBuf) -> Missing {
        let is_of_program = self.needed_by.contains(&PROGRAM);
        let first = self.needed_by.first().filter(|_| !is_of_program);
        Missing {
            name: self.name.clone(),
            version: self.version.clone(),
            program: program.to_owned(),
            needed_by: self.needed_by.iter().map(|&object| path(object)).collect(),
            via: first.map(|&object| objects[object].name.clone()),
            tried: self.tried.clone(),
            note: self.note.clone(),
        }
    }
}

/// Something that the loader goes without, and says so: a preloaded or auditing object that cannot be loaded.
#[derive(Clone, Debug)]
pub(crate) struct Ignored {
    pub(crate) name: OsString,
    /// Who asks for it: `LD_PRELOAD`, or a tag of the program.
    pub(crate) asked_by: &'static str,
    /// What of it is missing.
    pub(crate) not_found: Vec<NotFound>,
}

/// A library that an object loads by itself, and that cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unloaded {
    /// The file of the object.
    pub(crate) by: FileId,
    pub(crate) asked: Asked,
    pub(crate) name: OsString,
    /// Whether it is there, but not all that it needs.
    pub(crate) is_incomplete: bool,
}

/// A search path element that means the working directory of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RelativeElement {
    pub(crate) owner: usize,
    pub(crate) rule: Rule,
    pub(crate) element: OsString,
}

/// Names, and the objects that answer to them.
pub(crate) type Names = HashMap<OsString, usize>;

/// What the loader of a program would have in memory.
#[derive(Debug, Default)]
pub(crate) struct Loading {
    /// The program is the first, its interpreter the second.
    pub(crate) objects: Vec<Loaded>,
    /// Indices in load order, the program first.
    pub(crate) order: Vec<usize>,
    pub(crate) not_found: Vec<NotFound>,
    /// Which of those a name and a version is.
    pub(crate) missing: HashMap<(OsString, Option<OsString>), usize>,
    pub(crate) relative: Vec<RelativeElement>,
    pub(crate) ignored: Vec<Ignored>,
    /// What was not looked up because the caller excluded it: who asked, and the name.
    pub(crate) excluded: Vec<(usize, OsString)>,
    /// Libraries that an object loads by itself, that it gets on without, and that cannot be loaded.
    pub(crate) unloaded: Vec<Unloaded>,
    /// The names that objects of the program's own namespace answer to, on every CPU.
    pub(crate) names: Names,
    /// Whether a string was used that depends on the CPU.
    pub(crate) uses_platform: bool,
    /// The limit that it exceeds, in words: what is loaded then is not all.
    pub(crate) excess: Option<String>,
}

impl Loaded {
    pub(crate) fn new(name: OsString, found: Found, elf: Arc<Elf>, origins: Vec<Spot>) -> Self {
        Loaded {
            name,
            place: found.place,
            rule: found.rule,
            opened: found.opened,
            variant: found.variant,
            is_only_variant: found.is_only_variant,
            elf,
            origins,
            loader: None,
            aliases: Vec::new(),
            requests: Vec::new(),
            rpath: OnceCell::new(),
            runpath: OnceCell::new(),
        }
    }

    /// What tells of its needs.
    pub(crate) fn hints(&self) -> &Hints {
        self.opened.parsed.hints.get()
    }

    /// A library, `$ORIGIN` of which is the directory of the path as opened.
    pub(crate) fn library(name: OsString, found: Found, elf: Arc<Elf>, loader: usize) -> Self {
        let spot = &found.place.spot;
        let origin = spot.path.parent().unwrap_or(Path::new("/")).to_owned();
        let origins = vec![Spot { world: spot.world, path: origin }];
        Loaded { loader: Some(loader), ..Loaded::new(name, found, elf, origins) }
    }
}

/// Places tried for one name that further objects' places are added to.
const MAX_TRIED: usize = 1_000;

impl Loading {
    /// Whether one more object may be loaded. If not, that is an error in the end, and nothing is asked for any more.
    pub(crate) fn has_room(&mut self) -> bool {
        let has_room = self.objects.len() < MAX_OBJECTS;
        if !has_room {
            self.excess = Some(format!("it would load more than {MAX_OBJECTS} objects, which is the limit"));
        }
        has_room
    }

    /// Takes down whether its loader tried too many paths.
    pub(crate) fn note_lookups(&mut self, notes: &Notes) {
        if notes.has_too_many_lookups() {
            self.excess = Some(format!("its loader would try more than {MAX_LOOKUPS} paths, which is the limit"));
        }
    }

    /// Takes down that nothing was found for a name. One name may be asked for from several objects.
    pub(crate) fn note_missing(&mut self, object: usize, not_found: NotFound) {
        let key = (not_found.name.clone(), not_found.version.clone());
        match self.missing.get(&key).map(|&known| &mut self.not_found[known]) {
            Some(known) => {
                if !known.needed_by.contains(&object) {
                    known.needed_by.push(object);
                }
                // Nobody reads more, and to compare each with each would take hours.
                let room = MAX_TRIED.saturating_sub(known.tried.len());
                let tried = not_found.tried.into_iter().take(room);
                let new: Vec<Attempt> = tried.filter(|attempt| !known.tried.contains(attempt)).collect();
                known.tried.extend(new);
            }
            None => {
                self.missing.insert(key, self.not_found.len());
                self.not_found.push(NotFound { needed_by: vec![object], ..not_found });
            }
        }
    }

    /// The file of each object, and which one it is.
    pub(crate) fn files(&self) -> HashMap<FileId, usize> {
        let files = self.objects.iter().enumerate().map(|(index, object)| (object.opened.parsed.stamp.id, index));
        // Of a file that is loaded twice the first counts.
        files.rev().collect()
    }
}
