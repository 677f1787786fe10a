//! Names among the constants of a program: of libraries that it may load, of locales and of character sets.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::files::{Files, Spot};
use crate::analyze::{text_constants, texts_held};
use crate::root::Input;

/// Names among the constants of a program that are believed.
const MAX_NAMES: usize = 1_000;

/// Bytes of a program in which constants are looked for.
const MAX_CONSTANTS: u64 = 64 << 20;

/// What among the constants of a program could name what it opens by itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Constants {
    /// Names of libraries, each once.
    pub(super) libraries: BTreeSet<OsString>,
    pub(super) locales: BTreeSet<String>,
    pub(super) charsets: BTreeSet<String>,
    /// The name of a bundle of certificates.
    pub(super) bundle: Option<&'static str>,
}

/// What programs hold that bring TLS of their own, in which no symbol tells of it: Go's crypto/x509, OpenSSL linked into
/// them, and what looks for the bundles of all systems.
const BUNDLES: [&str; 2] = ["ca-certificates.crt", "/ssl/cert.pem"];

impl Constants {
    /// The names of libraries, locales and character sets.
    pub(super) fn names(files: &Files<'_>, spot: &Spot) -> Constants {
        let mut constants = Constants::default();
        if let Ok(input) = files.input(spot) {
            text_constants(&input.file, input.stamp.size, MAX_CONSTANTS, |text| constants.add(text));
        }
        constants
    }

    /// The same, with the name of a bundle of certificates.
    pub(super) fn with_bundle(self, files: &Files<'_>, spot: &Spot) -> Constants {
        let held = |input: Input| texts_held(&input.file, input.stamp.size, MAX_CONSTANTS, &BUNDLES).first().copied();
        Constants { bundle: files.input(spot).ok().and_then(held), ..self }
    }

    /// Of a million texts nearly all are told to be none by a byte or two.
    fn add(&mut self, text: &[u8]) {
        let [.., before, last] = text else { return };
        if !last.is_ascii_alphanumeric() || !before.is_ascii_graphic() {
            return;
        }
        let text = printable_end(text);
        if self.libraries.len() + self.locales.len() + self.charsets.len() >= MAX_NAMES {
            return;
        }
        if matches!(text.last(), Some(b'o' | b'0'..=b'9')) && is_library(text) {
            self.libraries.insert(OsStr::from_bytes(text).to_owned());
        } else if text.len() <= LONGEST_SET {
            let set = match (is_charset(text), is_locale(text)) {
                (true, _) => &mut self.charsets,
                (false, true) => &mut self.locales,
                (false, false) => return,
            };
            set.insert(String::from_utf8_lossy(text).into_owned());
        }
    }
}

/// Numbers may stand before a text, with no NUL between.
fn printable_end(text: &[u8]) -> &[u8] {
    match text.first() {
        Some(b' '..=b'~') => text,
        _ => &text[text.iter().rposition(|byte| !matches!(byte, b' '..=b'~')).map_or(0, |at| at + 1)..],
    }
}

/// Whether a text is among the constants of a file, ended by NUL.
pub(super) fn holds(files: &Files<'_>, spot: &Spot, wanted: &[u8]) -> bool {
    let Ok(input) = files.input(spot) else { return false };
    let mut is_there = false;
    text_constants(&input.file, input.stamp.size, MAX_CONSTANTS, |text| is_there |= text == wanted);
    is_there
}

/// Whether a text looks like the name of a locale that says more than a language: `de_DE`, `de_DE.UTF-8`, `C.UTF-8`.
pub(super) fn is_locale(text: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b".@-_".contains(byte);
    let rest = match text {
        [b'C', rest @ ..] if rest.starts_with(b".") => rest,
        [a, b, b'_', c, d, rest @ ..] if is_language(&[*a, *b], [*c, *d]) => rest,
        [a, b, c, b'_', d, e, rest @ ..] if is_language(&[*a, *b, *c], [*d, *e]) => rest,
        _ => return false,
    };
    (rest.is_empty() || rest.starts_with(b".") || rest.starts_with(b"@"))
        && rest.len() <= 32
        && rest.iter().all(is_plain)
}

fn is_language(language: &[u8], country: [u8; 2]) -> bool {
    language.iter().all(u8::is_ascii_lowercase) && country.iter().all(u8::is_ascii_uppercase)
}

/// Whether a text looks like the file name of a shared library: `libfoo.so.1`, `plugin.so`.
fn is_library(text: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._+-".contains(byte);
    let version = text.iter().rev().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let (name, version) = text.split_at(text.len() - version);
    name.len() > 3
        && text.len() <= 255
        && name.ends_with(b".so")
        && (version.is_empty() || version.starts_with(b"."))
        && name.iter().all(is_plain)
}

/// How the names of character sets begin that glibc has not built in: all but UTF-8, UCS-4, UCS-2 and ASCII.
const CHARSETS: [&str; 22] = [
    "ARMSCII",
    "BIG5",
    "CP",
    "EUC-",
    "EUCJP",
    "GB18030",
    "GB2312",
    "GBK",
    "IBM",
    "ISO-2022-",
    "ISO-8859-",
    "ISO8859-",
    "ISO_8859-",
    "JOHAB",
    "KOI8-",
    "LATIN",
    "MACINTOSH",
    "SHIFT",
    "SJIS",
    "TIS-620",
    "UTF-16",
    "WINDOWS-",
];

/// The bytes that one of them begins with.
static FIRST: [bool; 256] = {
    let (mut first, mut at) = ([false; 256], 0);
    while at < CHARSETS.len() {
        let byte = CHARSETS[at].as_bytes()[0];
        first[byte as usize] = true;
        first[byte.to_ascii_lowercase() as usize] = true;
        at += 1;
    }
    first
};

/// Bytes of the longest name of a locale or a character set that is believed.
const LONGEST_SET: usize = 40;

/// Whether a text looks like the name of a character set that glibc loads a module for: `ISO-8859-15`, `SHIFT_JIS//IGNORE`.
fn is_charset(text: &[u8]) -> bool {
    if !text.first().is_some_and(|&first| FIRST[usize::from(first)]) {
        return false;
    }
    let starts = |start: &&&str| {
        let head = text.get(..start.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(start.as_bytes()))
    };
    let Some(start) = CHARSETS.iter().find(starts) else { return false };
    let name = text.split(|&byte| byte == b'/').next().unwrap_or_default();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-:.".contains(byte);
    // These begin many other words.
    let wants_number = ["CP", "IBM", "LATIN"].contains(start);
    text.len() <= LONGEST_SET
        && name.iter().all(is_plain)
        && (!wants_number || name.iter().any(u8::is_ascii_digit))
        // So glibc has the other names of its own sets among its constants.
        && !text.ends_with(b"//")
}

#[cfg(test)]
mod tests {
    use super::{is_charset, is_library, is_locale};

    #[test]
    fn names_of_character_sets_are_of_those_that_are_not_built_in() {
        for name in ["SHIFT_JIS", "ISO-8859-15", "iso-8859-1//TRANSLIT", "CP1252", "latin1", "UTF-16LE", "windows-1250"]
        {
            assert!(is_charset(name.as_bytes()), "{name}");
        }
        for name in ["UTF-8", "ASCII", "CP367//", "CPU", "CP", "shiftless one", "ibm", "latin", ""] {
            assert!(!is_charset(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn names_of_locales_say_more_than_a_language() {
        for name in ["de_DE", "de_DE.UTF-8", "de_DE@euro", "C.UTF-8", "ast_ES.ISO-8859-15"] {
            assert!(is_locale(name.as_bytes()), "{name}");
        }
        for name in ["C", "POSIX", "", "de", "DE_de", "a_B", "de_DE.UTF-8/../x", "x.so", "de_DEU"] {
            assert!(!is_locale(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn names_of_libraries_are_file_names_that_end_in_so_and_a_version() {
        for name in ["libfoo.so", "libfoo.so.1", "libfoo-2.so.1.2", "plugin.so"] {
            assert!(is_library(name.as_bytes()), "{name}");
        }
        for name in
            [".so", "libfoo.so.x", "/lib/libfoo.so", "lib%s.so", "libfoo.solid", "a b.so", "libfoo.so.1 not found"]
        {
            assert!(!is_library(name.as_bytes()), "{name}");
        }
    }
}
