//! `build --before-build DIR`: what is wrong already, before the programs are there.

use std::path::{Path, PathBuf};

use scratchpack::Lock;

use super::Failure;
use super::args::Build;
use super::build::{Plan, without_lock};
use super::unbuilt::{is_below, is_unbuilt};

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

/// There must be a lock, and it must be one.
fn expect_lock(build: &Build) -> Result<(), Failure> {
    match build.locked.as_deref().filter(|file| !is_unbuilt(build, file)) {
        Some(file) => Lock::read(file).map(drop).map_err(|error| without_lock(error, file)),
        None => Ok(()),
    }
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
