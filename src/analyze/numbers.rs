//! Numbers among bytes, in the order of the file's machine; 0 where the bytes end before.

use goblin::container::{Container, Ctx};
use scroll::Endian;

pub(super) fn u16_at(bytes: &[u8], at: usize, order: Endian) -> u16 {
    let bytes = array(bytes, at);
    if order.is_little() { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
}

pub(super) fn u32_at(bytes: &[u8], at: usize, order: Endian) -> u32 {
    let bytes = array(bytes, at);
    if order.is_little() { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
}

pub(super) fn u64_at(bytes: &[u8], at: usize, order: Endian) -> u64 {
    let bytes = array(bytes, at);
    if order.is_little() { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) }
}

/// The `number`th of words that have 8 bytes in a 64-bit file and 4 in others.
pub(super) fn word_at(bytes: &[u8], number: usize, ctx: Ctx) -> u64 {
    match ctx.container {
        Container::Big => u64_at(bytes, 8 * number, ctx.le),
        Container::Little => u64::from(u32_at(bytes, 4 * number, ctx.le)),
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}
