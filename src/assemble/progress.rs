//! How far the making of an image is.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

/// What is being done for an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Finding out what the programs need, and proving the image.
    Resolve,
    /// Reading, compressing and writing the layer.
    Pack,
    /// Waiting until the output is on disk.
    Sync,
}

/// How far the making of an image is; see [`ImageBuilder::progress`](crate::ImageBuilder::progress).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    stage: Stage,
    done: u64,
    total: u64,
}

impl Progress {
    pub(crate) fn new(stage: Stage, done: u64, total: u64) -> Self {
        Progress { stage, done, total }
    }

    /// What is being done.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The bytes of the layer's tar, not compressed, that are done, or of a root directory's files; 0 in stages that count
    /// none.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// The bytes that [`done`](Self::done) grows to. A pipe takes the layer twice: it is then counted anew.
    pub fn total(&self) -> u64 {
        self.total
    }
}

/// Tells the caller, if he wants to know.
#[derive(Clone, Default)]
pub(crate) struct Reporter(Option<Arc<dyn Fn(Progress) + Send + Sync>>);

impl Reporter {
    pub(crate) fn to(callback: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Reporter(Some(Arc::new(callback)))
    }

    pub(crate) fn report(&self, progress: Progress) {
        if let Some(callback) = &self.0 {
            callback(progress);
        }
    }
}

impl Debug for Reporter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Reporter(..)" } else { "Reporter" })
    }
}
