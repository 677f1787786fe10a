//! What an image holds beside programs and what their loaders open.

use std::path::PathBuf;

use super::source::Source;
use crate::need::Need;

/// One path of an image, and what stands there.
#[derive(Clone, Debug)]
pub(crate) struct Extra {
    /// Absolute; the directories above it are made where nothing else makes them.
    pub(crate) at: PathBuf,
    pub(crate) content: ExtraContent,
    pub(crate) origin: Origin,
}

/// What stands at a path.
#[derive(Clone, Debug)]
pub(crate) enum ExtraContent {
    /// A directory of these permission bits.
    Directory(u32),
    /// A symlink with this target.
    Link(PathBuf),
    /// The bytes of a file of this machine.
    File(Source),
    /// Bytes that are made for the image.
    Generated(Vec<u8>),
}

impl ExtraContent {
    /// The bytes of data that it adds to the image.
    pub(crate) fn size(&self) -> u64 {
        match self {
            ExtraContent::File(source) => source.stamp.size,
            ExtraContent::Generated(bytes) => bytes.len() as u64,
            ExtraContent::Directory(_) | ExtraContent::Link(_) => 0,
        }
    }
}

/// Why it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The caller named it.
    Caller,
    /// A need; it gives way to what the caller names at the same path.
    Need(Need),
    /// What is told of packages, for this reason; it gives way as well.
    Packages(String),
}
