//! How long the stages of a command take.

use std::time::Instant;

use serde::Serialize;

/// Seconds of each stage; `null` where there was none.
#[derive(Clone, Copy, Default, Serialize)]
pub(super) struct Timings {
    /// Finding out what the programs need, and proving the image.
    pub(super) resolve: Option<f64>,
    /// Reading, compressing and writing, and waiting for the disk.
    pub(super) write: Option<f64>,
    /// Handing the image over to docker or podman.
    pub(super) load: Option<f64>,
}

/// Does some work, and takes down how long it took.
pub(super) fn timed<T>(stage: &mut Option<f64>, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let done = work();
    *stage = Some(started.elapsed().as_secs_f64());
    done
}
