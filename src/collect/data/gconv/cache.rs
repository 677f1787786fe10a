//! `gconv-modules.cache`: the lists in the form that iconvconfig(8) gives them (`struct gconvcache_header` in glibc's
//! iconv/iconvconfig.h).

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::config::{BIG, BUILTIN, Config, INTERNAL, LITTLE, Module, WIDE};
use crate::analyze::ByteOrder;

const MAGIC: u32 = 0x2001_0324;
/// The magic, and five offsets and sizes; aligned as the magic is.
const HEADER: usize = 16;

/// A cache for these conversions and the builtin ones; `None` where its offsets, of 16 bits, do not suffice. Only ways to
/// and from the internal set are in it: a conversion between two others takes two of them.
pub(super) fn write(config: &Config, directory: &Path, byte_order: ByteOrder) -> Option<Vec<u8>> {
    let directory = [directory.as_os_str().as_bytes(), b"/"].concat();
    let mut tables = Tables::new();
    tables.add_builtin(byte_order)?;
    config.modules().try_for_each(|module| tables.add_module(module, &directory))?;
    for (alias, set) in &config.aliases {
        tables.add_name(alias, set)?;
    }
    tables.write(byte_order)
}

/// What is known of a set: offsets of strings.
#[derive(Clone, Default)]
struct Set {
    name: u16,
    from_internal: [u16; 2],
    to_internal: [u16; 2],
}

struct Tables {
    strings: Vec<u8>,
    offsets: BTreeMap<Vec<u8>, u16>,
    sets: Vec<Set>,
    /// The number of the set that a name stands for.
    names: BTreeMap<String, u16>,
}

impl Tables {
    fn new() -> Tables {
        // Offset 0 is the empty string, and stands for nothing.
        Tables { strings: vec![0], offsets: BTreeMap::new(), sets: Vec::new(), names: BTreeMap::new() }
    }

    fn string(&mut self, string: &[u8]) -> Option<u16> {
        if let Some(&offset) = self.offsets.get(string) {
            return Some(offset);
        }
        let offset = u16::try_from(self.strings.len()).ok()?;
        self.strings.extend_from_slice(string);
        self.strings.push(0);
        self.offsets.insert(string.to_owned(), offset);
        Some(offset)
    }

    fn set(&mut self, name: &str) -> Option<&mut Set> {
        let number = match self.names.get(name) {
            Some(&number) => number,
            None => {
                let number = u16::try_from(self.sets.len()).ok()?;
                let offset = self.string(name.as_bytes())?;
                self.sets.push(Set { name: offset, ..Set::default() });
                self.names.insert(name.to_owned(), number);
                number
            }
        };
        self.sets.get_mut(usize::from(number))
    }

    fn add_name(&mut self, alias: &str, set: &str) -> Option<()> {
        if let Some(&number) = self.names.get(set) {
            self.string(alias.as_bytes())?;
            self.names.entry(alias.to_owned()).or_insert(number);
        }
        Some(())
    }

    fn add_builtin(&mut self, byte_order: ByteOrder) -> Option<()> {
        // It has the number 0.
        self.set(INTERNAL)?;
        self.add_name(WIDE, INTERNAL)?;
        let (own, other) = match byte_order {
            ByteOrder::Little => (LITTLE, BIG),
            ByteOrder::Big => (BIG, LITTLE),
        };
        for builtin in &BUILTIN {
            let set = if builtin.set.is_empty() { other[0] } else { builtin.set };
            let (to, from) =
                (self.string(builtin.to_internal.as_bytes())?, self.string(builtin.from_internal.as_bytes())?);
            let entry = self.set(set)?;
            (entry.to_internal, entry.from_internal) = ([0, to], [0, from]);
            builtin.aliases.iter().try_for_each(|alias| self.add_name(alias, set))?;
        }
        own.into_iter().try_for_each(|alias| self.add_name(alias, "ISO-10646/UCS2/"))?;
        self.add_name(other[1], other[0])
    }

    fn add_module(&mut self, module: &Module, directory: &[u8]) -> Option<()> {
        let module_file = [self.string(directory)?, self.string(module.file.as_bytes())?];
        match (module.from.as_str(), module.to.as_str()) {
            (INTERNAL, set) => self.set(set)?.from_internal = module_file,
            (set, INTERNAL) => self.set(set)?.to_internal = module_file,
            _ => {}
        }
        Some(())
    }

    fn write(&self, byte_order: ByteOrder) -> Option<Vec<u8>> {
        let hashed = self.hash_table()?;
        let strings_size = self.strings.len().next_multiple_of(2);
        let hash_at = HEADER + strings_size;
        let sets_at = hash_at + hashed.len() * 4;
        let end = sets_at + self.sets.len() * 12;
        let mut out = Out { bytes: Vec::with_capacity(end), byte_order };
        out.word(MAGIC);
        for number in [HEADER, hash_at, hashed.len(), sets_at, end, 0] {
            out.half(u16::try_from(number).ok()?);
        }
        out.bytes.extend_from_slice(&self.strings);
        out.bytes.resize(hash_at, 0);
        hashed.iter().flatten().for_each(|&half| out.half(half));
        for set in &self.sets {
            let halves = [[set.name].as_slice(), &set.from_internal, &set.to_internal, &[0]].concat();
            halves.into_iter().for_each(|half| out.half(half));
        }
        Some(out.bytes)
    }

    /// Open addressing with double hashing; a prime size makes every step reach every slot.
    fn hash_table(&self) -> Option<Vec<[u16; 2]>> {
        let size = next_prime(u32::try_from(self.names.len() + self.names.len() / 2 + 3).ok()?);
        let mut table = vec![[0; 2]; usize::try_from(size).ok()?];
        for (name, &number) in &self.names {
            let hash = hash(name.as_bytes());
            let (mut at, step) = (hash % size, 1 + hash % (size - 2));
            // The table is larger than the names are many.
            while table.get(at as usize)?[0] != 0 {
                at = (at + step) % size;
            }
            *table.get_mut(at as usize)? = [*self.offsets.get(name.as_bytes())?, number];
        }
        Some(table)
    }
}

struct Out {
    bytes: Vec<u8>,
    byte_order: ByteOrder,
}

impl Out {
    fn word(&mut self, word: u32) {
        match self.byte_order {
            ByteOrder::Little => self.bytes.extend(word.to_le_bytes()),
            ByteOrder::Big => self.bytes.extend(word.to_be_bytes()),
        }
    }

    fn half(&mut self, half: u16) {
        match self.byte_order {
            ByteOrder::Little => self.bytes.extend(half.to_le_bytes()),
            ByteOrder::Big => self.bytes.extend(half.to_be_bytes()),
        }
    }
}

/// P. J. Weinberger's hash (`__hash_string` in glibc's intl/hash-string.h).
fn hash(string: &[u8]) -> u32 {
    string.iter().fold(0, |hash: u32, &byte| {
        let hash = (hash << 4).wrapping_add(u32::from(byte));
        let high = hash & 0xf000_0000;
        hash ^ high >> 24 ^ high
    })
}

fn next_prime(from: u32) -> u32 {
    let is_prime =
        |number: u32| (2..number).take_while(|divisor| divisor * divisor <= number).all(|d| !number.is_multiple_of(d));
    (from..).find(|&number| is_prime(number)).unwrap_or(from)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Config, hash, write};
    use crate::analyze::ByteOrder;

    fn config() -> Config {
        let mut config = Config::default();
        config.add(b"alias LATIN9// ISO-8859-15//\nmodule ISO-8859-15// INTERNAL A\nmodule INTERNAL ISO-8859-15// A\n");
        config
    }

    /// What a reader of the file finds for a name (`find_module_idx` in glibc): the halves of the set's entry.
    fn find(cache: &[u8], name: &str, half: fn([u8; 2]) -> u16) -> Option<[u16; 6]> {
        let number = |at: usize| half(cache[at..at + 2].try_into().unwrap());
        let [strings, hashed, size, sets] = [4, 6, 8, 10].map(|at| usize::from(number(at)));
        let hash = hash(name.as_bytes()) as usize;
        let (mut at, step) = (hash % size, 1 + hash % (size - 2));
        while number(hashed + at * 4) != 0 {
            let string = strings + usize::from(number(hashed + at * 4));
            if cache[string..].starts_with(&[name.as_bytes(), b"\0"].concat()) {
                let set = sets + usize::from(number(hashed + at * 4 + 2)) * 12;
                return Some(std::array::from_fn(|index| number(set + index * 2)));
            }
            at = (at + step) % size;
        }
        None
    }

    #[test]
    fn every_name_is_found_in_either_byte_order() {
        let directory = Path::new("/usr/lib/gconv");
        for (byte_order, half) in
            [(ByteOrder::Little, u16::from_le_bytes as fn([u8; 2]) -> u16), (ByteOrder::Big, u16::from_be_bytes)]
        {
            let cache = write(&config(), directory, byte_order).unwrap();
            let find = |name| find(&cache, name, half);
            assert_eq!(find("LATIN9//"), find("ISO-8859-15//"));
            let set = find("LATIN9//").unwrap();
            let string = |offset: u16| &cache[16 + usize::from(offset)..];
            assert!(string(set[0]).starts_with(b"ISO-8859-15//\0"));
            assert!(string(set[1]).starts_with(b"/usr/lib/gconv/\0") && string(set[2]).starts_with(b"A.so\0"));
            assert!(string(find("UTF-8//").unwrap()[4]).starts_with(b"=utf8->INTERNAL\0"));
            assert_eq!(find("WCHAR_T//"), find("INTERNAL"));
            assert_ne!(find("UCS-2LE//"), find("UCS-2BE//"));
            assert_eq!(find("LATIN1//"), None);
        }
    }

    #[test]
    fn what_does_not_fit_into_16_bits_is_no_cache() {
        let mut config = Config::default();
        for number in 0..9_000 {
            config.add(format!("module SET{number}// INTERNAL M{number}\n").as_bytes());
        }
        assert!(write(&config, Path::new("/gconv"), ByteOrder::Little).is_none());
    }
}
