//! The command's locks and differences: `build --lock`, `build --locked` and `diff`.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::command::{err, out, scratchpack};
use crate::elf::{RUNPATH, library, program};
use crate::root::Root;

fn root() -> Root {
    Root::debian()
        .file("/app", &program(&["libbar.so.1"]))
        .file("/lib/libbar.so.1", &library("libbar.so.1"))
        .file("/lib/libfoo.so.3", &library("libfoo.so.3"))
}

/// The library newly needs another.
fn changed(root: Root) -> Root {
    root.file("/lib/libbar.so.1", &library("libbar.so.1").needs("libfoo.so.3"))
}

fn build(root: &Root, more: &[&str]) -> Output {
    scratchpack(root, &[&["build", "app", "--sysroot", ".", "-o", "app.tar"], more].concat())
}

#[track_caller]
fn expect_status(output: &Output, status: i32) {
    assert_eq!(output.status.code(), Some(status), "{}{}", out(output), err(output));
}

fn locked() -> Root {
    let root = root();
    expect_status(&build(&root, &["--lock", "app.lock"]), 0);
    fs::remove_file(root.on_machine("app.tar")).unwrap();
    root
}

#[test]
fn a_build_that_is_as_locked_is_silent() {
    let root = locked();
    let output = build(&root, &["--locked", "app.lock"]);
    expect_status(&output, 0);
    assert_eq!(err(&output), "");
    assert!(root.on_machine("app.tar").exists());
}

#[test]
fn a_closure_that_changed_fails_with_its_chain_and_writes_nothing() {
    let root = changed(locked());
    let before = fs::read(root.on_machine("app.lock")).unwrap();
    let output =
        build(&root, &["--locked", "app.lock", "--iidfile", "id", "--sbom", "s.cdx.json", "--lock", "new.lock"]);
    expect_status(&output, 1);
    let said = err(&output);
    let lines: Vec<&str> = said.lines().filter(|line| !line.contains("warning: ")).collect();
    assert_eq!(
        lines[0],
        "scratchpack: error: the image is not what app.lock says (1 added, 1 changed); nothing was written"
    );
    assert!(
        lines[1].starts_with("  /lib/libbar.so.1 changed: sha256:") && lines[1].ends_with(" (app needs it)"),
        "{said}"
    );
    assert_eq!(lines[2], "  /lib/libfoo.so.3 added: libbar.so.1 now needs it (app → libbar.so.1 → libfoo.so.3)");
    assert!(lines[3].contains("--lock app.lock"), "{said}");
    assert_eq!(out(&output), "");
    for name in ["app.tar", "id", "s.cdx.json", "new.lock"] {
        assert!(!root.on_machine(name).exists(), "{name}");
    }
    assert_eq!(fs::read(root.on_machine("app.lock")).unwrap(), before);
    expect_status(&build(&root, &["--lock", "app.lock"]), 0);
    expect_status(&build(&root, &["--locked", "app.lock"]), 0);
}

#[test]
fn a_library_that_is_gone_or_was_replaced_fails() {
    let root = changed(root());
    expect_status(&build(&root, &["--lock", "app.lock"]), 0);
    let root = root.file("/lib/libbar.so.1", &library("libbar.so.1"));
    let output = build(&root, &["--locked", "app.lock"]);
    expect_status(&output, 1);
    let gone = "  /lib/libfoo.so.3 gone: libbar.so.1 no longer needs it (app → libbar.so.1 → libfoo.so.3)\n";
    assert!(err(&output).contains(gone), "{}", err(&output));
    let root = changed(root).file("/lib/libfoo.so.3", &library("libfoo.so.3").with(RUNPATH, "/x"));
    let output = build(&root, &["--locked", "app.lock"]);
    expect_status(&output, 1);
    assert!(err(&output).contains(" (app → libbar.so.1 → libfoo.so.3)\n"), "{}", err(&output));
}

#[test]
fn a_file_that_is_given_counts_and_a_program_that_was_compiled_again_does_not() {
    let root = root().bytes("/conf", b"one");
    expect_status(&build(&root, &["--lock", "app.lock", "--file", "conf:/etc/"]), 0);
    let root = root.file("/app", &program(&["libbar.so.1"]).with(RUNPATH, "/nowhere"));
    expect_status(&build(&root, &["--locked", "app.lock", "--file", "conf:/etc/"]), 0);
    let root = root.bytes("/conf", b"two");
    let output = build(&root, &["--locked", "app.lock", "--file", "conf:/etc/"]);
    expect_status(&output, 1);
    assert!(err(&output).contains("  /etc/conf changed: sha256:"), "{}", err(&output));
    expect_status(&build(&root, &["--locked", "app.lock"]), 1);
}

#[test]
fn json_has_the_changes_as_data() {
    let root = changed(locked());
    let output = build(&root, &["--locked", "app.lock", "--format", "json"]);
    expect_status(&output, 1);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["digest"], Value::Null);
    let added = &report["changes"][1];
    assert_eq!((&added["change"], &added["before"]), (&"added".into(), &Value::Null));
    assert_eq!(added["chain"], serde_json::json!(["/app", "/lib/libbar.so.1", "/lib/libfoo.so.3"]));
    assert_eq!(added["after"]["found_by"], "default");
    let output = build(&root, &["--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["changes"], serde_json::json!([]));
}

#[test]
fn links_behind_which_nothing_stands_yet_are_what_they_lead_to() {
    let root = locked().link("/one", "two").link("/two", "new.tar");
    for words in [
        &["-o", "one", "--lock", "two"][..],
        &["-o", "new.tar", "--lock", "one"],
        &["-o", "app.tar", "--iidfile", "one", "--depfile", "./new.tar"],
    ] {
        let output = scratchpack(&root, &[&["build", "app", "--sysroot", "."], words].concat());
        expect_status(&output, 2);
        assert!(err(&output).contains("two outputs would be "), "{}", err(&output));
    }
    expect_status(&scratchpack(&root, &["build", "app", "--sysroot", ".", "-o", "one"]), 0);
    assert!(root.on_machine("new.tar").is_file() && root.on_machine("one").is_symlink());
}

#[test]
fn nothing_is_written_where_something_beside_it_would_replace_what_goes_in() {
    let root = locked().bytes("/a.spdx.json", b"{}");
    for words in [
        &["--lock", "app"][..],
        &["--iidfile", "lib/libbar.so.1"],
        &["--depfile", "app"],
        &["--sbom", "a.spdx.json", "--file", "a.spdx.json:/a"],
    ] {
        let output = build(&root, words);
        expect_status(&output, 1);
        assert!(err(&output).contains("give another name"), "{}", err(&output));
        assert!(!root.on_machine("app.tar").exists(), "{words:?}");
    }
}

#[test]
fn of_many_changes_a_thousand_are_told_and_all_of_them_as_json() {
    let root = locked();
    let many: String = (0..2000).map(|n| format!("/more/{n} sha256:{} 0644 - - - x\n", "0".repeat(64))).collect();
    let lock = fs::read_to_string(root.on_machine("app.lock")).unwrap() + &many;
    let root = root.bytes("/many.lock", lock.as_bytes());
    let output = build(&root, &["--locked", "many.lock", "--format", "json"]);
    expect_status(&output, 1);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["changes"].as_array().unwrap().len(), 2000);
    assert_eq!(err(&output).matches(" gone").count(), 1001);
    assert!(err(&output).contains("\n  and 1000 more, all of which --format json tells\n"), "{}", err(&output));
}

#[test]
fn json_is_there_whatever_fails_once_the_image_is_known() {
    let root = locked();
    for more in [&["--locked", "absent.lock"][..], &["--locked", "."], &["--strict", "--exclude", "libnone.so"]] {
        let output = build(&root, &[more, &["--format", "json"]].concat());
        expect_status(&output, 1);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let entries = report["entries"].as_array().unwrap();
        assert!(
            report["digest"].is_null() && entries.iter().any(|entry| entry["path"] == "/app"),
            "{more:?}: {report}"
        );
        assert!(err(&output).contains("scratchpack: error: "), "{}", err(&output));
    }
}

#[test]
fn a_lock_is_written_or_compared_with_and_nothing_else_is_written_there() {
    let root = locked();
    let output = build(&root, &["--lock", "app.lock", "--locked", "./app.lock"]);
    expect_status(&output, 2);
    assert!(err(&output).contains("would accept every change"), "{}", err(&output));
    for more in
        [&["--locked", "app.tar"][..], &["--locked", "app.lock", "--iidfile", "app.lock"], &["--lock", "app.tar"]]
    {
        expect_status(&build(&root, more), 2);
    }
    expect_status(&build(&root, &["--lock", "nowhere/app.lock"]), 1);
    assert!(!root.on_machine("app.tar").exists());
    let program = fs::read(root.on_machine("app")).unwrap();
    expect_status(&build(&root, &["--lock", "app"]), 1);
    assert_eq!(fs::read(root.on_machine("app")).unwrap(), program);
}

#[test]
fn what_a_build_that_fails_would_have_held_is_not_approved() {
    let root = locked().directory("/full/of");
    let before = fs::read(root.on_machine("app.lock")).unwrap();
    let arguments = ["build", "app", "--sysroot", ".", "-o", "full", "--type", "rootfs", "--lock", "app.lock"];
    expect_status(&scratchpack(&root, &[&arguments[..], &["--file", "app:/extra"]].concat()), 1);
    assert_eq!(fs::read(root.on_machine("app.lock")).unwrap(), before);
}

#[test]
fn a_lock_that_is_absent_or_none_is_told_with_what_to_do() {
    let root = root().bytes("/text", b"text\n");
    let output = build(&root, &["--locked", "absent.lock"]);
    expect_status(&output, 1);
    assert_eq!(err(&output), "scratchpack: error: there is no lock absent.lock; write it with --lock first\n");
    let output = build(&root, &["--locked", "text"]);
    expect_status(&output, 1);
    assert!(err(&output).contains("it is no lock") && err(&output).contains("--lock writes one"), "{}", err(&output));
    assert!(!root.on_machine("app.tar").exists());
}

#[test]
fn a_depfile_names_the_lock() {
    let root = locked();
    expect_status(&build(&root, &["--locked", "app.lock", "--depfile", "out.d"]), 0);
    let rule = fs::read_to_string(root.on_machine("out.d")).unwrap();
    assert!(rule.split_whitespace().any(|word| word == "app.lock"), "{rule}");
}

#[test]
fn diff_answers_on_standard_output_and_by_its_status() {
    let root = locked();
    expect_status(&scratchpack(&root, &["build", "app", "--sysroot", ".", "-o", "old", "--type", "rootfs"]), 0);
    let same = scratchpack(&root, &["diff", "old", "app.lock"]);
    expect_status(&same, 0);
    assert_eq!((out(&same), err(&same)), (String::new(), String::new()));
    let root = changed(root);
    expect_status(&build(&root, &["--user", "7"]), 0);
    expect_status(&scratchpack(&root, &["build", "app", "--sysroot", ".", "-o", "plain.tar"]), 0);
    let output = scratchpack(&root, &["diff", "app.lock", "app.tar"]);
    expect_status(&output, 1);
    let added = "/lib/libfoo.so.3 added: libbar.so.1 now needs it (app → libbar.so.1 → libfoo.so.3)\n";
    assert!(out(&output).ends_with(added) && err(&output).is_empty(), "{}", out(&output));
    let settings = scratchpack(&root, &["diff", "plain.tar", "app.tar"]);
    expect_status(&settings, 1);
    assert_eq!(out(&settings), "User added: \"7\"\n");
    let output = scratchpack(&root, &["diff", "old", "app.tar", "--format", "json"]);
    expect_status(&output, 1);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["images"][0]["changes"][1]["change"], "added");
    assert_eq!(report["images"][0]["settings"], serde_json::json!([]));
}

#[test]
fn diff_of_what_cannot_be_read_has_status_one_and_of_one_path_two() {
    let root = locked();
    let output = scratchpack(&root, &["diff", "app.lock", "absent"]);
    expect_status(&output, 1);
    assert!(err(&output).starts_with("scratchpack: error: cannot compare absent: "), "{}", err(&output));
    assert_eq!(out(&output), "");
    expect_status(&scratchpack(&root, &["diff", "app.lock"]), 2);
}
