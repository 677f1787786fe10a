//! Names in a line of a lock, where white space ends them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

use crate::text::{hex, is_unfit, printable};

/// A name as a lock has it: as messages have it, and white space as `\xNN` as well.
pub(super) fn escaped(name: &OsStr) -> String {
    without(&printable(name).to_string(), char::is_whitespace)
}

/// Words, on one line.
pub(super) fn on_a_line(words: &str) -> String {
    without(words, is_unfit)
}

/// The characters that are `unfit` by their bytes, as `\xNN`.
fn without(text: &str, unfit: impl Fn(char) -> bool) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut done, c| {
        match unfit(c) {
            true => c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| done.extend(["\\x", &hex(&[byte])])),
            false => done.push(c),
        }
        done
    })
}

/// The name that was escaped so; `None` where that cannot be.
pub(super) fn unescaped(text: &str) -> Option<OsString> {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some(at) = memchr::memchr(b'\\', rest) {
        name.extend_from_slice(&rest[..at]);
        rest = match &rest[at + 1..] {
            [b'\\', rest @ ..] => {
                name.push(b'\\');
                rest
            }
            [b'x', high, low, rest @ ..] => {
                name.push(byte([*high, *low])?);
                rest
            }
            _ => return None,
        };
    }
    name.extend_from_slice(rest);
    (!name.is_empty() && !name.contains(&0)).then(|| OsString::from_vec(name))
}

/// The byte of two hexadecimal digits.
pub(super) fn byte(digits: [u8; 2]) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some(digit(digits[0])? << 4 | digit(digits[1])?)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::{escaped, unescaped};

    #[test]
    fn every_name_comes_back_from_one_word() {
        let bytes: Vec<u8> = (1..=255).collect();
        let names =
            [bytes.as_slice(), b"a b\\x20\\", "gr\u{f6}\u{df}e\u{a0}\u{2028}\u{3000}".as_bytes(), b"\xff\xfe", b"-"];
        for name in names.map(OsStr::from_bytes) {
            let word = escaped(name);
            assert!(!word.contains(char::is_whitespace) && !word.contains(char::is_control), "{word}");
            assert_eq!(unescaped(&word).as_deref(), Some(name));
        }
    }

    #[test]
    fn what_no_name_is_written_as_is_none() {
        for word in ["", "\\", "a\\x2", "\\xzz", "\\n", "\\x00"] {
            assert_eq!(unescaped(word), None, "{word}");
        }
    }
}
