//! A file of this machine, and what in it tells of its needs.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::analyze::{Buffers, Elf, Hints};
use crate::root::{Input, Root, Stamp};

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
    pub(super) fn open_unchanged(&self) -> Option<Input> {
        self.root.open(&self.real).ok().filter(|input| input.stamp == self.stamp)
    }
}

/// What in a file tells of its needs, read when somebody asks for the first time: no loader looks at it.
#[derive(Debug, Default)]
pub(crate) struct LazyHints {
    unread: Option<(Arc<Elf>, Source)>,
    /// `None` where the file is no longer as it was.
    read: OnceLock<Option<Hints>>,
}

impl LazyHints {
    pub(super) fn unread(elf: Arc<Elf>, source: Source) -> LazyHints {
        LazyHints { unread: Some((elf, source)), read: OnceLock::new() }
    }

    pub(super) fn read(hints: Hints) -> LazyHints {
        LazyHints { unread: None, read: OnceLock::from(Some(hints)) }
    }

    /// Nothing, where the file has changed.
    pub(crate) fn get(&self) -> &Hints {
        static NONE: Hints = Hints::NONE;
        self.look().unwrap_or(&NONE)
    }

    /// Whether nobody can say any more what was in the file when it was analyzed.
    pub(super) fn are_lost(&self) -> bool {
        self.look().is_none()
    }

    fn look(&self) -> Option<&Hints> {
        let read = || match &self.unread {
            None => Some(Hints::NONE),
            Some((elf, source)) => {
                let input = source.open_unchanged()?;
                Some(Hints::read(elf, &input.file, input.stamp.size, &mut Buffers::default()))
            }
        };
        self.read.get_or_init(read).as_ref()
    }
}
