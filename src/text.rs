//! Bytes from files, made fit for a message.

use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter, Write};
use std::os::unix::ffi::OsStrExt;

/// Shows a name or path in a message: control characters and bytes that are not UTF-8 as `\xNN`, a backslash as `\\`.
///
/// Names in ELF files are arbitrary bytes; printed raw, they could move a terminal's cursor or forge a line of output.
pub fn printable<S: AsRef<OsStr> + ?Sized>(name: &S) -> impl Display + '_ {
    Printable(name.as_ref().as_bytes())
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
        c if c.is_control() => write_hex(f, c.encode_utf8(&mut [0; 4]).as_bytes()),
        c => f.write_char(c),
    }
}

fn write_hex(f: &mut Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
}

/// `1 library`, `2 libraries`: a count with the noun that fits it.
pub(crate) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
