//! A closure beside what a loader lists.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;

use scratchpack::{Closure, DependencyKind, Object};

use crate::loader::{Listed, Listing};

/// Whether both say the same: names, paths as opened, order, what is missing, and the loader itself.
pub(crate) fn compare(closure: &Closure, listing: &Listing, interpreter: &str) -> Result<(), String> {
    same("objects", &objects(closure), &listing.objects)?;
    same("missing", &missing(closure), &listing.missing)?;
    compare_interpreter(closure, listing, interpreter)
}

pub(crate) fn same<T: PartialEq + Debug>(what: &str, ours: &T, theirs: &T) -> Result<(), String> {
    if ours == theirs { Ok(()) } else { Err(format!("{what}\n  closure {ours:?}\n  loader  {theirs:?}")) }
}

/// The loader lists itself where a library that it has found needs it.
fn compare_interpreter(closure: &Closure, listing: &Listing, name: &str) -> Result<(), String> {
    let ours = closure.interpreter().map(|object| text(object.opened()));
    let is_listed = listing.has_interpreter || listing.is_static || !listing.missing.is_empty();
    match ours.as_deref() == Some(name) && is_listed {
        true => Ok(()),
        false => Err(format!("the interpreter {name} is {ours:?} here, {} there", listing.has_interpreter)),
    }
}

/// The libraries of a closure as a loader would list them.
pub(crate) fn objects(closure: &Closure) -> Vec<Listed> {
    at_start(closure).map(listed).collect()
}

/// The libraries that are there before the program runs: those that dynamic sections lead to.
pub(crate) fn at_start(closure: &Closure) -> impl Iterator<Item = &Object> {
    let mut reached = BTreeSet::from([closure.program().path()]);
    let mut waiting = vec![closure.program()];
    while let Some(object) = waiting.pop() {
        let requests = object.requests().iter().filter(|request| request.kind() != DependencyKind::Dlopen);
        let new = requests.filter_map(|request| request.path()).filter(|path| reached.insert(path));
        waiting.extend(new.filter_map(|path| closure.object_at(path)).collect::<Vec<_>>());
    }
    let libraries = closure.objects().iter().skip(usize::from(closure.interpreter().is_some()));
    libraries.filter(move |object| reached.contains(object.path()))
}

fn listed(object: &Object) -> Listed {
    Listed { name: text(object.name().as_ref()), path: text(object.opened()) }
}

/// The names for which nothing was found.
pub(crate) fn missing(closure: &Closure) -> BTreeSet<String> {
    closure.missing().iter().map(|missing| text(missing.name().as_ref())).collect()
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
