//! The same process once more, on another file tree: the loader's rules over what an image holds.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cache::Cache;
use super::closure::Object;
use super::files::{Parsed, Spot, World};
use super::findings;
use super::load;
use super::loader::LoaderBuild;
use super::process::{Asked, Loaded, Loading, PROGRAM, Unloaded};
use super::search::{FileTree, Found, Place};
use super::setting::Setting;
use crate::error::Cause;
use crate::finding::Finding;
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
    pub(crate) answers: Vec<Answered>,
    pub(crate) missing: Vec<Missing>,
    /// What it would go without, and say so.
    pub(crate) ignored: Vec<Finding>,
    /// What of that which is loaded while the program runs could not be.
    pub(crate) unloaded: Vec<Unloaded>,
    /// What was not looked up because whoever runs the tree provides it.
    pub(crate) excluded: Vec<OsString>,
    /// Whether a string was used that depends on the CPU.
    pub(crate) uses_platform: bool,
    /// The limit that it would exceed, in words: the rest says nothing then.
    pub(crate) excess: Option<String>,
}

/// What the tree's loader would load for one entry of an object's dynamic section.
pub(crate) struct Answered {
    pub(crate) by: FileId,
    pub(crate) asked: Asked,
    pub(crate) name: OsString,
    pub(crate) path: PathBuf,
    pub(crate) id: FileId,
}

/// Runs the loader's rules over a tree. The program and its interpreter must be in it.
pub(crate) fn replay<T: FileTree>(start: &ReplayStart<'_, T>) -> Replay {
    let Some(loading) = run(start) else { return Replay::default() };
    let objects = &loading.objects;
    let path = |object: usize| objects[object].place.spot.path.clone();
    Replay {
        answers: answers(objects),
        missing: loading.not_found.iter().map(|missing| missing.told(&objects[PROGRAM].name, objects, path)).collect(),
        ignored: loading.ignored.iter().map(|ignored| findings::ignored_object(ignored, start.program)).collect(),
        uses_platform: loading.uses_platform,
        unloaded: loading.unloaded,
        excess: loading.excess,
        excluded: loading.excluded.into_iter().map(|(_, name)| name).collect(),
    }
}

fn answers(objects: &[Loaded]) -> Vec<Answered> {
    let of = |object: &Loaded| {
        let by = object.opened.parsed.stamp.id;
        let answered = object.requests.iter().filter_map(|request| Some((request, &objects[request.object?])));
        let answers = answered.map(|(request, target)| Answered {
            by,
            asked: request.asked,
            name: request.name.clone(),
            path: target.place.spot.path.clone(),
            id: target.opened.parsed.stamp.id,
        });
        answers.collect::<Vec<_>>()
    };
    objects.iter().flat_map(of).collect()
}

fn run<T: FileTree>(start: &ReplayStart<'_, T>) -> Option<Loading> {
    let open = |path: &Path| {
        let place = Place::fixed(path.to_owned());
        let opened = start.tree.open(&place.spot).ok()?;
        Some((opened.parsed.elf.as_ref().ok()?.clone(), place, opened))
    };
    let (elf, place, opened) = open(start.program)?;
    let interpreter = elf.interpreter()?.to_owned();
    let origin = opened.walk.real.parent().unwrap_or(Path::new("/")).to_owned();
    let origins = vec![Spot { world: World::Root, path: origin }];
    let name = start.program.file_name()?.to_owned();
    let program = Loaded::new(name, Found::plain(place, Rule::Requested, opened), elf, origins);
    let (elf, place, opened) = open(Path::new(&interpreter))?;
    let interpreter = Loaded::new(interpreter, Found::plain(place, Rule::Interpreter, opened), elf, Vec::new());
    let cache = start.cache.and_then(|bytes| Cache::of_file(bytes.to_vec(), program.elf.byte_order()));
    Some(load(start.tree, start.build, cache.as_ref(), start.setting, program, interpreter))
}

impl Parsed {
    /// What was analyzed before.
    pub(crate) fn of_object(object: &Object) -> Self {
        Parsed {
            stamp: object.file_source().stamp,
            machine: Some(object.elf().machine()),
            elf: Ok(Arc::clone(object.shared_elf())),
            hints: Arc::clone(object.hints()),
        }
    }

    /// Of a file that was made for an image, the `number`th.
    pub(crate) fn generated(number: usize) -> Self {
        let stamp = Stamp::invented(number as u64);
        Parsed::nothing(stamp, Cause::NotElf("it is not an ELF file".into()))
    }
}
