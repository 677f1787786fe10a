//! A file tree of an image as the loader sees it.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::io::Errno;

use crate::analyze::ReadAt;
use crate::collect::{Closure, FileTree, LoaderBuild, Opened, Parsed, SYSTEM_PRELOAD, Source, Spot, World};
use crate::error::Cause;
use crate::root::{
    Capabilities, Fault, FileId, MAX_LINKS, Walk, ends_as_directory, expect_possible, gains_rights, steps_to_walk,
};
use crate::text::printable;
use crate::tree::{Content, Tree};

/// Bytes of a list of the caller's that a loader would read.
const MAX_LIST: usize = 64 << 20;

/// What stands at each path of an image; the root itself is no entry.
pub(crate) type Nodes<'t> = HashMap<Cow<'t, OsStr>, Node<'t>>;

/// What stands at a path of an image.
#[derive(Clone, Debug)]
pub(crate) enum Node<'t> {
    /// Of these permission bits.
    Directory(u32),
    Link(Cow<'t, Path>),
    File(FileNode<'t>),
    /// A device, a FIFO, a socket.
    Special,
}

/// A regular file, with what matters of it.
#[derive(Clone, Debug)]
pub(crate) struct FileNode<'t> {
    pub(crate) mode: u32,
    /// The capabilities that it has of its own.
    pub(crate) capabilities: Option<Capabilities>,
    pub(crate) parsed: Rc<Parsed>,
    /// All of its bytes, where a loader reads them as a list.
    pub(crate) bytes: Option<Cow<'t, [u8]>>,
    /// Where the tree is compared with another.
    pub(crate) content: Option<ContentId>,
}

/// Which file it is, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ContentId {
    /// The same for all names of a file.
    pub(crate) file: FileId,
    pub(crate) sha256: [u8; 32],
}

impl FileNode<'_> {
    /// One of which the bytes do not matter.
    pub(crate) fn new(mode: u32, parsed: Rc<Parsed>) -> Self {
        FileNode { mode, capabilities: None, parsed, bytes: None, content: None }
    }

    /// Whether whoever runs it gets rights by that.
    pub(crate) fn gains_rights(&self) -> bool {
        gains_rights(self.mode) || self.capabilities.as_ref().is_some_and(|capabilities| capabilities.grant_rights)
    }
}

/// A file tree, by path, and what its files say.
pub(crate) struct View<'t> {
    nodes: Nodes<'t>,
    /// How often it may still be asked what stands at a path.
    patience: Cell<u64>,
}

impl<'t> View<'t> {
    pub(crate) fn new(nodes: Nodes<'t>) -> Self {
        View { nodes, patience: Cell::new(u64::MAX) }
    }

    /// Lets `work` look at so many paths, and answers how many were left; where none were, the loader was led to an end.
    pub(crate) fn patiently<T>(&self, paths: u64, work: impl FnOnce() -> T) -> (T, u64) {
        self.patience.set(paths);
        let done = work();
        (done, self.patience.replace(u64::MAX))
    }

    /// A tree that was made of these closures.
    pub(crate) fn of(tree: &'t Tree, closures: &[Closure]) -> Result<Self, Cause> {
        let objects = closures.iter().flat_map(Closure::all);
        let parsed: HashMap<FileId, Rc<Parsed>> =
            objects.map(|object| (object.file_source().stamp.id, Rc::new(Parsed::of_object(object)))).collect();
        let lists = lists(closures);
        let mut nodes = Nodes::with_capacity(tree.entries().len());
        for entry in tree.entries() {
            let capabilities = entry.capabilities().map(Capabilities::of);
            let file = |parsed, bytes| {
                Node::File(FileNode {
                    bytes,
                    capabilities: capabilities.clone(),
                    ..FileNode::new(entry.mode(), parsed)
                })
            };
            let node = match entry.content() {
                Content::Directory => Node::Directory(entry.mode()),
                Content::Link(target) => Node::Link(Cow::Borrowed(target)),
                Content::File(source) => match parsed.get(&source.stamp.id) {
                    Some(parsed) => file(parsed.clone(), None),
                    None => match read(source, entry.path().file_name().is_some_and(|name| lists.contains(name))) {
                        Ok((parsed, bytes)) => file(Rc::new(parsed), bytes.map(Cow::Owned)),
                        Err(fault @ Cause::Io(_)) => return Err(fault.within(printable(&source.on_machine()))),
                        Err(_) => Node::Special,
                    },
                },
                // The name that has the bytes comes first.
                Content::HardLink(first, _) => nodes.get(first.as_os_str()).cloned().unwrap_or(Node::Special),
                Content::Generated(bytes) => file(Rc::new(Parsed::generated(nodes.len())), Some(Cow::Borrowed(bytes))),
            };
            nodes.insert(Cow::Borrowed(entry.path().as_os_str()), node);
        }
        Ok(View::new(nodes))
    }

    /// All regular files with their paths, in no order.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Path, &FileNode<'t>)> {
        self.nodes.iter().filter_map(|(path, node)| match node {
            Node::File(file) => Some((Path::new(path as &OsStr), file)),
            _ => None,
        })
    }

    /// Whether the kernel would run the file at `path`; if not, why.
    pub(crate) fn executable(&self, path: &Path) -> Result<(), &'static str> {
        match self.file(path) {
            Err(fault) => Err(words(fault)),
            Ok((_, file)) if file.mode & 0o111 == 0 => Err("is not executable"),
            Ok((_, file)) if file.parsed.elf.is_err() => Err("is no program"),
            Ok(_) => Ok(()),
        }
    }

    /// The bytes of a list that a loader reads.
    pub(crate) fn bytes(&self, path: &Path) -> Option<&[u8]> {
        self.file(path).ok()?.1.bytes.as_deref()
    }

    /// The file where `path` leads.
    pub(crate) fn file(&self, path: &Path) -> Result<(PathBuf, &FileNode<'t>), Fault> {
        let real = self.walk(path)?;
        match self.nodes.get(real.as_os_str()) {
            Some(Node::File(file)) => Ok((real, file)),
            Some(Node::Special) => Err(Fault::Special),
            Some(Node::Link(_)) => Err(Fault::Loop),
            Some(Node::Directory(_)) | None => Err(Fault::Directory),
        }
    }

    fn is_out_of_patience(&self) -> bool {
        self.patience.get() == 0
    }

    /// Where `path` leads, as the kernel walks it.
    fn walk(&self, path: &Path) -> Result<PathBuf, Fault> {
        let walk = walk(path, |real| {
            self.patience.set(self.patience.get().saturating_sub(1));
            self.nodes.get(real.as_os_str())
        });
        // In a directory that is there, no loader looks further when it meets this.
        if self.is_out_of_patience() { Err(Fault::Loop) } else { walk }
    }
}

/// The file names of what loaders read as lists.
fn lists(closures: &[Closure]) -> HashSet<&OsStr> {
    let own = closures.iter().filter_map(|closure| match &closure.loader()?.build {
        LoaderBuild::Glibc(build) => build.cache.file_name(),
        LoaderBuild::Musl(build) => build.path_file.file_name(),
    });
    own.chain(Path::new(SYSTEM_PRELOAD).file_name()).collect()
}

/// What a file says that is in no closure, and its bytes if it is a list. One that is not as it was is refused when it
/// is written.
fn read(source: &Source, is_list: bool) -> Result<(Parsed, Option<Vec<u8>>), Cause> {
    if !source.is_elf && !is_list {
        let why = Cause::NotElf("it is not an ELF file".into());
        return Ok((Parsed::nothing(source.stamp, why), None));
    }
    let input = source.open_unchanged()?;
    let parsed = Parsed::read(&input, input.stamp.size, input.stamp);
    if let Err(Cause::Io(error)) = parsed.elf {
        return Err(Cause::Io(error));
    }
    let size = usize::try_from(input.stamp.size).ok().filter(|&size| is_list && size <= MAX_LIST);
    let list = size.map(|size| {
        let mut bytes = vec![0; size];
        let filled = input.read_at(&mut bytes, 0)?;
        bytes.truncate(filled);
        Ok::<_, Cause>(bytes)
    });
    Ok((parsed, list.transpose()?))
}

/// Why there is no file, behind the path of it.
pub(super) fn words(fault: Fault) -> &'static str {
    match fault {
        Fault::Loop => "is behind too many symlinks",
        Fault::Directory => "is a directory",
        Fault::Special | Fault::OfKernel => "is no regular file",
        Fault::System(_) => "is not in the image",
    }
}

/// Where `path` leads among what `node_at` says stands at each path, as the kernel walks it.
fn walk<'n, 't: 'n>(path: &Path, node_at: impl Fn(&Path) -> Option<&'n Node<'t>>) -> Result<PathBuf, Fault> {
    let is_directory = |real: &Path| real == Path::new("/") || matches!(node_at(real), Some(Node::Directory(_)));
    expect_possible(path)?;
    let mut rest: Vec<&OsStr> = steps(path).collect();
    let mut real = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if !is_directory(&real) {
            return Err(Fault::System(Errno::NOTDIR));
        }
        if name == "." {
            continue;
        }
        if name == ".." {
            real.pop();
            continue;
        }
        real.push(name);
        let node = node_at(&real).ok_or(Fault::System(Errno::NOENT))?;
        if let Node::Link(target) = node {
            links += 1;
            if links > MAX_LINKS {
                return Err(Fault::Loop);
            }
            real.pop();
            if target.is_absolute() {
                real = PathBuf::from("/");
            }
            rest.extend(steps(target));
        }
    }
    Ok(real)
}

/// The names of a path, the first last; before them a dot where the path must lead to a directory.
fn steps(path: &Path) -> impl Iterator<Item = &OsStr> {
    ends_as_directory(path).then_some(OsStr::new(".")).into_iter().chain(steps_to_walk(path))
}

impl FileTree for View<'_> {
    fn open(&self, spot: &Spot) -> Result<Opened, Fault> {
        let (real, file) = self.file(&spot.path)?;
        Ok(Opened { walk: Walk::to(real), parsed: file.parsed.clone() })
    }

    fn is_directory(&self, _: World, path: &Path) -> bool {
        let real = self.walk(path);
        self.is_out_of_patience()
            || real.is_ok_and(|real| {
                real == Path::new("/") || matches!(self.nodes.get(real.as_os_str()), Some(Node::Directory(_)))
            })
    }

    /// Nothing here takes a look that is worth being spared.
    fn lacks(&self, _: &Spot, _: &OsStr) -> bool {
        false
    }

    fn note_refused(&self, _: &Spot) {}
}
