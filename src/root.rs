//! A directory seen as `/`, and the only reader of input files.
//!
//! Every open goes through a directory handle and one name without following links, so no path, no `..` and no
//! symlink leads out of the root, even while another process swaps links and directories.

mod faults;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

use crate::error::{Cause, Error};
use crate::system;
use faults::Faults;

pub(crate) use walk::{
    MAX_LINKS, NAME_MAX, PATH_MAX, Step, Walk, Walker, ends_as_directory, expect_possible, steps_to_walk,
};

const OPEN_ROOT: &str = "use as root";

/// Directory handles kept open at a time; a process may have as few as 1,024 descriptors in all.
const HANDLES: usize = 64;

/// Names of one directory that are believed. The largest directory of libraries known has some 10,000.
pub(crate) const MAX_NAMES: usize = 65_536;

/// A directory seen as `/`.
#[derive(Debug)]
pub(crate) struct Root {
    /// As the caller wrote it, made absolute.
    dir: PathBuf,
    /// With all symlinks resolved.
    real: PathBuf,
    handle: OwnedFd,
    /// Handles by path in this root, all symlinks resolved.
    handles: Mutex<Handles>,
    faults: Arc<Faults>,
}

/// Handles by path.
#[derive(Debug, Default)]
struct Handles {
    // Hashing an OsStr is hashing bytes; hashing a Path is parsing it.
    by_path: HashMap<OsString, Arc<OwnedFd>>,
    /// The last one that was asked for: nearly always the next one as well.
    last: Option<(OsString, Arc<OwnedFd>)>,
}

impl Handles {
    fn get(&mut self, path: &OsStr) -> Option<Arc<OwnedFd>> {
        if let Some((_, handle)) = self.last.as_ref().filter(|(last, _)| last == path) {
            return Some(handle.clone());
        }
        let handle = self.by_path.get(path)?.clone();
        self.last = Some((path.to_owned(), handle.clone()));
        Some(handle)
    }

    fn keep(&mut self, path: &OsStr, handle: &Arc<OwnedFd>) {
        if self.by_path.len() >= HANDLES {
            self.by_path.clear();
        }
        self.by_path.insert(path.to_owned(), handle.clone());
        self.last = Some((path.to_owned(), handle.clone()));
    }
}

/// What tells one file from another, and one state of a file from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) id: FileId,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    mtime: (i64, u64),
    ctime: (i64, u64),
}

/// The identity of a file: two names with one identity are hard links to the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FileId {
    dev: u64,
    ino: u64,
}

impl FileId {
    /// Of what stands at a path of this machine, symlinks followed; `None` where nothing does, or nobody may ask.
    pub(crate) fn of(path: &Path) -> Result<Option<FileId>, Cause> {
        match retry_on_intr(|| rustix::fs::stat(path)) {
            Ok(status) => Ok(Some(Stamp::of(&status).id)),
            Err(errno) if faults::is_of_machine(errno) => Err(errno.into()),
            Err(_) => Ok(None),
        }
    }
}

/// A regular file, open for positioned reads.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) file: File,
    pub(crate) stamp: Stamp,
    /// Where it is, for whoever takes down that it cannot be read.
    path: PathBuf,
    faults: Arc<Faults>,
}

/// A name of a directory, and what stands there.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) name: OsString,
    pub(crate) kind: ListedKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListedKind {
    Directory,
    Symlink,
    File,
    Special,
}

/// Why a path could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Directory,
    /// A FIFO, a socket or a device: opening one may block, or do something.
    Special,
    /// A regular file of the kernel's own, as in `/proc`.
    OfKernel,
    /// More than 40 symlinks (path_resolution(7)).
    Loop,
    System(Errno),
}

impl Fault {
    pub(crate) fn is_absence(self) -> bool {
        matches!(self, Fault::System(Errno::NOENT | Errno::NOTDIR))
    }

    pub(crate) fn into_cause(self) -> Cause {
        match self {
            Fault::Directory => Cause::NotElf("it is a directory; give the executable itself".into()),
            Fault::Special => Cause::NotElf("it is not a regular file; give the executable itself".into()),
            Fault::OfKernel => Cause::NotElf(OF_KERNEL.into()),
            Fault::Loop => Cause::Io(std::io::Error::new(
                std::io::Error::from(Errno::LOOP).kind(),
                format!("it leads through more than {MAX_LINKS} symlinks, which is the limit"),
            )),
            Fault::System(Errno::NOTDIR) => Cause::NotFound,
            Fault::System(errno) => errno.into(),
        }
    }
}

/// Why such a file is not read: its size says nothing of what it holds, and to read it may have effects.
pub(crate) const OF_KERNEL: &str =
    "it is a file of the kernel's own, whose size does not tell what it holds; copy it first, and give the copy";

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        Fault::System(errno)
    }
}

impl Root {
    /// This machine's own file tree.
    pub(crate) fn host() -> Result<Root, Error> {
        Root::at(Path::new("/"))
    }

    /// The tree below `dir`.
    pub(crate) fn at(dir: &Path) -> Result<Root, Error> {
        let open = || {
            let dir = std::path::absolute(dir)?;
            let real = std::fs::canonicalize(&dir)?;
            let handle = rustix::fs::open(&real, DIRECTORY, Mode::empty())?;
            Ok(Root { dir, real, handle, handles: Mutex::default(), faults: Arc::default() })
        };
        uninterrupted(open).map_err(|error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
                Cause::InvalidOption(vec!["it is no directory of this machine; give the root of a system".into()])
                    .on(OPEN_ROOT, dir)
            }
            _ => Cause::Io(error).on(OPEN_ROOT, dir),
        })
    }

    /// The path on this machine of a path in this root.
    pub(crate) fn on_machine(&self, path: &Path) -> PathBuf {
        self.dir.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// What this machine failed at since somebody asked last, while files of this root were read. Whoever concludes
    /// anything from what was read, or was not there, has to ask.
    pub(crate) fn take_faults(&self) -> Vec<Error> {
        self.faults.take()
    }

    /// Takes down that nothing is known of what is at `path`, because of `cause`.
    pub(crate) fn note(&self, path: &Path, cause: Cause) {
        self.faults.note(self.on_machine(path), cause);
    }

    /// What comes of work on `path`; where it fails for no reason of the file's own, that is taken down. A signal is none
    /// to fail: file systems of a network or of a program give up a call for one, others never do.
    fn noting<T>(&self, path: impl FnOnce() -> PathBuf, work: impl FnMut() -> Result<T, Errno>) -> Result<T, Fault> {
        retry_on_intr(work).map_err(|errno| {
            if faults::is_of_machine(errno) {
                self.note(&path(), errno.into());
            }
            Fault::System(errno)
        })
    }

    /// Whether this is the machine's own tree.
    pub(crate) fn is_host(&self) -> bool {
        self.real == Path::new("/")
    }

    /// The directory itself, all symlinks resolved.
    pub(crate) fn real_directory(&self) -> &Path {
        &self.real
    }

    /// Opens the regular file at `path`, whose directories are all real: no component is a symlink.
    pub(crate) fn open(&self, path: &Path) -> Result<Input, Fault> {
        let (parent, name) = split(path)?;
        // Looks before it opens: opening a device can have effects of its own.
        expect_regular(&self.status(parent, name)?)?;
        self.open_seen(path)
    }

    /// The same for a path at which a regular file was seen just before.
    fn open_seen(&self, path: &Path) -> Result<Input, Fault> {
        let (parent, name) = split(path)?;
        let open = |directory: BorrowedFd<'_>| {
            let file = rustix::fs::openat(directory, name, REGULAR, Mode::empty())?;
            let status = rustix::fs::fstat(&file)?;
            #[allow(clippy::unnecessary_cast)]
            let is_of_kernel = system::is_of_kernel(&file, status.st_blocks as u64)?;
            Ok((file, status, is_of_kernel))
        };
        let opened = self.in_directory(parent, |directory| self.noting(|| path.to_owned(), || open(directory)));
        let (file, status, is_of_kernel) = opened?;
        expect_regular(&status)?;
        if is_of_kernel {
            return Err(Fault::OfKernel);
        }
        let (stamp, faults) = (Stamp::of(&status), self.faults.clone());
        Ok(Input { file: file.into(), stamp, path: self.on_machine(path), faults })
    }

    /// The mode of what stands at `path`; where it may not be asked for, that of an executable.
    pub(crate) fn mode(&self, path: &Path) -> u32 {
        let status = split(path).and_then(|(parent, name)| self.status(parent, name));
        status.map_or(0o111, |status| Stamp::of(&status).mode)
    }

    /// The status of `name` in the real directory `parent`, links not followed.
    fn status(&self, parent: &Path, name: &OsStr) -> Result<Stat, Fault> {
        self.in_directory(parent, |directory| {
            let status = || rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
            self.noting(|| parent.join(name), status)
        })
    }

    /// What the real directory `real` holds, in no order, if that is no more than `limit`.
    pub(crate) fn list(&self, real: &Path, limit: usize) -> Result<Vec<Listed>, Fault> {
        self.in_directory(real, |directory| self.noting(|| real.to_owned(), || list(directory, limit)))
    }

    /// The target of the symlink `name` in the real directory `parent`.
    pub(crate) fn read_link(&self, parent: &Path, name: &OsStr) -> Result<PathBuf, Fault> {
        self.in_directory(parent, |directory| self.noting(|| parent.join(name), || target_of(directory, name)))
    }

    /// The names in the real directory `real`, in the order of their bytes.
    fn names(&self, real: &Path) -> Result<Vec<OsString>, Fault> {
        let mut names: Vec<OsString> = self.list(real, MAX_NAMES)?.into_iter().map(|listed| listed.name).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The names in the real directory `real`, where no other name can be found in it.
    fn all_names(&self, real: &Path) -> Option<HashSet<OsString>> {
        let names: HashSet<OsString> = self.list(real, MAX_NAMES).ok()?.into_iter().map(|listed| listed.name).collect();
        let is_exact = self.in_directory(real, |directory| {
            Ok(system::lists_all_names(directory)? && !may_find_other_case(directory, &names))
        });
        is_exact.unwrap_or(false).then_some(names)
    }

    fn in_directory<T>(&self, real: &Path, work: impl FnOnce(BorrowedFd<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
        match self.handle_of(real)? {
            Some(handle) => work(handle.as_fd()),
            None => work(self.handle.as_fd()),
        }
    }

    /// The handle of a real directory; `None` for the root itself.
    fn handle_of(&self, real: &Path) -> Result<Option<Arc<OwnedFd>>, Fault> {
        let Ok((parent, name)) = split(real) else { return Ok(None) };
        if let Some(handle) = self.lock().get(real.as_os_str()) {
            return Ok(Some(handle));
        }
        let handle = self.in_directory(parent, |directory| {
            self.noting(|| real.to_owned(), || rustix::fs::openat(directory, name, DIRECTORY, Mode::empty()))
        })?;
        let handle = Arc::new(handle);
        self.lock().keep(real.as_os_str(), &handle);
        Ok(Some(handle))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Handles> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a directory may answer to a name in other letters than those that it has, as some do that no case tells apart.
fn may_find_other_case(directory: BorrowedFd<'_>, names: &HashSet<OsString>) -> bool {
    let mut others = names.iter().filter_map(|name| {
        let other: Vec<u8> = name.as_bytes().iter().map(|&byte| swap_case(byte)).collect();
        let other = OsString::from_vec(other);
        (!names.contains(&other)).then_some(other)
    });
    let status = |other| rustix::fs::statat(directory, &other, AtFlags::SYMLINK_NOFOLLOW);
    others.next().is_some_and(|other| !matches!(status(other), Err(Errno::NOENT)))
}

fn swap_case(letter: u8) -> u8 {
    if letter.is_ascii_alphabetic() { letter ^ 0x20 } else { letter }
}

fn list(directory: BorrowedFd<'_>, limit: usize) -> Result<Vec<Listed>, Errno> {
    let mut listed = Vec::new();
    for entry in Dir::new(rustix::fs::openat(directory, ".", LISTED, Mode::empty())?)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if listed.len() == limit {
            return Err(Errno::OVERFLOW);
        }
        if name != "." && name != ".." {
            listed.extend(look_at(directory, name, entry.file_type())?);
        }
    }
    Ok(listed)
}

fn target_of(directory: BorrowedFd<'_>, name: &OsStr) -> Result<PathBuf, Errno> {
    let mut short = [0; 256];
    let length = rustix::fs::readlinkat_raw(directory, name, &mut short)?;
    // A longer one fills it, and is cut off.
    if length < short.len() {
        return Ok(PathBuf::from(OsStr::from_bytes(&short[..length])));
    }
    let target = rustix::fs::readlinkat(directory, name, Vec::new())?;
    Ok(PathBuf::from(OsStr::from_bytes(target.as_bytes())))
}

/// A name of a directory; `None` where it is gone again.
fn look_at(directory: BorrowedFd<'_>, name: &OsStr, kind: FileType) -> Result<Option<Listed>, Errno> {
    // Not every file system tells.
    let kind = match kind {
        FileType::Unknown => match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) => FileType::from_raw_mode(status.st_mode),
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno),
        },
        known => known,
    };
    let kind = match kind {
        FileType::Directory => ListedKind::Directory,
        FileType::Symlink => ListedKind::Symlink,
        FileType::RegularFile => ListedKind::File,
        _ => ListedKind::Special,
    };
    Ok(Some(Listed { name: name.to_owned(), kind }))
}

const DIRECTORY: OFlags = system::SEARCHED.union(OFlags::NOFOLLOW);

/// As [`DIRECTORY`], but with the right to read the names.
const LISTED: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Never blocks on a FIFO, and never makes a terminal the controlling one.
const REGULAR: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

fn expect_regular(status: &Stat) -> Result<(), Fault> {
    expect_regular_type(FileType::from_raw_mode(status.st_mode))
}

fn expect_regular_type(kind: FileType) -> Result<(), Fault> {
    match kind {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(Fault::Directory),
        FileType::Symlink => Err(Fault::Loop),
        _ => Err(Fault::Special),
    }
}

/// The directory and the last name of an absolute path; an error where it ends in no name, as `/` does.
fn split(path: &Path) -> Result<(&Path, &OsStr), Fault> {
    let bytes = path.as_os_str().as_bytes();
    let slash = memchr::memrchr(b'/', bytes).ok_or(Fault::Directory)?;
    match &bytes[slash + 1..] {
        b"" | b"." | b".." => Err(Fault::Directory),
        name => Ok((Path::new(OsStr::from_bytes(&bytes[..slash.max(1)])), OsStr::from_bytes(name))),
    }
}

impl Stamp {
    // The types of these fields differ between machines.
    #[allow(clippy::unnecessary_cast)]
    fn of(status: &Stat) -> Self {
        Stamp {
            id: FileId { dev: status.st_dev as u64, ino: status.st_ino as u64 },
            size: u64::try_from(status.st_size).unwrap_or(0),
            mode: status.st_mode as u32,
            mtime: (status.st_mtime as i64, status.st_mtime_nsec as u64),
            ctime: (status.st_ctime as i64, status.st_ctime_nsec as u64),
        }
    }
}

/// The bytes of a stored [`Stamp`].
pub(crate) const STAMP: usize = 64;

/// A point in time of the clock that files are stamped with: seconds and nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(i64, u64);

impl Moment {
    /// Now.
    pub(crate) fn now() -> Moment {
        let (seconds, nanoseconds) = system::now();
        Moment(seconds, nanoseconds)
    }

    pub(crate) fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.1) << 64 | u128::from(self.0 as u64)).to_le_bytes()
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Moment {
        let both = u128::from_le_bytes(bytes);
        Moment(both as u64 as i64, (both >> 64) as u64)
    }
}

/// The extended attribute in which a file's own capabilities are (capabilities(7)).
pub(crate) const CAPABILITY: &str = "security.capability";

/// More than they ever take.
const CAPABILITY_BYTES: usize = 64;

/// What a file's own capabilities mean for whoever runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// Rather than only letting through what a process has already.
    pub(crate) grant_rights: bool,
    /// As they are stored, as far as the kernel reads them.
    pub(crate) value: Arc<[u8]>,
}

impl Capabilities {
    /// `struct vfs_cap_data` (linux/capability.h): behind a word for the version and a flag, pairs of what is permitted
    /// and what is inheritable. Whatever is effective or permitted makes a process secure (`cap_bprm_creds_from_file`).
    pub(crate) fn of(value: &[u8]) -> Capabilities {
        const EFFECTIVE: u8 = 1;
        let is_effective = value.first().is_some_and(|flags| flags & EFFECTIVE != 0);
        let pairs = value.get(4..).unwrap_or_default().chunks(8).take(2);
        let is_permitted = pairs.into_iter().any(|pair| pair.iter().take(4).any(|&byte| byte != 0));
        let value = value.get(..CAPABILITY_BYTES).unwrap_or(value).into();
        Capabilities { grant_rights: is_effective || is_permitted, value }
    }
}

/// Whether whoever runs a file of this mode gets the rights of its owner or group (execve(2)).
pub(crate) fn gains_rights(mode: u32) -> bool {
    const SETUID: u32 = 0o4000;
    // Without the group's x bit, setgid means something else.
    const SETGID: u32 = 0o2010;
    mode & SETUID != 0 || mode & SETGID == SETGID
}

impl Stamp {
    /// Whether whoever runs the file gets the rights of its owner or group.
    pub(crate) fn gains_rights(&self) -> bool {
        gains_rights(self.mode)
    }

    /// Of an open file.
    pub(crate) fn of_file(file: &File) -> Option<Stamp> {
        retry_on_intr(|| rustix::fs::fstat(file)).ok().map(|status| Stamp::of(&status))
    }

    /// All that it tells, to be stored.
    pub(crate) fn to_bytes(self) -> [u8; STAMP] {
        let Stamp { id, size, mode, mtime, ctime } = self;
        let numbers = [id.dev, id.ino, size, u64::from(mode), mtime.0 as u64, mtime.1, ctime.0 as u64, ctime.1];
        let mut bytes = [0; STAMP];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// Whether it is the same file, and nobody wrote to it in between.
    pub(crate) fn has_same_content(&self, other: &Stamp) -> bool {
        *self == Stamp { ctime: self.ctime, ..*other }
    }

    /// Whether every later change of the file shows in its stamp, for somebody who read it after `moment`.
    ///
    /// Two changes within one tick of the file system's clock leave the same times behind (git's documentation,
    /// "Racy Git"). A time that is a whole number of hundredths of a second is most likely one of a coarser clock: a tick
    /// may be two seconds then, as on FAT.
    pub(crate) fn is_settled(&self, moment: Moment) -> bool {
        let (seconds, nanoseconds) = self.ctime;
        match nanoseconds % 10_000_000 {
            0 => seconds.saturating_add(2) < moment.0,
            _ => (seconds, nanoseconds) < (moment.0, moment.1),
        }
    }

    /// Of the `number`th file that is on no disk.
    pub(crate) fn invented(number: u64) -> Self {
        let id = FileId { dev: u64::MAX, ino: number };
        Stamp { id, size: 0, mode: 0, mtime: (0, 0), ctime: (0, 0) }
    }
}

impl Input {
    /// What came of reading it; what this machine failed at is taken down.
    pub(crate) fn noting<T>(&self, done: io::Result<T>) -> io::Result<T> {
        done.inspect_err(|error| {
            if faults::is_io_of_machine(error) {
                self.faults.note(self.path.clone(), Cause::Io(again(error)));
            }
        })
    }

    /// What the capabilities that the file has of its own mean.
    pub(crate) fn capabilities(&self) -> Result<Option<Capabilities>, Cause> {
        Ok(self.capability_value()?.map(|value| Capabilities::of(&value)))
    }

    /// The capabilities that the file has of its own, as they are stored: 12 to 24 bytes (capabilities(7)).
    pub(crate) fn capability_value(&self) -> Result<Option<Vec<u8>>, Cause> {
        let mut value = [0; CAPABILITY_BYTES];
        match retry_on_intr(|| rustix::fs::fgetxattr(&self.file, CAPABILITY, &mut value)) {
            Ok(size) => Ok(value.get(..size).filter(|value| !value.is_empty()).map(<[u8]>::to_vec)),
            Err(errno) if faults::is_of_machine(errno) => Err(errno.into()),
            // It has none, or its file system.
            Err(_) => Ok(None),
        }
    }

    /// Whether the open file is still in the state in which it was opened.
    pub(crate) fn is_unchanged(&self) -> bool {
        Stamp::of_file(&self.file).is_some_and(|stamp| stamp == self.stamp)
    }
}

/// What comes of work that no signal ends.
pub(crate) fn uninterrupted<T>(work: impl Fn() -> io::Result<T>) -> io::Result<T> {
    loop {
        match work() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// The same error for a second place.
fn again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
