//! How much of an ELF file is believed. No real file comes near; a crafted one is refused by name.

/// Program headers of a file: as many as fit in the 64 KiB that Linux reads (`load_elf_phdrs` in the kernel).
pub const MAX_PROGRAM_HEADERS: usize = 1170;

/// Entries of a dynamic section.
pub const MAX_DYNAMIC_ENTRIES: usize = 65_536;

/// `DT_NEEDED`, `DT_AUXILIARY` and `DT_FILTER` entries of one object.
pub const MAX_NEEDED: usize = 8_192;

/// Bytes of the name of a needed object; Linux opens no longer path.
pub const MAX_NAME: u64 = 4_096;

/// Bytes of a soname, or of a list of search directories.
pub const MAX_PATH_LIST: u64 = 65_536;

/// Records of the symbol versions that one object defines and needs.
pub const MAX_VERSIONS: usize = 8_192;

/// Bytes of their names.
pub const MAX_VERSION_NAMES: usize = 1 << 20;

/// Symbols of one file whose names are looked at; what is behind them tells nothing. Chromium has some 300,000.
pub const MAX_SYMBOLS: u64 = 1 << 20;

/// Relocations of one file that are looked at, where nothing else tells how many symbols it has.
pub const MAX_RELOCATIONS: u64 = 1 << 20;

/// Section headers that are looked at. Programs have some 40.
pub const MAX_SECTIONS: usize = 4_096;

/// Bytes of a static program's read-only parts that are searched for texts.
pub const MAX_TEXTS: u64 = 32 << 20;

/// Entries of the `.note.dlopen` of one file, and names in one entry.
pub const MAX_DLOPEN_NOTES: usize = 1_024;
