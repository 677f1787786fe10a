//! The objects of a process, as far as the program's needs go.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::Path;

use super::closure::{Closure, Object, Request};
use super::process::{Asked, Loaded, Loading, Requested};
use super::source::LazyHints;
use crate::analyze::{Elf, Hints};
use crate::error::Cause;
use crate::root::FileId;

/// An object of a process.
pub(super) struct Member<'a> {
    pub(super) elf: &'a Elf,
    hints: &'a LazyHints,
    id: FileId,
    pub(super) size: u64,
    pub(super) asks: Vec<Ask<'a>>,
}

/// Something that an object asks for.
pub(super) struct Ask<'a> {
    pub(super) asked: Asked,
    pub(super) name: &'a OsStr,
    /// The member that answers to it.
    pub(super) object: Option<usize>,
}

/// The program first, and behind it all objects that are loaded with it.
pub(super) struct Members<'a> {
    pub(super) all: Vec<Member<'a>>,
}

impl<'a> Members<'a> {
    pub(super) fn of_loading(loading: &'a Loading) -> Members<'a> {
        Members { all: loading.objects.iter().map(Member::of_loaded).collect() }
    }

    pub(super) fn of_closure(closure: &'a Closure) -> Members<'a> {
        let numbers: HashMap<&Path, usize> =
            closure.all().enumerate().map(|(number, object)| (object.path(), number)).collect();
        Members { all: closure.all().map(|object| Member::of_object(object, &numbers)).collect() }
    }

    /// The objects behind the program, by their numbers.
    pub(super) fn below(&self) -> impl Iterator<Item = (usize, &Member<'a>)> {
        self.all.iter().enumerate().skip(1)
    }

    /// The file of each object, and which one it is.
    pub(super) fn files(&self) -> HashMap<FileId, usize> {
        // Of a file that is loaded twice the first counts.
        self.all.iter().enumerate().rev().map(|(number, member)| (member.id, number)).collect()
    }
}

impl<'a> Member<'a> {
    fn of_loaded(loaded: &'a Loaded) -> Member<'a> {
        Member {
            elf: &loaded.elf,
            hints: &loaded.opened.parsed.hints,
            id: loaded.opened.parsed.stamp.id,
            size: loaded.opened.parsed.stamp.size,
            asks: loaded.requests.iter().map(Ask::of_requested).collect(),
        }
    }

    fn of_object(object: &'a Object, numbers: &HashMap<&Path, usize>) -> Member<'a> {
        Member {
            elf: object.elf(),
            hints: object.hints(),
            id: object.file_source().stamp.id,
            size: object.size(),
            asks: object.requests().iter().map(|request| Ask::of_request(request, numbers)).collect(),
        }
    }

    /// What tells of its needs.
    pub(super) fn hints(&self) -> &'a Hints {
        self.hints.get()
    }

    /// Why nobody can say any more what tells of its needs.
    pub(super) fn loss(&self) -> Option<&'a Cause> {
        self.hints.get();
        self.hints.loss().map(|(_, why)| why)
    }
}

impl<'a> Ask<'a> {
    fn of_requested(request: &'a Requested) -> Ask<'a> {
        Ask { asked: request.asked, name: &request.name, object: request.object }
    }

    fn of_request(request: &'a Request, numbers: &HashMap<&Path, usize>) -> Ask<'a> {
        let object = request.path().and_then(|path| numbers.get(path).copied());
        Ask { asked: request.asked(), name: request.name(), object }
    }
}
