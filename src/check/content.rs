//! What the files of an image say, found out while their bytes pass by.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Read;
use std::rc::Rc;

use super::blob::{sha256, unreadable};
use super::limits::{Budget, MAX_DECOMPRESSED, MAX_FILE, MAX_LIST, MAX_LISTS, MAX_LOADERS, MAX_SAID};
use super::members::{Data, Source};
use super::sparse::Sparse;
use super::view::{ContentId, FileNode};
use crate::analyze::{Elf, ElfKind, ReadAt, VersionNeed};
use crate::collect::{LoaderText, Parsed};
use crate::error::Cause;
use crate::root::{FileId, Input, Stamp};

/// How an ELF file begins (elf(5)).
const MAGIC: &[u8] = b"\x7fELF";

/// How glibc's cache begins, in its old and its new form (`sysdeps/generic/dl-cache.h` in glibc).
const CACHE_MAGIC: [&[u8]; 2] = [b"ld.so-1.7.0", b"glibc-ld.so.cache"];

/// Bytes that tell one kind of file from another.
const START: usize = 20;

/// What the files of an image are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Whether its programs start.
    Check,
    /// What differs between it and another, which takes the digest of every file as well.
    Compare,
}

/// Makes the files of one image.
#[derive(Debug)]
pub(super) struct Contents {
    reading: Reading,
    made: u64,
    /// What every file says that is no ELF file.
    nothing: Rc<Parsed>,
    /// Files of one inode, where they come from a directory.
    known: HashMap<FileId, Rc<Parsed>>,
    loaders: Loaders,
    said: Budget,
    lists: Budget,
    /// Of a directory's files, by inode.
    digests: HashMap<FileId, [u8; 32]>,
    hashed: Budget,
}

/// The texts of the files that can be loaders.
pub(super) type Loaders = HashMap<FileId, LoaderText>;

impl Contents {
    pub(super) fn new(reading: Reading) -> Self {
        Contents {
            reading,
            made: 0,
            nothing: Rc::new(Parsed::generated(0)),
            known: HashMap::new(),
            loaders: Loaders::new(),
            said: Budget::new("bytes of names in its ELF files", MAX_SAID),
            lists: Budget::new("bytes of lists for loaders", MAX_LISTS),
            digests: HashMap::new(),
            hashed: Budget::new("bytes in its files", MAX_DECOMPRESSED),
        }
    }

    pub(super) fn into_loaders(self) -> Loaders {
        self.loaders
    }

    /// The file of `size` bytes that pass by.
    pub(super) fn passing<S: Source>(
        &mut self,
        name: &OsStr,
        mode: u32,
        size: u64,
        data: &mut Data<'_, S>,
    ) -> Result<FileNode<'static>, Cause> {
        let mut bytes = Vec::new();
        data.take(START as u64).read_to_end(&mut bytes).map_err(unreadable)?;
        if is_list(name, &bytes) {
            self.expect_list(size)?;
            data.take(size).read_to_end(&mut bytes).map_err(unreadable)?;
            return Ok(self.list(mode, bytes));
        }
        if !bytes.starts_with(MAGIC) {
            return Ok(self.other(mode));
        }
        let stamp = self.stamp();
        let parsed = if size > MAX_FILE {
            self.analyzed(&Sparse::keep(bytes, size, data).map_err(unreadable)?, size, stamp)?
        } else {
            data.read_to_end(&mut bytes).map_err(unreadable)?;
            self.analyzed(bytes.as_slice(), size, stamp)?
        };
        Ok(FileNode::new(mode, parsed))
    }

    /// Whether the files are compared with those of another image.
    pub(super) fn compares(&self) -> bool {
        self.reading == Reading::Compare
    }

    /// One more file of a layer.
    pub(super) fn identify(&mut self, sha256: [u8; 32]) -> ContentId {
        ContentId { file: self.stamp().id, sha256 }
    }

    /// A file of a directory.
    pub(super) fn open(&mut self, name: &OsStr, input: &Input) -> Result<FileNode<'static>, Cause> {
        let node = self.opened(name, input)?;
        if !self.compares() {
            return Ok(node);
        }
        let content = Some(ContentId { file: input.stamp.id, sha256: self.digest(input)? });
        Ok(FileNode { content, capabilities: input.capabilities()?, ..node })
    }

    fn digest(&mut self, input: &Input) -> Result<[u8; 32], Cause> {
        if let Some(known) = self.digests.get(&input.stamp.id) {
            return Ok(*known);
        }
        self.hashed.spend(input.stamp.size)?;
        let sha256 = sha256(input, 0, input.stamp.size)?;
        if !input.is_unchanged() {
            return Err(Cause::malformed("it changed while it was read; try again when nothing writes to it"));
        }
        self.digests.insert(input.stamp.id, sha256);
        Ok(sha256)
    }

    fn opened(&mut self, name: &OsStr, input: &Input) -> Result<FileNode<'static>, Cause> {
        let Stamp { mode, size, id, .. } = input.stamp;
        let mut start = [0; START];
        let filled = input.read_at(&mut start, 0)?;
        let start = &start[..filled];
        if is_list(name, start) {
            self.expect_list(size)?;
            let mut bytes = Vec::new();
            (&input.file).take(size).read_to_end(&mut bytes)?;
            return Ok(self.list(mode, bytes));
        }
        if !start.starts_with(MAGIC) {
            return Ok(self.other(mode));
        }
        let parsed = match self.known.get(&id) {
            Some(known) => known.clone(),
            None => self.analyzed(input, size, input.stamp)?,
        };
        self.known.insert(id, parsed.clone());
        let capabilities = if mode & 0o111 != 0 { input.capabilities()? } else { None };
        Ok(FileNode { capabilities, ..FileNode::new(mode, parsed) })
    }

    /// A file whose bytes cannot be had.
    pub(super) fn unknown(&mut self, mode: u32, why: Cause) -> FileNode<'static> {
        let parsed = Parsed::nothing(self.stamp(), why);
        FileNode::new(mode, Rc::new(parsed))
    }

    /// A file that is no ELF file and no list.
    fn other(&self, mode: u32) -> FileNode<'static> {
        FileNode::new(mode, self.nothing.clone())
    }

    fn list(&self, mode: u32, bytes: Vec<u8>) -> FileNode<'static> {
        FileNode { bytes: Some(Cow::Owned(bytes)), ..self.other(mode) }
    }

    fn expect_list(&mut self, size: u64) -> Result<(), Cause> {
        if size > MAX_LIST {
            return Err(Cause::malformed(format!("a list for a loader has {size} bytes; the limit is {MAX_LIST}")));
        }
        self.lists.spend(size)
    }

    fn analyzed<R: ReadAt + ?Sized>(&mut self, source: &R, size: u64, stamp: Stamp) -> Result<Rc<Parsed>, Cause> {
        let parsed = Parsed::read(source, size, stamp);
        if let Ok(elf) = &parsed.elf {
            self.said.spend(said_by(elf))?;
            if can_be_loader(elf) {
                self.remember_loader(source, size, stamp)?;
            }
        }
        Ok(Rc::new(parsed))
    }

    /// Where its strings cannot be read, its name tells whose loader it is.
    fn remember_loader<R: ReadAt + ?Sized>(&mut self, source: &R, size: u64, stamp: Stamp) -> Result<(), Cause> {
        let Ok(text) = LoaderText::read(source, size) else { return Ok(()) };
        if !text.tells_libc() {
            return Ok(());
        }
        if self.loaders.len() >= MAX_LOADERS {
            return Err(Cause::malformed(format!("it holds more than {MAX_LOADERS} loaders, which is the limit")));
        }
        self.loaders.insert(stamp.id, text);
        Ok(())
    }

    fn stamp(&mut self) -> Stamp {
        self.made += 1;
        Stamp::invented(self.made)
    }
}

/// A list that some loader reads: by its name, or as a cache that a link leads to.
fn is_list(name: &OsStr, start: &[u8]) -> bool {
    let name = name.as_encoded_bytes();
    name == b"ld.so.cache"
        || name == b"ld.so.preload"
        || (name.starts_with(b"ld-musl-") && name.ends_with(b".path"))
        || CACHE_MAGIC.iter().any(|magic| start.starts_with(magic))
}

/// A loader is loaded by the kernel, so nothing else can be loaded for it.
fn can_be_loader(elf: &Elf) -> bool {
    elf.kind() == ElfKind::SharedObject && elf.interpreter().is_none() && elf.needed().next().is_none()
}

/// Bytes that are kept of it.
fn said_by(elf: &Elf) -> u64 {
    let dependencies = elf.dependencies().iter().map(|dependency| dependency.name());
    let lists = [elf.interpreter(), elf.soname(), elf.rpath(), elf.runpath()].into_iter().flatten();
    let versions = elf.needed_versions().map(|need| need.version()).chain(elf.defined_versions().into_iter().flatten());
    let names = dependencies.chain(lists).chain(elf.audit()).chain(versions);
    names.map(|name| (name.len() + size_of::<VersionNeed>()) as u64).sum()
}
