//! The image's file tree: what stands at each path, in one order, with no conflict.

mod draft;

use std::path::{Path, PathBuf};

use crate::collect::{Closure, Source};
use crate::error::Cause;
use crate::text::printable;
use draft::Draft;

/// One path of the image.
#[derive(Clone, Debug)]
pub struct Entry {
    path: PathBuf,
    content: Content,
    reason: String,
    /// Programs come last in a layer, so that what changes most is at its end.
    rank: Rank,
}

/// What stands at a path of the image.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Directory,
    Link(PathBuf),
    File(Source),
    /// A further name of the file at another path.
    HardLink(PathBuf),
    /// Bytes that are made for this image.
    Generated(Vec<u8>),
}

/// What kind of thing stands at a path of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A symlink with this target.
    Symlink(PathBuf),
    /// A regular file, copied from this path on this machine.
    File(PathBuf),
    /// A further name of the file at this path in the image.
    HardLink(PathBuf),
    /// A regular file that was made for the image.
    Generated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Frame,
    Library,
    Program,
}

impl Entry {
    /// The absolute path in the image.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What stands there.
    pub fn kind(&self) -> EntryKind {
        match &self.content {
            Content::Directory => EntryKind::Directory,
            Content::Link(target) => EntryKind::Symlink(target.clone()),
            Content::File(source) => EntryKind::File(source.on_machine()),
            Content::HardLink(target) => EntryKind::HardLink(target.clone()),
            Content::Generated(_) => EntryKind::Generated,
        }
    }

    /// The permission bits: 0755 for directories, programs and ELF files, 0644 for other files, 0777 for symlinks.
    pub fn mode(&self) -> u32 {
        match &self.content {
            Content::Directory => 0o755,
            Content::Link(_) => 0o777,
            Content::File(source) if source.is_elf || source.stamp.mode & 0o111 != 0 => 0o755,
            Content::HardLink(_) => 0o755,
            Content::File(_) | Content::Generated(_) => 0o644,
        }
    }

    /// The bytes of data that it adds to the image.
    pub fn size(&self) -> u64 {
        match &self.content {
            Content::File(source) => source.stamp.size,
            Content::Generated(bytes) => bytes.len() as u64,
            Content::Directory | Content::Link(_) | Content::HardLink(_) => 0,
        }
    }

    /// Why it is in the image, in words.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    pub(crate) fn content(&self) -> &Content {
        &self.content
    }
}

/// The whole tree, in the order in which a layer holds it.
#[derive(Debug)]
pub(crate) struct Tree {
    entries: Vec<Entry>,
}

impl Tree {
    /// The tree of these programs and what they need.
    pub(crate) fn of(closures: &[Closure]) -> Result<Tree, Cause> {
        Draft::of(closures).finish().map(|entries| Tree { entries })
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

impl Entry {
    fn new(path: &Path, content: Content, reason: String, rank: Rank) -> Self {
        Entry { path: path.to_owned(), content, reason, rank }
    }

    fn is_same(&self, other: &Entry) -> bool {
        match (&self.content, &other.content) {
            (Content::Directory, Content::Directory) => true,
            (Content::Link(one), Content::Link(two)) => one == two,
            (Content::File(one), Content::File(two)) => one.stamp.id == two.stamp.id,
            (Content::Generated(one), Content::Generated(two)) => one == two,
            _ => false,
        }
    }

    fn in_words(&self) -> String {
        match &self.content {
            Content::Directory => "a directory".to_owned(),
            Content::Link(target) => format!("a symlink to {}", printable(target)),
            Content::File(source) => printable(&source.on_machine()).to_string(),
            Content::HardLink(target) => format!("a hard link to {}", printable(target)),
            Content::Generated(_) => "a generated file".to_owned(),
        }
    }
}
