//! `build --before-build DIR`: what is wrong already, before the programs are there.

use std::path::{Path, PathBuf};

use super::Failure;
use super::args::Build;
use super::build::{Plan, expect_lock};

/// Below a file nothing can be.
const NOWHERE: &str = "/dev/null/program";

/// Tells of the arguments, and of the files that they name, what no program could change. Nothing is written.
pub(super) fn check(build: &Build, directory: &Path) -> Result<(), Failure> {
    let known = known_before(build, directory);
    expect_lock(&known)?;
    match Plan::of(&known)?.builder.build() {
        Err(error) if error.path() != Some(Path::new(NOWHERE)) => Err(error.into()),
        _ => Ok(()),
    }
}

/// Whether a path is of what the build will make.
pub(super) fn is_unbuilt(build: &Build, path: &Path) -> bool {
    build.before_build.as_deref().is_some_and(|directory| is_below(directory, path))
}

/// The same build without what is not there yet. In place of its programs stands one that nobody has, behind all others.
fn known_before(build: &Build, directory: &Path) -> Build {
    let is_known = |path: &PathBuf| !is_below(directory, path);
    let mut known = build.clone();
    known.search.library_path.retain(is_known);
    known.file.retain(|pair| is_known(&pair.from));
    known.binaries.retain(is_known);
    if !known.search.sysroot.as_ref().is_none_or(is_known) {
        known.search.sysroot = None;
        // They would be looked at in this machine's world instead.
        known.binaries.clear();
    }
    known.binaries.resize(build.binaries.len(), NOWHERE.into());
    known
}

fn is_below(directory: &Path, path: &Path) -> bool {
    resolved(path).starts_with(resolved(directory))
}

/// The path without links and `..`, as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let known = |there: &Path| Some(there.canonicalize().ok()?.join(whole.strip_prefix(there).ok()?));
    whole.ancestors().find_map(known).unwrap_or_else(|| whole.clone())
}
