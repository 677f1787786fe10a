//! The dynamic section: what an object is called, what it needs, and where it looks (gABI, "Dynamic Section").

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use goblin::elf::dynamic::{DT_FLAGS_1, DT_NEEDED, DT_NULL, DT_RPATH, DT_RUNPATH, DT_SONAME, DT_STRSZ, DT_STRTAB, Dyn};
use goblin::elf::program_header::{PT_DYNAMIC, ProgramHeader};
use scroll::Pread;
use scroll::ctx::SizeWith;

use super::limits::{MAX_DYNAMIC_ENTRIES, MAX_NAME, MAX_NEEDED, MAX_PATH_LIST};
use super::reader::{ReadAt, Reader};
use super::segments::Segments;
use super::versions::Versions;
use super::{Dependency, DependencyKind, symbols};
use crate::error::Cause;
use crate::need::Known;

// Sun's tags, which elf(5) lists and goblin does not.
const DT_AUXILIARY: u64 = 0x7fff_fffd;
const DT_FILTER: u64 = 0x7fff_ffff;

const DT_DEPAUDIT: u64 = 0x6fff_fefb;
const DT_AUDIT: u64 = 0x6fff_fefc;
/// Relative relocations in their compact form (gABI).
const DT_RELR: u64 = 36;

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
    pub(crate) hints: Vec<&'static Known>,
}

impl Dynamic {
    /// `None` where the file has no `PT_DYNAMIC`.
    pub(crate) fn read<R: ReadAt + ?Sized>(
        reader: &mut Reader<'_, R>,
        segments: &Segments,
    ) -> Result<Option<Dynamic>, Cause> {
        // The last one counts, as in glibc.
        let Some(header) = segments.headers.iter().rfind(|h| h.p_type == PT_DYNAMIC) else { return Ok(None) };
        let entries = read_entries(reader, segments, header)?;
        let strings = Strings::locate(&entries, segments)?;
        let dynamic = strings.resolve(&entries, reader)?;
        let versions = Versions::read(&entries, &strings, segments, reader)?;
        let hints = symbols::imported(&entries, &strings, segments, reader);
        Ok(Some(Dynamic { versions, hints, ..dynamic }))
    }
}

fn read_entries<R: ReadAt + ?Sized>(
    reader: &mut Reader<'_, R>,
    segments: &Segments,
    header: &ProgramHeader,
) -> Result<Vec<Dyn>, Cause> {
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
    let mut entries = Vec::with_capacity(count);
    for at in 0..count {
        let dynamic: Dyn = bytes
            .pread_with(at * entry, segments.ctx)
            .map_err(|error: goblin::error::Error| Cause::malformed(error.to_string()))?;
        if dynamic.d_tag == DT_NULL {
            return Ok(entries);
        }
        entries.push(dynamic);
    }
    Err(Cause::malformed("its dynamic section does not end in DT_NULL"))
}

/// The string table of a dynamic section, as a range of the file.
pub(super) struct Strings {
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl Strings {
    /// An object without strings is fine as long as no entry asks for one.
    fn locate(entries: &[Dyn], segments: &Segments) -> Result<Strings, Cause> {
        let Some(address) = last(entries, DT_STRTAB) else { return Ok(Strings { offset: 0, size: 0 }) };
        let size = last(entries, DT_STRSZ).ok_or_else(|| Cause::malformed("it has DT_STRTAB but no DT_STRSZ"))?;
        let offset = segments
            .offset_of(address, size)
            .ok_or_else(|| Cause::malformed("its string table lies in no segment of the file"))?;
        Ok(Strings { offset, size })
    }

    /// Linkers put the names of libraries near each other, and the versions behind them: what is read from the first of
    /// them on holds nearly all. Where it cannot be read, whoever wants a string will say so.
    fn start_at_first<R: ReadAt + ?Sized>(&self, entries: &[Dyn], reader: &mut Reader<'_, R>) {
        let is_string = |tag| DependencyKind::of(tag).is_some() || matches!(tag, DT_SONAME | DT_RPATH | DT_RUNPATH);
        let first = entries.iter().filter(|entry| is_string(entry.d_tag)).map(|entry| entry.d_val).min();
        if let Some(at) = first.filter(|&at| at < self.size) {
            let _ = reader.bytes(self.offset + at, 1, "string table");
        }
    }

    fn resolve<R: ReadAt + ?Sized>(&self, entries: &[Dyn], reader: &mut Reader<'_, R>) -> Result<Dynamic, Cause> {
        self.start_at_first(entries, reader);
        let mut single = |tag, what| match last(entries, tag) {
            Some(at) => self.get(at, what, MAX_PATH_LIST, reader).map(Some),
            None => Ok(None),
        };
        Ok(Dynamic {
            soname: single(DT_SONAME, "DT_SONAME")?,
            rpath: single(DT_RPATH, "DT_RPATH")?,
            runpath: single(DT_RUNPATH, "DT_RUNPATH")?,
            audit: [single(DT_AUDIT, "DT_AUDIT")?, single(DT_DEPAUDIT, "DT_DEPAUDIT")?]
                .into_iter()
                .flatten()
                .flat_map(|list| elements(&list))
                .collect(),
            dependencies: self.dependencies(entries, reader)?,
            versions: Versions::default(),
            has_relr: last(entries, DT_RELR).is_some(),
            flags_1: last(entries, DT_FLAGS_1).unwrap_or(0),
            hints: Vec::new(),
        })
    }

    fn dependencies<R: ReadAt + ?Sized>(
        &self,
        entries: &[Dyn],
        reader: &mut Reader<'_, R>,
    ) -> Result<Vec<Dependency>, Cause> {
        let wanted = entries.iter().filter_map(|entry| Some((DependencyKind::of(entry.d_tag)?, entry.d_val)));
        if wanted.clone().count() > MAX_NEEDED {
            return Err(Cause::malformed(format!("it needs more than {MAX_NEEDED} libraries, which is the limit")));
        }
        wanted.map(|(kind, at)| Ok(Dependency { kind, name: self.get(at, kind.tag(), MAX_NAME, reader)? })).collect()
    }

    pub(super) fn get<R: ReadAt + ?Sized>(
        &self,
        at: u64,
        what: &str,
        limit: u64,
        reader: &mut Reader<'_, R>,
    ) -> Result<OsString, Cause> {
        let rest = self.size.checked_sub(at).filter(|&rest| rest > 0);
        let rest = rest.ok_or_else(|| Cause::malformed(format!("{what} points outside the string table")))?;
        let string = reader.string(self.offset + at, rest.min(limit))?;
        string
            .map(OsString::from_vec)
            .ok_or_else(|| Cause::malformed(format!("{what} has no end within the string table, or is too long")))
    }
}

/// Of a tag that may stand once the last entry counts (`elf_get_dynamic_info` in glibc).
pub(super) fn last(entries: &[Dyn], tag: u64) -> Option<u64> {
    entries.iter().rfind(|entry| entry.d_tag == tag).map(|entry| entry.d_val)
}

/// The names in a list of objects (`audit_list_next` in glibc).
fn elements(list: &OsStr) -> Vec<OsString> {
    let elements = list.as_bytes().split(|&byte| byte == b':').filter(|element| !element.is_empty());
    elements.map(|element| OsString::from_vec(element.to_vec())).collect()
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
