//! The dynamic section: what an object is called, what it needs, and where it looks (gABI, "Dynamic Section").

use std::ffi::{OsStr, OsString};

use goblin::elf::dynamic::{
    DT_FLAGS_1, DT_GNU_HASH, DT_HASH, DT_JMPREL, DT_NEEDED, DT_NULL, DT_PLTRELSZ, DT_REL, DT_RELA, DT_RELASZ, DT_RELSZ,
    DT_RPATH, DT_RUNPATH, DT_SONAME, DT_STRSZ, DT_STRTAB, DT_SYMTAB, DT_VERDEF, DT_VERNEED, Dyn,
};
use goblin::elf::program_header::{PT_DYNAMIC, ProgramHeader};
use scroll::ctx::SizeWith;

use super::names::name;
use super::numbers::word_at;
use super::reader::{ReadAt, Reader};
use super::segments::Segments;
use super::versions::Versions;
use super::{Dependency, DependencyKind, symbols};
use crate::error::Cause;
use crate::limits::{MAX_DYNAMIC_ENTRIES, MAX_NAME, MAX_NEEDED, MAX_NEEDED_NAMES, MAX_PATH_ELEMENTS, MAX_PATH_LIST};
use crate::need::Known;
use crate::system;

// Sun's tags, which elf(5) lists and goblin does not.
const DT_AUXILIARY: u64 = 0x7fff_fffd;
const DT_FILTER: u64 = 0x7fff_ffff;

const DT_DEPAUDIT: u64 = 0x6fff_fefb;
const DT_AUDIT: u64 = 0x6fff_fefc;
/// Relative relocations in their compact form (gABI).
const DT_RELR: u64 = 36;
const DT_RELRSZ: u64 = 35;

/// What a dynamic section says.
#[derive(Default)]
pub(crate) struct Dynamic {
    pub(crate) soname: Option<OsString>,
    pub(crate) rpath: Option<OsString>,
    pub(crate) runpath: Option<OsString>,
    pub(crate) dependencies: Vec<Dependency>,
    /// The objects of `DT_AUDIT` and then of `DT_DEPAUDIT`.
    pub(crate) audit: Vec<OsString>,
    pub(crate) versions: Versions,
    pub(crate) has_relr: bool,
    pub(crate) flags_1: u64,
}

impl Dynamic {
    /// `None` where the file has no `PT_DYNAMIC`.
    pub(crate) fn read<R: ReadAt + ?Sized>(
        reader: &mut Reader<'_, R>,
        segments: &Segments,
    ) -> Result<Option<Dynamic>, Cause> {
        let Some(header) = header_of(segments) else { return Ok(None) };
        let entries = read_entries(reader, segments, header)?;
        let strings = Strings::locate(&entries, segments)?;
        prepare_names(&entries, &strings, segments, reader);
        let dynamic = strings.resolve(&entries, reader)?;
        let versions = Versions::read(&entries, &strings, segments, reader)?;
        Ok(Some(Dynamic { versions, ..dynamic }))
    }
}

/// The symbols that an object imports which tell of a need.
pub(super) fn imported_symbols<R: ReadAt + ?Sized>(
    reader: &mut Reader<'_, R>,
    segments: &Segments,
) -> Result<Vec<&'static Known>, Cause> {
    let entries = entries_of(reader, segments);
    let Ok(strings) = Strings::locate(&entries, segments) else { return Ok(Vec::new()) };
    prepare_tables(&entries, segments, reader);
    symbols::imported(&entries, &strings, segments, reader)
}

/// The last one counts, as in glibc.
fn header_of(segments: &Segments) -> Option<&ProgramHeader> {
    segments.headers.iter().rfind(|header| header.p_type == PT_DYNAMIC)
}

/// The entries of a dynamic section; none where it is odd.
fn entries_of<R: ReadAt + ?Sized>(reader: &mut Reader<'_, R>, segments: &Segments) -> Entries {
    header_of(segments).and_then(|header| read_entries(reader, segments, header).ok()).unwrap_or_default()
}

fn read_entries<R: ReadAt + ?Sized>(
    reader: &mut Reader<'_, R>,
    segments: &Segments,
    header: &ProgramHeader,
) -> Result<Entries, Cause> {
    let entry = Dyn::size_with(&segments.ctx);
    let count = usize::try_from(header.p_filesz).unwrap_or(usize::MAX) / entry;
    if count == 0 {
        return Err(Cause::malformed("its dynamic section is empty"));
    }
    if count > MAX_DYNAMIC_ENTRIES {
        return Err(Cause::malformed(format!(
            "its dynamic section has {count} entries; the limit is {MAX_DYNAMIC_ENTRIES}"
        )));
    }
    if segments.offset_of(header.p_vaddr, header.p_filesz) != Some(header.p_offset) {
        return Err(Cause::malformed("its dynamic section is not where its address says"));
    }
    let bytes = reader.bytes(header.p_offset, count * entry, "dynamic section")?;
    let mut entries = Entries { all: Vec::with_capacity(count.min(64)), ..Entries::default() };
    for entry in bytes.chunks_exact(entry) {
        let (d_tag, d_val) = (word_at(entry, 0, segments.ctx), word_at(entry, 1, segments.ctx));
        if d_tag == DT_NULL {
            return Ok(entries);
        }
        entries.push(Dyn { d_tag, d_val });
    }
    Err(Cause::malformed("its dynamic section does not end in DT_NULL"))
}

/// The tags of the gABI are below this number.
const COMMON: usize = 40;

/// The entries of a dynamic section up to its end.
pub(super) struct Entries {
    all: Vec<Dyn>,
    /// The values of the last of each of the common tags.
    last: [Option<u64>; COMMON],
}

impl Default for Entries {
    fn default() -> Self {
        Entries { all: Vec::new(), last: [None; COMMON] }
    }
}

impl Entries {
    fn push(&mut self, entry: Dyn) {
        if let Some(last) = usize::try_from(entry.d_tag).ok().and_then(|tag| self.last.get_mut(tag)) {
            *last = Some(entry.d_val);
        }
        self.all.push(entry);
    }

    /// Where the table is to which a tag leads, and its size.
    fn place(&self, tag: u64, size: u64, segments: &Segments) -> Option<(u64, u64)> {
        Some((segments.offset_of(self.last(tag)?, 1)?, size))
    }

    /// Of a tag that may stand once the last entry counts (`elf_get_dynamic_info` in glibc).
    pub(super) fn last(&self, tag: u64) -> Option<u64> {
        match usize::try_from(tag).ok().and_then(|tag| self.last.get(tag)) {
            Some(last) => *last,
            None => self.all.iter().rfind(|entry| entry.d_tag == tag).map(|entry| entry.d_val),
        }
    }
}

/// Bytes of the tables that are read at once: those of nine libraries of ten.
const TABLES: u64 = 32 << 10;
/// Bytes that are read of names.
const NAMES: u64 = 1024;
/// Bytes that are read of versions, whose size no entry tells. They stand last.
const VERSIONS: u64 = 1024;

/// Reads what will be asked for: linkers put hashes, symbols, their names and versions one behind the other. What is odd
/// will be found out by whoever asks for it.
fn prepare_tables<R: ReadAt + ?Sized>(entries: &Entries, segments: &Segments, reader: &mut Reader<'_, R>) {
    let symbols =
        [(DT_SYMTAB, 0), (DT_GNU_HASH, 16), (DT_HASH, 16)].map(|(tag, size)| entries.place(tag, size, segments));
    let names = entries.place(DT_STRTAB, entries.last(DT_STRSZ).unwrap_or(0), segments);
    if let Some((at, size)) = span(symbols.into_iter().chain([names])).filter(|(_, size)| *size <= TABLES) {
        reader.prepare(at, size);
    }
}

/// The same for names and versions: linkers put the names of libraries near each other, and those of versions behind them.
fn prepare_names<R: ReadAt + ?Sized>(
    entries: &Entries,
    strings: &Strings,
    segments: &Segments,
    reader: &mut Reader<'_, R>,
) {
    let is_string = |tag| DependencyKind::of(tag).is_some() || matches!(tag, DT_SONAME | DT_RPATH | DT_RUNPATH);
    let first = entries.all.iter().filter(|entry| is_string(entry.d_tag)).map(|entry| entry.d_val).min();
    let names = first.and_then(|at| {
        let rest = strings.size.checked_sub(at)?;
        Some((strings.offset.checked_add(at)?, rest.min(NAMES)))
    });
    let versions = [DT_VERNEED, DT_VERDEF].map(|tag| entries.place(tag, VERSIONS, segments));
    match span(versions.into_iter().chain([names])) {
        Some((at, size)) if size <= TABLES => reader.prepare(at, size),
        _ => names.into_iter().for_each(|(at, size)| reader.prepare(at, size)),
    }
}

/// From the start of the first of these parts to the end of the last, an offset and a size each.
fn span(parts: impl Iterator<Item = Option<(u64, u64)>>) -> Option<(u64, u64)> {
    let ends = parts.flatten().map(|(at, size)| (at, at.saturating_add(size)));
    let (start, end) = ends.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))?;
    Some((start, end - start))
}

/// The string table of a dynamic section, as a range of the file.
pub(super) struct Strings {
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl Strings {
    /// An object without strings is fine as long as no entry asks for one.
    fn locate(entries: &Entries, segments: &Segments) -> Result<Strings, Cause> {
        let Some(address) = entries.last(DT_STRTAB) else { return Ok(Strings { offset: 0, size: 0 }) };
        let size = entries.last(DT_STRSZ).ok_or_else(|| Cause::malformed("it has DT_STRTAB but no DT_STRSZ"))?;
        let offset = segments
            .offset_of(address, size)
            .ok_or_else(|| Cause::malformed("its string table lies in no segment of the file"))?;
        Ok(Strings { offset, size })
    }

    fn resolve<R: ReadAt + ?Sized>(&self, entries: &Entries, reader: &mut Reader<'_, R>) -> Result<Dynamic, Cause> {
        let mut single = |tag, what| match entries.last(tag) {
            Some(at) => self.get(at, what, MAX_PATH_LIST, reader).map(Some),
            None => Ok(None),
        };
        let mut list = |tag, what| match single(tag, what)? {
            Some(list) => expect_few(&list, what).map(|()| Some(list)),
            None => Ok(None),
        };
        Ok(Dynamic {
            rpath: list(DT_RPATH, "DT_RPATH")?,
            runpath: list(DT_RUNPATH, "DT_RUNPATH")?,
            audit: [list(DT_AUDIT, "DT_AUDIT")?, list(DT_DEPAUDIT, "DT_DEPAUDIT")?]
                .into_iter()
                .flatten()
                .flat_map(|list| elements(&list))
                .collect(),
            soname: single(DT_SONAME, "DT_SONAME")?,
            dependencies: self.dependencies(entries, reader)?,
            versions: Versions::default(),
            has_relr: entries.last(DT_RELR).is_some(),
            flags_1: entries.last(DT_FLAGS_1).unwrap_or(0),
        })
    }

    fn dependencies<R: ReadAt + ?Sized>(
        &self,
        entries: &Entries,
        reader: &mut Reader<'_, R>,
    ) -> Result<Vec<Dependency>, Cause> {
        let wanted = entries.all.iter().filter_map(|entry| Some((DependencyKind::of(entry.d_tag)?, entry.d_val)));
        if wanted.clone().count() > MAX_NEEDED {
            return Err(Cause::malformed(format!("it needs more than {MAX_NEEDED} libraries, which is the limit")));
        }
        let mut left = MAX_NEEDED_NAMES;
        let dependency = |(kind, at): (DependencyKind, u64)| {
            let name = self.get(at, kind.tag(), MAX_NAME, reader)?;
            left = left.checked_sub(name.len()).ok_or_else(too_long)?;
            Ok(Dependency { kind, name })
        };
        wanted.map(dependency).collect()
    }

    pub(super) fn get<R: ReadAt + ?Sized>(
        &self,
        at: u64,
        what: &str,
        limit: u64,
        reader: &mut Reader<'_, R>,
    ) -> Result<OsString, Cause> {
        self.bytes(at, what, limit, reader).and_then(|bytes| name(bytes, what)).map(OsStr::to_owned)
    }

    /// The same, where it was read.
    pub(super) fn bytes<'r, R: ReadAt + ?Sized>(
        &self,
        at: u64,
        what: &str,
        limit: u64,
        reader: &'r mut Reader<'_, R>,
    ) -> Result<&'r [u8], Cause> {
        let rest = self.size.checked_sub(at).filter(|&rest| rest > 0);
        let rest = rest.ok_or_else(|| outside(what))?;
        let offset = self.offset.checked_add(at).ok_or_else(|| outside(what))?;
        // One byte more, for the NUL.
        let string = reader.string(offset, rest.min(limit + 1))?;
        string.ok_or_else(|| match rest > limit {
            true => Cause::malformed(format!("{what} has more than {limit} bytes, which is the limit, or no end")),
            false => Cause::malformed(format!("{what} has no end within the string table")),
        })
    }
}

fn outside(what: &str) -> Cause {
    Cause::malformed(format!("{what} points outside the string table"))
}

fn too_long() -> Cause {
    Cause::malformed(format!("the names of what it needs take more than {MAX_NEEDED_NAMES} bytes, which is the limit"))
}

fn expect_few(list: &OsStr, what: &str) -> Result<(), Cause> {
    let elements = memchr::memchr_iter(b':', list.as_encoded_bytes()).count() + 1;
    match elements > MAX_PATH_ELEMENTS {
        true => Err(Cause::malformed(format!("{what} has {elements} elements; the limit is {MAX_PATH_ELEMENTS}"))),
        false => Ok(()),
    }
}

/// Where the relocations, the symbols and their names are, an offset in the file and a size each; what is odd is left out.
pub(super) fn tables<R: ReadAt + ?Sized>(reader: &mut Reader<'_, R>, segments: &Segments) -> Vec<(u64, u64)> {
    let entries = entries_of(reader, segments);
    let sized = [
        (DT_REL, DT_RELSZ),
        (DT_RELA, DT_RELASZ),
        (DT_RELR, DT_RELRSZ),
        (DT_JMPREL, DT_PLTRELSZ),
        (DT_STRTAB, DT_STRSZ),
    ];
    let sized = sized.into_iter().filter_map(|(at, size)| Some((entries.last(at)?, entries.last(size)?)));
    // Nothing tells the size of this one; linkers put the names behind it.
    let symbols = entries.last(DT_SYMTAB).zip(entries.last(DT_STRTAB));
    let symbols = symbols.and_then(|(at, names)| Some((at, names.checked_sub(at)?)));
    let tables = sized.chain(symbols).filter(|&(_, size)| size > 0);
    tables.filter_map(|(at, size)| Some((segments.offset_of(at, size)?, size))).collect()
}

/// The names in a list of objects (`audit_list_next` in glibc).
fn elements(list: &OsStr) -> Vec<OsString> {
    let elements = list.as_encoded_bytes().split(|&byte| byte == b':').filter(|element| !element.is_empty());
    // A part of a name between colons is one as well.
    elements.filter_map(system::os_str).map(OsStr::to_owned).collect()
}

impl DependencyKind {
    fn of(tag: u64) -> Option<Self> {
        match tag {
            DT_NEEDED => Some(DependencyKind::Needed),
            DT_AUXILIARY => Some(DependencyKind::Auxiliary),
            DT_FILTER => Some(DependencyKind::Filter),
            _ => None,
        }
    }

    fn tag(self) -> &'static str {
        match self {
            DependencyKind::Needed => "DT_NEEDED",
            DependencyKind::Auxiliary => "DT_AUXILIARY",
            DependencyKind::Filter => "DT_FILTER",
            DependencyKind::Audit => "DT_AUDIT",
            DependencyKind::Dlopen => "dlopen",
        }
    }
}
