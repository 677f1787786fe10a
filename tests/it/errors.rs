//! What a user reads when it does not work.

use std::path::Path;

use scratchpack::{Error, ErrorKind, Image};

use crate::elf::{AARCH64, library, program};
use crate::root::Root;

fn error(path: &Path) -> Error {
    Image::from_binary(path).unwrap_err()
}

#[test]
fn a_missing_program_is_named() {
    let error = error(Path::new("/nowhere/app"));
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.to_string(),
        "cannot analyze /nowhere/app: no such file or directory; check the path, or make it first"
    );
    assert_eq!(error.path(), Some(Path::new("/nowhere/app")));
}

#[test]
fn a_script_is_told_from_a_program() {
    let root = Root::empty().bytes("/app", b"#!/usr/bin/env python3\nprint(1)\n");
    let error = error(&root.on_machine("/app"));
    assert_eq!(error.kind(), ErrorKind::NotElf);
    assert!(error.to_string().contains("a script for /usr/bin/env python3"), "{error}");
    assert!(error.to_string().contains("give the compiled program"), "{error}");
}

#[test]
fn a_directory_or_a_pipe_is_no_program() {
    let root = Root::empty().directory("/app");
    assert!(error(&root.on_machine("/app")).to_string().contains("it is a directory"));
    let pipe = root.on_machine("/pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    assert_eq!(error(&pipe).kind(), ErrorKind::NotElf);
}

#[test]
fn a_program_for_another_machine_asks_for_a_sysroot() {
    let mut app = program(&["libc.so.6"]).machine(AARCH64, true, true);
    app.interpreter = Some(b"/lib/ld-linux-nowhere.so.1\0".to_vec());
    let root = Root::empty().file("/app", &app);
    let error = error(&root.on_machine("/app"));
    assert_eq!(error.kind(), ErrorKind::Foreign);
    assert_eq!(error.missing().len(), 1);
    assert!(error.to_string().contains("for aarch64"), "{error}");
    assert!(error.to_string().contains("sysroot"), "{error}");
}

#[test]
fn a_missing_interpreter_is_named() {
    let mut app = program(&["libc.so.6"]);
    app.interpreter = Some(b"/lib/ld-nowhere.so.1\0".to_vec());
    let root = Root::empty().file("/app", &app);
    let error = error(&root.on_machine("/app"));
    assert_eq!(error.kind(), ErrorKind::Unresolved);
    assert_eq!(error.missing()[0].name(), "/lib/ld-nowhere.so.1");
}

#[test]
fn a_shared_library_is_no_program() {
    let root = Root::empty().file("/libx.so", &library("libx.so").needs("libc.so.6"));
    let error = error(&root.on_machine("/libx.so"));
    assert_eq!(error.kind(), ErrorKind::NotAProgram);
    assert!(error.to_string().contains("give the executable that uses it"), "{error}");
}

#[test]
fn control_characters_never_reach_a_terminal() {
    let root = Root::debian().file("/app", &program(&["lib\x1b[31m\n.so"]));
    let error = root.builder("/app").build().unwrap_err().to_string();
    assert!(error.contains("lib\\x1b[31m\\x0a.so"), "{error}");
}

#[test]
fn all_wrong_options_are_told_at_once() {
    let error = Image::builder()
        .tag("No Name")
        .expose("0")
        .expose("http")
        .env("A=B", "c")
        .workdir("relative")
        .directory("relative", None)
        .stop_signal("loud")
        .created(u64::MAX)
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
    assert_eq!(error.to_string().lines().count(), 9, "{error}");
}

#[test]
fn an_install_path_must_be_a_plain_absolute_one() {
    let root = Root::debian().file("/app", &program(&[]));
    for path in ["bin/app", "/", "/bin/", "/bin/../app"] {
        let error = root.builder("/app").install(path).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption, "{path}");
    }
}

#[test]
fn the_loader_of_an_unknown_libc_is_refused() {
    let mut app = program(&[]);
    app.interpreter = Some(b"/lib/mine.so\0".to_vec());
    let root = Root::empty().file("/app", &app).file("/lib/mine.so", &library("mine"));
    let error = root.builder("/app").build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn programs_for_two_machines_make_no_image() {
    let root = Root::empty()
        .file("/a", &crate::elf::static_program())
        .file("/b", &crate::elf::static_program().machine(AARCH64, true, true));
    let error = root.builder("/a").binary(root.on_machine("/b")).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}
