//! `ld.so.cache`: looked up as the loader does, and written for an image (`sysdeps/generic/dl-cache.h` in glibc).

use std::cmp::Ordering;
use std::ops::Range;

use crate::analyze::{ByteOrder, Machine, glibc};

const OLD_MAGIC: &[u8] = b"ld.so-1.7.0";
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;

/// A cache file of the current format, or a file that carries one behind a part of the old format.
#[derive(Debug)]
pub(crate) struct LdCache {
    bytes: Vec<u8>,
    /// Where the new part begins: its string offsets count from here.
    start: usize,
    entries: usize,
    byte_order: ByteOrder,
}

struct Entry {
    flags: i32,
    key: usize,
    value: usize,
    hwcap: u64,
}

impl LdCache {
    /// `None` for what the loader would take for no cache, and ignore.
    pub(crate) fn parse(bytes: Vec<u8>, byte_order: ByteOrder) -> Option<LdCache> {
        let start = new_part(&bytes, byte_order)?;
        let entries = number(&bytes, start + MAGIC.len(), byte_order)? as usize;
        let declared = bytes.get(start + 28).copied()? & 3;
        let expected = if byte_order == ByteOrder::Little { 2 } else { 3 };
        let fits = entries.checked_mul(ENTRY)?.checked_add(start + HEADER)? <= bytes.len();
        (fits && (declared == 0 || declared == expected)).then_some(LdCache { bytes, start, entries, byte_order })
    }

    /// The path that the loader of `machine` takes for `name`, with no hwcaps subdirectory.
    pub(crate) fn lookup(&self, name: &[u8], machine: Machine) -> Option<&[u8]> {
        let equal = self.equal_range(name);
        glibc::cache_flags(machine).iter().find_map(|&flags| {
            let counts = |entry: &Entry| entry.flags == flags && entry.hwcap == 0;
            let mut entries = equal.clone().filter_map(|index| self.entry(index)).filter(counts);
            entries.find_map(|entry| self.string(entry.value))
        })
    }

    /// The entries whose key equals `name`: a binary search, as the loader does it.
    fn equal_range(&self, name: &[u8]) -> Range<usize> {
        let first = self.partition_point(|key| compare(name, key) == Ordering::Less);
        let end = self.partition_point(|key| compare(name, key) != Ordering::Greater);
        first..end.max(first)
    }

    /// The first index, in the descending table, whose key does not satisfy `before`.
    fn partition_point(&self, before: impl Fn(&[u8]) -> bool) -> usize {
        let (mut low, mut high) = (0, self.entries);
        while low < high {
            let middle = low + (high - low) / 2;
            let key = self.entry(middle).and_then(|entry| self.string(entry.key));
            if key.is_some_and(&before) { low = middle + 1 } else { high = middle }
        }
        low
    }

    fn entry(&self, index: usize) -> Option<Entry> {
        let at = self.start + HEADER + index * ENTRY;
        let word = |offset| number(&self.bytes, at + offset, self.byte_order);
        let low_first = self.byte_order == ByteOrder::Little;
        let (low, high) = if low_first { (word(16)?, word(20)?) } else { (word(20)?, word(16)?) };
        Some(Entry {
            flags: word(0)?.cast_signed(),
            key: word(4)? as usize,
            value: word(8)? as usize,
            hwcap: u64::from(high) << 32 | u64::from(low),
        })
    }

    fn string(&self, offset: usize) -> Option<&[u8]> {
        let rest = self.bytes.get(self.start.checked_add(offset)?..)?;
        Some(&rest[..memchr::memchr(0, rest)?])
    }
}

/// Where the new part begins. Behind an old part it is aligned, to 8 bytes or on some machines to 4.
fn new_part(bytes: &[u8], byte_order: ByteOrder) -> Option<usize> {
    if !bytes.starts_with(OLD_MAGIC) {
        return bytes.starts_with(MAGIC).then_some(0);
    }
    let old = number(bytes, OLD_MAGIC.len() + 1, byte_order)? as usize;
    let end = old.checked_mul(OLD_ENTRY)?.checked_add(OLD_HEADER)?;
    [8, 4]
        .into_iter()
        .map(|alignment| end.next_multiple_of(alignment))
        .find(|&start| bytes.get(start..).is_some_and(|rest| rest.starts_with(MAGIC)))
}

fn number(bytes: &[u8], at: usize, byte_order: ByteOrder) -> Option<u32> {
    let word: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(match byte_order {
        ByteOrder::Little => u32::from_le_bytes(word),
        ByteOrder::Big => u32::from_be_bytes(word),
    })
}

/// The order of the table: runs of digits count as numbers (`_dl_cache_libcmp` in glibc).
fn compare(mut left: &[u8], mut right: &[u8]) -> Ordering {
    loop {
        let order = match (left.first(), right.first()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) if a.is_ascii_digit() && b.is_ascii_digit() => {
                take_number(&mut left).cmp(&take_number(&mut right))
            }
            (Some(a), Some(_)) if a.is_ascii_digit() => return Ordering::Greater,
            (Some(_), Some(b)) if b.is_ascii_digit() => return Ordering::Less,
            (Some(a), Some(b)) => {
                let order = a.cast_signed().cmp(&b.cast_signed());
                (left, right) = (&left[1..], &right[1..]);
                order
            }
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// The number at the start of `text`, in the loader's wrapping arithmetic.
fn take_number(text: &mut &[u8]) -> i32 {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    digits.iter().fold(0i32, |value, digit| value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0')))
}

/// A cache with just these libraries, `(name, path)`, in the current format.
pub(crate) fn write(libraries: &[(&[u8], &[u8])], machine: Machine) -> Vec<u8> {
    let mut sorted = libraries.to_vec();
    sorted.sort_by(|a, b| compare(b.0, a.0).then_with(|| b.cmp(a)));
    sorted.dedup();
    let mut writer = CacheWriter { machine, table: Vec::new(), strings: Vec::new() };
    let base = HEADER + sorted.len() * ENTRY;
    sorted.iter().for_each(|(name, path)| writer.entry(base, name, path));
    writer.finish(sorted.len())
}

struct CacheWriter {
    machine: Machine,
    table: Vec<u8>,
    strings: Vec<u8>,
}

impl CacheWriter {
    fn entry(&mut self, base: usize, name: &[u8], path: &[u8]) {
        let flags = glibc::cache_flags(self.machine)[0].cast_unsigned();
        let key = self.string(base, name);
        let value = self.string(base, path);
        // osversion and both halves of hwcap are zero.
        for word in [flags, key, value, 0, 0, 0] {
            self.table.extend(self.word(word));
        }
    }

    fn string(&mut self, base: usize, string: &[u8]) -> u32 {
        let at = base + self.strings.len();
        self.strings.extend_from_slice(string);
        self.strings.push(0);
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    fn word(&self, word: u32) -> [u8; 4] {
        match self.machine.byte_order {
            ByteOrder::Little => word.to_le_bytes(),
            ByteOrder::Big => word.to_be_bytes(),
        }
    }

    fn finish(self, entries: usize) -> Vec<u8> {
        let order = if self.machine.byte_order == ByteOrder::Little { 2 } else { 3 };
        let length = |n: usize| self.word(u32::try_from(n).unwrap_or(u32::MAX));
        let mut cache = MAGIC.to_vec();
        cache.extend(length(entries));
        cache.extend(length(self.strings.len()));
        cache.push(order);
        cache.resize(HEADER, 0);
        cache.extend(&self.table);
        cache.extend(&self.strings);
        cache
    }
}

#[cfg(test)]
mod tests {
    use super::{LdCache, compare, write};
    use crate::analyze::{ByteOrder, Class, Machine};
    use std::cmp::Ordering;

    const MACHINES: [(u16, Class, ByteOrder); 3] = [
        (62, Class::Elf64, ByteOrder::Little),
        (3, Class::Elf32, ByteOrder::Little),
        (22, Class::Elf64, ByteOrder::Big),
    ];

    #[test]
    fn what_is_written_is_found_again() {
        for (code, class, byte_order) in MACHINES {
            let machine = Machine { code, class, byte_order, flags: 0 };
            let libraries: Vec<_> = (0..40).map(|n| (format!("libx{n}.so.{}", n % 7), format!("/d{n}/f"))).collect();
            let pairs: Vec<_> = libraries.iter().map(|(n, p)| (n.as_bytes(), p.as_bytes())).collect();
            let cache = LdCache::parse(write(&pairs, machine), byte_order).unwrap();
            for (name, path) in &libraries {
                assert_eq!(cache.lookup(name.as_bytes(), machine), Some(path.as_bytes()));
            }
            assert_eq!(cache.lookup(b"liby.so", machine), None);
        }
    }

    #[test]
    fn digits_compare_as_numbers() {
        assert_eq!(compare(b"libx.so.10", b"libx.so.9"), Ordering::Greater);
        assert_eq!(compare(b"libx.so.01", b"libx.so.1"), Ordering::Equal);
        assert_eq!(compare(b"libx.so", b"libx.so.1"), Ordering::Less);
        assert_eq!(compare(b"lib1", b"liba"), Ordering::Greater);
    }

    #[test]
    fn damaged_caches_are_no_caches() {
        let machine = Machine { code: 62, class: Class::Elf64, byte_order: ByteOrder::Little, flags: 0 };
        let good = write(&[(b"libx.so", b"/x")], machine);
        for end in 0..good.len() {
            if let Some(cache) = LdCache::parse(good[..end].to_vec(), ByteOrder::Little) {
                assert_eq!(cache.lookup(b"libx.so", machine), None);
            }
        }
        assert!(LdCache::parse(good, ByteOrder::Big).is_none());
    }
}
