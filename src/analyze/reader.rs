//! Positioned reads of a file's few interesting bytes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::error::Cause;

/// Bytes fetched at a time: the headers of nearly every file fit, and a page costs no more than a part of one.
const WINDOW: usize = 4096;

/// Bytes fetched at a time of what is gone through from end to end.
pub(crate) const PIECE: usize = 64 << 10;

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
    /// The start of the file, where the headers are, and often the strings as well.
    head: Window,
    /// What was read last elsewhere.
    last: Window,
}

/// Bytes of the file from `start` on.
#[derive(Default)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    fn get(&self, offset: u64, size: usize) -> Option<&[u8]> {
        let at = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(at..at.checked_add(size)?)
    }
}

impl<'a, R: ReadAt + ?Sized> Reader<'a, R> {
    pub(crate) fn new(source: &'a R, len: u64) -> Self {
        Reader { source, len, head: Window::default(), last: Window::default() }
    }

    pub(crate) fn source(&self) -> &'a R {
        self.source
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The `size` bytes at `offset`; `what` names them where the file ends too early.
    pub(crate) fn bytes(&mut self, offset: u64, size: usize, what: &str) -> Result<&[u8], Cause> {
        match self.up_to(offset, size)? {
            bytes if bytes.len() == size => Ok(bytes),
            _ => Err(Cause::malformed(format!("the file ends within its {what}"))),
        }
    }

    /// The bytes at `offset` up to the first NUL, which must come within `limit` bytes.
    pub(crate) fn string(&mut self, offset: u64, limit: u64) -> Result<Option<Vec<u8>>, Cause> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut size = 64.min(limit);
        loop {
            let bytes = self.up_to(offset, size)?;
            if let Some(end) = memchr::memchr(0, bytes) {
                return Ok(Some(bytes[..end].to_vec()));
            }
            if bytes.len() < size || size == limit {
                return Ok(None);
            }
            size = (size * 8).min(limit);
        }
    }

    /// Visits `count` records of `size` bytes from `offset` on, as many as the file has, reading a large piece at a time.
    pub(crate) fn records(
        &mut self,
        offset: u64,
        count: u64,
        size: usize,
        mut visit: impl FnMut(u64, &[u8]),
    ) -> Result<(), Cause> {
        let at_once = PIECE / size;
        let mut done = 0;
        while done < count {
            let wanted = usize::try_from(count - done).unwrap_or(usize::MAX).min(at_once);
            let piece = self.up_to(offset.saturating_add(done * size as u64), wanted * size)?;
            let before = done;
            for record in piece.chunks_exact(size) {
                visit(done, record);
                done += 1;
            }
            if done - before < wanted as u64 {
                break;
            }
        }
        Ok(())
    }

    /// Up to `size` bytes at `offset`; fewer at the end of the file.
    pub(crate) fn up_to(&mut self, offset: u64, size: usize) -> Result<&[u8], Cause> {
        let rest = self.len.saturating_sub(offset);
        let size = size.min(usize::try_from(rest).unwrap_or(usize::MAX));
        if self.head.get(offset, size).is_none() && self.last.get(offset, size).is_none() {
            self.fetch(offset, size)?;
        }
        Ok(self.head.get(offset, size).or_else(|| self.last.get(offset, size)).unwrap_or_default())
    }

    fn fetch(&mut self, offset: u64, size: usize) -> Result<(), Cause> {
        let rest = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let window = if offset == 0 { &mut self.head } else { &mut self.last };
        window.start = offset;
        window.bytes.resize(size.max(WINDOW).min(rest), 0);
        let read = self.source.read_at(&mut window.bytes, offset);
        // After an error nothing was read, and nobody may find zeros here.
        window.bytes.truncate(read.as_ref().map_or(0, |&filled| filled));
        read.map(|_| ()).map_err(Cause::Io)
    }
}

/// A file in memory that counts how often it is read.
#[cfg(test)]
pub(super) struct Counted(pub(super) Vec<u8>, pub(super) std::cell::Cell<usize>);

#[cfg(test)]
impl ReadAt for Counted {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.1.set(self.1.get() + 1);
        self.0.read_at(buffer, offset)
    }
}
