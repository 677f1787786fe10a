//! A small root, and what a need takes from it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::locales::CATEGORIES;
use super::{Neighbour, Supply, Surroundings};
use crate::collect::extra::{Extra, ExtraContent};
use crate::collect::files::{Files, Spot, World};
use crate::collect::loader::Libc;
use crate::root::Root;

/// A root in the making, of glibc; its loader searches `/lib` and `/usr/lib`.
pub(super) struct Tree {
    directory: tempfile::TempDir,
    objects: Vec<PathBuf>,
    libc: Option<Libc>,
    environment: Vec<String>,
}

impl Tree {
    pub(super) fn new() -> Tree {
        let directory = tempfile::tempdir().unwrap();
        Tree { directory, objects: Vec::new(), libc: Some(Libc::Glibc), environment: Vec::new() }
    }

    fn path(&self, path: &str) -> PathBuf {
        let path = self.directory.path().join(path.strip_prefix('/').unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub(super) fn file(self, path: &str, content: &(impl AsRef<[u8]> + ?Sized)) -> Tree {
        fs::write(self.path(path), content).unwrap();
        self
    }

    /// Files of which each holds its own path.
    pub(super) fn files(self, paths: &[impl AsRef<str>]) -> Tree {
        paths.iter().map(AsRef::as_ref).fold(self, |tree, path| tree.file(path, path))
    }

    pub(super) fn without(self, path: &str) -> Tree {
        fs::remove_file(self.path(path)).unwrap();
        self
    }

    pub(super) fn link(self, path: &str, target: &str) -> Tree {
        symlink(target, self.path(path)).unwrap();
        self
    }

    pub(super) fn directory(self, path: &str) -> Tree {
        fs::create_dir(self.path(path)).unwrap();
        self
    }

    pub(super) fn fifo(self, path: &str) -> Tree {
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, self.path(path), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        self
    }

    pub(super) fn sparse(self, path: &str, size: u64) -> Tree {
        fs::File::create(self.path(path)).unwrap().set_len(size).unwrap();
        self
    }

    /// The directory of a locale, `name`, each file of which holds its category.
    pub(super) fn locale(self, name: &str, charset: &str) -> Tree {
        CATEGORIES.into_iter().fold(self, |tree, (_, category)| {
            let file = if category == "LC_MESSAGES" { "LC_MESSAGES/SYS_LC_MESSAGES" } else { category };
            let bytes = if category == "LC_CTYPE" { ctype(charset) } else { category.into() };
            tree.file(&format!("/usr/lib/locale/{name}/{file}"), &bytes)
        })
    }

    /// An object that is loaded, with this among its constants.
    pub(super) fn object(mut self, path: &str, constants: &str) -> Tree {
        self.objects.push(path.into());
        self.file(path, &elf(constants.as_bytes()))
    }

    pub(super) fn libc(mut self, libc: Option<Libc>) -> Tree {
        self.libc = libc;
        self
    }

    pub(super) fn variable(mut self, variable: &str) -> Tree {
        self.environment.push(variable.to_owned());
        self
    }

    /// What is supplied, a line for each path of the image.
    pub(super) fn supplied(&self, supplier: impl FnOnce(&Surroundings<'_>) -> Result<Supply, String>) -> Vec<String> {
        shown(&self.around(supplier).unwrap())
    }

    pub(super) fn refused(&self, supplier: impl FnOnce(&Surroundings<'_>) -> Result<Supply, String>) -> String {
        self.around(supplier).unwrap_err()
    }

    pub(super) fn around<T>(&self, work: impl FnOnce(&Surroundings<'_>) -> T) -> T {
        let root = Arc::new(Root::at(self.directory.path()).unwrap());
        let machine = Arc::new(Root::host().unwrap());
        let files = Files::new(&root, &machine);
        let objects: Vec<Neighbour> = self.objects.iter().map(|path| loaded(&files, path)).collect();
        work(&Surroundings {
            files: &files,
            root: &root,
            directories: &[PathBuf::from("/lib"), PathBuf::from("/usr/lib")],
            objects: &objects,
            libc: self.libc,
            user: None,
            environment: &self.environment,
        })
    }
}

fn loaded(files: &Files<'_>, path: &Path) -> Neighbour {
    let spot = Spot { world: World::Root, path: path.to_owned() };
    let elf = files.open(&spot).unwrap().parsed.elf.as_ref().unwrap().clone();
    Neighbour { name: path.file_name().unwrap().to_owned(), spot, elf }
}

/// What is supplied, a line for each path of the image: `=` before the path of the file where that is another.
pub(super) fn shown(supply: &Supply) -> Vec<String> {
    let extra = |extra: &Extra| match &extra.content {
        ExtraContent::Directory(mode) => format!("{} {mode:o}", extra.at.display()),
        ExtraContent::Link(target) => format!("{} -> {}", extra.at.display(), target.display()),
        ExtraContent::File(source) if source.real == extra.at => extra.at.display().to_string(),
        ExtraContent::File(source) => format!("{} = {}", extra.at.display(), source.real.display()),
        ExtraContent::Generated(_) => format!("{} made", extra.at.display()),
    };
    let modules = supply.modules.iter().map(|module| format!("module {}", module.display()));
    supply.extras.iter().map(extra).chain(modules).collect()
}

/// The bytes that are made for `at`.
pub(super) fn made<'s>(supply: &'s Supply, at: &str) -> &'s [u8] {
    let extra = supply.extras.iter().find(|extra| extra.at == Path::new(at)).unwrap();
    match &extra.content {
        ExtraContent::Generated(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

/// An `LC_CTYPE` that names its character set and says nothing else.
pub(super) fn ctype(charset: &str) -> Vec<u8> {
    let (strings, first) = (15u32, 8 + 15 * 4u32);
    let words = [0x2009_0720, strings].into_iter().chain(std::iter::repeat_n(first, 15));
    words.flat_map(u32::to_le_bytes).chain(charset.bytes()).chain([0]).collect()
}

/// An x86-64 executable of one read-only segment.
fn elf(constants: &[u8]) -> Vec<u8> {
    [elf_header(), segment(64 + 56 + constants.len() as u64), constants.to_vec()].concat()
}

fn elf_header() -> Vec<u8> {
    let ident = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0";
    let kind = [2_u16, 62].map(u16::to_le_bytes).concat();
    let offsets = [0_u64, 64, 0].map(u64::to_le_bytes).concat();
    let sizes = [64_u16, 56, 1, 0, 0, 0].map(u16::to_le_bytes).concat();
    [ident.as_slice(), &kind, &1_u32.to_le_bytes(), &offsets, &0_u32.to_le_bytes(), &sizes].concat()
}

/// PT_LOAD, PF_R: the whole file.
fn segment(size: u64) -> Vec<u8> {
    let kind = [1_u32, 4].map(u32::to_le_bytes).concat();
    let places = [0, 0x10_0000, 0x10_0000, size, size, 0x1000].map(u64::to_le_bytes).concat();
    [kind, places].concat()
}
