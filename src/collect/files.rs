//! The files that a search looks at: where a path leads, and what the object there says.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use rustix::io::Errno;

use super::search::FileTree;
use super::source::{LazyHints, Source};
use crate::analyze::{self, Buffers, Elf, Hints, Machine, ReadAt};
use crate::error::Cause;
use crate::root::{Fault, FileId, Input, MAX_NAMES, Root, Stamp, Walk, Walker};

/// Which file tree a path is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum World {
    /// The root that the program will find as `/`.
    Root,
    /// This machine: what the caller names, whatever the root is.
    Machine,
}

/// A path in one of the two trees.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Spot {
    pub(crate) world: World,
    pub(crate) path: PathBuf,
}

/// A regular file that was opened, and what it says.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub(crate) walk: Walk,
    pub(crate) parsed: Rc<Parsed>,
}

/// What a file says of itself, once per inode.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) stamp: Stamp,
    /// What its header names, also where the rest is damaged.
    pub(crate) machine: Option<Machine>,
    pub(crate) elf: Result<Arc<Elf>, Cause>,
    pub(crate) hints: Arc<LazyHints>,
}

/// The two trees, each file of which is analyzed once.
pub(crate) struct Files<'r> {
    root: Tree<'r>,
    machine: Tree<'r>,
    parsed: RefCell<HashMap<FileId, Rc<Parsed>>>,
    buffers: RefCell<Buffers>,
    /// Files that are in no closure, but without which it might be another one.
    read: RefCell<BTreeSet<PathBuf>>,
}

/// One of the two trees.
struct Tree<'r> {
    root: &'r Arc<Root>,
    walker: Walker<'r>,
}

impl<'r> Tree<'r> {
    fn new(root: &'r Arc<Root>) -> Self {
        Tree { root, walker: Walker::new(root) }
    }
}

impl<'r> Files<'r> {
    pub(crate) fn new(root: &'r Arc<Root>, machine: &'r Arc<Root>) -> Self {
        Files {
            root: Tree::new(root),
            machine: Tree::new(machine),
            parsed: RefCell::default(),
            buffers: RefCell::default(),
            read: RefCell::default(),
        }
    }

    /// What was looked at beside the files that were found, on this machine: files, and directories in which a new file
    /// might be found instead.
    pub(crate) fn looked_at(&self) -> BTreeSet<PathBuf> {
        let searched = [&self.root, &self.machine].map(|tree| (tree.root, tree.walker.searched()));
        let on_machine = |(root, paths): (&Arc<Root>, Vec<PathBuf>)| {
            paths.into_iter().map(|path| root.on_machine(&path).components().collect()).collect::<Vec<_>>()
        };
        searched.into_iter().flat_map(on_machine).chain(self.read.borrow().iter().cloned()).collect()
    }

    pub(crate) fn walker(&self, world: World) -> &Walker<'r> {
        &self.tree(world).walker
    }

    fn tree(&self, world: World) -> &Tree<'r> {
        match world {
            World::Root => &self.root,
            World::Machine => &self.machine,
        }
    }

    /// Opens and analyzes the regular file at `spot`.
    pub(crate) fn open(&self, spot: &Spot) -> Result<Opened, Fault> {
        self.open_to_read(spot).map(|(opened, _)| opened)
    }

    /// The same, with the file to be read further.
    pub(crate) fn open_to_read(&self, spot: &Spot) -> Result<(Opened, Input), Fault> {
        let tree = self.tree(spot.world);
        let (walk, input) = tree.walker.open(&spot.path)?;
        Ok((Opened { parsed: self.parse(tree, &walk, &input), walk }, input))
    }

    /// The regular file at `spot`, to be read.
    pub(crate) fn input(&self, spot: &Spot) -> Result<Input, Fault> {
        let tree = self.tree(spot.world);
        let (walk, input) = tree.walker.open(&spot.path)?;
        self.note_read(tree, &walk);
        Ok(input)
    }

    fn note_read(&self, tree: &Tree<'_>, walk: &Walk) {
        self.read.borrow_mut().insert(tree.root.on_machine(&walk.real));
    }

    /// All bytes of the regular file at `path` in the root, if it has no more than `limit`.
    pub(crate) fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, Fault> {
        let input = self.input(&Spot { world: World::Root, path: path.to_owned() })?;
        read_range(&input, 0, input.stamp.size.min(limit)).map_err(|error| Fault::System(errno(&error)))
    }

    /// The same of a file that means something only as a whole. That it has more than `limit` bytes, or may not be read, is
    /// taken down.
    pub(crate) fn read_whole(&self, path: &Path, limit: u64) -> Result<Vec<u8>, Fault> {
        let (walk, input) = self.file_there(path)?;
        self.note_read(&self.root, &walk);
        let size = input.stamp.size;
        if size > limit {
            let why =
                format!("it has {size} bytes, and no such file has more than {limit}; remove it, or make it anew");
            self.root.root.note(path, Cause::malformed(why));
            return Err(Fault::System(Errno::FBIG));
        }
        read_range(&input, 0, size).map_err(|error| Fault::System(errno(&error)))
    }

    /// The regular file at `path` in the root, which need not be there; that it may not be read is taken down.
    pub(crate) fn file_there(&self, path: &Path) -> Result<(Walk, Input), Fault> {
        self.noting(path, self.root.walker.open(path))
    }

    /// What comes of reading a file or a directory in the root that need not be there, and would be part of what is wanted.
    /// That it may not be read is taken down, and that it holds more names than are believed.
    pub(crate) fn noting<T>(&self, path: &Path, done: Result<T, Fault>) -> Result<T, Fault> {
        done.inspect_err(|&fault| match fault {
            Fault::System(Errno::ACCESS | Errno::PERM) => self.root.root.note(path, fault.into_cause()),
            Fault::System(Errno::OVERFLOW) => {
                let why = format!("it holds more than {MAX_NAMES} names, which is the limit");
                self.root.root.note(path, Cause::malformed(why));
            }
            _ => {}
        })
    }

    /// The names in the directory at `path` in the root, in the order of their bytes.
    pub(crate) fn names(&self, path: &Path) -> Result<Vec<OsString>, Fault> {
        self.root.walker.names(path)
    }

    /// The same of a directory that need not be there; that it may not be read is taken down.
    pub(crate) fn names_there(&self, path: &Path) -> Vec<OsString> {
        self.noting(path, self.names(path)).unwrap_or_default()
    }

    fn parse(&self, tree: &Tree<'_>, walk: &Walk, input: &Input) -> Rc<Parsed> {
        let mut parsed = self.parsed.borrow_mut();
        let read = || {
            let stamp = input.stamp;
            let (machine, elf) = analyzed(input, stamp.size, &mut self.buffers.borrow_mut());
            let source = || Source { root: tree.root.clone(), real: walk.real.clone(), stamp, is_elf: true };
            let hints = elf.as_ref().map(|elf| Arc::new(LazyHints::unread(elf.clone(), source())));
            Rc::new(Parsed { stamp, machine, hints: hints.unwrap_or_default(), elf })
        };
        parsed.entry(input.stamp.id).or_insert_with(read).clone()
    }
}

impl FileTree for Files<'_> {
    fn open(&self, spot: &Spot) -> Result<Opened, Fault> {
        Files::open(self, spot)
    }

    fn is_directory(&self, world: World, path: &Path) -> bool {
        self.walker(world).directory(path).is_ok()
    }

    fn lacks(&self, directory: &Spot, name: &OsStr) -> bool {
        self.walker(directory.world).is_known_to_lack(&directory.path, name)
    }

    fn note_refused(&self, spot: &Spot) {
        let tree = self.tree(spot.world);
        if let Ok(walk) = tree.walker.walk(&spot.path) {
            self.note_read(tree, &walk);
        }
    }
}

impl Parsed {
    /// What `source`, of `size` bytes, says.
    pub(crate) fn read<R: ReadAt + ?Sized>(source: &R, size: u64, stamp: Stamp) -> Self {
        let mut buffers = Buffers::default();
        let (machine, elf) = analyzed(source, size, &mut buffers);
        let hints = elf.as_ref().map_or(Ok(Hints::NONE), |elf| Hints::read(elf, source, size, &mut buffers));
        Parsed { stamp, machine, elf, hints: Arc::new(LazyHints::read(hints)) }
    }

    /// Of a file that is none of ours, or cannot be read.
    pub(crate) fn nothing(stamp: Stamp, why: Cause) -> Self {
        Parsed { stamp, machine: None, elf: Err(why), hints: Arc::default() }
    }
}

/// What its header names, and what a loader reads of it.
fn analyzed<R: ReadAt + ?Sized>(
    source: &R,
    size: u64,
    buffers: &mut Buffers,
) -> (Option<Machine>, Result<Arc<Elf>, Cause>) {
    let elf = Elf::read_into(source, size, buffers).map(Arc::new);
    let machine = match &elf {
        Ok(elf) => Some(elf.machine()),
        Err(_) => analyze::machine_of_file(source, size),
    };
    (machine, elf)
}

/// The read-only parts of an object, in all at most `limit` bytes.
pub(super) fn read_only_parts<R: ReadAt + ?Sized>(source: &R, size: u64, limit: u64) -> io::Result<Vec<Vec<u8>>> {
    let mut rest = limit;
    let bounded = analyze::read_only_parts(source, size).unwrap_or_default().into_iter().map(|(at, size)| {
        let size = size.min(rest);
        rest -= size;
        (at, size)
    });
    bounded.map(|(at, size)| read_range(source, at, size)).collect()
}

fn read_range<R: ReadAt + ?Sized>(source: &R, at: u64, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(usize::MAX));
    source.fill(&mut bytes, at)?;
    Ok(bytes)
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// What this machine fails at is taken down, whoever reads.
impl ReadAt for Input {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.noting(ReadAt::read_at(&self.file, buffer, offset))
    }

    fn fill(&self, bytes: &mut Vec<u8>, offset: u64) -> io::Result<()> {
        self.noting(self.file.fill(bytes, offset))
    }
}
