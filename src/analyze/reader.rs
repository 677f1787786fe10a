//! Positioned reads of a file's few interesting bytes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::error::Cause;

/// Bytes fetched at a time: the headers of nearly every file fit, and a page costs no more than a part of one.
const WINDOW: usize = 4096;

/// Something that can be read at any position.
pub(crate) trait ReadAt {
    /// Reads up to `buffer.len()` bytes at `offset`; fewer only at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match FileExt::read_at(self, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
}

/// Reads parts of a file of known length; neighbouring parts share one read.
pub(crate) struct Reader<'a, R: ?Sized> {
    source: &'a R,
    len: u64,
    window: Vec<u8>,
    start: u64,
}

impl<'a, R: ReadAt + ?Sized> Reader<'a, R> {
    pub(crate) fn new(source: &'a R, len: u64) -> Self {
        Reader { source, len, window: Vec::new(), start: 0 }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The `size` bytes at `offset`; `what` names them where the file ends too early.
    pub(crate) fn bytes(&mut self, offset: u64, size: usize, what: &str) -> Result<&[u8], Cause> {
        match self.up_to(offset, size)? {
            Some(bytes) if bytes.len() == size => Ok(bytes),
            _ => Err(Cause::malformed(format!("the file ends within its {what}"))),
        }
    }

    /// The bytes at `offset` up to the first NUL, which must come within `limit` bytes.
    pub(crate) fn string(&mut self, offset: u64, limit: u64) -> Result<Option<Vec<u8>>, Cause> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut size = 64.min(limit);
        loop {
            let Some(bytes) = self.up_to(offset, size)? else { return Ok(None) };
            if let Some(end) = memchr::memchr(0, bytes) {
                return Ok(Some(bytes[..end].to_vec()));
            }
            if bytes.len() < size || size == limit {
                return Ok(None);
            }
            size = (size * 8).min(limit);
        }
    }

    /// Up to `size` bytes at `offset`, fewer at the end of the file; `None` beyond it.
    fn up_to(&mut self, offset: u64, size: usize) -> Result<Option<&[u8]>, Cause> {
        if offset >= self.len {
            return Ok(None);
        }
        let size = size.min(usize::try_from(self.len - offset).unwrap_or(usize::MAX));
        if !self.holds(offset, size) {
            self.fetch(offset, size)?;
        }
        let at = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        Ok(self.window.get(at..at + size.min(self.window.len().saturating_sub(at))))
    }

    fn holds(&self, offset: u64, size: usize) -> bool {
        offset >= self.start && offset + size as u64 <= self.start + self.window.len() as u64
    }

    fn fetch(&mut self, offset: u64, size: usize) -> Result<(), Cause> {
        let size = size.max(WINDOW).min(usize::try_from(self.len - offset).unwrap_or(usize::MAX));
        self.window.clear();
        self.window.resize(size, 0);
        let filled = self.source.read_at(&mut self.window, offset).map_err(Cause::Io)?;
        self.window.truncate(filled);
        self.start = offset;
        Ok(())
    }
}
