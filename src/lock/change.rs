//! One difference, and the words for it.

use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::chain::Chain;
use super::{LockEntry, LockedKind, file_name};
use crate::text::{hex, printable};

/// One path at which two locks or images differ.
///
/// `Display` is a line that names the path, what became of it and why:
/// `/lib/libfoo.so.3 added: libbar.so.1 now needs it (hello → libbar.so.1 → libfoo.so.3)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub(super) path: PathBuf,
    pub(super) kind: ChangeKind,
    pub(super) before: Option<LockEntry>,
    pub(super) after: Option<LockEntry>,
    pub(super) chain: Chain,
    pub(super) why: Why,
    /// One for all that come or go with it.
    pub(super) with: Option<Arc<OsStr>>,
}

/// What became of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangeKind {
    /// It was not there.
    Added,
    /// It is there no more.
    Gone,
    /// Another content, kind, mode, or capabilities.
    Changed,
    /// The same for another reason, which two locks alone can tell.
    Reason,
}

impl ChangeKind {
    /// The stable name, as the command's JSON has it: `added`, `gone`, `changed`, `reason`.
    pub fn code(self) -> &'static str {
        match self {
            ChangeKind::Added => "added",
            ChangeKind::Gone => "gone",
            ChangeKind::Changed => "changed",
            ChangeKind::Reason => "reason",
        }
    }
}

/// Why something came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It neither came nor went.
    Stays,
    /// By what it tells itself.
    Told,
    /// By what was there before and did not need it.
    NeededNow(PathBuf),
    Needed(PathBuf),
    /// A file of the same name was there instead.
    Was(PathBuf),
    /// A file of the same name is there instead.
    Is(PathBuf),
    /// The program is another path.
    ProgramWas(PathBuf),
    ProgramIs(PathBuf),
    /// By what is there and does not need it.
    NeededNoMore(PathBuf),
    WasNeeded(PathBuf),
    NeederGone(PathBuf),
}

impl Change {
    /// The path in the image.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What became of it.
    pub fn kind(&self) -> ChangeKind {
        self.kind
    }

    /// What stood there before; `None` for what was added.
    pub fn before(&self) -> Option<&LockEntry> {
        self.before.as_ref()
    }

    /// What stands there now; `None` for what is gone.
    pub fn after(&self) -> Option<&LockEntry> {
        self.after.as_ref()
    }

    /// Who needs it, as paths, from a program on, with the path itself at the end; of what is gone, who needed it. Empty
    /// where no object does, or nobody knows. Of more than 16, or of very long paths, the nearest. It is made each time.
    pub fn chain(&self) -> Vec<&Path> {
        self.chain.paths()
    }

    /// The file with which this symlink or directory comes or goes.
    pub fn with(&self) -> Option<&Path> {
        self.with.as_deref().map(Path::new)
    }

    /// Whether it is a program that was made anew, under however many names, and nothing else of it changed.
    pub(crate) fn is_program_made_anew(&self) -> bool {
        let is_program = |entry: &LockEntry| entry.is_program() && entry.is_file();
        let both = self.before.as_ref().zip(self.after.as_ref());
        both.is_some_and(|(before, after)| is_program(before) && is_program(after) && before.has_same_rights(after))
    }

    /// What stands there, or stood.
    pub(super) fn entry(&self) -> Option<&LockEntry> {
        self.after.as_ref().or(self.before.as_ref())
    }

    fn fmt_why(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::Stays => Ok(()),
            Why::Told => self.fmt_told(f),
            Why::NeededNow(by) => write!(f, ": {} now needs it", name(by)),
            Why::Needed(by) => write!(f, ": {} needs it", name(by)),
            Why::Was(path) => write!(f, ": it was {} before", printable(path)),
            Why::Is(path) => write!(f, ": it is {} now", printable(path)),
            Why::ProgramWas(path) => write!(f, ": the program, which was {} before", printable(path)),
            Why::ProgramIs(path) => write!(f, ": the program, which is {} now", printable(path)),
            Why::NeededNoMore(by) => write!(f, ": {} no longer needs it", name(by)),
            Why::WasNeeded(by) => write!(f, ": {} needed it", name(by)),
            Why::NeederGone(by) => write!(f, ": {}, which needed it, is gone", name(by)),
        }
    }

    fn fmt_told(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let entry = self.entry().filter(|_| self.with.is_none());
        if let Some(with) = self.with() {
            write!(f, " with {}", name(with))?;
        }
        match entry.map(LockEntry::reason).filter(|reason| !reason.is_empty()) {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }?;
        match self.entry().map(LockEntry::kind) {
            Some(LockedKind::Symlink(target)) => write!(f, " (a symlink to {})", printable(target)),
            Some(LockedKind::Directory) => f.write_str(" (a directory)"),
            _ => Ok(()),
        }
    }

    /// What differs: content, mode, or kind.
    fn fmt_difference(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some((before, after)) = self.before.as_ref().zip(self.after.as_ref()) else { return Ok(()) };
        let content =
            (before.kind != after.kind).then(|| format!("{} → {}", in_short(&before.kind), in_short(&after.kind)));
        let rights = (!before.has_same_rights(after)).then(|| format!("mode {} → {}", before.rights(), after.rights()));
        let both: Vec<String> = content.into_iter().chain(rights).collect();
        write!(f, ": {}", both.join(", "))
    }

    fn fmt_reasons(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some((before, after)) = self.before.as_ref().zip(self.after.as_ref()) else { return Ok(()) };
        match before.reason == after.reason {
            true => write!(f, ": {}, found by another rule or for another object", after.reason),
            false => write!(f, ": {} → {}", before.reason, after.reason),
        }
    }

    /// A chain of two may say what has been said.
    fn fmt_chain(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.chain().as_slice() {
            [] | [_] => Ok(()),
            [_, _] if self.says_needer() => Ok(()),
            [by, _] if self.kind == ChangeKind::Gone => write!(f, " ({} needed it)", name(by)),
            [by, _] => write!(f, " ({} needs it)", name(by)),
            chain => {
                let names: Vec<String> = chain.iter().map(|path| name(path)).collect();
                write!(f, " ({})", names.join(" → "))
            }
        }
    }

    fn says_needer(&self) -> bool {
        !matches!(self.why, Why::Stays | Why::Told | Why::Was(_) | Why::Is(_))
    }
}

impl Display for Change {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let path = printable(&self.path);
        match self.kind {
            ChangeKind::Added | ChangeKind::Gone => {
                write!(f, "{path} {}", self.kind.code())?;
                self.fmt_why(f)?;
            }
            ChangeKind::Changed => {
                write!(f, "{path} changed")?;
                self.fmt_difference(f)?;
            }
            ChangeKind::Reason => {
                write!(f, "{path} is there for another reason")?;
                self.fmt_reasons(f)?;
            }
        }
        match self.kind {
            ChangeKind::Reason => Ok(()),
            _ => self.fmt_chain(f),
        }
    }
}

/// A file by its last name.
fn name(path: &Path) -> String {
    printable(file_name(path)).to_string()
}

/// As much of a digest as tells it from another.
fn in_short(kind: &LockedKind) -> String {
    match kind {
        LockedKind::File(digest) => format!("sha256:{}…", hex(&digest[..6])),
        LockedKind::HardLink(first) => format!("a hard link to {}", printable(first)),
        LockedKind::Symlink(target) => format!("a symlink to {}", printable(target)),
        LockedKind::Directory => "a directory".to_owned(),
        LockedKind::Special => "a device, FIFO or socket".to_owned(),
    }
}
