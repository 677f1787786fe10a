//! What this machine failed at while it read input files. Such a fault says nothing of the file, so nothing may be concluded
//! from it: that a file is not there, least of all.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use crate::error::{Cause, Error};

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
    !matches!(
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
    )
}

/// The same of an error of the standard library.
pub(super) fn is_io_of_machine(error: &io::Error) -> bool {
    Errno::from_io_error(error).is_none_or(is_of_machine)
}

/// File systems of the kernel's own: the size of a file is not the size of what it holds, and to read may have effects,
/// as in `/proc/kmsg` (linux/magic.h).
const OF_KERNEL: [u64; 16] = [
    0x0000_9fa0, // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0x6265_6570, // configfs
    0x6165_676c, // pstore
    0xcafe_4a11, // bpf
    0x4249_4e4d, // binfmt_misc
    0xf97c_ff8c, // selinuxfs
    0x6573_5543, // fusectl
    0x1980_0202, // mqueue
    0x6e73_6673, // nsfs
    0xde5e_81e4, // efivarfs
];

/// Whether an open file is one of the kernel's own. Of those none takes room on a disk, which tells nearly all others.
pub(super) fn is_of_kernel(file: impl std::os::fd::AsFd, blocks: u64) -> Result<bool, Errno> {
    #[allow(clippy::unnecessary_cast)]
    let magic = || Ok(rustix::fs::fstatfs(file)?.f_type as u64);
    Ok(blocks == 0 && OF_KERNEL.contains(&magic()?))
}
