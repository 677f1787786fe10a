//! Symbol versions: which an object defines, and which it needs of others (gABI as extended by Solaris; LSB core,
//! "Symbol Versioning"). They are found through the dynamic section, as the loader finds them.

use std::ffi::OsStr;
use std::fmt::{self, Debug, Formatter};
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use goblin::elf::dynamic::{DT_VERDEF, DT_VERNEED};
use scroll::Pread;

use super::dynamic::{Entries, Strings};
use super::limits::{MAX_NAME, MAX_VERSIONS};
use super::reader::{ReadAt, Reader};
use super::segments::Segments;
use crate::error::Cause;

/// `vna_flags`: the object runs without it.
const VER_FLG_WEAK: u16 = 2;

/// A version that an object defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) hash: u32,
    pub(crate) name: Name,
}

/// One of the names that a file has, which all lie in one piece of memory.
#[derive(Clone)]
pub(crate) struct Name {
    all: Arc<[u8]>,
    start: u32,
    end: u32,
}

impl Deref for Name {
    type Target = OsStr;

    fn deref(&self) -> &OsStr {
        OsStr::from_bytes(&self.all[self.start as usize..self.end as usize])
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        **self == **other
    }
}

impl Eq for Name {}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Debug::fmt(&**self, f)
    }
}

/// A version that an object needs of another: one entry of `DT_VERNEED`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionNeed {
    pub(crate) file: Name,
    pub(crate) version: Version,
    is_weak: bool,
}

impl VersionNeed {
    /// The object that must define it: `libc.so.6`.
    pub fn file(&self) -> &OsStr {
        &self.file
    }

    /// The version: `GLIBC_2.34`.
    pub fn version(&self) -> &OsStr {
        &self.version.name
    }

    /// Whether the loader passes over it where it is not defined (`VER_FLG_WEAK`).
    pub fn is_weak(&self) -> bool {
        self.is_weak
    }
}

/// What an object says of versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) needed: Vec<VersionNeed>,
    /// `None` where there is no `DT_VERDEF`.
    pub(crate) defined: Option<Vec<Version>>,
}

/// An entry of `DT_VERNEED` and one of its `Vernaux`, names not looked up.
struct RawNeed {
    file: u32,
    hash: u32,
    flags: u16,
    name: u32,
}

/// An entry of `DT_VERDEF`; of its names the first is the version's.
struct RawDefinition {
    hash: u32,
    name: u32,
}

impl Versions {
    pub(super) fn read<R: ReadAt + ?Sized>(
        entries: &Entries,
        strings: &Strings,
        segments: &Segments,
        reader: &mut Reader<'_, R>,
    ) -> Result<Versions, Cause> {
        let mut table = Table { segments, reader, left: MAX_VERSIONS };
        let needs = entries.last(DT_VERNEED).map(|address| table.needs(address)).transpose()?.unwrap_or_default();
        let definitions = entries.last(DT_VERDEF).map(|address| table.definitions(address)).transpose()?;
        let offsets = needs.iter().flat_map(|need| [need.file, need.name]);
        let offsets = offsets.chain(definitions.iter().flatten().map(|definition| definition.name));
        let names = Names::read(offsets, strings, reader)?;
        let needed = needs.iter().map(|need| VersionNeed {
            file: names.get(need.file),
            version: Version { hash: need.hash, name: names.get(need.name) },
            is_weak: need.flags & VER_FLG_WEAK != 0,
        });
        let defined = definitions.map(|definitions| {
            definitions.iter().map(|raw| Version { hash: raw.hash, name: names.get(raw.name) }).collect()
        });
        Ok(Versions { needed: needed.collect(), defined })
    }
}

/// Strings by their offsets, each read once, in the order in which they stand in the file.
struct Names {
    all: Arc<[u8]>,
    /// Where each is in the file, and where it is here.
    places: Vec<(u32, u32, u32)>,
}

impl Names {
    fn read<R: ReadAt + ?Sized>(
        offsets: impl Iterator<Item = u32>,
        strings: &Strings,
        reader: &mut Reader<'_, R>,
    ) -> Result<Names, Cause> {
        let mut offsets: Vec<u32> = offsets.collect();
        offsets.sort_unstable();
        offsets.dedup();
        let mut all = Vec::with_capacity(offsets.len() * 16);
        let mut places = Vec::with_capacity(offsets.len());
        for at in offsets {
            // At most MAX_VERSIONS names of MAX_NAME bytes are far below what fits.
            let start = all.len() as u32;
            all.extend_from_slice(strings.bytes(u64::from(at), "a version", MAX_NAME, reader)?);
            places.push((at, start, all.len() as u32));
        }
        Ok(Names { all: all.into(), places })
    }

    fn get(&self, at: u32) -> Name {
        let place = self.places.binary_search_by_key(&at, |(at, ..)| *at);
        let (_, start, end) = place.map_or((at, 0, 0), |found| self.places[found]);
        Name { all: self.all.clone(), start, end }
    }
}

/// Walks the tables, each record of which says how far behind it the next one is.
struct Table<'r, 'a, R: ?Sized> {
    segments: &'r Segments,
    reader: &'r mut Reader<'a, R>,
    /// Records that are still believed.
    left: usize,
}

impl<R: ReadAt + ?Sized> Table<'_, '_, R> {
    fn needs(&mut self, address: u64) -> Result<Vec<RawNeed>, Cause> {
        let mut needs = Vec::new();
        self.each::<16>(address, 12, |table, at, record| {
            expect_version(table.half(record, 0), "DT_VERNEED")?;
            let (file, first) = (table.word(record, 4), table.word(record, 8));
            table.each::<16>(behind(at, first)?, 12, |table, _, aux| {
                let (hash, flags, name) = (table.word(aux, 0), table.half(aux, 4), table.word(aux, 8));
                needs.push(RawNeed { file, hash, flags, name });
                Ok(())
            })
        })?;
        Ok(needs)
    }

    fn definitions(&mut self, address: u64) -> Result<Vec<RawDefinition>, Cause> {
        let mut definitions = Vec::new();
        self.each::<20>(address, 16, |table, at, record| {
            expect_version(table.half(record, 0), "DT_VERDEF")?;
            let (hash, first) = (table.word(record, 8), table.word(record, 12));
            let name = table.record::<8>(behind(at, first)?)?;
            definitions.push(RawDefinition { hash, name: table.word(&name, 0) });
            Ok(())
        })?;
        Ok(definitions)
    }

    /// Visits records of `N` bytes that have the distance to the next at `next`, until one has none.
    fn each<const N: usize>(
        &mut self,
        mut address: u64,
        next: usize,
        mut visit: impl FnMut(&mut Self, u64, &[u8; N]) -> Result<(), Cause>,
    ) -> Result<(), Cause> {
        loop {
            let record = self.record::<N>(address)?;
            visit(self, address, &record)?;
            match self.word(&record, next) {
                0 => return Ok(()),
                distance => address = behind(address, distance)?,
            }
        }
    }

    fn record<const N: usize>(&mut self, address: u64) -> Result<[u8; N], Cause> {
        self.left = self.left.checked_sub(1).ok_or_else(|| {
            Cause::malformed(format!("it names more than {MAX_VERSIONS} symbol versions, which is the limit"))
        })?;
        let offset = self.segments.offset_of(address, N as u64).ok_or_else(outside)?;
        let bytes = self.reader.bytes(offset, N, "symbol versions")?;
        bytes.first_chunk().copied().ok_or_else(outside)
    }

    /// The number at `at`, which lies within the record.
    fn word(&self, record: &[u8], at: usize) -> u32 {
        record.pread_with(at, self.segments.ctx.le).unwrap_or(0)
    }

    fn half(&self, record: &[u8], at: usize) -> u16 {
        record.pread_with(at, self.segments.ctx.le).unwrap_or(0)
    }
}

fn behind(address: u64, distance: u32) -> Result<u64, Cause> {
    address.checked_add(u64::from(distance)).ok_or_else(outside)
}

fn outside() -> Cause {
    Cause::malformed("its symbol versions lie in no segment of the file")
}

/// The loader refuses any other (`_dl_check_map_versions` in glibc).
fn expect_version(version: u16, what: &str) -> Result<(), Cause> {
    match version {
        1 => Ok(()),
        other => Err(Cause::malformed(format!("a record of its {what} is of version {other}; only 1 is known"))),
    }
}
