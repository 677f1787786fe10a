//! What a cache holds that is not whole yet. It has a directory of its own, which is nearly always empty: what is left
//! over there is found without a look at thousands of entries.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use super::super::temporary::{Temporary, sweep};
use super::shelf::open_shelf;

/// Where entries are written before they get their names.
#[derive(Debug)]
pub(crate) struct Drafts {
    /// One at a time: a process that is killed leaves one behind, and not one for each of its threads. `None` in a cache
    /// that may only be read.
    directory: Mutex<Option<OwnedFd>>,
}

/// The name of the directory.
pub(crate) const DRAFTS: &str = "new";

impl Drafts {
    /// Opens the directory, without what others left over there when they were killed.
    pub(crate) fn open(cache: impl AsFd) -> Result<Drafts, String> {
        let directory = open_shelf(cache, DRAFTS)?;
        directory.iter().for_each(sweep);
        Ok(Drafts { directory: Mutex::new(directory) })
    }

    /// Puts a file with these parts into a directory of the cache, whole or not at all.
    pub(crate) fn put(&self, directory: impl AsFd, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let drafts = self.directory.lock().unwrap_or_else(PoisonError::into_inner);
        let drafts = drafts.as_ref().ok_or_else(|| io::Error::other("it may only be read"))?;
        let mut draft = Temporary::file(drafts)?;
        parts.iter().try_for_each(|part| draft.handle().write_all(part))?;
        Ok(draft.rename(directory, OsStr::new(name))?)
    }
}
