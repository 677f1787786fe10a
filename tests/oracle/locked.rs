//! Locks of programs that were compiled from C, beside a library that changes.

use std::path::Path;
use std::process::Output;

use crate::fixtures::{compile, scratch};
use crate::tools;

const FOO: &str = "int foo(void) { return 1; }\n";
const BAR: &str = "int bar(void) { return 2; }\n";
const BAR_WITH_FOO: &str = "int foo(void);\nint bar(void) { return foo(); }\n";
const MAIN: &str = "int bar(void);\nint main(void) { return bar() < 0; }\n";

fn library(directory: &Path, source: &str, name: &str, soname: &str, more: &[&str]) {
    let soname = format!("-Wl,-soname,{soname}");
    compile(source, &directory.join(name), &[&["-shared", "-fPIC", &soname][..], more].concat());
}

fn scratchpack(directory: &Path, arguments: &[&str]) -> Output {
    tools::command(env!("CARGO_BIN_EXE_scratchpack")).args(arguments).current_dir(directory).output().unwrap()
}

#[track_caller]
fn said(output: &Output, status: i32) -> String {
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(output.status.code(), Some(status), "{said}");
    said
}

#[test]
fn a_library_that_newly_needs_another_is_told_and_accepted_and_a_program_made_anew_passes() {
    if !tools::are_here(&["cc"]) {
        return;
    }
    let directory = scratch();
    let at = directory.path();
    let (search, origin) = (format!("-L{}", at.display()), "-Wl,--enable-new-dtags,-rpath,$ORIGIN");
    library(at, FOO, "libfoo.so.3", "libfoo.so.3", &[]);
    library(at, BAR, "libbar.so.1", "libbar.so.1", &[]);
    let program = |source: &str| compile(source, &at.join("hello"), &[&search, "-l:libbar.so.1", origin]);
    program(MAIN);
    said(&scratchpack(at, &["build", "hello", "-o", "old.tar", "--lock", "hello.lock"]), 0);
    program(&format!("{MAIN}int more(void) {{ return 7; }}\n"));
    said(&scratchpack(at, &["build", "hello", "-o", "hello.tar", "--locked", "hello.lock"]), 0);
    assert!(
        said(&scratchpack(at, &["diff", "old.tar", "hello.tar"]), 1).starts_with("/opt/hello/hello changed: sha256:")
    );

    program(MAIN);
    library(at, BAR_WITH_FOO, "libbar.so.1", "libbar.so.1", &[&search, "-l:libfoo.so.3", origin]);
    let expected = "/opt/hello/libfoo.so.3 added: libbar.so.1 now needs it (hello → libbar.so.1 → libfoo.so.3)\n";
    let refused = said(&scratchpack(at, &["build", "hello", "-o", "new.tar", "--locked", "hello.lock"]), 1);
    assert!(refused.contains(expected) && refused.contains("(1 added, 1 changed); nothing was written"), "{refused}");
    assert!(!at.join("new.tar").exists());
    said(&scratchpack(at, &["build", "hello", "-o", "new.tar", "--lock", "new.lock", "--type", "archive"]), 0);
    said(&scratchpack(at, &["build", "hello", "-o", "rootfs", "--type", "rootfs", "--locked", "new.lock"]), 0);
    said(&scratchpack(at, &["build", "hello", "-o", "layout/", "--locked", "new.lock"]), 0);
    for (before, after) in
        [("old.tar", "new.tar"), ("old.tar", "layout"), ("hello.lock", "rootfs"), ("old.tar", "new.lock")]
    {
        let found = said(&scratchpack(at, &["diff", before, after]), 1);
        assert!(found.contains(expected), "{before} {after}: {found}");
    }
    for other in ["new.lock", "rootfs", "layout"] {
        assert_eq!(said(&scratchpack(at, &["diff", "new.tar", other]), 0), "", "{other}");
    }
}
