//! A lock: what stands at each path of an image, and why, to be kept under version control; and what differs between two
//! locks, or two images.

mod chain;
mod change;
mod compare;
mod diff;
mod escape;
mod named;
mod needs;
mod text;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use crate::analyze::{Elf, ReadAt};
use crate::error::{Cause, Result};
use crate::limits::MAX_LOCK;
use crate::root::{Fault, Input, OF_KERNEL, Root, Walker};
use crate::text::hex;
use escape::escaped;

pub use change::{Change, ChangeKind};
pub use diff::{Diff, ImageDiff, SettingChange, diff};

/// What stands in a lock for the rule by which an object was found, where it is one of the programs of the image.
pub(crate) const PROGRAM: &str = "program";

/// What an image holds, and why: a line an entry, sorted by path, fit for version control.
///
/// [`Image::lock`](crate::Image::lock) is the lock of an image. Its text (`Display`) says nothing of the machine that the
/// image was made on and has no dates, so the same image has the same lock. After two lines of comment, a line is
///
/// ```text
/// PATH WHAT MODE FOUND_BY NEEDED_BY NEEDS REASON
/// ```
///
/// with a space between: the path in the image; `sha256:` and the digest of a file, `hardlink:` and the first name of the
/// file, `symlink:` and the target, or `directory`; the permission bits, and behind `+cap:` the capabilities that a file has
/// of its own; `program`, the [code](crate::Rule::code) of the rule by which an object was found, or `-`; the first that
/// needs it, or `-`; the names that an object needs itself, with commas between, or `-`; and
/// [`Entry::reason`](crate::Entry::reason). White space, what no terminal should get, and bytes that are not UTF-8 are `\xNN`
/// in it, a backslash is `\\`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// In bytewise order.
    entries: BTreeMap<OsString, LockEntry>,
    /// Whether it tells why its entries are there; of the images of others nobody knows.
    is_explained: bool,
}

/// What stands at one path, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockEntry {
    pub(crate) kind: LockedKind,
    pub(crate) mode: u32,
    pub(crate) capabilities: Option<Vec<u8>>,
    pub(crate) found_by: Option<String>,
    pub(crate) needed_by: Option<PathBuf>,
    pub(crate) needs: Option<Vec<OsString>>,
    pub(crate) reason: String,
}

/// What kind of thing stands at a path of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockedKind {
    /// A regular file, by the SHA-256 digest of its bytes.
    File([u8; 32]),
    /// A further name of the file at this path, which is the bytewise first of its names.
    HardLink(PathBuf),
    /// A symlink with this target.
    Symlink(PathBuf),
    /// A directory.
    Directory,
    /// A device, a FIFO or a socket, which images of others may hold.
    Special,
}

impl Lock {
    /// Reads a lock that was written before.
    ///
    /// # Errors
    /// [`Malformed`](crate::ErrorKind::Malformed), with the number of the line, for what is no lock, or of another version,
    /// or exceeds a [limit](crate::limits); [`NotFound`](crate::ErrorKind::NotFound) and [`Io`](crate::ErrorKind::Io).
    ///
    /// ```no_run
    /// use scratchpack::{Image, Lock};
    ///
    /// let image = Image::from_binary("hello")?;
    /// for change in Lock::read("hello.lock")?.changes(&image.lock()?) {
    ///     println!("{change}"); // /lib/libfoo.so.3 added: libbar.so.1 now needs it (hello → libbar.so.1 → libfoo.so.3)
    /// }
    /// # Ok::<(), scratchpack::Error>(())
    /// ```
    pub fn read(file: impl AsRef<Path>) -> Result<Lock> {
        let file = file.as_ref();
        let machine = Root::host()?;
        let read = || {
            let (_, input) = Walker::new(&machine).open(&std::path::absolute(file)?).map_err(no_lock)?;
            Lock::of_input(&input)
        };
        read().map_err(|cause| cause.on("read", file))
    }

    fn of_input(input: &Input) -> Result<Lock, Cause> {
        let size = input.stamp.size;
        if size > MAX_LOCK {
            return Err(Cause::malformed(format!("it has {size} bytes, and a lock {MAX_LOCK} at most")));
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
        let filled = input.read_at(&mut bytes, 0)?;
        text::parse(&bytes[..filled])
    }

    /// Each path of the image with what stands there, in bytewise order.
    pub fn entries(&self) -> impl Iterator<Item = (&Path, &LockEntry)> {
        self.entries.iter().map(|(path, entry)| (Path::new(path), entry))
    }

    /// What is otherwise in `now`: what was added, is gone or changed, each with why, in the order of the paths; symlinks
    /// and directories that come or go with a file stand behind it.
    pub fn changes(&self, now: &Lock) -> Vec<Change> {
        compare::changes(self, now)
    }

    pub(crate) fn of(entries: impl Iterator<Item = (PathBuf, LockEntry)>) -> Lock {
        let entries = entries.map(|(path, entry)| (path.into_os_string(), entry)).collect();
        Lock { entries, is_explained: true }
    }

    /// What stands at `path`.
    pub fn entry(&self, path: impl AsRef<Path>) -> Option<&LockEntry> {
        self.entries.get(path.as_ref().as_os_str())
    }

    /// The files that have further names which are no programs: what the caller gave beside a program, and it is.
    pub(crate) fn given_names(&self) -> BTreeSet<&Path> {
        let others = self.entries.values().filter(|entry| !entry.is_program());
        let firsts = others.filter_map(|entry| match &entry.kind {
            LockedKind::HardLink(first) => Some(first.as_path()),
            _ => None,
        });
        firsts.collect()
    }

    pub(crate) fn expect_within_limits(&self, text: &str) -> Result<(), Cause> {
        text::expect_within_limits(self, text)
    }
}

/// The text of the lock.
impl Display for Lock {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        text::write(self, f)
    }
}

impl LockEntry {
    /// What stands there.
    pub fn kind(&self) -> &LockedKind {
        &self.kind
    }

    /// The permission bits.
    pub fn mode(&self) -> u32 {
        self.mode
    }

    /// The capabilities that the file has of its own, as they are stored (capabilities(7)).
    pub fn capabilities(&self) -> Option<&[u8]> {
        self.capabilities.as_deref()
    }

    /// `program`, or the [code](crate::Rule::code) of the rule by which the object was found; `None` for what no rule
    /// found: symlinks and directories, and the files that the caller gives and that needs take.
    pub fn found_by(&self) -> Option<&str> {
        self.found_by.as_deref()
    }

    /// The path of the first object that needs it. In the image of others it is one that names it in its dynamic section.
    pub fn needed_by(&self) -> Option<&Path> {
        self.needed_by.as_deref()
    }

    /// The names that an object needs itself: its interpreter, and what its dynamic section names, as they stand there. `None`
    /// for what is no object, and for what nobody loads.
    pub fn needs(&self) -> Option<&[OsString]> {
        self.needs.as_deref()
    }

    /// Why it is there, in words; empty where nobody knows.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether it is one of the programs of the image.
    fn is_program(&self) -> bool {
        self.found_by() == Some(PROGRAM)
    }

    fn is_link(&self) -> bool {
        matches!(self.kind, LockedKind::Symlink(_))
    }

    /// Mode and capabilities, as a lock has them.
    fn rights(&self) -> String {
        let capabilities = self.capabilities.as_deref().map(hex);
        let capabilities = capabilities.map(|value| format!("+cap:{value}")).unwrap_or_default();
        format!("{:04o}{capabilities}", self.mode)
    }

    /// Whether the same stands there, for whatever reason.
    fn is_same(&self, other: &LockEntry) -> bool {
        self.kind == other.kind && self.has_same_rights(other)
    }

    fn has_same_rights(&self, other: &LockEntry) -> bool {
        self.mode == other.mode && self.capabilities == other.capabilities
    }

    fn has_same_reason(&self, other: &LockEntry) -> bool {
        self.found_by == other.found_by && self.needed_by == other.needed_by && self.reason == other.reason
    }
}

/// As a lock has it: `sha256:...`, `hardlink:/bin/a`, `symlink:libx.so.1.2`, `directory`.
impl Display for LockedKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            LockedKind::File(digest) => write!(f, "sha256:{}", hex(digest)),
            LockedKind::HardLink(first) => write!(f, "hardlink:{}", escaped(first.as_os_str())),
            LockedKind::Symlink(target) => write!(f, "symlink:{}", escaped(target.as_os_str())),
            LockedKind::Directory => f.write_str("directory"),
            LockedKind::Special => f.write_str("special"),
        }
    }
}

/// Why what could not be opened is no lock.
fn no_lock(fault: Fault) -> Cause {
    match fault {
        Fault::Directory => Cause::malformed("it is a directory; a lock is a file, which --lock writes"),
        Fault::Special => Cause::malformed("it is no regular file, as a lock is; save it to one first"),
        Fault::OfKernel => Cause::malformed(OF_KERNEL),
        fault => fault.into_cause(),
    }
}

/// What an object needs by name, its interpreter first.
pub(crate) fn names_needed(elf: &Elf) -> impl Iterator<Item = &OsStr> {
    elf.interpreter().into_iter().chain(elf.needed())
}

/// The last name of a path, as a person calls a file.
fn file_name(path: &Path) -> &OsStr {
    path.file_name().unwrap_or(path.as_os_str())
}
