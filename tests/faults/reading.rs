//! Files that change while they are packed: an error, or the file as it once was.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::Write;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use scratchpack::{Compression, Error, ErrorKind, Image, ImageBuilder};
use tempfile::TempDir;

use crate::elf::{Fixture, static_program};
use crate::root::Root;
use crate::scene::{KINDS, Kind, leftovers};
use crate::whole;

const CODECS: [Compression; 3] = [Compression::None, Compression::Gzip(1), Compression::Zstd(1)];
const ROUNDS: usize = 1_000;

/// What tells each version from all others stands in each of its bytes but those of the headers.
fn version(number: u8, size: usize) -> Vec<u8> {
    Fixture { data: vec![number; size], ..static_program() }.bytes()
}

/// Headers: what stands before the data.
fn head() -> usize {
    version(1, 0).len()
}

/// How a file changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Grow,
    Shrink,
    Empty,
    Replace,
    Rewrite,
    /// Rewritten, and given its old times.
    Backdate,
    /// Written a little at a time.
    Refill,
    Remove,
    Chmod,
}

const CHANGES: [Change; 9] = [
    Change::Grow,
    Change::Shrink,
    Change::Empty,
    Change::Replace,
    Change::Rewrite,
    Change::Backdate,
    Change::Refill,
    Change::Remove,
    Change::Chmod,
];

impl Change {
    fn apply(self, path: &Path, number: u8, size: usize) {
        let open = || OpenOptions::new().write(true).open(path).unwrap();
        let bytes = version(number, size);
        match self {
            Change::Grow => OpenOptions::new().append(true).open(path).unwrap().write_all(&[0; 5000]).unwrap(),
            Change::Shrink => open().set_len((bytes.len() / 2) as u64).unwrap(),
            Change::Empty => open().set_len(0).unwrap(),
            Change::Replace => replace(path, &bytes),
            Change::Rewrite => open().write_all_at(&bytes, 0).unwrap(),
            Change::Backdate => {
                let (file, before) = (open(), fs::metadata(path).unwrap());
                file.write_all_at(&bytes, 0).unwrap();
                let times = FileTimes::new().set_modified(before.modified().unwrap());
                file.set_times(times.set_accessed(before.accessed().unwrap())).unwrap();
            }
            Change::Refill => {
                let mut file = File::create(path).unwrap();
                bytes.chunks(bytes.len() / 3).for_each(|chunk| file.write_all(chunk).unwrap());
            }
            Change::Remove => fs::remove_file(path).unwrap(),
            Change::Chmod => fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap(),
        }
    }
}

fn replace(path: &Path, bytes: &[u8]) {
    let other = path.with_extension("other");
    fs::write(&other, bytes).unwrap();
    fs::rename(other, path).unwrap();
}

/// Fails unless the program is as its file once was: one version of it, or the next one up to some place and that one
/// from there on, then perhaps nothing.
#[track_caller]
fn expect_one_state(program: &[u8], what: &str) {
    let data = program.get(head()..).unwrap_or_default();
    let first = data.first().copied().unwrap_or_default();
    let (mut runs, mut last) = (vec![first], first);
    for &byte in data {
        if byte != last {
            runs.push(byte);
            last = byte;
        }
    }
    let is_one = match runs.as_slice() {
        [_] | [_, 0] => true,
        [new, old] | [new, old, 0] => *new == next(*old),
        _ => false,
    };
    assert!(is_one, "{what}: versions {runs:?} in one file of {} bytes", program.len());
}

fn next(number: u8) -> u8 {
    number % 250 + 1
}

/// Where an image is written to.
#[derive(Clone, Copy, Debug)]
enum Way {
    File(Kind),
    Stream,
    Docker,
    LayerStream,
}

fn ways() -> Vec<Way> {
    KINDS.map(Way::File).into_iter().chain([Way::Stream, Way::Docker, Way::LayerStream]).collect()
}

impl Way {
    /// The program, as it is in the image, all of which is looked at.
    fn write(self, image: &Image, place: &Path) -> Result<Vec<u8>, Error> {
        let out = place.join("out");
        crate::scene::remove(&out);
        let mut bytes = Vec::new();
        let mut files = match self {
            Way::File(kind) => {
                let written = kind.write(image, &out);
                if let Err(error) = written {
                    assert!(kind == Kind::Layout || !out.exists());
                    return Err(error);
                }
                match kind {
                    Kind::Archive | Kind::Layout => whole::whole(&out),
                    Kind::Layer => whole::layer(&fs::read(&out).unwrap()),
                    Kind::Rootfs => [("app".to_owned(), fs::read(out.join("app")).unwrap())].into(),
                }
            }
            Way::Stream => {
                image.write_archive_to(&mut bytes)?;
                whole::archive(&bytes)
            }
            Way::Docker => {
                image.write_docker_archive_to(&mut bytes)?;
                whole::docker_archive(&bytes)
            }
            Way::LayerStream => {
                image.write_layer_to(&mut bytes)?;
                whole::layer(&bytes)
            }
        };
        // What the tree promised, and not what the file had become.
        let size = image.entries().find(|entry| entry.path() == Path::new("/app")).unwrap().size();
        let program = files.remove("app").unwrap();
        assert_eq!((files.len(), program.len() as u64), (0, size), "{self:?}");
        Ok(program)
    }
}

fn builder(root: &Root, codec: Compression, threads: usize, cache: Option<PathBuf>) -> ImageBuilder {
    let mut builder = root.builder("/app");
    builder.compression(codec).threads(NonZeroUsize::new(threads).unwrap()).durable(false);
    if let Some(cache) = cache {
        builder.cache_dir(cache);
    }
    builder
}

#[test]
fn a_change_between_analysis_and_writing_is_an_error_however_the_file_changes() {
    for change in CHANGES {
        for (number, way) in ways().into_iter().enumerate() {
            for is_cached in [false, true] {
                let (root, place) = (Root::empty().bytes("/app", &version(1, 30_000)), TempDir::new().unwrap());
                let cache = is_cached.then(|| place.path().join("cache"));
                let make = || builder(&root, CODECS[number % 3], 1 + number % 2, cache.clone()).build().unwrap();
                expect_one_state(&way.write(&make(), place.path()).unwrap(), "before");
                let image = make();
                change.apply(&root.on_machine("/app"), 2, 30_000);
                let error = way.write(&image, place.path()).unwrap_err();
                let expected = if change == Change::Remove { ErrorKind::NotFound } else { ErrorKind::Changed };
                assert_eq!(error.kind(), expected, "{change:?}, {way:?}, {is_cached}: {error}");
                assert!(error.path().unwrap().ends_with("app") && error.to_string().contains("; "), "{error}");
                assert_eq!(leftovers(place.path()), [""; 0]);
            }
        }
    }
}

/// Changes a file over and over until told to stop.
fn keep_changing(path: &Path, size: usize, changes: &[Change], stop: &AtomicBool) {
    let mut number = 1;
    while !stop.load(Ordering::Relaxed) {
        for change in changes {
            number = next(number);
            change.apply(path, number, size);
            std::thread::sleep(Duration::from_micros(u64::from(number) * 97 % 4000));
            // Whole again, and of one version, before the next change.
            number = next(number);
            replace(path, &version(number, size));
            std::thread::sleep(Duration::from_micros(u64::from(number) * 611 % 60_000));
        }
    }
}

#[test]
fn a_file_that_changes_all_the_time_is_packed_as_it_once_was_or_not_at_all() {
    let changes = [Change::Grow, Change::Shrink, Change::Empty, Change::Replace, Change::Rewrite, Change::Backdate];
    let (mut packed, mut failed, mut failed_early) = (0, 0, 0);
    for (round, size) in [60_000, 5 << 20].into_iter().enumerate() {
        let root = Root::empty().bytes("/app", &version(1, size));
        let (place, stop) = (TempDir::new().unwrap(), AtomicBool::new(false));
        // In a larger file a write takes longer than a tick of the clock, and what is half written is no version of it.
        let (changes, rounds) = if round == 0 { (&changes[..], ROUNDS * 9 / 10) } else { (&changes[..4], ROUNDS / 10) };
        std::thread::scope(|scope| {
            let _stopper = Stopper(&stop);
            scope.spawn(|| keep_changing(&root.on_machine("/app"), size, changes, &stop));
            for number in 0..rounds {
                let way = ways()[number % 7];
                let cache = (number % 3 == 0).then(|| place.path().join("cache"));
                let what = format!("round {number}, {way:?}, {} bytes", size);
                let builder = builder(&root, CODECS[number / 7 % 3], [1, 2, 4][number / 21 % 3], cache);
                let image = match builder.build() {
                    Ok(image) => image,
                    Err(error) => {
                        // What is cut off when it is analyzed is no program.
                        use ErrorKind::{Changed, Io, Malformed, NotAProgram, NotElf};
                        let is_typed = [Changed, Io, Malformed, NotAProgram, NotElf].contains(&error.kind());
                        assert!(is_typed, "{what}: {:?} {error}", error.kind());
                        failed_early += 1;
                        continue;
                    }
                };
                match way.write(&image, place.path()) {
                    Ok(program) => {
                        expect_one_state(&program, &what);
                        packed += 1;
                    }
                    Err(error) => {
                        assert!([ErrorKind::Changed, ErrorKind::Io].contains(&error.kind()), "{what}: {error}");
                        failed += 1;
                    }
                }
                assert_eq!(leftovers(place.path()), [""; 0], "{what}");
            }
        });
    }
    println!("{packed} packed, {failed} had changed, {failed_early} could not be analyzed");
    assert!(packed > 10 && failed > 10, "{packed} packed, {failed} had changed, {failed_early} could not be analyzed");
}

/// Ends the other thread, however this one ends.
struct Stopper<'s>(&'s AtomicBool);

impl Drop for Stopper<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
