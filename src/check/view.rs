//! A finished tree as the loader sees it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::io::Errno;

use crate::collect::{Closure, FileTree, Opened, Parsed, Spot, World};
use crate::root::{Fault, FileId, MAX_LINKS, Walk, steps_to_walk};
use crate::tree::{Content, Entry, Tree};

/// A tree, by path, and what its files say.
pub(crate) struct View<'t> {
    entries: HashMap<&'t OsStr, &'t Entry>,
    parsed: HashMap<FileId, Rc<Parsed>>,
}

impl<'t> View<'t> {
    pub(crate) fn of(tree: &'t Tree, closures: &[Closure]) -> Self {
        let entries = tree.entries().iter().map(|entry| (entry.path().as_os_str(), entry)).collect();
        let objects = closures.iter().flat_map(Closure::all);
        let parsed =
            objects.map(|object| (object.file_source().stamp.id, Rc::new(Parsed::of_object(object)))).collect();
        View { entries, parsed }
    }

    /// Whether the kernel would run the file at `path`; if not, why.
    pub(crate) fn executable(&self, path: &Path) -> Result<(), &'static str> {
        match self.entry(path) {
            Err(_) => Err("is not in the image"),
            Ok((_, entry)) if !matches!(entry.content(), Content::File(_)) => Err("is no file of a program"),
            Ok((_, entry)) if entry.mode() & 0o111 == 0 => Err("is not executable"),
            Ok(_) => Ok(()),
        }
    }

    /// The bytes of a file that was made for the image.
    pub(crate) fn bytes(&self, path: &Path) -> Option<&'t [u8]> {
        match self.entry(path).ok()?.1.content() {
            Content::Generated(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The file where `path` leads, hard links followed to the name that has the bytes.
    fn entry(&self, path: &Path) -> Result<(PathBuf, &'t Entry), Fault> {
        let real = self.walk(path)?;
        let entry = *self.entries.get(real.as_os_str()).ok_or(Fault::Directory)?;
        match entry.content() {
            Content::HardLink(first) => self.entries.get(first.as_os_str()).map(|first| (real, *first)).ok_or(ABSENT),
            Content::Directory => Err(Fault::Directory),
            _ => Ok((real, entry)),
        }
    }

    /// Where `path` leads, as the kernel walks it.
    fn walk(&self, path: &Path) -> Result<PathBuf, Fault> {
        let mut rest: Vec<&OsStr> = steps_to_walk(path).collect();
        let mut real = PathBuf::from("/");
        let mut links = 0;
        while let Some(name) = rest.pop() {
            if real != Path::new("/") && !self.is_real_directory(&real) {
                return Err(Fault::System(Errno::NOTDIR));
            }
            if name == ".." {
                real.pop();
                continue;
            }
            real.push(name);
            let entry = *self.entries.get(real.as_os_str()).ok_or(ABSENT)?;
            if let Content::Link(target) = entry.content() {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Fault::Loop);
                }
                real.pop();
                if target.is_absolute() {
                    real = PathBuf::from("/");
                }
                rest.extend(steps_to_walk(target));
            }
        }
        Ok(real)
    }

    fn is_real_directory(&self, real: &Path) -> bool {
        let entry = self.entries.get(real.as_os_str());
        entry.is_some_and(|entry| matches!(entry.content(), Content::Directory))
    }
}

impl FileTree for View<'_> {
    fn open(&self, spot: &Spot) -> Result<Opened, Fault> {
        let (real, entry) = self.entry(&spot.path)?;
        let Content::File(source) = entry.content() else { return Err(Fault::Special) };
        let parsed = self.parsed.get(&source.stamp.id).ok_or(Fault::Special)?.clone();
        Ok(Opened { walk: Walk::to(real), parsed })
    }

    fn is_directory(&self, _: World, path: &Path) -> bool {
        self.walk(path).is_ok_and(|real| real == Path::new("/") || self.is_real_directory(&real))
    }
}

const ABSENT: Fault = Fault::System(Errno::NOENT);
