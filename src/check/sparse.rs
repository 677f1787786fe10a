//! Parts of a file that is too large to be in memory.

use std::io::{self, Read};

use super::limits::MAX_FILE;
use super::members::{Data, Source};
use crate::analyze::{ReadAt, parts_to_keep};

/// Bytes kept of the start of a file: more than its header and all program headers that Linux reads.
const HEAD: u64 = 128 << 10;

/// Bytes kept behind a part: reads go a page further than they must.
const MARGIN: u64 = 4096;

/// What was kept of a file.
#[derive(Debug, Default)]
pub(super) struct Sparse {
    size: u64,
    /// In the order of the file, with gaps between.
    parts: Vec<(u64, Vec<u8>)>,
}

impl Sparse {
    /// Keeps what is ever read of a file, as far as the limit allows. `head` is what was read of it before.
    pub(super) fn keep<S: Source>(mut head: Vec<u8>, size: u64, data: &mut Data<'_, S>) -> io::Result<Sparse> {
        data.take(HEAD.saturating_sub(head.len() as u64)).read_to_end(&mut head)?;
        let mut at = head.len() as u64;
        let mut sparse = Sparse { size, parts: vec![(0, head)] };
        for (start, end) in sparse.wanted() {
            let start = start.max(at);
            if start >= end {
                continue;
            }
            data.pass(start - at)?;
            let mut part = Vec::new();
            data.take(end - start).read_to_end(&mut part)?;
            at = start + part.len() as u64;
            sparse.parts.push((start, part));
        }
        Ok(sparse)
    }

    /// The ranges to keep, in the order of the file. What a header says is believed only as far as the limit.
    fn wanted(&self) -> Vec<(u64, u64)> {
        let parts = parts_to_keep(self, self.size).unwrap_or_default();
        let mut left = MAX_FILE;
        let ranges = parts.into_iter().map(|(start, size)| {
            let size = size.saturating_add(MARGIN).min(left).min(self.size.saturating_sub(start));
            left -= size;
            (start, start + size)
        });
        let mut ranges: Vec<(u64, u64)> = ranges.filter(|(start, end)| start < end).collect();
        ranges.sort_unstable();
        ranges
    }

    fn part_at(&self, offset: u64) -> Option<&[u8]> {
        self.parts.iter().rev().find_map(|(start, bytes)| {
            let into = usize::try_from(offset.checked_sub(*start)?).ok()?;
            bytes.get(into..).filter(|rest| !rest.is_empty())
        })
    }
}

impl ReadAt for Sparse {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(rest);
        let mut filled = 0;
        while filled < wanted {
            let Some(part) = self.part_at(offset + filled as u64) else { break };
            let n = part.len().min(wanted - filled);
            buffer[filled..filled + n].copy_from_slice(&part[..n]);
            filled += n;
        }
        match filled < wanted {
            true => Err(io::Error::other("it is too large, and what must be read of it lies too far apart")),
            false => Ok(filled),
        }
    }
}
