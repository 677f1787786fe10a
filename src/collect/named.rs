//! Names among the constants of a program: of libraries that it may load, of locales and of character sets.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::analyze::{Passage, constants};
use crate::limits::MAX_NAMED;
use crate::root::Input;

/// What is looked for among the constants of a program.
#[derive(Clone, Copy, Default)]
pub(super) struct Sought {
    /// The names of libraries.
    pub(super) libraries: bool,
    pub(super) sets: Sets,
    /// The name of a bundle of certificates.
    pub(super) bundle: bool,
}

/// Of which names of locales and character sets anything is made.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Sets {
    #[default]
    None,
    /// Whether there is one of a character set.
    AnyCharset,
    All,
}

/// What among the constants of a program could name what it opens by itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Constants {
    /// Names of libraries, each once.
    pub(super) libraries: BTreeSet<OsString>,
    pub(super) locales: BTreeSet<String>,
    pub(super) charsets: BTreeSet<String>,
    /// The name of a bundle of certificates.
    pub(super) bundle: Option<&'static str>,
    /// Whether there are more names than are looked for.
    pub(super) is_cut: bool,
}

/// What programs hold that bring TLS of their own, in which no symbol tells of it: Go's crypto/x509, OpenSSL linked into
/// them, and what looks for the bundles of all systems. Each with the number of the byte that is a dot.
const BUNDLES: [(&str, usize); 2] = [("ca-certificates.crt", 15), ("/ssl/cert.pem", 9)];

impl Constants {
    /// What a program has of what is sought.
    pub(super) fn read(program: &Input, sought: Sought) -> Constants {
        let mut reading = Reading::new(sought);
        if sought.libraries || sought.sets != Sets::None || sought.bundle {
            constants(program, program.stamp.size, |passage| reading.go_through(passage));
        }
        let mut bundles = BUNDLES.into_iter().zip(reading.has_bundle);
        let bundle = bundles.find(|(_, is_held)| *is_held).map(|((name, _), _)| name);
        Constants { bundle, ..reading.found }
    }

    fn add_library(&mut self, text: &[u8]) {
        if !matches!(text.last(), Some(b'o' | b'0'..=b'9')) {
            return;
        }
        let text = printable_end(text);
        let is_new = is_library(text) && !self.libraries.contains(OsStr::from_bytes(text));
        if is_new && self.has_room() {
            self.libraries.insert(OsStr::from_bytes(text).to_owned());
        }
    }

    /// Of a million texts nearly all are told to be none by a byte or two.
    fn add_set(&mut self, text: &[u8]) {
        let [.., before, last] = text else { return };
        if !last.is_ascii_alphanumeric() || !before.is_ascii_graphic() {
            return;
        }
        let text = printable_end(text);
        if text.len() > LONGEST_SET {
            return;
        }
        let is_charset = is_charset(text);
        if !is_charset && !is_locale(text) {
            return;
        }
        let Ok(name) = str::from_utf8(text) else { return };
        let known = if is_charset { &self.charsets } else { &self.locales };
        if known.contains(name) || is_library(text) || !self.has_room() {
            return;
        }
        let set = if is_charset { &mut self.charsets } else { &mut self.locales };
        set.insert(name.to_owned());
    }

    fn has_room(&mut self) -> bool {
        let has_room = self.libraries.len() + self.locales.len() + self.charsets.len() < MAX_NAMED;
        self.is_cut |= !has_room;
        has_room
    }
}

/// The constants of a program while they are read.
struct Reading {
    sought: Sought,
    found: Constants,
    /// Which of the bundles were found.
    has_bundle: [bool; BUNDLES.len()],
}

impl Reading {
    fn new(sought: Sought) -> Reading {
        Reading { sought, found: Constants::default(), has_bundle: [false; BUNDLES.len()] }
    }

    fn go_through(&mut self, passage: &Passage<'_>) {
        if self.sought.libraries || self.sought.bundle {
            passage.places_of(b'.', LONGEST_LIBRARY).for_each(|dot| self.look_around(dot, passage));
        }
        let found = &mut self.found;
        let is_done = match self.sought.sets {
            Sets::None => true,
            Sets::AnyCharset => !found.charsets.is_empty(),
            Sets::All => found.is_cut,
        };
        if !is_done {
            passage.texts(|text| found.add_set(text));
        }
    }

    /// All names of libraries and bundles have a dot, and few other texts.
    fn look_around(&mut self, dot: usize, passage: &Passage<'_>) {
        if self.sought.libraries && !self.found.is_cut && passage.has_at(b".so", 0, dot) {
            passage.text_around(dot, LONGEST_LIBRARY, ends_a_library, |text| self.found.add_library(text));
        }
        for ((name, at), has_bundle) in BUNDLES.into_iter().zip(&mut self.has_bundle) {
            *has_bundle |= self.sought.bundle && passage.has_at(name.as_bytes(), at, dot);
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
pub(super) fn holds(program: &Input, wanted: &[u8]) -> bool {
    let mut is_there = false;
    constants(program, program.stamp.size, |passage| {
        passage.texts(|text| is_there |= text == wanted);
    });
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

/// Bytes of the longest name of a file (NAME_MAX of limits.h).
const LONGEST_LIBRARY: usize = 255;

/// Whether a text that has `.so` here can be a library's name: behind it there is a version alone.
fn ends_a_library(text: &[u8]) -> bool {
    text.strip_prefix(b".so").is_some_and(|version| version.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.'))
}

/// Whether a text looks like the file name of a shared library: `libfoo.so.1`, `plugin.so`.
fn is_library(text: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._+-".contains(byte);
    let version = text.iter().rev().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let (name, version) = text.split_at(text.len() - version);
    name.len() > 3
        && text.len() <= LONGEST_LIBRARY
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

/// The two letters that one of them begins with, by their number.
static FIRST: [bool; LETTERS * LETTERS] = {
    let (mut first, mut at) = ([false; LETTERS * LETTERS], 0);
    while at < CHARSETS.len() {
        let name = CHARSETS[at].as_bytes();
        first[letter(name[0]) * LETTERS + letter(name[1])] = true;
        at += 1;
    }
    first
};

/// The letters, whatever their case, and one number for all that is none.
const LETTERS: usize = 27;

const fn letter(byte: u8) -> usize {
    if byte.is_ascii_alphabetic() { (byte | 32) as usize - 96 } else { 0 }
}

/// Bytes of the longest name of a locale or a character set that is believed.
const LONGEST_SET: usize = 40;

/// Whether a text looks like the name of a character set that glibc loads a module for: `ISO-8859-15`, `SHIFT_JIS//IGNORE`.
fn is_charset(text: &[u8]) -> bool {
    let [first, second, ..] = text else { return false };
    if !FIRST[letter(*first) * LETTERS + letter(*second)] {
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
    use super::{BUNDLES, is_charset, is_library, is_locale};

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
    fn bundles_are_known_by_a_dot() {
        assert!(BUNDLES.iter().all(|(name, dot)| name.as_bytes()[*dot] == b'.'));
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
