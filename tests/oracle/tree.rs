//! A directory as values that can be compared.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What stands at one path.
#[derive(PartialEq, Eq)]
pub(crate) enum Node {
    Directory { mode: u32 },
    File { mode: u32, contents: Vec<u8> },
    Link { target: PathBuf },
}

impl Node {
    /// Those of a file.
    pub(crate) fn contents(self) -> Option<Vec<u8>> {
        match self {
            Node::File { contents, .. } => Some(contents),
            Node::Directory { .. } | Node::Link { .. } => None,
        }
    }

    /// Without a file's contents.
    pub(crate) fn summary(&self) -> String {
        match self {
            Node::Directory { mode } => format!("directory {mode:04o}"),
            Node::File { mode, contents } => format!("file {mode:04o}, {} bytes", contents.len()),
            Node::Link { target } => format!("link to {}", target.display()),
        }
    }
}

/// All that is below `root`, by its path there.
pub(crate) fn read(root: &Path) -> BTreeMap<PathBuf, Node> {
    let mut nodes = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                directories.push(path.clone());
            }
            nodes.insert(path.strip_prefix(root).unwrap().to_owned(), node(&path, &metadata));
        }
    }
    nodes
}

fn node(path: &Path, metadata: &Metadata) -> Node {
    let mode = metadata.permissions().mode() & 0o7777;
    if metadata.is_dir() {
        Node::Directory { mode }
    } else if metadata.is_symlink() {
        Node::Link { target: fs::read_link(path).unwrap() }
    } else {
        Node::File { mode, contents: fs::read(path).unwrap() }
    }
}
