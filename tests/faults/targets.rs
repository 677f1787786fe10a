//! Whatever stands at the output's path: it is replaced whole, or stays whole, and the error says why.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use scratchpack::ErrorKind::{Io, NotFound, OutputRefused};
use scratchpack::{Error, ErrorKind};
use tempfile::TempDir;

use crate::scene::{KINDS, Kind, Scene, calls_there, leftovers};
use crate::space::Tmpfs;
use crate::tools::{self, is_root};

struct Case {
    name: &'static str,
    make: fn(&Path),
    /// What is to happen to an archive or a layer, to a layout, and to a root directory.
    expected: [Expected; 3],
}

type Expected = Result<&'static str, ErrorKind>;

/// The path below the directory at which the output then stands.
const HERE: Expected = Ok("out");
const REFUSED: Expected = Err(OutputRefused);

const CASES: [Case; 13] = [
    Case { name: "nothing", make: |_| (), expected: [HERE; 3] },
    Case { name: "an old file", make: |at| fs::write(at, b"old").unwrap(), expected: [HERE, REFUSED, REFUSED] },
    Case {
        name: "a symlink",
        make: |at| {
            fs::write(at.with_file_name("real"), b"old").unwrap();
            symlink("real", at).unwrap();
        },
        expected: [Ok("real"), REFUSED, REFUSED],
    },
    Case {
        name: "a dangling symlink",
        make: |at| symlink("later", at).unwrap(),
        expected: [Ok("later"), REFUSED, Ok("later")],
    },
    Case {
        name: "a chain of dangling symlinks",
        make: |at| {
            symlink("b", at).unwrap();
            symlink("sub/c", at.with_file_name("b")).unwrap();
            fs::create_dir(at.with_file_name("sub")).unwrap();
            symlink("../later", at.with_file_name("sub").join("c")).unwrap();
        },
        expected: [Ok("sub/../later"), REFUSED, Ok("sub/../later")],
    },
    Case {
        name: "a loop of symlinks",
        make: |at| {
            symlink("b", at).unwrap();
            symlink("out", at.with_file_name("b")).unwrap();
        },
        expected: [REFUSED; 3],
    },
    Case {
        name: "a symlink into a folder that is missing",
        make: |at| symlink("no/such", at).unwrap(),
        expected: [Err(NotFound), REFUSED, Err(NotFound)],
    },
    Case {
        name: "a FIFO",
        make: |at| rustix::fs::mkfifoat(rustix::fs::CWD, at, rustix::fs::Mode::RUSR).unwrap(),
        expected: [REFUSED; 3],
    },
    Case { name: "a socket", make: |at| drop(UnixListener::bind(at).unwrap()), expected: [REFUSED; 3] },
    Case { name: "an empty directory", make: |at| fs::create_dir(at).unwrap(), expected: [REFUSED, HERE, HERE] },
    Case {
        name: "a full directory",
        make: |at| {
            fs::create_dir(at).unwrap();
            fs::write(at.join("precious"), b"x").unwrap();
        },
        expected: [REFUSED; 3],
    },
    Case { name: "/dev/null", make: |at| symlink("/dev/null", at).unwrap(), expected: [REFUSED; 3] },
    Case { name: "/dev/full", make: |at| symlink("/dev/full", at).unwrap(), expected: [REFUSED; 3] },
];

fn expected(case: &Case, kind: Kind) -> Expected {
    case.expected[match kind {
        Kind::Archive | Kind::Layer => 0,
        Kind::Layout => 1,
        Kind::Rootfs => 2,
    }]
}

const IS_LINK: &str = "(true, false, false)";

/// Every name below a directory with what it is.
fn listed(directory: &Path) -> Vec<(PathBuf, String)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        let what = if kind.is_file() {
            format!("{:?}", fs::read(entry.path()).unwrap())
        } else {
            format!("{:?}", (kind.is_symlink(), kind.is_fifo(), kind.is_socket()))
        };
        if kind.is_dir() {
            all.extend(listed(&entry.path()));
        }
        all.push((entry.path(), what));
    }
    all.sort();
    all
}

/// It names the path, and says what to do.
fn expect_words(error: &Error, kind: ErrorKind, place: &Path, what: &str) {
    let message = error.to_string();
    assert_eq!(error.kind(), kind, "{what}: {message}");
    assert!(error.path().is_some_and(|named| named.starts_with(place)), "{what}: {message}");
    assert!(message.contains("; ") || kind == OutputRefused && message.contains(", "), "{what}: {message}");
}

#[test]
fn whatever_stands_at_the_output_is_replaced_whole_or_stays_whole() {
    for kind in KINDS {
        let scene = Scene::sized(kind, 10_000);
        let image = scene.new_image();
        for case in &CASES {
            let what = format!("{}, {}", kind.name(), case.name);
            let place = TempDir::new().unwrap();
            let out = place.path().join("out");
            (case.make)(&out);
            let before = listed(place.path());
            match (kind.write(&image, &out), expected(case, kind)) {
                (Ok(()), Ok(name)) => {
                    let is_old_there = kind == Kind::Layout || scene.is_new(&place.path().join(name));
                    assert!(is_old_there, "{what}");
                    let links = before.iter().filter(|(path, _)| path.is_symlink()).count();
                    let after = listed(place.path());
                    assert_eq!(
                        before.iter().filter(|there| there.1 == IS_LINK && after.contains(there)).count(),
                        links
                    );
                }
                (Err(error), Err(kind)) => {
                    expect_words(&error, kind, place.path(), &what);
                    assert_eq!(listed(place.path()), before, "{what}");
                }
                (result, expected) => panic!("{what}: {result:?}, and not {expected:?}"),
            }
            assert_eq!(leftovers(place.path()), [""; 0], "{what}");
        }
    }
}

#[test]
fn names_that_are_odd_too_long_or_in_no_folder_are_taken_or_refused_with_words() {
    for kind in KINDS {
        let scene = Scene::sized(kind, 10_000);
        let image = scene.new_image();
        let place = TempDir::new().unwrap();
        for name in [&[b'n'; 255][..], b"na\xffme", b" ", b"-", b"new\nline"] {
            let out = place.path().join(OsStr::from_bytes(name));
            kind.write(&image, &out).unwrap();
            assert!(kind == Kind::Layout || scene.is_new(&out));
        }
        let before = listed(place.path());
        let name = "n".repeat(256);
        for (path, expected) in [(name.as_str(), Io), ("no/such", NotFound), ("new\nline/x", Io)] {
            // In a layout and a root directory there is room for one more.
            if path.starts_with("new") && matches!(kind, Kind::Layout | Kind::Rootfs) {
                continue;
            }
            let out = place.path().join(path);
            let error = kind.write(&image, &out).unwrap_err();
            assert_eq!(error.kind(), expected, "{kind:?}: {error}");
            assert!(error.path().is_some_and(|named| out.starts_with(named)), "{error}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
        assert_eq!(listed(place.path()), before);
    }
}

#[test]
fn a_relative_path_is_one_of_the_working_directory() {
    for kind in KINDS {
        let scene = Scene::sized(kind, 10_000);
        let place = TempDir::new().unwrap();
        fs::create_dir(place.path().join("sub")).unwrap();
        for path in ["out", "./sub/../out2", "sub/out3"] {
            let status = scene.command(Path::new(path), &[]).current_dir(place.path()).output().unwrap();
            assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
            assert!(kind == Kind::Layout || scene.is_new(&place.path().join(path)), "{kind:?} at {path}");
        }
    }
}

/// Root may write everywhere, so this is somebody else.
fn as_nobody(scene: &Scene, out: &Path, more: &[&str]) -> std::process::Output {
    let mut command = tools::command("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(scene.nobodys_command());
    command.args(scene.arguments(out, more)).output().unwrap()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_cache_that_may_only_be_read_is_read_and_stores_nothing_whatever_it_lacks() {
    if !is_root() || !tools::are_here(&["setpriv"]) {
        return;
    }
    let scene = Scene::sized(Kind::Layer, 10_000);
    let place = TempDir::new().unwrap();
    scene.readable_by_all();
    set_mode(place.path(), 0o777);
    let (cache, out) = (place.path().join("cache"), place.path().join("out"));
    let more = ["--cache", cache.to_str().unwrap()];
    let build = |what: &str| {
        let output = as_nobody(&scene, &out, &more);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && scene.is_new(&out), "{what}: {said}");
        said
    };
    build("none");
    // Open, so that no later file gets its number.
    let first = fs::File::open(&out).unwrap();
    let stood = first.metadata().unwrap().ino();
    // As an earlier version left it, and less.
    for lacking in ["new", "frames", "records", "outputs"] {
        fs::remove_dir_all(cache.join(lacking)).unwrap();
        set_mode(&cache, 0o500);
        let before = listed(&cache);
        let said = build(lacking);
        assert!(!said.contains("warning"), "without {lacking}: {said}");
        assert_eq!(listed(&cache), before, "without {lacking}");
        // It tells that the output stands as it was written.
        assert_eq!(
            fs::metadata(&out).unwrap().ino() == stood,
            ["new", "frames"].contains(&lacking),
            "without {lacking}"
        );
        set_mode(&cache, 0o700);
    }
    // There is nothing to read.
    fs::remove_file(cache.join("CACHEDIR.TAG")).unwrap();
    set_mode(&cache, 0o500);
    let said = build("an empty directory");
    assert!(said.contains("is not used: nothing can be put into it: it may only be read"), "{said}");
}

#[test]
fn what_may_not_be_written_stays() {
    if !is_root() || !tools::are_here(&["setpriv"]) {
        return;
    }
    for kind in [Kind::Archive, Kind::Layer, Kind::Rootfs, Kind::Layout] {
        let scene = Scene::sized(kind, 10_000);
        let place = TempDir::new().unwrap();
        scene.readable_by_all();
        set_mode(place.path(), 0o777);
        let out = place.path().join("out");
        if matches!(kind, Kind::Archive | Kind::Layer) {
            scene.restore(&out);
            set_mode(&out, 0o444);
            let message = crate::scene::expect_message(&as_nobody(&scene, &out, &["--quiet"]), "a read-only file");
            assert!(message.contains("Permission denied") && message.contains("change the mode"), "{message}");
            set_mode(&out, 0o644);
            assert!(scene.is_old(&out));
        }
        fs::remove_file(&out).ok();
        set_mode(place.path(), 0o555);
        let message = crate::scene::expect_message(&as_nobody(&scene, &out, &["--quiet"]), "a read-only directory");
        assert!(message.contains("Permission denied") && message.contains("change the mode"), "{message}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }
}

#[test]
fn where_names_may_be_made_and_not_read_the_output_is_made_and_synced_with_its_file_system() {
    if !is_root() || !tools::are_here(&["setpriv", "strace"]) {
        return;
    }
    for kind in KINDS {
        let scene = Scene::sized(kind, 10_000);
        let (place, log) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        scene.readable_by_all();
        set_mode(place.path(), 0o333);
        let (out, log) = (place.path().join("out"), log.path().join("log"));
        let mut command = tools::command("strace");
        let trace = format!("trace={}", calls_there("rename,renameat,renameat2,mkdir,mkdirat,syncfs"));
        command.args(["-f", "-qq", "-e", &trace, "-o"]).arg(&log);
        command.args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]).arg(scene.nobodys_command());
        tools::run(command.args(scene.arguments(&out, &["--quiet"])));
        assert!(kind == Kind::Layout || scene.is_new(&out), "{kind:?}");
        assert_eq!(leftovers(place.path()), [""; 0], "{kind:?}");
        let log = fs::read_to_string(log).unwrap();
        let made: Vec<&str> = log.lines().filter(|line| !line.contains("+++")).collect();
        let named = made.iter().position(|line| line.contains("out\"") && line.ends_with("= 0")).unwrap();
        assert!(made[named + 1].contains("syncfs(") && made[named + 1].ends_with("= 0"), "{kind:?}: {log}");
    }
}

#[test]
fn on_a_read_only_file_system_the_old_output_stays() {
    if !is_root() {
        return;
    }
    for kind in KINDS {
        let scene = Scene::sized(kind, 10_000);
        let place = Tmpfs::new(8 << 10);
        let out = place.path().join("out");
        scene.restore(&out);
        place.allow_writing(false);
        let error = kind.write(&scene.new_image(), &out).unwrap_err();
        assert_eq!(error.kind(), Io, "{error}");
        assert!(error.to_string().contains("Read-only file system"), "{error}");
        assert!(error.to_string().contains("write elsewhere"), "{error}");
        place.allow_writing(true);
        assert!(scene.is_old(&out));
        assert_eq!(leftovers(place.path()), [""; 0]);
    }
}

#[test]
fn an_output_on_another_file_system_is_made_there_and_a_mount_point_is_not_replaced() {
    if !is_root() {
        return;
    }
    for kind in KINDS {
        let scene = Scene::sized(kind, 10_000);
        let (other, place) = (Tmpfs::new(8 << 10), TempDir::new().unwrap());
        let (link, out) = (place.path().join("out"), other.path().join("real"));
        scene.restore(&out);
        symlink(&out, &link).unwrap();
        kind.write(&scene.new_image(), &link).unwrap();
        assert!(scene.is_new(&out) && link.is_symlink());
        // A file or a directory that is itself a mount point, of the same file system and of another.
        for from in [other.path(), place.path()] {
            let (from, at) = (from.join("from"), place.path().join("at"));
            scene.restore(&from);
            scene.restore(&at);
            rustix::mount::mount_bind(&from, &at).unwrap();
            let result = kind.write(&scene.new_image(), &at);
            let is_kept = if kind == Kind::Layout { scene.is_new(&at) } else { scene.is_old(&at) };
            rustix::mount::unmount(&at, rustix::mount::UnmountFlags::DETACH).unwrap();
            match kind {
                Kind::Layout => result.unwrap(),
                _ => {
                    let error = result.unwrap_err();
                    assert_eq!(error.kind(), OutputRefused, "{kind:?}: {error}");
                    assert!(error.to_string().contains("mount point"), "{error}");
                }
            }
            assert!(is_kept);
            assert_eq!(leftovers(place.path()).len() + leftovers(other.path()).len(), 0);
        }
    }
}
