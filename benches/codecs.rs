//! Codecs for gzip, over the same bytes in the same pieces: `cargo bench --bench codecs`.
//!
//! The crate's, libdeflate, beside zlib-rs, which is what else there is for Rust, and beside pigz, which is what a shell
//! has. Speeds are of CPU time, so of one core.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::expect_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use libdeflater::{CompressionLvl, Compressor};
use scratchpack::{Compression, Image};
use support::measure::{cost_here, cost_of};
use support::samples::{Way, in_turn};
use support::table::{Table, megabytes};
use support::tools::{self, bash, quoted};
use zlib_rs::{DeflateConfig, ReturnCode};

/// What the crate compresses at a time.
const PIECE: usize = 2 << 20;
const LEVELS: [u8; 3] = [1, 6, 9];
/// zlib's way to ask for gzip's header and checksum, with the largest window.
const GZIP_WINDOW: i32 = 15 + 16;

fn main() {
    if !support::is_wanted() {
        return;
    }
    let Some(program) = support::program_if_there() else { return };
    let directory = support::scratch();
    let layer = Layer::of(&program, directory.path());
    eprintln!("{} of a tar", megabytes(layer.bytes.len() as u64));
    let mut table =
        Table::new(["level", "codec", "MB/s of one core", "speed over libdeflate's", "size over libdeflate's"]);
    let has_pigz = tools::are_here("pigz", &["bash", "pigz"]);
    for level in LEVELS {
        compare(&layer, level, has_pigz, &mut table);
    }
    table.print("gzip of a layer, in independent pieces of 2 MiB");
}

struct Layer {
    bytes: Vec<u8>,
    /// The same in a file.
    path: PathBuf,
}

impl Layer {
    fn of(program: &Path, directory: &Path) -> Layer {
        let image = Image::builder().binary(program).compression(Compression::None).build().expect("an image");
        let path = directory.join("layer.tar");
        image.write_layer(&path).expect("a layer");
        Layer { bytes: fs::read(&path).expect("the layer"), path }
    }

    fn pigz(&self, level: u8) -> String {
        format!("pigz -{level} --independent --blocksize {} --processes 2 < {}", PIECE / 1024, quoted(&self.path))
    }
}

fn compare(layer: &Layer, level: u8, has_pigz: bool, table: &mut Table) {
    let mut ways = vec![
        Way::new("libdeflate", || cost_here(|| libdeflate(&layer.bytes, level))),
        Way::new("zlib-rs", || cost_here(|| zlib_rs(&layer.bytes, level))),
    ];
    let mut sizes = vec![libdeflate(&layer.bytes, level), zlib_rs(&layer.bytes, level)];
    if has_pigz {
        ways.push(Way::new("pigz", || cost_of(&bash(&layer.pigz(level)))));
        sizes.push(size_of_pigz(layer, level));
    }
    eprintln!("\nlevel {level}");
    let samples = in_turn(support::rounds(3), ways);
    for (codec, size) in samples.iter().zip(&sizes) {
        let (theirs, least) = (codec.cpu(), samples[0].cpu());
        table.row([
            level.to_string(),
            codec.name.clone(),
            format!("{:.0}", layer.bytes.len() as f64 / 1e6 / theirs.least),
            least.over(theirs).text(),
            format!("{:.3}", *size as f64 / sizes[0] as f64),
        ]);
    }
}

/// The bytes that come out.
fn libdeflate(bytes: &[u8], level: u8) -> usize {
    let mut compressor = Compressor::new(CompressionLvl::new(i32::from(level)).expect("a level"));
    let mut out = vec![0; compressor.gzip_compress_bound(PIECE)];
    bytes.chunks(PIECE).map(|piece| compressor.gzip_compress(piece, &mut out).expect("room for it")).sum()
}

fn zlib_rs(bytes: &[u8], level: u8) -> usize {
    let config = DeflateConfig { level: i32::from(level), window_bits: GZIP_WINDOW, ..DeflateConfig::default() };
    // A header is longer than zlib's, which the bound counts.
    let mut out = vec![0; zlib_rs::compress_bound(PIECE) + 64];
    let compress = |piece: &[u8]| {
        let (packed, code) = zlib_rs::compress_slice(&mut out, piece, config);
        assert!(code == ReturnCode::Ok, "zlib-rs: {code:?}");
        packed.len()
    };
    bytes.chunks(PIECE).map(compress).sum()
}

fn size_of_pigz(layer: &Layer, level: u8) -> usize {
    let size = tools::run(&mut bash(&format!("{} | wc -c", layer.pigz(level))));
    size.trim().parse().expect("a number")
}
