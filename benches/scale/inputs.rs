//! A program that holds nothing, and files that compress as libraries do.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use scratchpack::Image;
use tempfile::TempDir;

use crate::MIB;
use crate::support::tools::build;

/// Larger inputs are several files: a prefix of them is a smaller input.
const PART: u64 = 64 * MIB;
/// What is taken from somewhere else than what stands before it.
const BLOCK: usize = 64 << 10;

pub(crate) struct Inputs {
    directory: TempDir,
    /// The bytes of real libraries.
    libraries: Vec<u8>,
    /// Those that were made.
    sizes: Mutex<HashMap<PathBuf, u64>>,
}

impl Inputs {
    /// `None` without a program to take libraries of.
    pub(crate) fn new() -> Option<Inputs> {
        let program = crate::support::program_if_there()?;
        let image = Image::from_binary(&program).expect("an image");
        let objects = image.closure().objects().iter().map(|object| object.source());
        let libraries = objects.flat_map(|path| fs::read(path).expect("a library")).collect();
        let directory = crate::support::scratch();
        fs::write(directory.path().join("program"), program_of_nothing()).expect("a program");
        Some(Inputs { directory, libraries, sizes: Mutex::default() })
    }

    /// `scratchpack build` of the program and these files.
    pub(crate) fn command(&self, files: &[PathBuf]) -> Command {
        let mut command = build(&self.directory.path().join("program"));
        for file in files {
            let mut pair = OsString::from(file);
            pair.push(":/data/");
            command.arg("--file").arg(pair);
        }
        command
    }

    /// So many bytes, in as few files as there may be.
    pub(crate) fn of_size(&self, size: u64) -> Vec<PathBuf> {
        let parts = (0..size.div_ceil(PART)).map(|part| (part, PART.min(size - part * PART)));
        parts.map(|(part, size)| self.file(&format!("part-{part}-{size}"), part, size)).collect()
    }

    /// So many bytes, in so many files of one size.
    pub(crate) fn of_count(&self, count: u64, size: u64) -> Vec<PathBuf> {
        (0..count).map(|number| self.file(&format!("of-{count}-{number}"), number, size / count)).collect()
    }

    fn file(&self, name: &str, seed: u64, size: u64) -> PathBuf {
        let path = self.directory.path().join(name);
        let mut sizes = self.sizes.lock().expect("no thread panicked");
        sizes.entry(path).or_insert_with_key(|path| {
            self.make(path, seed, size);
            size
        });
        self.directory.path().join(name)
    }

    /// Blocks of the libraries, in an order that each file has of its own.
    fn make(&self, path: &Path, seed: u64, size: u64) {
        let mut bytes = Vec::new();
        let mut state = seed;
        while (bytes.len() as u64) < size {
            // Knuth's MMIX generator; its upper bits are the better ones.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let start = (state >> 33) as usize % (self.libraries.len() - BLOCK);
            bytes.extend_from_slice(&self.libraries[start..start + BLOCK]);
        }
        bytes.truncate(usize::try_from(size).expect("it fits into memory"));
        fs::write(path, bytes).expect("room for the inputs");
    }
}

/// A static program for x86-64 with one segment: `mov eax, 60; xor edi, edi; syscall`.
fn program_of_nothing() -> Vec<u8> {
    const CODE: [u8; 9] = [0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05];
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let size = HEADERS + CODE.len() as u64;
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    let mut add = |value: u64, width: usize| bytes.extend_from_slice(&value.to_le_bytes()[..width]);
    // A file header: type, machine, version, entry, offsets, flags, and sizes and numbers of headers.
    for (value, width) in [(2, 2), (62, 2), (1, 4), (BASE + HEADERS, 8), (64, 8), (0, 8), (0, 4)] {
        add(value, width);
    }
    for value in [64, 56, 1, 64, 0, 0] {
        add(value, 2);
    }
    // A loadable segment, to be read and executed: the whole file.
    for (value, width) in [(1, 4), (5, 4), (0, 8), (BASE, 8), (BASE, 8), (size, 8), (size, 8), (4096, 8)] {
        add(value, width);
    }
    bytes.extend_from_slice(&CODE);
    bytes
}
