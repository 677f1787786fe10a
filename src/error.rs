//! The error type, and the only constructors of it.

use std::fmt::{self, Debug, Display, Formatter};
use std::io;
use std::path::{Path, PathBuf};

use crate::system;
use crate::text::{count, printable};
use crate::trace::Missing;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in which operation, on which path, and what to do about it.
///
/// `Display` and `Debug` print the same sentences, because `fn main() -> Result<(), E>` prints `Debug`.
/// Control characters in names are escaped. [`Error::kind`] tells errors apart in code.
pub struct Error(Box<Repr>);

struct Repr {
    operation: &'static str,
    path: Option<PathBuf>,
    cause: Cause,
}

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file that should be read does not exist.
    NotFound,
    /// The system refused to read or write; [`std::error::Error::source`] has its own error.
    Io,
    /// The file is not an ELF file: a script, a directory, text.
    NotElf,
    /// The file says that it is ELF, an image or a package database, but contradicts itself, or is cut off, or exceeds a
    /// limit; or should be a [lock](crate::Lock), and is none.
    Malformed,
    /// What should be checked or compared is no image, in none of the forms that [`check`](crate::check) knows.
    NotAnImage,
    /// An ELF file that is no program: a shared library, an object file, a core dump.
    NotAProgram,
    /// A program for a system whose files are not here; it needs a sysroot.
    Foreign,
    /// Libraries, or the interpreter, were not found; [`Error::missing`] lists them all.
    Unresolved,
    /// Needs that the caller wants met, and for which the root has nothing.
    Unmet,
    /// Valid, but nothing that this crate can pack; or a file with a name that this system cannot have: one that is not UTF-8,
    /// on Windows.
    Unsupported,
    /// Two different things were to stand at one path of the image.
    Conflict,
    /// The finished tree, replayed, would not load the same files as on this machine; nothing was written.
    Unprovable,
    /// An option that makes no sense, alone or with another.
    InvalidOption,
    /// A file changed between the time it was analyzed and the time it was packed.
    Changed,
    /// The output path holds something that must not be replaced.
    OutputRefused,
    /// The image's files have more bytes than [`ImageBuilder::max_size`](crate::ImageBuilder::max_size) allows; nothing was
    /// written.
    TooLarge,
}

/// The cause of an [`Error`], before anyone has said in which operation it arose.
#[derive(thiserror::Error)]
pub(crate) enum Cause {
    #[error("no such file or directory; check the path, or make it first")]
    NotFound,
    #[error("{}", io_words(.0))]
    Io(#[source] io::Error),
    #[error("{0}")]
    NotElf(String),
    #[error("{0}")]
    Malformed(String),
    #[error("{0}")]
    NotAnImage(String),
    #[error("{0}")]
    NotAProgram(String),
    #[error("{}", unresolved(.0))]
    Foreign(Vec<Missing>),
    #[error("{}", unresolved(.0))]
    Unresolved(Vec<Missing>),
    #[error("{}", .0.join("\n"))]
    Unmet(Vec<String>),
    #[error("{0}")]
    Unsupported(String),
    #[error("{}", .0.join("\n"))]
    Conflict(Vec<String>),
    #[error("the image would not run as the program does on this machine\n{}\n{ELSEWHERE}", .0.join("\n"))]
    Unprovable(Vec<String>),
    #[error("{}", .0.join("\n"))]
    InvalidOption(Vec<String>),
    #[error("the file changed since it was analyzed; build again when nothing writes to it")]
    Changed,
    #[error("{0}")]
    OutputRefused(String),
    #[error("{}", .0.join("\n"))]
    TooLarge(Vec<String>),
}

const ELSEWHERE: &str = "leave out what else was given and leads its loader elsewhere (a variable, a file, a link, a library \
                         path), or link the program so that it finds what it needs by itself (RUNPATH)";

impl Cause {
    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Cause::Malformed(what.into())
    }

    /// The same of a file that contradicts itself, with what helps: linkers write no such file.
    pub(crate) fn of_damage(self) -> Self {
        match self {
            Cause::Malformed(what) => {
                Cause::Malformed(format!("{what}; it may be damaged or cut off: build or copy it again"))
            }
            other => other,
        }
    }

    /// Completes the cause with the operation that failed.
    pub(crate) fn during(self, operation: &'static str) -> Error {
        Error(Box::new(Repr { operation, path: None, cause: self }))
    }

    /// Completes the cause with the operation that failed, and the path that it failed on.
    pub(crate) fn on(self, operation: &'static str, path: impl Into<PathBuf>) -> Error {
        Error(Box::new(Repr { operation, path: Some(path.into()), cause: self }))
    }

    /// The same once more, for a second place that it matters to.
    pub(crate) fn restated(&self) -> Cause {
        let words = self.to_string();
        match self.kind() {
            ErrorKind::NotElf => Cause::NotElf(words),
            ErrorKind::NotAProgram => Cause::NotAProgram(words),
            ErrorKind::Malformed => Cause::Malformed(words),
            ErrorKind::Changed => Cause::Changed,
            _ => Cause::Io(io::Error::other(words)),
        }
    }

    /// The same, of a part of what the operation is on.
    pub(crate) fn within(self, part: impl Display) -> Cause {
        match self {
            Cause::Io(error) => Cause::Io(io::Error::new(error.kind(), format!("{part}: {error}"))),
            Cause::Unsupported(words) => Cause::Unsupported(format!("{part}: {words}")),
            other => Cause::Malformed(format!("{part}: {other}")),
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Cause::NotFound => ErrorKind::NotFound,
            Cause::Io(_) => ErrorKind::Io,
            Cause::NotElf(_) => ErrorKind::NotElf,
            Cause::Malformed(_) => ErrorKind::Malformed,
            Cause::NotAnImage(_) => ErrorKind::NotAnImage,
            Cause::NotAProgram(_) => ErrorKind::NotAProgram,
            Cause::Foreign(_) => ErrorKind::Foreign,
            Cause::Unresolved(_) => ErrorKind::Unresolved,
            Cause::Unsupported(_) => ErrorKind::Unsupported,
            Cause::Conflict(_) => ErrorKind::Conflict,
            Cause::Unprovable(_) => ErrorKind::Unprovable,
            Cause::InvalidOption(_) => ErrorKind::InvalidOption,
            Cause::Unmet(_) => ErrorKind::Unmet,
            Cause::Changed => ErrorKind::Changed,
            Cause::OutputRefused(_) => ErrorKind::OutputRefused,
            Cause::TooLarge(_) => ErrorKind::TooLarge,
        }
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Cause::NotFound,
            _ => Cause::Io(error),
        }
    }
}

#[cfg(unix)]
impl From<rustix::io::Errno> for Cause {
    fn from(errno: rustix::io::Errno) -> Self {
        io::Error::from(errno).into()
    }
}

impl Error {
    /// What kind of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.cause.kind()
    }

    /// The operation that failed, as a verb: `read`, `analyze`, `pack`, `write`, ...
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The path that the operation failed on, where there is one.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// All libraries that were not found, with the places tried for each; empty for other kinds.
    pub fn missing(&self) -> &[Missing] {
        match &self.0.cause {
            Cause::Unresolved(missing) | Cause::Foreign(missing) => missing,
            _ => &[],
        }
    }

    /// The same error, on `path` where it named none.
    pub(crate) fn at(mut self, path: &Path) -> Self {
        self.0.path.get_or_insert_with(|| path.to_owned());
        self
    }

    pub(crate) fn into_cause(self) -> Cause {
        self.0.cause
    }

    /// The cause, of what is a part of something else.
    pub(crate) fn into_part(self) -> Cause {
        match self.0.path {
            Some(path) => self.0.cause.within(printable(&path)),
            None => self.0.cause,
        }
    }
}

fn io_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("{error}; run as a user who may, or change the mode of the file and of its directories")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => format!("{error}; make room, or write elsewhere"),
        io::ErrorKind::ReadOnlyFilesystem => format!("{error}; write elsewhere, or mount it for writing"),
        io::ErrorKind::FileTooLarge => format!("{error}; raise the limit (ulimit -f), or write elsewhere"),
        io::ErrorKind::InvalidFilename => format!("{error}; give a shorter one"),
        _ => match system::remedy(error) {
            Some(next) => format!("{error}; {next}"),
            None => error.to_string(),
        },
    }
}

fn unresolved(missing: &[Missing]) -> String {
    let list: Vec<String> = missing.iter().map(Missing::to_string).collect();
    let versions = missing.iter().filter(|missing| missing.version().is_some()).count();
    let parts = [(missing.len() - versions, "file", "files"), (versions, "version", "versions")];
    let parts =
        parts.into_iter().filter(|(number, ..)| *number > 0).map(|(number, one, many)| count(number, one, many));
    let parts: Vec<String> = parts.collect();
    let were = if missing.len() == 1 { "was" } else { "were" };
    let next = remedy(missing).map(|next| format!("\n{next}")).unwrap_or_default();
    format!("{} that it needs {were} not found\n{}{next}", parts.join(" and "), list.join("\n"))
}

/// What helps with a file of which nothing but the places tried is known.
const REMEDY: &str = "install what has it, or give the directory that it is in as library path; a sysroot, where one is \
                      given, is searched instead of this machine";

fn remedy(missing: &[Missing]) -> Option<&'static str> {
    let is_plain = |missing: &Missing| missing.version().is_none() && missing.note().is_none();
    missing.iter().any(is_plain).then_some(REMEDY)
}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.0.operation)?;
        if let Some(path) = &self.0.path {
            write!(f, " {}", printable(path))?;
        }
        write!(f, ": {}", self.0.cause)
    }
}

impl Debug for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl Debug for Cause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.cause {
            Cause::Io(error) => Some(error),
            _ => None,
        }
    }
}
