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

use crate::system;

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
    is_draft(name, PREFIX, SUFFIX)
}

/// Whether between these stand a process id and a number.
pub(crate) fn is_draft(name: &OsStr, prefix: &str, suffix: &str) -> bool {
    let middle = name.to_str().and_then(|name| name.strip_prefix(prefix)?.strip_suffix(suffix));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    middle.and_then(|middle| middle.split_once('-')).is_some_and(|(id, number)| is_number(id) && is_number(number))
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
            retry_on_intr(|| rustix::fs::openat(directory, name, NEW, Mode::from_raw_mode(0o666))).map(Some)
        })
    }

    pub(crate) fn directory(directory: D) -> io::Result<Self> {
        Self::create(directory, |directory, name| {
            rustix::fs::mkdirat(directory, name, Mode::RWXU)?;
            match retry_on_intr(|| rustix::fs::openat(directory, name, DIRECTORY, Mode::empty())) {
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
            let Some(handle) = handle else { continue };
            let is_kept = keep(&handle);
            if !stands_at(&directory, name.as_ref(), &handle) {
                continue;
            }
            if is_kept {
                return Ok(Temporary { file: handle.into(), place: Place { directory, name, is_settled: false } });
            }
            // Whoever has it locked may be killed before it is removed.
            let _ = remove(&directory, name.as_ref(), handle.as_fd());
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

/// A file is removed while it is locked. A directory may need the handle of the lock to be removed, for want of others; but
/// where somebody else could put another in its place meanwhile, it is removed by that handle.
impl<D: AsFd> Drop for Temporary<D> {
    fn drop(&mut self) {
        let Place { directory, name, is_settled } = &mut self.place;
        if *is_settled {
            return;
        }
        let is_safe = rustix::fs::fstat(&*directory).is_ok_and(|status| nobody_else_renames_in(&status));
        let removed = match is_safe {
            true => rustix::fs::unlinkat(&*directory, name.as_str(), AtFlags::empty()),
            false => remove(&*directory, name.as_ref(), self.file.as_fd()),
        };
        *is_settled = removed.is_ok() || !is_safe;
    }
}

impl<D: AsFd> Drop for Place<D> {
    fn drop(&mut self) {
        if !self.is_settled {
            let _ = remove_at(self.directory.as_fd(), Path::new(&self.name));
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
    if names.is_empty() || !system::is_of_this_machine(&directory)? {
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
    if stands_at(directory, name, &handle) { remove(directory, name, handle.as_fd()) } else { Ok(()) }
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

/// Removes what has this name in `parent`, and is open: a file, or a directory with all that is in it. That is emptied by
/// its handle, whatever has its name by then.
fn remove(parent: impl AsFd, name: &OsStr, open: BorrowedFd<'_>) -> Result<(), Errno> {
    remove_emptied(parent.as_fd(), name.as_ref(), || {
        expect_own(&rustix::fs::fstat(open)?)?;
        rustix::fs::fchmod(open, Mode::RWXU)?;
        clear(open, Path::new("."))
    })
}

/// Removes what is at `path` in `top`, where nobody else renames. An image's directory may forbid even its owner to look
/// into it, and to take something out.
fn remove_at(top: BorrowedFd<'_>, path: &Path) -> Result<(), Errno> {
    remove_emptied(top, path, || {
        expect_own(&rustix::fs::statat(top, path, AtFlags::SYMLINK_NOFOLLOW)?)?;
        rustix::fs::chmodat(top, path, Mode::RWXU, AtFlags::empty())?;
        clear(top, path)
    })
}

/// Removes a file or a directory; `empty` takes out what is in that, if anything is.
fn remove_emptied(parent: BorrowedFd<'_>, path: &Path, empty: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
    match rustix::fs::unlinkat(parent, path, AtFlags::empty()) {
        Err(errno) if system::may_be_directory(errno) => {}
        other => return other,
    }
    match rustix::fs::unlinkat(parent, path, AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        other => return other,
    }
    empty()?;
    rustix::fs::unlinkat(parent, path, AtFlags::REMOVEDIR)
}

/// Empties the directory at `path` in `top`. It is this user's alone, as are all between, and in `top` nobody else renames; so
/// nobody can put something in the place of what is in there. Others may have written there before, as in a `/tmp` that an
/// image has.
fn clear(top: BorrowedFd<'_>, path: &Path) -> Result<(), Errno> {
    names_in(top, path)?.into_iter().try_for_each(|name| remove_at(top, &path.join(name)))
}

/// What is in somebody else's directory is not ours to remove, and its owner could lead us elsewhere.
fn expect_own(status: &Stat) -> Result<(), Errno> {
    if is_own(status) { Ok(()) } else { Err(Errno::PERM) }
}

/// The names in a directory, which is not open any more when they are known: one handle does for all depths.
fn names_in(top: BorrowedFd<'_>, path: &Path) -> Result<Vec<OsString>, Errno> {
    let listed = Dir::new(rustix::fs::openat(top, path, DIRECTORY, Mode::empty())?)?;
    let names = listed.map(|entry| Ok(OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned()));
    let names: Result<Vec<OsString>, Errno> = names.collect();
    Ok(names?.into_iter().filter(|name| name != "." && name != "..").collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{CWD, RenameFlags, renameat_with};

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

    const FILES: usize = 200;

    fn fill(directory: &Path) {
        (0..FILES).for_each(|number| fs::write(directory.join(number.to_string()), b"x").unwrap());
    }

    /// Whether nothing is gone from an open directory, whatever its name is.
    fn is_full(directory: &fs::File) -> bool {
        rustix::fs::Dir::read_from(directory).is_ok_and(|names| names.count() == FILES + 2)
    }

    /// Does the work, while a link to `outside` takes the name of the draft as soon as something is gone from it.
    fn while_exchanged(draft: &Path, outside: &Path, work: impl FnOnce()) {
        let link = draft.with_file_name("link");
        symlink(outside, &link).unwrap();
        let (open, is_over) = (fs::File::open(draft).unwrap(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while is_full(&open) && !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
                let _ = renameat_with(CWD, draft, CWD, &link, RenameFlags::EXCHANGE);
            });
            work();
            is_over.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn what_is_put_in_the_place_of_a_draft_while_that_is_emptied_is_not_emptied() {
        let outside = tempfile::tempdir().unwrap();
        fill(outside.path());
        let is_whole = || is_full(&fs::File::open(outside.path()).unwrap());
        for round in 0..10 {
            let place = tempfile::tempdir().unwrap();
            let handle = |place: &tempfile::TempDir| fs::File::open(place.path()).unwrap();
            let left = place.path().join(".scratchpack-1-0.tmp");
            fs::create_dir(&left).unwrap();
            fill(&left);
            while_exchanged(&left, outside.path(), || sweep(handle(&place)));
            assert!(is_whole(), "what was left over, round {round}");
            // Here somebody else can do that.
            let place = tempfile::tempdir().unwrap();
            fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
            let draft = Temporary::directory(handle(&place)).unwrap();
            let path = place.path().join(draft.name());
            fill(&path);
            while_exchanged(&path, outside.path(), || drop(draft));
            assert!(is_whole(), "what was given up, round {round}");
        }
    }

    #[test]
    fn a_directory_of_somebody_else_in_a_draft_is_not_looked_into() {
        let place = tempfile::tempdir().unwrap();
        let theirs = place.path().join(".scratchpack-1-0.tmp/tmp/theirs");
        fs::create_dir_all(&theirs).unwrap();
        fs::write(theirs.join("file"), b"x").unwrap();
        // Only root can give a directory away.
        if std::os::unix::fs::chown(&theirs, Some(65534), None).is_err() {
            return;
        }
        sweep(fs::File::open(place.path()).unwrap());
        assert!(theirs.join("file").exists());
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
        for name in ["scratchpack-1-3.tmp", ".scratchpack-notes.tmp", ".scratchpack-1-x.tmp", ".scratchpack--.tmp"] {
            fs::write(path(name), b"x").unwrap();
        }
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
