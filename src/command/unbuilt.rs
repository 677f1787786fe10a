//! What is not there before the programs are built (`build --before-build DIR`).

use std::path::{Path, PathBuf};

use super::args::Build;

/// Whether a path is of what the build will make.
pub(super) fn is_unbuilt(build: &Build, path: &Path) -> bool {
    build.before_build.as_deref().is_some_and(|directory| is_below(directory, path))
}

pub(super) fn is_below(directory: &Path, path: &Path) -> bool {
    resolved(path).starts_with(resolved(directory))
}

/// The path without links and `..`, as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let known = |there: &Path| Some(there.canonicalize().ok()?.join(whole.strip_prefix(there).ok()?));
    whole.ancestors().find_map(known).unwrap_or_else(|| whole.clone())
}
