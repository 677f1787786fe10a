//! `scratchpack build --load`, with tools that are scripts.

use std::fs;
use std::process::{Command, Output};

use scratchpack::Compression;
use serde_json::Value;

use crate::command::{err, out};
use crate::layers::large;
use crate::root::Root;
use crate::verify::{self, verified};

/// Keeps what it reads beside itself.
const TAKES: &str = "cat > \"${0%/*}/$(basename \"$0\").got\"; echo Loaded image: app:latest; echo progress >&2";

/// A root with a program of a few pieces, and tools that do this.
fn with_tools(tools: &[(&str, &str)]) -> Root {
    let root = large().directory("/tools");
    for (name, script) in tools {
        // The tools that a script uses are where they are.
        let text = format!("#!/bin/sh\nPATH=/usr/bin:/bin\necho \"$@\" > \"$0.arguments\"\n{script}\n");
        install(&root, name, &text);
    }
    root
}

/// In a process of its own: what another thread starts meanwhile would hold a file of this process open for writing, and
/// the kernel starts no such program.
fn install(root: &Root, name: &str, text: &str) {
    let draft = root.on_machine("/draft");
    fs::write(&draft, text).unwrap();
    let tool = root.on_machine("/tools").join(name);
    assert!(Command::new("install").args(["-m", "755"]).args([&draft, &tool]).status().unwrap().success());
}

fn build(root: &Root, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_scratchpack"))
        .args(["build", "app", "--sysroot", ".", "--quiet"])
        .args(arguments)
        .current_dir(root.path())
        .env("PATH", root.on_machine("/tools"))
        // No file can be made there.
        .env("TMPDIR", root.on_machine("/nowhere"))
        .env_remove("SOURCE_DATE_EPOCH")
        .output()
        .unwrap()
}

/// It failed, and said these.
fn fails_with(output: &Output, words: &[&str]) {
    assert_eq!((output.status.code(), out(output).as_str()), (Some(1), ""), "{}", err(output));
    assert!(err(output).starts_with("scratchpack: error: cannot load the image: "), "{}", err(output));
    for word in words {
        assert!(err(output).contains(word), "{word}: {}", err(output));
    }
}

fn got(root: &Root, tool: &str) -> Vec<u8> {
    fs::read(root.on_machine("/tools").join(format!("{tool}.got"))).unwrap()
}

#[test]
fn docker_gets_the_archive_and_the_answer_is_the_digest_alone() {
    let root = with_tools(&[("docker", TAKES), ("podman", TAKES)]);
    let output = build(&root, &["--load"]);
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
    let image = root.builder("/app").compression(Compression::None).build().map(verified).unwrap();
    let mut expected = Vec::new();
    let written = image.write_docker_archive_to(&mut expected).unwrap();
    assert!(got(&root, "docker") == expected);
    verify::docker_archive(&expected).unwrap();
    assert_eq!(fs::read(root.on_machine("/tools/docker.arguments")).unwrap(), b"load\n");
    assert!(!root.on_machine("/tools/podman.got").exists());
    assert_eq!(out(&output), format!("{}\n", written.digest()));
    // The one that the same image has where it is written uncompressed.
    assert_eq!(out(&build(&root, &["-o", "app.tar", "--compression", "none"])), out(&output));
}

#[test]
fn podman_gets_it_where_docker_is_absent_or_no_program() {
    let root = with_tools(&[("podman", TAKES)]).directory("/tools/docker");
    let output = build(&root, &["--load", "--format", "json"]);
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["loaded_into"], "podman");
    assert_eq!(report["size"], got(&root, "podman").len());
}

#[test]
fn an_output_is_written_as_well_and_its_digest_is_the_answer() {
    let root = with_tools(&[("docker", TAKES)]);
    let both = build(&root, &["--load", "-o", "app.tar", "--compression", "zstd", "--format", "json"]);
    assert_eq!((both.status.code(), err(&both).as_str()), (Some(0), ""));
    let both: Value = serde_json::from_slice(&both.stdout).unwrap();
    let loaded: Value = serde_json::from_slice(&build(&root, &["--load", "--format", "json"]).stdout).unwrap();
    assert_eq!(both["size"], fs::metadata(root.on_machine("/app.tar")).unwrap().len());
    assert_ne!(both["digest"], loaded["digest"]);
    assert_eq!((&both["config_digest"], &both["diff_id"]), (&loaded["config_digest"], &loaded["diff_id"]));
}

#[test]
fn a_cache_changes_nothing_of_what_is_loaded() {
    let root = with_tools(&[("docker", TAKES)]);
    let plain = build(&root, &["--load"]);
    let bytes = got(&root, "docker");
    for arguments in [&["--load"][..], &["--load"], &["--load", "-o", "x.tar"], &["--load", "-o", "x.tar"]] {
        let cached = build(&root, &[arguments, &["--cache", "cache"]].concat());
        assert_eq!((cached.status.code(), err(&cached).as_str()), (Some(0), ""));
        assert!(got(&root, "docker") == bytes, "{arguments:?}");
        assert_eq!(out(&cached) == out(&plain), arguments.len() == 1);
    }
}

#[test]
fn standard_output_may_have_the_archive_while_the_tool_has_its_own() {
    let root = with_tools(&[("docker", TAKES)]);
    let output = build(&root, &["--load", "-o", "-"]);
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
    build(&root, &["-o", "app.tar"]);
    assert!(output.stdout == fs::read(root.on_machine("/app.tar")).unwrap());
    assert!(!got(&root, "docker").is_empty());
}

#[test]
fn a_tool_that_fails_is_heard() {
    let script = "cat > /dev/null; printf 'Loading 1\\rLoading 2\\n'; printf 'no room \\033[1m left\\n' >&2; exit 3";
    let output = build(&with_tools(&[("docker", script)]), &["--load"]);
    fails_with(&output, &["`docker load` failed (exit status: 3)", "\n  Loading 2\n", "no room \\x1b[1m left", "-o"]);
    assert!(!err(&output).contains('\x1b') && !err(&output).contains("Loading 1"));
}

#[test]
fn a_tool_that_ends_early_is_heard_and_no_broken_pipe() {
    let output = build(&with_tools(&[("docker", "echo no daemon here >&2; exit 1")]), &["--load"]);
    fails_with(&output, &["exit status: 1", "no daemon here"]);
    assert!(!err(&output).to_lowercase().contains("pipe"), "{}", err(&output));
    let output = build(&with_tools(&[("docker", "head -c 1000 > /dev/null")]), &["--load"]);
    fails_with(&output, &["it ended before it had read the image"]);
}

#[test]
fn a_tool_that_says_much_before_it_reads_is_no_deadlock() {
    let script = "head -c 1000000 /dev/zero | tr '\\0' x; echo; echo last; cat > /dev/null; exit 1";
    let output = build(&with_tools(&[("docker", script)]), &["--load"]);
    fails_with(&output, &["\n  last\n"]);
    assert!(err(&output).len() < 20_000);
}

#[test]
fn what_a_tool_leaves_running_is_not_waited_for() {
    let root = with_tools(&[("docker", "(sleep 60; : > \"$0.over\") & cat > /dev/null; exit 1")]);
    fails_with(&build(&root, &["--load"]), &["exit status: 1"]);
    assert!(!root.on_machine("/tools/docker.over").exists());
}

#[test]
fn without_a_tool_those_that_were_looked_for_are_named_and_nothing_is_written() {
    let root = with_tools(&[]);
    fails_with(&build(&root, &["--load", "-o", "app.tar"]), &["neither docker nor podman is on PATH"]);
    assert!(!root.on_machine("/app.tar").exists());
}

#[test]
fn a_tool_that_cannot_be_started_is_named() {
    let root = with_tools(&[]);
    install(&root, "docker", "#!/no/such/interpreter\n");
    fails_with(&build(&root, &["--load"]), &["tools/docker cannot be run"]);
}

#[test]
fn what_to_write_needs_an_output() {
    let root = with_tools(&[("docker", TAKES)]);
    for arguments in [&["--load", "--type", "archive"][..], &["--type", "layer"], &[]] {
        let output = build(&root, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(err(&output).contains("--output"), "{}", err(&output));
    }
    assert!(!root.on_machine("/tools/docker.got").exists());
}
