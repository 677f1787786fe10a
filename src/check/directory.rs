//! The file tree of a root directory.

use std::path::{Path, PathBuf};

use super::content::{Contents, Reading};
use super::limits::{MAX_ENTRIES, PathBudget};
use super::view::{Node, Nodes};
use crate::error::Cause;
use crate::root::{Fault, Listed, ListedKind, Root};
use crate::text::printable;

/// What of a running system's root is no file tree, but the kernel's.
const KERNELS: [&str; 3] = ["/proc", "/sys", "/dev"];

/// What is known of a directory.
pub(super) struct Directory<'r> {
    root: &'r Root,
    pub(super) nodes: Nodes<'static>,
    pub(super) contents: Contents,
    /// Directories that could not be read.
    pub(super) unread: Vec<(PathBuf, Cause)>,
    paths: PathBudget,
}

impl<'r> Directory<'r> {
    /// All that is below `root`.
    pub(super) fn read(root: &'r Root, reading: Reading) -> Result<Self, Cause> {
        let mut directory = Directory {
            root,
            nodes: Nodes::new(),
            contents: Contents::new(reading),
            unread: Vec::new(),
            paths: PathBudget::of_image(),
        };
        let mut rest = vec![PathBuf::from("/")];
        while let Some(path) = rest.pop() {
            rest.extend(directory.list(path)?);
        }
        Ok(directory)
    }

    /// Takes down what a directory holds, and answers with the directories in it.
    fn list(&mut self, path: PathBuf) -> Result<Vec<PathBuf>, Cause> {
        let listed = match self.root.list(&path, usize::try_from(MAX_ENTRIES).unwrap_or(usize::MAX)) {
            Ok(listed) => listed,
            // Gone since it was seen.
            Err(fault) if fault.is_absence() => return Ok(Vec::new()),
            Err(fault) => {
                self.unread.push((path, fault.into_cause()));
                return Ok(Vec::new());
            }
        };
        let mut directories = Vec::new();
        for listed in listed {
            let below = path.join(&listed.name);
            self.paths.spend(&below)?;
            let Some(node) = self.node(&path, &below, &listed)? else { continue };
            if matches!(node, Node::Directory(_)) && !KERNELS.iter().any(|kernels| below == Path::new(kernels)) {
                directories.push(below.clone());
            }
            self.nodes.insert(below.into_os_string().into(), node);
        }
        Ok(directories)
    }

    /// What stands at `path`; `None` where it is gone again.
    fn node(&mut self, parent: &Path, path: &Path, listed: &Listed) -> Result<Option<Node<'static>>, Cause> {
        let node = match listed.kind {
            ListedKind::Directory => Ok(Node::Directory(self.mode_of_directory(path))),
            ListedKind::Special => Ok(Node::Special),
            ListedKind::Symlink => self.root.read_link(parent, &listed.name).map(|target| Node::Link(target.into())),
            ListedKind::File => return self.file(path, listed),
        };
        match node {
            Ok(node) => {
                if let Node::Link(target) = &node {
                    self.paths.spend_target(target)?;
                }
                Ok(Some(node))
            }
            Err(fault) if fault.is_absence() => Ok(None),
            Err(fault) => Err(fault.into_cause()),
        }
    }

    fn of_file(&self, path: &Path, cause: Cause) -> Cause {
        if self.contents.compares() { cause.within(printable(path)) } else { cause }
    }

    /// It matters to nothing that loaders do.
    fn mode_of_directory(&self, path: &Path) -> u32 {
        if self.contents.compares() { self.root.mode(path) } else { 0 }
    }

    fn file(&mut self, path: &Path, listed: &Listed) -> Result<Option<Node<'static>>, Cause> {
        let file = match self.root.open(path) {
            Ok(input) => self.contents.open(&listed.name, &input).map_err(|cause| self.of_file(path, cause))?,
            Err(fault) if fault.is_absence() => return Ok(None),
            // Something else stands there by now.
            Err(Fault::Directory | Fault::Special | Fault::OfKernel | Fault::Loop) => return Ok(None),
            Err(fault) => self.contents.unknown(self.root.mode(path), fault.into_cause()),
        };
        Ok(Some(Node::File(file)))
    }
}
