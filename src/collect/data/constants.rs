//! The texts among the constants of an object.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use memchr::memmem;

use super::{Neighbour, Surroundings};
use crate::collect::files::read_only_parts;

/// Bytes of one object that are looked at. A program that has OpenSSL inside it can have 50 MiB.
const MAX_PARTS: u64 = 64 << 20;

/// Times that an object tells one thing; a real one does so once.
const MAX_TOLD: usize = 16;

/// Bytes of a path that an object tells. The longest known are store paths, of under 100.
const MAX_PATH: usize = 256;

/// The read-only parts of an object.
pub(super) struct Constants(Vec<Vec<u8>>);

impl Constants {
    /// Nothing where the object cannot be read any more; whoever packs it finds out.
    pub(super) fn of(object: &Neighbour, around: &Surroundings<'_>) -> Constants {
        let input = around.files.input(&object.spot).ok();
        let parts = input.and_then(|input| read_only_parts(&input, input.stamp.size, MAX_PARTS).ok());
        Constants(parts.unwrap_or_default())
    }

    pub(super) fn hold(&self, text: &str) -> bool {
        self.0.iter().any(|part| memmem::find(part, text.as_bytes()).is_some())
    }

    /// Whether a whole string is `text`.
    pub(super) fn hold_string(&self, text: &OsStr) -> bool {
        let string = [b"\0", text.as_bytes(), b"\0"].concat();
        self.0.iter().any(|part| memmem::find(part, &string).is_some())
    }

    /// What OpenSSL tells by `name` of how it was built: `OPENSSLDIR: "/usr/lib/ssl"` (`OpenSSL_version`, in
    /// its crypto/cversion.c).
    pub(super) fn told(&self, name: &str) -> Vec<PathBuf> {
        let start = format!("{name}: \"");
        let texts = self.0.iter().flat_map(|part| {
            memmem::find_iter(part, start.as_bytes()).take(MAX_TOLD).map(|at| quoted(&part[at + start.len()..]))
        });
        texts.flatten().filter_map(plain).collect()
    }
}

fn quoted(text: &[u8]) -> Option<&Path> {
    let text = &text[..text.len().min(MAX_PATH + 1)];
    let end = memchr::memchr(b'"', text)?;
    Some(Path::new(OsStr::from_bytes(&text[..end])))
}

/// An absolute path that is what it seems: no `..` or control character in it, and more than the root.
pub(super) fn plain(path: &Path) -> Option<PathBuf> {
    let bytes = path.as_os_str().as_bytes();
    let is_named = |component| matches!(component, Component::RootDir | Component::Normal(_));
    let is_plain = path.is_absolute()
        && path.file_name().is_some()
        && path.components().all(is_named)
        && bytes.len() <= MAX_PATH
        && !bytes.iter().any(u8::is_ascii_control);
    is_plain.then(|| path.components().collect())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Constants, plain};

    #[test]
    fn what_openssl_tells_stands_in_quotes() {
        let part =
            b"\0ENGINESDIR: \"/usr/lib/engines-3\"\0OPENSSLDIR: \"/usr/lib/ssl\"\0OPENSSLDIR: %s\0OPENSSLDIR: \"";
        let constants = Constants(vec![part.to_vec()]);
        assert_eq!(constants.told("OPENSSLDIR"), [PathBuf::from("/usr/lib/ssl")]);
        assert!(constants.told("MODULESDIR").is_empty());
    }

    #[test]
    fn only_plain_absolute_paths_are_believed() {
        for path in ["", "/", "//", "etc/ssl", "/etc/../root/.ssh", "/..", "/etc/ssl/..", "/etc/s\x1b[2J", "/a\0b"] {
            assert_eq!(plain(Path::new(path)), None, "{path:?}");
        }
        assert_eq!(plain(Path::new(&"/long".repeat(60))), None);
        assert_eq!(plain(Path::new("//etc/./ssl/")).as_deref(), Some(Path::new("/etc/ssl")));
    }

    #[test]
    fn a_text_without_an_end_or_told_a_thousand_times_is_bounded() {
        let endless = [b"OPENSSLDIR: \"/".as_slice(), &[b'a'; 10_000]].concat();
        let often = b"OPENSSLDIR: \"/a\"".repeat(1_000);
        let constants = Constants(vec![endless, often]);
        assert_eq!(constants.told("OPENSSLDIR").len(), 16);
    }
}
