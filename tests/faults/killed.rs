//! Processes that are killed at any time: what they leave over is at most one, and gone with the next.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::random::Random;
use crate::scene::{Kind, Scene, leftovers};

const ROUNDS: u32 = 300;

/// Some part of a time.
fn part_of(random: &mut Random, time: Duration) -> Duration {
    time.mul_f64(random.below(1 << 24) as f64 / f64::from(1 << 24))
}

/// Runs the command to its end, and says how long that took.
fn run(scene: &Scene, out: &Path, more: &[&str]) -> Duration {
    let started = Instant::now();
    assert!(scene.command(out, more).stdout(Stdio::null()).status().unwrap().success());
    started.elapsed()
}

/// Runs the command, and kills it after a while.
fn kill(scene: &Scene, out: &Path, more: &[&str], after: Duration) {
    let mut child = scene.command(out, more).stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

fn expect_killed_whole(kind: Kind) {
    // Large enough that there is time to be killed in.
    let scene = Scene::sized(kind, 5 << 19);
    let place = TempDir::new().unwrap();
    let out = place.path().join("out");
    let mut random = Random(kind as u64 + 1);
    scene.restore(&out);
    let usual = run(&scene, &out, &[]);
    let (mut new, mut left, mut is_old) = (0, 0, false);
    for round in 0..ROUNDS {
        if !is_old {
            scene.restore(&out);
        }
        kill(&scene, &out, &[], part_of(&mut random, usual * 5 / 4));
        let what = format!("{kind:?}, round {round}");
        is_old = !scene.expect_whole(&out, &what);
        new += u32::from(!is_old);
        left += leftovers(place.path()).len();
        assert!(leftovers(place.path()).len() <= 1, "{what}: {:?}", leftovers(place.path()));
    }
    println!("{kind:?}: {new} of {ROUNDS} done before they were killed; {left} times something was left over");
    assert!(new < ROUNDS && left > 0, "{kind:?}: {new} done, {left} left over");
    scene.restore(&out);
    run(&scene, &out, &[]);
    assert!(scene.is_new(&out));
    assert_eq!(leftovers(place.path()), [""; 0], "{kind:?}");
}

#[test]
fn a_killed_process_leaves_an_archive_or_a_layer_whole() {
    expect_killed_whole(Kind::Archive);
    expect_killed_whole(Kind::Layer);
}

#[test]
fn a_killed_process_leaves_a_layout_or_a_root_directory_whole() {
    expect_killed_whole(Kind::Layout);
    expect_killed_whole(Kind::Rootfs);
}

#[test]
fn a_killed_process_leaves_a_cache_that_changes_no_byte() {
    let scene = Scene::sized(Kind::Archive, 5 << 19);
    let place = TempDir::new().unwrap();
    let (out, plain, cache) = (place.path().join("out"), place.path().join("plain"), place.path().join("cache"));
    let more = ["--compression", "zstd:1", "--jobs", "3", "--cache", cache.to_str().unwrap()];
    run(&scene, &plain, &more[..2]);
    let usual = run(&scene, &out, &more);
    let (mut random, mut left) = (Random(7), 0);
    for round in 0..ROUNDS {
        if round % 3 == 0 {
            crate::scene::remove(&cache);
        }
        crate::scene::remove(&out);
        kill(&scene, &out, &more, part_of(&mut random, usual));
        let over = leftovers(&cache);
        left += over.len();
        assert!(over.len() <= 1, "{over:?}");
        assert!(!out.exists() || crate::scene::is_same(&out, &plain), "round {round}");
        if round % 10 == 9 {
            run(&scene, &out, &more);
            assert!(crate::scene::is_same(&out, &plain), "round {round}");
            assert_eq!(leftovers(place.path()), [""; 0], "round {round}");
        }
    }
    println!("a cache: {left} times something was left over");
}
