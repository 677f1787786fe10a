//! In which order outputs reach the disk: what a name leads to before the name.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::scene::{KINDS, Kind, SCRATCHPACK, Scene, calls_there};
use crate::tools;

/// What happened to the disk.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Synced(String),
    Renamed(String, String),
}

use Event::{Renamed, Synced};

fn events(scene: &Scene, out: &Path, more: &[&str]) -> Vec<Event> {
    let log = out.with_file_name("log");
    let mut command = tools::command("strace");
    let trace = calls_there("fsync,fdatasync,sync_file_range,syncfs,sync,rename,renameat,renameat2");
    command.args(["-f", "-y", "-qq", "-s", "4096", "-o"]).arg(&log).args([
        "-e",
        &format!("trace={trace}"),
        SCRATCHPACK,
    ]);
    tools::run(command.args(scene.arguments(out, more)).env_remove("SOURCE_DATE_EPOCH"));
    fs::read_to_string(log).unwrap().lines().filter(|line| !line.contains("+++")).map(event).collect()
}

/// `12 fsync(4</tmp/x/out>) = 0`, `12 renameat(3</tmp/x>, "a", 3</tmp/x>, "b") = 0`
fn event(line: &str) -> Event {
    assert!(line.ends_with("= 0"), "{line}");
    let handles: Vec<&str> = line.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()).collect();
    let names: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
    match (line.contains("sync("), handles.as_slice(), names.as_slice()) {
        (true, [path], []) => Synced((*path).to_owned()),
        (false, [from, to], [old, new]) => Renamed(format!("{from}/{old}"), format!("{to}/{new}")),
        _ => panic!("{line}"),
    }
}

fn position(events: &[Event], event: &Event) -> usize {
    events.iter().position(|known| known == event).unwrap_or_else(|| panic!("no {event:?} in {events:#?}"))
}

/// The rename to a path, which came after the sync of what was renamed and before one of its directory.
fn expect_published(events: &[Event], path: &str) -> usize {
    let is_it = |event: &Event| matches!(event, Renamed(_, to) if to == path);
    let at = events.iter().position(is_it).unwrap_or_else(|| panic!("{path}: {events:#?}"));
    let Renamed(from, _) = &events[at] else { unreachable!() };
    assert!(position(&events[..at], &Synced(from.clone())) < at);
    let directory = Path::new(path).parent().unwrap().to_str().unwrap().to_owned();
    position(&events[at..], &Synced(directory));
    at
}

fn place() -> (TempDir, String) {
    let place = TempDir::new().unwrap();
    let path = fs::canonicalize(place.path()).unwrap().to_str().unwrap().to_owned();
    (place, path)
}

#[test]
fn a_file_is_synced_before_its_name_and_its_directory_after() {
    if !tools::are_here(&["strace"]) {
        return;
    }
    for kind in [Kind::Archive, Kind::Layer] {
        let (place, path) = place();
        let events = events(&Scene::of(kind), &place.path().join("out"), &[]);
        assert_eq!(expect_published(&events, &format!("{path}/out")), 1, "{events:#?}");
        assert_eq!(events.len(), 3);
    }
}

#[test]
fn everything_of_a_layout_is_on_disk_before_its_index() {
    if !tools::are_here(&["strace"]) {
        return;
    }
    let (place, path) = place();
    let events = events(&Scene::of(Kind::Layout), &place.path().join("out"), &[]);
    let out = format!("{path}/out");
    let index = expect_published(&events, &format!("{out}/index.json"));
    let renamed = |event: &Event| if let Renamed(_, to) = event { Some(to.clone()) } else { None };
    let names: Vec<String> = events.iter().filter_map(renamed).collect();
    assert_eq!(names.len(), 5, "{names:#?}");
    for name in names.iter().filter(|name| !name.ends_with("/index.json")) {
        assert!(expect_published(&events[..index], name) < index);
    }
    for directory in [&path, &out, &format!("{out}/blobs"), &format!("{out}/blobs/sha256")] {
        position(&events[..index], &Synced(directory.clone()));
    }
}

#[test]
fn directories_of_a_layout_that_were_there_are_synced_too() {
    if !tools::are_here(&["strace"]) {
        return;
    }
    let (place, path) = place();
    // By somebody who did not.
    fs::create_dir_all(place.path().join("out/blobs/sha256")).unwrap();
    let events = events(&Scene::of(Kind::Layout), &place.path().join("out"), &[]);
    let index = expect_published(&events, &format!("{path}/out/index.json"));
    for directory in [&path, &format!("{path}/out"), &format!("{path}/out/blobs")] {
        position(&events[..index], &Synced(directory.clone()));
    }
}

#[test]
fn everything_of_a_root_directory_is_on_disk_before_its_name() {
    if !tools::are_here(&["strace"]) {
        return;
    }
    let (place, path) = place();
    let scene = Scene::of(Kind::Rootfs);
    let events = events(&scene, &place.path().join("out"), &["--dir", "/var/closed:0500"]);
    let out = format!("{path}/out");
    let last = expect_published(&events, &out);
    assert_eq!(last, events.len() - 2);
    let Renamed(draft, _) = &events[last] else { unreachable!() };
    let mut names = vec![String::new()];
    while let Some(name) = names.pop() {
        let metadata = fs::symlink_metadata(format!("{out}{name}")).unwrap();
        if !metadata.is_symlink() {
            position(&events[..last], &Synced(format!("{draft}{name}")));
        }
        if metadata.is_dir() {
            let below = fs::read_dir(format!("{out}{name}")).unwrap();
            names.extend(below.map(|entry| format!("{name}/{}", entry.unwrap().file_name().to_str().unwrap())));
        }
    }
}

#[test]
fn nothing_is_synced_where_nobody_wants_it() {
    if !tools::are_here(&["strace"]) {
        return;
    }
    for kind in KINDS {
        let (place, _) = place();
        let cache = place.path().join("cache");
        let more = ["--no-sync", "--cache", cache.to_str().unwrap()];
        let events = events(&Scene::of(kind), &place.path().join("out"), &more);
        assert!(!events.iter().any(|event| matches!(event, Synced(_))), "{events:#?}");
        assert!(!events.is_empty());
    }
}
