//! Positioned reads of a file's few interesting bytes.

use std::fs::File;
use std::io;

use crate::error::Cause;
use crate::system;

/// Bytes fetched at a time: the headers of nearly every file fit, and a page costs no more than a part of one.
const WINDOW: usize = 4096;

/// Bytes fetched at a time of what is gone through from end to end.
pub(crate) const PIECE: usize = 64 << 10;

/// Something that can be read at any position.
pub(crate) trait ReadAt {
    /// Reads up to `buffer.len()` bytes at `offset`; fewer only at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Fills the room that is left in `bytes` with what is at `offset`.
    fn fill(&self, bytes: &mut Vec<u8>, offset: u64) -> io::Result<()> {
        let known = bytes.len();
        bytes.resize(bytes.capacity(), 0);
        let filled = self.read_at(&mut bytes[known..], offset);
        bytes.truncate(known + *filled.as_ref().unwrap_or(&0));
        filled.map(|_| ())
    }
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match system::read_at(self, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn fill(&self, bytes: &mut Vec<u8>, offset: u64) -> io::Result<()> {
        let start = bytes.len();
        while bytes.len() < bytes.capacity() {
            let offset = offset + (bytes.len() - start) as u64;
            match system::read_into_room(self, bytes, offset) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
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
    windows: &'a mut [Window; WINDOWS],
    /// The window that is read into next.
    next: usize,
}

/// The start of the file, where the headers are and often the strings as well, and what was read last elsewhere.
const WINDOWS: usize = 5;

/// Bytes of what is large.
const LARGE: usize = 16 << 10;

/// Memory for a reader, which the readers of many files use one after the other.
#[derive(Default)]
pub(crate) struct Buffers([Window; WINDOWS]);

/// Bytes of the file from `start` on.
#[derive(Default)]
struct Window {
    start: u64,
    filled: usize,
    bytes: Vec<u8>,
}

impl Window {
    fn get(&self, offset: u64, size: usize) -> Option<&[u8]> {
        self.from(offset)?.get(..size)
    }

    fn from(&self, offset: u64) -> Option<&[u8]> {
        let at = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes[..self.filled].get(at..)
    }

    /// Reads so many bytes behind those that are there.
    fn extend<R: ReadAt + ?Sized>(&mut self, source: &R, size: usize) -> io::Result<()> {
        let end = self.filled + size;
        let offset = self.start + self.filled as u64;
        if self.bytes.len() >= end {
            self.filled += source.read_at(&mut self.bytes[self.filled..end], offset)?;
            return Ok(());
        }
        self.bytes.truncate(self.filled);
        self.bytes.reserve_exact(size);
        source.fill(&mut self.bytes, offset)?;
        self.filled = self.bytes.len();
        Ok(())
    }
}

impl<'a, R: ReadAt + ?Sized> Reader<'a, R> {
    pub(crate) fn new(source: &'a R, len: u64, buffers: &'a mut Buffers) -> Self {
        let windows = &mut buffers.0;
        windows.iter_mut().for_each(|window| (window.start, window.filled) = (0, 0));
        Reader { source, len, windows, next: 0 }
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
    pub(crate) fn string(&mut self, offset: u64, limit: u64) -> Result<Option<&[u8]>, Cause> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let known = self.windows.iter().enumerate().find_map(|(number, window)| {
            let rest = window.from(offset)?;
            Some((number, memchr::memchr(0, &rest[..rest.len().min(limit)])?))
        });
        if let Some((number, end)) = known {
            return Ok(self.windows[number].get(offset, end));
        }
        let mut size = 64.min(limit);
        loop {
            let bytes = self.up_to(offset, size)?;
            if let Some(end) = memchr::memchr(0, bytes) {
                return self.up_to(offset, end).map(Some);
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
        let size = size.min(self.behind(offset));
        let window = match self.windows.iter().position(|window| window.get(offset, size).is_some()) {
            Some(known) => known,
            None => self.fetch(offset, size).map_err(Cause::Io)?,
        };
        Ok(self.windows[window].get(offset, size).unwrap_or_default())
    }

    /// Reads what will be asked for in parts, so that it takes one read. Where that fails, the parts will tell.
    pub(crate) fn prepare(&mut self, offset: u64, size: u64) {
        let size = usize::try_from(size).unwrap_or(usize::MAX).min(self.behind(offset));
        let head = &mut self.windows[0];
        let into_head = offset.checked_sub(head.start).filter(|&into| into <= head.filled as u64);
        match into_head.and_then(|into| usize::try_from(into).ok()) {
            Some(into) => {
                let wanted = (into + size).saturating_sub(head.filled);
                let _ = if wanted > 0 { head.extend(self.source, wanted) } else { Ok(()) };
            }
            None => drop(self.fetch(offset, size)),
        }
    }

    /// How many bytes there are from `offset` on.
    fn behind(&self, offset: u64) -> usize {
        usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX)
    }

    fn fetch(&mut self, offset: u64, size: usize) -> io::Result<usize> {
        let size = size.max(WINDOW).min(self.behind(offset));
        // The first stays what it is, the start of the file, and so that few pages are touched, what is large comes into
        // the last.
        let number = if self.next > 0 && size > LARGE { WINDOWS - 1 } else { self.next };
        if number == self.next {
            self.next = number % (WINDOWS - 2) + 1;
        }
        let window = &mut self.windows[number];
        (window.start, window.filled) = (offset, 0);
        window.extend(self.source, size).map(|()| number)
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
