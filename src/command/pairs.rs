//! Arguments of several parts with a colon between them. Those that hold paths are bytes.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;

/// `SRC:DST` or `TARGET:PATH`.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) from: PathBuf,
    /// In the image.
    pub(crate) to: PathBuf,
}

/// `PATH[:MODE]`.
#[derive(Clone)]
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
    pub(crate) mode: Option<u32>,
}

/// `UID[:GID]`.
#[derive(Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) user: u32,
    pub(crate) group: Option<u32>,
}

pub(crate) fn file(text: OsString) -> Result<Pair, String> {
    pair(&text).ok_or_else(|| "give SRC:DST, where DST is an absolute path in the image: app.conf:/etc/app.conf".into())
}

pub(crate) fn symlink(text: OsString) -> Result<Pair, String> {
    let form = "give TARGET:PATH, where PATH is an absolute path in the image: busybox:/bin/sh";
    pair(&text).ok_or_else(|| form.into())
}

/// A path of this machine may have colons; the one in the image begins behind the last that a slash follows.
fn pair(text: &OsStr) -> Option<Pair> {
    let bytes = text.as_bytes();
    let colon = bytes.windows(2).rposition(|two| two == b":/").filter(|&at| at > 0)?;
    Some(Pair { from: path(&bytes[..colon]), to: path(&bytes[colon + 1..]) })
}

pub(crate) fn directory(text: OsString) -> Result<Directory, String> {
    let bytes = text.as_bytes();
    let Some(colon) = bytes.iter().rposition(|&byte| byte == b':') else {
        return Ok(Directory { path: text.into(), mode: None });
    };
    match octal(&bytes[colon + 1..]) {
        Some(mode) => Ok(Directory { path: path(&bytes[..colon]), mode: Some(mode) }),
        None => Err("the mode behind the last colon must be octal, at most 7777: /tmp:1777".into()),
    }
}

fn octal(digits: &[u8]) -> Option<u32> {
    let is_octal = !digits.is_empty() && digits.iter().all(|digit| (b'0'..=b'7').contains(digit));
    let mode = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()?;
    (is_octal && mode <= 0o7777).then_some(mode)
}

impl FromStr for Identity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let identity = || {
            Some(Identity { user: number(user)?, group: group.map(|group| number(group).ok_or(())).transpose().ok()? })
        };
        identity().ok_or_else(|| "give numbers, UID or UID:GID: an image has no names unless it has /etc/passwd; 65532:65532 is a user of no rights".into())
    }
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}
