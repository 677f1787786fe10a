//! How much of somebody else's image is believed. No real image comes near; a crafted one is refused by name.

use std::path::Path;

use crate::error::Cause;

/// Members of an archive.
pub(super) const MAX_MEMBERS: u64 = 1 << 16;

/// Bytes of the names of an archive's members, and of what its links lead to.
pub(super) const MAX_MEMBER_NAMES: u64 = 16 << 20;

/// Bytes of one JSON document. Registries refuse manifests above 4 MiB (OCI distribution spec, "Pushing Manifests").
pub(super) const MAX_DOCUMENT: u64 = 4 << 20;

/// Bytes of the PAX records or the long name before a member, as in Go's archive/tar, with which engines read layers.
pub(super) const MAX_RECORDS: u64 = 1 << 20;

/// Images of one archive or layout.
pub(super) const MAX_IMAGES: usize = 1024;

/// Indexes in indexes.
pub(super) const MAX_NESTING: usize = 8;

/// Layers of an image; overlayfs stacks 500 at most.
pub(super) const MAX_LAYERS: usize = 500;

/// Paths of an image, those that a later layer removes included.
pub(super) const MAX_ENTRIES: u64 = 4 << 20;

/// Bytes of all these paths, and of what symlinks lead to.
pub(super) const MAX_PATHS: u64 = 512 << 20;

/// Names that one path may lead through, links followed.
pub(super) const MAX_STEPS: usize = 4096;

/// Bytes of all layers of an image, decompressed. The largest images hold some 100 GiB of models; a bomb of a few MiB
/// ends here after minutes, having cost no memory.
pub(super) const MAX_DECOMPRESSED: u64 = 1 << 40;

/// The binary logarithm of the largest zstd window: 128 MiB, zstd's own limit unless told otherwise.
pub(super) const MAX_WINDOW_LOG: u32 = 27;

/// Bytes of a file that are in memory at a time.
pub(super) const MAX_FILE: u64 = 64 << 20;

/// Bytes of a list that a loader reads.
pub(super) const MAX_LIST: u64 = 16 << 20;

/// Bytes of all such lists of an image.
pub(super) const MAX_LISTS: u64 = 64 << 20;

/// Bytes of what all ELF files of an image say: names of libraries and of directories.
pub(super) const MAX_SAID: u64 = 256 << 20;

/// Loaders of an image.
pub(super) const MAX_LOADERS: usize = 1024;

/// Names that are looked up for one program, over all paths that its loader tries. A program with 500 libraries and 50
/// directories to search takes a million.
pub(super) const MAX_LOOKUPS: u64 = 4 << 20;

/// The same for all programs of an image: minutes of work. All of a desktop's 4,000 take 20 million at most.
pub(super) const MAX_ALL_LOOKUPS: u64 = 1 << 31;

/// Bytes of a list that a loader reads in the time of one lookup.
pub(super) const LIST_PER_LOOKUP: u64 = 16;

/// Missing libraries and places tried for them that are told of one image.
pub(super) const MAX_TOLD: usize = 1 << 20;

/// What is left of a limit.
#[derive(Debug)]
pub(super) struct Budget {
    what: &'static str,
    limit: u64,
    left: u64,
}

impl Budget {
    pub(super) const fn new(what: &'static str, limit: u64) -> Self {
        Budget { what, limit, left: limit }
    }

    pub(super) fn spend(&mut self, amount: u64) -> Result<(), Cause> {
        match self.left.checked_sub(amount) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Cause::malformed(format!("it has more than {} {}, which is the limit", self.limit, self.what))),
        }
    }
}

/// Paths, and the bytes of them.
#[derive(Debug)]
pub(super) struct PathBudget {
    paths: Budget,
    bytes: Budget,
}

impl PathBudget {
    pub(super) const fn of_image() -> Self {
        PathBudget { paths: Budget::new("paths", MAX_ENTRIES), bytes: Budget::new("bytes of paths", MAX_PATHS) }
    }

    pub(super) const fn of_archive() -> Self {
        PathBudget {
            paths: Budget::new("members", MAX_MEMBERS),
            bytes: Budget::new("bytes of names of members", MAX_MEMBER_NAMES),
        }
    }

    pub(super) fn spend(&mut self, path: &Path) -> Result<(), Cause> {
        self.paths.spend(1)?;
        self.bytes.spend(path.as_os_str().len() as u64)
    }

    pub(super) fn spend_target(&mut self, target: &Path) -> Result<(), Cause> {
        self.bytes.spend(target.as_os_str().len() as u64)
    }
}
