//! Bytes from files, made fit for a message.

use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter, Write};

/// Shows a name or path in a message: what no terminal should get, and bytes that are not UTF-8, as `\xNN`, a backslash as
/// `\\`.
///
/// Names in ELF files are arbitrary bytes; printed raw, they could move a terminal's cursor, forge a line of output, or turn
/// the order of its letters around. So these are not printed: control characters, and the marks that change the direction
/// of text or end a line (Unicode's Bidi_Control, U+2028, U+2029).
pub fn printable<S: AsRef<OsStr> + ?Sized>(name: &S) -> impl Display + '_ {
    Printable(name.as_ref().as_encoded_bytes())
}

/// Whether a character of a name could do something to a terminal, rather than be seen on it.
pub(crate) fn is_unfit(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

struct Printable<'a>(&'a [u8]);

impl Display for Printable<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            match chunk.valid() {
                // Nearly all names are.
                plain if plain.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'\\') => {
                    f.write_str(plain)?
                }
                other => other.chars().try_for_each(|c| write_char(f, c))?,
            }
            write_hex(f, chunk.invalid())?;
        }
        Ok(())
    }
}

fn write_char(f: &mut Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '\\' => f.write_str("\\\\"),
        c if is_unfit(c) => write_hex(f, c.encode_utf8(&mut [0; 4]).as_bytes()),
        c => f.write_char(c),
    }
}

fn write_hex(f: &mut Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
}

/// Two hexadecimal digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut digits, byte| {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// `1 library`, `2 libraries`: a count with the noun that fits it.
pub(crate) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// `30.13 MB`: a number of bytes in the largest decimal unit of which it has one.
pub(crate) fn megabytes(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    let unit = UNITS.into_iter().find(|(unit, _)| bytes >= *unit);
    unit.map_or_else(|| format!("{bytes} B"), |(unit, name)| format!("{:.2} {name}", bytes as f64 / unit as f64))
}

#[cfg(test)]
mod tests {
    use super::{megabytes, printable};

    #[test]
    fn sizes_have_the_largest_unit_that_fits() {
        for (bytes, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (30_129_999, "30.13 MB"),
            (5_000_000_000, "5.00 GB"),
            (u64::MAX, "18446744.07 TB"),
        ] {
            assert_eq!(megabytes(bytes), shown);
        }
    }

    #[test]
    fn what_no_terminal_should_get_is_seen_as_its_bytes() {
        for (name, shown) in [
            ("lib x-1.so", "lib x-1.so"),
            ("größe", "größe"),
            ("a\\b", "a\\\\b"),
            ("\u{1b}[2J\n", "\\x1b[2J\\x0a"),
            ("\u{7f}\u{85}", "\\x7f\\xc2\\x85"),
            ("\u{202e}os.x", "\\xe2\\x80\\xaeos.x"),
            ("\u{2028}\u{2066}\u{200f}\u{61c}", "\\xe2\\x80\\xa8\\xe2\\x81\\xa6\\xe2\\x80\\x8f\\xd8\\x9c"),
        ] {
            assert_eq!(printable(name).to_string(), shown);
        }
    }
}
