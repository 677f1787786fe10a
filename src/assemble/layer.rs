//! Writes the layer: each file is read once, hashed, compressed in pieces on all cores, hashed again and written.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use super::compress::{Compression, Compressor};
use super::digest::{Hashed, Hasher};
use super::members::{TRAILER, layer_header, padding};
use super::source::SourceReader;
use crate::collect::Source;
use crate::error::{Cause, Error, Result};
use crate::tree::{Content, Entry};

/// The most bytes that are compressed in one piece. Each file begins a piece, so where the cuts lie depends on the
/// contents alone; larger pieces compress a little better, and need more memory for each thread.
const PIECE: usize = 2 << 20;

/// What is written, and how.
#[derive(Clone, Copy)]
pub(crate) struct LayerPlan<'a> {
    pub(crate) entries: &'a [Entry],
    pub(crate) mtime: u64,
    pub(crate) compression: Compression,
    pub(crate) threads: NonZeroUsize,
}

/// A layer that was written: of the tar inside, and of the blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) diff_id: Hashed,
    pub(crate) blob: Hashed,
}

/// One piece on its way from the reader through a compressor to the writer. Its buffers are used again and again.
#[derive(Default)]
struct Piece {
    number: usize,
    raw: Vec<u8>,
    packed: Vec<u8>,
    packed_size: Option<usize>,
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self.packed_size {
            Some(size) => &self.packed[..size],
            None => &self.raw,
        }
    }

    fn pack(&mut self, compressor: &mut Option<Compressor>) -> io::Result<()> {
        if let Some(compressor) = compressor {
            self.packed_size = Some(compressor.compress(&self.raw, &mut self.packed)?);
        }
        Ok(())
    }
}

/// What a thread does.
type Work<'w> = Box<dyn FnOnce() + Send + 'w>;

impl LayerPlan<'_> {
    /// Streams the layer to `out`.
    pub(crate) fn write(&self, out: &mut dyn Write) -> Result<Layer> {
        let mut blob = Blob { out, hasher: (self.compression != Compression::None).then(Hasher::default) };
        let diff_id = match self.threads.get().min(self.pieces()) {
            0 | 1 => self.write_alone(&mut blob)?,
            threads => self.write_together(threads, &mut blob)?,
        };
        let diff_id = diff_id.finish();
        let blob = blob.hasher.map_or_else(|| diff_id.clone(), Hasher::finish);
        Ok(Layer { diff_id, blob })
    }

    /// The most pieces that there can be: more threads would have nothing to do.
    fn pieces(&self) -> usize {
        let size = |entry: &Entry| usize::try_from(entry.size()).unwrap_or(usize::MAX) / PIECE + 2;
        self.entries.iter().map(size).fold(0, usize::saturating_add)
    }

    fn write_alone(&self, blob: &mut Blob<'_>) -> Result<Hasher> {
        let mut compressor = self.compressor()?;
        let mut flush = |mut piece: Piece| {
            piece.pack(&mut compressor).map_err(unpackable)?;
            blob.write(&piece)?;
            Ok(piece)
        };
        let mut cutter = Cutter::new(Piece::default(), &mut flush);
        self.cut(&mut cutter)?;
        Ok(cutter.hasher)
    }

    /// One thread reads and hashes, others compress, and this one hashes and writes, so that `out` need not be [`Send`].
    fn write_together(&self, threads: usize, blob: &mut Blob<'_>) -> Result<Hasher> {
        let (spare_sender, spare) = channel();
        let (raw_sender, raw) = channel();
        let (packed_sender, packed) = channel();
        let raw = Mutex::new(raw);
        let compressors = if self.compression == Compression::None { 1 } else { threads };
        std::thread::scope(|scope| {
            let spawn = |work| std::thread::Builder::new().spawn_scoped(scope, work);
            let mut started = 0;
            for _ in 0..compressors {
                let packed_sender = packed_sender.clone();
                let work: Work<'_> = Box::new(|| self.pack_all(&raw, packed_sender));
                // As many as the system gives.
                started += usize::from(spawn(work).is_ok());
            }
            drop(packed_sender);
            // As many pieces as can be compressed, one being read, and one being written: no queue grows beyond that.
            for _ in 0..started + 2 {
                let _ = spare_sender.send(Piece::default());
            }
            let (read_sender, read) = channel();
            let work: Work<'_> = Box::new(move || drop(read_sender.send(self.read_all(&spare, &raw_sender))));
            if started == 0 || spawn(work).is_err() {
                return self.write_alone(blob);
            }
            let written = write_in_order(packed, spare_sender, blob);
            // Where writing failed, reading ended for want of spare pieces.
            written.and(read.recv().unwrap_or_else(|_| Err(stopped())))
        })
    }

    fn read_all(&self, spare: &Receiver<Piece>, raw: &Sender<Piece>) -> Result<Hasher> {
        let first = spare.recv().map_err(|_| stopped())?;
        let mut flush = |piece: Piece| {
            raw.send(piece).map_err(|_| stopped())?;
            spare.recv().map_err(|_| stopped())
        };
        let mut cutter = Cutter::new(first, &mut flush);
        self.cut(&mut cutter)?;
        Ok(cutter.hasher)
    }

    fn pack_all(&self, raw: &Mutex<Receiver<Piece>>, packed: Sender<Result<Piece>>) {
        let mut compressor = match self.compressor() {
            Ok(compressor) => compressor,
            Err(error) => return drop(packed.send(Err(error))),
        };
        loop {
            let next = raw.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(mut piece) = next else { return };
            let done = piece.pack(&mut compressor).map(|()| piece).map_err(unpackable);
            if packed.send(done).is_err() {
                return;
            }
        }
    }

    fn compressor(&self) -> Result<Option<Compressor>> {
        self.compression.compressor().map_err(unpackable)
    }

    fn cut(&self, cutter: &mut Cutter<'_>) -> Result<()> {
        for entry in self.entries {
            let header = layer_header(entry, self.mtime);
            match entry.content() {
                Content::File(source) => {
                    cutter.begin()?;
                    cutter.add(&header)?;
                    cutter.copy(source)?;
                    cutter.add(padding(source.stamp.size))?;
                }
                Content::Generated(bytes) => {
                    cutter.begin()?;
                    cutter.add(&header)?;
                    cutter.add(bytes)?;
                    cutter.add(padding(bytes.len() as u64))?;
                }
                Content::Directory | Content::Link(_) | Content::HardLink(_) => cutter.add(&header)?,
            }
        }
        cutter.add(&TRAILER)?;
        cutter.begin()
    }
}

/// Cuts a stream into pieces.
struct Cutter<'a> {
    piece: Piece,
    hasher: Hasher,
    number: usize,
    /// Takes a full piece, and gives an empty one.
    flush: &'a mut dyn FnMut(Piece) -> Result<Piece>,
}

impl<'a> Cutter<'a> {
    fn new(piece: Piece, flush: &'a mut dyn FnMut(Piece) -> Result<Piece>) -> Self {
        Cutter { piece, hasher: Hasher::default(), number: 0, flush }
    }

    /// Ends the piece, if there is anything in it.
    fn begin(&mut self) -> Result<()> {
        if self.piece.raw.is_empty() {
            return Ok(());
        }
        self.hasher.update(&self.piece.raw);
        self.piece.number = self.number;
        self.number += 1;
        self.piece = (self.flush)(std::mem::take(&mut self.piece))?;
        self.piece.raw.clear();
        self.piece.packed_size = None;
        Ok(())
    }

    fn add(&mut self, bytes: &[u8]) -> Result<()> {
        if self.piece.raw.len() >= PIECE {
            self.begin()?;
        }
        self.piece.raw.extend_from_slice(bytes);
        Ok(())
    }

    /// Adds just the bytes that the file had when it was analyzed, or fails.
    fn copy(&mut self, source: &Source) -> Result<()> {
        let input = SourceReader::open(source)?;
        let mut offset = 0;
        while offset < source.stamp.size {
            let wanted = (source.stamp.size - offset).min((PIECE - self.piece.raw.len()) as u64);
            offset += self.read(&input, offset, wanted)?;
            if self.piece.raw.len() >= PIECE {
                self.begin()?;
            }
        }
        input.finish()
    }

    fn read(&mut self, input: &SourceReader<'_>, offset: u64, wanted: u64) -> Result<u64> {
        let raw = &mut self.piece.raw;
        let start = raw.len();
        raw.resize(start + usize::try_from(wanted).unwrap_or(PIECE), 0);
        input.read(&mut raw[start..], offset).map(|()| wanted)
    }
}

fn write_in_order(packed: Receiver<Result<Piece>>, spare: Sender<Piece>, blob: &mut Blob<'_>) -> Result<()> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for piece in packed {
        let piece = piece?;
        waiting.insert(piece.number, piece);
        while let Some(piece) = waiting.remove(&next) {
            blob.write(&piece)?;
            next += 1;
            // Once all is read, nobody wants spare pieces.
            let _ = spare.send(piece);
        }
    }
    Ok(())
}

/// The blob on its way out.
struct Blob<'o> {
    out: &'o mut dyn Write,
    /// `None` where the blob is the tar itself, which is hashed already.
    hasher: Option<Hasher>,
}

impl Blob<'_> {
    fn write(&mut self, piece: &Piece) -> Result<()> {
        let bytes = piece.bytes();
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.out.write_all(bytes).map_err(|error| Cause::Io(error).during("write the layer"))
    }
}

fn unpackable(error: io::Error) -> Error {
    Cause::Io(error).during("compress the layer")
}

/// Never seen by a caller: whoever stopped first has the error that is reported.
fn stopped() -> Error {
    Cause::Io(io::Error::other("stopped")).during("read the layer's files")
}
