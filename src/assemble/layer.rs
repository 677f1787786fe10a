//! Writes the layer: each file is read once, hashed, compressed in pieces on all cores, hashed again and written.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use blake3::Hash;

use super::cache::{Cache, Recorded, SUM, Session, Slot, origin};
use super::compress::{Compression, Compressor};
use super::digest::{Hashed, Hasher, Saved};
use super::pieces::{PIECE, Piece, PieceReader, cut};
use super::progress::{Progress, Reporter, Stage};
use crate::error::{Cause, Error, Result};
use crate::tree::Entry;

/// What is written, and how.
pub(crate) struct LayerPlan<'a> {
    pub(crate) entries: &'a [Entry],
    pub(crate) mtime: u64,
    pub(crate) compression: Compression,
    pub(crate) threads: NonZeroUsize,
    pub(crate) cache: Option<(&'a Cache, Slot)>,
    pub(crate) reporter: &'a Reporter,
}

/// A layer that was written: of the tar inside, and of the blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) diff_id: Hashed,
    pub(crate) blob: Hashed,
}

/// A layer that can be written, more than once.
pub(crate) struct LayerWriter<'a> {
    compression: Compression,
    threads: NonZeroUsize,
    reporter: &'a Reporter,
    pieces: Vec<Piece<'a>>,
    session: Option<Session<'a>>,
}

impl<'a> LayerPlan<'a> {
    /// Cuts the layer, and finds what is known of it from before.
    pub(crate) fn begin(self) -> LayerWriter<'a> {
        let pieces = cut(self.entries, self.mtime);
        let session = self.cache.map(|(cache, slot)| Session::begin(cache, slot, &pieces));
        let LayerPlan { compression, threads, reporter, .. } = self;
        LayerWriter { compression, threads, reporter, pieces, session }
    }
}

/// As long as anything that becomes of a piece, with room to spare for how codecs say that they cannot compress it, and
/// for the checksum of what comes from a cache.
const BUFFER: usize = PIECE + PIECE / 64 + SUM;

/// One piece on its way from the reader through a compressor to the writer. Its buffer is used again and again.
struct Load<'m> {
    number: usize,
    /// The piece's bytes, then those that it is packed into, and behind them what was there before.
    buffer: &'m mut [u8],
    size: usize,
    /// The digest of its bytes, where it is wanted.
    content: Option<Hash>,
    /// The checksum of what it is packed into, where it is wanted.
    packed: Option<Hash>,
    is_read: bool,
    /// Whether it, and all before it, are as they are recorded.
    is_recorded: bool,
}

/// So many buffers are allocated in one: more than 32 MiB go back to the system when they are freed, while of smaller
/// allocations glibc keeps some and some not (mallopt(3), `M_MMAP_THRESHOLD`).
const TOGETHER: usize = (32 << 20) / PIECE;

/// Memory for some buffers. What is never touched is never there.
fn memory(buffers: usize) -> Result<Vec<Vec<u8>>> {
    (0..buffers).step_by(TOGETHER).map(|number| block((buffers - number).min(TOGETHER))).collect()
}

/// Memory for so many buffers, and if there is room for more.
fn block(buffers: usize) -> Result<Vec<u8>> {
    // Asked before it is taken, for Rust aborts where there is none.
    let has_room = |size: &usize| Vec::<u8>::new().try_reserve_exact(*size).is_ok();
    let size = [TOGETHER * BUFFER, buffers * BUFFER].into_iter().find(has_room);
    size.map(|size| vec![0; size]).ok_or_else(|| {
        let words = "there is too little memory for its buffers; raise the limit (ulimit -v), or use fewer threads";
        Cause::Io(io::Error::new(io::ErrorKind::OutOfMemory, words)).during("compress the layer")
    })
}

/// The buffers in it.
fn buffers(memory: &mut [Vec<u8>]) -> impl Iterator<Item = &mut [u8]> {
    memory.iter_mut().flat_map(|block| block.chunks_exact_mut(BUFFER))
}

impl<'m> Load<'m> {
    fn new(buffer: &'m mut [u8]) -> Self {
        Load { number: 0, buffer, size: 0, content: None, packed: None, is_read: false, is_recorded: false }
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.size]
    }

    fn read<'p>(&mut self, reader: &mut PieceReader<'p>, piece: &Piece<'p>) -> Result<()> {
        self.size = piece.size();
        self.is_read = true;
        reader.read(piece, &mut self.buffer[..piece.size()])
    }
}

/// What a thread does.
type Work<'w> = Box<dyn FnOnce() + Send + 'w>;

/// Tells whoever waits for packed pieces that one will not come, where its thread panics.
struct Alarm<'m>(Sender<Result<Load<'m>>>);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.send(Err(stopped()));
        }
    }
}

/// What a thread that reads has learnt.
struct Readings {
    hasher: Hasher,
    /// Of each piece that was not known before: what it was made of, its content, and the hasher behind it.
    learnt: Vec<(Hash, Hash, Saved)>,
}

impl<'a> LayerWriter<'a> {
    /// The layer, where all of it is known already.
    pub(crate) fn known(&self) -> Option<Layer> {
        let session = self.session.as_ref().filter(|session| session.known() == self.pieces.len())?;
        let (diff, blob) = session.hashers_behind_known()?;
        Some(Layer { diff_id: diff.finish(), blob: blob.finish() })
    }

    /// Sees that all files are as they were analyzed, for whoever does not write them.
    pub(crate) fn expect_unchanged(&self) -> Result<()> {
        let mut reader = PieceReader::default();
        self.pieces.iter().try_for_each(|piece| reader.expect_unchanged(piece))
    }

    /// The bytes of the layer's tar, which are known before a file is read.
    pub(crate) fn size(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.size() as u64).sum()
    }

    /// Streams the layer to `out`.
    pub(crate) fn write(&mut self, out: &mut dyn Write) -> Result<Layer> {
        let mut blob = Blob::new(self, out);
        let readings = match self.threads.get().min(self.pieces.len()) {
            0 | 1 => self.write_alone(&mut blob)?,
            threads => self.write_together(threads, &mut blob)?,
        };
        let Blob { hasher, learnt: behind, .. } = blob;
        let diff_id = readings.hasher.finish();
        let blob = hasher.map_or_else(|| diff_id.clone(), Hasher::finish);
        if let Some(session) = &mut self.session {
            let behind = behind.into_iter().map(Some).chain(std::iter::repeat(None));
            let learnt = readings.learnt.into_iter().zip(behind);
            session.learn(learnt.map(|((origin, content, diff), behind)| {
                // Where nothing is compressed, the blob is the tar.
                let (packed, blob) = behind.unwrap_or((content, diff));
                Recorded { origin, content, packed, diff, blob }
            }));
        }
        Ok(Layer { diff_id, blob })
    }

    fn is_packed(&self) -> bool {
        self.compression != Compression::None
    }

    fn write_alone(&self, blob: &mut Blob<'_>) -> Result<Readings> {
        let mut memory = block(2)?;
        let (buffer, spare) = memory.split_at_mut(BUFFER);
        let mut packer = self.packer(&mut spare[..BUFFER])?;
        self.read_all(Load::new(buffer), |mut load| {
            packer.as_mut().map_or(Ok(()), |packer| packer.pack(&mut load))?;
            blob.write(&load)?;
            Ok(load)
        })
    }

    /// One thread reads and hashes, others compress, and this one hashes and writes, so that `out` need not be [`Send`].
    fn write_together(&self, threads: usize, blob: &mut Blob<'_>) -> Result<Readings> {
        let packers = if self.is_packed() { compressors(threads) } else { 0 };
        let Ok(mut memory) = memory(2 * packers + 2) else { return self.write_alone(blob) };
        let mut buffers = buffers(&mut memory);
        let (spare_sender, spare) = channel();
        let (raw_sender, raw) = channel();
        let (packed_sender, packed) = channel();
        let raw = Mutex::new(raw);
        std::thread::scope(|scope| {
            let spawn = |work| std::thread::Builder::new().spawn_scoped(scope, work);
            let mut started = 0;
            let raw = &raw;
            for spare in buffers.by_ref().take(packers) {
                let packed = Alarm(packed_sender.clone());
                let work: Work<'_> = Box::new(move || self.pack_all(raw, packed, spare));
                // As many as the system gives.
                started += usize::from(spawn(work).is_ok());
            }
            if started == 0 && self.is_packed() {
                return self.write_alone(blob);
            }
            // As many as can be compressed, one being read, and one being written: no queue grows beyond that.
            for buffer in buffers.take(started + 2) {
                let _ = spare_sender.send(Load::new(buffer));
            }
            let (readings_sender, readings) = channel();
            let work: Work<'_> = Box::new(move || {
                let send = |load| match started {
                    0 => packed_sender.send(Ok(load)).map_err(|_| stopped()),
                    _ => raw_sender.send(load).map_err(|_| stopped()),
                };
                let exchange = |load| send(load).and_then(|()| spare.recv().map_err(|_| stopped()));
                let read = spare.recv().map_err(|_| stopped()).and_then(|first| self.read_all(first, exchange));
                let _ = readings_sender.send(read);
            });
            if spawn(work).is_err() {
                return self.write_alone(blob);
            }
            let written = write_in_order(packed, spare_sender, blob);
            // Where writing failed, reading ended for want of spare loads.
            let readings = readings.recv().unwrap_or_else(|_| Err(stopped()));
            written.and(readings)
        })
    }

    /// Reads what must be read, and hands on each piece in its turn.
    fn read_all<'m>(
        &self,
        mut load: Load<'m>,
        mut exchange: impl FnMut(Load<'m>) -> Result<Load<'m>>,
    ) -> Result<Readings> {
        let mut reading = Reading::new(self);
        for number in 0..self.pieces.len() {
            reading.read(number, &mut load)?;
            load = exchange(load)?;
        }
        reading.reader.finish()?;
        Ok(Readings { hasher: reading.hasher, learnt: reading.learnt })
    }

    fn pack_all<'m>(&self, raw: &Mutex<Receiver<Load<'m>>>, packed: Alarm<'m>, spare: &'m mut [u8]) {
        let mut packer = match self.packer(spare) {
            Ok(packer) => packer,
            Err(error) => return drop(packed.0.send(Err(error))),
        };
        loop {
            let next = raw.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(mut load) = next else { return };
            let done = packer.as_mut().map_or(Ok(()), |packer| packer.pack(&mut load));
            if packed.0.send(done.map(|()| load)).is_err() {
                return;
            }
        }
    }

    /// A packer of its own for each thread; `None` where nothing is to be done.
    fn packer<'m>(&self, spare: &'m mut [u8]) -> Result<Option<Packer<'_, 'a, 'm>>> {
        let compressor = self.compression.compressor().map_err(unpackable)?;
        Ok(compressor.map(|compressor| Packer { layer: self, compressor, spare }))
    }
}

/// The layer on its way in.
struct Reading<'r, 'a> {
    layer: &'r LayerWriter<'a>,
    reader: PieceReader<'r>,
    /// Of the diff_id.
    hasher: Hasher,
    learnt: Vec<(Hash, Hash, Saved)>,
    /// Whether all until now is as it is recorded.
    is_recorded: bool,
}

impl<'r, 'a: 'r> Reading<'r, 'a> {
    fn new(layer: &'r LayerWriter<'a>) -> Self {
        let hashers = layer.session.as_ref().and_then(Session::hashers_behind_known);
        let hasher = hashers.map_or_else(Hasher::default, |(diff, _)| diff);
        Reading { layer, reader: PieceReader::default(), hasher, learnt: Vec::new(), is_recorded: true }
    }

    fn read(&mut self, number: usize, load: &mut Load<'_>) -> Result<()> {
        let piece = &self.layer.pieces[number];
        (load.number, load.is_read, load.content, load.packed) = (number, false, None, None);
        match &self.layer.session {
            None => {
                load.read(&mut self.reader, piece)?;
                self.hasher.update(load.bytes());
                Ok(())
            }
            Some(session) if number < session.known() => self.pass(session, piece, load),
            Some(session) => self.learn(session, piece, load),
        }
    }

    /// What is known goes on without SHA-256, and without being read if it was packed before.
    fn pass(&mut self, session: &Session<'_>, piece: &'r Piece<'a>, load: &mut Load<'_>) -> Result<()> {
        load.is_recorded = true;
        load.content = session.recorded(load.number).map(|recorded| recorded.content);
        if self.layer.is_packed() {
            return self.reader.expect_unchanged(piece);
        }
        load.read(&mut self.reader, piece)?;
        expect_known(session, piece, load)
    }

    fn learn(&mut self, session: &Session<'_>, piece: &'r Piece<'a>, load: &mut Load<'_>) -> Result<()> {
        load.read(&mut self.reader, piece)?;
        let content = blake3::hash(load.bytes());
        let recorded = session.recorded(load.number).filter(|recorded| self.is_recorded && recorded.content == content);
        match recorded.and_then(|recorded| Hasher::resumed(&recorded.diff)) {
            Some(hasher) => self.hasher = hasher,
            None => self.hasher.update(load.bytes()),
        }
        self.is_recorded = recorded.is_some();
        load.is_recorded = self.is_recorded;
        load.content = Some(content);
        self.learnt.push((origin(piece), content, self.hasher.save()));
        Ok(())
    }
}

/// Packs pieces, one after another.
struct Packer<'r, 'a, 'm> {
    layer: &'r LayerWriter<'a>,
    compressor: Compressor,
    /// Where the next piece is packed.
    spare: &'m mut [u8],
}

impl<'r, 'a: 'r, 'm> Packer<'r, 'a, 'm> {
    fn pack(&mut self, load: &mut Load<'m>) -> Result<()> {
        let known = self.layer.session.as_ref().zip(load.content);
        let Some((session, content)) = known else { return self.compress(load) };
        if let Some((size, packed)) = session.frame(&content, self.spare) {
            load.packed = Some(packed);
            self.exchange(load, size);
            return Ok(());
        }
        if !load.is_read {
            self.read_after_all(session, load)?;
        }
        self.compress(load)?;
        load.packed = Some(session.store_frame(&content, load.bytes()));
        Ok(())
    }

    fn compress(&mut self, load: &mut Load<'m>) -> Result<()> {
        let size = self.compressor.compress(load.bytes(), self.spare).map_err(unpackable)?;
        self.exchange(load, size);
        Ok(())
    }

    /// A piece was known, and is not in the cache any more.
    fn read_after_all(&self, session: &Session<'_>, load: &mut Load<'m>) -> Result<()> {
        let mut reader = PieceReader::default();
        let piece = &self.layer.pieces[load.number];
        load.read(&mut reader, piece)?;
        reader.finish()?;
        expect_known(session, piece, load)
    }

    fn exchange(&mut self, load: &mut Load<'m>, size: usize) {
        std::mem::swap(&mut self.spare, &mut load.buffer);
        load.size = size;
    }
}

/// A file can change and keep its times, as by a memory map that is not synced; then what is known of it is not so.
fn expect_known(session: &Session<'_>, piece: &Piece<'_>, load: &Load<'_>) -> Result<()> {
    if load.content == Some(blake3::hash(load.bytes())) {
        return Ok(());
    }
    session.forget();
    Err(match piece.sources().next() {
        Some(source) => Cause::Changed.on("pack", source.on_machine()),
        None => Cause::Changed.during("pack what the cache knew"),
    })
}

/// How many of the threads compress. Where there are many, reading and writing have their hands full as well; fewer
/// buffers are needed then.
fn compressors(threads: usize) -> usize {
    threads - threads / 8
}

fn write_in_order<'m>(packed: Receiver<Result<Load<'m>>>, spare: Sender<Load<'m>>, blob: &mut Blob<'_>) -> Result<()> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for load in packed {
        let load = load?;
        waiting.insert(load.number, load);
        while let Some(load) = waiting.remove(&next) {
            blob.write(&load)?;
            next += 1;
            // Once all is read, nobody wants spare loads.
            let _ = spare.send(load);
        }
    }
    Ok(())
}

/// The blob on its way out.
struct Blob<'o> {
    out: &'o mut dyn Write,
    pieces: &'o [Piece<'o>],
    session: Option<&'o Session<'o>>,
    /// `None` where the blob is the tar itself, which is hashed already.
    hasher: Option<Hasher>,
    /// Of each piece that was not known before: the checksum of what it is packed into, and the hasher behind it.
    learnt: Vec<(Hash, Saved)>,
    reporter: &'o Reporter,
    done: u64,
    total: u64,
}

impl<'o> Blob<'o> {
    fn new(layer: &'o LayerWriter<'_>, out: &'o mut dyn Write) -> Self {
        let session = layer.session.as_ref();
        let hashers = session.and_then(Session::hashers_behind_known);
        let hasher = hashers.map_or_else(Hasher::default, |(_, blob)| blob);
        Blob {
            out,
            pieces: &layer.pieces,
            session,
            hasher: layer.is_packed().then_some(hasher),
            learnt: Vec::new(),
            reporter: layer.reporter,
            done: 0,
            total: layer.size(),
        }
    }

    fn write(&mut self, load: &Load<'_>) -> Result<()> {
        self.hash(load)?;
        self.out.write_all(load.bytes()).map_err(|error| Cause::Io(error).during("write the layer"))?;
        self.done += self.pieces[load.number].size() as u64;
        self.reporter.report(Progress::new(Stage::Pack, self.done, self.total));
        Ok(())
    }
}

impl Blob<'_> {
    fn hash(&mut self, load: &Load<'_>) -> Result<()> {
        let Some(hasher) = &mut self.hasher else { return Ok(()) };
        let Some((session, packed)) = self.session.zip(load.packed) else {
            hasher.update(load.bytes());
            return Ok(());
        };
        let recorded = session.recorded(load.number).filter(|_| load.is_recorded);
        if recorded.is_some_and(|recorded| recorded.packed != packed) {
            session.forget();
            let why = "another codec made what it holds; that is forgotten now, so build again";
            return Err(Cause::Io(io::Error::other(why)).during("use the cache"));
        }
        if load.number < session.known() {
            return Ok(());
        }
        match recorded.and_then(|recorded| Hasher::resumed(&recorded.blob)) {
            Some(resumed) => *hasher = resumed,
            None => hasher.update(load.bytes()),
        }
        self.learnt.push((packed, hasher.save()));
        Ok(())
    }
}

fn unpackable(error: io::Error) -> Error {
    Cause::Io(error).during("compress the layer")
}

/// Never seen by a caller: whoever stopped first has the error that is reported.
fn stopped() -> Error {
    Cause::Io(io::Error::other("stopped")).during("read the layer's files")
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::super::compress::{Compression, PANICS};
    use super::super::progress::Reporter;
    use super::{LayerPlan, PIECE};
    use crate::collect::{Extra, ExtraContent, Origin};
    use crate::tree::Tree;

    #[test]
    fn a_codec_that_panics_ends_the_work_whatever_the_threads() {
        let file = |number: u8| Extra {
            at: format!("/{number}").into(),
            content: ExtraContent::Generated(vec![number; PIECE / 4]),
            origin: Origin::Caller,
        };
        let tree = Tree::of(&[], &(0..40).map(file).collect::<Vec<_>>(), false).unwrap();
        for threads in [1, 2, 3, 8] {
            let reporter = Reporter::default();
            let plan = LayerPlan {
                entries: tree.entries(),
                mtime: 0,
                compression: Compression::Gzip(PANICS),
                threads: NonZeroUsize::new(threads).unwrap(),
                cache: None,
                reporter: &reporter,
            };
            let mut writer = plan.begin();
            let mut out = Vec::new();
            assert!(catch_unwind(AssertUnwindSafe(|| writer.write(&mut out))).is_err());
            assert!(out.is_empty(), "{threads} threads");
        }
    }
}
