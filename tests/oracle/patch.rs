//! Changes that no linker makes, to 64-bit files of this machine's byte order.

use std::ops::Range;

pub(crate) const DT_NEEDED: u64 = 1;
pub(crate) const DT_SONAME: u64 = 14;
pub(crate) const DT_RPATH: u64 = 15;
pub(crate) const DT_RUNPATH: u64 = 29;
/// A tag that means nothing to a loader.
pub(crate) const DT_NOTHING: u64 = 0x6000_000f;
pub(crate) const DT_DEPAUDIT: u64 = 0x6fff_fefb;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
const PT_GNU_STACK: u32 = 0x6474_e551;

/// The fields of a `Vernaux`.
const VERSION_HASH: usize = 0;
const VERSION_FLAGS: usize = 4;
const VERSION_NAME: usize = 8;
const VER_FLG_WEAK: u8 = 2;

const FILE_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const DYNAMIC_ENTRY: u64 = 16;

/// Gives the entry with a rare tag another one.
pub(crate) fn retag(bytes: &mut [u8], from: u64, to: u64) {
    entry(bytes, from).copy_from_slice(&to.to_ne_bytes());
}

/// Makes the text of the entry with a rare tag the empty one, and gives it another tag.
pub(crate) fn retag_as_empty(bytes: &mut [u8], from: u64, to: u64) {
    let at = position(bytes, from);
    bytes[at + 8..at + 16].fill(0);
    retag(bytes, from, to);
}

/// Gives the first entry of all another tag.
pub(crate) fn retag_first(bytes: &mut [u8], to: u64) {
    let at = usize::try_from(number(bytes, header(bytes, PT_DYNAMIC).start + 8)).unwrap();
    put(bytes, at, to);
}

fn entry(bytes: &mut [u8], tag: u64) -> &mut [u8] {
    let at = position(bytes, tag);
    &mut bytes[at..at + 8]
}

/// Entries are aligned to eight bytes.
fn position(bytes: &[u8], tag: u64) -> usize {
    8 * bytes.chunks_exact(8).position(|word| word == tag.to_ne_bytes()).unwrap()
}

/// Makes what is needed of one version a need of another one, which the file needs as well.
pub(crate) fn replace_version(bytes: &mut [u8], old: &str, new: &str) {
    let (old, new) = (version(bytes, old), version(bytes, new));
    for field in [VERSION_HASH, VERSION_NAME] {
        bytes.copy_within(new + field..new + field + 4, old + field);
    }
}

/// Lets the hash of a version be that of none.
pub(crate) fn rehash_version(bytes: &mut [u8], name: &str) {
    bytes[version(bytes, name)] ^= 1;
}

/// Lets the loader pass over a version that it does not find.
pub(crate) fn weaken_version(bytes: &mut [u8], name: &str) {
    bytes[version(bytes, name) + VERSION_FLAGS] |= VER_FLG_WEAK;
}

/// Where the hash of a version is, and the record behind it if it is a need.
fn version(bytes: &[u8], name: &str) -> usize {
    4 * bytes.chunks_exact(4).position(|word| word == hash(name).to_ne_bytes()).unwrap()
}

/// The hash function of the gABI.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0, |hash, byte| {
        let hash = (hash << 4) + u32::from(byte);
        let high = hash & 0xf000_0000;
        (hash ^ high >> 24) & !high
    })
}

/// Lets the last of two dynamic segments be the one that was there, and the first hold nothing but DT_NULL.
pub(crate) fn first_dynamic_is_empty(bytes: &mut [u8]) {
    let (first, last) = (header(bytes, PT_DYNAMIC), header(bytes, PT_GNU_STACK));
    bytes.copy_within(first.clone(), last.start);
    let end = number(bytes, first.start + 32) - DYNAMIC_ENTRY;
    for field in [8, 16, 24] {
        let moved = number(bytes, first.start + field) + end;
        put(bytes, first.start + field, moved);
    }
    put(bytes, first.start + 32, DYNAMIC_ENTRY);
}

/// Adds an interpreter that is none, behind the one that is.
pub(crate) fn note_is_interpreter(bytes: &mut [u8]) {
    retype(bytes, PT_NOTE, PT_INTERP);
}

/// Leaves nothing to load.
pub(crate) fn without_loads(bytes: &mut [u8]) {
    while find_header(bytes, PT_LOAD).is_some() {
        retype(bytes, PT_LOAD, PT_NOTE);
    }
}

/// Leaves no dynamic section.
pub(crate) fn without_dynamic(bytes: &mut [u8]) {
    retype(bytes, PT_DYNAMIC, PT_NOTE);
}

/// Lets a segment begin in the file where no page could hold it as the header says.
pub(crate) fn with_load_out_of_step(bytes: &mut [u8]) {
    let offset = header(bytes, PT_LOAD).start + 8;
    put(bytes, offset, number(bytes, offset) + 8);
}

fn retype(bytes: &mut [u8], from: u32, to: u32) {
    let at = header(bytes, from).start;
    bytes[at..at + 4].copy_from_slice(&to.to_ne_bytes());
}

fn header(bytes: &[u8], kind: u32) -> Range<usize> {
    find_header(bytes, kind).unwrap()
}

/// The first program header of a type.
fn find_header(bytes: &[u8], kind: u32) -> Option<Range<usize>> {
    let count = usize::from(u16::from_ne_bytes([bytes[56], bytes[57]]));
    let starts = (0..count).map(|number| FILE_HEADER + number * PROGRAM_HEADER);
    let mut ranges = starts.map(|start| start..start + PROGRAM_HEADER);
    ranges.find(|range| bytes[range.start..range.start + 4] == kind.to_ne_bytes())
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn put(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_ne_bytes());
}
