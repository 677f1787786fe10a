//! What earlier images left behind, so that the next one costs what changed: packed pieces by the content that they were
//! made of, and for each layer what its files were when they were read. Nothing here changes a byte of an image: what is
//! missing, damaged or not believed is made anew.

mod drafts;
mod outputs;
mod record;
mod session;
mod shelf;

use std::io;
use std::path::Path;
use std::sync::Arc;

use blake3::Hash;

use super::compress::Compression;
use super::pieces::PIECE;
use crate::finding::Finding;
use crate::text::printable;
use drafts::{DRAFTS, Drafts};
use shelf::{Shelf, open_directory, put_tag};

pub(crate) use outputs::Standing;
pub(crate) use session::{Recorded, Session, origin};
pub(crate) use shelf::SUM;

/// A directory of the caller's that images are made from again.
#[derive(Debug)]
pub(crate) struct Cache {
    frames: Shelf,
    records: Shelf,
    outputs: Shelf,
}

/// Disk space that packed pieces may take.
const FRAMES: u64 = 2 << 30;
/// What is known of layers: some 300 bytes for each piece.
const RECORDS: u64 = 64 << 20;
/// What is known of outputs: some 200 bytes for each.
const OUTPUTS: u64 = 16 << 20;

/// What layers have in common that help each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Made by this codec: equal pieces become equal bytes.
    codec: Hash,
    /// Made for the same programs as well: what is known of one is looked at for the next.
    layer: Hash,
}

impl Cache {
    /// Uses a directory, which is made if there is none. One that others may write is not believed.
    pub(crate) fn open(directory: &Path) -> Result<Cache, Finding> {
        let open = || {
            let names = ["frames", "records", "outputs", DRAFTS];
            let handle = open_directory(directory, &names)?;
            let drafts = Arc::new(Drafts::open(&handle)?);
            put_tag(&handle, &drafts)?;
            let [frames, records, outputs, _] = names;
            Ok(Cache {
                frames: Shelf::open(&handle, frames, FRAMES, &drafts)?,
                records: Shelf::open(&handle, records, RECORDS, &drafts)?,
                outputs: Shelf::open(&handle, outputs, OUTPUTS, &drafts)?,
            })
        };
        open().map_err(|why: String| {
            let path = printable(directory);
            Finding::warning("cache", format!("the cache {path} is not used: {why}"), path)
        })
    }
}

impl Slot {
    /// Of a layer for some programs, which `likeness` names.
    pub(crate) fn of(compression: Compression, likeness: &[&[u8]]) -> io::Result<Slot> {
        let name = compression.to_string();
        let fingerprint = compression.compressor()?.map_or(Ok(Vec::new()), |mut codec| codec.fingerprint())?;
        let version = env!("CARGO_PKG_VERSION").as_bytes();
        let codec = hash_of(&[version, &PIECE.to_le_bytes(), name.as_bytes(), &fingerprint]);
        let parts: Vec<&[u8]> = [codec.as_bytes().as_slice()].into_iter().chain(likeness.iter().copied()).collect();
        Ok(Slot { codec, layer: hash_of(&parts) })
    }
}

/// Of several parts, which no other parts run together to.
fn hash_of(parts: &[&[u8]]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    hasher.finalize()
}
