//! The only place where output appears: under a temporary name beside its own, synced, then renamed over it. A reader
//! sees the old or the new, whole; an error leaves the old.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, FlockOperation, Mode, OFlags, flock};
use rustix::io::{Errno, retry_on_intr};

use super::progress::{Progress, Reporter, Stage};
use super::temporary::{self, Temporary};
use crate::error::{Cause, Error, Result};
use crate::limits::MAX_LINKS;
use crate::root::{Stamp, uninterrupted};
use crate::system;

/// Whether an output outlives a loss of power from the moment on at which it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The system writes it to disk when it likes.
    Fleeting,
    Durable,
}

/// A file in the making. Dropped without [`Draft::publish`], it leaves no trace.
pub(crate) struct Draft {
    temporary: Temporary<OwnedFd>,
    target: PathBuf,
    durability: Durability,
    written: u64,
    /// How much of it is on its way to the disk.
    sent: u64,
}

/// An output that is where it belongs.
pub(crate) struct Published {
    draft: Temporary<OwnedFd>,
    /// As it was before anybody could see it.
    before: Option<Stamp>,
}

impl Published {
    /// The stamp of what was written; `None` where somebody wrote to it since.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        // Being renamed changes the time of the last change of status alone.
        Stamp::of_file(self.draft.handle()).filter(|now| self.before.is_some_and(|before| before.has_same_content(now)))
    }
}

/// So much is sent to the disk at a time, while more is being made: then there is little left to wait for in the end.
const SENT: u64 = 8 << 20;

impl Draft {
    /// Begins a file that will be published at `target`, which is where [`final_target`] says.
    pub(crate) fn beside(target: PathBuf, durability: Durability) -> Result<Draft> {
        let temporary = directory_of(&target).and_then(Temporary::file).map_err(|error| uncreatable(error, &target))?;
        Ok(Draft { temporary, target, durability, written: 0, sent: 0 })
    }

    /// Begins a file in `directory` whose name is not known yet.
    pub(crate) fn in_directory(directory: &Path, durability: Durability) -> Result<Draft> {
        Draft::beside(directory.join("blob"), durability)
    }

    /// Writes what was left open at some place.
    pub(crate) fn fill_in(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.temporary.handle().write_all_at(bytes, at)
    }

    /// Puts the finished file where it belongs, and gives it as it is there.
    pub(crate) fn publish(self, reporter: &Reporter) -> Result<Published> {
        let target = self.target.clone();
        self.publish_as(&target, reporter)
    }

    /// The same, in the same directory, under a name that only its content told.
    pub(crate) fn publish_as(mut self, target: &Path, reporter: &Reporter) -> Result<Published> {
        let mut finish = || {
            if self.durability == Durability::Durable {
                reporter.report(Progress::new(Stage::Sync, 0, 0));
                system::sync(self.temporary.handle())?;
            }
            let before = Stamp::of_file(self.temporary.handle());
            put_in_place(&mut self.temporary, target, self.durability)?;
            Ok(before)
        };
        let before = finish().map_err(|cause: Cause| cause.on(WRITE, target))?;
        Ok(Published { draft: self.temporary, before })
    }
}

/// The directory that a path is in: open until what is made there has its name, wherever it is moved to meanwhile.
fn directory_of(path: &Path) -> io::Result<OwnedFd> {
    Ok(retry_on_intr(|| rustix::fs::open(parent(path), system::SEARCHED, Mode::empty()))?)
}

fn uncreatable(error: io::Error, target: &Path) -> Error {
    Cause::from(error).on("create a file in", parent(target))
}

/// Gives a finished file or directory its name. The directory is opened for its own sync before, so that nothing but the
/// disk can fail behind the change that everybody sees.
fn put_in_place(draft: &mut Temporary<OwnedFd>, target: &Path, durability: Durability) -> Result<(), Cause> {
    let names = match durability {
        Durability::Durable => Some(Names::in_place_of(draft)?),
        Durability::Fleeting => None,
    };
    draft.rename_in_place(target.file_name().unwrap_or_default()).map_err(irreplaceable)?;
    names.map_or(Ok(()), |names| Ok(names.sync(|| Ok(draft.handle()))?))
}

/// The names in a directory, to be synced.
enum Names {
    Open(File),
    /// Nobody may read them, and without that a directory cannot be synced by itself.
    Unreadable,
}

impl Names {
    fn in_place_of(draft: &Temporary<OwnedFd>) -> io::Result<Names> {
        Names::of(retry_on_intr(|| rustix::fs::openat(draft.place(), ".", LISTED, Mode::empty())))
    }

    fn of(opened: Result<OwnedFd, Errno>) -> io::Result<Names> {
        match opened {
            Ok(directory) => Ok(Names::Open(directory.into())),
            Err(Errno::ACCESS) => Ok(Names::Unreadable),
            Err(errno) => Err(errno.into()),
        }
    }

    /// With all of their file system, where there is no other way; `inside` is something that is in the directory.
    fn sync<F: AsFd>(&self, inside: impl FnOnce() -> io::Result<F>) -> io::Result<()> {
        match self {
            Names::Open(directory) => sync_handle(directory),
            Names::Unreadable => system::sync_all_around(inside()?),
        }
    }
}

const LISTED: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Why nothing can be renamed to a name.
fn irreplaceable(errno: Errno) -> Cause {
    Cause::OutputRefused(match errno {
        Errno::BUSY => "a mount point cannot be replaced; give another name, or write to standard output".into(),
        Errno::NOTEMPTY | Errno::EXIST => NOT_EMPTY.into(),
        Errno::ISDIR => "it has become a directory; give another name".into(),
        errno => return Cause::Io(errno.into()),
    })
}

const NOT_EMPTY: &str = "the directory is not empty; remove it, or give a new name";

/// Removes what others left over beside `target` when they were killed.
pub(crate) fn sweep_beside(target: &Path) {
    let _ = directory_of(target).map(temporary::sweep);
}

/// Removes what others left over in a directory when they were killed.
pub(crate) fn sweep_in(directory: &Path) {
    let _ = File::open(directory).map(temporary::sweep);
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let size = self.temporary.handle().write(bytes)?;
        self.written += size as u64;
        if self.durability == Durability::Durable && self.written - self.sent >= SENT {
            system::send_to_disk(self.temporary.handle(), self.sent, self.written - self.sent);
            self.sent = self.written;
        }
        Ok(size)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Publishes a small file.
pub(crate) fn publish_bytes(target: &Path, bytes: &[u8], durability: Durability) -> Result<Published> {
    let mut draft = Draft::beside(target.to_owned(), durability)?;
    draft.write_all(bytes).map_err(|error| Cause::Io(error).on(WRITE, target))?;
    draft.publish(&Reporter::default())
}

/// The same for a path that the caller gives.
pub(crate) fn publish_small(path: &Path, bytes: &[u8], durability: Durability) -> Result<()> {
    let target = final_target(path)?;
    sweep_beside(&target);
    publish_bytes(&target, bytes, durability).map(|_| ()).map_err(|error| error.at(path))
}

/// A directory in the making. Dropped without [`DirectoryDraft::publish`], it leaves no trace.
pub(crate) struct DirectoryDraft {
    temporary: Temporary<OwnedFd>,
    path: PathBuf,
    target: PathBuf,
    durability: Durability,
}

impl DirectoryDraft {
    /// Begins a directory that will be published at `target`, where nothing may stand but an empty directory.
    pub(crate) fn of(target: &Path, durability: Durability) -> Result<DirectoryDraft> {
        let refuse = |why: &str| Err(Cause::OutputRefused(why.to_owned()).on(WRITE, target));
        match uninterrupted(|| fs::read_dir(target)).map(|mut entries| entries.next().is_some()) {
            Ok(true) => return refuse(NOT_EMPTY),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return refuse("it is no directory; remove it, or give a new name");
            }
            Err(error) if is_loop(&error) => return refuse(LOOP),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Cause::Io(error).on(WRITE, target));
            }
            _ => {}
        }
        let resolve = |path: &Path| if path.exists() { fs::canonicalize(path) } else { end_of_links(path) };
        let target = resolve(target).map_err(|error| Cause::Io(error).on(WRITE, target))?;
        if is_pinned(&target) {
            return refuse("a mount point or the working directory cannot be replaced; give a new name in it");
        }
        if target.file_name().is_none() {
            return refuse("it is no name of a directory; give one");
        }
        sweep_beside(&target);
        let temporary =
            directory_of(&target).and_then(Temporary::directory).map_err(|error| uncreatable(error, &target))?;
        let path = parent(&target).join(temporary.name());
        Ok(DirectoryDraft { temporary, path, target, durability })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn publish(mut self) -> Result<()> {
        let mut finish = || {
            if self.durability == Durability::Durable {
                sync_handle(self.temporary.handle())?;
            }
            put_in_place(&mut self.temporary, &self.target, self.durability)
        };
        finish().map_err(|cause| cause.on(WRITE, &self.target))
    }
}

/// Whether nothing can be renamed over the directory, or somebody would be left in the old one.
fn is_pinned(directory: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    let is_mount_point = directory.exists() && device(directory) != device(parent(directory));
    is_mount_point || std::env::current_dir().is_ok_and(|working| working == directory)
}

/// Keeps other processes out of a directory until it is dropped.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    pub(crate) fn on(directory: &Path) -> Result<Lock> {
        let lock = || {
            let file = File::open(directory)?;
            retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))?;
            Ok(Lock { _file: file })
        };
        lock().map_err(|error: io::Error| Cause::Io(error).on("lock", directory))
    }
}

/// Makes a directory, if it is not there. One that is there may have been made by somebody who did not sync it.
pub(crate) fn create_directory(directory: &Path, durability: Durability) -> Result<()> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => {
            let _ = sync_above(directory, durability);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(Cause::OutputRefused("it is no directory; give another name".into()).on(WRITE, directory))
        }
        created => created
            .and_then(|()| sync_above(directory, durability))
            .map_err(|error| Cause::from(error).on("create", directory)),
    }
}

pub(crate) const WRITE: &str = "write";

/// Syncs the directory that another is in.
fn sync_above(directory: &Path, durability: Durability) -> io::Result<()> {
    match durability {
        Durability::Durable => {
            let names = Names::of(retry_on_intr(|| rustix::fs::open(parent(directory), LISTED, Mode::empty())))?;
            names.sync(|| File::open(directory))
        }
        Durability::Fleeting => Ok(()),
    }
}

/// Some file systems have nothing to sync of a directory, and say so (fsync(2), `EINVAL`).
pub(crate) fn sync_handle(directory: &File) -> io::Result<()> {
    match system::sync(directory) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other,
    }
}

/// Where the file will stand: behind symlinks, if there are some, so that they stay.
pub(crate) fn final_target(target: &Path) -> Result<PathBuf> {
    let refuse = |why: &str| Err(Cause::OutputRefused(why.to_owned()).on(WRITE, target));
    let failed = |error: io::Error| Cause::from(error).on(WRITE, target);
    match uninterrupted(|| fs::metadata(target)) {
        Ok(metadata) if metadata.is_dir() => refuse("it is a directory; give a file name"),
        Ok(metadata) if !metadata.is_file() => {
            refuse("it is no regular file, and will not be replaced; write to standard output instead")
        }
        // It could be replaced all the same, but whoever took the right away meant it to stay.
        Ok(_) => retry_on_intr(|| rustix::fs::access(target, Access::WRITE_OK))
            .map_err(io::Error::from)
            .and_then(|()| uninterrupted(|| fs::canonicalize(target)))
            .map_err(failed),
        Err(_) if target.file_name().is_none() || target.as_os_str().as_encoded_bytes().ends_with(b"/") => {
            refuse("it is no file name; leave out what follows the last slash, and the slash")
        }
        Err(error) if is_loop(&error) => refuse(LOOP),
        Err(error) if error.kind() == io::ErrorKind::NotFound => end_of_links(target).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

const LOOP: &str = "its symlinks lead nowhere but to each other; remove them, or give another name";

fn is_loop(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::LOOP)
}

/// Where symlinks lead behind which nothing stands yet.
fn end_of_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = std::path::absolute(path)?;
    for _ in 0..MAX_LINKS {
        if !path.is_symlink() {
            return Ok(path);
        }
        path = parent(&path).join(fs::read_link(&path)?);
    }
    Err(Errno::LOOP.into())
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
