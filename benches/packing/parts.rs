//! What packing is made of, each part alone and in one thread: reading, compressing, hashing, writing.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use libdeflater::{CompressionLvl, Compressor};
use scratchpack::{Compression, EntryKind, Image};
use sha2::{Digest, Sha256};

use super::codec::Codec;
use crate::support::measure::cost_here;
use crate::support::samples::{Samples, Way};

/// What is compressed at a time.
const PIECE: usize = 2 << 20;

/// The bytes of a layer, and where they come from.
pub(crate) struct Parts {
    files: Vec<PathBuf>,
    raw: Vec<u8>,
    packed: Vec<u8>,
    compression: Compression,
    output: PathBuf,
}

impl Parts {
    pub(crate) fn of(program: &Path, codec: &Codec, directory: &Path) -> Parts {
        let image = Image::builder().binary(program).compression(Compression::None).build().expect("an image");
        let mut raw = Vec::new();
        image.write_layer_to(&mut raw).expect("a layer");
        let source = |entry: &scratchpack::Entry| match entry.kind() {
            EntryKind::File(source) => Some(source),
            _ => None,
        };
        let files = image.entries().filter_map(source).collect();
        let packed = compressed(&raw, codec.compression);
        Parts { files, raw, packed, compression: codec.compression, output: directory.join("part") }
    }

    pub(crate) fn raw_size(&self) -> u64 {
        self.raw.len() as u64
    }

    /// In the order of the columns of [`row`].
    pub(crate) fn ways(&self) -> Vec<Way<'_>> {
        let compress = || drop(black_box(compressed(&self.raw, self.compression)));
        vec![
            Way::new("part: compressing", move || cost_here(compress)),
            Way::new("part: hashing", || cost_here(|| self.hash())),
            Way::new("part: reading", || cost_here(|| self.read())),
            Way::new("part: writing", || cost_here(|| self.write())),
        ]
    }

    /// What is not compressed is the tar itself, and hashed once.
    fn hash(&self) {
        black_box(Sha256::digest(&self.raw));
        if self.compression != Compression::None {
            black_box(Sha256::digest(&self.packed));
        }
    }

    fn read(&self) {
        let mut buffer = vec![0; PIECE];
        for file in &self.files {
            let mut file = File::open(file).expect("an input");
            while file.read(&mut buffer).expect("its bytes") > 0 {}
        }
    }

    fn write(&self) {
        let mut file = File::create(&self.output).expect("a file");
        for piece in self.packed.chunks(PIECE) {
            file.write_all(piece).expect("room for it");
        }
        drop(file);
        fs::remove_file(&self.output).expect("the file");
    }
}

fn compressed(raw: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::Gzip(level) => {
            let mut compressor = Compressor::new(CompressionLvl::new(i32::from(level)).expect("a level"));
            in_pieces(raw, compressor.gzip_compress_bound(PIECE), |piece, out| {
                compressor.gzip_compress(piece, out).expect("room for it")
            })
        }
        Compression::Zstd(level) => {
            let mut compressor = zstd::bulk::Compressor::new(i32::from(level)).expect("a level");
            in_pieces(raw, zstd::zstd_safe::compress_bound(PIECE), |piece, out| {
                compressor.compress_to_buffer(piece, out).expect("room for it")
            })
        }
        _ => raw.to_owned(),
    }
}

fn in_pieces(raw: &[u8], bound: usize, mut compress: impl FnMut(&[u8], &mut [u8]) -> usize) -> Vec<u8> {
    let mut buffer = vec![0; bound];
    let mut packed = Vec::with_capacity(raw.len());
    for piece in raw.chunks(PIECE) {
        let size = compress(piece, &mut buffer);
        packed.extend_from_slice(&buffer[..size]);
    }
    packed
}

/// The command's CPU time over all parts', and each part's share of them.
pub(crate) fn row(codec: &Codec, whole: &Samples, parts: &[Samples]) -> Vec<String> {
    let is_counted = |part: &&Samples| codec.compression != Compression::None || !part.name.contains("compressing");
    let of = |part: &Samples| if is_counted(&part) { part.cpu().least } else { 0.0 };
    let sum: f64 = parts.iter().map(of).sum();
    let shares = parts.iter().map(|part| format!("{:.0} %", 100.0 * of(part) / sum));
    let ratio = format!("{:.2}", whole.cpu().least / sum);
    [codec.name.to_owned(), ratio].into_iter().chain(shares).collect()
}
