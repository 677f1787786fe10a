//! Proves a file tree: replays the loader on it, with nothing but what the tree holds. A finished image must load what
//! was found on this machine. The search is the same code in both; only the file tree behind it differs.
//!
//! The rest of this directory makes such a tree of somebody else's image, and judges each executable in it.

mod archive;
mod blob;
mod codec;
mod content;
mod directory;
mod documents;
mod executables;
mod image;
mod layers;
mod limits;
mod members;
mod names;
mod report;
mod sparse;
mod store;
mod view;

use std::collections::HashMap;
use std::path::Path;

use crate::collect::{Answered, Closure, LoaderBuild, Object, Replay, ReplayStart, Setting};
use crate::error::Cause;
use crate::finding::Finding;
use crate::root::FileId;
use crate::text::printable;
use crate::tree::Tree;
use image::FORMS;
use view::View;

pub use image::check;
pub use report::{Check, Problem};

/// Whether each program starts from this tree, with the very files that were found on this machine; and what its
/// loader would go without.
pub(crate) fn prove(tree: &Tree, closures: &[Closure], setting: &Setting) -> Result<Vec<Finding>, Cause> {
    let view = View::of(tree, closures);
    let proofs: Vec<Proof> = closures.iter().map(|closure| Proof::of(&view, closure, setting)).collect();
    let (wrong, ignored): (Vec<_>, Vec<_>) = proofs.into_iter().map(|proof| (proof.wrong, proof.ignored)).unzip();
    let mut wrong: Vec<String> = wrong.into_iter().flatten().collect();
    wrong.dedup();
    if wrong.is_empty() { Ok(ignored.into_iter().flatten().collect()) } else { Err(Cause::Unprovable(wrong)) }
}

/// What became of one program.
#[derive(Default)]
struct Proof {
    wrong: Vec<String>,
    ignored: Vec<Finding>,
}

impl Proof {
    fn of(view: &View<'_>, closure: &Closure, setting: &Setting) -> Proof {
        let path = closure.program().path();
        let program = printable(path).to_string();
        if let Err(why) = view.executable(path) {
            return Proof::failed(format!("{program} would not start: it {why}"));
        }
        let Some((loader, interpreter)) = closure.loader().zip(closure.interpreter()) else { return Proof::default() };
        if let Err(why) = view.executable(interpreter.path()) {
            let interpreter = printable(interpreter.path()).to_string();
            return Proof::failed(format!("{program} would not start: its interpreter {interpreter} {why}"));
        }
        let expected = Expected::of(closure);
        let mut proof = Proof::default();
        for cpu in &loader.cpus {
            let replay = replay(view, path, &loader.build, &setting.on(cpu));
            proof.wrong.extend(expected.differences(&replay));
            proof.ignored.extend(replay.ignored);
        }
        proof
    }

    fn failed(why: String) -> Proof {
        Proof { wrong: vec![why], ignored: Vec::new() }
    }
}

/// What the loader does with the program at `program` in an image.
fn replay(view: &View<'_>, program: &Path, build: &LoaderBuild, setting: &Setting) -> Replay {
    let (build, cache) = build.in_tree(|path| view.bytes(path));
    crate::collect::replay(&ReplayStart { tree: view, program, build: &build, cache, setting })
}

/// What each entry of each object of a closure stands for.
struct Expected<'c> {
    closure: &'c Closure,
    objects: HashMap<FileId, &'c Object>,
    answers: HashMap<(FileId, usize), Vec<&'c Object>>,
}

impl<'c> Expected<'c> {
    fn of(closure: &'c Closure) -> Self {
        let by_path: HashMap<&Path, &Object> = closure.all().map(|object| (object.path(), object)).collect();
        let mut answers: HashMap<(FileId, usize), Vec<&Object>> = HashMap::new();
        for object in closure.all() {
            for request in object.requests() {
                if let Some(answer) = request.path().and_then(|path| by_path.get(path)) {
                    answers.entry((id(object), request.entry())).or_default().push(answer);
                }
            }
        }
        let objects = closure.all().map(|object| (id(object), object)).collect();
        Expected { closure, objects, answers }
    }

    /// In words, what an image's loader would do otherwise.
    fn differences(&self, replay: &Replay) -> Vec<String> {
        if !replay.missing.is_empty() {
            // Without these the rest says nothing.
            return replay.missing.iter().map(|missing| format!("in the image {missing}")).collect();
        }
        let mut wrong: Vec<String> = replay.answers.iter().filter_map(|answer| self.difference(answer)).collect();
        wrong.dedup();
        wrong
    }

    fn difference(&self, answer: &Answered) -> Option<String> {
        // What the environment of the image adds is on top of what the program needs.
        let elf = self.objects.get(&answer.by)?.elf();
        if answer.entry >= elf.dependencies().len() + elf.audit().count() {
            return None;
        }
        let expected = self.answers.get(&(answer.by, answer.entry)).map(Vec::as_slice).unwrap_or_default();
        if expected.iter().any(|object| id(object) == answer.id) {
            return None;
        }
        let here =
            expected.first().map_or_else(|| "nothing".to_owned(), |object| printable(&object.source()).to_string());
        Some(format!(
            "in the image, {} would load {} where it loads {here} on this machine, asked for {}",
            printable(self.closure.program().path()),
            printable(&answer.path),
            printable(&answer.name),
        ))
    }
}

fn id(object: &Object) -> FileId {
    object.file_source().stamp.id
}
