//! One layer that is made with a cache: what is known of it already, and what is learnt.

use blake3::{Hash, Hasher};

use super::super::digest;
use super::super::pieces::{Part, Piece, PieceReader};
use super::record::Record;
use super::{Cache, Slot};
use crate::root::Moment;

pub(crate) use super::record::Recorded;

/// What a cache knows of one layer.
#[derive(Debug)]
pub(crate) struct Session<'c> {
    cache: &'c Cache,
    slot: Slot,
    record: Record,
    /// How many of the pieces are known to be as they were.
    known: usize,
    /// Whether some of them had to be read for that.
    is_reread: bool,
    /// When this session began.
    taken: Moment,
}

impl<'c> Session<'c> {
    /// Finds the pieces at the beginning of a layer that are as they were.
    pub(crate) fn begin(cache: &'c Cache, slot: Slot, pieces: &[Piece<'_>]) -> Session<'c> {
        let taken = Moment::now();
        let record = cache.records.read(&slot.layer).and_then(|bytes| Record::from_bytes(&bytes));
        let record = record.unwrap_or(Record { taken, pieces: Vec::new() });
        let mut session = Session { cache, slot, record, known: 0, is_reread: false, taken };
        session.count_known(pieces);
        session
    }

    fn count_known(&mut self, pieces: &[Piece<'_>]) {
        let mut reader = PieceReader::default();
        let mut known = 0usize;
        for (piece, recorded) in pieces.iter().zip(&self.record.pieces) {
            if origin(piece) != recorded.origin {
                break;
            }
            if !piece.sources().all(|source| source.stamp.is_settled(self.record.taken)) {
                self.is_reread = true;
                if !holds(&mut reader, piece, &recorded.content) {
                    break;
                }
            }
            known += 1;
        }
        let is_resumed = known.checked_sub(1).is_some_and(|last| self.hashers_behind(last).is_some());
        self.known = if is_resumed { known } else { 0 };
    }

    /// How many pieces at the beginning need not be read to be known.
    pub(crate) fn known(&self) -> usize {
        self.known
    }

    /// What is remembered of a piece.
    pub(crate) fn recorded(&self, number: usize) -> Option<&Recorded> {
        self.record.pieces.get(number)
    }

    /// The hashers of the diff_id and the blob behind a piece.
    fn hashers_behind(&self, number: usize) -> Option<(digest::Hasher, digest::Hasher)> {
        let recorded = self.recorded(number)?;
        Some((digest::Hasher::resumed(&recorded.diff)?, digest::Hasher::resumed(&recorded.blob)?))
    }

    /// The hashers behind all that is known.
    pub(crate) fn hashers_behind_known(&self) -> Option<(digest::Hasher, digest::Hasher)> {
        self.known.checked_sub(1).and_then(|last| self.hashers_behind(last))
    }

    /// The packed form of a piece of this content.
    pub(crate) fn frame(&self, content: &Hash, buffer: &mut [u8]) -> Option<(usize, Hash)> {
        self.cache.frames.read_into(&self.frame_key(content), buffer)
    }

    /// Stores the packed form of a piece, and answers its checksum.
    pub(crate) fn store_frame(&self, content: &Hash, packed: &[u8]) -> Hash {
        self.cache.frames.store(&self.frame_key(content), &[packed])
    }

    /// Forgets a layer of which something turned out not to be as it is recorded.
    pub(crate) fn forget(&self) {
        self.cache.records.remove(&self.slot.layer);
    }

    fn frame_key(&self, content: &Hash) -> Hash {
        super::hash_of(&[self.slot.codec.as_bytes(), content.as_bytes()])
    }

    /// Remembers the layer as it is now: the pieces that were known before it, and these behind them.
    pub(crate) fn learn(&mut self, learnt: impl Iterator<Item = Recorded>) {
        let before = self.record.pieces.len();
        self.record.pieces.truncate(self.known);
        self.record.pieces.extend(learnt);
        let is_same = self.known == before && self.known == self.record.pieces.len();
        self.known = self.record.pieces.len();
        if is_same && !self.is_reread {
            return;
        }
        // All that was known before was settled then, so it is now.
        self.record.taken = self.taken;
        self.cache.records.store(&self.slot.layer, &[&self.record.to_bytes()]);
    }
}

/// However the layer ended: frames are stored on the way.
impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.cache.records.sweep();
        self.cache.frames.sweep();
    }
}

/// What a piece is made of, as far as can be told without reading a file.
pub(crate) fn origin(piece: &Piece<'_>) -> Hash {
    let mut hasher = Hasher::new();
    for part in piece.parts() {
        match part {
            Part::Bytes(bytes) => hasher.update(&[0]).update(&(bytes.len() as u64).to_le_bytes()).update(bytes),
            Part::File { source, range } => hasher
                .update(&[1])
                .update(&source.stamp.to_bytes())
                .update(&range.start.to_le_bytes())
                .update(&range.end.to_le_bytes()),
        };
    }
    hasher.finalize()
}

/// Whether these are the bytes of a piece. What cannot be read is no piece's.
fn holds<'p>(reader: &mut PieceReader<'p>, piece: &Piece<'p>, content: &Hash) -> bool {
    let mut bytes = vec![0; piece.size()];
    reader.read(piece, &mut bytes).is_ok_and(|()| blake3::hash(&bytes) == *content)
}
