//! Any other Unix, macOS above all, where a sysroot is packed.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::OFlags;
use rustix::io::{Errno, retry_on_intr};
use rustix::time::ClockId;

/// Opens a directory to reach what is in it. It takes the right to read its names: not every system opens one without.
pub(crate) const SEARCHED: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Whether files can have capabilities of their own: an attribute of that name means nothing here.
pub(crate) const HAS_CAPABILITIES: bool = false;

/// Whether an error other than those of all systems tells something of a file rather than of the machine: that it has no such
/// attribute, or its file system none. On Linux these have the numbers of others.
pub(crate) fn is_of_file(errno: Errno) -> bool {
    matches!(errno, Errno::NOATTR | Errno::NOTSUP)
}

/// Whether what could not be unlinked may be a directory; POSIX has `EPERM` for one.
pub(crate) fn may_be_directory(errno: Errno) -> bool {
    matches!(errno, Errno::ISDIR | Errno::PERM)
}

/// The time as files are stamped with it, in seconds and nanoseconds. A file system may stamp what is changed now with a
/// little less, so a millisecond is taken off: no file that is changed later has an earlier stamp.
#[allow(clippy::unnecessary_cast)]
pub(crate) fn now() -> (i64, u64) {
    const LESS: u64 = 1_000_000;
    let time = rustix::time::clock_gettime(ClockId::Realtime);
    let (seconds, nanoseconds) = (time.tv_sec as i64, time.tv_nsec as u64);
    match nanoseconds.checked_sub(LESS) {
        Some(nanoseconds) => (seconds, nanoseconds),
        None => (seconds.saturating_sub(1), nanoseconds + 1_000_000_000 - LESS),
    }
}

/// Writes a file or the names in a directory to disk. On macOS the standard library asks for more than fsync(2), a flush of the
/// disk's own cache (`F_FULLFSYNC` of fcntl(2)), which not every file system has.
pub(crate) fn sync(file: &File) -> io::Result<()> {
    match file.sync_all() {
        Err(error) if is_unsupported(&error) => Ok(retry_on_intr(|| rustix::fs::fsync(file))?),
        done => done,
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| [Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOTTY, Errno::INVAL].contains(&errno))
}

/// Begins to write all file systems to disk: there is no call for one, and none that surely waits.
pub(crate) fn sync_all_around(_inside: impl AsFd) -> io::Result<()> {
    rustix::fs::sync();
    Ok(())
}

/// There is no such advice; syncing the file takes longer then.
pub(crate) fn send_to_disk(_file: &File, _from: u64, _size: u64) {}

/// Whether a directory is on a file system of this machine alone, so that a lock keeps everybody out.
#[allow(clippy::unnecessary_cast)]
pub(crate) fn is_of_this_machine(directory: impl AsFd) -> Result<bool, Errno> {
    // MNT_LOCAL of sys/mount.h.
    const LOCAL: u64 = 0x1000;
    Ok(rustix::fs::fstatfs(directory)?.f_flags as u64 & LOCAL != 0)
}

/// Whether a directory has no names but those that a list of it has. A file system that takes one spelling of a letter for
/// another, as APFS does with all that Unicode has, finds more.
pub(crate) fn lists_all_names(_directory: impl AsFd) -> Result<bool, Errno> {
    Ok(false)
}

/// Whether an open file is one of the kernel's own: there are none here.
pub(crate) fn is_of_kernel(_file: impl AsFd, _blocks: u64) -> Result<bool, Errno> {
    Ok(false)
}
