//! Outputs that stand where they were written, whole and as they were: there is nothing to be done for them again.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use blake3::Hash;
use rustix::fs::{Mode, OFlags};

use super::super::publish::{Durability, Published};
use super::super::source::moment_after;
use super::{Cache, hash_of};
use crate::root::{Moment, STAMP, Stamp};

/// An output, and what it would hold.
#[derive(Debug)]
pub(crate) struct Standing<'c> {
    cache: &'c Cache,
    target: PathBuf,
    content: Hash,
    durability: Durability,
}

/// The mark of an output that was synced.
const DURABLE: &[u8] = b"durable";

impl Cache {
    /// An output at an absolute path, its symlinks resolved. `content` tells its bytes from all others.
    pub(crate) fn standing(&self, target: &Path, content: &[&[u8]], durability: Durability) -> Standing<'_> {
        let version = env!("CARGO_PKG_VERSION").as_bytes();
        let content: Vec<&[u8]> = [version].into_iter().chain(content.iter().copied()).collect();
        Standing { cache: self, target: target.to_owned(), content: hash_of(&content), durability }
    }
}

impl Standing<'_> {
    /// The size of the output, if it is there as it was written.
    pub(crate) fn find(&self) -> Option<u64> {
        let known = self.cache.outputs.read(&self.key())?;
        let (content, known) = known.split_first_chunk()?;
        let (stamp, known) = known.split_first_chunk::<STAMP>()?;
        let (moment, known) = known.split_first_chunk()?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(&self.target, flags, Mode::empty()).ok()?);
        let now = Stamp::of_file(&file)?;
        let is_there = Hash::from_bytes(*content) == self.content
            && now.to_bytes() == *stamp
            && now.is_settled(Moment::from_bytes(*moment));
        let is_safe = self.durability == Durability::Fleeting || known == DURABLE;
        (is_there && is_safe).then_some(now.size)
    }

    /// Remembers the output that was just put into its place.
    pub(crate) fn remember(&self, output: &Published) {
        let Some(stamp) = output.stamp() else { return };
        let moment = moment_after(&stamp);
        let durable: &[u8] = if self.durability == Durability::Durable { DURABLE } else { &[] };
        let parts = [self.content.as_bytes().as_slice(), &stamp.to_bytes(), &moment.to_bytes(), durable];
        self.cache.outputs.store(&self.key(), &parts);
        self.cache.outputs.sweep();
    }

    fn key(&self) -> Hash {
        hash_of(&[self.target.as_os_str().as_bytes()])
    }
}
