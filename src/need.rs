//! What a program needs at run time that no `DT_NEEDED` shows, and what in the files tells of it.

mod symbols;

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use crate::text::printable;

pub(crate) use symbols::{Hint, Known, known, may_be_known};

/// Something that a program opens by itself at run time, and that an image may have to hold.
///
/// Its text form, which [`Display`] writes and [`FromStr`] reads, is the one of the command's `--with`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Need {
    /// `users`: `/etc/passwd` and `/etc/group`, generated: root, nobody, and the user that the image runs as.
    Users,
    /// `nsswitch`: `/etc/nsswitch.conf`, generated: files, then DNS (nsswitch.conf(5)).
    Nsswitch,
    /// `services`: `/etc/services` and `/etc/protocols` of the root.
    Services,
    /// `ca-certificates`: the root's bundle of certificates, where the TLS libraries of the program look for it.
    CaCertificates,
    /// `time-zones`: `/usr/share/zoneinfo` of the root (tzset(3)).
    TimeZones,
    /// `locales`: all locales of the root (setlocale(3)).
    Locales,
    /// `locale:NAME`: one of them, such as `C.UTF-8`.
    Locale(String),
    /// `gconv`: all character sets of the root's C library (iconv(3)).
    Gconv,
    /// `gconv:NAME`: one of them, such as `SHIFT_JIS`.
    Charset(String),
    /// `tmp`: an empty `/tmp` of mode 1777.
    Tmp,
    /// `openssl`: OpenSSL's configuration and its provider modules (openssl-config(5)).
    OpenSsl,
    /// `terminfo`: the descriptions of common terminals (terminfo(5)).
    Terminfo,
    /// `terminfo:NAME`: that of one terminal.
    Terminal(String),
    /// `library:NAME`: a library that is loaded by name (dlopen(3)), with its closure.
    Library(OsString),
}

impl Need {
    /// The name without what is named by it: `locale` of `locale:C.UTF-8`.
    pub fn name(&self) -> &'static str {
        match self {
            Need::Users => "users",
            Need::Nsswitch => "nsswitch",
            Need::Services => "services",
            Need::CaCertificates => "ca-certificates",
            Need::TimeZones => "time-zones",
            Need::Locales => "locales",
            Need::Locale(_) => "locale",
            Need::Gconv | Need::Charset(_) => "gconv",
            Need::Tmp => "tmp",
            Need::OpenSsl => "openssl",
            Need::Terminfo | Need::Terminal(_) => "terminfo",
            Need::Library(_) => "library",
        }
    }

    /// The code of findings about it: the name of the whole that it is a part of.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Need::Locale(_) => Need::Locales.name(),
            other => other.name(),
        }
    }

    /// Whether it is `whole`, or a part of it: one locale of all.
    pub(crate) fn is_part_of(&self, whole: &Need) -> bool {
        match (self, whole) {
            (Need::Locale(_), Need::Locales)
            | (Need::Charset(_), Need::Gconv)
            | (Need::Terminal(_), Need::Terminfo) => true,
            _ => self == whole,
        }
    }

    /// Whether both are the same, however they are spelled: character sets and locales have more than one spelling.
    pub(crate) fn is_same_set(&self, other: &Need) -> bool {
        let plain = |name: &str| {
            let name = name.split("//").next().unwrap_or_default().to_ascii_lowercase();
            name.replace(['-', '_'], "")
        };
        match (self, other) {
            (Need::Charset(one), Need::Charset(two)) | (Need::Locale(one), Need::Locale(two)) => {
                plain(one) == plain(two)
            }
            _ => self == other,
        }
    }

    fn argument(&self) -> Option<&OsStr> {
        match self {
            Need::Locale(name) | Need::Charset(name) | Need::Terminal(name) => Some(OsStr::new(name)),
            Need::Library(name) => Some(name),
            _ => None,
        }
    }
}

impl Display for Need {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.argument() {
            Some(argument) => write!(f, "{}:{}", self.name(), printable(argument)),
            None => f.write_str(self.name()),
        }
    }
}

impl FromStr for Need {
    type Err = String;

    fn from_str(text: &str) -> Result<Need, String> {
        let plain = [
            Need::Users,
            Need::Nsswitch,
            Need::Services,
            Need::CaCertificates,
            Need::TimeZones,
            Need::Locales,
            Need::Gconv,
            Need::Tmp,
            Need::OpenSsl,
            Need::Terminfo,
        ];
        match text.split_once(':') {
            Some(("locale", name)) if !name.is_empty() => Ok(Need::Locale(name.to_owned())),
            Some(("gconv", name)) if !name.is_empty() => Ok(Need::Charset(name.to_owned())),
            Some(("terminfo", name)) if !name.is_empty() => Ok(Need::Terminal(name.to_owned())),
            Some(("library", name)) if !name.is_empty() => Ok(Need::Library(name.into())),
            _ => plain.iter().find(|need| need.name() == text).cloned().ok_or_else(|| {
                let names: Vec<&str> = plain.iter().map(Need::name).collect();
                format!("give one of {}, locale:NAME, gconv:NAME, terminfo:NAME, library:NAME", names.join(", "))
            }),
        }
    }
}

/// What in the files tells of a need.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Evidence {
    object: PathBuf,
    clue: Clue,
}

/// What stands in an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Clue {
    /// It imports this symbol; a static program has it.
    Symbol(&'static str),
    /// It has this text among its constants.
    Text(OsString),
    /// Its `.note.dlopen` names the library for this feature.
    Note(String),
}

impl Evidence {
    pub(crate) fn new(object: &Path, clue: Clue) -> Evidence {
        Evidence { object: object.to_owned(), clue }
    }

    /// The program or library, by its path in the image.
    pub fn object(&self) -> &Path {
        &self.object
    }

    /// What stands in it.
    pub fn clue(&self) -> &Clue {
        &self.clue
    }
}

impl Clue {
    /// The symbol or the text itself.
    pub fn as_os_str(&self) -> &OsStr {
        match self {
            Clue::Symbol(name) => OsStr::new(name),
            Clue::Text(text) => text,
            Clue::Note(feature) => OsStr::new(feature),
        }
    }
}

impl Display for Evidence {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.clue {
            Clue::Symbol(name) => write!(f, "{name} in {}", printable(&self.object)),
            Clue::Text(text) => write!(f, "`{}` in {}", printable(text), printable(&self.object)),
            Clue::Note(_) => write!(f, ".note.dlopen of {}", printable(&self.object)),
        }
    }
}

/// A need that a program was found to have, whether or not the image meets it.
#[derive(Clone, Debug)]
pub struct Requirement {
    pub(crate) need: Need,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) size: Size,
    pub(crate) is_included: bool,
}

/// How many bytes something has, which may be a matter of looking at many files: looked at when somebody asks.
#[derive(Clone)]
pub(crate) struct Size(Arc<LazyLock<u64, Box<dyn FnOnce() -> u64 + Send>>>);

impl Size {
    pub(crate) fn known(bytes: u64) -> Size {
        Size::worked_out(move || bytes)
    }

    pub(crate) fn worked_out(work: impl FnOnce() -> u64 + Send + 'static) -> Size {
        Size(Arc::new(LazyLock::new(Box::new(work))))
    }
}

impl fmt::Debug for Size {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Size")
    }
}

impl Requirement {
    /// What is needed.
    pub fn need(&self) -> &Need {
        &self.need
    }

    /// What tells of it, the program's own first.
    pub fn evidence(&self) -> &[Evidence] {
        &self.evidence
    }

    /// How many bytes of files it adds to the image, or would add; 0 where the root has nothing that meets it. They are
    /// counted when this is called first.
    pub fn bytes(&self) -> u64 {
        **self.size.0
    }

    /// Whether the image meets it.
    pub fn is_included(&self) -> bool {
        self.is_included
    }
}

/// A name that was not looked up, because the caller excluded it: whoever runs the image provides it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excluded {
    pub(crate) name: OsString,
    pub(crate) needed_by: Vec<PathBuf>,
}

impl Excluded {
    /// The name as it was asked for.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// Who asks for it: paths in the image.
    pub fn needed_by(&self) -> &[PathBuf] {
        &self.needed_by
    }
}
