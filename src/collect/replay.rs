//! The same process once more, on another file tree: the loader's rules over what an image holds.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::closure::Object;
use super::files::{Opened, Parsed, Spot, World};
use super::load;
use super::loader::LoaderBuild;
use super::process::{INTERPRETER, Loaded, Loading, NotFound};
use super::search::{FileTree, Found, Place};
use super::setting::Setting;
use crate::error::Cause;
use crate::root::{FileId, Stamp};
use crate::trace::{Missing, Rule};

/// What a replay starts from.
pub(crate) struct ReplayStart<'a, T> {
    pub(crate) tree: &'a T,
    /// The program's path in the tree.
    pub(crate) program: &'a Path,
    pub(crate) build: &'a LoaderBuild,
    /// The tree's own ld.so.cache.
    pub(crate) cache: Option<&'a [u8]>,
    pub(crate) setting: &'a Setting,
}

/// What the loader would do in the tree.
#[derive(Default)]
pub(crate) struct Replay {
    /// The libraries in load order, the interpreter left out.
    pub(crate) objects: Vec<Replayed>,
    pub(crate) missing: Vec<Missing>,
}

/// A library that the tree's loader would load.
pub(crate) struct Replayed {
    pub(crate) path: PathBuf,
    pub(crate) id: FileId,
}

/// Runs the loader's rules over a tree. The program and its interpreter must be in it.
pub(crate) fn replay<T: FileTree>(start: &ReplayStart<'_, T>) -> Replay {
    let Some(loading) = run(start) else { return Replay::default() };
    let libraries = loading.order.iter().filter(|&&index| index > INTERPRETER).map(|&index| &loading.objects[index]);
    let replayed =
        |loaded: &Loaded| Replayed { path: loaded.place.spot.path.clone(), id: loaded.opened.parsed.stamp.id };
    Replay {
        objects: libraries.map(replayed).collect(),
        missing: loading.not_found.iter().map(|missing| in_words(missing, &loading.objects)).collect(),
    }
}

fn run<T: FileTree>(start: &ReplayStart<'_, T>) -> Option<Loading> {
    let open = |path: &Path| {
        let place = Place::fixed(path.to_owned());
        let opened = start.tree.open(&place.spot).ok()?;
        Some((opened.parsed.elf.as_ref().ok()?.clone(), place, opened))
    };
    let (elf, place, opened) = open(start.program)?;
    let interpreter = elf.interpreter()?.to_owned();
    let found = |place, rule, opened: Opened| Found { place, rule, opened };
    let origin = opened.walk.real.parent().unwrap_or(Path::new("/")).to_owned();
    let origins = vec![Spot { world: World::Root, path: origin }];
    let name = start.program.file_name()?.to_owned();
    let program = Loaded::new(name, found(place, Rule::Requested, opened), elf, origins);
    let (elf, place, opened) = open(Path::new(&interpreter))?;
    let interpreter = Loaded::new(interpreter, found(place, Rule::Interpreter, opened), elf, Vec::new());
    Some(load(start.tree, start.build, start.cache.map(<[u8]>::to_vec), start.setting, program, interpreter))
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
            elf: Ok(Arc::clone(object.shared_elf())),
        }
    }

    /// Of a file that was made for an image, the `number`th.
    pub(crate) fn generated(number: usize) -> Self {
        let stamp = Stamp::invented(number as u64);
        Parsed { stamp, machine: None, elf: Err(Cause::NotElf("it is not an ELF file".into())) }
    }
}
