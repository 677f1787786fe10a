//! A range of an open file, read from its start to its end.

use std::io::{self, Read};
use std::rc::Rc;

use sha2::{Digest, Sha256};

use super::limits::MAX_DOCUMENT;
use crate::analyze::ReadAt;
use crate::error::Cause;
use crate::root::Input;
use crate::text::hex;

/// Bytes that are hashed at a time.
const PIECE: usize = 256 << 10;

/// A blob of an image: a file of a layout, or a member of an archive.
#[derive(Clone, Debug)]
pub(super) struct Blob {
    input: Rc<Input>,
    at: u64,
    end: u64,
}

impl Blob {
    pub(super) fn whole(input: Input) -> Blob {
        let end = input.stamp.size;
        Blob { input: Rc::new(input), at: 0, end }
    }

    /// The `size` bytes at `start`; `None` where it ends before.
    pub(super) fn part(&self, start: u64, size: u64) -> Option<Blob> {
        let at = self.at.checked_add(start)?;
        let end = at.checked_add(size)?;
        (end <= self.end).then(|| Blob { input: self.input.clone(), at, end })
    }

    pub(super) fn size(&self) -> u64 {
        self.end - self.at
    }

    /// Passes over `size` bytes, or as many as there are, and says how many.
    pub(super) fn pass(&mut self, size: u64) -> u64 {
        let passed = size.min(self.size());
        self.at += passed;
        passed
    }

    /// Up to `size` bytes at its start.
    pub(super) fn start(&self, size: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; size.min(usize::try_from(self.size()).unwrap_or(size))];
        let filled = self.input.file.read_at(&mut bytes, self.at)?;
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// The SHA-256 digest of all of it, as hexadecimal digits.
    pub(super) fn sha256(&self) -> io::Result<String> {
        sha256(&self.input.file, self.at, self.end).map(|digest| hex(&digest))
    }

    /// All of it, where it is a document.
    pub(super) fn document(mut self) -> Result<Vec<u8>, Cause> {
        if self.size() > MAX_DOCUMENT {
            return Err(Cause::malformed(format!("it has more than {MAX_DOCUMENT} bytes, which is the limit")));
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The SHA-256 digest of the bytes from `at` to `end`, or to where there are no more.
pub(super) fn sha256(source: &impl ReadAt, mut at: u64, end: u64) -> io::Result<[u8; 32]> {
    let piece = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; piece]);
    while at < end {
        let size = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
        match source.read_at(&mut buffer[..size], at)? {
            0 => break,
            filled => {
                hash.update(&buffer[..filled]);
                at += filled as u64;
            }
        }
    }
    Ok(hash.finalize().into())
}

/// What it means that a read failed: the system's own error stays one, and any other is of what was read.
pub(super) fn unreadable(error: io::Error) -> Cause {
    match error.raw_os_error() {
        Some(_) => Cause::Io(error),
        None => Cause::malformed(error.to_string()),
    }
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = buffer.len().min(usize::try_from(self.size()).unwrap_or(usize::MAX));
        let filled = self.input.file.read_at(&mut buffer[..size], self.at)?;
        self.at += filled as u64;
        Ok(filled)
    }
}
