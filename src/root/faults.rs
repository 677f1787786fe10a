//! What this machine failed at while it read input files. Such a fault says nothing of the file, so nothing may be concluded
//! from it: that a file is not there, least of all.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use crate::error::{Cause, Error};
use crate::system;

/// Faults that are told of.
const MAX_FAULTS: usize = 16;

/// The faults of one root, in the order in which they occurred.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<(PathBuf, Cause)>>);

impl Faults {
    /// Takes down what was wrong with the file at `path` of this machine.
    pub(super) fn note(&self, path: PathBuf, cause: Cause) {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.len() < MAX_FAULTS && faults.iter().all(|(known, _)| *known != path) {
            faults.push((path, cause));
        }
    }

    /// What was taken down until now.
    pub(super) fn take(&self) -> Vec<Error> {
        let faults = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        faults.into_iter().map(|(path, cause)| cause.on("read", path)).collect()
    }
}

/// Whether an error is one of the machine: of its memory, its disks, its network, or of how much this process may open.
/// The others tell something of a path or a file.
pub(super) fn is_of_machine(errno: Errno) -> bool {
    let is_of_file = matches!(
        errno,
        Errno::NOENT
            | Errno::NOTDIR
            | Errno::ISDIR
            | Errno::LOOP
            | Errno::NAMETOOLONG
            | Errno::ILSEQ
            | Errno::INVAL
            | Errno::ACCESS
            | Errno::PERM
            | Errno::NXIO
            | Errno::NODEV
            | Errno::NODATA
            | Errno::OPNOTSUPP
            | Errno::NOSYS
            // More names than are believed.
            | Errno::OVERFLOW
    );
    !is_of_file && !system::is_of_file(errno)
}

/// The same of an error of the standard library.
pub(super) fn is_io_of_machine(error: &io::Error) -> bool {
    Errno::from_io_error(error).is_none_or(is_of_machine)
}
