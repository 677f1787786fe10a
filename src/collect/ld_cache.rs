//! `ld.so.cache`: looked up as the loader does, and written for an image (`sysdeps/generic/dl-cache.h` in glibc).

mod write;

use std::cmp::Ordering;
use std::ops::Range;

use super::search::Variants;
use crate::analyze::{ByteOrder, Machine, glibc};
use crate::root::{NAME_MAX, PATH_MAX};

pub(crate) use write::{Listed, write};

const OLD_MAGIC: &[u8] = b"ld.so-1.7.0";
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;

/// Bytes of a path that are believed: Linux opens no longer one.
const MAX_PATH: usize = PATH_MAX;
/// Bytes of a name that are believed: those of files, and of the links that ldconfig makes for sonames.
const MAX_KEY: usize = NAME_MAX;
/// Entries of one name, for all machines and CPUs. No name that has more is in any cache that ldconfig makes.
const MAX_EQUAL: usize = 64;

/// A cache file: of the current format, alone or behind a part of the old format, or of the old format.
#[derive(Debug)]
pub(crate) struct LdCache {
    bytes: Vec<u8>,
    table: Table,
    byte_order: ByteOrder,
}

/// Where the entries of a cache are.
#[derive(Debug)]
struct Table {
    /// Where the new part begins; `None` in the old format.
    new_part: Option<usize>,
    first: usize,
    entries: usize,
    /// From where the offsets of strings count.
    strings: usize,
}

struct Entry {
    flags: i32,
    key: usize,
    value: usize,
    hwcap: u64,
}

/// Set where the low half of `hwcap` is a number in the list of glibc-hwcaps subdirectories.
const NAMED_HWCAP: u64 = 1 << 62;
const EXTENSION_MAGIC: u32 = 0xeaa4_2174;
const TAG_GLIBC_HWCAPS: u32 = 1;

impl Table {
    fn new(bytes: &[u8], byte_order: ByteOrder) -> Option<Table> {
        let start = new_part(bytes, byte_order)?;
        let entries = number(bytes, start + MAGIC.len(), byte_order)? as usize;
        let declared = bytes.get(start + 28).copied()? & 3;
        let expected = if byte_order == ByteOrder::Little { 2 } else { 3 };
        let first = start + HEADER;
        let fits = entries.checked_mul(ENTRY)?.checked_add(first)? <= bytes.len();
        let is_ours = declared == 0 || declared == expected;
        (fits && is_ours).then_some(Table { new_part: Some(start), first, entries, strings: start })
    }

    fn old(bytes: &[u8], byte_order: ByteOrder) -> Option<Table> {
        if !bytes.starts_with(OLD_MAGIC) {
            return None;
        }
        let entries = number(bytes, OLD_MAGIC.len() + 1, byte_order)? as usize;
        let strings = entries.checked_mul(OLD_ENTRY)?.checked_add(OLD_HEADER)?;
        (strings <= bytes.len()).then_some(Table { new_part: None, first: OLD_HEADER, entries, strings })
    }
}

impl LdCache {
    /// `None` for what the loader would take for no cache, and ignore.
    pub(crate) fn parse(bytes: Vec<u8>, byte_order: ByteOrder) -> Option<LdCache> {
        let table = Table::new(&bytes, byte_order).or_else(|| Table::old(&bytes, byte_order))?;
        Some(LdCache { bytes, table, byte_order })
    }

    /// The path that the loader of `machine` takes for `name`, and the subdirectory for some CPUs that it is in.
    pub(crate) fn lookup(&self, name: &[u8], machine: Machine, variants: &Variants) -> Option<(&[u8], Option<String>)> {
        let equal = self.equal_range(name);
        glibc::cache_flags(machine).iter().find_map(|&flags| {
            let counts = |entry: &Entry| entry.flags == flags;
            let entries = equal.clone().filter_map(|index| self.entry(index)).filter(counts);
            // Behind one for all CPUs the loader looks at no more.
            let mut is_over = false;
            let looked_at = entries.take_while(|entry| !std::mem::replace(&mut is_over, entry.hwcap == 0));
            let ranked = looked_at.filter_map(|entry| Some((self.rank(&entry, variants)?, entry)));
            // Of equal ones the first counts.
            let (rank, entry) = ranked.min_by_key(|(rank, _)| *rank)?;
            let variant = || variants.subdirectories.get(rank).cloned().unwrap_or_else(|| "hwcap".to_owned());
            Some((self.string(entry.value, MAX_PATH)?, (entry.hwcap != 0).then(variant)))
        })
    }

    /// How good an entry is, the best having 0; `None` where it does not count.
    fn rank(&self, entry: &Entry, variants: &Variants) -> Option<usize> {
        let known = variants.subdirectories.len();
        match entry.hwcap {
            0 => variants.plain.then_some(known),
            named if named & NAMED_HWCAP != 0 => {
                if variants.subdirectories.is_empty() {
                    return None;
                }
                let level = self.level(named as u32)?;
                let is_level =
                    |name: &String| name.strip_prefix("glibc-hwcaps/").is_some_and(|name| name.as_bytes() == level);
                variants.subdirectories.iter().position(is_level)
            }
            // What its bits mean depends on the machine, so it counts where nothing else does.
            _ => (!variants.plain).then_some(known),
        }
    }

    /// The name of the glibc-hwcaps subdirectory with this number.
    fn level(&self, number: u32) -> Option<&[u8]> {
        let (offset, size) = self.hwcaps_section()?;
        let at = (number as usize).checked_mul(4).filter(|at| *at < size)?;
        let start = self.number_at(offset.checked_add(at)?)? as usize;
        // No name of a level is as long.
        let string = self.bytes.get(start..start.checked_add(64)?.min(self.bytes.len()))?;
        Some(&string[..memchr::memchr(0, string)?])
    }

    /// Where the list of subdirectories is: an extension behind the strings, all of which counts from the file's start.
    fn hwcaps_section(&self) -> Option<(usize, usize)> {
        let extension = self.number_at(self.table.new_part? + 32).filter(|&offset| offset != 0)? as usize;
        let word = |number: usize| self.number_at(extension.checked_add(number.checked_mul(4)?)?);
        if word(0)? != EXTENSION_MAGIC {
            return None;
        }
        let sections = (0..(word(1)? as usize).min(16)).map(|section| 2 + section * 4);
        let mut hwcaps = sections.filter(|&section| word(section) == Some(TAG_GLIBC_HWCAPS));
        let section = hwcaps.next()?;
        Some((word(section + 2)? as usize, word(section + 3)? as usize))
    }

    fn number_at(&self, at: usize) -> Option<u32> {
        number(&self.bytes, at, self.byte_order)
    }

    /// The entries whose key equals `name`: a binary search for one of them, as the loader does it, and its neighbours.
    fn equal_range(&self, name: &[u8]) -> Range<usize> {
        let (mut low, mut high) = (0, self.table.entries);
        while low < high {
            let middle = low + (high - low) / 2;
            // In a descending table. A key that cannot be read comes behind all others.
            match self.key(middle).map_or(Ordering::Greater, |key| compare(name, key)) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return self.equal_around(middle, name),
            }
        }
        low..low
    }

    fn equal_around(&self, index: usize, name: &[u8]) -> Range<usize> {
        let known = self.entry(index).map(|entry| entry.key);
        // Entries of one name have one key, as a rule.
        let is_same = |index| self.entry(index).map(|entry| entry.key) == known;
        let is_equal_key = |index| self.key(index).is_some_and(|key| compare(name, key) == Ordering::Equal);
        let is_equal = |index: &usize| is_same(*index) || is_equal_key(*index);
        let before = (0..index).rev().take_while(is_equal).take(MAX_EQUAL).count();
        let behind = (index..self.table.entries).take_while(is_equal).take(MAX_EQUAL).count();
        if before + behind > MAX_EQUAL {
            return index..index;
        }
        index - before..index + behind
    }

    fn key(&self, index: usize) -> Option<&[u8]> {
        self.entry(index).and_then(|entry| self.string(entry.key, MAX_KEY + 1))
    }

    fn entry(&self, index: usize) -> Option<Entry> {
        let size = if self.table.new_part.is_some() { ENTRY } else { OLD_ENTRY };
        let at = self.table.first + index * size;
        let word = |offset| number(&self.bytes, at + offset, self.byte_order);
        let (flags, key, value) = (word(0)?.cast_signed(), word(4)? as usize, word(8)? as usize);
        if self.table.new_part.is_none() {
            return Some(Entry { flags, key, value, hwcap: 0 });
        }
        let low_first = self.byte_order == ByteOrder::Little;
        let (low, high) = if low_first { (word(16)?, word(20)?) } else { (word(20)?, word(16)?) };
        Some(Entry { flags, key, value, hwcap: u64::from(high) << 32 | u64::from(low) })
    }

    /// The string at an offset, if its NUL is within `limit` bytes.
    fn string(&self, offset: usize, limit: usize) -> Option<&[u8]> {
        let rest = self.bytes.get(self.table.strings.checked_add(offset)?..)?;
        let string = &rest[..rest.len().min(limit)];
        Some(&string[..memchr::memchr(0, string)?])
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
        .filter_map(|alignment| end.checked_next_multiple_of(alignment))
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
pub(crate) fn compare(left: &[u8], right: &[u8]) -> Ordering {
    let equal = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    // A number counts as a whole.
    let digits = left[..equal].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (mut left, mut right) = (&left[equal - digits..], &right[equal - digits..]);
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

#[cfg(test)]
mod tests {
    use super::{LdCache, Listed, Variants, compare, write};
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
            let listed: Vec<_> = libraries.iter().map(|(name, path)| plain(name, path)).collect();
            let cache = LdCache::parse(write(&listed, machine), byte_order).unwrap();
            for (name, path) in &libraries {
                assert_eq!(path_of(&cache, name, machine, &[]).as_deref(), Some(path.as_str()));
            }
            assert_eq!(path_of(&cache, "liby.so", machine, &[]), None);
        }
    }

    fn plain<'a>(name: &'a str, path: &'a str) -> Listed<'a> {
        Listed { name: name.as_bytes(), path: path.as_bytes(), level: None }
    }

    fn path_of(cache: &LdCache, name: &str, machine: Machine, levels: &[&str]) -> Option<String> {
        let subdirectories = levels.iter().map(|level| format!("glibc-hwcaps/{level}")).collect();
        let variants = Variants { subdirectories, plain: true };
        let (path, _) = cache.lookup(name.as_bytes(), machine, &variants)?;
        Some(String::from_utf8(path.to_vec()).unwrap())
    }

    #[test]
    fn the_best_level_that_the_cpu_has_is_taken() {
        for (code, class, byte_order) in MACHINES {
            let machine = Machine { code, class, byte_order, flags: 0 };
            let variant = |path, level| Listed { level: Some(level), ..plain("libx.so", path) };
            let listed = [plain("libx.so", "/base"), variant("/three", "v3"), variant("/two", "v2")];
            let cache = LdCache::parse(write(&listed, machine), byte_order).unwrap();
            assert_eq!(path_of(&cache, "libx.so", machine, &[]).as_deref(), Some("/base"));
            assert_eq!(path_of(&cache, "libx.so", machine, &["v2"]).as_deref(), Some("/two"));
            assert_eq!(path_of(&cache, "libx.so", machine, &["v4", "v3", "v2"]).as_deref(), Some("/three"));
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
    fn a_name_with_more_entries_than_any_cache_has_is_not_in_it() {
        let machine = Machine { code: 62, class: Class::Elf64, byte_order: ByteOrder::Little, flags: 0 };
        let found = |count: usize| {
            let paths: Vec<String> = (0..count).map(|number| format!("/{number}")).collect();
            let listed: Vec<_> = paths.iter().map(|path| plain("libx.so", path)).collect();
            let cache = LdCache::parse(write(&listed, machine), ByteOrder::Little).unwrap();
            path_of(&cache, "libx.so", machine, &[]).is_some()
        };
        assert!(found(super::MAX_EQUAL) && !found(super::MAX_EQUAL + 1));
        for (length, is_found) in [(super::MAX_KEY, true), (super::MAX_KEY + 1, false)] {
            let long = "0".repeat(length);
            let cache = LdCache::parse(write(&[plain(&long, "/x")], machine), ByteOrder::Little).unwrap();
            assert_eq!(path_of(&cache, &long, machine, &[]).is_some(), is_found);
        }
    }

    #[test]
    fn damaged_caches_are_no_caches() {
        let machine = Machine { code: 62, class: Class::Elf64, byte_order: ByteOrder::Little, flags: 0 };
        let good = write(&[plain("libx.so", "/x")], machine);
        for end in 0..good.len() {
            if let Some(cache) = LdCache::parse(good[..end].to_vec(), ByteOrder::Little) {
                assert_eq!(path_of(&cache, "libx.so", machine, &[]), None);
            }
        }
        assert!(LdCache::parse(good, ByteOrder::Big).is_none());
    }
}
