//! Processes that get too little: files that are too large, too few handles, too little memory.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Output, Stdio};

use tempfile::TempDir;

use crate::scene::{KINDS, Kind, SCRATCHPACK, Scene, expect_message, leftovers};
use crate::tools;

fn limited(scene: &Scene, out: &Path, limits: &[&str], more: &[&str]) -> Output {
    let mut command = tools::command("prlimit");
    command.arg("--core=0").args(limits).arg(SCRATCHPACK).args(scene.arguments(out, more));
    command.env_remove("SOURCE_DATE_EPOCH").output().unwrap()
}

#[test]
fn a_file_that_may_not_grow_so_large_is_an_error_that_says_so() {
    if !tools::are_here(&["prlimit"]) {
        return;
    }
    for kind in KINDS {
        let scene = Scene::of(kind);
        for limit in [0, 1, 511, 4096, 100_000, 150_000] {
            let place = TempDir::new().unwrap();
            let out = place.path().join("out");
            scene.restore(&out);
            let what = format!("{kind:?}, files of {limit} bytes");
            let output = limited(&scene, &out, &[&format!("--fsize={limit}")], &[]);
            let message = expect_message(&output, &what);
            assert!(message.contains("File too large") && message.contains("ulimit -f"), "{what}: {message}");
            assert!(message.contains(place.path().to_str().unwrap()), "{what}: {message}");
            assert!(scene.is_old(&out), "{what}");
            assert_eq!(leftovers(place.path()), [""; 0], "{what}");
        }
    }
}

#[test]
fn a_cache_that_may_not_grow_fails_no_build() {
    if !tools::are_here(&["prlimit"]) {
        return;
    }
    // Nothing of an old output is there, and what is written to a pipe does not grow.
    let scene = Scene::of(Kind::Archive);
    let place = TempDir::new().unwrap();
    let cache = place.path().join("cache");
    for round in ["cold", "warm"] {
        let more = ["--cache", cache.to_str().unwrap()];
        let output = limited(&scene, Path::new("-"), &["--fsize=2000"], &more);
        assert!(output.status.success(), "{round}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(crate::whole::archive(&output.stdout)["app"], fs::read(scene.root.on_machine("/new/app")).unwrap());
        assert_eq!(leftovers(&cache), [""; 0]);
    }
}

/// The handles beyond the usual three that every process has which is started here, from whoever started the tests.
fn inherited() -> Vec<usize> {
    let numbers = tools::run(tools::command("sh").args(["-c", "ls /proc/$$/fd; :"]));
    numbers.lines().map(|number| number.parse().unwrap()).filter(|&number| number > 2).collect()
}

/// The limit under which so many handles are there, but for those that were inherited: it is one of their numbers.
fn limit_for(handles: usize, inherited: &[usize]) -> usize {
    let taken = |limit: usize| inherited.iter().filter(|&&number| number < limit).count();
    (handles..).find(|&limit| limit - taken(limit) == handles).unwrap()
}

#[test]
fn with_few_handles_all_is_done_or_an_error_says_why() {
    if !tools::are_here(&["prlimit", "sh", "ls"]) {
        return;
    }
    let inherited = inherited();
    for kind in KINDS {
        let scene = Scene::of(kind);
        let mut done = Vec::new();
        for (handles, is_cached) in (3..=24).flat_map(|handles| [(handles, false), (handles, true)]) {
            let place = TempDir::new().unwrap();
            let (out, cache) = (place.path().join("out"), place.path().join("cache"));
            scene.restore(&out);
            let what = format!("{kind:?}, {handles} handles, cached: {is_cached}");
            let more = ["--jobs", "2", "--quiet", "--cache", cache.to_str().unwrap()];
            let more = if is_cached { &more[..] } else { &more[..3] };
            let limit = format!("--nofile={}", limit_for(handles, &inherited));
            let output = limited(&scene, &out, &[&limit], more);
            // Too few for the system's loader itself.
            if output.status.code() == Some(127) {
                continue;
            }
            if output.status.success() {
                assert!(scene.is_new(&out), "{what}");
                done.push((handles, is_cached));
            } else {
                let message = expect_message(&output, &what);
                assert!(message.contains("Too many open files"), "{what}: {message}");
                assert!(scene.is_old(&out), "{what}");
            }
            assert_eq!(leftovers(place.path()), [""; 0], "{what}");
        }
        println!("{kind:?}: done with {done:?} handles");
        assert!(done.contains(&(16, false)) && done.contains(&(24, true)), "{kind:?}: {done:?}");
    }
}

#[test]
fn with_too_little_memory_the_output_is_old_or_new_and_the_next_removes_what_is_left_over() {
    if !tools::are_here(&["prlimit"]) {
        return;
    }
    for kind in KINDS {
        let scene = Scene::sized(kind, 5 << 20);
        let place = TempDir::new().unwrap();
        let out = place.path().join("out");
        let (mut done, mut failed) = (0, 0);
        for mib in (4..64).step_by(2).chain([128, 512]) {
            scene.restore(&out);
            let what = format!("{kind:?}, {mib} MiB");
            let more = ["--jobs", "3", "--compression", "zstd:1", "--quiet"];
            let output = limited(&scene, &out, &[&format!("--as={}", mib << 20)], &more);
            if output.status.success() {
                done += 1;
                assert!(kind != Kind::Rootfs || scene.is_new(&out), "{what}");
                assert_eq!(leftovers(place.path()), [""; 0], "{what}");
            } else {
                // The system's loader, a typed error, or Rust, which ends a process that gets no memory.
                let is_known = [Some(127), Some(1), None].contains(&output.status.code());
                assert!(
                    is_known && [None, Some(6), Some(9), Some(11)].contains(&output.status.signal()),
                    "{what}: {}",
                    output.status
                );
                failed += 1;
                assert!(scene.is_old(&out), "{what}");
                assert!(leftovers(place.path()).len() <= 1, "{what}");
            }
        }
        assert!(done > 0 && failed > 0, "{kind:?}: {done} done, {failed} failed");
        assert!(
            scene
                .command(&out, &[])
                .stdout(Stdio::null())
                .status()
                .is_ok_and(|status| status.success() || kind == Kind::Rootfs)
        );
        assert_eq!(leftovers(place.path()), [""; 0]);
    }
}
