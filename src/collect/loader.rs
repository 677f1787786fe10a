//! What a dynamic loader's own binary tells of how it was built.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::musl::{self, MuslBuild, PathFile};
use crate::analyze::{Machine, ReadAt, glibc};
use crate::root::PATH_MAX;

/// The C library whose loader runs the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Libc {
    /// The GNU C library.
    Glibc,
    /// musl.
    Musl,
}

impl Libc {
    /// `glibc` or `musl`, as the command's JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Libc::Glibc => "glibc",
            Libc::Musl => "musl",
        }
    }
}

/// Bytes of the read-only parts of a loader that are looked at. The largest known has under 1 MiB.
const MAX_PARTS: u64 = 8 << 20;

/// Of loaders from 2.33 on.
const HWCAPS: &[u8] = b"glibc-hwcaps";

/// What the strings of a loader's binary tell, whatever its path is.
#[derive(Clone, Debug)]
pub(crate) struct LoaderText {
    libc: Option<Libc>,
    directories: Option<Vec<PathBuf>>,
    cache: PathBuf,
    path_file: Option<OsString>,
    has_hwcaps: bool,
    has_legacy_hwcaps: bool,
    wants_relr_marker: bool,
}

/// Runs of directories in a loader that are compared, and directories of a run; a real loader has a handful.
const MAX_DIRECTORIES: usize = 256;

impl LoaderText {
    /// Of the loader that `source`, of `size` bytes, is.
    pub(crate) fn read<R: ReadAt + ?Sized>(source: &R, size: u64) -> io::Result<LoaderText> {
        super::files::read_only_parts(source, size, MAX_PARTS).map(|parts| LoaderText::of(&parts))
    }

    /// Of the read-only parts of a loader.
    pub(crate) fn of(parts: &[Vec<u8>]) -> LoaderText {
        let holds = |needle: &[u8]| parts.iter().any(|part| memmem::find(part, needle).is_some());
        let is_glibc = holds(b"glibc-ld.so.cache");
        let libc = match is_glibc {
            true => Some(Libc::Glibc),
            false => holds(musl::PATH_FILE).then_some(Libc::Musl),
        };
        let has_hwcaps = holds(HWCAPS);
        LoaderText {
            libc,
            directories: builtin_directories(parts),
            cache: cache_path(parts),
            path_file: if is_glibc { None } else { musl::path_file_name(parts) },
            has_hwcaps,
            // The list of options that says so came with glibc-hwcaps.
            has_legacy_hwcaps: !has_hwcaps || holds(b"Legacy HWCAP subdirectories"),
            wants_relr_marker: holds(b"DT_RELR without GLIBC_ABI_DT_RELR dependency"),
        }
    }

    /// Whether its strings tell whose loader it is, whatever it is called.
    pub(crate) fn tells_libc(&self) -> bool {
        self.libc.is_some()
    }

    /// Which libc's loader it is: by what it holds, then by its name.
    pub(crate) fn libc(&self, path: &Path) -> Option<Libc> {
        self.libc.or_else(|| libc_of_name(path))
    }

    /// The loader at `interpreter`, with its path file where it has one.
    pub(crate) fn build(
        &self,
        interpreter: &Path,
        machine: Machine,
        read_path_file: impl FnOnce(&Path) -> PathFile,
    ) -> Option<LoaderBuild> {
        match self.libc(interpreter)? {
            Libc::Glibc => Some(LoaderBuild::Glibc(GlibcBuild::read(self, machine))),
            Libc::Musl => {
                let path = musl::path_file(self.path_file.as_deref(), interpreter, machine);
                let list = read_path_file(&path);
                Some(LoaderBuild::Musl(MuslBuild::with_list(path, &list)))
            }
        }
    }
}

fn libc_of_name(path: &Path) -> Option<Libc> {
    let name = path.file_name()?.as_bytes();
    let is = |prefix: &[u8]| name.starts_with(prefix);
    match name {
        _ if is(b"ld-musl-") => Some(Libc::Musl),
        _ if is(b"ld-linux") || is(b"ld.so") || is(b"ld64.so") || is(b"ld-2.") => Some(Libc::Glibc),
        _ => None,
    }
}

/// What is built into the loader of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LoaderBuild {
    Glibc(GlibcBuild),
    Musl(MuslBuild),
}

impl LoaderBuild {
    /// The directories searched last.
    pub(crate) fn directories(&self) -> &[PathBuf] {
        match self {
            LoaderBuild::Glibc(build) => &build.directories,
            LoaderBuild::Musl(build) => &build.directories,
        }
    }

    /// The same loader, reading its cache or path file from another tree; and the cache.
    pub(crate) fn in_tree<'b>(&self, read: impl Fn(&Path) -> Option<&'b [u8]>) -> (LoaderBuild, Option<&'b [u8]>) {
        match self {
            LoaderBuild::Glibc(build) => (self.clone(), read(&build.cache)),
            LoaderBuild::Musl(build) => {
                let list = read(&build.path_file).map_or(PathFile::Absent, |list| PathFile::Holds(list.to_vec()));
                (LoaderBuild::Musl(MuslBuild::with_list(build.path_file.clone(), &list)), None)
            }
        }
    }

    pub(crate) fn libc(&self) -> Libc {
        match self {
            LoaderBuild::Glibc(_) => Libc::Glibc,
            LoaderBuild::Musl(_) => Libc::Musl,
        }
    }
}

/// What is built into a glibc loader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GlibcBuild {
    /// The directories searched last, without a slash at the end.
    pub(crate) directories: Vec<PathBuf>,
    pub(crate) cache: PathBuf,
    /// What `$LIB` stands for.
    pub(crate) lib: Vec<u8>,
    /// Whether it searches `glibc-hwcaps` subdirectories: from 2.33 on.
    pub(crate) has_hwcaps: bool,
    /// Whether it searches the older subdirectories for some CPUs: up to 2.36.
    pub(crate) has_legacy_hwcaps: bool,
    /// Whether it refuses objects that have `DT_RELR` and do not say so by a version: from 2.36 on.
    pub(crate) wants_relr_marker: bool,
}

impl GlibcBuild {
    fn read(text: &LoaderText, machine: Machine) -> GlibcBuild {
        let directories = text.directories.clone().unwrap_or_else(|| {
            let fallback = glibc::builtin_directories(machine);
            fallback.iter().map(PathBuf::from).collect()
        });
        GlibcBuild {
            lib: lib_token(&directories),
            cache: text.cache.clone(),
            directories,
            has_hwcaps: text.has_hwcaps,
            has_legacy_hwcaps: text.has_legacy_hwcaps,
            wants_relr_marker: text.wants_relr_marker,
        }
    }

    /// Debian and Ubuntu build with `lib/<triplet>`, and patch the loader to test the machine before the byte order.
    pub(crate) fn is_multiarch(&self) -> bool {
        self.lib.starts_with(b"lib/")
    }
}

/// The directories that the loader searches last: `DIR/` strings, one behind the other. The list stands in the
/// binary once for each source file that includes it (`SYSTEM_DIRS` in glibc).
fn builtin_directories(parts: &[Vec<u8>]) -> Option<Vec<PathBuf>> {
    let runs = parts.iter().flat_map(|part| runs_of_directories(part)).take(MAX_DIRECTORIES);
    let runs: Vec<Vec<&[u8]>> = runs.collect();
    let repeats = |run: &[&[u8]]| runs.iter().filter(|other| *other == run).count() > 1;
    let longest = |wanted: &dyn Fn(&[&[u8]]) -> bool| {
        // The first of the longest, so that nothing depends on what else is in the file.
        runs.iter().filter(|run| wanted(run)).rev().max_by_key(|run| run.len())
    };
    let found = longest(&|run| repeats(run)).or_else(|| longest(&|run| run.len() > 1))?;
    let mut directories: Vec<PathBuf> = Vec::new();
    for directory in found {
        let directory = PathBuf::from(OsStr::from_bytes(&directory[..directory.len() - 1]));
        if !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    Some(directories)
}

fn runs_of_directories(part: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut runs: Vec<Vec<&[u8]>> = Vec::new();
    let mut end_of_last = None;
    for slash in memmem::find_iter(part, b"/\0") {
        let start = memchr::memrchr(0, &part[..slash]).map_or(0, |nul| nul + 1);
        let Some(directory) = directory_string(&part[start..=slash]) else { continue };
        let is_full = runs.len() == MAX_DIRECTORIES;
        match runs.last_mut() {
            Some(run) if end_of_last == Some(start) && run.len() < MAX_DIRECTORIES => run.push(directory),
            Some(_) if end_of_last == Some(start) => {}
            _ if is_full => break,
            _ => runs.push(vec![directory]),
        }
        end_of_last = Some(slash + 2);
    }
    runs
}

/// `/.../lib.../`, behind whatever bytes of another thing run into it.
fn directory_string(string: &[u8]) -> Option<&[u8]> {
    let garbage = string.iter().rposition(|byte| !byte.is_ascii_graphic()).map_or(0, |at| at + 1);
    let directory = &string[garbage..];
    let is_library_directory = memmem::find(directory, b"/lib").is_some();
    let is_path = directory.starts_with(b"/") && directory.len() <= PATH_MAX;
    (is_path && is_library_directory).then_some(directory)
}

/// `/etc/ld.so.cache`, or a path in a store.
fn cache_path(parts: &[Vec<u8>]) -> PathBuf {
    const NAME: &[u8] = b"/ld.so.cache\0";
    let found = parts.iter().find_map(|part| {
        memmem::find_iter(part, NAME).find_map(|at| {
            let start = part[..at].iter().rposition(|byte| !byte.is_ascii_graphic()).map_or(0, |nul| nul + 1);
            let path = &part[start..at + NAME.len() - 1];
            let is_path = path.starts_with(b"/") && path.len() <= PATH_MAX;
            is_path.then(|| PathBuf::from(OsStr::from_bytes(path)))
        })
    });
    found.unwrap_or_else(|| PathBuf::from("/etc/ld.so.cache"))
}

/// What `$LIB` stands for: the part of the first builtin directory from `lib` on (`DL_DST_LIB` in glibc).
fn lib_token(directories: &[PathBuf]) -> Vec<u8> {
    let first = directories.first().map(|path| path.as_os_str().as_bytes()).unwrap_or_default();
    match memmem::rfind(first, b"/lib") {
        Some(at) => first[at + 1..].to_vec(),
        None => b"lib".to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::{GlibcBuild, LoaderText, builtin_directories, cache_path};
    use crate::analyze::{ByteOrder, Class, Machine};
    use std::path::{Path, PathBuf};

    const X86_64: Machine = Machine { code: 62, class: Class::Elf64, byte_order: ByteOrder::Little, flags: 0 };

    fn build(part: &[u8]) -> GlibcBuild {
        GlibcBuild::read(&LoaderText::of(&[part.to_vec()]), X86_64)
    }

    #[test]
    fn a_list_of_directories_is_read_from_the_loader() {
        let debian = b"x\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0\0y\0".repeat(2);
        let build = build(&debian);
        assert_eq!(build.directories.len(), 4);
        assert_eq!(build.directories[0], Path::new("/lib/x86_64-linux-gnu"));
        assert_eq!(build.lib, b"lib/x86_64-linux-gnu");
        assert!(build.is_multiarch());
    }

    #[test]
    fn a_store_path_that_stands_twice_is_a_list_of_one() {
        let nix = b"\0/nix/store/abc-glibc-2.40/lib/\0\0/nix/store/abc-glibc-2.40/etc/ld.so.cache\0".repeat(2);
        let build = build(&nix);
        assert_eq!(build.directories, [PathBuf::from("/nix/store/abc-glibc-2.40/lib")]);
        assert_eq!(build.cache, Path::new("/nix/store/abc-glibc-2.40/etc/ld.so.cache"));
        assert_eq!(build.lib, b"lib");
    }

    #[test]
    fn a_loader_that_tells_nothing_has_the_directories_of_its_machine() {
        assert_eq!(builtin_directories(&[b"/proc/self/\0/lib\0".to_vec()]), None);
        let build = build(b"");
        assert_eq!(build.directories, [PathBuf::from("/lib64"), PathBuf::from("/usr/lib64")]);
        assert_eq!((build.lib.as_slice(), build.cache.as_path()), (&b"lib64"[..], Path::new("/etc/ld.so.cache")));
    }

    #[test]
    fn of_lists_without_number_the_first_are_looked_at() {
        let many = b"/lib/\0x\0".repeat(super::MAX_DIRECTORIES + 1);
        assert_eq!(super::runs_of_directories(&many).len(), super::MAX_DIRECTORIES);
        assert_eq!(super::runs_of_directories(&b"/lib/\0".repeat(1_000))[0].len(), super::MAX_DIRECTORIES);
    }

    #[test]
    fn bytes_that_run_into_a_string_are_no_part_of_it() {
        assert_eq!(cache_path(&[b"\x01\x02/etc/ld.so.cache\0".to_vec()]), Path::new("/etc/ld.so.cache"));
    }
}
