//! Writes small ELF files for any machine, right or wrong on demand.

use object::{Object, ObjectSegment};

/// What a fixture says; see [`Fixture::bytes`].
#[derive(Clone)]
pub struct Fixture {
    pub is_64: bool,
    pub is_little: bool,
    pub machine: u16,
    pub flags: u32,
    pub kind: u16,
    pub entry: u64,
    pub interpreter: Option<Vec<u8>>,
    /// Tags with strings, in order.
    pub strings: Vec<(u64, Vec<u8>)>,
    /// Tags with numbers, after those with strings.
    pub numbers: Vec<(u64, u64)>,
    /// Bytes in a read-only segment of their own, as a loader has its strings.
    pub data: Vec<u8>,
    /// File, version, and whether it may be absent.
    pub needed_versions: Vec<(String, String, bool)>,
    pub defined_versions: Vec<String>,
    /// Symbols that are not defined, of a file of 64 bits.
    pub imports: Vec<String>,
    /// A further segment by its type, behind the data.
    pub more: Option<(u32, Vec<u8>)>,
    pub has_dynamic: bool,
}

pub const NEEDED: u64 = 1;
pub const SONAME: u64 = 14;
pub const RPATH: u64 = 15;
pub const RUNPATH: u64 = 29;
pub const FLAGS_1: u64 = 0x6fff_fffb;
pub const RELR: u64 = 36;
pub const AUDIT: u64 = 0x6fff_fefc;
pub const AUXILIARY: u64 = 0x7fff_fffd;
pub const FILTER: u64 = 0x7fff_ffff;

pub const EXEC: u16 = 2;
pub const DYN: u16 = 3;

pub const X86_64: u16 = 62;
pub const AARCH64: u16 = 183;
pub const S390: u16 = 22;
pub const ARM: u16 = 40;

const PT_GNU_PROPERTY: u32 = 0x6474_e553;

pub const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// A shared library for x86-64 with this soname.
pub fn library(soname: &str) -> Fixture {
    Fixture {
        is_64: true,
        is_little: true,
        machine: X86_64,
        flags: 0,
        kind: DYN,
        entry: 0,
        interpreter: None,
        strings: Vec::new(),
        numbers: Vec::new(),
        data: Vec::new(),
        needed_versions: Vec::new(),
        defined_versions: Vec::new(),
        imports: Vec::new(),
        more: None,
        has_dynamic: true,
    }
    .with(SONAME, soname)
}

/// A program for x86-64 that needs these libraries.
pub fn program(needed: &[&str]) -> Fixture {
    let mut program = library("");
    program.strings.clear();
    program.entry = 0x1000;
    program.interpreter = Some([LOADER.as_bytes(), b"\0"].concat());
    needed.iter().fold(program, |program, name| program.with(NEEDED, name))
}

/// A static program for x86-64.
pub fn static_program() -> Fixture {
    Fixture { interpreter: None, has_dynamic: false, kind: EXEC, ..program(&[]) }
}

/// A loader with these directories built in, as Debian's has them.
pub fn loader(directories: &[&str]) -> Fixture {
    let list: String = directories.iter().map(|directory| format!("{directory}/\0")).collect();
    let data = format!("\0{list}\0\0{list}\0glibc-ld.so.cache1.1\0/etc/ld.so.cache\0");
    Fixture { data: data.into_bytes(), ..library("ld-linux-x86-64.so.2") }
}

/// The same, of a release that searches glibc-hwcaps, and no other subdirectories for some CPUs.
pub fn newer_loader(directories: &[&str]) -> Fixture {
    let loader = loader(directories);
    let words = b"glibc-hwcaps\0DT_RELR without GLIBC_ABI_DT_RELR dependency\0";
    Fixture { data: [&loader.data[..], words].concat(), ..loader }
}

impl Fixture {
    pub fn with(mut self, tag: u64, string: &str) -> Self {
        self.strings.push((tag, string.as_bytes().to_vec()));
        self
    }

    pub fn needs(self, name: &str) -> Self {
        self.with(NEEDED, name)
    }

    pub fn number(mut self, tag: u64, value: u64) -> Self {
        self.numbers.push((tag, value));
        self
    }

    /// Says by a property note that the code needs these levels of x86, a bit each.
    pub fn isa_needed(mut self, levels: u32) -> Self {
        let mut note = Vec::new();
        let padding = if self.is_64 { &[0][..] } else { &[] };
        let property = [&[0xc000_8002, 4, levels][..], padding].concat();
        for word in [4, u32::try_from(property.len() * 4).unwrap(), 5, u32::from_le_bytes(*b"GNU\0")] {
            self.long(&mut note, word);
        }
        property.into_iter().for_each(|word| self.long(&mut note, word));
        self.more = Some((PT_GNU_PROPERTY, note));
        self
    }

    pub fn needs_version(mut self, file: &str, version: &str) -> Self {
        self.needed_versions.push((file.to_owned(), version.to_owned(), false));
        self
    }

    pub fn likes_version(mut self, file: &str, version: &str) -> Self {
        self.needed_versions.push((file.to_owned(), version.to_owned(), true));
        self
    }

    pub fn defines(mut self, versions: &[&str]) -> Self {
        self.defined_versions = versions.iter().map(ToString::to_string).collect();
        self
    }

    pub fn imports(mut self, symbols: &[&str]) -> Self {
        self.imports = symbols.iter().map(ToString::to_string).collect();
        self
    }

    /// Says by a `.note.dlopen` what it loads by itself.
    pub fn loads(mut self, json: &str) -> Self {
        let content = [json.as_bytes(), b"\0"].concat();
        let mut note = Vec::new();
        for word in [4, u32::try_from(content.len()).unwrap(), 0x407c_0c0a, u32::from_le_bytes(*b"FDO\0")] {
            self.long(&mut note, word);
        }
        note.extend(content);
        self.more = Some((4, note));
        self
    }

    pub fn data(mut self, data: &[u8]) -> Self {
        self.data = data.to_vec();
        self
    }

    pub fn machine(mut self, machine: u16, is_64: bool, is_little: bool) -> Self {
        (self.machine, self.is_64, self.is_little) = (machine, is_64, is_little);
        self
    }

    /// The file: headers, interpreter, strings, dynamic section, data; all in one segment at address 0.
    pub fn bytes(&self) -> Vec<u8> {
        let headers = self.segments();
        let start = self.header_size() + headers * self.entry_size();
        let interpreter = self.interpreter.clone().unwrap_or_default();
        let (table, offsets) = self.string_table();
        let table_at = start + interpreter.len();
        let versions_at = (table_at + table.len()).next_multiple_of(8);
        let versions = self.versions(&offsets[self.strings.len()..]);
        let symbols_at = (versions_at + versions.len()).next_multiple_of(8);
        let symbols = self.symbols(&offsets[offsets.len() - self.imports.len()..]);
        let dynamic_at = (symbols_at + symbols.len()).next_multiple_of(8);
        let dynamic = self.dynamic(&offsets, table_at, table.len(), versions_at, symbols_at);
        let data_at = dynamic_at + dynamic.len();
        let data_end = data_at + self.data.len();
        let more_at = data_end.next_multiple_of(8);
        let end = self.more.as_ref().map_or(data_end, |(_, bytes)| more_at + bytes.len());

        let mut out = self.header(headers);
        self.segment(&mut out, 1, 4, 0, end);
        if self.interpreter.is_some() {
            self.segment(&mut out, 3, 4, start, interpreter.len());
        }
        if self.has_dynamic {
            self.segment(&mut out, 2, 4, dynamic_at, dynamic.len());
        }
        if let Some((kind, bytes)) = &self.more {
            self.segment(&mut out, *kind, 4, more_at, bytes.len());
        }
        out.extend(interpreter);
        out.extend(table);
        out.resize(versions_at, 0);
        out.extend(versions);
        out.resize(symbols_at, 0);
        out.extend(symbols);
        out.resize(dynamic_at, 0);
        out.extend(dynamic);
        out.extend(&self.data);
        if let Some((_, bytes)) = &self.more {
            out.resize(more_at, 0);
            out.extend(bytes);
        }
        out
    }

    fn segments(&self) -> usize {
        1 + [self.interpreter.is_some(), self.has_dynamic, self.more.is_some()].map(usize::from).iter().sum::<usize>()
    }

    pub fn header_size(&self) -> usize {
        if self.is_64 { 64 } else { 52 }
    }

    pub fn entry_size(&self) -> usize {
        if self.is_64 { 56 } else { 32 }
    }

    fn string_table(&self) -> (Vec<u8>, Vec<usize>) {
        let mut table = vec![0];
        let mut offsets = Vec::new();
        let needed = self.needed_versions.iter().flat_map(|(file, version, _)| [file.as_bytes(), version.as_bytes()]);
        let versions = needed.chain(self.defined_versions.iter().map(String::as_bytes));
        let imports = self.imports.iter().map(String::as_bytes);
        for string in self.strings.iter().map(|(_, string)| string.as_slice()).chain(versions).chain(imports) {
            offsets.push(table.len());
            table.extend(string);
            table.push(0);
        }
        (table, offsets)
    }

    /// A record for each needed version with its one auxiliary, then one for each defined version.
    fn versions(&self, offsets: &[usize]) -> Vec<u8> {
        let mut out = Vec::new();
        let offset = |at: usize| u32::try_from(offsets[at]).unwrap();
        for (number, (_, version, is_weak)) in self.needed_versions.iter().enumerate() {
            let is_last = number + 1 == self.needed_versions.len();
            [1, 1].into_iter().for_each(|half| self.half(&mut out, half));
            [offset(number * 2), 16, if is_last { 0 } else { 32 }]
                .into_iter()
                .for_each(|word| self.long(&mut out, word));
            self.long(&mut out, hash(version));
            [if *is_weak { 2 } else { 0 }, 2].into_iter().for_each(|half| self.half(&mut out, half));
            [offset(number * 2 + 1), 0].into_iter().for_each(|word| self.long(&mut out, word));
        }
        for (number, version) in self.defined_versions.iter().enumerate() {
            let is_last = number + 1 == self.defined_versions.len();
            [1, 0, 1, 1].into_iter().for_each(|half| self.half(&mut out, half));
            [hash(version), 20, if is_last { 0 } else { 28 }].into_iter().for_each(|word| self.long(&mut out, word));
            [offset(self.needed_versions.len() * 2 + number), 0].into_iter().for_each(|word| self.long(&mut out, word));
        }
        out
    }

    /// A symbol table, and a hash table that says how long it is: the empty symbol, and those that are not defined.
    fn symbols(&self, offsets: &[usize]) -> Vec<u8> {
        if self.imports.is_empty() {
            return Vec::new();
        }
        let mut out = vec![0; 24];
        for &offset in offsets {
            self.long(&mut out, u32::try_from(offset).unwrap());
            out.extend([0x12, 0]);
            out.extend([0; 18]);
        }
        for word in [1, u32::try_from(offsets.len() + 1).unwrap()] {
            self.long(&mut out, word);
        }
        out.resize(out.len() + 4 * (offsets.len() + 2), 0);
        out
    }

    fn symbol_tags(&self, at: usize) -> Vec<(u64, u64)> {
        let hash = at + 24 * (self.imports.len() + 1);
        if self.imports.is_empty() { Vec::new() } else { vec![(6, at as u64), (11, 24), (4, hash as u64)] }
    }

    fn version_tags(&self, at: usize) -> Vec<(u64, u64)> {
        let needed = (!self.needed_versions.is_empty()).then_some((0x6fff_fffe, at as u64));
        let defined_at = (at + self.needed_versions.len() * 32) as u64;
        let defined = (!self.defined_versions.is_empty()).then_some((0x6fff_fffc, defined_at));
        needed.into_iter().chain(defined).collect()
    }

    fn dynamic(
        &self,
        offsets: &[usize],
        table_at: usize,
        table_size: usize,
        versions_at: usize,
        symbols_at: usize,
    ) -> Vec<u8> {
        if !self.has_dynamic {
            return Vec::new();
        }
        let mut out = Vec::new();
        let strings = self.strings.iter().zip(offsets).map(|((tag, _), &offset)| (*tag, offset as u64));
        let table = [(5, table_at as u64), (10, table_size as u64)];
        let numbers = self.version_tags(versions_at).into_iter().chain(self.symbol_tags(symbols_at));
        let numbers = numbers.chain(self.numbers.iter().copied());
        for (tag, value) in strings.chain(table).chain(numbers).chain([(0, 0)]) {
            self.word(&mut out, tag);
            self.word(&mut out, value);
        }
        out
    }

    fn header(&self, headers: usize) -> Vec<u8> {
        let mut out = b"\x7fELF".to_vec();
        out.extend([1 + u8::from(self.is_64), if self.is_little { 1 } else { 2 }, 1]);
        out.resize(16, 0);
        self.half(&mut out, self.kind);
        self.half(&mut out, self.machine);
        self.long(&mut out, 1);
        self.word(&mut out, self.entry);
        self.word(&mut out, self.header_size() as u64);
        self.word(&mut out, 0);
        self.long(&mut out, self.flags);
        for value in [self.header_size(), self.entry_size(), headers, 0, 0, 0] {
            self.half(&mut out, u16::try_from(value).unwrap());
        }
        out
    }

    fn segment(&self, out: &mut Vec<u8>, kind: u32, flags: u32, offset: usize, size: usize) {
        self.long(out, kind);
        if self.is_64 {
            self.long(out, flags);
        }
        for value in [offset, offset, offset, size, size] {
            self.word(out, value as u64);
        }
        if !self.is_64 {
            self.long(out, flags);
        }
        // Of what the fixtures have, only property notes are aligned: to a word of their class.
        let is_property = kind == PT_GNU_PROPERTY;
        self.word(
            out,
            if !is_property {
                1
            } else if self.is_64 {
                8
            } else {
                4
            },
        );
    }

    fn half(&self, out: &mut Vec<u8>, value: u16) {
        out.extend(if self.is_little { value.to_le_bytes() } else { value.to_be_bytes() });
    }

    fn long(&self, out: &mut Vec<u8>, value: u32) {
        out.extend(if self.is_little { value.to_le_bytes() } else { value.to_be_bytes() });
    }

    fn word(&self, out: &mut Vec<u8>, value: u64) {
        if self.is_64 {
            out.extend(if self.is_little { value.to_le_bytes() } else { value.to_be_bytes() });
        } else {
            self.long(out, u32::try_from(value).unwrap());
        }
    }
}

/// A file of 32-bit ARM, little-endian, with this section of build attributes at its end.
pub fn with_arm_attributes(mut bytes: Vec<u8>, attributes: &[u8]) -> Vec<u8> {
    const HEADER: usize = 40;
    let at = bytes.len();
    bytes.extend(attributes);
    let headers = bytes.len();
    // An empty header, and one of type SHT_ARM_ATTRIBUTES.
    bytes.resize(headers + 2 * HEADER, 0);
    let mut set =
        |at: usize, value: usize| bytes[at..at + 4].copy_from_slice(&u32::try_from(value).unwrap().to_le_bytes());
    set(headers + HEADER + 4, 0x7000_0003);
    set(headers + HEADER + 16, at);
    set(headers + HEADER + 20, attributes.len());
    set(32, headers);
    // e_shentsize and e_shnum, behind e_phnum.
    bytes[46..50].copy_from_slice(&[40, 0, 2, 0]);
    bytes
}

/// Build attributes that say just which architecture the code is for.
pub fn arm_attributes(cpu_arch: u8) -> Vec<u8> {
    [&b"A\x14\0\0\0aeabi\0\x01\x0a\0\0\0\x05x\0\x06"[..], &[cpu_arch]].concat()
}

#[test]
fn fixtures_are_what_an_independent_parser_reads() {
    for (is_64, is_little) in [(true, true), (true, false), (false, true), (false, false)] {
        let bytes = program(&["libx.so"]).machine(S390, is_64, is_little).bytes();
        let file = object::File::parse(bytes.as_slice()).unwrap();
        assert_eq!((file.is_64(), file.is_little_endian()), (is_64, is_little));
        assert_eq!(file.segments().next().unwrap().size(), bytes.len() as u64);
        assert_eq!(file.entry(), 0x1000);
    }
}

/// The hash of a name in the tables of versions (gABI, "Hash Table").
fn hash(name: &str) -> u32 {
    name.bytes().fold(0, |hash: u32, byte| {
        let hash = (hash << 4).wrapping_add(u32::from(byte));
        let high = hash & 0xf000_0000;
        (hash ^ (high >> 24)) & !high
    })
}
