//! What a root gives out while another process swaps directories, files and links.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{Fault, Input, Root, Walker};
use crate::analyze::ReadAt;

const LOOKUPS: usize = 100_000;
const INSIDE: &[u8] = b"inside";
const OUTSIDE: &[u8] = b"outside";

/// `root/d` and `root/e/f` hold what is inside; `root/x` and `root/e/x` are links to what is outside.
fn tree(directory: &Path) {
    for (path, content) in [("root/d/f", INSIDE), ("root/e/f", INSIDE), ("outside/f", OUTSIDE), ("outside/o", OUTSIDE)]
    {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    symlink("../outside", directory.join("root/x")).unwrap();
    symlink(directory.join("outside/f"), directory.join("root/e/x")).unwrap();
}

/// Swaps both pairs until told to stop.
fn swap(directory: &Path, stop: &AtomicBool, swaps: &AtomicUsize) {
    let path = |name: &str| directory.join("root").join(name);
    while !stop.load(Ordering::Relaxed) {
        for (one, other) in [("d", "x"), ("e/f", "e/x")] {
            renameat_with(CWD, path(one), CWD, path(other), RenameFlags::EXCHANGE).unwrap();
        }
        swaps.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether something was there; if so, it is from inside.
fn is_there(input: Result<Input, Fault>) -> bool {
    let Ok(input) = input else { return false };
    let mut bytes = [0; 16];
    let filled = input.file.read_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes[..filled], INSIDE);
    true
}

/// How many of the lookups through one walker found something.
fn look_up(root: &Root, lookups: usize) -> usize {
    let walker = Walker::new(root);
    let one = |lookup: usize| match lookup % 5 {
        0 => is_there(walker.open(Path::new("/d/f")).map(|(_, input)| input)),
        1 => is_there(walker.open(Path::new("/e/f")).map(|(_, input)| input)),
        2 => is_there(root.open(Path::new("/d/f"))),
        3 => is_there(root.open(Path::new("/e/f"))),
        _ => {
            let names = walker.names(Path::new("/d")).unwrap_or_default();
            assert!(names.iter().all(|name| name == "f"), "{names:?}");
            !names.is_empty()
        }
    };
    (0..lookups).filter(|&lookup| one(lookup)).count()
}

#[test]
fn no_byte_comes_from_outside_while_links_and_directories_are_swapped() {
    let directory = tempfile::tempdir().unwrap();
    tree(directory.path());
    let (stop, swaps) = (AtomicBool::new(false), AtomicUsize::new(0));
    let found = std::thread::scope(|scope| {
        // Told to stop even if an assertion fails in here.
        let _stop = OnDrop(&stop);
        scope.spawn(|| swap(directory.path(), &stop, &swaps));
        let mut found = 0;
        // Handles and walks are kept for some lookups, and made anew for the next.
        for lookups in [5, 10, 50, 435].into_iter().cycle().scan(LOOKUPS, take) {
            let root = Root::at(&directory.path().join("root")).unwrap();
            found += look_up(&root, lookups / 2) + look_up(&root, lookups - lookups / 2);
        }
        found
    });
    assert!(0 < found && found < LOOKUPS, "{found} found");
    assert!(swaps.into_inner() > 0);
}

/// As many as are wanted, or are left.
fn take(left: &mut usize, wanted: usize) -> Option<usize> {
    let taken = wanted.min(*left);
    *left -= taken;
    (taken > 0).then_some(taken)
}

struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_directory_that_was_often_asked_in_vain_answers_from_a_list() {
    let directory = tempfile::tempdir().unwrap();
    tree(directory.path());
    let root = Root::at(&directory.path().join("root")).unwrap();
    let walker = Walker::new(&root);
    let fault = |name: &str| walker.walk(&Path::new("/d").join(name)).map(|walk| walk.real).unwrap_err();
    let absent = Fault::System(rustix::io::Errno::NOENT);
    assert!((0..1_000).all(|number| fault(&number.to_string()) == absent));
    // What comes later is seen by nobody who has the list, and what was there is found.
    fs::write(directory.path().join("root/d/late"), INSIDE).unwrap();
    assert_eq!(fault("late"), absent);
    assert!(is_there(walker.open(Path::new("/d/f")).map(|(_, input)| input)));
    assert!(is_there(Walker::new(&root).open(Path::new("/d/late")).map(|(_, input)| input)));
    // A name that no directory can have is another error.
    assert_eq!(fault(&"x".repeat(256)), Fault::System(rustix::io::Errno::NAMETOOLONG));
}

#[test]
fn where_a_list_does_not_tell_all_names_every_one_is_asked_for() {
    let root = Root::host().unwrap();
    assert!(root.all_names(Path::new("/")).is_some_and(|names| names.contains(std::ffi::OsStr::new("proc"))));
    assert_eq!(root.all_names(Path::new("/proc")), None);
    assert_eq!(root.all_names(Path::new("/no such directory")), None);
}
