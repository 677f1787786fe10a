//! A file of this machine, and what in it tells of its needs.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::analyze::{Buffers, Elf, Hints};
use crate::error::Cause;
use crate::root::{Fault, Input, Root, Stamp};

/// A file of this machine in the state in which it was analyzed.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) root: Arc<Root>,
    /// In the root, all symlinks resolved.
    pub(crate) real: PathBuf,
    pub(crate) stamp: Stamp,
    pub(crate) is_elf: bool,
}

impl Source {
    pub(crate) fn on_machine(&self) -> PathBuf {
        self.root.on_machine(&self.real)
    }

    /// Opens it, if it is still as it was.
    pub(crate) fn open_unchanged(&self) -> Result<Input, Cause> {
        match self.root.open(&self.real) {
            Ok(input) if input.stamp == self.stamp => Ok(input),
            Ok(_) | Err(Fault::Directory | Fault::Special | Fault::OfKernel | Fault::Loop) => Err(Cause::Changed),
            Err(fault) => Err(fault.into_cause()),
        }
    }
}

/// What in a file tells of its needs, read when somebody asks for the first time: no loader looks at it.
#[derive(Debug, Default)]
pub(crate) struct LazyHints {
    unread: Option<(Arc<Elf>, Source)>,
    read: OnceLock<Result<Hints, Cause>>,
}

impl LazyHints {
    pub(super) fn unread(elf: Arc<Elf>, source: Source) -> LazyHints {
        LazyHints { unread: Some((elf, source)), read: OnceLock::new() }
    }

    pub(super) fn read(hints: Result<Hints, Cause>) -> LazyHints {
        LazyHints { unread: None, read: OnceLock::from(hints) }
    }

    /// None, where the file is not as it was, or cannot be read: see [`LazyHints::loss`].
    pub(crate) fn get(&self) -> &Hints {
        static NONE: Hints = Hints::NONE;
        let read = || match &self.unread {
            None => Ok(Hints::NONE),
            Some((elf, source)) => {
                let input = source.open_unchanged().map_err(|cause| match cause {
                    Cause::NotFound => Cause::Changed,
                    other => other,
                })?;
                Hints::read(elf, &input, input.stamp.size, &mut Buffers::default())
            }
        };
        self.read.get_or_init(read).as_ref().unwrap_or(&NONE)
    }

    /// The file of which somebody who asked got none, and why.
    pub(super) fn loss(&self) -> Option<(&Source, &Cause)> {
        let (_, source) = self.unread.as_ref()?;
        Some((source, self.read.get()?.as_ref().err()?))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::root::{Fault, Walker};

    #[test]
    fn whoever_asks_for_what_was_in_a_file_that_has_changed_learns_that_nobody_knows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app");
        fs::copy(std::env::current_exe().unwrap(), &path).unwrap();
        let root = Arc::new(Root::at(directory.path()).unwrap());
        let (walk, input) = Walker::new(&root).open(Path::new("/app")).map_err(Fault::into_cause).unwrap();
        let elf = Arc::new(Elf::read(&path).unwrap());
        let source = Source { root, real: walk.real, stamp: input.stamp, is_elf: true };
        let [early, late, gone] = [(); 3].map(|()| LazyHints::unread(elf.clone(), source.clone()));
        assert!(!early.get().symbols().is_empty() && early.loss().is_none());
        assert!(late.loss().is_none(), "nobody asked");
        fs::OpenOptions::new().append(true).open(&path).and_then(|file| file.set_len(input.stamp.size + 1)).unwrap();
        assert!(late.get().symbols().is_empty() && matches!(late.loss(), Some((_, Cause::Changed))));
        fs::remove_file(&path).unwrap();
        assert!(gone.get().symbols().is_empty() && matches!(gone.loss(), Some((_, Cause::Changed))));
        assert!(!early.get().symbols().is_empty(), "what was read stays");
    }
}
