//! Reads a file that was analyzed: the very same, in the very same state, or not at all.
//!
//! Its state is what the system tells of it: device, inode, size, mode, and both times. What is written through a memory
//! map shows in them when it begins, and then not again until the system has written it to disk; what one call of write(2)
//! writes shows when that begins.

use std::time::Duration;

use crate::analyze::ReadAt;
use crate::collect::Source;
use crate::error::{Cause, Error, Result};
use crate::root::{Input, Moment, Stamp};

/// Bytes of a file that are read at a time.
const PIECE: usize = 1 << 20;

/// The capabilities that a file has of its own, as they are stored.
pub(super) fn capabilities(source: &Source) -> Result<Option<Vec<u8>>> {
    SourceReader::open(source)?.capability_value()
}

/// A file that was analyzed, open for its bytes.
pub(crate) struct SourceReader<'s> {
    source: &'s Source,
    input: Input,
}

impl<'s> SourceReader<'s> {
    /// Opens the file again, which must be the one that was analyzed.
    pub(crate) fn open(source: &'s Source) -> Result<Self> {
        match source.open_unchanged() {
            Ok(input) => {
                // What changes from now on while it is read must leave another time behind.
                moment_after(&input.stamp);
                Ok(SourceReader { source, input })
            }
            Err(Cause::Changed) => Err(changed(source)),
            Err(cause) => Err(cause.on("read", source.on_machine())),
        }
    }

    /// Whether it is this very source that it reads, and not an equal one.
    pub(crate) fn is_of(&self, source: &Source) -> bool {
        std::ptr::eq(self.source, source)
    }

    /// Gives all bytes of a file, one piece after the other, to `each`: the very bytes that were analyzed, or an error.
    pub(crate) fn read_whole(source: &'s Source, mut each: impl FnMut(&[u8])) -> Result<()> {
        let reader = SourceReader::open(source)?;
        let mut buffer = vec![0; PIECE.min(usize::try_from(source.stamp.size).unwrap_or(PIECE))];
        let mut at = 0;
        while at < source.stamp.size {
            let size = buffer.len().min(usize::try_from(source.stamp.size - at).unwrap_or(PIECE));
            reader.read(&mut buffer[..size], at)?;
            each(&buffer[..size]);
            at += size as u64;
        }
        reader.finish()
    }

    /// Fills the buffer with the bytes at `offset`, of which there must be enough.
    pub(crate) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        match self.input.file.read_at(buffer, offset) {
            Ok(filled) if filled == buffer.len() => Ok(()),
            Ok(_) => Err(changed(self.source)),
            Err(error) => Err(Cause::Io(error).on("read", self.source.on_machine())),
        }
    }

    /// A change of them is a change of the file.
    fn capability_value(&self) -> Result<Option<Vec<u8>>> {
        self.input.capability_value().map_err(|cause| cause.on("read", self.source.on_machine()))
    }

    /// Says whether all that was read is of one state of the file.
    pub(crate) fn finish(self) -> Result<()> {
        match self.input.is_unchanged() {
            true => Ok(()),
            false => Err(changed(self.source)),
        }
    }
}

/// A tick of the clock that stamps files takes 1 to 10 ms.
const TICK: Duration = Duration::from_millis(1);
const TICKS: usize = 15;

/// Waits for the clock to tick, so that whoever changes the file from now on leaves another time behind.
pub(crate) fn moment_after(stamp: &Stamp) -> Moment {
    for _ in 0..TICKS {
        if stamp.is_settled(Moment::now()) {
            break;
        }
        std::thread::sleep(TICK);
    }
    Moment::now()
}

fn changed(source: &Source) -> Error {
    Cause::Changed.on("pack", source.on_machine())
}
