//! A cache changes how long an image takes, and not one byte of it.

use std::fs::{self, File, FileTimes};
use std::num::NonZeroUsize;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use scratchpack::{Compression, ErrorKind, Image, ImageBuilder};
use tempfile::TempDir;

use crate::elf::{Fixture, library, program, static_program};
use crate::layers::large;
use crate::root::Root;
use crate::verify::{verified, verify_output};

const CODECS: [Compression; 3] = [Compression::None, Compression::GZIP, Compression::ZSTD];

/// A cache, and a place for outputs beside it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().unwrap())
    }

    fn cache(&self) -> PathBuf {
        self.0.path().join("cache")
    }

    fn output(&self) -> PathBuf {
        self.0.path().join("app.tar")
    }

    fn builder(&self, root: &Root, compression: Compression) -> ImageBuilder {
        let mut builder = root.builder("/app");
        // Waiting for the disk is tried elsewhere.
        builder.compression(compression).cache_dir(self.cache()).durable(false);
        builder
    }

    /// The archive that is made with the cache.
    fn pack(&self, root: &Root, compression: Compression) -> Vec<u8> {
        let image = self.builder(root, compression).build().unwrap();
        assert!(image.findings().is_empty(), "{:?}", image.findings());
        image.write_archive(self.output()).unwrap();
        fs::read(self.output()).unwrap()
    }

    /// All entries of the cache.
    fn entries(&self) -> Vec<PathBuf> {
        let shelves =
            fs::read_dir(self.cache()).unwrap().map(|shelf| shelf.unwrap().path()).filter(|path| path.is_dir());
        let mut entries: Vec<PathBuf> =
            shelves.flat_map(|shelf| fs::read_dir(shelf).unwrap().map(|entry| entry.unwrap().path())).collect();
        entries.sort();
        entries
    }
}

/// The archive that is made without a cache.
fn cold(root: &Root, compression: Compression) -> Vec<u8> {
    archive(&root.builder("/app").compression(compression).build().map(verified).unwrap())
}

fn archive(image: &Image) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.write_archive_to(&mut bytes).unwrap();
    bytes
}

/// Changes some bytes of the program's data, and none of its headers.
fn change(root: &Root, at: usize) {
    let path = root.on_machine("/app");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() / 100 * at;
    bytes[at..at + 8].copy_from_slice(b"changed!");
    fs::write(path, bytes).unwrap();
}

#[test]
fn threads_and_caches_change_no_byte() {
    for codec in CODECS {
        let root = large();
        let expected = cold(&root, codec);
        for threads in [1, 2, 3, 8] {
            let place = Place::new();
            let pack = || {
                let threads = NonZeroUsize::new(threads).unwrap();
                let image = place.builder(&root, codec).threads(threads).build().unwrap();
                fs::remove_file(place.output()).ok();
                image.write_archive(place.output()).unwrap();
                fs::read(place.output()).unwrap()
            };
            assert!(pack() == expected, "{codec}, {threads} threads, cold");
            assert!(pack() == expected, "{codec}, {threads} threads, warm");
            for entry in place.entries() {
                fs::write(entry, b"damaged").unwrap();
            }
            assert!(pack() == expected, "{codec}, {threads} threads, damaged");
            assert!(pack() == expected, "{codec}, {threads} threads, mended");
        }
    }
}

#[test]
fn wherever_a_program_changed_the_bytes_are_those_of_a_cold_build() {
    for codec in CODECS {
        let (root, place) = (large(), Place::new());
        place.pack(&root, codec);
        for at in [99, 50, 25, 75, 25] {
            change(&root, at);
            assert!(place.pack(&root, codec) == cold(&root, codec), "{codec}, changed at {at} %");
        }
        fs::write(root.on_machine("/lib/libx.so.1.0"), library("libx.so.1").needs("liby.so").bytes()).unwrap();
        let root = root.file("/lib/liby.so", &library("liby.so"));
        assert!(place.pack(&root, codec) == cold(&root, codec), "{codec}, a library more");
        fs::write(root.on_machine("/app"), program(&["libx.so.1"]).bytes()).unwrap();
        assert!(place.pack(&root, codec) == cold(&root, codec), "{codec}, a shorter program");
    }
}

#[test]
fn every_output_is_the_same_with_a_cache() {
    for codec in CODECS {
        let (root, place, out) = (large(), Place::new(), Place::new());
        let plain = root.builder("/app").compression(codec).build().map(verified).unwrap();
        for round in ["cold", "warm", "warm again"] {
            let image = place.builder(&root, codec).build().unwrap();
            assert!(archive(&image) == archive(&plain), "{codec}, a pipe, {round}");
            let layers = [out.0.path().join("cached"), out.0.path().join("plain")];
            let written = image.write_layer(&layers[0]).unwrap();
            assert_eq!(written, plain.write_layer(&layers[1]).unwrap());
            assert!(fs::read(&layers[0]).unwrap() == fs::read(&layers[1]).unwrap(), "{codec}, a layer, {round}");
            let layouts = [out.0.path().join("one"), out.0.path().join("two")];
            let written = image.write_layout(&layouts[0]).unwrap();
            assert_eq!(written, plain.write_layout(&layouts[1]).unwrap());
            for name in ["index.json", "oci-layout", &written.layer_digest().replace("sha256:", "blobs/sha256/")] {
                assert!(fs::read(layouts[0].join(name)).unwrap() == fs::read(layouts[1].join(name)).unwrap());
            }
        }
    }
}

#[test]
fn each_damaged_truncated_or_missing_entry_is_a_miss() {
    let (root, place) = (large(), Place::new());
    let expected = place.pack(&root, Compression::ZSTD);
    let entries = place.entries();
    assert!(entries.len() > 5, "{entries:?}");
    let damages: [fn(&Path); 5] = [
        |path| fs::remove_file(path).unwrap(),
        |path| fs::write(path, b"").unwrap(),
        |path| {
            let mut bytes = fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        },
        |path| File::options().write(true).open(path).unwrap().set_len(fs::metadata(path).unwrap().len() - 1).unwrap(),
        |path| {
            fs::remove_file(path).unwrap();
            symlink("/dev/zero", path).unwrap();
        },
    ];
    for damage in damages {
        for entry in &entries {
            damage(entry);
            fs::remove_file(place.output()).unwrap();
            assert!(place.pack(&root, Compression::ZSTD) == expected, "{}", entry.display());
        }
    }
    // One entry under the name of another.
    let frames: Vec<&PathBuf> = entries.iter().filter(|entry| entry.to_str().unwrap().contains("frames")).collect();
    fs::copy(frames[0], frames[1]).unwrap();
    fs::remove_file(place.output()).unwrap();
    assert!(place.pack(&root, Compression::ZSTD) == expected);
}

#[test]
fn a_cache_may_be_deleted_at_any_time() {
    let (root, place) = (large(), Place::new());
    let expected = place.pack(&root, Compression::ZSTD);
    let image = place.builder(&root, Compression::ZSTD).build().unwrap();
    fs::remove_dir_all(place.cache()).unwrap();
    assert!(archive(&image) == expected);
    assert!(place.pack(&root, Compression::ZSTD) == expected);
}

#[test]
fn two_changes_within_a_tick_of_the_clock_are_seen() {
    let place = Place::new();
    let root = Root::debian().file("/app", &static_program());
    let mut bytes = fs::read(root.on_machine("/app")).unwrap();
    bytes.resize(bytes.len() + 8, 0);
    for round in 0..100u64 {
        let end = bytes.len() - 8;
        bytes[end..].copy_from_slice(&round.to_le_bytes());
        fs::write(root.on_machine("/app"), &bytes).unwrap();
        assert!(place.pack(&root, Compression::None) == cold(&root, Compression::None), "round {round}");
    }
}

#[test]
fn a_file_with_its_old_times_and_size_is_read_again() {
    let (root, place) = (large(), Place::new());
    let path = root.on_machine("/app");
    let status = fs::metadata(&path).unwrap();
    place.pack(&root, Compression::ZSTD);
    std::thread::sleep(Duration::from_millis(30));
    change(&root, 50);
    let times = FileTimes::new().set_modified(status.modified().unwrap()).set_accessed(status.accessed().unwrap());
    File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
    let changed = fs::metadata(&path).unwrap();
    assert_eq!((changed.len(), changed.mtime_nsec()), (status.len(), status.mtime_nsec()));
    assert!(place.pack(&root, Compression::ZSTD) == cold(&root, Compression::ZSTD));
}

#[test]
fn a_file_that_changed_since_it_was_analyzed_is_an_error_with_a_warm_cache_too() {
    for codec in CODECS {
        let (root, place) = (large(), Place::new());
        place.pack(&root, codec);
        let image = place.builder(&root, codec).build().unwrap();
        fs::write(root.on_machine("/lib/libx.so.1.0"), library("other").bytes()).unwrap();
        assert_eq!(image.write_archive(place.output()).unwrap_err().kind(), ErrorKind::Changed);
        assert_eq!(image.write_layer_to(std::io::sink()).unwrap_err().kind(), ErrorKind::Changed);
    }
}

#[test]
fn an_output_that_stands_is_not_written_again() {
    for codec in CODECS {
        let (root, place) = (large(), Place::new());
        // Past the tick in which the files were written.
        std::thread::sleep(Duration::from_millis(30));
        let expected = place.pack(&root, codec);
        let before = fs::metadata(place.output()).unwrap();
        std::thread::sleep(Duration::from_millis(30));
        assert!(place.pack(&root, codec) == expected);
        let after = fs::metadata(place.output()).unwrap();
        assert_eq!((after.ino(), after.modified().unwrap()), (before.ino(), before.modified().unwrap()), "{codec}");
    }
}

#[test]
fn an_output_that_is_not_as_it_was_written_is_written_again() {
    let (root, place) = (large(), Place::new());
    let expected = place.pack(&root, Compression::ZSTD);
    let changes: [fn(&Path); 4] = [
        |path| fs::remove_file(path).unwrap(),
        |path| fs::write(path, b"another").unwrap(),
        |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[700] ^= 1;
            fs::write(path, bytes).unwrap();
        },
        |path| {
            let copy = path.with_extension("copy");
            fs::copy(path, &copy).unwrap();
            fs::rename(copy, path).unwrap();
        },
    ];
    for change in changes {
        change(&place.output());
        assert!(place.pack(&root, Compression::ZSTD) == expected);
    }
    // The same layer, and another image.
    let tagged = place.builder(&root, Compression::ZSTD).tag("other:1").build().unwrap();
    tagged.write_archive(place.output()).unwrap();
    assert!(fs::read(place.output()).unwrap() == archive(&tagged));
    let dated = place.builder(&root, Compression::ZSTD).created(1).build().unwrap();
    dated.write_archive(place.output()).unwrap();
    assert!(fs::read(place.output()).unwrap() == archive(&dated));
}

#[test]
fn a_layout_keeps_the_images_of_others_with_a_cache() {
    let (root, place) = (large(), Place::new());
    let layout = place.0.path().join("layout");
    for tag in ["one:1", "two:2", "one:1", "two:2"] {
        place.builder(&root, Compression::ZSTD).tag(tag).build().unwrap().write_layout(&layout).unwrap();
    }
    verify_output(&layout);
    let index = fs::read_to_string(layout.join("index.json")).unwrap();
    assert_eq!(index.matches("io.containerd.image.name").count(), 2, "{index}");
}

#[test]
fn a_cache_that_others_may_write_is_not_used_and_said_so() {
    let (root, place) = (large(), Place::new());
    fs::create_dir(place.cache()).unwrap();
    for mode in [0o770, 0o707, 0o777] {
        fs::set_permissions(place.cache(), fs::Permissions::from_mode(mode)).unwrap();
        let image = place.builder(&root, Compression::ZSTD).build().unwrap();
        let [finding] = image.findings() else { panic!("{:?}", image.findings()) };
        assert_eq!((finding.code(), finding.level().name()), ("cache", "warning"));
        assert!(finding.message().contains("may write"), "{finding}");
        assert!(archive(&image) == cold(&root, Compression::ZSTD));
        assert_eq!(fs::read_dir(place.cache()).unwrap().count(), 0);
        assert!(finding.evidence().ends_with("cache"));
    }
    fs::set_permissions(place.cache(), fs::Permissions::from_mode(0o755)).unwrap();
    place.pack(&root, Compression::ZSTD);
    let frames = place.cache().join("frames");
    assert_eq!(fs::metadata(&frames).unwrap().mode() & 0o777, 0o700);
    fs::set_permissions(frames, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(place.builder(&root, Compression::ZSTD).build().unwrap().findings()[0].code(), "cache");
}

#[test]
fn a_cache_that_cannot_be_made_or_belongs_to_another_is_not_used_and_said_so() {
    let (root, place) = (large(), Place::new());
    fs::write(place.cache(), b"a file").unwrap();
    let image = place.builder(&root, Compression::GZIP).build().unwrap();
    assert_eq!(image.findings()[0].code(), "cache");
    assert!(archive(&image) == cold(&root, Compression::GZIP));
    fs::remove_file(place.cache()).unwrap();
    fs::create_dir(place.cache()).unwrap();
    // Only root can give a directory away.
    if std::os::unix::fs::chown(place.cache(), Some(65_534), None).is_ok() {
        let image = place.builder(&root, Compression::GZIP).build().unwrap();
        assert!(image.findings()[0].message().contains("another user"), "{:?}", image.findings());
    }
}

#[test]
fn several_builds_at_once_share_a_cache() {
    let place = Place::new();
    let data = |seed: u8| (0..3u32 << 20).map(|byte| (byte >> 7) as u8 ^ seed).collect::<Vec<u8>>();
    let roots: Vec<Root> =
        (0..4).map(|seed| Root::debian().file("/app", &Fixture { data: data(seed % 2), ..static_program() })).collect();
    let expected: Vec<Vec<u8>> = roots.iter().map(|root| cold(root, Compression::ZSTD)).collect();
    std::thread::scope(|scope| {
        for (root, expected) in roots.iter().zip(&expected) {
            let place = &place;
            scope.spawn(move || {
                for _ in 0..5 {
                    let image = place.builder(root, Compression::ZSTD).build().unwrap();
                    assert!(archive(&image) == *expected);
                }
            });
        }
    });
}

#[test]
fn what_is_not_durable_has_the_same_bytes() {
    let (root, place) = (large(), Place::new());
    let expected = cold(&root, Compression::ZSTD);
    let fleeting = place.builder(&root, Compression::ZSTD).build().unwrap();
    fleeting.write_archive(place.output()).unwrap();
    assert!(fs::read(place.output()).unwrap() == expected);
    // What stands there becomes durable.
    place.builder(&root, Compression::ZSTD).durable(true).build().unwrap().write_archive(place.output()).unwrap();
    assert!(fs::read(place.output()).unwrap() == expected);
    let rootfs = place.0.path().join("rootfs");
    fleeting.write_rootfs(&rootfs).unwrap();
    assert!(fs::read(rootfs.join("app")).unwrap() == fs::read(root.on_machine("/app")).unwrap());
}

#[test]
fn progress_tells_every_stage_and_every_byte() {
    use scratchpack::Stage;
    use std::sync::{Arc, Mutex};
    let (root, place) = (large(), Place::new());
    for round in ["cold", "warm"] {
        let told = Arc::new(Mutex::new(Vec::new()));
        let teller = told.clone();
        let mut builder = place.builder(&root, Compression::ZSTD);
        builder.durable(true).progress(move |progress| teller.lock().unwrap().push(progress));
        fs::remove_file(place.output()).ok();
        builder.build().unwrap().write_archive(place.output()).unwrap();
        let told = told.lock().unwrap();
        assert_eq!(told[0].stage(), Stage::Resolve, "{round}");
        assert_eq!(told.last().unwrap().stage(), Stage::Sync, "{round}");
        let packed: Vec<_> = told.iter().filter(|progress| progress.stage() == Stage::Pack).collect();
        assert!(packed.len() > 4 && packed.is_sorted_by_key(|progress| progress.done()), "{round}: {packed:?}");
        let last = packed.last().unwrap();
        assert!(last.done() == last.total() && last.total() > 9 << 20, "{round}: {last:?}");
    }
}

#[test]
fn a_directory_with_other_things_is_no_cache_and_nothing_in_it_is_touched() {
    let (root, place) = (large(), Place::new());
    fs::create_dir_all(place.cache().join("outputs")).unwrap();
    fs::write(place.cache().join("outputs/mine"), [0; 100]).unwrap();
    fs::write(place.cache().join("main.c"), b"int main;").unwrap();
    let image = place.builder(&root, Compression::ZSTD).build().unwrap();
    assert!(image.findings()[0].message().contains("other things"), "{:?}", image.findings());
    assert!(archive(&image) == cold(&root, Compression::ZSTD));
    assert_eq!(fs::read_dir(place.cache()).unwrap().count(), 2);
}

#[test]
fn what_changed_and_kept_its_times_is_an_error_once_where_it_is_read() {
    // The content that is recorded is not the file's: as if it had changed through a memory map that nobody synced.
    let (root, place) = (large(), Place::new());
    std::thread::sleep(Duration::from_millis(30));
    place.pack(&root, Compression::None);
    let records = place.cache().join("records");
    let record = fs::read_dir(&records).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&record).unwrap();
    let key = blake3::Hash::from_hex(record.file_name().unwrap().to_str().unwrap()).unwrap();
    let end = bytes.len() - blake3::OUT_LEN;
    // Behind the moment and the origin stands the content of the first piece.
    bytes[16 + blake3::OUT_LEN] ^= 1;
    let sum = blake3::keyed_hash(key.as_bytes(), &bytes[..end]);
    bytes[end..].copy_from_slice(sum.as_bytes());
    fs::write(&record, bytes).unwrap();
    fs::remove_file(place.output()).unwrap();
    let image = place.builder(&root, Compression::None).build().unwrap();
    assert_eq!(image.write_archive(place.output()).unwrap_err().kind(), ErrorKind::Changed);
    assert!(!place.output().exists() && !record.exists());
    assert!(place.pack(&root, Compression::None) == cold(&root, Compression::None));
}
