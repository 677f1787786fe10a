//! What an ELF header says about the machine a file is for, and the names that others have for it.

use goblin::elf::header as eh;

use crate::trace::{Refusal, Why};

/// Whether addresses have 32 or 64 bits: `EI_CLASS` (elf(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// `ELFCLASS32`
    Elf32,
    /// `ELFCLASS64`
    Elf64,
}

/// The order of the bytes of a number: `EI_DATA` (elf(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// `ELFDATA2LSB`
    Little,
    /// `ELFDATA2MSB`
    Big,
}

/// The machine and ABI that a file is for: `e_machine`, the class, the byte order and `e_flags` together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    pub(crate) code: u16,
    pub(crate) class: Class,
    pub(crate) byte_order: ByteOrder,
    pub(crate) flags: u32,
}

/// e_flags of ARM: floating-point arguments in registers (ELF for the ARM architecture).
const EF_ARM_ABI_FLOAT_HARD: u32 = 0x400;
/// e_flags of RISC-V: the float ABI (RISC-V ELF psABI).
const EF_RISCV_FLOAT_ABI: u32 = 0x6;
/// e_flags of 64-bit PowerPC: the ABI version (OpenPOWER ELFv2).
const EF_PPC64_ABI: u32 = 0x3;

impl Machine {
    /// `e_machine` as the file has it (elf(5)).
    pub fn code(self) -> u16 {
        self.code
    }

    /// The name of the architecture in an image's configuration (`GOARCH`; OCI image spec, config, `architecture`),
    /// or `None` where no image can be made for the machine.
    pub fn architecture(self) -> Option<&'static str> {
        use ByteOrder::{Big, Little};
        use Class::{Elf32, Elf64};
        Some(match (self.code, self.class, self.byte_order) {
            (eh::EM_X86_64, _, Little) => "amd64",
            (eh::EM_386, Elf32, Little) => "386",
            (eh::EM_AARCH64, Elf64, Little) => "arm64",
            (eh::EM_AARCH64, Elf64, Big) => "arm64be",
            (eh::EM_ARM, Elf32, Little) => "arm",
            (eh::EM_ARM, Elf32, Big) => "armbe",
            (eh::EM_S390, Elf64, Big) => "s390x",
            (eh::EM_S390, Elf32, Big) => "s390",
            (eh::EM_PPC64, Elf64, Little) => "ppc64le",
            (eh::EM_PPC64, Elf64, Big) => "ppc64",
            (eh::EM_RISCV, Elf64, Little) => "riscv64",
            (eh::EM_LOONGARCH, Elf64, Little) => "loong64",
            (eh::EM_MIPS, Elf64, Little) => "mips64le",
            (eh::EM_MIPS, Elf64, Big) => "mips64",
            (eh::EM_MIPS, Elf32, Little) => "mipsle",
            (eh::EM_MIPS, Elf32, Big) => "mips",
            _ => return None,
        })
    }

    /// What musl calls the machine, in the names of its loader and its path file (`arch/*/reloc.h` in musl).
    pub(crate) fn musl_architecture(self) -> &'static str {
        match (self.code, self.class, self.byte_order) {
            (eh::EM_X86_64, Class::Elf64, _) => "x86_64",
            (eh::EM_X86_64, Class::Elf32, _) => "x32",
            (eh::EM_386, ..) => "i386",
            (eh::EM_AARCH64, _, ByteOrder::Little) => "aarch64",
            (eh::EM_AARCH64, _, ByteOrder::Big) => "aarch64_be",
            (eh::EM_ARM, ..) if self.flags & EF_ARM_ABI_FLOAT_HARD != 0 => "armhf",
            (eh::EM_ARM, ..) => "arm",
            (eh::EM_S390, ..) => "s390x",
            (eh::EM_PPC64, _, ByteOrder::Little) => "powerpc64le",
            (eh::EM_PPC64, _, ByteOrder::Big) => "powerpc64",
            (eh::EM_RISCV, Class::Elf64, _) => "riscv64",
            (eh::EM_RISCV, Class::Elf32, _) => "riscv32",
            (eh::EM_LOONGARCH, ..) => "loongarch64",
            (eh::EM_MIPS, Class::Elf64, ByteOrder::Big) => "mips64",
            (eh::EM_MIPS, Class::Elf64, ByteOrder::Little) => "mips64el",
            (eh::EM_MIPS, Class::Elf32, ByteOrder::Big) => "mips",
            (eh::EM_MIPS, Class::Elf32, ByteOrder::Little) => "mipsel",
            _ => "unknown",
        }
    }

    /// What people call the machine, for messages.
    pub fn name(self) -> String {
        let name = match (self.code, self.class) {
            (eh::EM_X86_64, Class::Elf64) => "x86-64",
            (eh::EM_X86_64, Class::Elf32) => "x32",
            (eh::EM_386, _) => "i386",
            (eh::EM_AARCH64, _) => "aarch64",
            (eh::EM_ARM, _) => "arm",
            (eh::EM_S390, Class::Elf64) => "s390x",
            (eh::EM_S390, Class::Elf32) => "s390",
            (eh::EM_PPC64, _) => "ppc64",
            (eh::EM_PPC, _) => "ppc",
            (eh::EM_RISCV, Class::Elf64) => "riscv64",
            (eh::EM_RISCV, Class::Elf32) => "riscv32",
            (eh::EM_LOONGARCH, _) => "loongarch",
            (eh::EM_MIPS, _) => "mips",
            (code, _) => return format!("machine {code}"),
        };
        match self.byte_order {
            ByteOrder::Little if self.code == eh::EM_PPC64 => "ppc64le".to_owned(),
            ByteOrder::Big if matches!(self.code, eh::EM_AARCH64 | eh::EM_ARM) => format!("{name} (big-endian)"),
            _ => name.to_owned(),
        }
    }

    /// Why a process of this machine cannot use objects of `other`: the class, the byte order, the machine, in the order
    /// in which a loader looks at them.
    pub(crate) fn mismatch(self, other: Machine) -> Option<Refusal> {
        if other.class != self.class {
            return Some(Refusal::with(Why::WrongClass, format!("{} bits", other.class.bits())));
        }
        if other.byte_order != self.byte_order {
            let order = if other.byte_order == ByteOrder::Little { "little-endian" } else { "big-endian" };
            return Some(Refusal::with(Why::WrongByteOrder, order));
        }
        (other.code != self.code).then(|| Refusal::with(Why::WrongMachine, other.name()))
    }

    /// Whether a process of this machine takes objects with the `e_flags` of `other`, the rest being equal
    /// (`elf_machine_matches_host` in glibc).
    pub(crate) fn same_abi(self, other: Machine) -> bool {
        let mask = match self.code {
            eh::EM_RISCV => EF_RISCV_FLOAT_ABI,
            eh::EM_PPC64 => EF_PPC64_ABI,
            _ => 0,
        };
        self.flags & mask == other.flags & mask
    }

    /// Whether this is the machine that this code runs on, or one whose programs it runs as well.
    pub(crate) fn is_this_machine(self) -> bool {
        match std::env::consts::ARCH {
            "x86_64" => matches!(self.code, eh::EM_X86_64 | eh::EM_386),
            "x86" => self.code == eh::EM_386,
            "aarch64" => matches!(self.code, eh::EM_AARCH64 | eh::EM_ARM),
            "arm" => self.code == eh::EM_ARM,
            "s390x" => self.code == eh::EM_S390,
            "powerpc64" => self.code == eh::EM_PPC64,
            "riscv64" => self.code == eh::EM_RISCV,
            "loongarch64" => self.code == eh::EM_LOONGARCH,
            _ => false,
        }
    }
}

impl Class {
    /// 32 or 64.
    pub fn bits(self) -> u32 {
        match self {
            Class::Elf32 => 32,
            Class::Elf64 => 64,
        }
    }
}

/// The facts of glibc that depend on the machine.
pub(crate) mod glibc {
    use super::{ByteOrder, Class, EF_PPC64_ABI, EF_RISCV_FLOAT_ABI, Machine, eh};

    /// The flags of the entries of ld.so.cache that count, the exact ones first (`_dl_cache_check_flags` in glibc).
    pub(crate) fn cache_flags(machine: Machine) -> &'static [i32] {
        match (machine.code, machine.class) {
            (eh::EM_X86_64, Class::Elf64) => &[0x303],
            (eh::EM_X86_64, Class::Elf32) => &[0x803],
            (eh::EM_386, _) => &[3, 1],
            (eh::EM_AARCH64, _) => &[0xa03],
            (eh::EM_ARM, _) if machine.flags & 0x400 != 0 => &[0x903, 3],
            (eh::EM_ARM, _) if machine.flags & 0x200 != 0 => &[0xb03, 3],
            (eh::EM_ARM, _) => &[3, 0x903, 0xb03],
            (eh::EM_S390, Class::Elf64) => &[0x403],
            (eh::EM_PPC64, _) => &[0x503],
            (eh::EM_RISCV, Class::Elf64) if machine.flags & EF_RISCV_FLOAT_ABI == 4 => &[0x1003],
            (eh::EM_RISCV, Class::Elf64) => &[0xf03],
            (eh::EM_LOONGARCH, Class::Elf64) if machine.flags & 7 == 3 => &[0x1203],
            (eh::EM_LOONGARCH, Class::Elf64) => &[0x1103],
            (eh::EM_MIPS, Class::Elf64) => &[0x703],
            (eh::EM_MIPS, Class::Elf32) if machine.flags & 0x20 != 0 => &[0x603],
            _ => &[3],
        }
    }

    /// Whether the entry that ldconfig makes of a library of `other` counts for programs of `machine`.
    pub(crate) fn counts_in_cache(machine: Machine, other: Machine) -> bool {
        let is_same = machine.mismatch(other).is_none() && machine.same_abi(other);
        is_same && cache_flags(machine).contains(&cache_flags(other)[0])
    }

    /// The directories that upstream's build gives the loader where its binary does not tell them.
    pub(crate) fn builtin_directories(machine: Machine) -> &'static [&'static str] {
        match (machine.code, machine.class) {
            (eh::EM_X86_64, Class::Elf32) => &["/libx32", "/usr/libx32"],
            (eh::EM_RISCV, Class::Elf64) if machine.flags & EF_RISCV_FLOAT_ABI == 4 => {
                &["/lib64/lp64d", "/usr/lib64/lp64d"]
            }
            (eh::EM_RISCV, Class::Elf64) => &["/lib64/lp64", "/usr/lib64/lp64"],
            (eh::EM_X86_64 | eh::EM_AARCH64 | eh::EM_PPC64 | eh::EM_LOONGARCH | eh::EM_S390, Class::Elf64) => {
                &["/lib64", "/usr/lib64"]
            }
            (eh::EM_MIPS, Class::Elf64) => &["/lib64", "/usr/lib64"],
            _ => &["/lib", "/usr/lib"],
        }
    }

    /// The subdirectories of glibc-hwcaps that a CPU can have, the best first (ld.so(8), "Hardware capabilities").
    pub(crate) fn levels(machine: Machine) -> &'static [&'static str] {
        match (machine.code, machine.class, machine.byte_order) {
            (eh::EM_X86_64, Class::Elf64, _) => &["x86-64-v4", "x86-64-v3", "x86-64-v2"],
            (eh::EM_S390, Class::Elf64, _) => &["z16", "z15", "z14", "z13"],
            (eh::EM_PPC64, _, ByteOrder::Little) => &["power10", "power9"],
            _ => &[],
        }
    }

    /// The subdirectories that loaders up to 2.36 search for some CPUs or for all (`_dl_important_hwcaps`), the shorter
    /// first.
    pub(crate) fn legacy_subdirectories(machine: Machine) -> Vec<String> {
        let parts: &[&[&str]] = match (machine.code, machine.class) {
            (eh::EM_X86_64, Class::Elf64) => &[&["tls"], &["haswell", "xeon_phi"], &["avx512_1"], &["x86_64"]],
            (eh::EM_386, _) => &[&["tls"], &["i686", "i586", "i486"], &["sse2"], &["cmov"]],
            (eh::EM_ARM, _) => &[&["tls"], &["v7l", "v6l"], &["neon"], &["vfp"]],
            (eh::EM_S390, _) => &[&["tls"], platforms(machine)],
            (eh::EM_PPC64, _) => &[&["tls"], platforms(machine), &["altivec"]],
            _ => &[&["tls"]],
        };
        let mut paths = vec![String::new()];
        for names in parts {
            let longer: Vec<String> =
                paths.iter().flat_map(|path| names.iter().map(move |name| format!("{path}/{name}"))).collect();
            paths.extend(longer);
        }
        let mut paths: Vec<String> = paths.iter().skip(1).map(|path| path[1..].to_owned()).collect();
        paths.sort_by_key(|path| path.split('/').count());
        paths
    }

    /// What `$PLATFORM` can stand for: `AT_PLATFORM` of the kernel, or what glibc makes of the CPU (ld.so(8)).
    pub(crate) fn platforms(machine: Machine) -> &'static [&'static str] {
        match (machine.code, machine.class, machine.byte_order) {
            (eh::EM_X86_64, ..) => &["x86_64", "haswell", "xeon_phi"],
            (eh::EM_386, ..) => &["i686", "i586", "i486", "i386"],
            (eh::EM_AARCH64, _, ByteOrder::Little) => &["aarch64"],
            (eh::EM_AARCH64, _, ByteOrder::Big) => &["aarch64_be"],
            (eh::EM_ARM, _, ByteOrder::Little) => &["v7l", "v8l", "v6l", "v5l"],
            (eh::EM_LOONGARCH, ..) => &["loongarch"],
            (eh::EM_S390, ..) => &["z900", "z990", "z9-109", "z10", "z196", "zEC12", "z13", "z14", "z15", "z16"],
            (eh::EM_PPC64, ..) if machine.flags & EF_PPC64_ABI == 2 => &["power8", "power9", "power10"],
            _ => &[],
        }
    }

    /// The name of the object that the kernel maps into each process; never a file (vdso(7)).
    pub(crate) fn vdso(machine: Machine) -> &'static str {
        match (machine.code, machine.class) {
            (eh::EM_386, _) => "linux-gate.so.1",
            (eh::EM_S390 | eh::EM_PPC64, Class::Elf64) => "linux-vdso64.so.1",
            (eh::EM_S390 | eh::EM_PPC, Class::Elf32) => "linux-vdso32.so.1",
            _ => "linux-vdso.so.1",
        }
    }
}
