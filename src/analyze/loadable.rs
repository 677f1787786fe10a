//! Why glibc's loader would not map a file as a library (`open_verify` and `_dl_map_object_from_fd` in glibc).

use goblin::elf::dynamic::DF_1_PIE;
use goblin::elf::header::{EI_ABIVERSION, EI_OSABI, EM_MIPS, ET_EXEC};
use goblin::elf::program_header::PT_DYNAMIC;

use super::segments::Segments;

/// Where the padding of `e_ident` begins.
const EI_PAD: usize = 9;

/// `ELFOSABI_SYSV` and `ELFOSABI_GNU`, and how many versions a loader may know.
const SYSV: u8 = 0;
const GNU: u8 = 3;
const GNU_VERSIONS: u8 = 8;

/// Why Linux would not start it as a program, in words (`load_elf_binary` in the kernel).
pub(super) fn problem_of_program(segments: &Segments) -> Option<&'static str> {
    let is_cut = segments.loads().any(|load| load.p_filesz > load.p_memsz);
    is_cut.then_some("a segment has more bytes in the file than in memory, which Linux refuses; link it anew")
}

/// In words; `None` for a library.
pub(super) fn problem(segments: &Segments, flags_1: u64) -> Option<&'static str> {
    let header = &segments.header;
    let ident = &header.e_ident;
    if header.e_type == ET_EXEC || flags_1 & DF_1_PIE != 0 {
        Some("an executable, not a shared object")
    } else if !matches!(ident[EI_OSABI], SYSV | GNU) {
        Some("its EI_OSABI is not Linux's")
    } else if !is_known_version(header.e_machine, ident[EI_OSABI], ident[EI_ABIVERSION]) {
        Some("its EI_ABIVERSION is none that the loader knows")
    } else if ident[EI_PAD..].iter().any(|&byte| byte != 0) {
        Some("the padding of its e_ident is not zero")
    } else if header.e_version != 1 {
        Some("its e_version is not 1")
    } else if !segments.headers.iter().any(|header| header.p_type == PT_DYNAMIC) {
        Some("it has no dynamic section")
    } else if is_out_of_step(segments) {
        Some("a segment does not lie in the file as it lies in memory")
    } else {
        None
    }
}

/// MIPS counts up the versions of its own ABI.
fn is_known_version(machine: u16, os_abi: u8, version: u8) -> bool {
    version == 0 || ((os_abi == GNU || machine == EM_MIPS) && version < GNU_VERSIONS)
}

/// A segment is mapped by pages, so that its place in the file and in memory must agree below its alignment.
fn is_out_of_step(segments: &Segments) -> bool {
    segments.loads().any(|load| {
        let apart = load.p_vaddr.wrapping_sub(load.p_offset);
        load.p_align > 1 && apart & (load.p_align - 1) != 0
    })
}
