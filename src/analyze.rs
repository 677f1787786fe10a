//! What one ELF file says about itself, read with a few positioned reads whatever the file's size.

mod arm;
mod concealed;
mod constants;
mod dlopen_note;
mod dynamic;
mod hints;
mod loadable;
mod machine;
mod names;
mod notes;
mod numbers;
mod open;
mod reader;
mod sections;
mod segments;
mod statics;
mod symbols;
mod versions;

use std::ffi::{OsStr, OsString};
use std::path::Path;

use goblin::elf::dynamic::{DF_1_NODEFLIB, DF_1_PIE};
use goblin::elf::header::{EI_OSABI, ET_CORE, ET_DYN, ET_EXEC, ET_REL};
use goblin::elf::program_header::{PF_W, PF_X, PT_GNU_EH_FRAME, PT_GNU_RELRO, PT_INTERP, PT_LOAD, PT_TLS};

use crate::error::{Cause, Result};
use crate::limits::{MAX_FILE, MAX_INTERPRETER};
use dynamic::Dynamic;
use names::name;
use reader::Reader;
use segments::Segments;
use versions::{Version, Versions};

pub(crate) use constants::{Passage, constants};
pub use dlopen_note::{DlopenNote, Priority};
pub(crate) use hints::Hints;
pub(crate) use machine::glibc;
pub use machine::{ByteOrder, Class, Machine};
pub(crate) use notes::Identity;
pub(crate) use reader::{Buffers, ReadAt};
pub use versions::VersionNeed;

/// What an ELF executable or shared object says about itself (elf(5)).
///
/// It is read from the header, the program headers and the dynamic section, as the kernel and the loader do;
/// section headers are never looked at, but for what nothing else tells: [`Elf::arm_variant`], the functions of a static
/// program, and whether other files are packed into it. What cannot be read is an error, never a shorter list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elf {
    machine: Machine,
    kind: ElfKind,
    os_abi: u8,
    entry: u64,
    interpreter: Option<OsString>,
    soname: Option<OsString>,
    rpath: Option<OsString>,
    runpath: Option<OsString>,
    dependencies: Vec<Dependency>,
    audit: Vec<OsString>,
    versions: Versions,
    has_relr: bool,
    flags_1: u64,
    unloadable: Option<&'static str>,
    unstartable: Option<&'static str>,
    arm_variant: Option<&'static str>,
    isa_level: Option<&'static str>,
    dlopen_notes: Vec<DlopenNote>,
}

/// `e_type`, as far as it can be loaded (elf(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElfKind {
    /// `ET_EXEC`: an executable at a fixed address.
    Executable,
    /// `ET_DYN`: a shared library, or a position-independent executable.
    SharedObject,
}

/// One entry of a dynamic section that names another object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dependency {
    kind: DependencyKind,
    name: OsString,
}

/// How an object depends on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DependencyKind {
    /// `DT_NEEDED`: loaded after the object, and must be there.
    Needed,
    /// `DT_AUXILIARY`: loaded before the object if it is there.
    Auxiliary,
    /// `DT_FILTER`: loaded before the object, and must be there.
    Filter,
    /// `DT_AUDIT` or `DT_DEPAUDIT`: loaded apart from the program's own objects if it is there (rtld-audit(7)).
    Audit,
    /// Loaded by name while the program runs (dlopen(3)), which nothing in the dynamic section shows.
    Dlopen,
}

impl Dependency {
    /// How the object depends on it.
    pub fn kind(&self) -> DependencyKind {
        self.kind
    }

    /// The name as it stands in the file: `libc.so.6`, or a path, with tokens such as `$ORIGIN` not expanded.
    pub fn name(&self) -> &OsStr {
        &self.name
    }
}

impl Elf {
    /// Analyzes a file that is in memory.
    ///
    /// # Errors
    /// [`NotElf`](crate::ErrorKind::NotElf), [`Malformed`](crate::ErrorKind::Malformed), or
    /// [`NotAProgram`](crate::ErrorKind::NotAProgram) for object files and core dumps. On Windows also
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for one with a name in it that is not UTF-8, as all names are there; so no
    /// name is ever changed.
    ///
    /// ```
    /// let error = scratchpack::Elf::parse(b"#!/bin/sh\n").unwrap_err();
    /// assert_eq!(error.kind(), scratchpack::ErrorKind::NotElf);
    /// ```
    pub fn parse(bytes: &[u8]) -> Result<Elf> {
        Elf::read_from(bytes, bytes.len() as u64).map_err(|cause| cause.during("analyze the file"))
    }

    /// Analyzes a file of this machine; symlinks are followed.
    ///
    /// # Errors
    /// Those of [`Elf::parse`]; [`NotFound`](crate::ErrorKind::NotFound) and [`Io`](crate::ErrorKind::Io).
    pub fn read(path: impl AsRef<Path>) -> Result<Elf> {
        let path = path.as_ref();
        let read = || {
            let (file, size) = open::open(path)?;
            Elf::read_from(&file, size)
        };
        read().map_err(|cause: Cause| cause.on("analyze", path))
    }

    pub(crate) fn read_from<R: ReadAt + ?Sized>(source: &R, len: u64) -> Result<Elf, Cause> {
        Elf::read_into(source, len, &mut Buffers::default())
    }

    /// The same, with the memory that another file was read into.
    pub(crate) fn read_into<R: ReadAt + ?Sized>(source: &R, len: u64, buffers: &mut Buffers) -> Result<Elf, Cause> {
        if len > MAX_FILE {
            return Err(Cause::malformed(format!("it has {len} bytes; the limit is {MAX_FILE}")));
        }
        Elf::parsed(source, len, buffers).map_err(Cause::of_damage)
    }

    fn parsed<R: ReadAt + ?Sized>(source: &R, len: u64, buffers: &mut Buffers) -> Result<Elf, Cause> {
        let mut reader = Reader::new(source, len, buffers);
        let segments = Segments::read(&mut reader)?;
        let interpreter = read_interpreter(&mut reader, &segments)?;
        let dynamic = Dynamic::read(&mut reader, &segments)?.unwrap_or_default();
        Ok(Elf {
            machine: segments.machine,
            kind: segments.kind,
            os_abi: segments.header.e_ident[EI_OSABI],
            entry: segments.header.e_entry,
            interpreter,
            soname: dynamic.soname,
            // Where both are given, RPATH counts as absent (elf_get_dynamic_info in glibc).
            rpath: dynamic.rpath.filter(|_| dynamic.runpath.is_none()),
            runpath: dynamic.runpath,
            dependencies: dynamic.dependencies,
            audit: dynamic.audit,
            versions: dynamic.versions,
            has_relr: dynamic.has_relr,
            flags_1: dynamic.flags_1,
            unloadable: loadable::problem(&segments, dynamic.flags_1),
            unstartable: loadable::problem_of_program(&segments),
            arm_variant: arm::variant(&mut reader, &segments),
            isa_level: notes::isa_level(&mut reader, &segments),
            dlopen_notes: notes::dlopen(&mut reader, &segments)?,
        })
    }

    /// The machine and ABI that it is for.
    pub fn machine(&self) -> Machine {
        self.machine
    }

    /// 32 or 64 bits.
    pub fn class(&self) -> Class {
        self.machine.class
    }

    /// The order of the bytes of its numbers.
    pub fn byte_order(&self) -> ByteOrder {
        self.machine.byte_order
    }

    /// Whether it is at a fixed address or position-independent.
    pub fn kind(&self) -> ElfKind {
        self.kind
    }

    /// `EI_OSABI` (elf(5)): 0 and 3 are what Linux has.
    pub fn os_abi(&self) -> u8 {
        self.os_abi
    }

    /// The path of its program interpreter, the dynamic loader: the first `PT_INTERP`; `None` for a static program.
    pub fn interpreter(&self) -> Option<&OsStr> {
        self.interpreter.as_deref()
    }

    /// `DT_SONAME`: what the object is called, whatever its file is.
    pub fn soname(&self) -> Option<&OsStr> {
        self.soname.as_deref()
    }

    /// The names of its `DT_NEEDED` entries, in their order.
    pub fn needed(&self) -> impl Iterator<Item = &OsStr> {
        self.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Needed).map(Dependency::name)
    }

    /// Everything that makes the loader load another object, in the order of the dynamic section.
    pub fn dependencies(&self) -> &[Dependency] {
        &self.dependencies
    }

    /// `DT_RPATH` as it stands; `None` where the object has a `DT_RUNPATH`, which replaces it.
    pub fn rpath(&self) -> Option<&OsStr> {
        self.rpath.as_deref()
    }

    /// `DT_RUNPATH` as it stands.
    pub fn runpath(&self) -> Option<&OsStr> {
        self.runpath.as_deref()
    }

    /// The auditing objects that it names (rtld-audit(7)): `DT_AUDIT`, then `DT_DEPAUDIT`. glibc loads a program's.
    pub fn audit(&self) -> impl Iterator<Item = &OsStr> {
        self.audit.iter().map(OsString::as_os_str)
    }

    /// The versions that it needs of other objects (`DT_VERNEED`).
    pub fn needed_versions(&self) -> impl Iterator<Item = VersionNeed<'_>> {
        self.versions.needed()
    }

    /// The versions that it defines (`DT_VERDEF`); `None` where it was linked without versions, and so passes for
    /// any that is asked of it.
    pub fn defined_versions(&self) -> Option<impl Iterator<Item = &OsStr>> {
        self.versions.defined()
    }

    /// Whether it has relative relocations in their compact form, `DT_RELR` (gABI), which old loaders do not know.
    pub fn has_relr(&self) -> bool {
        self.has_relr
    }

    /// `DF_1_NODEFLIB`: builtin directories do not count for what it needs (elf(5), `DT_FLAGS_1`).
    pub fn no_default_lib(&self) -> bool {
        self.flags_1 & DF_1_NODEFLIB != 0
    }

    /// The version of the architecture that 32-bit ARM code needs: `v5`, `v6`, `v7` or `v8`, as an image's configuration has
    /// it. `None` for other machines, and where the file does not tell.
    ///
    /// It is `Tag_CPU_arch` of the file's build attributes ("Addenda to, and Errata in, the ABI for the Arm Architecture"),
    /// which only a section header leads to: e_flags do not tell it.
    pub fn arm_variant(&self) -> Option<&'static str> {
        self.arm_variant
    }

    /// The level of the x86 instruction set that the code needs: `x86-64-baseline`, `x86-64-v2`, `x86-64-v3` or
    /// `x86-64-v4`. `None` for other machines, and where the file does not tell.
    ///
    /// It is the highest bit of `GNU_PROPERTY_X86_ISA_1_NEEDED` in the file's property note (x86-64 psABI, "Program
    /// Property"). A loader of glibc 2.33 or newer refuses a file on a CPU of a lower level.
    pub fn isa_level(&self) -> Option<&'static str> {
        self.isa_level
    }

    /// The libraries that it says it loads by itself: its `.note.dlopen`, found through `PT_NOTE`.
    pub fn dlopen_notes(&self) -> &[DlopenNote] {
        &self.dlopen_notes
    }

    /// Whether it is a program: at a fixed address, marked as position-independent executable, or with an interpreter.
    pub fn is_executable(&self) -> bool {
        self.kind == ElfKind::Executable || self.flags_1 & DF_1_PIE != 0 || self.interpreter.is_some()
    }

    /// Whether it is a program that loads nothing.
    fn is_static_program(&self) -> bool {
        let is_program = self.kind == ElfKind::Executable || self.flags_1 & DF_1_PIE != 0;
        is_program && self.interpreter.is_none() && self.dependencies.is_empty()
    }

    /// Whether it passes for an object that has this version (`match_symbol` in glibc).
    pub(crate) fn provides(&self, version: Version<'_>) -> bool {
        self.versions.provides(version)
    }

    /// Why the kernel would not get anywhere with it as a program.
    pub(crate) fn check_program(&self) -> Result<(), Cause> {
        if self.interpreter.is_some() || (self.dependencies.is_empty() && self.entry != 0) {
            return self.unstartable.map_or(Ok(()), |problem| Err(Cause::malformed(problem)));
        }
        Err(Cause::NotAProgram(
            "it is a shared library: it names no interpreter (PT_INTERP); give the executable that uses it".into(),
        ))
    }

    /// Why the loader would not map it as a library, in words.
    pub(crate) fn unloadable(&self) -> Option<&'static str> {
        self.unloadable
    }
}

/// Where a loader's strings can be: the read-only parts of the file without code, or where there are none, with it.
pub(crate) fn read_only_parts<R: ReadAt + ?Sized>(source: &R, len: u64) -> Result<Vec<(u64, u64)>, Cause> {
    Segments::read(&mut Reader::new(source, len, &mut Buffers::default()))
        .map(|segments| constant_parts(&segments, len))
}

/// The same without what holds no texts: the tables of the dynamic section, and those that unwind stacks, which linkers
/// put behind all constants.
fn text_parts<R: ReadAt + ?Sized>(source: &R, len: u64) -> Result<Vec<(u64, u64)>, Cause> {
    let mut buffers = Buffers::default();
    let mut reader = Reader::new(source, len, &mut buffers);
    let segments = Segments::read(&mut reader)?;
    let unwinding =
        segments.headers.iter().find(|header| header.p_type == PT_GNU_EH_FRAME).map(|header| header.p_offset);
    let cut = |(at, size): (u64, u64)| match unwinding.and_then(|unwinding| unwinding.checked_sub(at)) {
        Some(before) => (at, size.min(before)),
        None => (at, size),
    };
    let parts: Vec<(u64, u64)> = constant_parts(&segments, len).into_iter().map(cut).collect();
    Ok(without(parts, &dynamic::tables(&mut reader, &segments)))
}

/// Parts of a file, an offset and a size each, without these others.
fn without(mut parts: Vec<(u64, u64)>, others: &[(u64, u64)]) -> Vec<(u64, u64)> {
    for &(other, size) in others {
        let behind = other.saturating_add(size);
        let pieces = parts.iter().flat_map(|&(at, size)| {
            let end = at.saturating_add(size);
            [(at, end.min(other)), (at.max(behind), end)]
        });
        parts = pieces.filter(|(at, end)| at < end).map(|(at, end)| (at, end - at)).collect();
    }
    parts
}

/// Each part once, in the order of the file, which ends at `len`: many segments can have the same bytes.
fn constant_parts(segments: &Segments, len: u64) -> Vec<(u64, u64)> {
    // Older linkers put the headers, the code and the read-only data into one segment.
    let has_data = segments.loads().filter(|load| load.p_flags & (PF_W | PF_X) == 0).count() > 1;
    let unwanted = if has_data { PF_W | PF_X } else { PF_W };
    let parts = segments.loads().filter(|load| load.p_flags & unwanted == 0);
    let ends = parts.map(|load| (load.p_offset, load.p_offset.saturating_add(load.p_filesz).min(len)));
    let mut ends: Vec<(u64, u64)> = ends.filter(|(start, end)| start < end).collect();
    ends.sort_unstable();
    let mut done = 0;
    let once = ends.into_iter().map(|(start, end)| {
        let part = (start.max(done), end.saturating_sub(start.max(done)));
        done = done.max(end);
        part
    });
    once.filter(|(_, size)| *size > 0).collect()
}

/// All parts of a file that are ever read, what matters most first: what its headers point to, then segments without
/// code, then those with it, at the start of which old linkers put the strings.
pub(crate) fn parts_to_keep<R: ReadAt + ?Sized>(source: &R, len: u64) -> Result<Vec<(u64, u64)>, Cause> {
    let mut headers = Segments::read(&mut Reader::new(source, len, &mut Buffers::default()))?.headers;
    // Large, and nothing in them is read.
    headers.retain(|header| !matches!(header.p_type, PT_GNU_RELRO | PT_GNU_EH_FRAME | PT_TLS));
    headers.sort_by_key(|header| (header.p_type == PT_LOAD, header.p_flags & PF_X != 0));
    Ok(headers.iter().map(|header| (header.p_offset, header.p_filesz)).collect())
}

fn kind_of(e_type: u16) -> Result<ElfKind, Cause> {
    match e_type {
        ET_EXEC => Ok(ElfKind::Executable),
        ET_DYN => Ok(ElfKind::SharedObject),
        ET_REL => Err(Cause::NotAProgram("it is an object file; link it, and give the executable".into())),
        ET_CORE => Err(Cause::NotAProgram("it is a core dump; give the program that left it".into())),
        other => Err(Cause::malformed(format!("e_type is {other}; it must be ET_EXEC or ET_DYN"))),
    }
}

/// The kernel's rules: 2 to 4,096 bytes of which the last is NUL; the first header counts (`load_elf_binary`).
fn read_interpreter<R: ReadAt + ?Sized>(
    reader: &mut Reader<'_, R>,
    segments: &Segments,
) -> Result<Option<OsString>, Cause> {
    let Some(header) = segments.headers.iter().find(|header| header.p_type == PT_INTERP) else { return Ok(None) };
    if !(2..=MAX_INTERPRETER).contains(&header.p_filesz) {
        let size = header.p_filesz;
        return Err(Cause::malformed(format!("its PT_INTERP has {size} bytes; Linux takes 2 to {MAX_INTERPRETER}")));
    }
    let size = usize::try_from(header.p_filesz).unwrap_or(usize::MAX);
    let bytes = reader.bytes(header.p_offset, size, "interpreter path")?;
    if bytes.last() != Some(&0) {
        return Err(Cause::malformed("its PT_INTERP does not end in NUL"));
    }
    match bytes.split(|&byte| byte == 0).next() {
        None | Some([]) => Err(Cause::malformed("its PT_INTERP is empty")),
        Some(path) => name(path, "its PT_INTERP").map(|path| Some(path.to_owned())),
    }
}

/// The machine that a file's header names, also where the rest of the file is damaged.
pub(crate) fn machine_of_file<R: ReadAt + ?Sized>(source: &R, len: u64) -> Option<Machine> {
    segments::read_machine(&mut Reader::new(source, len, &mut Buffers::default())).ok()
}
