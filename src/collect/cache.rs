//! The loader's cache: its file, or where a sysroot has none, what ldconfig would put there.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::files::{Files, Opened, Spot, World};
use super::ld_cache::{self, LdCache};
use super::ld_conf::LdConf;
use super::search::Variants;
use crate::analyze::{ByteOrder, ElfKind, Machine, glibc};
use crate::root::Fault;
use crate::text::printable;

/// What the loader asks behind the search paths.
pub(crate) enum Cache<'f> {
    File(LdCache),
    Unbuilt(UnbuiltCache<'f>),
}

impl<'f> Cache<'f> {
    /// `None` for what the loader would take for no cache.
    pub(crate) fn of_file(bytes: Vec<u8>, byte_order: ByteOrder) -> Option<Self> {
        LdCache::parse(bytes, byte_order).map(Cache::File)
    }

    /// What ldconfig would make of the `ld.so.conf` at `conf` for programs of `machine`.
    pub(crate) fn unbuilt(files: &'f Files<'f>, conf: &Path, machine: Machine) -> Self {
        Cache::Unbuilt(UnbuiltCache::new(files, conf, machine))
    }

    /// The path that a cache has for `name`, and the subdirectory for some CPUs that it is in.
    pub(crate) fn lookup(
        &self,
        name: &OsStr,
        machine: Machine,
        variants: &Variants,
    ) -> Option<(PathBuf, Option<String>)> {
        match self {
            Cache::File(cache) => {
                let (path, variant) = cache.lookup(name.as_bytes(), machine, variants)?;
                Some((PathBuf::from(OsStr::from_bytes(path)), variant))
            }
            Cache::Unbuilt(cache) => cache.lookup(name, variants),
        }
    }

    /// The directories that were looked in; none where a file tells.
    pub(crate) fn directories(&self) -> &[PathBuf] {
        match self {
            Cache::File(_) => &[],
            Cache::Unbuilt(cache) => &cache.conf.directories,
        }
    }

    /// What there is in the place of a file.
    pub(crate) fn as_unbuilt(&self) -> Option<&UnbuiltCache<'f>> {
        match self {
            Cache::File(_) => None,
            Cache::Unbuilt(cache) => Some(cache),
        }
    }
}

/// A cache that nobody made, an entry at a time (`search_dir` in glibc's elf/ldconfig.c).
pub(crate) struct UnbuiltCache<'f> {
    files: &'f Files<'f>,
    path: PathBuf,
    conf: LdConf,
    machine: Machine,
    /// For each directory, if it was listed.
    indices: Vec<OnceCell<Index>>,
    problems: RefCell<BTreeSet<String>>,
}

/// Names of files, by the names that a cache has for them.
type Index = HashMap<OsString, OsString>;

impl<'f> UnbuiltCache<'f> {
    fn new(files: &'f Files<'f>, path: &Path, machine: Machine) -> Self {
        let conf = LdConf::read(files, path);
        let indices = conf.directories.iter().map(|_| OnceCell::new()).collect();
        let problems = RefCell::new(conf.problems.clone());
        UnbuiltCache { files, path: path.to_owned(), conf, machine, indices, problems }
    }

    /// The `ld.so.conf` that was read in its place.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What could not be read, in words, and so may be wanting.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.problems.borrow().iter().cloned().collect()
    }

    /// Of several directories the first counts; and before it the best of their subdirectories for some CPUs.
    fn lookup(&self, name: &OsStr, variants: &Variants) -> Option<(PathBuf, Option<String>)> {
        let subdirectories = variants.subdirectories.iter();
        let variant = subdirectories.filter(|_| is_library_name(name)).filter_map(|variant| {
            let mut paths = self.conf.directories.iter().map(|directory| directory.join(variant).join(name));
            let path = paths.find(|path| self.entry(path).is_some_and(|entry| entry.key == name))?;
            Some((path, Some(variant.clone())))
        });
        let plain = || {
            let mut directories = self.conf.directories.iter().zip(&self.indices);
            let path = directories.find_map(|(directory, index)| self.look_in(directory, index, name));
            path.map(|path| (path, None))
        };
        variant.into_iter().next().or_else(|| if variants.plain { plain() } else { None })
    }

    fn look_in(&self, directory: &Path, index: &OnceCell<Index>, name: &OsStr) -> Option<PathBuf> {
        let path = directory.join(name);
        // Nearly every library has the name that others ask for.
        if is_library_name(name) && self.entry(&path).is_some_and(|entry| entry.key == name) {
            return Some(path);
        }
        let file = index.get_or_init(|| self.index(directory)).get(name)?;
        // ldconfig makes a link with the name that others ask for, and has that in its cache.
        let is_there = self.files.walker(World::Root).walk(&path).is_ok();
        Some(if is_there { path } else { directory.join(file) })
    }

    fn index(&self, directory: &Path) -> Index {
        let names = self.files.names(directory).map_err(|fault| self.note(directory, fault)).unwrap_or_default();
        let mut best: HashMap<OsString, (bool, OsString)> = HashMap::new();
        for name in names.into_iter().filter(|name| is_library_name(name)) {
            let Some(Entry { key, is_file }) = self.entry(&directory.join(&name)) else { continue };
            let new = (is_file, name);
            match best.get_mut(&key) {
                Some(known) if is_newer(known, &new) => *known = new,
                Some(_) => {}
                None => drop(best.insert(key, new)),
            }
        }
        best.into_iter().map(|(key, (_, name))| (key, name)).collect()
    }

    /// What is not there, or no regular file, ldconfig would pass over as well.
    fn note(&self, path: &Path, fault: Fault) {
        if matches!(fault, Fault::System(_)) && !fault.is_absence() {
            self.problems.borrow_mut().insert(format!("{} cannot be read", printable(path)));
        }
    }

    /// What a cache would have of the library at `path`; `None` for what is no library of this machine.
    fn entry(&self, path: &Path) -> Option<Entry> {
        let opened = self.files.open(&Spot { world: World::Root, path: path.to_owned() });
        let Opened { walk, parsed } = opened.map_err(|fault| self.note(path, fault)).ok()?;
        let elf = parsed.elf.as_ref().ok()?;
        let is_ours = glibc::counts_in_cache(self.machine, elf.machine());
        if !is_ours || elf.kind() != ElfKind::SharedObject {
            return None;
        }
        let name = path.file_name()?;
        let key = elf.soname().unwrap_or(name).to_owned();
        let is_link = walk.real.file_name() != Some(name) && is_for_linkers(name, &key);
        Some(Entry { key, is_file: !is_link })
    }
}

struct Entry {
    key: OsString,
    /// Rather than a link that linkers follow.
    is_file: bool,
}

/// Whether a name is `libx.so` for `libx.so.1`. ldconfig takes links with other names for files.
fn is_for_linkers(name: &OsStr, soname: &OsStr) -> bool {
    name.as_bytes().ends_with(b".so") && soname.as_bytes().starts_with(name.as_bytes())
}

/// Of several files with one soname, ldconfig takes a file rather than such a link, and then the one with the higher number.
fn is_newer(known: &(bool, OsString), new: &(bool, OsString)) -> bool {
    let names = || ld_cache::compare(known.1.as_bytes(), new.1.as_bytes());
    known.0.cmp(&new.0).then_with(names).is_lt()
}

/// ldconfig passes over files with other names (ldconfig(8)).
fn is_library_name(name: &OsStr) -> bool {
    let name = name.as_bytes();
    (name.starts_with(b"lib") || name.starts_with(b"ld-")) && memmem::find(name, b".so").is_some()
}
