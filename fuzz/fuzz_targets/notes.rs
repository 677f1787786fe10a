//! Notes of either alignment and byte order: what the first byte says, and the notes behind it.
#![no_main]

use scratchpack::Elf;

/// A library of 64 bits that is nothing but these notes.
fn library(kind: u32, alignment: u64, is_little: bool, notes: &[u8]) -> Vec<u8> {
    const HEADERS: u64 = 64 + 2 * 56;
    let half = |n: u16| if is_little { n.to_le_bytes() } else { n.to_be_bytes() };
    let long = |n: u32| if is_little { n.to_le_bytes() } else { n.to_be_bytes() };
    let word = |n: u64| if is_little { n.to_le_bytes() } else { n.to_be_bytes() };
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file[5] = if is_little { 1 } else { 2 };
    file.resize(16, 0);
    file.extend([3, 62].map(half).concat());
    file.extend(long(1));
    file.extend([0, 64, 0].map(word).concat());
    file.extend(long(0));
    file.extend([64, 56, 2, 0, 0, 0].map(half).concat());
    let size = notes.len() as u64;
    for (kind, at, size) in [(1, 0, HEADERS + size), (kind, HEADERS, size)] {
        file.extend([kind, 4].map(long).concat());
        file.extend([at, at, at, size, size, alignment].map(word).concat());
    }
    file.extend(notes);
    file
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((how, notes)) = bytes.split_first() else { return };
    let kind = if how & 1 == 0 { 4 } else { 0x6474_e553 };
    let alignment = if how & 2 == 0 { 4 } else { 8 };
    let _ = Elf::parse(&library(kind, alignment, how & 4 == 0, notes));
});
