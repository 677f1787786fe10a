//! The files whose packages are sought, and which of them a path of a database means.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Copied;
use super::database::Databases;
use crate::error::{Cause, Result};
use crate::limits::MAX_PACKAGE_PATHS;
use crate::root::Root;

/// The files whose packages are sought: their paths in a root, all symlinks resolved, by their file names.
pub(super) struct Wanted {
    by_name: HashMap<Vec<u8>, Vec<(usize, PathBuf)>>,
}

impl Wanted {
    /// Those of the files that lie in the root.
    pub(super) fn of(copied: &[Copied<'_>], root: &Root) -> Wanted {
        let mut by_name: HashMap<Vec<u8>, Vec<(usize, PathBuf)>> = HashMap::new();
        for (number, (_, source)) in copied.iter().enumerate() {
            let real = source.root.real_directory().join(source.real.strip_prefix("/").unwrap_or(&source.real));
            let Ok(below) = real.strip_prefix(root.real_directory()) else { continue };
            let name = below.file_name().unwrap_or_default().as_bytes().to_vec();
            by_name.entry(name).or_default().push((number, Path::new("/").join(below)));
        }
        Wanted { by_name }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Their file names.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.by_name.keys().map(Vec::as_slice)
    }

    /// Whether any of them has this file name.
    pub(super) fn has_name(&self, name: &[u8]) -> bool {
        self.by_name.contains_key(name)
    }

    /// The numbers of the files that a database means by `name` in `directory`, which may lie behind symlinks: what a merged
    /// `/usr` has as `/usr/lib/libc.so.6`, a package may have registered as `/lib/libc.so.6`.
    pub(super) fn matches(&self, directory: &[u8], name: &[u8], databases: &Databases<'_>) -> Result<Vec<usize>> {
        let Some(candidates) = self.by_name.get(name) else { return Ok(Vec::new()) };
        let directory = Path::new("/").join(OsStr::from_bytes(directory.strip_prefix(b"/").unwrap_or(directory)));
        let in_directory = |directory: &Path| -> Vec<usize> {
            let is_there = |real: &Path| real.parent() == Some(directory);
            candidates.iter().filter(|(_, real)| is_there(real)).map(|(number, _)| *number).collect()
        };
        let plain = in_directory(&directory);
        if !plain.is_empty() {
            return Ok(plain);
        }
        let walked = databases.walked.get() + 1;
        databases.walked.set(walked);
        if walked > MAX_PACKAGE_PATHS {
            let why = format!("more than {MAX_PACKAGE_PATHS} of its paths have names of the image, which is the limit");
            return Err(databases.failed(&directory, Cause::malformed(why)));
        }
        Ok(databases.walker.directory(&directory).map_or_else(|_| Vec::new(), |walk| in_directory(&walk.real)))
    }
}

/// The directory and the file name of a path.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memrchr(b'/', path) {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// The lines of a text, without what ends them.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(line)
    })
}
