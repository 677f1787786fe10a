//! Symbol versions: which an object defines, and which it needs of others (gABI as extended by Solaris; LSB core,
//! "Symbol Versioning"). They are found through the dynamic section, as the loader finds them.

use std::ffi::OsStr;
use std::ops::Range;

use goblin::elf::dynamic::{DT_VERDEF, DT_VERNEED};

use super::dynamic::{Entries, Strings};
use super::names::name;
use super::numbers::{u16_at, u32_at};
use super::reader::{ReadAt, Reader};
use super::segments::Segments;
use crate::error::Cause;
use crate::limits::{MAX_NAME, MAX_VERSION_NAMES, MAX_VERSIONS};
use crate::system;

/// `vna_flags`: the object runs without it.
const VER_FLG_WEAK: u16 = 2;

/// A version that an object defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version<'e> {
    pub(crate) hash: u32,
    pub(crate) name: &'e OsStr,
}

/// A version that an object needs of another: one entry of `DT_VERNEED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionNeed<'e> {
    file: &'e OsStr,
    pub(crate) version: Version<'e>,
    is_weak: bool,
}

impl<'e> VersionNeed<'e> {
    /// The object that must define it: `libc.so.6`.
    pub fn file(&self) -> &'e OsStr {
        self.file
    }

    /// The version: `GLIBC_2.34`.
    pub fn version(&self) -> &'e OsStr {
        self.version.name
    }

    /// Whether the loader passes over it where it is not defined (`VER_FLG_WEAK`).
    pub fn is_weak(&self) -> bool {
        self.is_weak
    }
}

/// What an object says of versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Versions {
    /// All names, one behind the other, each one that this system has.
    names: Vec<u8>,
    needed: Vec<Need>,
    /// `None` where there is no `DT_VERDEF`.
    defined: Option<Vec<Definition>>,
}

/// An entry of `DT_VERNEED` and one of its `Vernaux`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Need {
    file: Name,
    hash: u32,
    name: Name,
    is_weak: bool,
}

/// An entry of `DT_VERDEF`; of its names the first is the version's.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Definition {
    hash: u32,
    name: Name,
}

/// Where a name is among all.
type Name = Range<u32>;

impl Versions {
    pub(super) fn read<R: ReadAt + ?Sized>(
        entries: &Entries,
        strings: &Strings,
        segments: &Segments,
        reader: &mut Reader<'_, R>,
    ) -> Result<Versions, Cause> {
        let mut table = Table::new(segments, strings, reader);
        let needed = entries.last(DT_VERNEED).map(|address| table.needs(address)).transpose()?.unwrap_or_default();
        let defined = entries.last(DT_VERDEF).map(|address| table.definitions(address)).transpose()?;
        Ok(Versions { names: table.names, needed, defined })
    }

    pub(super) fn needed(&self) -> impl Iterator<Item = VersionNeed<'_>> {
        self.needed.iter().map(|need| VersionNeed {
            file: self.name(&need.file),
            version: Version { hash: need.hash, name: self.name(&need.name) },
            is_weak: need.is_weak,
        })
    }

    /// Whether it passes for an object that has this version.
    pub(super) fn provides(&self, version: Version<'_>) -> bool {
        let is = |defined: &Definition| defined.hash == version.hash && self.name(&defined.name) == version.name;
        self.defined.as_ref().is_none_or(|defined| defined.iter().any(is))
    }

    /// The names of those that it defines.
    pub(super) fn defined(&self) -> Option<impl Iterator<Item = &OsStr>> {
        Some(self.defined.as_ref()?.iter().map(|defined| self.name(&defined.name)))
    }

    fn name(&self, name: &Name) -> &OsStr {
        system::os_str(&self.names[name.start as usize..name.end as usize]).unwrap_or_default()
    }
}

/// Walks the tables, each record of which says how far behind it the next one is.
struct Table<'r, 'a, R: ?Sized> {
    segments: &'r Segments,
    strings: &'r Strings,
    reader: &'r mut Reader<'a, R>,
    names: Vec<u8>,
    /// Records that are still believed.
    left: usize,
    near: Near,
}

/// What was read around a record: linkers put all of a table side by side.
struct Near {
    address: u64,
    bytes: [u8; NEAR],
    filled: usize,
}

const NEAR: usize = 512;

/// Bytes of the names of nearly every file.
const ROOM: usize = 256;

impl Near {
    fn get<const N: usize>(&self, address: u64) -> Option<[u8; N]> {
        let at = usize::try_from(address.checked_sub(self.address)?).ok()?;
        self.bytes[..self.filled].get(at..)?.first_chunk().copied()
    }
}

impl<'r, 'a, R: ReadAt + ?Sized> Table<'r, 'a, R> {
    fn new(segments: &'r Segments, strings: &'r Strings, reader: &'r mut Reader<'a, R>) -> Self {
        let near = Near { address: 0, bytes: [0; NEAR], filled: 0 };
        Table { segments, strings, reader, names: Vec::with_capacity(ROOM), left: MAX_VERSIONS, near }
    }

    fn needs(&mut self, address: u64) -> Result<Vec<Need>, Cause> {
        let mut needs = Vec::new();
        self.each::<16>(address, 12, |table, at, record| {
            expect_version(table.half(record, 0), "DT_VERNEED")?;
            let (file, first) = (table.name(table.word(record, 4))?, table.word(record, 8));
            table.each::<16>(behind(at, first)?, 12, |table, _, aux| {
                let (hash, name) = (table.word(aux, 0), table.name(table.word(aux, 8))?);
                let is_weak = table.half(aux, 4) & VER_FLG_WEAK != 0;
                needs.push(Need { file: file.clone(), hash, name, is_weak });
                Ok(())
            })
        })?;
        Ok(needs)
    }

    fn definitions(&mut self, address: u64) -> Result<Vec<Definition>, Cause> {
        let mut definitions = Vec::new();
        self.each::<20>(address, 16, |table, at, record| {
            expect_version(table.half(record, 0), "DT_VERDEF")?;
            let (hash, first) = (table.word(record, 8), table.word(record, 12));
            let name = table.record::<8>(behind(at, first)?)?;
            let name = table.name(table.word(&name, 0))?;
            definitions.push(Definition { hash, name });
            Ok(())
        })?;
        Ok(definitions)
    }

    /// Puts a string to the names.
    fn name(&mut self, at: u32) -> Result<Name, Cause> {
        let start = self.names.len();
        let bytes = self.strings.bytes(u64::from(at), "a version", MAX_NAME, self.reader)?;
        self.names.extend_from_slice(name(bytes, "a version")?.as_encoded_bytes());
        match u32::try_from(self.names.len()) {
            Ok(end) if self.names.len() <= MAX_VERSION_NAMES => Ok(start as u32..end),
            _ => Err(Cause::malformed(format!(
                "the names of its symbol versions take more than {MAX_VERSION_NAMES} bytes, which is the limit"
            ))),
        }
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
        if let Some(record) = self.near.get(address) {
            return Ok(record);
        }
        let (offset, rest) =
            self.segments.rest_from(address).filter(|(_, rest)| *rest >= N as u64).ok_or_else(outside)?;
        let size = usize::try_from(rest).unwrap_or(NEAR).min(NEAR);
        let bytes = self.reader.up_to(offset, size)?;
        (self.near.address, self.near.filled) = (address, bytes.len());
        self.near.bytes[..bytes.len()].copy_from_slice(bytes);
        self.near.get(address).ok_or_else(|| Cause::malformed("the file ends within its symbol versions"))
    }

    /// The number at `at`, which lies within the record.
    fn word(&self, record: &[u8], at: usize) -> u32 {
        u32_at(record, at, self.segments.ctx.le)
    }

    fn half(&self, record: &[u8], at: usize) -> u16 {
        u16_at(record, at, self.segments.ctx.le)
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
