//! The texts among a file's constants.

use memchr::memmem::Finder;

use super::reader::{PIECE, ReadAt};
use super::text_parts;

/// Bytes of the shortest run that is taken for a text, as strings(1) has it.
const SHORTEST: usize = 4;
/// Bytes of the longest one.
const LONGEST: usize = 4096;

/// Visits each text in the read-only parts of a file, of which at most `limit` bytes are read: what stands between two
/// NULs, if that is of 4 to 4,096 bytes. There may be anything before the text itself. What cannot be read tells nothing.
pub(crate) fn text_constants<R: ReadAt + ?Sized>(source: &R, len: u64, limit: u64, mut visit: impl FnMut(&[u8])) {
    let mut left = limit;
    for part in text_parts(source, len).unwrap_or_default() {
        let mut texts = Texts::default();
        left -= pieces(source, part, left, |piece| texts.go_through(piece, &mut visit));
    }
}

/// Which of these `texts` the read-only parts of a file hold, whatever stands around them: some languages end no text
/// with NUL. At most `limit` bytes are read.
pub(crate) fn texts_held<R: ReadAt + ?Sized>(
    source: &R,
    len: u64,
    limit: u64,
    texts: &[&'static str],
) -> Vec<&'static str> {
    texts_held_in(source, &text_parts(source, len).unwrap_or_default(), limit, texts)
}

/// The same of these parts of a file, an offset and a size each.
pub(super) fn texts_held_in<R: ReadAt + ?Sized>(
    source: &R,
    parts: &[(u64, u64)],
    limit: u64,
    texts: &[&'static str],
) -> Vec<&'static str> {
    let finders: Vec<Finder<'_>> = texts.iter().map(Finder::new).collect();
    let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
    let mut is_held = vec![false; texts.len()];
    let mut left = limit;
    for &part in parts {
        // The end of a piece, in which a text may have begun.
        let mut window: Vec<u8> = Vec::new();
        left -= pieces(source, part, left, |piece| {
            window.extend(&piece[..piece.len().min(longest)]);
            for (finder, is_held) in finders.iter().zip(&mut is_held).filter(|(_, is_held)| !**is_held) {
                *is_held = finder.find(piece).or_else(|| finder.find(&window)).is_some();
            }
            window.clear();
            window.extend(&piece[piece.len().saturating_sub(longest)..]);
        });
    }
    texts.iter().zip(is_held).filter(|(_, is_held)| *is_held).map(|(text, _)| *text).collect()
}

/// Visits what is in a part of a file, an offset and a size, in pieces; of which at most `limit` bytes are read. Returns
/// how many were.
fn pieces<R: ReadAt + ?Sized>(source: &R, (offset, size): (u64, u64), limit: u64, mut visit: impl FnMut(&[u8])) -> u64 {
    let wanted = size.min(limit);
    let mut piece = vec![0; usize::try_from(wanted).unwrap_or(PIECE).min(PIECE)];
    let mut done = 0;
    while done < wanted {
        let size = usize::try_from(wanted - done).unwrap_or(PIECE).min(PIECE);
        let Ok(read @ 1..) = source.read_at(&mut piece[..size], offset.saturating_add(done)) else { break };
        visit(&piece[..read]);
        done += read as u64;
    }
    done
}

/// The texts of a part that comes in pieces.
#[derive(Default)]
struct Texts {
    /// What a piece ended with.
    begun: Vec<u8>,
}

impl Texts {
    fn go_through(&mut self, mut piece: &[u8], visit: &mut impl FnMut(&[u8])) {
        if !self.begun.is_empty() {
            let end = memchr::memchr(0, piece);
            self.begin(&piece[..end.unwrap_or(piece.len())]);
            let Some(end) = end else { return };
            tell(&self.begun, visit);
            self.begun.clear();
            piece = &piece[end + 1..];
        }
        while let Some(end) = next_end(&mut piece) {
            tell(&piece[..end], visit);
            piece = &piece[end + 1..];
        }
        self.begin(piece);
    }

    /// Of what is too long for a text, no more is kept than shows that.
    fn begin(&mut self, bytes: &[u8]) {
        let room = (LONGEST + 1).saturating_sub(self.begun.len());
        self.begun.extend(&bytes[..bytes.len().min(room)]);
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

fn tell(text: &[u8], visit: &mut impl FnMut(&[u8])) {
    if (SHORTEST..=LONGEST).contains(&text.len()) {
        visit(text);
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, PIECE, Texts, text_constants};

    fn texts(pieces: &[&[u8]]) -> Vec<String> {
        let (mut texts, mut found) = (Texts::default(), Vec::new());
        for piece in pieces {
            texts.go_through(piece, &mut |text| found.push(String::from_utf8_lossy(text).into_owned()));
        }
        found
    }

    #[test]
    fn runs_of_four_that_end_in_nul_are_texts() {
        assert_eq!(texts(&[b"abc\0abcd\0\x01a b%\0no end"]), ["abcd", "\x01a b%"]);
        assert_eq!(texts(&[b"\0ab", b"", b"cd\0x\ny", b"abc\0"]), ["abcd", "x\nyabc"]);
        assert_eq!(texts(&[b"abcd"]), [""; 0]);
    }

    #[test]
    fn texts_are_found_wherever_nuls_are() {
        for mask in 0_u32..1 << 14 {
            let bytes: Vec<u8> = (0..14).map(|at| if mask >> at & 1 == 1 { 0 } else { b'x' }).collect();
            let mut expected: Vec<usize> = bytes.split(|&byte| byte == 0).map(<[u8]>::len).collect();
            expected.pop();
            expected.retain(|&length| length >= 4);
            let found: Vec<usize> = texts(&[&bytes]).iter().map(String::len).collect();
            assert_eq!(found, expected, "{mask:b}");
        }
    }

    #[test]
    fn a_run_without_end_is_none_and_takes_no_memory() {
        let long = vec![b'x'; PIECE];
        let mut texts = Texts::default();
        (0..100).for_each(|_| texts.go_through(&long, &mut |_| panic!()));
        texts.go_through(b"\0", &mut |_| panic!());
        (0..100).for_each(|_| texts.go_through(&long, &mut |_| panic!()));
        assert_eq!(texts.begun.len(), LONGEST + 1);
    }

    #[test]
    fn what_is_no_elf_file_has_no_texts() {
        text_constants(&b"abcd\0"[..], 5, 5, |_| panic!());
    }
}
