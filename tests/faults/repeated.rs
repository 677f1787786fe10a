//! Thousands of builds in one process, which holds no more after them than before. Each count has a process of its own:
//! other tests open files as well.

use std::fs;
use std::io::sink;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use scratchpack::{Compression, ErrorKind, Image};
use tempfile::TempDir;

use crate::elf::program;
use crate::root::Root;
use crate::scene::{KINDS, Scene, leftovers, remove};

const BUILDS: usize = 1_000;
/// Builds after which all is there that stays.
const WARM: usize = 50;
const MOST_GROWTH_KB: i64 = 5_000;

/// What a process holds: handles, threads, and memory in kB.
fn held() -> (usize, usize, i64) {
    let count = |directory: &str| fs::read_dir(directory).unwrap().count();
    // The system takes a moment to end a thread that has done its work: this one and the main one stay.
    for _ in 0..1000 {
        if count("/proc/self/task") == 2 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    (count("/proc/self/fd"), count("/proc/self/task"), line.trim().trim_end_matches(" kB").parse().unwrap())
}

/// Does something over and over, and fails if the process then holds more than before.
fn expect_nothing_is_kept(mut build: impl FnMut(usize)) {
    (0..WARM).for_each(&mut build);
    let before = held();
    (0..BUILDS).for_each(&mut build);
    let after = held();
    println!("handles, threads, kB: {before:?} before {BUILDS} builds, {after:?} after");
    assert_eq!((after.0, after.1), (before.0, before.1));
    assert!(after.2 - before.2 < MOST_GROWTH_KB, "{before:?}, then {after:?}");
}

/// Runs another test of this file in a process of its own.
fn in_own_process(test: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let test = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
    command.args(["--exact", &test, "--ignored", "--test-threads", "1", "--nocapture"]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
}

#[test]
fn a_thousand_builds_keep_nothing() {
    in_own_process("builds");
}

#[test]
fn a_thousand_builds_that_fail_keep_nothing() {
    in_own_process("failing_builds");
}

#[test]
fn builds_that_panic_keep_nothing() {
    in_own_process("panicking_builds");
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn builds() {
    let scenes = KINDS.map(|kind| Scene::sized(kind, 300_000));
    let place = TempDir::new().unwrap();
    expect_nothing_is_kept(|number| {
        let scene = &scenes[number % scenes.len()];
        let mut builder = scene.builder("new");
        let codecs = [Compression::None, Compression::Gzip(1), Compression::Zstd(1)];
        builder.compression(codecs[number / 4 % 3]).durable(false);
        builder.threads(NonZeroUsize::new(1 + number / 12 % 3).unwrap());
        if number % 5 < 2 {
            builder.cache_dir(place.path().join("cache"));
        }
        let image = builder.build().unwrap();
        let out = place.path().join("out");
        scene.kind.write(&image, &out).unwrap();
        if number % 10 == 0 {
            image.write_archive_to(sink()).unwrap();
            image.write_docker_archive_to(sink()).unwrap();
        }
        remove(&out);
    });
    assert_eq!(leftovers(place.path()), [""; 0]);
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn failing_builds() {
    let scenes = KINDS.map(|kind| Scene::sized(kind, 100_000));
    let root = Root::debian().file("/app", &program(&["libmissing.so"]));
    let place = TempDir::new().unwrap();
    expect_nothing_is_kept(|number| {
        let missing = root.builder("/app").build().unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::Unresolved);
        let scene = &scenes[number % scenes.len()];
        let mut builder = scene.builder("new");
        if number.is_multiple_of(2) {
            builder.cache_dir(place.path().join("cache"));
        }
        builder.threads(NonZeroUsize::new(1 + number % 3).unwrap()).compression(Compression::Zstd(1));
        let image: Image = builder.build().unwrap();
        let app = scene.root.on_machine("/new/app");
        // The same bytes in another file.
        let other = app.with_extension("other");
        fs::copy(&app, &other).unwrap();
        fs::rename(&other, &app).unwrap();
        let out = place.path().join(format!("out{}", number % scenes.len()));
        assert_eq!(scene.kind.write(&image, &out).unwrap_err().kind(), ErrorKind::Changed);
        assert_eq!(image.write_archive_to(sink()).unwrap_err().kind(), ErrorKind::Changed);
        let refused = scene.kind.write(&scene.new_image(), &place.path().join("no/such"));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
    });
    assert_eq!(leftovers(place.path()), [""; 0]);
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn panicking_builds() {
    std::panic::set_hook(Box::new(|_| ()));
    let scenes = KINDS.map(|kind| Scene::sized(kind, 5 << 20));
    let place = TempDir::new().unwrap();
    let panic = |number: usize| {
        let scene = &scenes[number % scenes.len()];
        let mut builder = scene.builder("new");
        builder.threads(NonZeroUsize::new(3).unwrap()).compression(Compression::Zstd(1));
        builder.progress(|progress| assert!(progress.done() == 0, "enough"));
        let image = builder.build().unwrap();
        let out = place.path().join(format!("out{}", number % scenes.len()));
        assert!(catch_unwind(AssertUnwindSafe(|| scene.kind.write(&image, &out))).is_err());
    };
    (0..20).for_each(panic);
    let before = held();
    (0..60).for_each(panic);
    let after = held();
    assert_eq!((after.0, after.1), (before.0, before.1));
    assert_eq!(leftovers(place.path()), [""; 0]);
}
