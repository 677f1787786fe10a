//! A layer's bytes, decompressed, whatever they are compressed with: its first bytes tell, as they do to engines.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::blob::{Blob, unreadable};
use super::limits::{Budget, MAX_DECOMPRESSED, MAX_WINDOW_LOG};
use super::members::Source;
use crate::error::Cause;

/// Bytes of compressed data that are read at a time.
const BUFFER: usize = 64 << 10;

/// What bytes are compressed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    None,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

impl Codec {
    pub(super) fn of(start: &[u8]) -> Codec {
        match start {
            // RFC 1952, 2.3.1
            [0x1f, 0x8b, ..] => Codec::Gzip,
            // RFC 8878, 3.1.1 and, of a skippable frame, 3.1.2
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Codec::Zstd,
            [b'B', b'Z', b'h', ..] => Codec::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Codec::Xz,
            _ => Codec::None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Codec::None => "nothing",
            Codec::Gzip => "gzip",
            Codec::Zstd => "zstd",
            Codec::Bzip2 => "bzip2",
            Codec::Xz => "xz",
        }
    }
}

/// The bytes of a layer's tar.
pub(super) struct Layer<'b> {
    decoder: Box<dyn Read>,
    /// What may still come of all layers of the image.
    left: &'b mut Budget,
}

/// What may come of all layers of an image.
pub(super) const fn budget() -> Budget {
    Budget::new("bytes in its layers", MAX_DECOMPRESSED)
}

impl<'b> Layer<'b> {
    pub(super) fn open(blob: Blob, left: &'b mut Budget) -> Result<Self, Cause> {
        let codec = Codec::of(&blob.start(6).map_err(unreadable)?);
        let buffered = |blob| BufReader::with_capacity(BUFFER, blob);
        let decoder: Box<dyn Read> = match codec {
            Codec::None => Box::new(buffered(blob)),
            Codec::Gzip => Box::new(MultiGzDecoder::new(buffered(blob))),
            Codec::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(buffered(blob))?;
                decoder.window_log_max(MAX_WINDOW_LOG)?;
                Box::new(decoder)
            }
            Codec::Bzip2 | Codec::Xz => {
                return Err(Cause::Unsupported(format!(
                    "it is compressed with {}, which not every engine reads; make the image with gzip or zstd layers",
                    codec.name()
                )));
            }
        };
        Ok(Layer { decoder, left })
    }

    /// Reads the rest, so that what is cut off or damaged there is noticed.
    pub(super) fn finish(mut self) -> Result<(), Cause> {
        self.pass(u64::MAX).map_err(unreadable).map(|_| ())
    }
}

impl Read for Layer<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let filled = self.decoder.read(buffer)?;
        self.left.spend(filled as u64).map_err(|cause| io::Error::other(cause.to_string()))?;
        Ok(filled)
    }
}

impl Source for Layer<'_> {
    fn pass(&mut self, size: u64) -> io::Result<u64> {
        io::copy(&mut self.take(size), &mut io::sink())
    }
}
