//! ELF files for x86-64 put together part by part, as no linker makes them.

use crate::elf::{DYN, LOADER, X86_64};

/// A file that is zero where nothing was put, in one segment of its own size at address 0.
#[derive(Clone)]
pub struct Crafted {
    bytes: Vec<u8>,
    headers: Vec<u8>,
    mapped: u64,
}

pub const LOAD: u32 = 1;
pub const DYNAMIC: u32 = 2;
pub const INTERP: u32 = 3;
pub const NOTE: u32 = 4;

pub const HASH: u64 = 4;
pub const STRTAB: u64 = 5;
pub const SYMTAB: u64 = 6;
pub const STRSZ: u64 = 10;
pub const GNU_HASH: u64 = 0x6fff_fef5;
pub const VERDEF: u64 = 0x6fff_fffc;
pub const VERNEED: u64 = 0x6fff_fffe;

/// Behind as many headers as a file may have.
pub const ROOM: usize = 0x1_1000;

impl Crafted {
    /// A library of this size.
    pub fn library(size: usize) -> Self {
        Crafted { bytes: vec![0; size], headers: Vec::new(), mapped: size as u64 }.segment(LOAD, 0, 0, size)
    }

    /// A program of this size, which has its interpreter's path at the end.
    pub fn program(size: usize) -> Self {
        let path = [LOADER.as_bytes(), b"\0"].concat();
        Crafted::library(size).put(size - path.len(), &path).segment(
            INTERP,
            size - path.len(),
            (size - path.len()) as u64,
            path.len(),
        )
    }

    pub fn put(mut self, at: usize, bytes: &[u8]) -> Self {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub fn longs(self, at: usize, longs: &[u32]) -> Self {
        let bytes: Vec<u8> = longs.iter().flat_map(|long| long.to_le_bytes()).collect();
        self.put(at, &bytes)
    }

    /// Read-only, and aligned to nothing.
    pub fn segment(mut self, kind: u32, at: usize, address: u64, size: usize) -> Self {
        self.headers.extend([kind, 4].map(u32::to_le_bytes).concat());
        let words = [at as u64, address, address, size as u64, size as u64, 1];
        self.headers.extend(words.map(u64::to_le_bytes).concat());
        self
    }

    /// One more segment for what is in the file from `at` on, behind all others in memory.
    pub fn mapped_again(mut self, at: usize, size: usize) -> Self {
        let address = self.mapped;
        self.mapped += size as u64;
        self.segment(LOAD, at, address, size)
    }

    /// A dynamic section, which is ended.
    pub fn dynamic(self, at: usize, entries: &[(u64, u64)]) -> Self {
        let ended = entries.iter().chain([&(0, 0)]);
        let bytes: Vec<u8> = ended.flat_map(|(tag, value)| [tag.to_le_bytes(), value.to_le_bytes()].concat()).collect();
        self.put(at, &bytes).segment(DYNAMIC, at, at as u64, bytes.len())
    }

    pub fn bytes(mut self) -> Vec<u8> {
        let count = u16::try_from(self.headers.len() / 56).unwrap();
        let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        header.extend([DYN, X86_64, 1, 0].map(u16::to_le_bytes).concat());
        header.extend([0x1000, 64, 0].map(u64::to_le_bytes).concat());
        header.extend([0, 0, 64, 56, count, 0, 0, 0].map(u16::to_le_bytes).concat());
        self.bytes[..64].copy_from_slice(&header);
        self.bytes[64..64 + self.headers.len()].copy_from_slice(&self.headers);
        self.bytes
    }
}
