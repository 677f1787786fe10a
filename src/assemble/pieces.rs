//! Where a layer is cut: into pieces that are read, compressed and remembered each on its own.

use std::borrow::Cow;
use std::ops::Range;

use super::members::{TRAILER, layer_header, padding};
use super::source::SourceReader;
use crate::collect::Source;
use crate::error::Result;
use crate::tree::{Content, Entry};

/// The most bytes of a piece. Each file begins a piece, so where the cuts lie depends on the contents alone; larger
/// pieces compress a little better, and need more memory for each thread.
pub(crate) const PIECE: usize = 2 << 20;

/// A stretch of the layer's tar that is known before a file is opened.
#[derive(Default)]
pub(crate) struct Piece<'a> {
    parts: Vec<Part<'a>>,
    size: usize,
}

pub(crate) enum Part<'a> {
    Bytes(Cow<'a, [u8]>),
    File { source: &'a Source, range: Range<u64> },
}

/// All pieces of the layer that holds these entries.
pub(crate) fn cut(entries: &[Entry], mtime: u64) -> Vec<Piece<'_>> {
    let mut cutter = Cutter::default();
    for entry in entries {
        let header = Cow::Owned(layer_header(entry, mtime));
        match entry.content() {
            Content::File(source) => {
                cutter.end();
                cutter.bytes(header);
                cutter.file(source);
                cutter.bytes(Cow::Borrowed(padding(source.stamp.size)));
            }
            Content::Generated(bytes) => {
                cutter.end();
                cutter.bytes(header);
                cutter.bytes(Cow::Borrowed(bytes));
                cutter.bytes(Cow::Borrowed(padding(bytes.len() as u64)));
            }
            Content::Directory | Content::Link(_) | Content::HardLink(..) => cutter.bytes(header),
        }
    }
    cutter.bytes(Cow::Borrowed(&TRAILER));
    cutter.end();
    cutter.pieces
}

#[derive(Default)]
struct Cutter<'a> {
    pieces: Vec<Piece<'a>>,
    piece: Piece<'a>,
}

impl<'a> Cutter<'a> {
    /// Ends the piece, if there is anything in it.
    fn end(&mut self) {
        if self.piece.size > 0 {
            self.pieces.push(std::mem::take(&mut self.piece));
        }
    }

    /// How much still goes into the piece.
    fn room(&mut self) -> usize {
        if self.piece.size == PIECE {
            self.end();
        }
        PIECE - self.piece.size
    }

    fn add(&mut self, part: Part<'a>, size: usize) {
        self.piece.parts.push(part);
        self.piece.size += size;
    }

    fn bytes(&mut self, mut bytes: Cow<'a, [u8]>) {
        while !bytes.is_empty() {
            let room = self.room();
            let at = bytes.len().min(room);
            let rest = match &mut bytes {
                Cow::Borrowed(bytes) => {
                    let (fits, rest) = bytes.split_at(at);
                    *bytes = fits;
                    Cow::Borrowed(rest)
                }
                Cow::Owned(bytes) => Cow::Owned(bytes.split_off(at)),
            };
            let size = bytes.len();
            self.add(Part::Bytes(bytes), size);
            bytes = rest;
        }
    }

    /// Adds the bytes that the file had when it was analyzed. An empty one is opened as well, to see that it still is.
    fn file(&mut self, source: &'a Source) {
        let mut start = 0;
        loop {
            let room = self.room();
            let size = usize::try_from(source.stamp.size - start).map_or(room, |rest| rest.min(room));
            let end = start + size as u64;
            self.add(Part::File { source, range: start..end }, size);
            start = end;
            if start == source.stamp.size {
                return;
            }
        }
    }
}

impl<'a> Piece<'a> {
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn parts(&self) -> &[Part<'a>] {
        &self.parts
    }

    pub(crate) fn sources(&self) -> impl Iterator<Item = &'a Source> {
        self.parts.iter().filter_map(|part| match part {
            Part::File { source, .. } => Some(*source),
            Part::Bytes(_) => None,
        })
    }
}

/// Reads pieces. A file whose pieces follow each other is opened once.
#[derive(Default)]
pub(crate) struct PieceReader<'a> {
    open: Option<SourceReader<'a>>,
}

impl<'a> PieceReader<'a> {
    /// Fills the buffer, which is as long as the piece, or fails where a file is not as it was analyzed.
    pub(crate) fn read(&mut self, piece: &Piece<'a>, mut buffer: &mut [u8]) -> Result<()> {
        for part in &piece.parts {
            buffer = match part {
                Part::Bytes(bytes) => {
                    let (place, rest) = buffer.split_at_mut(bytes.len());
                    place.copy_from_slice(bytes);
                    rest
                }
                Part::File { source, range } => {
                    let size = (range.end - range.start) as usize;
                    let (place, rest) = buffer.split_at_mut(size);
                    self.open(source)?.read(place, range.start)?;
                    rest
                }
            }
        }
        Ok(())
    }

    /// Sees that the files of a piece are as they were analyzed, without reading them.
    pub(crate) fn expect_unchanged(&mut self, piece: &Piece<'a>) -> Result<()> {
        piece.sources().try_for_each(|source| self.open(source).map(drop))
    }

    fn open(&mut self, source: &'a Source) -> Result<&SourceReader<'a>> {
        let reader = match self.open.take() {
            Some(open) if open.is_of(source) => open,
            other => {
                other.map_or(Ok(()), SourceReader::finish)?;
                SourceReader::open(source)?
            }
        };
        Ok(self.open.insert(reader))
    }

    /// Says whether all that was read of the last file is of one state of it.
    pub(crate) fn finish(self) -> Result<()> {
        self.open.map_or(Ok(()), SourceReader::finish)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{Cutter, PIECE, Part};

    #[test]
    fn pieces_are_full_but_for_the_last_of_each_file_and_hold_every_byte() {
        let bytes: Vec<u8> = (0..5 * PIECE / 2).map(|byte| (byte % 253) as u8).collect();
        for given in [Cow::Borrowed(&bytes[..]), Cow::Owned(bytes.clone())] {
            let mut cutter = Cutter::default();
            cutter.bytes(Cow::Borrowed(b"header"));
            cutter.bytes(given);
            cutter.end();
            cutter.end();
            let sizes: Vec<usize> = cutter.pieces.iter().map(super::Piece::size).collect();
            assert_eq!(sizes, [PIECE, PIECE, PIECE / 2 + 6]);
            let parts = cutter.pieces.iter().flat_map(super::Piece::parts);
            let all: Vec<u8> = parts
                .flat_map(|part| match part {
                    Part::Bytes(bytes) => bytes.to_vec(),
                    Part::File { .. } => unreachable!(),
                })
                .collect();
            assert!(all == [b"header".as_slice(), &bytes].concat());
        }
    }
}
