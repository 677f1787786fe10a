//! The only place where output appears: under a temporary name beside its own, synced, then renamed over it. A reader
//! sees the old or the new, whole; an error leaves the old.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Advice, FlockOperation, fadvise, flock};

use super::progress::{Progress, Reporter, Stage};
use crate::error::{Cause, Result};
use crate::root::Stamp;

/// Whether an output outlives a loss of power from the moment on at which it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The system writes it to disk when it likes.
    Fleeting,
    Durable,
}

/// A file in the making. Dropped without [`Draft::publish`], it leaves no trace.
pub(crate) struct Draft {
    file: File,
    temporary: Temporary,
    target: PathBuf,
    durability: Durability,
    written: u64,
    /// How much of it is on its way to the disk.
    sent: u64,
}

/// An output that is where it belongs.
pub(crate) struct Published {
    file: File,
    /// As it was before anybody could see it.
    before: Option<Stamp>,
}

impl Published {
    /// The stamp of what was written; `None` where somebody wrote to it since.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        // Being renamed changes the time of the last change of status alone.
        Stamp::of_file(&self.file).filter(|now| self.before.is_some_and(|before| before.has_same_content(now)))
    }
}

/// So much is sent to the disk at a time, while more is being made: then there is little left to wait for in the end.
const SENT: u64 = 8 << 20;

/// A path that is removed when it is dropped.
struct Temporary(Option<PathBuf>);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // It may be a file or a directory; whichever it is, one of the two does nothing.
            let _ = fs::remove_file(path);
            let _ = fs::remove_dir_all(path);
        }
    }
}

impl Draft {
    /// Begins a file that will be published at `target`, which is where [`final_target`] says.
    pub(crate) fn beside(target: PathBuf, durability: Durability) -> Result<Draft> {
        let create = |path: &Path| OpenOptions::new().read(true).write(true).create_new(true).open(path);
        let (file, path) = with_temporary_name(&target, create)?;
        Ok(Draft { file, temporary: Temporary(Some(path)), target, durability, written: 0, sent: 0 })
    }

    /// Begins a file in `directory` whose name is not known yet.
    pub(crate) fn in_directory(directory: &Path, durability: Durability) -> Result<Draft> {
        Draft::beside(directory.join("blob"), durability)
    }

    /// Writes what was left open at some place.
    pub(crate) fn fill_in(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, at)
    }

    /// Puts the finished file where it belongs, and gives it as it is there.
    pub(crate) fn publish(self, reporter: &Reporter) -> Result<Published> {
        let target = self.target.clone();
        self.publish_as(&target, reporter)
    }

    /// The same, under a name that only its content told.
    pub(crate) fn publish_as(mut self, target: &Path, reporter: &Reporter) -> Result<Published> {
        let finish = || {
            if self.durability == Durability::Durable {
                reporter.report(Progress::new(Stage::Sync, 0, 0));
                self.file.sync_all()?;
            }
            let before = Stamp::of_file(&self.file);
            if let Some(temporary) = &self.temporary.0 {
                fs::rename(temporary, target)?;
            }
            sync_directory(parent(target), self.durability)?;
            Ok(before)
        };
        let before = finish().map_err(|error: io::Error| Cause::Io(error).on(WRITE, target))?;
        self.temporary.0 = None;
        Ok(Published { file: self.file, before })
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let size = self.file.write(bytes)?;
        self.written += size as u64;
        if self.durability == Durability::Durable && self.written - self.sent >= SENT {
            send_to_disk(&self.file, self.sent, self.written - self.sent);
            self.sent = self.written;
        }
        Ok(size)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Begins to write some of a file to disk, and does not wait for it.
///
/// Of the calls that do, this is the one that is safe to make from Rust: for pages that were changed, Linux takes the
/// advice as "write them now" (`generic_fadvise` in mm/fadvise.c), and only then drops those that are written already.
pub(crate) fn send_to_disk(file: &File, from: u64, size: u64) {
    let _ = fadvise(file, from, std::num::NonZeroU64::new(size), Advice::DontNeed);
}

/// Publishes a small file.
pub(crate) fn publish_bytes(target: &Path, bytes: &[u8], durability: Durability) -> Result<Published> {
    let mut draft = Draft::beside(target.to_owned(), durability)?;
    draft.write_all(bytes).map_err(|error| Cause::Io(error).on(WRITE, target))?;
    draft.publish(&Reporter::default())
}

/// A directory in the making.
pub(crate) struct DirectoryDraft {
    temporary: Temporary,
    target: PathBuf,
    durability: Durability,
}

impl DirectoryDraft {
    /// Begins a directory that will be published at `target`, where nothing may stand but an empty directory.
    pub(crate) fn of(target: &Path, durability: Durability) -> Result<DirectoryDraft> {
        let refuse = |why: &str| Err(Cause::OutputRefused(why.to_owned()).on(WRITE, target));
        match fs::read_dir(target).map(|mut entries| entries.next().is_some()) {
            Ok(true) => return refuse("the directory is not empty; remove it, or give a new name"),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return refuse("it is no directory; remove it, or give a new name");
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Cause::Io(error).on(WRITE, target));
            }
            _ => {}
        }
        let resolve = |path: &Path| if path.exists() { fs::canonicalize(path) } else { std::path::absolute(path) };
        let target = resolve(target).map_err(|error| Cause::Io(error).on(WRITE, target))?;
        if is_pinned(&target) {
            return refuse("a mount point or the working directory cannot be replaced; give a new name in it");
        }
        let ((), path) = with_temporary_name(&target, |path| fs::create_dir(path))?;
        Ok(DirectoryDraft { temporary: Temporary(Some(path)), target, durability })
    }

    pub(crate) fn path(&self) -> &Path {
        self.temporary.0.as_deref().unwrap_or(&self.target)
    }

    pub(crate) fn publish(mut self) -> Result<()> {
        let finish = || {
            sync_directory(self.path(), self.durability)?;
            fs::rename(self.path(), &self.target)?;
            sync_directory(parent(&self.target), self.durability)
        };
        finish().map_err(|error| Cause::Io(error).on(WRITE, &self.target))?;
        self.temporary.0 = None;
        Ok(())
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
            flock(&file, FlockOperation::LockExclusive)?;
            Ok(Lock { _file: file })
        };
        lock().map_err(|error: io::Error| Cause::Io(error).on("lock", directory))
    }
}

/// Makes a directory, if it is not there.
pub(crate) fn create_directory(directory: &Path, durability: Durability) -> Result<()> {
    let created = fs::create_dir(directory).and_then(|()| sync_directory(parent(directory), durability));
    match created {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(Cause::OutputRefused("it is no directory; give another name".into()).on(WRITE, directory))
        }
        other => other.map_err(|error| Cause::from(error).on("create", directory)),
    }
}

pub(crate) const WRITE: &str = "write";

fn sync_directory(directory: &Path, durability: Durability) -> io::Result<()> {
    match durability {
        Durability::Durable => File::open(directory)?.sync_all(),
        Durability::Fleeting => Ok(()),
    }
}

/// Where the file will stand: behind a symlink, if there is one, so that the link stays.
pub(crate) fn final_target(target: &Path) -> Result<PathBuf> {
    let refuse = |why: &str| Err(Cause::OutputRefused(why.to_owned()).on(WRITE, target));
    match fs::metadata(target) {
        Ok(metadata) if metadata.is_dir() => refuse("it is a directory; give a file name"),
        Ok(metadata) if !metadata.is_file() => {
            refuse("it is no regular file, and will not be replaced; write to standard output instead")
        }
        Ok(_) => fs::canonicalize(target).map_err(|error| Cause::Io(error).on(WRITE, target)),
        Err(_) if target.file_name().is_none() || target.as_os_str().as_encoded_bytes().ends_with(b"/") => {
            refuse("it is no file name; leave out what follows the last slash, and the slash")
        }
        Err(_) if target.is_symlink() => {
            let linked = fs::read_link(target).map_err(|error| Cause::Io(error).on(WRITE, target))?;
            Ok(parent(target).join(linked))
        }
        Err(_) => std::path::absolute(target).map_err(|error| Cause::Io(error).on(WRITE, target)),
    }
}

const PREFIX: &str = ".scratchpack-";
const SUFFIX: &str = ".tmp";

/// Whether a file is a draft, of a process that is at work or was killed.
pub(crate) fn is_temporary(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(PREFIX.as_bytes()) && name.ends_with(SUFFIX.as_bytes())
}

/// Creates something beside `target`, under a name that nothing has. A name can be taken by what another process left
/// behind when it was killed.
fn with_temporary_name<T>(target: &Path, create: impl Fn(&Path) -> io::Result<T>) -> Result<(T, PathBuf)> {
    let created = under_new_name(PREFIX, SUFFIX, |name| create(&parent(target).join(name)));
    let (created, name) = created.map_err(|error| Cause::from(error).on("create a file in", parent(target)))?;
    Ok((created, parent(target).join(name)))
}

/// Creates something under a name between `prefix` and `suffix` that nothing has.
pub(crate) fn under_new_name<T>(
    prefix: &str,
    suffix: &str,
    create: impl Fn(&str) -> io::Result<T>,
) -> io::Result<(T, String)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}{}-{number}{suffix}", std::process::id());
        match create(&name) {
            Ok(created) => return Ok((created, name)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
