//! The tree of an image, as a lock has it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::{Lock, LockEntry, LockedKind, names_needed, needs};
use crate::check::{Node, Nodes};
use crate::error::Cause;
use crate::root::FileId;
use crate::text::printable;

/// The permission bits of a symlink, of which nobody asks.
const OF_LINK: u32 = 0o777;

impl Lock {
    /// What stands in an image, of which nobody knows why.
    pub(super) fn of_tree(nodes: &Nodes<'_>) -> Result<Lock, Cause> {
        let mut needed_by = needs::needed_by(nodes);
        let mut firsts: HashMap<FileId, PathBuf> = HashMap::new();
        let mut sorted: Vec<(&Path, &Node<'_>)> = nodes.iter().map(|(path, node)| (Path::new(path), node)).collect();
        sorted.sort_unstable_by_key(|(path, _)| path.as_os_str());
        let mut lock = Lock::default();
        for (path, node) in sorted {
            let entry = LockEntry { needed_by: needed_by.remove(path), ..entry(path, node, &mut firsts)? };
            lock.entries.insert(path.as_os_str().to_owned(), entry);
        }
        Ok(lock)
    }
}

fn entry(path: &Path, node: &Node<'_>, firsts: &mut HashMap<FileId, PathBuf>) -> Result<LockEntry, Cause> {
    let of = |kind, mode| LockEntry {
        kind,
        mode: mode & 0o7777,
        capabilities: None,
        found_by: None,
        needed_by: None,
        needs: None,
        reason: String::new(),
    };
    let file = match node {
        Node::Directory(mode) => return Ok(of(LockedKind::Directory, *mode)),
        Node::Link(target) => return Ok(of(LockedKind::Symlink(target.to_path_buf()), OF_LINK)),
        Node::Special => return Ok(of(LockedKind::Special, 0)),
        Node::File(file) => file,
    };
    let Some(content) = file.content else {
        let why = file.parsed.elf.as_ref().err().map(ToString::to_string).unwrap_or_default();
        return Err(Cause::malformed(format!("{} cannot be compared: {why}", printable(path))));
    };
    let kind = match firsts.get(&content.file) {
        Some(first) => LockedKind::HardLink(first.clone()),
        None => LockedKind::File(content.sha256),
    };
    firsts.entry(content.file).or_insert_with(|| path.to_owned());
    let capabilities = file.capabilities.as_ref().map(|capabilities| capabilities.value.to_vec());
    let elf = file.parsed.elf.as_deref().ok();
    let needs = elf.map(|elf| names_needed(elf).map(OsStr::to_owned).collect());
    Ok(LockEntry { capabilities, needs, ..of(kind, file.mode) })
}
