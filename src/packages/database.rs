//! Reads the files of package databases in a root, as many and as large as are believed.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::analyze::ReadAt;
use crate::error::{Cause, Error, Result};
use crate::limits::{MAX_LINKS, MAX_PACKAGE_BYTES, MAX_PACKAGE_FILE, MAX_PACKAGE_NAMES};
use crate::root::{Fault, Input, Listed, ListedKind, Root, Walker};

const READ: &str = "read the package database";

/// The files of the package databases of a root.
pub(super) struct Databases<'r> {
    pub(super) root: &'r Root,
    pub(super) walker: Walker<'r>,
    /// Bytes that may still be read.
    pub(super) left: Cell<u64>,
    inputs: Vec<PathBuf>,
    /// Paths that were walked because they may be another name of something that is wanted.
    pub(super) walked: Cell<usize>,
}

impl<'r> Databases<'r> {
    pub(super) fn of(root: &'r Root) -> Self {
        let walked = Cell::new(0);
        Databases { root, walker: Walker::new(root), left: Cell::new(MAX_PACKAGE_BYTES), inputs: Vec::new(), walked }
    }

    /// What the directory at `path` holds, in the order of the names; nothing, where it is not there.
    pub(super) fn names(&self, path: &Path) -> Result<Vec<Listed>> {
        let list = |real: &Path| self.root.list(real, MAX_PACKAGE_NAMES);
        match self.walker.directory(path).and_then(|walk| list(&walk.real)) {
            Ok(mut listed) => {
                listed.sort_unstable_by(|one, other| one.name.cmp(&other.name));
                Ok(listed)
            }
            Err(fault) if fault.is_absence() => Ok(Vec::new()),
            Err(Fault::System(Errno::OVERFLOW)) => {
                let why = format!("it holds more than {MAX_PACKAGE_NAMES} files, which is the limit");
                Err(self.failed(path, Cause::malformed(why)))
            }
            Err(fault) => Err(self.failed(path, cause_of(fault))),
        }
    }

    /// Reads the file at `path` into `bytes`, whatever was in them; `false`, where it is not there. It counts as an input.
    pub(super) fn read(&mut self, path: &Path, bytes: &mut Vec<u8>) -> Result<bool> {
        let opened = self.walker.open(path).map(|(_, input)| input);
        let is_there = self.read_opened(path, opened, bytes)?;
        if is_there {
            self.inputs.push(self.root.on_machine(path));
        }
        Ok(is_there)
    }

    /// The same of a file that is no part of a database: what is no regular file states nothing.
    pub(super) fn read_statement(&mut self, path: &Path, bytes: &mut Vec<u8>) -> Result<bool> {
        match self.walker.open(path) {
            Err(Fault::Directory | Fault::Special | Fault::OfKernel | Fault::Loop) => Ok(false),
            _ => self.read(path, bytes),
        }
    }

    /// Opens the file at `path` to be read by position; `None`, where it is not there. It counts as an input.
    pub(super) fn open(&mut self, path: &Path) -> Result<Option<Input>> {
        match self.walker.open(path) {
            Ok((_, input)) => {
                self.inputs.push(self.root.on_machine(path));
                Ok(Some(input))
            }
            Err(fault) if fault.is_absence() => Ok(None),
            Err(fault) => Err(self.failed(path, cause_of(fault))),
        }
    }

    /// The same of a file that a directory listed, which is no input: what else it says, another file says as well.
    pub(super) fn read_listed(&mut self, directory: &Path, listed: &Listed, bytes: &mut Vec<u8>) -> Result<bool> {
        let path = directory.join(&listed.name);
        let opened = match (listed.kind, self.walker.directory(directory)) {
            (ListedKind::File, Ok(walk)) => self.root.open(&walk.real.join(&listed.name)),
            _ => self.walker.open(&path).map(|(_, input)| input),
        };
        self.read_opened(&path, opened, bytes)
    }

    fn read_opened(&mut self, path: &Path, opened: Result<Input, Fault>, bytes: &mut Vec<u8>) -> Result<bool> {
        bytes.clear();
        match opened {
            Ok(input) => self.fill(&input, bytes).map(|()| true).map_err(|cause| self.failed(path, cause)),
            Err(fault) if fault.is_absence() => Ok(false),
            Err(fault) => Err(self.failed(path, cause_of(fault))),
        }
    }

    fn fill(&self, input: &Input, bytes: &mut Vec<u8>) -> Result<(), Cause> {
        let size = input.stamp.size;
        if size > MAX_PACKAGE_FILE {
            return Err(Cause::malformed(format!("it has {size} bytes; the limit is {MAX_PACKAGE_FILE}")));
        }
        let left = self.left.get().checked_sub(size).ok_or_else(|| {
            Cause::malformed(format!("all files of it have more than {MAX_PACKAGE_BYTES} bytes, which is the limit"))
        })?;
        self.left.set(left);
        // One call, for of what grows meanwhile no more is read.
        bytes.resize(usize::try_from(size).unwrap_or(usize::MAX), 0);
        let filled = input.read_at(bytes, 0)?;
        bytes.truncate(filled);
        Ok(())
    }

    /// An error that is on a path in the root.
    pub(super) fn failed(&self, path: &Path, cause: Cause) -> Error {
        cause.on(READ, self.root.on_machine(path))
    }

    /// What of this machine decided, each once, in bytewise order: the files that were read, and the directories in which one
    /// more would have been.
    pub(super) fn inputs(&self) -> Vec<PathBuf> {
        let searched = self.walker.searched().into_iter().map(|path| self.root.on_machine(&path));
        let mut inputs: Vec<PathBuf> = self.inputs.iter().cloned().chain(searched).collect();
        inputs.sort_unstable();
        inputs.dedup();
        inputs
    }
}

fn cause_of(fault: Fault) -> Cause {
    let why = match fault {
        Fault::Directory => "it is a directory, where a file should be; remove it".to_owned(),
        Fault::Special | Fault::OfKernel => "it is no regular file, and is not opened; remove it".to_owned(),
        Fault::Loop => format!("it leads through more than {MAX_LINKS} symlinks, which is the limit"),
        Fault::System(errno) => return Cause::from(errno),
    };
    Cause::malformed(why)
}
