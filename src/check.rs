//! Proves a file tree: replays the loader on it, with nothing but what the tree holds. A finished image must load what
//! was found on this machine. The search is the same code in both; only the file tree behind it differs.

mod view;

use std::path::Path;

use crate::collect::{Closure, LoaderBuild, Replay, ReplayStart, Setting};
use crate::error::Cause;
use crate::text::printable;
use crate::tree::Tree;
use view::View;

/// Whether each program starts from this tree, with the very files that were found on this machine.
pub(crate) fn prove(tree: &Tree, closures: &[Closure], setting: &Setting) -> Result<(), Cause> {
    let view = View::of(tree, closures);
    let mut wrong: Vec<String> = closures.iter().flat_map(|closure| differences(&view, closure, setting)).collect();
    wrong.dedup();
    if wrong.is_empty() { Ok(()) } else { Err(Cause::Unprovable(wrong)) }
}

fn differences(view: &View<'_>, closure: &Closure, setting: &Setting) -> Vec<String> {
    let path = closure.program().path();
    let program = printable(path).to_string();
    if let Err(why) = view.executable(path) {
        return vec![format!("{program} would not start: it {why}")];
    }
    let Some((loader, interpreter)) = closure.loader().zip(closure.interpreter()) else { return Vec::new() };
    if let Err(why) = view.executable(interpreter.path()) {
        return vec![format!("{program} would not start: its interpreter {} {why}", printable(interpreter.path()))];
    }
    compare(closure, &replay(view, path, &loader.build, setting))
}

/// What the loader does with the program at `program` in an image.
fn replay(view: &View<'_>, program: &Path, build: &LoaderBuild, setting: &Setting) -> Replay {
    let (build, cache) = build.in_tree(|path| view.bytes(path));
    crate::collect::replay(&ReplayStart { tree: view, program, build: &build, cache, setting })
}

/// Every library must be the same file, and stand at the same place in the load order.
fn compare(closure: &Closure, replay: &Replay) -> Vec<String> {
    if !replay.missing.is_empty() {
        // Without these the rest of the order says nothing.
        return replay.missing.iter().map(|missing| format!("in the image {missing}")).collect();
    }
    let program = printable(closure.program().path()).to_string();
    // The first object is the interpreter, which was checked before.
    let expected = closure.objects().get(1..).unwrap_or_default();
    let pairs = expected.iter().zip(&replay.objects);
    let wrong = pairs.filter(|(object, found)| object.file_source().stamp.id != found.id).map(|(object, found)| {
        format!(
            "in the image, {program} would load {} where it loads {} on this machine",
            printable(&found.path),
            printable(&object.source())
        )
    });
    let wrong: Vec<String> = wrong.collect();
    match wrong.is_empty() && expected.len() != replay.objects.len() {
        true => vec![format!(
            "in the image, {program} would load {} libraries, and {} on this machine",
            replay.objects.len(),
            expected.len()
        )],
        false => wrong,
    }
}
