//! Builds that are stopped from inside: callbacks that panic, writers that fail or panic.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use scratchpack::{Compression, ErrorKind, Image, ImageBuilder, Result};
use tempfile::TempDir;

use crate::scene::{KINDS, Kind, Scene, leftovers};

const CODECS: [Compression; 3] = [Compression::None, Compression::Gzip(1), Compression::Zstd(1)];
const THREADS: [usize; 3] = [1, 2, 4];

/// A program of several pieces.
const SIZE: usize = 5 << 20;

fn builder(scene: &Scene, codec: Compression, threads: usize) -> ImageBuilder {
    let mut builder = scene.builder("new");
    builder.compression(codec).threads(NonZeroUsize::new(threads).unwrap()).durable(true);
    builder
}

#[test]
fn a_callback_that_panics_ends_the_work_and_leaves_nothing_over() {
    for kind in KINDS {
        let scene = Scene::sized(kind, SIZE);
        for (codec, threads) in CODECS.into_iter().zip(THREADS) {
            // The first call is that of `build`.
            for panics_at in 2.. {
                let calls = Arc::new(AtomicUsize::new(0));
                let counted = calls.clone();
                let mut builder = builder(&scene, codec, threads);
                builder.progress(move |_| assert!(counted.fetch_add(1, Ordering::Relaxed) + 1 != panics_at, "enough"));
                let image = builder.build().unwrap();
                let place = TempDir::new().unwrap();
                let out = place.path().join("out");
                scene.restore(&out);
                let result = catch_unwind(AssertUnwindSafe(|| kind.write(&image, &out)));
                assert_eq!(leftovers(place.path()), [""; 0]);
                if result.is_ok() {
                    assert!(panics_at > 3, "{kind:?}: nothing was reported");
                    break;
                }
                assert!(scene.is_old(&out) || kind == Kind::Layout, "{kind:?}, {codec}, call {panics_at}");
                // The same image again, of which nothing is broken.
                kind.write(&image, &out).unwrap();
            }
        }
    }
}

/// Takes so many bytes, then fails once in some way, and would take the rest.
struct Broken {
    takes: usize,
    how: How,
    taken: Vec<u8>,
    has_failed: bool,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Fails,
    Panics,
    /// Takes nothing, as a full pipe that says nothing does.
    TakesNothing,
}

impl Write for Broken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(!self.has_failed, "written to after it failed");
        let taken = bytes.len().min(self.takes - self.taken.len());
        self.taken.extend(&bytes[..taken]);
        if taken > 0 {
            return Ok(taken);
        }
        self.has_failed = true;
        match self.how {
            How::Fails => Err(io::ErrorKind::StorageFull.into()),
            How::Panics => std::panic::panic_any("a writer that panics"),
            How::TakesNothing => Ok(0),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        assert!(!self.has_failed, "flushed after it failed");
        Ok(())
    }
}

type Stream = fn(&Image, &mut dyn Write) -> Result<()>;

const STREAMS: [Stream; 3] = [
    |image, out| image.write_archive_to(out).map(drop),
    |image, out| image.write_docker_archive_to(out).map(drop),
    |image, out| image.write_layer_to(out).map(drop),
];

#[test]
fn a_writer_that_failed_is_never_written_to_again() {
    let scene = Scene::sized(Kind::Archive, SIZE);
    for (codec, threads) in CODECS.into_iter().zip([1, 2, 4]) {
        let image = builder(&scene, codec, threads).build().unwrap();
        for stream in STREAMS {
            let mut whole = Vec::new();
            stream(&image, &mut whole).unwrap();
            let size = whole.len();
            for takes in [0, 1, 511, 1536, size / 2, size - 1024, size - 1] {
                for how in [How::Fails, How::Panics, How::TakesNothing] {
                    let mut broken = Broken { takes, how, taken: Vec::new(), has_failed: false };
                    let result = catch_unwind(AssertUnwindSafe(|| stream(&image, &mut broken)));
                    match (how, result) {
                        (How::Panics, Err(panic)) => {
                            assert_eq!(*panic.downcast::<&str>().unwrap(), "a writer that panics")
                        }
                        (_, Ok(Err(error))) => assert_eq!(error.kind(), ErrorKind::Io, "{error}"),
                        (_, other) => panic!("{how:?} at {takes}: {:?}", other.is_ok()),
                    }
                    // What it took is what the whole begins with, and never an end.
                    assert!(broken.taken == whole[..takes], "{how:?} at {takes}");
                }
            }
        }
    }
}

/// Takes a few bytes at a time, and is interrupted in between.
struct Slow {
    taken: Vec<u8>,
    calls: usize,
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.calls += 1;
        if self.calls.is_multiple_of(5) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let taken = bytes.len().min(1 + self.calls * 7919 % 10_000);
        self.taken.extend(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_takes_a_little_at_a_time_gets_all() {
    let scene = Scene::sized(Kind::Archive, SIZE);
    for (codec, threads) in CODECS.into_iter().zip(THREADS) {
        let image = builder(&scene, codec, threads).build().unwrap();
        for stream in STREAMS {
            let mut whole = Vec::new();
            stream(&image, &mut whole).unwrap();
            let mut slow = Slow { taken: Vec::new(), calls: 0 };
            stream(&image, &mut slow).unwrap();
            assert!(slow.taken == whole);
        }
    }
}

#[test]
fn a_cache_survives_a_build_that_is_stopped() {
    let scene = Scene::sized(Kind::Archive, SIZE);
    let place = TempDir::new().unwrap();
    let plain = builder(&scene, Compression::Zstd(1), 2).build().unwrap();
    let mut whole = Vec::new();
    plain.write_archive_to(&mut whole).unwrap();
    for takes in [1000, 3 << 20, whole.len() - 1] {
        let mut builder = builder(&scene, Compression::Zstd(1), 4);
        builder.cache_dir(place.path().join("cache"));
        for how in [How::Panics, How::Fails] {
            let mut broken = Broken { takes, how, taken: Vec::new(), has_failed: false };
            let image = builder.build().unwrap();
            let result = catch_unwind(AssertUnwindSafe(|| image.write_archive_to(&mut broken)));
            assert!(!matches!(result, Ok(Ok(_))));
        }
        let mut bytes = Vec::new();
        builder.build().unwrap().write_archive_to(&mut bytes).unwrap();
        assert!(bytes == whole);
        assert_eq!(leftovers(place.path()), [""; 0]);
    }
}
