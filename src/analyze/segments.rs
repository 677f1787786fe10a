//! The header and the program headers: what of the file is mapped, and where.

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::header::{self as eh, Header};
use goblin::elf::program_header::{PT_LOAD, ProgramHeader};
use scroll::Pread;

use super::ElfKind;
use super::machine::{ByteOrder, Class, Machine};
use super::numbers::{u32_at, word_at};
use super::reader::{ReadAt, Reader};
use crate::error::Cause;
use crate::limits::MAX_PROGRAM_HEADERS;

/// A file's header and program headers, found to agree with themselves.
pub(crate) struct Segments {
    pub(crate) header: Header,
    pub(crate) kind: ElfKind,
    pub(crate) machine: Machine,
    pub(crate) ctx: Ctx,
    pub(crate) headers: Vec<ProgramHeader>,
}

impl Segments {
    pub(crate) fn read<R: ReadAt + ?Sized>(reader: &mut Reader<'_, R>) -> Result<Segments, Cause> {
        let (header, ctx) = read_header(reader)?;
        let machine = machine_of(&header, ctx);
        let headers = read_headers(reader, &header, ctx)?;
        // What is no program is said to be what it is, rather than to lack what programs have.
        let kind = super::kind_of(header.e_type)?;
        let segments = Segments { header, kind, machine, ctx, headers };
        segments.check()?;
        Ok(segments)
    }

    /// The offset in the file of the `size` bytes that are mapped at `address`.
    pub(crate) fn offset_of(&self, address: u64, size: u64) -> Option<u64> {
        self.loads().find_map(|load| {
            let into = address.checked_sub(load.p_vaddr)?;
            (into.checked_add(size)? <= load.p_filesz).then(|| load.p_offset.checked_add(into))?
        })
    }

    /// The offset in the file of what is mapped at `address`, and how many bytes the file has from there on.
    pub(super) fn rest_from(&self, address: u64) -> Option<(u64, u64)> {
        self.loads().find_map(|load| {
            let into = address.checked_sub(load.p_vaddr)?;
            let rest = load.p_filesz.checked_sub(into).filter(|&rest| rest > 0)?;
            Some((load.p_offset.checked_add(into)?, rest))
        })
    }

    pub(crate) fn loads(&self) -> impl Iterator<Item = &ProgramHeader> {
        self.headers.iter().filter(|header| header.p_type == PT_LOAD)
    }

    fn check(&self) -> Result<(), Cause> {
        if self.loads().next().is_none() {
            return Err(Cause::malformed("it has no PT_LOAD segment, so there is nothing to run"));
        }
        let space = if self.ctx.container.is_big() { u64::MAX } else { 1 << 32 };
        let mut spans: Vec<(u64, u64)> = Vec::new();
        for load in self.loads() {
            // glibc maps all that a library has in the file, also if its p_memsz is less.
            let end = load.p_vaddr.checked_add(load.p_memsz.max(load.p_filesz)).filter(|&end| end <= space);
            let end = end.ok_or_else(|| Cause::malformed("a segment wraps around the address space"))?;
            spans.push((load.p_vaddr, end));
        }
        if self.loads().any(|load| load.p_offset.checked_add(load.p_filesz).is_none()) {
            return Err(Cause::malformed("a segment ends behind the end of any file"));
        }
        // What takes no room is in nobody's way.
        spans.retain(|(start, end)| start < end);
        spans.sort_unstable();
        match spans.windows(2).any(|pair| pair[1].0 < pair[0].1) {
            true => Err(Cause::malformed("two of its PT_LOAD segments overlap")),
            false => Ok(()),
        }
    }
}

/// What the header alone says of the machine.
pub(crate) fn read_machine<R: ReadAt + ?Sized>(reader: &mut Reader<'_, R>) -> Result<Machine, Cause> {
    read_header(reader).map(|(header, ctx)| machine_of(&header, ctx))
}

fn read_header<R: ReadAt + ?Sized>(reader: &mut Reader<'_, R>) -> Result<(Header, Ctx), Cause> {
    let ctx = identify(reader)?;
    let size = match ctx.container {
        Container::Little => eh::header32::SIZEOF_EHDR,
        Container::Big => eh::header64::SIZEOF_EHDR,
    };
    let header = reader.bytes(0, size, "ELF header")?.pread(0).map_err(unreadable)?;
    Ok((header, ctx))
}

/// `e_ident`: class and byte order, on which all the rest depends (elf(5)).
fn identify<R: ReadAt + ?Sized>(reader: &mut Reader<'_, R>) -> Result<Ctx, Cause> {
    if reader.len() < eh::SIZEOF_IDENT as u64 {
        return Err(not_elf(reader));
    }
    let ident = reader.bytes(0, eh::SIZEOF_IDENT, "ELF header")?;
    if !ident.starts_with(eh::ELFMAG) {
        return Err(not_elf(reader));
    }
    let container = match ident[eh::EI_CLASS] {
        eh::ELFCLASS32 => Container::Little,
        eh::ELFCLASS64 => Container::Big,
        other => return Err(Cause::malformed(format!("EI_CLASS is {other}; it must be 1 or 2"))),
    };
    let endian = match ident[eh::EI_DATA] {
        eh::ELFDATA2LSB => Endian::Little,
        eh::ELFDATA2MSB => Endian::Big,
        other => return Err(Cause::malformed(format!("EI_DATA is {other}; it must be 1 or 2"))),
    };
    match ident[eh::EI_VERSION] {
        1 => Ok(Ctx::new(container, endian)),
        other => Err(Cause::malformed(format!("EI_VERSION is {other}; it must be 1"))),
    }
}

/// Says what the file is instead, for the person who gave it.
fn not_elf<R: ReadAt + ?Sized>(reader: &mut Reader<'_, R>) -> Cause {
    let size = usize::try_from(reader.len()).unwrap_or(usize::MAX).min(256);
    let start = reader.bytes(0, size, "first bytes").unwrap_or_default();
    if let Some(line) = start.strip_prefix(b"#!") {
        let end = memchr::memchr2(b'\n', b'\r', line).unwrap_or(line.len());
        let interpreter = crate::text::printable(std::str::from_utf8(&line[..end]).unwrap_or("")).to_string();
        return Cause::NotElf(format!(
            "it is a script for {}, not an ELF executable; give the compiled program that it runs",
            interpreter.trim()
        ));
    }
    Cause::NotElf(match start {
        [] => "it is empty, not an ELF executable; build it again".into(),
        _ if start.starts_with(b"!<arch>") => {
            "it is a static archive; give the executable that is linked with it".into()
        }
        _ if start.starts_with(b"\x7fELF") => "it ends within its ELF header; build or copy it again".into(),
        _ if MACH_O.iter().any(|magic| start.starts_with(magic)) => {
            "it is a program of macOS (Mach-O), not an ELF executable; compile it for Linux".into()
        }
        _ => "it is not an ELF file; give a compiled Linux executable".into(),
    })
}

/// How programs of today's Macs begin, for one machine or for several (mach-o/loader.h, mach-o/fat.h). The latter is what
/// classes of Java begin with as well, in which the number behind it is larger than that of any machines.
const MACH_O: [&[u8]; 2] = [b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe\0\0\0\x02"];

fn machine_of(header: &Header, ctx: Ctx) -> Machine {
    Machine {
        code: header.e_machine,
        class: if ctx.container.is_big() { Class::Elf64 } else { Class::Elf32 },
        byte_order: if ctx.le.is_little() { ByteOrder::Little } else { ByteOrder::Big },
        flags: header.e_flags,
    }
}

fn read_headers<R: ReadAt + ?Sized>(
    reader: &mut Reader<'_, R>,
    header: &Header,
    ctx: Ctx,
) -> Result<Vec<ProgramHeader>, Cause> {
    let count = usize::from(header.e_phnum);
    let size = ProgramHeader::size(ctx);
    if count > 0 && usize::from(header.e_phentsize) != size {
        return Err(Cause::malformed(format!("e_phentsize is {}; it must be {size}", header.e_phentsize)));
    }
    if count > MAX_PROGRAM_HEADERS {
        return Err(Cause::malformed(format!("it has {count} program headers; the limit is {MAX_PROGRAM_HEADERS}")));
    }
    let bytes = reader.bytes(header.e_phoff, count * size, "program headers")?;
    Ok(bytes.chunks_exact(size).map(|bytes| program_header(bytes, ctx)).collect())
}

/// `Elf64_Phdr`, or `Elf32_Phdr`, in which the flags stand elsewhere (elf(5)).
fn program_header(bytes: &[u8], ctx: Ctx) -> ProgramHeader {
    let word = |number| word_at(bytes, number, ctx);
    let (flags, alignment) = if ctx.container.is_big() { (4, 6) } else { (24, 7) };
    ProgramHeader {
        p_type: u32_at(bytes, 0, ctx.le),
        p_flags: u32_at(bytes, flags, ctx.le),
        p_offset: word(1),
        p_vaddr: word(2),
        p_paddr: word(3),
        p_filesz: word(4),
        p_memsz: word(5),
        p_align: word(alignment),
    }
}

fn unreadable(error: impl std::fmt::Display) -> Cause {
    Cause::malformed(error.to_string())
}
