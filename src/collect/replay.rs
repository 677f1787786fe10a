//! The same process once more, on another file tree: the loader's rules over what an image holds.

use std::path::{Path, PathBuf};

use super::closure::Object;
use super::files::{Parsed, Spot, World};
use super::load;
use super::loader::LoaderBuild;
use super::process::{Loaded, NotFound};
use super::search::{Anchor, FileTree, Found, Place};
use crate::root::FileId;
use crate::trace::{Missing, Rule};

/// What a replay starts from.
pub(crate) struct ReplayStart<'a, T> {
    pub(crate) tree: &'a T,
    pub(crate) program: &'a Object,
    pub(crate) interpreter: &'a Object,
    pub(crate) build: &'a LoaderBuild,
    /// The image's own ld.so.cache.
    pub(crate) cache: Option<&'a [u8]>,
    /// `LD_LIBRARY_PATH` of the image's configuration.
    pub(crate) library_path: &'a [PathBuf],
}

/// What the loader would do in the image.
pub(crate) struct Replay {
    /// The libraries in load order, the interpreter left out.
    pub(crate) objects: Vec<Replayed>,
    pub(crate) missing: Vec<Missing>,
}

/// A library that the image's loader would load.
pub(crate) struct Replayed {
    pub(crate) path: PathBuf,
    pub(crate) id: FileId,
}

/// Runs the loader's rules over a tree. Both the program and the interpreter must be in it.
pub(crate) fn replay<T: FileTree>(start: &ReplayStart<'_, T>) -> Replay {
    let open = |object: &Object, rule| {
        let place = Place::fixed(object.path().to_owned());
        let opened = start.tree.open(&place.spot).ok()?;
        Some((opened.walk.real.clone(), Found { place, rule, opened }))
    };
    let (Some((real, program)), Some((_, interpreter))) =
        (open(start.program, Rule::Requested), open(start.interpreter, Rule::Interpreter))
    else {
        return Replay { objects: Vec::new(), missing: Vec::new() };
    };
    let origin = Spot { world: World::Root, path: real.parent().unwrap_or(Path::new("/")).to_owned() };
    let loaded = |object: &Object, found, origins| {
        Loaded::new(object.name().to_owned(), found, object.shared_elf().clone(), origins)
    };
    let library_path = start
        .library_path
        .iter()
        .map(|path| Place { spot: Spot { world: World::Root, path: path.clone() }, anchor: Anchor::Fixed });
    let loading = load(
        start.tree,
        start.build,
        start.cache.map(<[u8]>::to_vec),
        library_path.collect(),
        loaded(start.program, program, vec![origin]),
        loaded(start.interpreter, interpreter, Vec::new()),
    );
    let objects = loading.order.iter().filter(|&&index| index > 1).map(|&index| &loading.objects[index]);
    let replayed =
        |loaded: &Loaded| Replayed { path: loaded.place.spot.path.clone(), id: loaded.opened.parsed.stamp.id };
    Replay {
        objects: objects.map(replayed).collect(),
        missing: loading.not_found.iter().map(|missing| in_words(missing, &loading.objects)).collect(),
    }
}

fn in_words(not_found: &NotFound, objects: &[Loaded]) -> Missing {
    let first = &objects[not_found.needed_by[0]];
    Missing {
        name: not_found.name.clone(),
        program: objects[0].name.clone(),
        needed_by: not_found.needed_by.iter().map(|&index| objects[index].place.spot.path.clone()).collect(),
        via: (not_found.needed_by[0] != 0).then(|| first.name.clone()),
        tried: not_found.tried.clone(),
        note: not_found.note.clone(),
    }
}

impl Parsed {
    /// What was analyzed before.
    pub(crate) fn of_object(object: &Object) -> Self {
        Parsed {
            stamp: object.file_source().stamp,
            machine: Some(object.elf().machine()),
            elf: Ok(object.shared_elf().clone()),
        }
    }
}
