//! What is remembered of one layer: of each piece its files' stamps, its content, and both hashers behind it.

use blake3::Hash;

use super::super::digest::Saved;
use crate::root::Moment;

/// One piece of a layer that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// What it was made of: headers, and stamps of files.
    pub(crate) origin: Hash,
    /// The digest of its bytes, not compressed.
    pub(crate) content: Hash,
    /// The hasher of the diff_id behind it.
    pub(crate) diff: Saved,
    /// The hasher of the blob behind it.
    pub(crate) blob: Saved,
}

/// A layer that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Its files were read after this moment.
    pub(crate) taken: Moment,
    pub(crate) pieces: Vec<Recorded>,
}

const HASH: usize = blake3::OUT_LEN;
const MOMENT: usize = 16;
const PIECE: usize = 2 * HASH + 2 * size_of::<Saved>();

impl Record {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MOMENT + self.pieces.len() * PIECE);
        bytes.extend_from_slice(&self.taken.to_bytes());
        for piece in &self.pieces {
            bytes.extend_from_slice(piece.origin.as_bytes());
            bytes.extend_from_slice(piece.content.as_bytes());
            bytes.extend_from_slice(&piece.diff);
            bytes.extend_from_slice(&piece.blob);
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Record> {
        let (taken, pieces) = bytes.split_first_chunk::<MOMENT>()?;
        let pieces = pieces.chunks(PIECE).map(Recorded::from_bytes).collect::<Option<_>>()?;
        Some(Record { taken: Moment::from_bytes(*taken), pieces })
    }
}

impl Recorded {
    fn from_bytes(bytes: &[u8]) -> Option<Recorded> {
        let (origin, rest) = bytes.split_first_chunk::<HASH>()?;
        let (content, rest) = rest.split_first_chunk::<HASH>()?;
        let (diff, rest) = rest.split_first_chunk()?;
        let blob = rest.try_into().ok()?;
        Some(Recorded { origin: Hash::from_bytes(*origin), content: Hash::from_bytes(*content), diff: *diff, blob })
    }
}
