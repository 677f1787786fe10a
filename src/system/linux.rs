//! Linux. File systems are told by their numbers (linux/magic.h).

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::AsFd;

use rustix::fs::{Advice, OFlags};
use rustix::io::Errno;
use rustix::time::ClockId;

/// Opens a directory to reach what is in it: that takes no right to read its names.
pub(crate) const SEARCHED: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Whether files can have capabilities of their own (capabilities(7)).
pub(crate) const HAS_CAPABILITIES: bool = true;

/// Whether an error other than those of all systems tells something of a file rather than of the machine.
pub(crate) fn is_of_file(_errno: Errno) -> bool {
    false
}

/// Whether what could not be unlinked may be a directory.
pub(crate) fn may_be_directory(errno: Errno) -> bool {
    errno == Errno::ISDIR
}

/// The time as files are stamped with it, in seconds and nanoseconds: that of the last tick (`current_time` in fs/inode.c),
/// which this clock tells. No file that is changed later has an earlier stamp.
// The types of these fields differ between machines.
#[allow(clippy::unnecessary_cast)]
pub(crate) fn now() -> (i64, u64) {
    let time = rustix::time::clock_gettime(ClockId::RealtimeCoarse);
    (time.tv_sec as i64, time.tv_nsec as u64)
}

/// Writes a file or the names in a directory to disk.
pub(crate) fn sync(file: &File) -> io::Result<()> {
    file.sync_all()
}

/// Writes all of the file system to disk that something is in.
pub(crate) fn sync_all_around(inside: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::syncfs(inside)?)
}

/// Begins to write some of a file to disk, and does not wait for it.
///
/// Of the calls that do, this is the one that is safe to make from Rust: for pages that were changed, Linux takes the
/// advice as "write them now" (`generic_fadvise` in mm/fadvise.c), and only then drops those that are written already.
pub(crate) fn send_to_disk(file: &File, from: u64, size: u64) {
    let _ = rustix::fs::fadvise(file, from, NonZeroU64::new(size), Advice::DontNeed);
}

/// File systems of one machine, whose locks all of its processes know: bcachefs, Btrfs, ext2 to ext4, F2FS, overlayfs,
/// ramfs, tmpfs, XFS, ZFS. A lock on others may be one of this machine alone, and others write there, too.
const LOCAL: [u64; 9] =
    [0xca45_1a4e, 0x9123_683e, 0xef53, 0xf2f5_2010, 0x794c_7630, 0x8584_58f6, 0x0102_1994, 0x5846_5342, 0x2fc1_2fc1];

/// Whether a directory is on a file system of this machine alone, so that a lock keeps everybody out.
pub(crate) fn is_of_this_machine(directory: impl AsFd) -> Result<bool, Errno> {
    Ok(LOCAL.contains(&(magic_of(directory)? & 0xffff_ffff)))
}

/// File systems whose directories have names that no list has: those of autofs(5) and proc(5).
const UNLISTED: [u64; 2] = [0x0187, 0x9fa0];

/// Whether a directory has no names but those that a list of it has, as they are spelled there or in other letters.
pub(crate) fn lists_all_names(directory: impl AsFd) -> Result<bool, Errno> {
    Ok(!UNLISTED.contains(&magic_of(directory)?))
}

/// File systems of the kernel's own: the size of a file is not the size of what it holds, and to read may have effects,
/// as in `/proc/kmsg`.
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
pub(crate) fn is_of_kernel(file: impl AsFd, blocks: u64) -> Result<bool, Errno> {
    Ok(blocks == 0 && OF_KERNEL.contains(&magic_of(file)?))
}

// The type of this field differs between machines.
#[allow(clippy::unnecessary_cast)]
fn magic_of(file: impl AsFd) -> Result<u64, Errno> {
    Ok(rustix::fs::fstatfs(file)?.f_type as u64)
}
