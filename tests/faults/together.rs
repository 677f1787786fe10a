//! Many processes at one output, and at one cache.

use std::path::Path;
use std::process::{Child, Stdio};

use tempfile::TempDir;

use crate::scene::{KINDS, Kind, Scene, is_same, leftovers, remove};
use crate::whole::whole;

const PROCESSES: usize = 16;

/// Starts all at once; how many succeeded, and what the others said.
fn together(scene: &Scene, more: &[&str], out: impl Fn(usize) -> std::path::PathBuf) -> (usize, Vec<String>) {
    let start =
        |number| scene.command(&out(number), more).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let children: Vec<Child> = (0..PROCESSES).map(start).collect();
    let outputs: Vec<_> = children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    let (done, failed): (Vec<_>, Vec<_>) = outputs.into_iter().partition(|output| output.status.success());
    let said = failed.iter().map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).collect();
    (done.len(), said)
}

#[test]
fn sixteen_processes_write_one_output_and_it_is_whole() {
    for kind in KINDS {
        let scene = Scene::of(kind);
        let place = TempDir::new().unwrap();
        let out = place.path().join("out");
        for round in 0..5 {
            if kind == Kind::Rootfs || round == 0 {
                scene.restore(&out);
            }
            let (done, said) = together(&scene, &["--quiet"], |_| out.clone());
            // A root directory that is not empty is not replaced: the first has it.
            let expected = if kind == Kind::Rootfs { 1 } else { PROCESSES };
            assert_eq!(done, expected, "{kind:?}: {said:#?}");
            assert!(said.iter().all(|said| said.contains("the directory is not empty")), "{said:#?}");
            assert!(scene.is_new(&out), "{kind:?}");
            if matches!(kind, Kind::Archive | Kind::Layout) {
                assert!(whole(&out).contains_key("app"));
            }
            assert_eq!(leftovers(place.path()), [""; 0], "{kind:?}");
        }
    }
}

#[test]
fn sixteen_processes_share_a_cache_with_one_output_and_with_many() {
    for kind in [Kind::Archive, Kind::Layout] {
        let scene = Scene::sized(kind, 5 << 20);
        let place = TempDir::new().unwrap();
        let (plain, cache) = (place.path().join("plain"), place.path().join("cache"));
        let codec = ["--compression", "zstd:1"];
        assert!(scene.command(&plain, &codec).stdout(Stdio::null()).status().unwrap().success());
        let more = [&codec[..], &["--jobs", "2", "--quiet", "--cache", cache.to_str().unwrap()]].concat();
        let one = |_: usize| place.path().join("one");
        let many = |number: usize| place.path().join(format!("many-{number}"));
        for round in ["cold", "warm"] {
            let is_plain = |path: &Path| is_same(path, &plain);
            assert_eq!(together(&scene, &more, one), (PROCESSES, vec![]), "{kind:?}, {round}");
            assert!(is_plain(&one(0)), "{kind:?}, {round}");
            remove(&one(0));
            assert_eq!(together(&scene, &more, many), (PROCESSES, vec![]), "{kind:?}, {round}");
            for number in 0..PROCESSES {
                assert!(is_plain(&many(number)), "{kind:?}, {round}");
                remove(&many(number));
            }
            assert_eq!(leftovers(place.path()), [""; 0]);
        }
    }
}
