//! `ld.so.conf`: which directories ldconfig would list in a cache (ldconfig(8); `parse_conf` in glibc's elf/ldconfig.c).

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::files::{Files, World};
use super::glob;
use crate::root::{Fault, PATH_MAX};
use crate::text::printable;

/// Bytes of one file. The largest known has a few hundred.
const MAX_SIZE: u64 = 64 << 10;
/// Files that are read and patterns that are looked up, all in all; and paths that one pattern stands for.
const MAX_FILES: usize = 1_000;
/// Files that include one another. ldconfig itself has no limit, and dies of a loop.
const MAX_DEPTH: usize = 16;
/// Directories that are named, whether they are there or not.
const MAX_DIRECTORIES: usize = 1_000;
/// Bytes of names, times those of the pattern, that are compared: in the worst case a second's work. Debian's own take 1,000.
const MAX_COMPARED: usize = 16 << 20;
/// Problems that are told of.
const MAX_PROBLEMS: usize = 8;

/// What an `ld.so.conf` says, with all that it includes.
#[derive(Debug, Default)]
pub(crate) struct LdConf {
    /// As written but for slashes at the end, each real directory once; absent ones are left out.
    pub(crate) directories: Vec<PathBuf>,
    /// What could not be followed, in words, and so may be wanting.
    pub(crate) problems: BTreeSet<String>,
}

/// A line that says something.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    /// The patterns of an `include` line.
    Include(Vec<&'a [u8]>),
    Directory(&'a [u8]),
}

impl LdConf {
    /// Reads the file at `path` in the root. Where there is none, there are no directories.
    pub(crate) fn read(files: &Files<'_>, path: &Path) -> LdConf {
        let mut reading =
            Reading { files, conf: LdConf::default(), known: BTreeSet::new(), read: 0, named: 0, compared: 0 };
        reading.file(path, 0);
        reading.conf
    }
}

struct Reading<'a, 'r> {
    files: &'a Files<'r>,
    conf: LdConf,
    /// The directories with all symlinks resolved.
    known: BTreeSet<PathBuf>,
    /// How many files were read and patterns looked up.
    read: usize,
    /// How many directories were named.
    named: usize,
    /// Bytes of names, times those of the pattern, that were compared.
    compared: usize,
}

impl Reading<'_, '_> {
    fn file(&mut self, path: &Path, depth: usize) {
        if depth > MAX_DEPTH || self.read >= MAX_FILES {
            return self.problem(path, "is one of too many files, or includes itself");
        }
        self.read += 1;
        match self.files.read(path, MAX_SIZE + 1) {
            Ok(bytes) if bytes.len() as u64 > MAX_SIZE => self.problem(path, "is too large"),
            Ok(bytes) => bytes.split(|&byte| byte == b'\n').for_each(|line| self.line(line, path, depth)),
            Err(fault) => self.fault(path, fault),
        }
    }

    fn line(&mut self, line: &[u8], path: &Path, depth: usize) {
        match parse(line) {
            None => {}
            Some(Line::Directory(directory)) => self.directory(Path::new(OsStr::from_bytes(directory))),
            Some(Line::Include(patterns)) => {
                for pattern in patterns {
                    // Relative to the file's own directory.
                    let pattern = path.with_file_name(OsStr::from_bytes(pattern));
                    self.expand(&pattern).iter().for_each(|included| self.file(included, depth + 1));
                }
            }
        }
    }

    fn directory(&mut self, path: &Path) {
        self.named += 1;
        if self.named > MAX_DIRECTORIES {
            return self.problem(path, "is one of too many directories");
        }
        let Ok(walk) = self.files.walker(World::Root).directory(path) else { return };
        if self.known.insert(walk.real) {
            self.conf.directories.push(path.to_owned());
        }
    }

    /// The paths that a pattern stands for, in the order of their bytes (glob(3)).
    fn expand(&mut self, pattern: &Path) -> Vec<PathBuf> {
        if self.read >= MAX_FILES || pattern.as_os_str().len() > PATH_MAX {
            self.problem(pattern, "is one of too many patterns, or too long");
            return Vec::new();
        }
        self.read += 1;
        let mut paths = vec![PathBuf::from("/")];
        for name in pattern.as_os_str().as_bytes().split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            paths = match glob::is_pattern(name) {
                false => paths.iter().map(|path| path.join(OsStr::from_bytes(name))).collect(),
                true => paths.iter().flat_map(|path| self.matching(path, name)).take(MAX_FILES + 1).collect(),
            };
            if paths.len() > MAX_FILES {
                self.problem(pattern, "stands for too many files");
                return Vec::new();
            }
        }
        paths
    }

    fn matching(&mut self, directory: &Path, pattern: &[u8]) -> Vec<PathBuf> {
        match self.files.names(directory) {
            Ok(names) if !self.has_time_for(&names, pattern) => {
                self.problem(directory, "has too many names for a pattern");
                Vec::new()
            }
            Ok(mut names) => {
                names.retain(|name| glob::matches(pattern, name.as_bytes()));
                names.iter().map(|name| directory.join(name)).collect()
            }
            Err(fault) => {
                self.fault(directory, fault);
                Vec::new()
            }
        }
    }

    fn has_time_for(&mut self, names: &[OsString], pattern: &[u8]) -> bool {
        let bytes: usize = names.iter().map(|name| name.len()).sum();
        self.compared = self.compared.saturating_add(bytes.saturating_mul(pattern.len()));
        self.compared <= MAX_COMPARED
    }

    fn fault(&mut self, path: &Path, fault: Fault) {
        if !fault.is_absence() {
            self.problem(path, "cannot be read");
        }
    }

    fn problem(&mut self, path: &Path, what: &str) {
        if self.conf.problems.len() < MAX_PROBLEMS {
            self.conf.problems.insert(format!("{} {what}", printable(path)));
        }
    }
}

/// `None` for what says nothing: a blank line, a comment, `hwcap`, which ldconfig ignores since glibc 2.33.
fn parse(line: &[u8]) -> Option<Line<'_>> {
    let end = memchr::memchr2(b'#', 0, line).unwrap_or(line.len());
    let text = trim(&line[..end]);
    match text {
        [b'i', b'n', b'c', b'l', b'u', b'd', b'e', b' ' | b'\t', rest @ ..] => {
            let patterns = rest.split(|byte| matches!(byte, b' ' | b'\t'));
            Some(Line::Include(patterns.filter(|pattern| !pattern.is_empty()).collect()))
        }
        _ if is_hwcap(text) => None,
        _ => directory(text).map(Line::Directory),
    }
}

fn is_hwcap(text: &[u8]) -> bool {
    text.split_first_chunk::<5>()
        .is_some_and(|(word, rest)| word.eq_ignore_ascii_case(b"hwcap") && matches!(rest.first(), Some(b' ' | b'\t')))
}

/// A directory without `=TYPE`, which libc4, libc5 and libc6 once had, and without slashes at its end.
fn directory(text: &[u8]) -> Option<&[u8]> {
    let mut path = trim(text.split(|&byte| byte == b'=').next()?);
    while let [rest @ .., b'/'] = path {
        path = rest;
    }
    path.starts_with(b"/").then_some(path)
}

/// What C takes for white space has one more byte than what ASCII does in Rust.
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b'\t'..=b'\r' | b' ', rest @ ..] | [rest @ .., b'\t'..=b'\r' | b' '] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Line, parse};

    #[test]
    fn a_line_is_read_as_ldconfig_reads_it() {
        let directory = |text: &'static str| Some(Line::Directory(text.as_bytes()));
        for (line, expected) in [
            ("", None),
            ("   ", None),
            ("# /opt/lib", None),
            ("\t/opt/lib  # ours", directory("/opt/lib")),
            ("/opt/lib///\r", directory("/opt/lib")),
            ("/opt/a b", directory("/opt/a b")),
            ("/opt/lib = libc6", directory("/opt/lib")),
            ("/opt/lib/=libc5", directory("/opt/lib")),
            ("/", None),
            ("opt/lib", None),
            ("hwcap 0 nosegneg", None),
            ("HWCAP\t1 x", None),
            ("hwcaps", None),
            ("/hwcap ", directory("/hwcap")),
            ("include", None),
            ("includes/x", None),
            ("include a.d/*.conf \t/b", Some(Line::Include(vec![b"a.d/*.conf", b"/b"]))),
            ("  include\tx # y", Some(Line::Include(vec![b"x"]))),
        ] {
            assert_eq!(parse(line.as_bytes()), expected, "{line:?}");
        }
    }
}
