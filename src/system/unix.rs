//! What all Unix systems have in common.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

/// A name as this system has it: any bytes.
pub(crate) fn os_str(bytes: &[u8]) -> Option<&OsStr> {
    Some(OsStr::from_bytes(bytes))
}

/// Reads some of what is at `offset`; nothing at the end.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buffer, offset)
}

/// Puts some of what is at `offset` into the room that is left in `bytes`; nothing at the end. Memory that is read into need
/// not be made zero before.
pub(crate) fn read_into_room(file: &File, bytes: &mut Vec<u8>, offset: u64) -> io::Result<usize> {
    Ok(rustix::io::pread(file, rustix::buffer::spare_capacity(bytes), offset)?)
}

/// What helps with an error that the standard library has no kind for.
pub(crate) fn remedy(error: &io::Error) -> Option<&'static str> {
    match Errno::from_io_error(error)? {
        Errno::MFILE => Some("raise the limit (ulimit -n)"),
        Errno::NFILE => Some("close what has many, or raise the system's limit (fs.file-max)"),
        Errno::NOTCONN | Errno::STALE | Errno::HOSTDOWN | Errno::TIMEDOUT => Some("mount it again, or unmount it"),
        Errno::IO => Some("see the system's log, a disk may be failing"),
        _ => None,
    }
}
