//! Numbers among bytes, in the order of the file's machine; 0 where the bytes end before.

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

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}
