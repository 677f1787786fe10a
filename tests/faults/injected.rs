//! Calls to the system that fail, one after another, each wherever it is made.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::parallel::in_parallel;
use crate::scene::{KINDS, Kind, SCRATCHPACK, Scene, calls_there, expect_message, leftovers, remove};
use crate::tools;

/// A call, by the names that machines have for it, and how it fails.
#[derive(Clone, Copy, Debug)]
struct Fault {
    calls: &'static str,
    how: &'static str,
    /// Whether it must not matter.
    is_borne: bool,
}

const fn fault(calls: &'static str, how: &'static str) -> Fault {
    Fault { calls, how, is_borne: false }
}

const fn borne(calls: &'static str, how: &'static str) -> Fault {
    Fault { calls, how, is_borne: true }
}

const FAULTS: [Fault; 23] = [
    fault("write", "error=EIO"),
    fault("write", "error=ENOSPC"),
    borne("write", "error=EINTR"),
    fault("pwrite64", "error=EIO"),
    borne("pwrite64", "error=EINTR"),
    fault("pread64", "error=EIO"),
    borne("pread64", "error=EINTR"),
    fault("fsync", "error=EIO"),
    fault("fdatasync", "error=EIO"),
    borne("fsync", "error=EINTR"),
    fault("rename,renameat,renameat2", "error=EIO"),
    fault("mkdir,mkdirat", "error=ENOSPC"),
    fault("link,linkat", "error=EIO"),
    fault("symlink,symlinkat", "error=EIO"),
    borne("open,openat", "error=EINTR"),
    fault("open,openat", "error=EMFILE"),
    fault("open,openat", "error=EIO"),
    fault("fchmod,fchmodat,chmod,utimensat", "error=EPERM"),
    borne("fadvise64", "error=EIO"),
    borne("flock", "error=EINTR"),
    fault("flock", "error=ENOLCK"),
    // Somebody else has it.
    fault("flock", "error=EAGAIN"),
    fault("getdents64", "error=EIO"),
];

fn traced(scene: &Scene, out: &Path, trace: &[&str], more: &[&str]) -> Output {
    let mut command: Command = tools::command("strace");
    command.args(["-f", "-qq"]).args(trace).arg(SCRATCHPACK).args(scene.arguments(out, more));
    command.env_remove("SOURCE_DATE_EPOCH").output().unwrap()
}

/// The numbers of the calls that the command makes by itself, and not the loader that starts it.
fn calls(scene: &Scene, calls: &str, more: &[&str]) -> Vec<(String, usize)> {
    let place = TempDir::new().unwrap();
    let (out, log) = (place.path().join("out"), place.path().join("log"));
    scene.restore(&out);
    // What is its own begins where it looks at its arguments' files.
    let trace = format!("trace={}", calls_there(&format!("open,openat,statx,newfstatat,{calls}")));
    let output = traced(scene, &out, &["-o", log.to_str().unwrap(), "-e", &trace], more);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let log = fs::read_to_string(log).unwrap();
    let root = scene.root.path().to_str().unwrap();
    let start = log.lines().position(|line| line.contains(root)).unwrap();
    let is_call = |line: &str, call: &str| line.split_whitespace().any(|word| word.starts_with(&format!("{call}(")));
    let numbers = |call: &str| {
        let made = log.lines().enumerate().filter(|(_, line)| is_call(line, call));
        let own = made.enumerate().filter(|(_, (at, _))| *at >= start);
        own.map(|(number, _)| (call.to_owned(), number + 1)).collect::<Vec<_>>()
    };
    calls.split(',').flat_map(numbers).collect()
}

#[test]
fn whichever_call_fails_the_output_is_old_or_new_and_nothing_is_left_over() {
    if !tools::are_here(&["strace"]) {
        return;
    }
    for kind in KINDS {
        let scene = Scene::sized(kind, 20_000);
        let more = ["--jobs", "1", "--quiet"];
        let all: Vec<(Fault, String, usize)> = FAULTS
            .iter()
            .flat_map(|fault| {
                calls(&scene, fault.calls, &more).into_iter().map(|(call, number)| (*fault, call, number))
            })
            .collect();
        assert!(all.len() > 60, "{kind:?}: {}", all.len());
        let outcomes = in_parallel(&all, |(fault, call, number)| {
            let place = TempDir::new().unwrap();
            let out = place.path().join("out");
            scene.restore(&out);
            let what = format!("{kind:?}, {call} {} at {number}", fault.how);
            let inject = format!("inject={call}:{}:when={number}", fault.how);
            let trace = format!("trace={call}");
            let output = traced(&scene, &out, &["-o", "/dev/null", "-e", &trace, "-e", &inject], &more);
            let is_new = scene.expect_whole(&out, &what);
            assert_eq!(leftovers(place.path()), [""; 0], "{what}");
            if output.status.success() {
                assert!(is_new, "{what}");
            } else if String::from_utf8_lossy(&output.stderr).contains("cannot write to standard output") {
                // The answer is the last that it writes.
                assert!(is_new && call == "write", "{what}");
            } else {
                assert!(!fault.is_borne, "{what}: {}", String::from_utf8_lossy(&output.stderr));
                expect_message(&output, &what);
            }
            Some(output.status.success())
        });
        let failed = outcomes.iter().filter(|is_done| !**is_done).count();
        println!("{kind:?}: {} faults, {failed} errors", outcomes.len());
        assert!(failed > 15, "{kind:?}: {failed} of {}", outcomes.len());
    }
}

#[test]
fn what_cannot_be_removed_after_an_error_is_removed_by_the_next() {
    if !tools::are_here(&["strace"]) {
        return;
    }
    for kind in KINDS {
        let scene = Scene::sized(kind, 20_000);
        let place = TempDir::new().unwrap();
        let out = place.path().join("out");
        scene.restore(&out);
        let calls = calls_there("renameat,renameat2,rename,unlinkat,unlink");
        let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:error=EIO"));
        let trace = ["-o", "/dev/null", "-e", &trace, "-e", &inject];
        expect_message(&traced(&scene, &out, &trace, &[]), "nothing can be renamed");
        assert_eq!(leftovers(place.path()).len(), 1);
        assert!(scene.is_old(&out));
        assert!(scene.command(&out, &[]).stdout(Stdio::null()).status().unwrap().success());
        assert_eq!(leftovers(place.path()), [""; 0], "{kind:?}");
        assert!(scene.is_new(&out));
    }
}

#[test]
fn where_no_thread_can_be_started_fewer_do_the_work() {
    if !tools::are_here(&["strace"]) {
        return;
    }
    for kind in KINDS {
        let scene = Scene::sized(kind, 7 << 20);
        for compression in ["none", "gzip:1", "zstd:1"] {
            for first in 1..=4 {
                let place = TempDir::new().unwrap();
                let out = place.path().join("out");
                let inject = format!("inject=?clone,?clone3:error=EAGAIN:when={first}+");
                let trace = ["-o", "/dev/null", "-e", "trace=?clone,?clone3", "-e", &inject];
                let output = traced(&scene, &out, &trace, &["--jobs", "3", "--compression", compression]);
                let what = format!("{kind:?}, {compression}, no thread from {first} on");
                assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
                if compression == "none" || kind == Kind::Rootfs {
                    assert!(kind == Kind::Layout || scene.is_new(&out), "{what}");
                } else if kind == Kind::Archive {
                    assert_eq!(
                        crate::whole::whole(&out)["app"].len(),
                        fs::read(scene.root.on_machine("/new/app")).unwrap().len()
                    );
                }
                remove(&out);
            }
        }
    }
}

#[test]
fn a_cache_whose_calls_fail_changes_nothing() {
    if !tools::are_here(&["strace"]) {
        return;
    }
    let scene = Scene::sized(Kind::Layer, 20_000);
    let faults =
        [("renameat", "EIO"), ("flock", "ENOLCK"), ("mkdirat", "ENOSPC"), ("ftruncate", "EIO"), ("unlinkat", "EIO")];
    for (call, error) in faults {
        for number in 1..=6 {
            let place = TempDir::new().unwrap();
            let (out, cache) = (place.path().join("out"), place.path().join("cache"));
            let inject = format!("inject={call}:error={error}:when={number}");
            let more = ["--jobs", "1", "--cache", cache.to_str().unwrap()];
            let trace = format!("trace={call}");
            let output = traced(&scene, &out, &["-o", "/dev/null", "-e", &trace, "-e", &inject], &more);
            let what = format!("{call} {error} at {number}");
            // The last that is renamed beside the cache's own is the output.
            if !output.status.success() {
                expect_message(&output, &what);
                assert!(call == "renameat" && !out.exists(), "{what}");
            } else {
                assert!(scene.is_new(&out), "{what}");
            }
            assert!(scene.command(&out, &more).stdout(Stdio::null()).status().unwrap().success());
            assert!(scene.is_new(&out), "{what}");
            assert_eq!(leftovers(place.path()), [""; 0], "{what}");
        }
    }
}
