//! Which distribution a root is of (os-release(5)), and what an image says of it.

use std::path::Path;

use super::database::Databases;
use super::wanted::lines;
use crate::error::Result;

/// A distribution, as its `/etc/os-release` names it (os-release(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    id: String,
    version: Option<String>,
    name: String,
    /// What images have of it in /etc.
    files: Vec<(&'static str, Vec<u8>)>,
}

impl Distribution {
    pub(super) fn new(id: String, version: Option<String>) -> Distribution {
        Distribution { name: id.clone(), id, version, files: Vec::new() }
    }

    /// Its name for programs, `ID`: `debian`, `alpine`; `linux` where it has none.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its version, `VERSION_ID`: `12`. Some have none.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Its name for people, `PRETTY_NAME` or `NAME`: `Debian GNU/Linux 12 (bookworm)`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The files of /etc by which scanners know it.
    pub(super) fn files(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.files.iter().map(|(name, bytes)| (*name, bytes.as_slice()))
    }
}

/// The first that is there counts.
const OS_RELEASE: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];

/// Of one line each, with a version. A scanner may look for one rather than for os-release.
const VERSION_FILES: [&str; 2] = ["debian_version", "alpine-release"];

/// Bytes of such a line.
const MAX_VERSION: usize = 64;

/// The distribution of the root, where it tells it.
pub(super) fn read(databases: &mut Databases<'_>) -> Result<Option<Distribution>> {
    let mut bytes = Vec::new();
    for path in OS_RELEASE.map(Path::new) {
        if databases.read(path, &mut bytes)? {
            let mut distribution = of_os_release(&bytes);
            for name in VERSION_FILES {
                let is_there = databases.read(&Path::new("/etc").join(name), &mut bytes)?;
                let line = Some(&bytes).filter(|_| is_there).and_then(|bytes| version_line(bytes));
                distribution.files.extend(line.map(|line| (name, line)));
            }
            return Ok(Some(distribution));
        }
    }
    Ok(None)
}

/// Only assignments are taken, whatever else the file may be.
fn of_os_release(bytes: &[u8]) -> Distribution {
    let assignments: Vec<(&str, &str)> = lines(bytes).filter_map(assignment).collect();
    // Of several for one name the last counts.
    let value = |wanted: &str| {
        let raw = assignments.iter().rev().find(|(name, _)| *name == wanted)?.1;
        Some(unquoted(raw)).filter(|value| !value.is_empty())
    };
    let id = value("ID").unwrap_or_else(|| "linux".to_owned());
    let name = value("PRETTY_NAME").or_else(|| value("NAME")).unwrap_or_else(|| id.clone());
    let text: String = assignments.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    let files = if text.is_empty() { Vec::new() } else { vec![("os-release", text.into_bytes())] };
    Distribution { version: value("VERSION_ID"), id, name, files }
}

fn assignment(line: &[u8]) -> Option<(&str, &str)> {
    let (name, value) = std::str::from_utf8(line).ok()?.trim().split_once('=')?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    let is_plain = !value.chars().any(char::is_control);
    (is_name && is_plain && !name.is_empty()).then_some((name, value))
}

/// A value as a shell would have it: up to white space that is not quoted.
fn unquoted(raw: &str) -> String {
    let mut value = String::new();
    let mut quote = None;
    let mut rest = raw.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            ('\\', Some('"')) if !rest.peek().is_some_and(|next| "$`\"\\".contains(*next)) => value.push(c),
            ('\\', None | Some('"')) => value.extend(rest.next()),
            (c, None) if c.is_whitespace() => break,
            (c, _) => value.push(c),
        }
    }
    value
}

/// The one line of a file that says a version.
fn version_line(bytes: &[u8]) -> Option<Vec<u8>> {
    let line = lines(bytes).next()?.trim_ascii();
    let is_version =
        !line.is_empty() && line.len() <= MAX_VERSION && line.iter().all(|byte| matches!(byte, b' '..=b'~'));
    is_version.then(|| [line, b"\n"].concat())
}

#[cfg(test)]
mod tests {
    use super::{of_os_release, version_line};

    #[test]
    fn what_os_release_says_is_taken_as_a_shell_would() {
        let text =
            b"# comment\nPRETTY_NAME=\"A \\\"b\\\" \\$c\"\nID=old\nID=new\nVERSION_ID='1 2'\nodd line\nlower=1\n";
        let distribution = of_os_release(text);
        assert_eq!(
            (distribution.id(), distribution.version(), distribution.name()),
            ("new", Some("1 2"), "A \"b\" $c")
        );
        let kept = b"PRETTY_NAME=\"A \\\"b\\\" \\$c\"\nID=old\nID=new\nVERSION_ID='1 2'\n";
        assert_eq!(distribution.files().collect::<Vec<_>>(), [("os-release", &kept[..])]);
    }

    #[test]
    fn quotes_and_backslashes_are_those_of_a_shell() {
        for (raw, value) in [
            ("debian", "debian"),
            ("\"debian\" # comment", "debian"),
            ("\"1\\2\"", "1\\2"),
            ("\"a\\\\b\\\"c\"", "a\\b\"c"),
            ("'a\\b'", "a\\b"),
            ("a\\ b c", "a b"),
            ("a\"b c\"'d'", "ab cd"),
            ("\"open", "open"),
        ] {
            assert_eq!(super::unquoted(raw), value, "{raw}");
        }
    }

    #[test]
    fn what_is_no_os_release_says_nothing() {
        for text in [&b""[..], b"root:x:0:0::/root:/bin/sh\n", b"-----BEGIN PRIVATE KEY-----\nTUlJ=\n", b"\xff\0"] {
            let distribution = of_os_release(text);
            assert_eq!((distribution.id(), distribution.files().count()), ("linux", 0));
        }
        for text in [&b""[..], b"\n12", b"\x1b[2J\n", &[b'1'; 65]] {
            assert_eq!(version_line(text), None);
        }
        assert_eq!(version_line(b"12.9\nmore").as_deref(), Some(&b"12.9\n"[..]));
    }
}
