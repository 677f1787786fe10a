//! What is on its way to its name: a file or a directory under a temporary one, gone when nobody works on it any more.
//!
//! Whoever makes one holds a lock on it (flock(2)) from its creation to its end, and the system takes the lock away
//! with its process, however that ends. So what can be locked is left over, and the next to write beside it removes it.
//! A process id would not tell: containers have numbers of their own. A file without a name (`O_TMPFILE`) would leave
//! nothing, but not every file system has them, none has such directories, and none replaces a file by one in one step.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

const PREFIX: &str = ".scratchpack-";
const SUFFIX: &str = ".tmp";

/// Names that are looked at in search of what is left over: more than most directories have, and read in a millisecond
/// or two.
const MAX_NAMES: usize = 1 << 14;

/// Names that are tried for one file. One is given up only where a sweeper has it that very moment.
const MAX_TRIES: usize = 64;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const NEW: OFlags =
    OFlags::RDWR.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Never waits for whoever has the other end of a FIFO.
const OLD: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Whether a name is that of a draft, of a process that is at work or was killed.
pub(crate) fn is_temporary(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(PREFIX.as_bytes()) && name.ends_with(SUFFIX.as_bytes())
}

/// A new file or directory under a temporary name. Dropped before it was renamed, it leaves no trace.
pub(crate) struct Temporary<D: AsFd> {
    /// Open as long as somebody works on it; it holds the lock.
    file: File,
    place: Place<D>,
}

/// Where something is that is removed with this value.
struct Place<D: AsFd> {
    directory: D,
    name: String,
    is_settled: bool,
}

impl<D: AsFd> Temporary<D> {
    pub(crate) fn file(directory: D) -> io::Result<Self> {
        Self::create(directory, |directory, name| {
            rustix::fs::openat(directory, name, NEW, Mode::from_raw_mode(0o666)).map(Some)
        })
    }

    pub(crate) fn directory(directory: D) -> io::Result<Self> {
        Self::create(directory, |directory, name| {
            rustix::fs::mkdirat(directory, name, Mode::RWXU)?;
            match rustix::fs::openat(directory, name, DIRECTORY, Mode::empty()) {
                Ok(handle) => Ok(Some(handle)),
                Err(Errno::NOENT) => Ok(None),
                Err(errno) => {
                    let _ = rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR);
                    Err(errno)
                }
            }
        })
    }

    /// `make` answers `None` where a sweeper was faster.
    fn create(directory: D, make: impl Fn(&D, &str) -> Result<Option<OwnedFd>, Errno>) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut tries = 0;
        while tries < MAX_TRIES {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("{PREFIX}{}-{number}{SUFFIX}", std::process::id());
            let handle = match make(&directory, &name) {
                Ok(handle) => handle,
                // Somebody of the same number was killed.
                Err(Errno::EXIST) => continue,
                Err(errno) => return Err(errno.into()),
            };
            tries += 1;
            if let Some(handle) = handle
                && keep(&handle)
                && stands_at(&directory, name.as_ref(), &handle)
            {
                return Ok(Temporary { file: handle.into(), place: Place { directory, name, is_settled: false } });
            }
        }
        Err(Errno::AGAIN.into())
    }

    pub(crate) fn handle(&self) -> &File {
        &self.file
    }

    pub(crate) fn name(&self) -> &str {
        &self.place.name
    }

    /// The directory that it is in.
    pub(crate) fn place(&self) -> &D {
        &self.place.directory
    }

    /// Gives it its name in the directory that it is in, and replaces what has that.
    pub(crate) fn rename_in_place(&mut self, name: &OsStr) -> Result<(), Errno> {
        let Place { directory, name: from, .. } = &self.place;
        rustix::fs::renameat(directory, from, directory, name)?;
        self.place.is_settled = true;
        Ok(())
    }

    /// Gives it its name in another directory of the same file system.
    pub(crate) fn rename(&mut self, directory: impl AsFd, name: &OsStr) -> Result<(), Errno> {
        rustix::fs::renameat(&self.place.directory, &self.place.name, directory, name)?;
        self.place.is_settled = true;
        Ok(())
    }
}

/// A file is removed while it is locked. A directory may need the handle of the lock to be removed, for want of others.
impl<D: AsFd> Drop for Temporary<D> {
    fn drop(&mut self) {
        let Place { directory, name, is_settled } = &mut self.place;
        *is_settled = *is_settled || rustix::fs::unlinkat(&*directory, name.as_str(), AtFlags::empty()).is_ok();
    }
}

impl<D: AsFd> Drop for Place<D> {
    fn drop(&mut self) {
        if !self.is_settled {
            let _ = remove(&self.directory, Path::new(&self.name));
        }
    }
}

/// Locks what is new. Where nothing can be locked nobody can take it for left over either.
fn keep(handle: &OwnedFd) -> bool {
    !matches!(lock(handle), Err(Errno::WOULDBLOCK))
}

fn lock(handle: &OwnedFd) -> Result<(), Errno> {
    retry_on_intr(|| rustix::fs::flock(handle, FlockOperation::NonBlockingLockExclusive))
}

/// Whether the name is still that of the open file.
fn stands_at(directory: impl AsFd, name: &OsStr, handle: &OwnedFd) -> bool {
    let there = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
    let open = rustix::fs::fstat(handle);
    there.ok().zip(open.ok()).is_some_and(|(there, open)| (there.st_dev, there.st_ino) == (open.st_dev, open.st_ino))
}

/// Removes from a directory what others left over when they were killed. What cannot be done is not: the next may.
pub(crate) fn sweep(directory: impl AsFd) {
    let _ = try_sweep(directory);
}

fn try_sweep(directory: impl AsFd) -> Result<(), Errno> {
    let directory = rustix::fs::openat(directory, ".", DIRECTORY, Mode::empty())?;
    let names = Dir::read_from(&directory)?.take(MAX_NAMES).flatten();
    let names = names.map(|entry| OsStr::from_bytes(entry.file_name().to_bytes()).to_owned());
    let names: Vec<OsString> = names.filter(|name| is_temporary(name)).collect();
    if names.is_empty() || is_shared_by_machines(&directory)? {
        return Ok(());
    }
    let holds_own_directories = nobody_else_renames_in(&rustix::fs::fstat(&directory)?);
    for name in names {
        let _ = remove_if_left(&directory, &name, holds_own_directories);
    }
    Ok(())
}

/// Removes what stands at a temporary name, if it is of this user and nobody works on it.
fn remove_if_left(directory: &OwnedFd, name: &OsStr, with_directories: bool) -> Result<(), Errno> {
    let status = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let is_removable = match FileType::from_raw_mode(status.st_mode) {
        // A second name is somebody's doing.
        FileType::RegularFile => status.st_nlink == 1,
        FileType::Directory => with_directories,
        _ => false,
    };
    if !is_removable || !is_own(&status) {
        return Ok(());
    }
    let handle = rustix::fs::openat(directory, name, OLD, Mode::empty())?;
    lock(&handle)?;
    // It may have got its name, and be finished, in between.
    if stands_at(directory, name, &handle) { remove(directory, Path::new(name)) } else { Ok(()) }
}

fn is_own(status: &Stat) -> bool {
    status.st_uid == rustix::process::geteuid().as_raw()
}

/// Whether a directory in here with our name for it is one that we have made: who may rename what is in here could give
/// that name to any directory of ours, and have it emptied.
fn nobody_else_renames_in(status: &Stat) -> bool {
    let is_trusted = is_own(status) || status.st_uid == 0;
    let mode = Mode::from_raw_mode(status.st_mode);
    is_trusted && (!mode.intersects(Mode::WGRP | Mode::WOTH) || mode.contains(Mode::SVTX))
}

/// File systems on which a lock may be one of this machine alone, or of none (linux/magic.h): 9p, AFS, Ceph, CIFS, FUSE,
/// NFS, SMB.
const SHARED: [u64; 8] =
    [0x0102_1997, 0x5346_414f, 0x6b41_4653, 0x00c3_6400, 0xff53_4d42, 0x6573_5546, 0x6969, 0xfe53_4d42];

// The type of this field differs between machines.
#[allow(clippy::unnecessary_cast)]
fn is_shared_by_machines(directory: &OwnedFd) -> Result<bool, Errno> {
    Ok(SHARED.contains(&(rustix::fs::fstatfs(directory)?.f_type as u64 & 0xffff_ffff)))
}

/// Removes a file, or a directory with all that is in it, by its path in `parent`.
fn remove(parent: impl AsFd, path: &Path) -> Result<(), Errno> {
    match rustix::fs::unlinkat(&parent, path, AtFlags::empty()) {
        Err(Errno::ISDIR) => {}
        other => return other,
    }
    match rustix::fs::unlinkat(&parent, path, AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        other => return other,
    }
    // An image's directory may forbid even its owner to look into it, and to take something out.
    rustix::fs::chmodat(&parent, path, Mode::RWXU, AtFlags::empty())?;
    for name in names_in(parent.as_fd(), path)? {
        remove(parent.as_fd(), &path.join(name))?;
    }
    rustix::fs::unlinkat(parent, path, AtFlags::REMOVEDIR)
}

/// The names in a directory, which is not open any more when they are known: one handle does for all depths.
fn names_in(parent: BorrowedFd<'_>, path: &Path) -> Result<Vec<OsString>, Errno> {
    let listed = Dir::new(rustix::fs::openat(parent, path, DIRECTORY, Mode::empty())?)?;
    let names = listed.map(|entry| Ok(OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned()));
    let names: Result<Vec<OsString>, Errno> = names.collect();
    Ok(names?.into_iter().filter(|name| name != "." && name != "..").collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::{Temporary, sweep};

    fn names(directory: &std::path::Path) -> Vec<String> {
        let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn what_somebody_works_on_stays_and_what_nobody_does_goes() {
        let place = tempfile::tempdir().unwrap();
        let handle = || fs::File::open(place.path()).unwrap();
        let (file, directory) = (Temporary::file(handle()).unwrap(), Temporary::directory(handle()).unwrap());
        fs::write(place.path().join(".scratchpack-1-0.tmp"), b"half").unwrap();
        let left = place.path().join(".scratchpack-1-1.tmp");
        fs::create_dir_all(left.join("a/b")).unwrap();
        fs::write(left.join("a/b/c"), b"half").unwrap();
        symlink("/etc", left.join("a/link")).unwrap();
        fs::set_permissions(left.join("a"), fs::Permissions::from_mode(0o500)).unwrap();
        sweep(handle());
        let mut at_work = [file.name(), directory.name()].map(str::to_owned);
        at_work.sort();
        assert_eq!(names(place.path()), at_work);
        drop((file, directory));
        assert_eq!(names(place.path()), [""; 0]);
    }

    #[test]
    fn what_is_not_a_draft_of_ours_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::write(path("precious"), b"x").unwrap();
        fs::hard_link(path("precious"), path(".scratchpack-1-0.tmp")).unwrap();
        symlink("precious", path(".scratchpack-1-1.tmp")).unwrap();
        let owner_only = rustix::fs::Mode::RUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, path(".scratchpack-1-2.tmp"), owner_only).unwrap();
        fs::write(path("scratchpack-1-3.tmp"), b"x").unwrap();
        let before = names(place.path());
        sweep(fs::File::open(place.path()).unwrap());
        assert_eq!(names(place.path()), before);
        // Whoever may rename could have put any directory of ours here.
        fs::create_dir(path(".scratchpack-1-4.tmp")).unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
        sweep(fs::File::open(place.path()).unwrap());
        assert!(path(".scratchpack-1-4.tmp").exists());
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        sweep(fs::File::open(place.path()).unwrap());
        assert_eq!(names(place.path()), before);
    }
}
