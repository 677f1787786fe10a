//! How much is believed of what is read, and how much is written. No real program comes near; what exceeds one of these is
//! refused with an error that names the limit, never cut short in silence.

/// Bytes of a file that is read or goes into an image: 64 GiB.
pub const MAX_FILE: u64 = 64 << 30;

/// Bytes of all files of a layer: 256 GiB.
pub const MAX_LAYER: u64 = 256 << 30;

/// Objects of one closure: the program, its interpreter, and what they load. The largest programs known have 700.
pub const MAX_OBJECTS: usize = 4_096;

/// Paths that the loader of one program tries. One with 500 libraries and 50 directories to search takes a million.
pub const MAX_LOOKUPS: u64 = 2 << 20;

/// Symlinks that one path may cross, as in Linux (path_resolution(7)).
pub const MAX_LINKS: usize = 40;

/// Program headers of a file: as many as fit in the 64 KiB that Linux reads (`load_elf_phdrs` in the kernel).
pub const MAX_PROGRAM_HEADERS: usize = 1170;

/// Bytes of the path of an interpreter, the NUL at its end included (`load_elf_binary` in the kernel).
pub const MAX_INTERPRETER: u64 = 4_096;

/// Entries of a dynamic section.
pub const MAX_DYNAMIC_ENTRIES: usize = 65_536;

/// `DT_NEEDED`, `DT_AUXILIARY` and `DT_FILTER` entries of one object.
pub const MAX_NEEDED: usize = 8_192;

/// Bytes of the names in these entries.
pub const MAX_NEEDED_NAMES: usize = 1 << 20;

/// Bytes of the name of a needed object, or of a version; Linux opens no longer path.
pub const MAX_NAME: u64 = 4_096;

/// Bytes of a soname, or of a list of search directories or of auditing objects.
pub const MAX_PATH_LIST: u64 = 65_536;

/// Directories of one `DT_RPATH`, `DT_RUNPATH` or `LD_LIBRARY_PATH`, and elements of one list of auditing objects.
pub const MAX_PATH_ELEMENTS: usize = 4_096;

/// Records of the symbol versions that one object defines and needs.
pub const MAX_VERSIONS: usize = 8_192;

/// Bytes of their names.
pub const MAX_VERSION_NAMES: usize = 1 << 20;

/// Symbols of one file. Chromium has some 300,000.
pub const MAX_SYMBOLS: u64 = 4 << 20;

/// Relocations of one file that are looked at, where nothing else tells how many symbols it has.
pub const MAX_RELOCATIONS: u64 = 16 << 20;

/// Bytes of the notes of one file. Programs have under 2,000.
pub const MAX_NOTES: u64 = 256 << 10;

/// Names of libraries, locales and character sets that are looked for among the constants of a program. Where there are
/// more, a finding says so.
pub const MAX_NAMED: usize = 16_384;

/// Entries of the `.note.dlopen` of one file, and names in one entry.
pub const MAX_DLOPEN_NOTES: usize = 1_024;

/// Bytes of one file of a package database. A Debian with 3,000 packages has a `status` of 5 MB.
pub const MAX_PACKAGE_FILE: u64 = 64 << 20;

/// Bytes of the package databases of a root that are read. A Debian with 3,000 packages has 30 MB.
pub const MAX_PACKAGE_BYTES: u64 = 512 << 20;

/// Files in one directory of a package database. A package of Debian has three to eight.
pub const MAX_PACKAGE_NAMES: usize = 131_072;

/// Paths in package databases that have the file name of something in an image, and may be another name of it.
pub const MAX_PACKAGE_PATHS: usize = 65_536;

/// Bytes of what is written of one package: its paragraph in a database.
pub const MAX_PACKAGE_RECORD: usize = 1 << 20;

/// Bytes of a lock. One of an image with 10,000 files has 2 MB.
pub const MAX_LOCK: u64 = 64 << 20;

/// Entries of a lock.
pub const MAX_LOCK_ENTRIES: usize = 1 << 18;

/// Names that the objects of a lock need, all together.
pub const MAX_LOCK_NAMES: usize = 1 << 20;

/// Bytes of a line of a lock, which has up to three paths, each byte of which may take four, and the names that an object needs.
pub const MAX_LOCK_LINE: usize = 128 << 10;
