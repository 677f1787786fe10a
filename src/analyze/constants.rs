//! The texts among a file's constants.

use memchr::memmem::Finder;

use super::reader::ReadAt;
use super::text_parts;

/// Bytes of the shortest run that is taken for a text, as strings(1) has it.
const SHORTEST: usize = 4;
/// Bytes of the longest one.
const LONGEST: usize = 4096;
/// Bytes of a passage that are read at once: few enough to stay near the processor.
const AT_ONCE: usize = 32 << 10;

/// A piece of a file's constants, behind so much of the one before it that no text is cut in two.
pub(crate) struct Passage<'a> {
    bytes: &'a [u8],
    /// How many of the bytes were in the passage before as well.
    known: usize,
}

/// Goes through the read-only parts of a file that can hold texts. What cannot be read tells nothing.
pub(crate) fn constants<R: ReadAt + ?Sized>(source: &R, len: u64, visit: impl FnMut(&Passage<'_>)) {
    passages(source, &text_parts(source, len).unwrap_or_default(), visit);
}

/// Which of these `texts` these parts of a file hold, an offset and a size each, whatever stands around them: some
/// languages end no text with NUL.
pub(super) fn texts_held_in<R: ReadAt + ?Sized>(
    source: &R,
    parts: &[(u64, u64)],
    texts: &[&'static str],
) -> Vec<&'static str> {
    let mut sought: Vec<(Finder<'_>, bool)> = texts.iter().map(|text| (Finder::new(text), false)).collect();
    passages(source, parts, |passage| {
        for (finder, is_held) in sought.iter_mut().filter(|(_, is_held)| !is_held) {
            *is_held = passage.holds(finder);
        }
    });
    texts.iter().zip(sought).filter(|(_, (_, is_held))| *is_held).map(|(text, _)| *text).collect()
}

/// Visits what is in parts of a file, an offset and a size each.
fn passages<R: ReadAt + ?Sized>(source: &R, parts: &[(u64, u64)], mut visit: impl FnMut(&Passage<'_>)) {
    let mut buffer = Vec::new();
    for &(offset, wanted) in parts {
        let (mut known, mut done) = (0, 0);
        while done < wanted {
            let size = usize::try_from(wanted - done).unwrap_or(AT_ONCE).min(AT_ONCE);
            if buffer.len() < known + size {
                buffer.resize(known + size, 0);
            }
            let Ok(read @ 1..) = source.read_at(&mut buffer[known..known + size], offset.saturating_add(done)) else {
                break;
            };
            done += read as u64;
            visit(&Passage { bytes: &buffer[..known + read], known });
            // One more than a text has, so that what is too long for one is known by it.
            let kept = (known + read).min(LONGEST + 1);
            buffer.copy_within(known + read - kept..known + read, 0);
            known = kept;
        }
    }
}

impl<'a> Passage<'a> {
    /// Whether it holds a text, whatever stands around it.
    fn holds(&self, text: &Finder<'_>) -> bool {
        let from = self.known.saturating_sub(text.needle().len());
        text.find(&self.bytes[from..]).is_some()
    }

    /// Visits each text: what stands between two NULs, if that is of 4 to 4,096 bytes. There may be anything before the
    /// text itself.
    pub(crate) fn texts(&self, mut visit: impl FnMut(&'a [u8])) {
        let mut rest = &self.bytes[self.start_of_text(self.known)..];
        while let Some(end) = next_end(&mut rest) {
            tell(&rest[..end], &mut visit);
            rest = &rest[end + 1..];
        }
    }

    /// Visits of those texts the one around `at`, where it ends within so many bytes from there, and that `is_end`. Around a
    /// place that was in the passage before as well, it may come again.
    pub(crate) fn text_around(
        &self,
        at: usize,
        within: usize,
        is_end: impl Fn(&[u8]) -> bool,
        mut visit: impl FnMut(&'a [u8]),
    ) {
        let behind = &self.bytes[at..self.bytes.len().min(at + within)];
        let end = memchr::memchr(0, behind).map(|length| at + length);
        if let Some(end) = end.filter(|&end| end >= self.known && is_end(&self.bytes[at..end])) {
            tell(&self.bytes[self.start_of_text(at)..end], &mut visit);
        }
    }

    /// Where `byte` stands, from so many bytes before what is new on.
    pub(crate) fn places_of(&self, byte: u8, before: usize) -> impl Iterator<Item = usize> {
        let from = self.known.saturating_sub(before);
        memchr::memchr_iter(byte, &self.bytes[from..]).map(move |at| from + at)
    }

    /// Whether a text stands where its byte of that number is at `at`.
    pub(crate) fn has_at(&self, text: &[u8], number: usize, at: usize) -> bool {
        let rest = at.checked_sub(number).and_then(|start| self.bytes.get(start..));
        rest.is_some_and(|rest| rest.starts_with(text))
    }

    /// Behind the last NUL before `at`.
    fn start_of_text(&self, at: usize) -> usize {
        let from = at.saturating_sub(LONGEST + 1);
        memchr::memrchr(0, &self.bytes[from..at]).map_or(from, |nul| from + nul + 1)
    }
}

/// The next NUL, once no NUL is among the first four bytes. Tables are full of them, and a search takes longer to begin
/// than to look at eight bytes at once.
fn next_end(bytes: &mut &[u8]) -> Option<usize> {
    while let Some(word) = bytes.first_chunk() {
        let nuls = nuls(u64::from_le_bytes(*word));
        // Before the last of them, no text of four bytes has room.
        match nuls as u32 {
            0 if nuls == 0 => return memchr::memchr(0, &bytes[8..]).map(|at| at + 8),
            0 => return Some(nuls.trailing_zeros() as usize / 8),
            early => *bytes = &bytes[(31 - early.leading_zeros()) as usize / 8 + 1..],
        }
    }
    memchr::memchr(0, bytes)
}

/// The high bit of each byte that is NUL.
fn nuls(word: u64) -> u64 {
    const LOW: u64 = u64::from_le_bytes([0x7f; 8]);
    !(((word & LOW) + LOW) | word | LOW)
}

fn tell<'a>(text: &'a [u8], visit: &mut impl FnMut(&'a [u8])) {
    if (SHORTEST..=LONGEST).contains(&text.len()) {
        visit(text);
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{AT_ONCE, LONGEST, ReadAt, constants, passages, texts_held_in};

    /// A file that is read so many bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl ReadAt for Slow<'_> {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            let size = buffer.len().min(self.1);
            self.0.read_at(&mut buffer[..size], offset)
        }
    }

    fn texts(bytes: &[u8], at_once: usize) -> Vec<String> {
        let mut found = Vec::new();
        passages(&Slow(bytes, at_once), &[(0, bytes.len() as u64)], |passage| {
            passage.texts(|text| found.push(String::from_utf8_lossy(text).into_owned()));
        });
        found
    }

    fn texts_with_x(bytes: &[u8], at_once: usize) -> Vec<String> {
        let mut found = Vec::new();
        passages(&Slow(bytes, at_once), &[(0, bytes.len() as u64)], |passage| {
            for at in passage.places_of(b'x', 4) {
                passage.text_around(at, 4, |_| true, |text| found.push(String::from_utf8_lossy(text).into_owned()));
            }
        });
        found
    }

    #[test]
    fn runs_of_four_that_end_in_nul_are_texts() {
        for at_once in 1..20 {
            assert_eq!(texts(b"abc\0abcd\0\x01a b%\0no end", at_once), ["abcd", "\x01a b%"]);
            assert_eq!(texts(b"\0abcd\0x\nyabc\0", at_once), ["abcd", "x\nyabc"]);
            assert_eq!(texts(b"abcd", at_once), [""; 0]);
        }
    }

    #[test]
    fn texts_are_found_wherever_nuls_are() {
        for mask in 0_u32..1 << 14 {
            let bytes: Vec<u8> = (0..14).map(|at| if mask >> at & 1 == 1 { 0 } else { b'x' }).collect();
            let mut expected: Vec<usize> = bytes.split(|&byte| byte == 0).map(<[u8]>::len).collect();
            expected.pop();
            expected.retain(|&length| length >= 4);
            let found: Vec<usize> = texts(&bytes, 14 - mask as usize % 5).iter().map(String::len).collect();
            assert_eq!(found, expected, "{mask:b}");
        }
    }

    #[test]
    fn texts_around_a_byte_are_found_wherever_pieces_end() {
        for at_once in 1..20 {
            assert_eq!(texts_with_x(b"abcxy\0axbcde\0\x01\x02x.1\0abx", at_once), ["abcxy", "\x01\x02x.1"]);
        }
    }

    #[test]
    fn what_stands_across_pieces_is_held() {
        for at_once in 1..20 {
            let held = texts_held_in(&Slow(b"1234 certificate", at_once), &[(0, 16)], &["certificate", "3 4", "4 c"]);
            assert_eq!(held, ["certificate", "4 c"]);
        }
    }

    #[test]
    fn a_run_without_end_is_none() {
        let long = vec![b'x'; LONGEST + 1];
        assert_eq!(texts(&[&long[..], b"\0abcd\0"].concat(), 100), ["abcd"]);
        assert_eq!(texts(&[&long[1..], b"\0abcd\0"].concat(), 100).len(), 2);
        let endless = vec![b'x'; 3 * AT_ONCE + 1];
        assert_eq!(texts(&[&endless[..], b"\0"].concat(), AT_ONCE), [""; 0]);
    }

    #[test]
    fn what_is_no_elf_file_has_no_texts() {
        constants(&b"abcd\0"[..], 5, |_| panic!());
    }
}
