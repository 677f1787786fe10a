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
    /// The checksum of what it was packed into.
    pub(crate) packed: Hash,
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
const PIECE: usize = 3 * HASH + 2 * size_of::<Saved>();

impl Record {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MOMENT + self.pieces.len() * PIECE);
        bytes.extend_from_slice(&self.taken.to_bytes());
        for piece in &self.pieces {
            bytes.extend_from_slice(piece.origin.as_bytes());
            bytes.extend_from_slice(piece.content.as_bytes());
            bytes.extend_from_slice(piece.packed.as_bytes());
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
        let (packed, rest) = rest.split_first_chunk::<HASH>()?;
        let (diff, rest) = rest.split_first_chunk()?;
        let [origin, content, packed] = [origin, content, packed].map(|hash| Hash::from_bytes(*hash));
        Some(Recorded { origin, content, packed, diff: *diff, blob: rest.try_into().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::{Record, Recorded};
    use crate::root::Moment;

    #[test]
    fn a_record_is_stored_and_read_and_no_part_of_one_is() {
        let piece = |number: u8| Recorded {
            origin: blake3::hash(&[number]),
            content: blake3::hash(&[number, 1]),
            packed: blake3::hash(&[number, 2]),
            diff: [number; _],
            blob: [!number; _],
        };
        let record = Record { taken: Moment::now(), pieces: (0..3).map(piece).collect() };
        let bytes = record.to_bytes();
        assert_eq!(Record::from_bytes(&bytes), Some(record));
        assert_eq!(Record::from_bytes(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Record::from_bytes(&bytes[..15]), None);
    }
}
