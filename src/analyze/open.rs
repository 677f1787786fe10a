//! Opens a file of this machine to analyze it, and tells how many bytes it has. Only what is a regular file is opened.

use std::fs::File;
use std::path::Path;

use crate::error::Cause;

#[cfg(unix)]
pub(super) fn open(path: &Path) -> Result<(File, u64), Cause> {
    use crate::root::{Fault, Root, Walker};

    let root = Root::host().map_err(crate::Error::into_cause)?;
    let (_, input) = Walker::new(&root).open(&std::path::absolute(path)?).map_err(Fault::into_cause)?;
    Ok((input.file, input.stamp.size))
}

#[cfg(not(unix))]
pub(super) fn open(path: &Path) -> Result<(File, u64), Cause> {
    crate::system::open_regular(path)?
        .ok_or_else(|| Cause::NotElf("it is not a regular file; give the executable itself".into()))
}
