//! The symbols that tell of a need: of what an object imports, found through the dynamic section as a loader finds it.
//!
//! The loader may never look at them, so they are read leniently: what is odd tells nothing, and is no error.

use goblin::elf::dynamic::{
    DT_GNU_HASH, DT_HASH, DT_JMPREL, DT_PLTREL, DT_PLTRELSZ, DT_REL, DT_RELA, DT_RELACOUNT, DT_RELASZ, DT_RELCOUNT,
    DT_RELSZ, DT_SONAME, DT_SYMTAB,
};
use goblin::elf::header::{EM_S390, ET_EXEC};
use goblin::elf::program_header::PT_INTERP;
use goblin::elf::section_header::SHN_UNDEF;

use super::dynamic::{Entries, Strings};
use super::numbers::{u32_at, u64_at, word_at};
use super::reader::{PIECE, ReadAt, Reader};
use super::segments::Segments;
use crate::error::Cause;
use crate::limits::{MAX_RELOCATIONS, MAX_SYMBOLS};
use crate::need::{Known, known, may_be_known};

/// The number of symbols (System V ABI, MIPS supplement).
const DT_MIPS_SYMTABNO: u64 = 0x7000_0011;

/// What Linux has for Alpha, and goblin has not.
const EM_ALPHA: u16 = 0x9026;

/// The known ones among the symbols that an object imports, each once, in the order of the symbol table.
pub(super) fn imported<R: ReadAt + ?Sized>(
    entries: &Entries,
    strings: &Strings,
    segments: &Segments,
    reader: &mut Reader<'_, R>,
) -> Result<Vec<&'static Known>, Cause> {
    let mut tables = Tables { entries, segments, reader };
    let names = tables.imports()?;
    Ok(look_up(names, strings, reader, may_be_known, known))
}

/// A symbol: where in the string table its name is, and its number.
pub(super) type Name = (u32, u32);

/// What `find` knows of these names, in the order of their numbers, each once; of those alone whose first four bytes are
/// `promising`.
pub(super) fn look_up<R: ReadAt + ?Sized, T: PartialEq>(
    mut names: Vec<Name>,
    strings: &Strings,
    reader: &mut Reader<'_, R>,
    promising: impl Fn([u8; 4]) -> bool,
    find: impl Fn(&[u8]) -> Option<T>,
) -> Vec<T> {
    let piece_of = |&(at, _): &Name| at as usize / PIECE;
    names.retain(|(at, _)| u64::from(*at) < strings.size);
    // Nearly always all of them are in one piece.
    names.sort_unstable_by_key(piece_of);
    // What is known is little, whatever the file has of it.
    let mut found: Vec<(u32, T)> = Vec::new();
    for near in names.chunk_by(|one, next| piece_of(one) == piece_of(next)) {
        let (start, piece) = read_near(near, strings, reader);
        for &(at, number) in near {
            let rest = piece.get((at - start) as usize..).unwrap_or_default();
            if rest.first_chunk().is_some_and(|first| promising(*first)) {
                let Some(known) = short_name(rest).and_then(&find) else { continue };
                match found.iter_mut().find(|(_, other)| *other == known) {
                    Some((first, _)) => *first = number.min(*first),
                    None => found.push((number, known)),
                }
            }
        }
    }
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().map(|(_, known)| known).collect()
}

/// Where these names begin in the string table, and the bytes from there to the end of the last.
fn read_near<'r, R: ReadAt + ?Sized>(
    names: &[Name],
    strings: &Strings,
    reader: &'r mut Reader<'_, R>,
) -> (u32, &'r [u8]) {
    let all = || names.iter().map(|(at, _)| *at);
    let (start, last) = (all().min().unwrap_or(0), all().max().unwrap_or(0));
    let size = u64::from(last - start) + Known::LONGEST as u64 + 1;
    let size = usize::try_from(size.min(strings.size - u64::from(start))).unwrap_or(0);
    (start, reader.up_to(strings.offset.saturating_add(u64::from(start)), size).unwrap_or_default())
}

/// A table of symbols that was found to be there is read in full, or not at all.
pub(super) fn expect_few(count: u64) -> Result<(), Cause> {
    match count > MAX_SYMBOLS {
        true => Err(Cause::malformed(format!("it has {count} symbols; the limit is {MAX_SYMBOLS}"))),
        false => Ok(()),
    }
}

/// The name at the start of these bytes, if it is no longer than any known one.
fn short_name(bytes: &[u8]) -> Option<&[u8]> {
    let bytes = &bytes[..bytes.len().min(Known::LONGEST + 1)];
    memchr::memchr(0, bytes).map(|end| &bytes[..end])
}

/// How entries of a symbol table are laid out (gABI, "Symbol Table").
pub(super) struct Layout {
    pub(super) size: usize,
    info: usize,
    section: usize,
    order: scroll::Endian,
}

impl Layout {
    pub(super) fn of(segments: &Segments) -> Layout {
        let order = segments.ctx.le;
        match segments.ctx.container.is_big() {
            true => Layout { size: 24, info: 4, section: 6, order },
            false => Layout { size: 16, info: 12, section: 14, order },
        }
    }

    pub(super) fn name(&self, entry: &[u8]) -> u32 {
        u32_at(entry, 0, self.order)
    }

    pub(super) fn is_undefined(&self, entry: &[u8]) -> bool {
        // It is 0, in whatever order its bytes stand.
        entry.get(self.section..self.section + 2) == Some(&[SHN_UNDEF as u8; 2])
    }

    /// `STT_FUNC` and such.
    pub(super) fn kind(&self, entry: &[u8]) -> u8 {
        entry.get(self.info).map_or(0, |info| info & 15)
    }
}

/// The tables that a dynamic section leads to.
struct Tables<'r, 'a, R: ?Sized> {
    entries: &'r Entries,
    segments: &'r Segments,
    reader: &'r mut Reader<'a, R>,
}

impl<R: ReadAt + ?Sized> Tables<'_, '_, R> {
    fn imports(&mut self) -> Result<Vec<Name>, Cause> {
        let layout = Layout::of(self.segments);
        let Some((offset, count)) = self.symbols(layout.size)? else { return Ok(Vec::new()) };
        let mut names = Vec::with_capacity(usize::try_from(count).unwrap_or(0).min(PIECE / layout.size));
        let read = self.reader.records(offset, count, layout.size, |number, entry| {
            let name = layout.name(entry);
            if name != 0 && layout.is_undefined(entry) {
                names.push((name, u32::try_from(number).unwrap_or(u32::MAX)));
            }
        });
        Ok(read.map_or_else(|_| Vec::new(), |()| names))
    }

    /// Where in the file the symbols are that may be imported, of `size` bytes each, and how many; `None` where they are not.
    fn symbols(&mut self, size: usize) -> Result<Option<(u64, u64)>, Cause> {
        let (Some(address), Some(count)) = (self.entry(DT_SYMTAB), self.count()?) else { return Ok(None) };
        let there = count.checked_mul(size as u64).and_then(|size| self.segments.offset_of(address, size));
        let Some(offset) = there else { return Ok(None) };
        expect_few(count).map(|()| Some((offset, count)))
    }

    /// How many symbols are there, or may be imported.
    fn count(&mut self) -> Result<Option<u64>, Cause> {
        if let Some(count) = self.entry(DT_MIPS_SYMTABNO) {
            return Ok(Some(count));
        }
        Ok(match self.entry(DT_GNU_HASH).and_then(|address| self.gnu_hash(address)) {
            Some(first) if first.is_certain => Some(first.number),
            first => {
                let count = match self.sysv_hash() {
                    None => self.highest_relocated()?,
                    count => count,
                };
                count.max(first.map(|first| first.number))
            }
        })
    }

    fn gnu_hash(&mut self, address: u64) -> Option<FirstHashed> {
        let [buckets, number, bloom_words] = [0, 4, 8].map(|at| self.word(address.checked_add(at)?));
        let (buckets, number, bloom_words) = (buckets?, u64::from(number?), u64::from(bloom_words?));
        let width = if self.segments.ctx.container.is_big() { 8 } else { 4 };
        // Where nothing is hashed, GNU ld writes one empty bucket, and 1 for the first symbol
        // (`bfd_elf_size_dynsym_hash_dynstr`).
        let is_empty = buckets == 1 && self.word(address.checked_add(16 + bloom_words * width)?)? == 0;
        // In programs it puts imported functions whose address is taken among the hashed symbols
        // (`elf_x86_64_hash_symbol`): localtime_r in the date of Debian 12.
        Some(FirstHashed { number, is_certain: !is_empty && !self.is_program() })
    }

    /// `nchain`, which is the number of symbols (gABI, "Hash Table").
    fn sysv_hash(&mut self) -> Option<u64> {
        let address = self.entry(DT_HASH)?;
        let is_wide = match self.segments.machine.code {
            // Their words have 64 bits there (ELF supplements for Alpha and zSeries).
            EM_ALPHA => true,
            EM_S390 => self.segments.ctx.container.is_big(),
            _ => false,
        };
        match is_wide {
            true => self.wide_word(address.checked_add(8)?),
            false => self.word(address.checked_add(4)?).map(u64::from),
        }
    }

    /// One more than the number of the last symbol that a relocation names.
    fn highest_relocated(&mut self) -> Result<Option<u64>, Cause> {
        let plt = (DT_JMPREL, DT_PLTRELSZ, 0, self.entry(DT_PLTREL) == Some(DT_RELA));
        let tables = [plt, (DT_RELA, DT_RELASZ, DT_RELACOUNT, true), (DT_REL, DT_RELSZ, DT_RELCOUNT, false)];
        let mut highest = None;
        for (at, size, relative, has_addend) in tables {
            if let (Some(address), Some(size)) = (self.entry(at), self.entry(size)) {
                let relative = self.entry(relative).unwrap_or(0);
                highest = highest.max(self.highest_in(address, size, relative, has_addend)?);
            }
        }
        Ok(highest)
    }

    /// The same, of one table, which begins with so many `relative` ones that name no symbol.
    fn highest_in(&mut self, address: u64, size: u64, relative: u64, has_addend: bool) -> Result<Option<u64>, Cause> {
        let is_64 = self.segments.ctx.container.is_big();
        let word: usize = if is_64 { 8 } else { 4 };
        let record = if has_addend { 3 * word } else { 2 * word };
        let Some(offset) = self.segments.offset_of(address, size) else { return Ok(None) };
        let relative = relative.min(size / record as u64);
        let count = size / record as u64 - relative;
        if count > MAX_RELOCATIONS {
            return Err(Cause::malformed(format!("it has {count} relocations; the limit is {MAX_RELOCATIONS}")));
        }
        let (ctx, mut highest) = (self.segments.ctx, 0);
        let read = self.reader.records(offset.saturating_add(relative * record as u64), count, record, |_, record| {
            let symbol = word_at(record, 1, ctx) >> if is_64 { 32 } else { 8 };
            highest = highest.max(symbol);
        });
        Ok(read.ok().map(|()| highest + 1))
    }

    /// The C library has an interpreter as well, and is none.
    fn is_program(&self) -> bool {
        let has_interpreter = self.segments.headers.iter().any(|header| header.p_type == PT_INTERP);
        self.segments.header.e_type == ET_EXEC || (has_interpreter && self.entry(DT_SONAME).is_none())
    }

    fn entry(&self, tag: u64) -> Option<u64> {
        self.entries.last(tag)
    }

    fn word(&mut self, address: u64) -> Option<u32> {
        let order = self.segments.ctx.le;
        self.at(address, 4).ok().map(|bytes| u32_at(bytes, 0, order))
    }

    fn wide_word(&mut self, address: u64) -> Option<u64> {
        let order = self.segments.ctx.le;
        self.at(address, 8).ok().map(|bytes| u64_at(bytes, 0, order))
    }

    fn at(&mut self, address: u64, size: usize) -> Result<&[u8], Cause> {
        let offset = self.segments.offset_of(address, size as u64).ok_or_else(|| Cause::malformed("an odd table"))?;
        self.reader.bytes(offset, size, "symbols")
    }
}

/// The number of the first symbol in a `DT_GNU_HASH`.
struct FirstHashed {
    number: u64,
    /// Whether all that are imported are before it.
    is_certain: bool,
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use crate::analyze::reader::Counted;
    use crate::analyze::{Buffers, Elf, Hints};

    const DYNAMIC: usize = 0x200;
    const SYMBOLS: usize = 0x400;
    const STRINGS: usize = 0x800;
    const HASH: usize = 0xc00;
    const RELOCATIONS: usize = 0xe00;
    const SIZE: usize = 0x1000;

    const DT_HASH: u64 = 4;
    const DT_GNU_HASH: u64 = 0x6fff_fef5;

    /// A file of this machine, with all that is in it in one segment at address 0.
    struct File {
        bytes: Vec<u8>,
        is_64: bool,
        is_little: bool,
    }

    impl File {
        fn new(machine: u16, is_64: bool, is_little: bool) -> File {
            let mut file = File { bytes: vec![0; SIZE], is_64, is_little };
            file.bytes[..4].copy_from_slice(b"\x7fELF");
            file.bytes[4..7].copy_from_slice(&[1 + u8::from(is_64), 2 - u8::from(is_little), 1]);
            let (header, entry): (usize, u16) = if is_64 { (64, 56) } else { (52, 32) };
            for (at, half) in [(16, 3), (18, machine), (header - 10, entry), (header - 8, 2)] {
                file.half(at, half);
            }
            file.word(24 + file.width(), header as u64);
            for (number, kind, at, size) in [(0, 1, 0, SIZE), (1, 2, DYNAMIC, 0x200)] {
                let start = header + usize::from(entry) * number;
                file.long(start, kind);
                let fields = if is_64 { start + 8 } else { start + 4 };
                for (field, value) in [at, at, at, size, size].into_iter().enumerate() {
                    file.word(fields + field * file.width(), value as u64);
                }
            }
            file
        }

        fn width(&self) -> usize {
            if self.is_64 { 8 } else { 4 }
        }

        fn half(&mut self, at: usize, value: u16) {
            let bytes = if self.is_little { value.to_le_bytes() } else { value.to_be_bytes() };
            self.bytes[at..at + 2].copy_from_slice(&bytes);
        }

        fn long(&mut self, at: usize, value: u32) {
            let bytes = if self.is_little { value.to_le_bytes() } else { value.to_be_bytes() };
            self.bytes[at..at + 4].copy_from_slice(&bytes);
        }

        fn word(&mut self, at: usize, value: u64) {
            if self.is_64 {
                let bytes = if self.is_little { value.to_le_bytes() } else { value.to_be_bytes() };
                self.bytes[at..at + 8].copy_from_slice(&bytes);
            } else {
                self.long(at, u32::try_from(value).unwrap());
            }
        }

        fn dynamic(mut self, entries: &[(u64, u64)]) -> File {
            let table = [(5, STRINGS as u64), (10, 0x400), (6, SYMBOLS as u64)];
            for (number, (tag, value)) in entries.iter().chain(&table).enumerate() {
                let at = DYNAMIC + number * 2 * self.width();
                self.word(at, *tag);
                self.word(at + self.width(), *value);
            }
            self
        }

        /// Functions, of which those with `!` are defined here. The first symbol is the empty one.
        fn symbols(mut self, names: &[&str]) -> File {
            let mut string = STRINGS + 1;
            for (number, name) in names.iter().enumerate() {
                let (name, section) = name.strip_prefix('!').map_or((*name, 0), |name| (name, 7));
                let (size, info, index) = if self.is_64 { (24, 4, 6) } else { (16, 12, 14) };
                let at = SYMBOLS + (number + 1) * size;
                self.long(at, u32::try_from(string - STRINGS).unwrap());
                self.bytes[at + info] = 0x12;
                self.half(at + index, section);
                self.bytes[string..string + name.len()].copy_from_slice(name.as_bytes());
                string += name.len() + 1;
            }
            self
        }

        fn longs(mut self, at: usize, values: &[u32]) -> File {
            for (number, value) in values.iter().enumerate() {
                self.long(at + number * 4, *value);
            }
            self
        }

        /// Relocations without addend, of these symbols.
        fn relocations(mut self, symbols: &[u64]) -> File {
            for (number, symbol) in symbols.iter().enumerate() {
                let info = symbol << if self.is_64 { 32 } else { 8 } | 7;
                self.word(RELOCATIONS + (number * 2 + 1) * self.width(), info);
            }
            self
        }

        fn hints(&self) -> Vec<&'static str> {
            Hints::parse(&self.bytes).symbols().iter().map(|known| known.name).collect()
        }
    }

    const X86_64: u16 = 62;
    const KINDS: [(bool, bool); 4] = [(true, true), (true, false), (false, true), (false, false)];

    #[test]
    fn what_is_imported_is_before_the_first_hashed_symbol() {
        for (is_64, is_little) in KINDS {
            let file = File::new(X86_64, is_64, is_little).dynamic(&[(DT_GNU_HASH, HASH as u64)]);
            let file =
                file.symbols(&["tmpfile", "printf", "!getpwnam", "dlopen", "tmpfile", "!iconv_open", "getpwuid"]);
            // The last is not before it: that libraries import nothing behind it saves reading all that they export.
            let file = file.longs(HASH, &[2, 6, 1, 0, 0, 0, 6, 0]);
            assert_eq!(file.hints(), ["tmpfile", "dlopen"], "{is_64} {is_little}");
        }
    }

    #[test]
    fn a_program_can_import_what_is_hashed() {
        let plt = [(23, RELOCATIONS as u64), (2, 32), (20, 17), (DT_GNU_HASH, HASH as u64)];
        let mut file = File::new(X86_64, true, true).dynamic(&plt).relocations(&[1, 3]);
        file.half(16, 2);
        let file = file.symbols(&["dlopen", "!tmpfile", "localtime_r"]).longs(HASH, &[2, 2, 1, 0, 0, 0, 2, 0]);
        assert_eq!(file.hints(), ["dlopen", "localtime_r"]);
    }

    #[test]
    fn the_old_hash_table_tells_how_many_symbols_there_are() {
        for (is_64, is_little) in KINDS {
            let file = File::new(X86_64, is_64, is_little).dynamic(&[(DT_HASH, HASH as u64)]);
            let file = file.symbols(&["!x", "getpwuid", "dlopen", "tmpfile"]).longs(HASH, &[1, 4]);
            assert_eq!(file.hints(), ["getpwuid", "dlopen"], "{is_64} {is_little}");
        }
    }

    #[test]
    fn the_words_of_the_old_hash_table_are_wide_on_s390x() {
        let mut file = File::new(22, true, false).dynamic(&[(DT_HASH, HASH as u64)]).symbols(&["dlopen", "tmpfile"]);
        file.word(HASH + 8, 2);
        assert_eq!(file.hints(), ["dlopen"]);
    }

    #[test]
    fn mips_tells_how_many_symbols_there_are() {
        let file = File::new(8, false, false).dynamic(&[(0x7000_0011, 3)]);
        assert_eq!(file.symbols(&["!x", "dlopen", "tmpfile"]).hints(), ["dlopen"]);
    }

    #[test]
    fn relocations_tell_it_where_nothing_is_hashed() {
        for (is_64, is_little) in KINDS {
            let width = if is_64 { 16 } else { 8 };
            let tables = [(17, RELOCATIONS as u64 + width), (18, 2 * width), (0x6fff_fffa, 1)];
            let plt = [(23, RELOCATIONS as u64), (2, width), (20, 17), (DT_GNU_HASH, HASH as u64)];
            let file = File::new(X86_64, is_64, is_little).dynamic(&[&tables[..], &plt].concat());
            let file = file.symbols(&["getpwuid", "dlopen", "tmpfile", "mktime"]).longs(HASH, &[1, 1, 1, 0]);
            assert_eq!(file.relocations(&[2, 99, 3]).hints(), ["getpwuid", "dlopen", "tmpfile"]);
        }
    }

    #[test]
    fn odd_tables_tell_nothing_and_are_no_error() {
        let good = [(DT_GNU_HASH, HASH as u64)];
        let names = ["dlopen", "tmpfile"];
        for odd in [
            File::new(X86_64, true, true).dynamic(&[]).symbols(&names),
            File::new(X86_64, true, true).dynamic(&[(DT_GNU_HASH, u64::MAX)]).symbols(&names),
            File::new(X86_64, true, true).dynamic(&[(DT_HASH, u64::MAX - 3)]).symbols(&names),
            File::new(X86_64, true, true).dynamic(&good).symbols(&names).longs(HASH, &[1, 3, u32::MAX]),
            File::new(X86_64, true, true).dynamic(&good).symbols(&names).longs(HASH, &[2, u32::MAX, 1]),
            File::new(X86_64, true, true).dynamic(&good).longs(HASH, &[2, 3, 1, 0, 0, 0, 3, 0]),
            File::new(X86_64, true, true).dynamic(&[(23, 0), (2, u64::MAX), (20, 7)]).symbols(&names),
        ] {
            assert_eq!(odd.hints(), [""; 0]);
        }
        let mut names = File::new(X86_64, true, true).dynamic(&good).longs(HASH, &[2, 3, 1, 0, 0, 0, 3, 0]);
        names.long(SYMBOLS + 24, u32::MAX);
        names.long(SYMBOLS + 48, 0x3ff);
        assert_eq!(names.hints(), [""; 0]);
    }

    #[test]
    fn symbols_among_the_first_bytes_cost_no_read_of_their_own() {
        let file = File::new(X86_64, true, true).dynamic(&[(DT_HASH, HASH as u64)]);
        let file = file.symbols(&["dlopen", "tmpfile"]).longs(HASH, &[1, 3]);
        let elf = Elf::parse(&file.bytes).unwrap();
        let counted = Counted(file.bytes, Cell::new(0));
        let hints = Hints::read(&elf, &counted, SIZE as u64, &mut Buffers::default()).unwrap();
        assert_eq!((hints.symbols().len(), counted.1.get()), (2, 1));
    }
}
