//! Writes `ld.so.cache` for an image, in the current format.

use std::collections::BTreeSet;

use super::{ENTRY, EXTENSION_MAGIC, HEADER, MAGIC, NAMED_HWCAP, TAG_GLIBC_HWCAPS, compare};
use crate::analyze::{ByteOrder, Machine, glibc};

/// A library as a cache lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listed<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) path: &'a [u8],
    /// The glibc-hwcaps level that a CPU must have for it.
    pub(crate) level: Option<&'a str>,
}

/// A cache with just these libraries, in the current format. Variants stand before the library for all CPUs.
pub(crate) fn write(libraries: &[Listed<'_>], machine: Machine) -> Vec<u8> {
    let mut sorted = libraries.to_vec();
    sorted.sort_by(|a, b| compare(b.name, a.name).then_with(|| b.level.cmp(&a.level)).then_with(|| b.cmp(a)));
    sorted.dedup();
    let levels: BTreeSet<&str> = sorted.iter().filter_map(|library| library.level).collect();
    let writer = CacheWriter {
        machine,
        levels: levels.into_iter().collect(),
        strings_at: HEADER + sorted.len() * ENTRY,
        table: Vec::new(),
        strings: Vec::new(),
    };
    writer.write(&sorted)
}

struct CacheWriter<'a> {
    machine: Machine,
    /// In bytewise order, as the loader takes them for granted.
    levels: Vec<&'a str>,
    strings_at: usize,
    table: Vec<u8>,
    strings: Vec<u8>,
}

impl CacheWriter<'_> {
    fn write(mut self, libraries: &[Listed<'_>]) -> Vec<u8> {
        libraries.iter().for_each(|library| self.entry(library));
        let names: Vec<u32> = self.levels.clone().iter().map(|level| self.string(level.as_bytes())).collect();
        let extension = (self.strings_at + self.strings.len()).next_multiple_of(4);
        let mut cache = MAGIC.to_vec();
        cache.extend(self.length(libraries.len()));
        cache.extend(self.length(self.strings.len()));
        let order = if self.machine.byte_order == ByteOrder::Little { 2 } else { 3 };
        cache.extend([order, 0, 0, 0]);
        cache.extend(self.length(if names.is_empty() { 0 } else { extension }));
        cache.resize(HEADER, 0);
        cache.extend(&self.table);
        cache.extend(&self.strings);
        if !names.is_empty() {
            cache.resize(extension, 0);
            cache.extend(self.extension(extension, &names));
        }
        cache
    }

    fn entry(&mut self, library: &Listed<'_>) {
        let flags = glibc::cache_flags(self.machine)[0].cast_unsigned();
        let (key, value) = (self.string(library.name), self.string(library.path));
        let level = library.level.and_then(|level| self.levels.iter().position(|known| *known == level));
        let hwcap = level.map_or(0, |number| NAMED_HWCAP | number as u64);
        // osversion is zero.
        let mut entry: Vec<u8> = [flags, key, value, 0].iter().flat_map(|&word| self.word(word)).collect();
        entry.extend(match self.machine.byte_order {
            ByteOrder::Little => hwcap.to_le_bytes(),
            ByteOrder::Big => hwcap.to_be_bytes(),
        });
        self.table.extend(entry);
    }

    /// One section: the offsets of the names of the levels.
    fn extension(&self, at: usize, names: &[u32]) -> Vec<u8> {
        const SECTION: usize = 24;
        let offset = u32::try_from(at + SECTION).unwrap_or(u32::MAX);
        let size = u32::try_from(names.len() * 4).unwrap_or(u32::MAX);
        let words = [EXTENSION_MAGIC, 1, TAG_GLIBC_HWCAPS, 0, offset, size];
        words.iter().chain(names).flat_map(|&word| self.word(word)).collect()
    }

    fn string(&mut self, string: &[u8]) -> u32 {
        let at = self.strings_at + self.strings.len();
        self.strings.extend_from_slice(string);
        self.strings.push(0);
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    fn length(&self, length: usize) -> [u8; 4] {
        self.word(u32::try_from(length).unwrap_or(u32::MAX))
    }

    fn word(&self, word: u32) -> [u8; 4] {
        match self.machine.byte_order {
            ByteOrder::Little => word.to_le_bytes(),
            ByteOrder::Big => word.to_be_bytes(),
        }
    }
}
