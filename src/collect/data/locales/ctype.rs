//! What a locale's `LC_CTYPE` says of itself (`struct locale_data` in glibc's locale/loadlocale.c).

use memchr::memchr;

use super::byte_order;

/// Of the current format, since glibc 2.11 (`LIMAGIC` in locale/localeinfo.h).
const MAGIC: u32 = 0x2009_0720;
/// Which of the strings names the character set: `CODESET` of nl_langinfo(3).
const CODESET: usize = 14;
/// Bytes of a name of a set.
const MAX_NAME: usize = 64;

/// The character set of a locale; `None` for what is no `LC_CTYPE`.
pub(super) fn charset(bytes: &[u8]) -> Option<String> {
    let word = |number: usize| -> Option<[u8; 4]> { bytes.get(number * 4..number * 4 + 4)?.try_into().ok() };
    let read = byte_order(bytes, MAGIC)?;
    let strings = usize::try_from(read(word(1)?)).ok()?;
    if CODESET >= strings {
        return None;
    }
    let rest = bytes.get(usize::try_from(read(word(2 + CODESET)?)).ok()?..)?;
    let name = &rest[..memchr(0, &rest[..rest.len().min(MAX_NAME)])?];
    let is_name = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic());
    is_name.then(|| String::from_utf8_lossy(name).into_owned())
}
