//! A process as its loader builds it, whichever libc's: the objects in memory, and what each of them asked for.

use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::files::{Opened, Spot};
use super::search::{Found, Place};
use crate::analyze::{DependencyKind, Elf};
use crate::trace::{Attempt, Rule};

/// The number of the program among the objects of a process.
pub(crate) const PROGRAM: usize = 0;
/// The number of its interpreter.
pub(crate) const INTERPRETER: usize = 1;

/// An object of the process, and how it came there.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The name by which it was asked for first.
    pub(crate) name: OsString,
    pub(crate) place: Place,
    pub(crate) rule: Rule,
    pub(crate) opened: Opened,
    pub(crate) elf: Arc<Elf>,
    /// Where `$ORIGIN` of this object is.
    pub(crate) origins: Vec<Spot>,
    /// The object that caused the load.
    pub(crate) loader: Option<usize>,
    /// Other paths that were opened and turned out to be this file.
    pub(crate) aliases: Vec<Found>,
    pub(crate) requests: Vec<Requested>,
    pub(crate) rpath: OnceCell<Rc<[Place]>>,
    pub(crate) runpath: OnceCell<Rc<[Place]>>,
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
#[derive(Debug, Default)]
pub(crate) struct Loading {
    /// The program is the first, its interpreter the second.
    pub(crate) objects: Vec<Loaded>,
    /// Indices in load order, the program first.
    pub(crate) order: Vec<usize>,
    pub(crate) not_found: Vec<NotFound>,
    pub(crate) relative: Vec<RelativeElement>,
}

impl Loaded {
    pub(crate) fn new(name: OsString, found: Found, elf: Arc<Elf>, origins: Vec<Spot>) -> Self {
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

    /// A library, `$ORIGIN` of which is the directory of the path as opened.
    pub(crate) fn library(name: OsString, found: Found, elf: Arc<Elf>, loader: usize) -> Self {
        let spot = &found.place.spot;
        let origin = spot.path.parent().unwrap_or(Path::new("/")).to_owned();
        let origins = vec![Spot { world: spot.world, path: origin }];
        Loaded { loader: Some(loader), ..Loaded::new(name, found, elf, origins) }
    }
}

impl Loading {
    /// Takes down that nothing was found for a name. One name may be asked for from several objects.
    pub(crate) fn note_missing(&mut self, object: usize, name: &OsStr, tried: Vec<Attempt>, note: Option<String>) {
        match self.not_found.iter_mut().find(|known| known.name == name) {
            Some(known) => {
                known.needed_by.push(object);
                let new = tried.into_iter().filter(|attempt| !known.tried.contains(attempt));
                let new: Vec<Attempt> = new.collect();
                known.tried.extend(new);
            }
            None => self.not_found.push(NotFound { name: name.to_owned(), needed_by: vec![object], tried, note }),
        }
    }
}
