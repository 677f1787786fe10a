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
mod held;
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
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use crate::collect::{
    Answered, Asked, Closure, Libc, LoaderBuild, Object, Replay, ReplayStart, SYSTEM_PRELOAD, Setting, Unloaded,
};
use crate::error::Cause;
use crate::finding::Finding;
use crate::root::FileId;
use crate::text::printable;
use crate::trace::Missing;
use crate::tree::Tree;
use image::FORMS;
use view::View;
pub(crate) use view::{Node, Nodes};

pub(crate) use held::{Compared, Held, Images};
pub use image::check;
pub use report::{Check, Problem};

/// What was seen while a tree was proven.
#[derive(Default)]
pub(crate) struct Proven {
    /// What loaders would go without, and which files of the caller are programs that would not start.
    pub(crate) findings: Vec<Finding>,
    /// What such files ask for that whoever runs them provides.
    pub(crate) excluded: Vec<OsString>,
}

/// Whether each program starts from this tree, with the very files that were found on this machine.
pub(crate) fn prove(tree: &Tree, closures: &[Closure], setting: &Setting) -> Result<Proven, Cause> {
    let view = View::of(tree, closures)?;
    let proofs: Vec<Proof> = closures.iter().map(|closure| Proof::of(&view, closure, setting)).collect();
    let (wrong, ignored): (Vec<_>, Vec<_>) = proofs.into_iter().map(|proof| (proof.wrong, proof.ignored)).unzip();
    let mut wrong: Vec<String> = wrong.into_iter().flatten().collect();
    wrong.dedup();
    if !wrong.is_empty() {
        return Err(Cause::Unprovable(wrong));
    }
    let mut proven = Proven { findings: ignored.into_iter().flatten().collect(), excluded: Vec::new() };
    for entry in tree.entries().iter().filter(|entry| entry.is_given()) {
        proven.look_at_given(&view, entry.path(), closures, setting);
    }
    Ok(proven)
}

impl Proven {
    /// A program that was given as a plain file came without what it needs.
    fn look_at_given(&mut self, view: &View<'_>, path: &Path, closures: &[Closure], setting: &Setting) {
        let file = view.file(path).ok().and_then(|(_, file)| file.parsed.elf.as_ref().ok());
        let Some(interpreter) = file.and_then(|elf| elf.interpreter()) else { return };
        let same = |closure: &&Closure| closure.program().elf().interpreter() == Some(interpreter);
        let missing = match closures.iter().find(same).and_then(Closure::loader) {
            None => view.executable(Path::new(interpreter)).err().map(|why| {
                let interpreter = printable(interpreter);
                format!("its interpreter {interpreter} {why}")
            }),
            Some(loader) => {
                let setting = setting.with(Arc::default(), loader.exclude.clone());
                let replay = replay(view, path, &loader.build, &setting);
                self.excluded.extend(replay.excluded);
                replay.excess.or_else(|| lacking(&replay.missing))
            }
        };
        self.findings.extend(missing.map(|missing| incomplete(path, &missing)));
    }
}

fn lacking(missing: &[Missing]) -> Option<String> {
    let names: Vec<String> = missing.iter().map(|missing| printable(missing.name()).to_string()).collect();
    (!names.is_empty()).then(|| format!("the image lacks {}", names.join(", ")))
}

fn incomplete(path: &Path, missing: &str) -> Finding {
    let path = printable(path);
    Finding::warning(
        "file-program",
        format!(
            "{path} is a program that would not start: {missing}. Give it as a program, and what it needs comes too"
        ),
        format_args!("{path}: {missing}"),
    )
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
        let preload = view.bytes(Path::new(SYSTEM_PRELOAD)).filter(|_| closure.libc() == Some(Libc::Glibc));
        // Whoever runs the image can forbid that a program gains rights, so it must start either way.
        let secure = view.file(path).is_ok_and(|(_, file)| file.gains_rights()).then(|| setting.secure());
        for setting in [Some(setting.clone()), secure].into_iter().flatten() {
            let setting = setting.with_system_preload(preload.unwrap_or_default());
            let setting = setting.with(loader.by_itself.clone(), loader.exclude.clone());
            for cpu in &loader.cpus {
                let replay = replay(view, path, &loader.build, &setting.on(cpu));
                proof.wrong.extend(expected.differences(&replay));
                proof.ignored.extend(replay.ignored);
            }
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
    answers: HashMap<(FileId, Asked), Vec<&'c Object>>,
}

impl<'c> Expected<'c> {
    fn of(closure: &'c Closure) -> Self {
        let by_path: HashMap<&Path, &Object> = closure.all().map(|object| (object.path(), object)).collect();
        let mut answers: HashMap<(FileId, Asked), Vec<&Object>> = HashMap::new();
        for object in closure.all() {
            for request in object.requests() {
                if let Some(answer) = request.path().and_then(|path| by_path.get(path)) {
                    answers.entry((id(object), request.asked())).or_default().push(answer);
                }
            }
        }
        let objects = closure.all().map(|object| (id(object), object)).collect();
        Expected { closure, objects, answers }
    }

    /// In words, what an image's loader would do otherwise.
    fn differences(&self, replay: &Replay) -> Vec<String> {
        if let Some(excess) = &replay.excess {
            let program = printable(self.closure.program().path());
            return vec![format!("in the image, {program} cannot be checked: {excess}")];
        }
        if !replay.missing.is_empty() {
            // Without these the rest says nothing.
            return replay.missing.iter().map(|missing| format!("in the image {missing}")).collect();
        }
        let mut wrong: Vec<String> = replay.answers.iter().filter_map(|answer| self.difference(answer)).collect();
        wrong.extend(replay.unloaded.iter().filter_map(|unloaded| self.not_loaded(unloaded)));
        wrong.dedup();
        wrong
    }

    /// In words, what was found on this machine to be loaded while the program runs, and is not in the image.
    fn not_loaded(&self, unloaded: &Unloaded) -> Option<String> {
        let here = self.answers.get(&(unloaded.by, unloaded.asked))?.first()?;
        Some(format!(
            "in the image, {} would not be able to load {}, which is {} on this machine",
            printable(self.closure.program().path()),
            printable(&unloaded.name),
            printable(&here.source()),
        ))
    }

    fn difference(&self, answer: &Answered) -> Option<String> {
        // What the environment of the image adds is on top of what the program needs.
        self.objects.get(&answer.by)?;
        if matches!(answer.asked, Asked::Environment(_)) {
            return None;
        }
        let expected = self.answers.get(&(answer.by, answer.asked)).map(Vec::as_slice).unwrap_or_default();
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
