//! Proves a finished tree: replays the loader on it, with nothing but what the tree holds, and compares with what was
//! found on this machine. The search is the same code in both; only the file tree behind it differs.

mod view;

use std::path::PathBuf;

use crate::collect::{Closure, LoaderFacts, Object, Replay, ReplayStart};
use crate::error::Cause;
use crate::text::printable;
use crate::tree::Tree;
use view::View;

/// What the loader takes from the environment of a process (ld.so(8)).
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    pub(crate) library_path: Vec<PathBuf>,
}

impl Environment {
    /// Of an image's own configuration: `NAME=VALUE` each.
    pub(crate) fn of(variables: &[String]) -> Environment {
        let value = variables.iter().find_map(|variable| variable.strip_prefix("LD_LIBRARY_PATH="));
        let elements = value.unwrap_or_default().split([':', ';']);
        // An empty element means the working directory, where an image has no libraries.
        Environment { library_path: elements.filter(|element| !element.is_empty()).map(PathBuf::from).collect() }
    }
}

/// Whether each program starts from this tree, with the very files that were found on this machine.
pub(crate) fn prove(tree: &Tree, closures: &[Closure], environment: &Environment) -> Result<(), Cause> {
    let view = View::of(tree, closures);
    let mut wrong: Vec<String> = closures.iter().flat_map(|closure| differences(&view, closure, environment)).collect();
    wrong.dedup();
    if wrong.is_empty() { Ok(()) } else { Err(Cause::Unprovable(wrong)) }
}

fn differences(view: &View<'_>, closure: &Closure, environment: &Environment) -> Vec<String> {
    let program = printable(closure.program().path()).to_string();
    if let Err(why) = view.executable(closure.program().path()) {
        return vec![format!("{program} would not start: {why}")];
    }
    let Some((loader, interpreter)) = closure.loader().zip(closure.interpreter()) else { return Vec::new() };
    if let Err(why) = view.executable(interpreter.path()) {
        return vec![format!("{program} would not start: its interpreter {} {why}", printable(interpreter.path()))];
    }
    compare(closure, &replay(view, closure, loader, interpreter, environment))
}

fn replay(
    view: &View<'_>,
    closure: &Closure,
    loader: &LoaderFacts,
    interpreter: &Object,
    environment: &Environment,
) -> Replay {
    let (build, cache) = loader.build.in_tree(|path| view.bytes(path));
    crate::collect::replay(&ReplayStart {
        tree: view,
        program: closure.program(),
        interpreter,
        build: &build,
        cache,
        library_path: &environment.library_path,
    })
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
