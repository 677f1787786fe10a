//! The text of a lock: a comment, and a line an entry.

use std::ffi::OsString;
use std::fmt::{self, Formatter};
use std::path::PathBuf;

use super::escape::{byte, escaped, on_a_line, unescaped};
use super::{Lock, LockEntry, LockedKind};
use crate::error::Cause;
use crate::limits::{MAX_LOCK, MAX_LOCK_ENTRIES, MAX_LOCK_LINE, MAX_LOCK_NAMES};
use crate::text::{is_unfit, printable};

/// How every lock begins, a number behind it.
const MARK: &str = "# scratchpack lock ";

const BYTE_ORDER: &str = "\u{feff}";

/// Bytes that tell a lock from everything else.
pub(super) const START: usize = BYTE_ORDER.len() + MARK.len();

const VERSION: &str = "1";

/// How to tell one, and to get one.
pub(super) const HOW: &str = "which begins with `# scratchpack lock 1`; --lock writes one";

const ABOUT: &str = ": what the image holds, and why. Renew it with --lock, hold a build to it with --locked.";

const COLUMNS: &str = "# path what mode found_by needed_by needs reason";

/// What would separate names, or say that there are none.
const COMMA: &str = "\\x2c";
const DASH: &str = "\\x2d";

const RENEW: &str = "write it again with --lock";

pub(super) fn write(lock: &Lock, f: &mut Formatter<'_>) -> fmt::Result {
    writeln!(f, "{MARK}{VERSION}{ABOUT}\n{COLUMNS}")?;
    lock.entries.iter().try_for_each(|(path, entry)| {
        let found_by = entry.found_by().unwrap_or("-");
        let needed_by = entry.needed_by().map_or("-".to_owned(), |by| escaped(by.as_os_str()));
        let (path, kind, rights, needs) = (escaped(path), entry.kind(), entry.rights(), names(entry));
        writeln!(f, "{path} {kind} {rights} {found_by} {needed_by} {needs} {}", on_a_line(entry.reason()))
    })
}

fn names(entry: &LockEntry) -> String {
    let names = entry.needs().unwrap_or_default().iter().filter(|name| !name.is_empty());
    match names.map(|name| escaped(name).replace(',', COMMA)).collect::<Vec<_>>().join(",").as_str() {
        "" => "-".to_owned(),
        "-" => DASH.to_owned(),
        names => names.to_owned(),
    }
}

fn count(entry: &LockEntry) -> usize {
    entry.needs.as_ref().map_or(0, Vec::len)
}

/// Whether that is how a lock begins.
pub(super) fn is_lock(start: &[u8]) -> bool {
    without_order(start).starts_with(MARK.as_bytes())
}

/// Some editors begin a file with a byte order mark.
fn without_order(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER.as_bytes()).unwrap_or(bytes)
}

pub(super) fn expect_within_limits(lock: &Lock, text: &str) -> Result<(), Cause> {
    let exceeded = if text.len() as u64 > MAX_LOCK {
        format!("{MAX_LOCK} bytes")
    } else if lock.entries.len() > MAX_LOCK_ENTRIES {
        format!("{MAX_LOCK_ENTRIES} entries")
    } else if lock.entries.values().map(count).sum::<usize>() > MAX_LOCK_NAMES {
        format!("{MAX_LOCK_NAMES} names that objects need")
    } else if text.lines().any(|line| line.len() > MAX_LOCK_LINE) {
        format!("{MAX_LOCK_LINE} bytes in a line")
    } else {
        return Ok(());
    };
    Err(Cause::Unsupported(format!("the lock would have more than {exceeded}, which is the limit")))
}

pub(super) fn parse(bytes: &[u8]) -> Result<Lock, Cause> {
    if !is_lock(bytes) {
        return Err(Cause::malformed(format!("it is no lock, {HOW}")));
    }
    let bytes = without_order(bytes);
    let mut lock = Lock { is_explained: true, ..Lock::default() };
    let mut names_left = MAX_LOCK_NAMES;
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let parsed = if index == 0 { expect_version(line) } else { add(&mut lock, line, &mut names_left) };
        parsed.map_err(|why| Cause::malformed(format!("line {}: {why}", index + 1)))?;
    }
    Ok(lock)
}

fn expect_version(line: &[u8]) -> Result<(), String> {
    let rest = line.strip_prefix(MARK.as_bytes()).unwrap_or_default();
    let digits: String =
        rest.iter().take_while(|byte| byte.is_ascii_digit()).take(9).copied().map(char::from).collect();
    match digits.as_str() {
        VERSION => Ok(()),
        "" => Err(format!("it names no version; {RENEW}")),
        other => Err(format!("it is of version {other}, and version {VERSION} is what is read here; {RENEW}")),
    }
}

fn add(lock: &mut Lock, line: &[u8], names_left: &mut usize) -> Result<(), String> {
    // As an editor or git may leave it.
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > MAX_LOCK_LINE {
        return Err(format!("it has {} bytes; the limit is {MAX_LOCK_LINE}", line.len()));
    }
    let line = std::str::from_utf8(line).map_err(|_| format!("it is not UTF-8; {RENEW}"))?;
    if line.is_empty() || line.starts_with('#') {
        return Ok(());
    }
    if line.contains(is_unfit) {
        return Err(format!("it holds a control character; {RENEW}"));
    }
    let (path, entry) = parse_line(line)?;
    if lock.entries.len() >= MAX_LOCK_ENTRIES {
        return Err(format!("there are more than {MAX_LOCK_ENTRIES} entries, which is the limit"));
    }
    *names_left = names_left
        .checked_sub(count(&entry))
        .ok_or_else(|| format!("its objects need more than {MAX_LOCK_NAMES} names, which is the limit"))?;
    match lock.entries.insert(path.clone(), entry) {
        Some(_) => Err(format!("{} is there twice; {RENEW}", printable(&path))),
        None => Ok(()),
    }
}

fn parse_line(line: &str) -> Result<(OsString, LockEntry), String> {
    if ["<<<<<<<", "=======", ">>>>>>>", "|||||||"].iter().any(|mark| line.starts_with(mark)) {
        return Err(format!("a merge left its mark; resolve it, and {RENEW}"));
    }
    let mut words = line.splitn(7, ' ');
    let mut word = |what: &str| words.next().ok_or_else(|| format!("it ends before {what}; {RENEW}"));
    let (path, kind, rights) = (word("the path")?, word("what stands there")?, word("the mode")?);
    let (found_by, needed_by) = (word("found_by")?, word("needed_by")?);
    let (needs, reason) = (word("what it needs")?, word("the reason")?);
    let path = absolute(path).ok_or_else(|| unread("path", path))?;
    let kind = kind_of(kind).ok_or_else(|| unread("digest, link or directory", kind))?;
    let (mode, capabilities) = rights_of(rights).ok_or_else(|| unread("mode", rights))?;
    let needed_by = match needed_by {
        "-" => None,
        by => Some(absolute(by).ok_or_else(|| unread("path", by))?.into()),
    };
    let found_by = Some(found_by).filter(|rule| *rule != "-").map(str::to_owned);
    let needs = match needs {
        // Nobody asks what a file needs that no rule found.
        "-" => found_by.as_ref().map(|_| Vec::new()),
        names => {
            Some(names.split(',').map(unescaped).collect::<Option<_>>().ok_or_else(|| unread("list of names", names))?)
        }
    };
    Ok((path, LockEntry { kind, mode, capabilities, found_by, needed_by, needs, reason: reason.to_owned() }))
}

fn unread(what: &str, word: &str) -> String {
    let mut shown: String = word.chars().take(80).collect();
    shown.extend((shown.len() < word.len()).then_some('…'));
    format!("`{shown}` is no {what}; {RENEW}")
}

fn absolute(word: &str) -> Option<OsString> {
    unescaped(word).filter(|path| path.as_encoded_bytes().starts_with(b"/"))
}

fn kind_of(word: &str) -> Option<LockedKind> {
    match word.split_once(':') {
        None => (word == "directory").then_some(LockedKind::Directory),
        Some(("sha256", digits)) => Some(LockedKind::File(bytes_of(digits)?.try_into().ok()?)),
        Some(("hardlink", first)) => absolute(first).map(|first| LockedKind::HardLink(first.into())),
        Some(("symlink", target)) => unescaped(target).map(|target| LockedKind::Symlink(PathBuf::from(target))),
        Some(_) => None,
    }
}

fn rights_of(word: &str) -> Option<(u32, Option<Vec<u8>>)> {
    let (mode, capabilities) = match word.split_once("+cap:") {
        Some((mode, value)) => (mode, Some(bytes_of(value)?)),
        None => (word, None),
    };
    let is_octal = mode.len() == 4 && mode.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    let mode = u32::from_str_radix(mode, 8).ok().filter(|_| is_octal)?;
    Some((mode, capabilities))
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| byte(pair.try_into().ok()?)).collect()
}
