//! The image's file tree: what stands at each path, in one order, with no conflict.

mod draft;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::collect::{Closure, Extra, Source, impossible, unopenable};
use crate::error::{Cause, Result};
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
    say: Say,
    mode: u32,
    capabilities: Option<Arc<[u8]>>,
}

/// What stands at a path of the image.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Directory,
    Link(PathBuf),
    File(Source),
    /// A further name of the file at another path, copied from a further name.
    HardLink(PathBuf, Source),
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
    /// A file of the caller.
    Extra,
    Program,
}

/// Who says what stands at a path. Of two who name one, the later counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Say {
    /// A closure has it, or holds something that is in it.
    Closure,
    Need,
    Caller,
}

/// Which of two entries for one path stands there.
enum Settled {
    Known,
    New,
    /// They are different things.
    Conflict,
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
            Content::HardLink(target, _) => EntryKind::HardLink(target.clone()),
            Content::Generated(_) => EntryKind::Generated,
        }
    }

    /// The permission bits: 0755 for ELF files and files with any x bit, 0644 for other files, 0777 for symlinks, and
    /// for directories 0755, or what the caller gives.
    ///
    /// Setuid and setgid bits of a file are here only where they are kept; see
    /// [`ImageBuilder::keep_setuid`](crate::ImageBuilder::keep_setuid).
    pub fn mode(&self) -> u32 {
        self.mode
    }

    /// The capabilities that the file has of its own, as they are stored (capabilities(7)), where they are kept; see
    /// [`ImageBuilder::file_capabilities`](crate::ImageBuilder::file_capabilities).
    pub fn capabilities(&self) -> Option<&[u8]> {
        self.capabilities.as_deref()
    }

    /// The bytes of data that it adds to the image.
    pub fn size(&self) -> u64 {
        match &self.content {
            Content::File(source) => source.stamp.size,
            Content::Generated(bytes) => bytes.len() as u64,
            Content::Directory | Content::Link(_) | Content::HardLink(..) => 0,
        }
    }

    /// Why it is in the image, in words.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The file of this machine that it is a copy of, by the name under which it was found.
    pub(crate) fn copied_from(&self) -> Option<&Source> {
        match &self.content {
            Content::File(source) | Content::HardLink(_, source) => Some(source),
            Content::Directory | Content::Link(_) | Content::Generated(_) => None,
        }
    }

    pub(crate) fn content(&self) -> &Content {
        &self.content
    }

    /// Whether the caller gave it beside the programs.
    pub(crate) fn is_given(&self) -> bool {
        self.say == Say::Caller
    }
}

/// The whole tree, in the order in which a layer holds it.
#[derive(Debug)]
pub(crate) struct Tree {
    entries: Vec<Entry>,
}

impl Tree {
    /// The tree of these programs and what they need, and of what the caller gives.
    pub(crate) fn of(closures: &[Closure], given: &[Extra], keeps_setuid: bool) -> Result<Tree, Cause> {
        let entries = Draft::of(closures, given).finish(keeps_setuid)?;
        let impossible: Vec<String> = entries.iter().filter_map(Entry::problem).collect();
        if impossible.is_empty() { Ok(Tree { entries }) } else { Err(Cause::Unsupported(impossible.join("\n"))) }
    }

    /// Gives programs, and files of the caller, the capabilities that `of` reads. Every name of a file has them, for
    /// whoever unpacks a layer gives each member its owner, by which a file loses them (chown(2)).
    pub(crate) fn keep_capabilities(&mut self, of: impl Fn(&Source) -> Result<Option<Vec<u8>>>) -> Result<()> {
        let mut known: HashMap<PathBuf, Arc<[u8]>> = HashMap::new();
        for entry in self.entries.iter_mut().filter(|entry| entry.rank >= Rank::Extra) {
            entry.capabilities = match &entry.content {
                Content::File(source) => of(source)?.map(Arc::from),
                Content::HardLink(first, _) => known.get(first).cloned(),
                _ => None,
            };
            if let Some(capabilities) = &entry.capabilities {
                known.insert(entry.path.clone(), capabilities.clone());
            }
        }
        Ok(())
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

impl Entry {
    fn new(path: &Path, content: Content, reason: String, rank: Rank) -> Self {
        let mode = content.usual_mode();
        Entry { path: path.to_owned(), content, reason, rank, say: Say::Closure, mode, capabilities: None }
    }

    fn settle(&self, new: &Entry) -> Settled {
        let gives_way = |entry: &Entry, other: &Entry| entry.say == Say::Need && other.say == Say::Caller;
        match self.is_same(new) {
            // A program that is a library of another one stays a program.
            true if (new.rank, new.say) > (self.rank, self.say) => Settled::New,
            true => Settled::Known,
            false if gives_way(self, new) => Settled::New,
            false if gives_way(new, self) => Settled::Known,
            false => Settled::Conflict,
        }
    }

    fn is_same(&self, other: &Entry) -> bool {
        match (&self.content, &other.content) {
            (Content::Directory, Content::Directory) => self.say != other.say || self.mode == other.mode,
            (Content::Link(one), Content::Link(two)) => one == two,
            (Content::File(one), Content::File(two)) => one.stamp.id == two.stamp.id,
            (Content::Generated(one), Content::Generated(two)) => one == two,
            _ => false,
        }
    }

    /// Why no image can hold it.
    fn problem(&self) -> Option<String> {
        let of_target = |target: &Path| match target.as_os_str().is_empty() {
            true => Some("a symlink needs a target"),
            false => unopenable(target),
        };
        let why = impossible(&self.path).or_else(|| match &self.content {
            Content::Link(target) => of_target(target),
            _ => None,
        });
        why.map(|why| format!("{} ({}) can be in no image: {why}", printable(&self.path), self.reason))
    }

    fn in_words(&self) -> String {
        match &self.content {
            Content::Directory => format!("a directory of mode {:04o}", self.mode),
            Content::Link(target) => format!("a symlink to {}", printable(target)),
            Content::File(source) => printable(&source.on_machine()).to_string(),
            Content::HardLink(target, _) => format!("a hard link to {}", printable(target)),
            Content::Generated(_) => "a generated file".to_owned(),
        }
    }
}

impl Content {
    fn usual_mode(&self) -> u32 {
        match self {
            Content::Directory => 0o755,
            Content::Link(_) => 0o777,
            Content::File(source) if source.is_elf || source.stamp.mode & 0o111 != 0 => 0o755,
            Content::File(_) | Content::HardLink(..) | Content::Generated(_) => 0o644,
        }
    }

    /// The setuid and setgid bits of a file that mean something on this machine: without an x bit the first is of no
    /// use, and without the group's the second means something else (execve(2), inode(7)).
    fn special_bits(&self) -> u32 {
        match self {
            Content::File(source) => {
                let mode = source.stamp.mode;
                let setuid = if mode & 0o111 != 0 { mode & 0o4000 } else { 0 };
                let setgid = if mode & 0o010 != 0 { mode & 0o2000 } else { 0 };
                setuid | setgid
            }
            _ => 0,
        }
    }
}
