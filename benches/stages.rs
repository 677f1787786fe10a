//! The stages, each alone, and the whole, on real programs of the machine: `cargo bench`.
//!
//! Programs that are not installed are left out, and said so.

#![allow(clippy::print_stderr, clippy::expect_used)]

use std::io;
use std::path::Path;

use divan::Bencher;
use scratchpack::{Closure, Compression, Elf, Image};

/// From none to about sixty libraries.
const PROGRAMS: [&str; 4] = ["/bin/true", "/usr/bin/ls", "/usr/bin/git", "/usr/bin/gdb"];

fn main() {
    for program in PROGRAMS.iter().filter(|program| !Path::new(program).exists()) {
        eprintln!("{program} is not installed: its benchmarks do nothing");
    }
    divan::main();
}

fn each(bencher: Bencher<'_, '_>, program: &str, work: impl Fn(&str) + Sync) {
    if Path::new(program).exists() {
        bencher.bench(|| work(program));
    }
}

/// One file's headers and dynamic section.
#[divan::bench(args = PROGRAMS)]
fn analyze(bencher: Bencher<'_, '_>, program: &str) {
    each(bencher, program, |program| drop(divan::black_box(Elf::read(program))));
}

/// A closure, nothing remembered from the one before.
#[divan::bench(args = PROGRAMS)]
fn collect(bencher: Bencher<'_, '_>, program: &str) {
    each(bencher, program, |program| drop(divan::black_box(Closure::of(program))));
}

/// From the program's path to an image that is ready to be written.
#[divan::bench(args = PROGRAMS)]
fn image(bencher: Bencher<'_, '_>, program: &str) {
    each(bencher, program, |program| drop(divan::black_box(Image::from_binary(program))));
}

const CODECS: [Compression; 3] = [Compression::None, Compression::ZSTD, Compression::GZIP];

/// A layer of `ls`, to nowhere: reading, hashing, compressing.
#[divan::bench(args = CODECS)]
fn assemble(bencher: Bencher<'_, '_>, compression: Compression) {
    let image = Image::builder().binary("/usr/bin/ls").compression(compression).build();
    let Ok(image) = image else { return };
    let bytes: u64 = image.entries().map(scratchpack::Entry::size).sum();
    bencher
        .counter(divan::counter::BytesCount::new(bytes))
        .bench(|| drop(divan::black_box(image.write_layer_to(io::sink()))));
}

/// From the program's path to a published archive.
#[divan::bench(args = CODECS)]
fn whole(bencher: Bencher<'_, '_>, compression: Compression) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let archive = directory.path().join("ls.tar");
    bencher.bench(|| {
        let image = Image::builder().binary("/usr/bin/ls").compression(compression).build();
        drop(divan::black_box(image.and_then(|image| image.write_archive(&archive))));
    });
}
