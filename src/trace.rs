//! The words of a search: which rule was followed, what was tried, and why it was no good.

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use crate::text::printable;

/// The rule of the dynamic loader by which an object was found, or looked for (ld.so(8)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// The program's `PT_INTERP`: opened by the kernel at exactly that path.
    Interpreter,
    /// An object that was loaded before answers to the name; nothing was searched.
    Loaded,
    /// The name has a slash and is opened as it stands.
    Path,
    /// `DT_RPATH` of the requester, of one of its ancestors, or of the program.
    Rpath,
    /// A directory that the caller named, in the place of `LD_LIBRARY_PATH`.
    LibraryPath,
    /// `DT_RUNPATH` of the requester.
    Runpath,
    /// The loader's cache, `/etc/ld.so.cache`; or in a sysroot without one, what ldconfig would put there (ldconfig(8)).
    Cache,
    /// A directory that is built into the loader.
    Default,
    /// `DT_AUDIT` or `DT_DEPAUDIT` of the program, or `LD_AUDIT` of the image: an auditing object (rtld-audit(7)).
    Audit,
    /// The object imports a symbol for which its C library loads a library by name (dlopen(3)).
    Symbol,
    /// The object's `.note.dlopen` says that it loads the library by itself (UAPI group, "ELF dlopen metadata").
    Note,
    /// The caller asked for it: the program itself, or a library that it loads by itself.
    Requested,
}

impl Rule {
    /// The stable name of the rule, as the command's JSON has it.
    pub fn code(self) -> &'static str {
        match self {
            Rule::Interpreter => "interpreter",
            Rule::Loaded => "loaded",
            Rule::Path => "path",
            Rule::Rpath => "rpath",
            Rule::LibraryPath => "library-path",
            Rule::Runpath => "runpath",
            Rule::Cache => "cache",
            Rule::Default => "default",
            Rule::Audit => "audit",
            Rule::Symbol => "symbol",
            Rule::Note => "note",
            Rule::Requested => "requested",
        }
    }
}

/// Why a place that was tried gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// There is no such file, or a symlink that leads nowhere.
    Absent,
    /// There is a file, but not one that the loader can map: no ELF file, a damaged one, or no shared object.
    NotElf,
    /// An ELF file of another class (32 or 64 bits).
    WrongClass,
    /// An ELF file for another machine, or another ABI of the same machine.
    WrongMachine,
    /// An ELF file of the other byte order.
    WrongByteOrder,
    /// The file, or a directory on the way, may not be read.
    Unreadable,
    /// A directory stands where the file should.
    Directory,
    /// More than 40 symlinks were crossed.
    Loop,
}

impl Why {
    /// The stable name of the reason, as the command's JSON has it.
    pub fn code(self) -> &'static str {
        match self {
            Why::Absent => "absent",
            Why::NotElf => "not-elf",
            Why::WrongClass => "wrong-class",
            Why::WrongMachine => "wrong-machine",
            Why::WrongByteOrder => "wrong-byte-order",
            Why::Unreadable => "unreadable",
            Why::Directory => "directory",
            Why::Loop => "loop",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Why::Absent => "no such file",
            Why::NotElf => "not an ELF shared object",
            Why::WrongClass => "wrong class",
            Why::WrongMachine => "wrong machine",
            Why::WrongByteOrder => "wrong byte order",
            Why::Unreadable => "may not be read",
            Why::Directory => "is a directory",
            Why::Loop => "more than 40 symlinks",
        }
    }
}

/// A place that was no good: the reason, and what was seen there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) why: Why,
    pub(crate) detail: Option<String>,
}

impl Refusal {
    pub(crate) fn new(why: Why) -> Self {
        Refusal { why, detail: None }
    }

    pub(crate) fn with(why: Why, detail: impl Into<String>) -> Self {
        Refusal { why, detail: Some(detail.into()) }
    }
}

/// One place where a library was looked for in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub(crate) path: PathBuf,
    pub(crate) rule: Rule,
    /// Whose RPATH or RUNPATH it was, by the name it was asked for.
    pub(crate) owner: Option<OsString>,
    pub(crate) refusal: Refusal,
}

impl Attempt {
    /// The path that was tried, as the loader would have opened it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The rule that led there.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// Why it was no good.
    pub fn why(&self) -> Why {
        self.refusal.why
    }

    /// What was seen there, in words, where there is more to say than [`Attempt::why`] does.
    pub fn detail(&self) -> Option<&str> {
        self.refusal.detail.as_deref()
    }

    fn rule_in_words(&self) -> String {
        let of_owner = |tag: &str| match &self.owner {
            Some(owner) => format!("{tag} of {}", printable(owner)),
            None => tag.to_owned(),
        };
        match self.rule {
            Rule::Interpreter => "interpreter".to_owned(),
            Rule::Loaded => "already loaded".to_owned(),
            Rule::Path => "path as given".to_owned(),
            Rule::Rpath => of_owner("RPATH"),
            Rule::LibraryPath => "library path".to_owned(),
            Rule::Runpath => of_owner("RUNPATH"),
            Rule::Cache => "loader cache".to_owned(),
            Rule::Default => "default directory".to_owned(),
            Rule::Audit => "auditing object".to_owned(),
            Rule::Symbol => "loaded for a symbol".to_owned(),
            Rule::Note => "dlopen note".to_owned(),
            Rule::Requested => "as asked for".to_owned(),
        }
    }

    fn reason_in_words(&self) -> String {
        match &self.refusal.detail {
            Some(detail) => format!("{} ({detail})", self.refusal.why.words()),
            None => self.refusal.why.words().to_owned(),
        }
    }
}

/// A library, a version of one, or the interpreter, that was not found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    pub(crate) name: OsString,
    pub(crate) version: Option<OsString>,
    pub(crate) program: OsString,
    pub(crate) needed_by: Vec<PathBuf>,
    /// The requester's name where the request does not come from the program itself.
    pub(crate) via: Option<OsString>,
    pub(crate) tried: Vec<Attempt>,
    pub(crate) note: Option<String>,
}

impl Missing {
    /// The name that was asked for.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// The version that the object of that name does not define; `None` where there is no such object at all.
    pub fn version(&self) -> Option<&OsStr> {
        self.version.as_deref()
    }

    /// Who asked for it: paths in the image.
    pub fn needed_by(&self) -> &[PathBuf] {
        &self.needed_by
    }

    /// Why it could not be found, in words, where the places tried do not tell.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Every place that was tried, in the loader's order. Of a crafted program, which can have it try paths without end, as
    /// many as some 64 MiB hold.
    pub fn tried(&self) -> &[Attempt] {
        &self.tried
    }
}

impl Display for Missing {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} needs ", printable(&self.program))?;
        if let Some(version) = &self.version {
            write!(f, "version {} of ", printable(version))?;
        }
        write!(f, "{}", printable(&self.name))?;
        if let Some(via) = &self.via {
            write!(f, " (via {})", printable(via))?;
        }
        match &self.note {
            Some(note) => write!(f, ", {note}")?,
            None => f.write_str(", which was not found")?,
        }
        fmt_attempts(f, &self.tried)
    }
}

/// A line for each place that was tried.
pub(crate) fn fmt_attempts(f: &mut Formatter<'_>, tried: &[Attempt]) -> fmt::Result {
    let rows: Vec<[String; 3]> =
        tried.iter().map(|a| [printable(&a.path).to_string(), a.rule_in_words(), a.reason_in_words()]).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (paths, rules) = (width(0), width(1));
    rows.iter().try_for_each(|[path, rule, reason]| write!(f, "\n  {path:paths$}  {rule:rules$}  {reason}"))
}
