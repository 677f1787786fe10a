//! What the caller should know about an image that is made all the same.

use std::fmt::{self, Display, Formatter};

/// How much a [`Finding`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// It runs, but may differ from how it ran on this machine.
    Note,
    /// It is likely to fail, or something was dropped.
    Warning,
}

impl Level {
    /// `warning` or `note`.
    pub fn name(self) -> &'static str {
        match self {
            Level::Note => "note",
            Level::Warning => "warning",
        }
    }
}

/// Something that the caller should know: what, the evidence, and what to do about it.
///
/// Codes are stable: `build-path` (the loader must open a path that looks like a build tree), `relative-path` (a search
/// path that means the working directory), `special-mode` (setuid or setgid bits were dropped), `file-capabilities`
/// (the file capabilities of the program, or of a file of the caller, were dropped), `file-program` (a program that the
/// caller gave as a plain file would not start), `unused-exclude` (a pattern of what to leave out is for nothing that any
/// program asks for), `untagged` (no legal image name can be made of the program's name), `not-loaded` (the loader goes without a preloaded or auditing object), `cpu-level` (a library is there for some CPUs
/// only), `cpu-platform` (a search path depends on the CPU), `system-preload` (`/etc/ld.so.preload` of the system is not
/// in the image), `no-cache` (the sysroot has no `ld.so.cache`; what ldconfig would put there was worked out from its
/// `ld.so.conf`, and libraries of the program were found so), `package-db` (no package was found that scanners could be told of), `cache` (the directory in which to remember what was made is not
/// used).
///
/// Of needs (see [`Need`](crate::Need)) that the image does not meet, the code is the need's name: `users`, `nsswitch`,
/// `services`, `ca-certificates`, `time-zones`, `locales`, `gconv`, `tmp`, `openssl`, `terminfo`. Of libraries that are
/// loaded while a program runs: `libgcc` and `nss-modules` (what the C library loads for it is not there), `dlopen` (nothing
/// says what is loaded; or what a note names is not there, or not included). `shell`: it runs commands by one. Where needs cannot be known: `unknown-needs` (a
/// stripped static program of glibc), `self-extracting` (a program that is packed, or brings other files within itself),
/// `unread` (a file is no longer as it was when libraries were found, or can no longer be read).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub(crate) level: Level,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) evidence: String,
}

impl Finding {
    pub(crate) fn warning(code: &'static str, message: String, evidence: impl Display) -> Self {
        Finding { level: Level::Warning, code, message, evidence: evidence.to_string() }
    }

    pub(crate) fn note(code: &'static str, message: String, evidence: impl Display) -> Self {
        Finding { level: Level::Note, code, message, evidence: evidence.to_string() }
    }

    /// How much it matters.
    pub fn level(&self) -> Level {
        self.level
    }

    /// A stable name for this kind of finding.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What was found and what to do about it, in a sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What in the files shows it: a path, a symbol, an entry.
    pub fn evidence(&self) -> &str {
        &self.evidence
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.level.name(), self.message)
    }
}
