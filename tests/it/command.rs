//! The command: answers, messages, exit statuses, JSON.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::documents::members;
use crate::elf::{LOADER, NEEDED, RUNPATH, library, program, static_program};
use crate::packages::{X, dpkg, merged};
use crate::root::Root;
use crate::stranger::{self, Stranger};
use crate::verify::{self, verified, verify_output};

pub fn scratchpack(root: &Root, arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_scratchpack"))
        .args(arguments)
        .current_dir(root.path())
        .env_remove("SOURCE_DATE_EPOCH")
        .output()
        .unwrap();
    if let (Some(0), ["build", ..]) = (output.status.code(), arguments) {
        verify_what_was_built(root, arguments, &output);
    }
    output
}

fn verify_what_was_built(root: &Root, arguments: &[&str], output: &Output) {
    let after = |option: &str| arguments.iter().skip_while(|&&argument| argument != option).nth(1);
    match (after("-o"), after("--type")) {
        (_, Some(&"rootfs")) | (None, _) => {}
        (Some(&"-"), Some(&"layer")) => drop(verify::layer(&output.stdout).unwrap()),
        (Some(&"-"), _) => drop(verify::archive(&output.stdout).unwrap()),
        (Some(file), _) => verify_output(&root.on_machine(file)),
    }
}

pub fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn simple() -> Root {
    Root::debian()
        .file("/app", &program(&["libx.so.1", "libx.so.1"]).with(RUNPATH, "/opt/l"))
        .file("/opt/l/libx.so.1.0", &library("libx.so.1").needs("liby.so"))
        .link("/opt/l/libx.so.1", "libx.so.1.0")
        .file("/lib/liby.so", &library("liby.so").needs("libx.so.1"))
}

#[test]
fn build_answers_with_the_digest_alone() {
    let output = scratchpack(&simple(), &["build", "app", "--sysroot", ".", "-o", "app.tar"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert_eq!(err(&output), "");
    let answer = out(&output);
    assert!(answer.starts_with("sha256:") && answer.len() == 72 && answer.ends_with('\n'), "{answer}");
}

#[test]
fn standard_output_gets_the_archive_and_nothing_else() {
    let root = simple();
    let output = scratchpack(&root, &["build", "app", "--sysroot", ".", "-o", "-"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(members(&output.stdout).contains_key("manifest.json"));
    scratchpack(&root, &["build", "app", "--sysroot", ".", "-o", "app.tar"]);
    assert!(fs::read(root.on_machine("/app.tar")).unwrap() == output.stdout);
}

#[test]
fn a_name_that_ends_in_a_slash_is_a_layout_and_so_is_a_directory() {
    let root = simple().directory("/empty");
    for (name, file) in [("new/", "new/index.json"), ("empty", "empty/index.json")] {
        let output = scratchpack(&root, &["build", "app", "--sysroot", ".", "-o", name]);
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        assert!(root.on_machine(file).exists());
    }
    let output = scratchpack(&root, &["build", "app", "--sysroot", ".", "-o", "rootfs", "--type", "rootfs"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(root.on_machine("rootfs/opt/l/libx.so.1").exists());
}

#[test]
fn usage_errors_have_status_two() {
    let root = simple();
    for arguments in [
        &["build", "app"][..],
        &["build", "-o", "x.tar"],
        &["build", "app", "-o", "x.tar", "--compression", "xz"],
        &["build", "app", "-o", "x.tar", "--no-such-option"],
        &["build", "app", "-o", "x.tar", "-t", "No Name"],
        &["build", "app", "-o", "x.tar", "--env", "novalue"],
        &["build", "app", "-o", "-", "--type", "layout"],
        &["build", "app", "-o", "-", "--format", "json"],
        &["build", "app", "-o", "x.tar", "--sysroot", "nowhere"],
        &["build", "app", "-o", "x.tar", "--sbom", "x.json"],
        &["build", "app", "-o", "x.cdx.json", "--sbom", "x.cdx.json"],
        &["build", "app", "-o", "x.tar", "--library-path", "nowhere"],
        &["inspect"],
        &["check"],
        &["check", "x.tar", "--format", "tree"],
        &["frobnicate"],
        &[],
    ] {
        assert_eq!(scratchpack(&root, arguments).status.code(), Some(2), "{arguments:?}");
    }
    assert!(!root.on_machine("/x.tar").exists());
}

#[test]
fn what_would_not_start_has_status_one_and_writes_nothing() {
    let root = Root::debian().file("/app", &program(&["libgone.so"])).bytes("/script", b"#!/bin/sh\n");
    for name in ["app", "script", "absent"] {
        let output = scratchpack(&root, &["build", name, "--sysroot", ".", "-o", "x.tar"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(err(&output).starts_with("scratchpack: error: cannot "), "{}", err(&output));
        assert!(!root.on_machine("/x.tar").exists());
    }
}

#[test]
fn warnings_go_to_standard_error_and_strict_makes_them_fatal() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]).with(RUNPATH, "/home/me/build"))
        .file("/home/me/build/libx.so", &library("libx.so"));
    let base = ["build", "app", "--sysroot", ".", "-o", "x.tar"];
    let strict = scratchpack(&root, &[&base[..], &["--strict"]].concat());
    assert_eq!(strict.status.code(), Some(1));
    assert!(err(&strict).contains("warning: the image must hold /home/me/build/libx.so"), "{}", err(&strict));
    assert!(!root.on_machine("/x.tar").exists());
    let quiet = scratchpack(&root, &[&base[..], &["--quiet"]].concat());
    assert_eq!((quiet.status.code(), err(&quiet).as_str()), (Some(0), ""));
}

#[test]
fn source_date_epoch_is_the_time_of_the_image() {
    let root = simple();
    let created = |value: &str, more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_scratchpack"))
            .args([&["build", "app", "--sysroot", ".", "-o", "x.tar"], more].concat())
            .current_dir(root.path())
            .env("SOURCE_DATE_EPOCH", value)
            .output()
            .unwrap();
        (output.status.code(), out(&output))
    };
    assert_eq!(created("86400", &[]), created("nonsense", &["--created", "86400"]));
    assert_ne!(created("86400", &[]), created("0", &[]));
    assert_eq!(created("nonsense", &[]).0, Some(2));
}

#[test]
fn inspect_lists_the_files_as_opened() {
    let root = simple();
    let output = scratchpack(&root, &["inspect", "app", "--sysroot", ".", "--format", "list"]);
    let expected: Vec<String> = ["/app", LOADER, "/opt/l/libx.so.1", "/lib/liby.so"]
        .iter()
        .map(|path| root.on_machine(path).display().to_string())
        .collect();
    let answer = out(&output);
    // The root is given as `.`, which stays in the paths as the caller wrote it.
    let lines: Vec<String> = answer.lines().map(|line| line.replace("/./", "/")).collect();
    let real = fs::canonicalize(root.path()).unwrap();
    let expected: Vec<String> =
        expected.iter().map(|path| path.replace(root.path().to_str().unwrap(), real.to_str().unwrap())).collect();
    assert_eq!(lines, expected);
}

#[test]
fn a_list_says_what_the_search_found_and_of_needs_nothing_unless_they_are_asked_for() {
    let app = program(&["libc.so.6"]).imports(&["getpwuid", "pthread_exit"]);
    let root = Root::debian().file("/lib/libc.so.6", &library("libc.so.6").defines(&["GLIBC_2.34"])).file("/app", &app);
    let said = |more: &[&str]| {
        let arguments = [&["inspect", "app", "--sysroot", "."], more].concat();
        let output = scratchpack(&root, &arguments);
        assert!(output.status.success());
        ["libgcc_s.so.1", "getpwuid"].map(|word| err(&output).contains(word))
    };
    assert_eq!(said(&["--format", "list"]), [true, false]);
    assert_eq!(said(&["--format", "list", "--with", "tmp"]), [true, true]);
    assert_eq!(said(&[]), [true, true]);
}

#[test]
fn inspect_draws_who_needs_what() {
    let output = scratchpack(&simple(), &["inspect", "app", "--sysroot", "."]);
    let expected = "/app
├── /lib64/ld-linux-x86-64.so.2  [interpreter]
├── libx.so.1 => /opt/l/libx.so.1  [runpath]
│   └── liby.so => /lib/liby.so  [default]
│       └── libx.so.1 => /opt/l/libx.so.1  [runpath]  (above)
└── libx.so.1 => /opt/l/libx.so.1  [runpath]  (above)
";
    assert_eq!(out(&output), expected);
}

#[test]
fn inspect_of_a_static_program_says_so() {
    let root = Root::empty().file("/app", &static_program());
    let output = scratchpack(&root, &["inspect", "app"]);
    assert!(out(&output).contains("statically linked"), "{}", out(&output));
}

fn report(root: &Root, program: &str) -> (Option<i32>, Value) {
    let output = scratchpack(root, &["inspect", program, "--sysroot", ".", "--format", "json"]);
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn inspect_reports_all_as_json() {
    let root = simple();
    let (status, report) = report(&root, "app");
    assert_eq!(status, Some(0));
    assert_eq!(report["binary"], "/app");
    assert_eq!(report["interpreter"], LOADER);
    assert_eq!(report["libc"], "glibc");
    assert_eq!((&report["architecture"], &report["isa_level"]), (&json!("amd64"), &json!(null)));
    let object = &report["objects"][1];
    assert_eq!(object["name"], "libx.so.1");
    assert_eq!(object["path"], "/opt/l/libx.so.1");
    assert_eq!(object["opened"], "/opt/l/libx.so.1");
    assert!(object["source"].as_str().unwrap().ends_with("/opt/l/libx.so.1.0"));
    assert_eq!(object["size"], fs::metadata(root.on_machine("/opt/l/libx.so.1.0")).unwrap().len());
    assert_eq!(object["needed_by"], json!(["/app", "/lib/liby.so"]));
    assert_eq!((&object["found_by"], &object["hidden"]), (&json!("runpath"), &json!(false)));
    assert_eq!(report["objects"][0]["found_by"], "interpreter");
    assert_eq!((&report["missing"], &report["findings"]), (&json!([]), &json!([])));
}

#[test]
fn the_level_of_the_instruction_set_is_that_of_the_most_demanding_file() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]).isa_needed(1))
        .file("/lib/libx.so", &library("libx.so").isa_needed(4));
    assert_eq!(root.closure("/app").isa_level(), Some("x86-64-v3"));
    assert_eq!(report(&root, "app").1["isa_level"], "x86-64-v3");
}

#[test]
fn inspect_reports_what_is_missing_with_status_one() {
    let root = Root::debian().file("/app", &program(&["libgone.so"]));
    let (status, report) = report(&root, "app");
    assert_eq!(status, Some(1));
    let missing = &report["missing"][0];
    assert_eq!((&missing["name"], &missing["needed_by"]), (&json!("libgone.so"), &json!(["/app"])));
    assert_eq!(missing["tried"][1]["path"], "/lib/x86_64-linux-gnu/libgone.so");
    assert_eq!(missing["tried"][1]["rule"], "default");
    assert_eq!(missing["tried"][1]["why"], "absent");
}

#[test]
fn a_static_program_has_no_interpreter_and_no_libc() {
    let root = Root::empty().file("/app", &static_program());
    let (status, report) = report(&root, "app");
    assert_eq!(status, Some(0));
    assert_eq!((&report["interpreter"], &report["libc"]), (&Value::Null, &Value::Null));
    assert_eq!(report["objects"], json!([]));
}

#[test]
fn bytes_that_are_not_utf_8_are_escaped_in_json() {
    let mut app = program(&[]);
    app.strings.push((NEEDED, b"lib\xff\\.so".to_vec()));
    let root = Root::debian().file("/app", &app);
    let (_, report) = report(&root, "app");
    assert_eq!(report["missing"][0]["name"], "lib\\xff\\\\.so");
}

#[test]
fn a_program_with_a_name_that_is_not_utf_8_is_inspected() {
    let root = Root::debian();
    let name = std::ffi::OsStr::from_bytes(b"a\xffb");
    fs::write(root.path().join(name), program(&[]).bytes()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_scratchpack"))
        .arg("inspect")
        .arg(Path::new(".").join(name))
        .args(["--sysroot", ".", "--format", "json"])
        .current_dir(root.path())
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["binary"], "/a\\xffb");
}

#[test]
fn the_whole_report_of_a_build_is_json() {
    let output = scratchpack(&simple(), &["build", "app", "--sysroot", ".", "-o", "x.tar", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["digest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(report["names"], json!(["docker.io/library/app:latest"]));
    let entries = report["entries"].as_array().unwrap();
    assert_eq!(entries.last().unwrap()["path"], "/app");
    assert_eq!(entries.last().unwrap()["reason"], "the program");
}

#[test]
fn nobody_reading_is_no_crash() {
    let root = simple();
    let command = format!("{} inspect app --sysroot . | true", env!("CARGO_BIN_EXE_scratchpack"));
    let output = Command::new("sh").args(["-c", &command]).current_dir(root.path()).output().unwrap();
    assert_eq!(err(&output), "");
}

#[test]
fn what_fails_is_reported_as_json_where_it_is_an_elf_file() {
    let root = Root::debian()
        .file("/app", &program(&["libgone.so", "./libx.so"]))
        .file("/libx.so", &library("libx.so").needs("a"));
    let output = scratchpack(&root, &["build", "app", "--sysroot", ".", "-o", "x.tar", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["digest"], &report["missing"][0]["name"]), (&Value::Null, &json!("libgone.so")));
    assert!(report["missing"][1]["note"].as_str().unwrap().contains("working directory"));
    let (status, report) = self::report(&root, "libx.so");
    assert_eq!((status, &report["architecture"]), (Some(1), &json!("amd64")));
}

#[test]
fn explain_tells_every_chain_and_the_places_tried_before() {
    let root = simple();
    let output = scratchpack(&root, &["explain", "app", "liby.so", "--sysroot", "."]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let text = out(&output);
    assert!(text.contains("/app -> libx.so.1 [runpath] -> liby.so [default]"), "{text}");
    assert!(text.contains("/lib/x86_64-linux-gnu/liby.so  default directory  no such file"), "{text}");
}

#[test]
fn explain_has_chains_and_links_as_json() {
    let root = simple();
    let output = scratchpack(&root, &["explain", "app", "liby.so", "--sysroot", ".", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let file = &report["files"][0];
    assert_eq!((&file["path"], &file["complete"]), (&json!("/lib/liby.so"), &json!(true)));
    let link = json!({ "needed_by": "/app", "name": "libx.so.1", "path": "/opt/l/libx.so.1", "rule": "runpath" });
    assert_eq!(file["chains"][0][0], link);
    assert_eq!(file["links"][1]["tried"][0]["rule"], "cache");
}

#[test]
fn explain_knows_what_is_no_object_and_what_is_not_there() {
    let root = simple();
    let link = scratchpack(&root, &["explain", "app", "/opt/l", "--sysroot", "."]);
    assert_eq!((link.status.code(), out(&link).as_str()), (Some(0), "/opt/l: holds what is in it\n"));
    let none = scratchpack(&root, &["explain", "app", "libnone.so", "--sysroot", "."]);
    assert_eq!((none.status.code(), out(&none).as_str()), (Some(1), ""));
    assert!(err(&none).contains("libnone.so is not in the image of app"), "{}", err(&none));
}

#[test]
fn a_version_that_is_missing_is_in_the_report_and_nothing_is_written() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]).needs_version("libx.so", "V2"))
        .file("/lib/libx.so", &library("libx.so").defines(&["V1"]));
    for subcommand in [&["inspect", "app"][..], &["build", "app", "-o", "app.tar"]] {
        let arguments = [subcommand, &["--sysroot", ".", "--format", "json"]].concat();
        let output = scratchpack(&root, &arguments);
        assert_eq!(output.status.code(), Some(1));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let missing = &report["missing"][0];
        assert_eq!((&missing["name"], &missing["version"]), (&json!("libx.so"), &json!("V2")));
        assert_eq!(missing["needed_by"], json!(["/app"]));
        assert!(err(&output).contains("app needs version V2 of libx.so, which was not found"), "{}", err(&output));
    }
    assert!(!root.on_machine("/app.tar").exists());
}

#[test]
fn relative_search_paths_mean_the_working_directory_that_is_given() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]).with(RUNPATH, "lib"))
        .file("/work/lib/libx.so", &library("libx.so"));
    let refused = scratchpack(&root, &["inspect", "app", "--sysroot", "."]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("means the working directory"), "{}", err(&refused));
    let found = scratchpack(&root, &["inspect", "app", "--sysroot", ".", "--workdir", "/work"]);
    assert_eq!(found.status.code(), Some(0), "{}", err(&found));
}

#[test]
fn check_is_silent_where_all_is_well() {
    let root = simple();
    scratchpack(&root, &["build", "app", "--sysroot", ".", "-o", "app.tar"]);
    let output = scratchpack(&root, &["check", "app.tar"]);
    assert_eq!((output.status.code(), out(&output), err(&output)), (Some(0), String::new(), String::new()));
    let output = scratchpack(&root, &["check", "app.tar", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report, json!({ "path": "app.tar", "programs": 1, "problems": [] }));
    assert_eq!(output.status.code(), Some(0));
}

/// An archive of one image with a name, a library of which a later layer hides.
fn broken(root: &Root) {
    let image = Stranger::made(&root.builder("/app").tag("example/app:1").build().map(verified).unwrap());
    let image = image.layer(vec![stranger::bytes("lib/.wh.liby.so", b"")]);
    let (mut members, mut manifest) = image.manifest();
    manifest["annotations"] = json!({ "io.containerd.image.name": "example/app:1" });
    let index = json!({ "manifests": [manifest] }).to_string();
    members.push(stranger::bytes("index.json", index.as_bytes()));
    fs::write(root.on_machine("/broken.tar"), stranger::tar(&members)).unwrap();
}

#[test]
fn check_says_what_would_not_start_with_status_one() {
    let root = simple();
    broken(&root);
    let output = scratchpack(&root, &["check", "broken.tar"]);
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(1), ""));
    let expected = "example/app:1: /app needs liby.so (via libx.so.1), which was not found
  /etc/ld.so.cache                   loader cache       no such file (the name is not in it)
  /lib/x86_64-linux-gnu/liby.so      default directory  no such file
  /usr/lib/x86_64-linux-gnu/liby.so  default directory  no such file
  /lib/liby.so                       default directory  no such file
  /usr/lib/liby.so                   default directory  no such file
";
    assert_eq!(out(&output), expected);
}

#[test]
fn check_reports_what_would_not_start_as_json() {
    let root = simple();
    broken(&root);
    let output = scratchpack(&root, &["check", "broken.tar", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["path"], &report["programs"]), (&json!("broken.tar"), &json!(1)));
    let problem = &report["problems"][0];
    assert_eq!((&problem["image"], &problem["program"]), (&json!("example/app:1"), &json!("/app")));
    assert!(problem["message"].as_str().unwrap().starts_with("/app needs liby.so"));
    let missing = &problem["missing"][0];
    assert_eq!((&missing["name"], &missing["needed_by"]), (&json!("liby.so"), &json!(["/opt/l/libx.so.1"])));
    assert_eq!(missing["tried"].as_array().unwrap().last().unwrap()["path"], "/usr/lib/liby.so");
}

#[test]
fn what_cannot_be_checked_has_status_one_and_a_message() {
    let root = simple();
    for (name, words) in [("absent", "cannot check absent: no such file"), ("app", "it is no tar archive")] {
        let output = scratchpack(&root, &["check", name, "--format", "json"]);
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(1), ""));
        assert!(err(&output).starts_with("scratchpack: error: cannot check "), "{}", err(&output));
        assert!(err(&output).contains(words), "{}", err(&output));
    }
}

#[test]
fn a_busybox_with_its_applets_is_a_command_line() {
    let root = Root::empty().file("/busybox", &static_program());
    let line = "build busybox -o bb/ --type rootfs --install /bin/busybox --symlink busybox:/bin/sh --symlink \
                busybox:/bin/ls --symlink bin:/sbin --dir /tmp:1777 --dir /root --file busybox:/sbin/init --entrypoint /bin/sh";
    let output = scratchpack(&root, &line.split_whitespace().collect::<Vec<_>>());
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
    assert_eq!(fs::read_link(root.on_machine("/bb/bin/sh")).unwrap(), Path::new("busybox"));
    assert_eq!(fs::read_link(root.on_machine("/bb/sbin")).unwrap(), Path::new("bin"));
    assert!(root.on_machine("/bb/bin/init").exists());
    let mode =
        |path: &str| std::os::unix::fs::MetadataExt::mode(&fs::metadata(root.on_machine(path)).unwrap()) & 0o7777;
    assert_eq!((mode("/bb/tmp"), mode("/bb/root")), (0o1777, 0o755));
}

#[test]
fn parts_of_arguments_that_make_no_sense_are_usage_errors_that_say_what_to_do() {
    let root = simple();
    for (option, value, words) in [
        ("--user", "me", "UID:GID"),
        ("--user", "1:", "UID:GID"),
        ("--user", "-1", "UID:GID"),
        ("--user", "+1", "UID:GID"),
        ("--user", "4294967296", "UID:GID"),
        ("--file", "app", "SRC:DST"),
        ("--file", "app:etc", "SRC:DST"),
        ("--file", ":/etc/x", "SRC:DST"),
        ("--file", "app:/etc/../x", "no `..`"),
        ("--symlink", "a:b", "TARGET:PATH"),
        ("--dir", "/tmp:9", "octal"),
        ("--dir", "/tmp:17777", "octal"),
        ("--dir", "tmp", "absolute"),
        ("--with", "luck", "ca-certificates"),
        ("--dlopen", "all", "recommended"),
    ] {
        let argument = format!("{option}={value}");
        let output = scratchpack(&root, &["build", "app", "--sysroot", ".", "-o", "x.tar", &argument]);
        assert_eq!(output.status.code(), Some(2), "{argument}: {}", err(&output));
        assert!(err(&output).contains(words), "{argument}: {}", err(&output));
    }
}

#[test]
fn a_path_of_this_machine_may_have_colons() {
    let root = simple().bytes("/a:b", b"x").bytes("/c:/d", b"y");
    let files = ["--file", "a:b:/etc/x:y", "--file", "c:/d:/etc/z", "--dir", "/v:1:700"];
    let base = ["build", "app", "--sysroot", ".", "-o", "r", "--type", "rootfs", "--user", "7"];
    let output = scratchpack(&root, &[&base[..], &files].concat());
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(root.on_machine("/r/etc/x:y").exists() && root.on_machine("/r/etc/z").exists());
    assert!(root.on_machine("/r/v:1").is_dir());
}

#[test]
fn needs_and_what_is_excluded_are_in_every_report() {
    let root = simple();
    let search = ["--sysroot", ".", "--format", "json", "--dlopen", "suggested", "--exclude", "libnone.*", "--auto"];
    for subcommand in [&["inspect", "app"][..], &["build", "app", "-o", "app.tar"]] {
        let output = scratchpack(&root, &[subcommand, &search].concat());
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&report["needs"], &report["excluded"]), (&json!([]), &json!([])));
    }
}

/// Two programs that look up users and services, in a root that has no file of services.
fn with_needs() -> Root {
    let app = program(&["libc.so.6"]).imports(&["getpwuid", "getservbyname"]);
    Root::debian()
        .file("/lib/libc.so.6", &library("libc.so.6").defines(&["GLIBC_2.34"]))
        .file("/one", &app)
        .file("/two", &app)
}

#[test]
fn needs_of_several_programs_are_noted_once_with_the_options_that_include_them() {
    let output = scratchpack(&with_needs(), &["build", "one", "two", "--sysroot", ".", "-o", "x.tar"]);
    let notes = err(&output);
    assert_eq!((output.status.code(), notes.lines().count()), (Some(0), 1), "{notes}");
    assert_eq!((notes.matches("users and groups").count(), notes.matches("services and").count()), (1, 1), "{notes}");
    assert!(notes.ends_with(". --with NAME includes one, --auto all of them\n"), "{notes}");
}

#[test]
fn notes_of_needs_that_cannot_be_met_offer_no_option() {
    let output = scratchpack(&with_needs(), &["build", "one", "--auto", "--sysroot", ".", "-o", "x.tar"]);
    let notes = err(&output);
    assert_eq!(output.status.code(), Some(0), "{notes}");
    assert!(notes.contains("may differ") && notes.contains("services and protocols"), "{notes}");
    assert!(!notes.contains("--with") && !notes.contains("users"), "{notes}");
}

#[test]
fn a_need_that_nothing_meets_has_status_one_and_a_report_of_the_rest() {
    let root = with_needs();
    let more = ["--with", "services", "--sysroot", ".", "--format", "json"];
    for subcommand in [&["inspect", "one"][..], &["build", "one", "-o", "x.tar"]] {
        let output = scratchpack(&root, &[subcommand, &more].concat());
        assert_eq!(output.status.code(), Some(1));
        assert!(err(&output).contains("the need services cannot be met"), "{}", err(&output));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&report["binary"], &report["objects"][1]["name"]), (&json!("/one"), &json!("libc.so.6")));
        assert_eq!((&report["needs"][1]["need"], &report["needs"][1]["included"]), (&json!("services"), &json!(false)));
    }
    assert!(!root.on_machine("/x.tar").exists());
}

#[test]
fn the_feature_of_a_note_is_evidence_of_its_own() {
    let root = Root::debian()
        .file("/app", &program(&[]).loads(r#"[{"soname":["libz.so"],"feature":"zip"}]"#))
        .file("/lib/libz.so", &library("libz.so"));
    let (_, report) = report(&root, "app");
    assert_eq!(report["needs"][0]["need"], "library:libz.so");
    assert_eq!(report["needs"][0]["evidence"], json!([{ "object": "/app", "note": "zip" }]));
}

/// What a command writes to a terminal that is its standard error.
fn on_a_terminal(root: &Root, arguments: &[&str]) -> String {
    use std::io::Read;
    use std::os::fd::OwnedFd;
    let terminal = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
    rustix::pty::unlockpt(&terminal).unwrap();
    let name = rustix::pty::ptsname(&terminal, Vec::new()).unwrap();
    let mut other =
        fs::File::options().read(true).write(true).open(std::ffi::OsStr::from_bytes(name.as_bytes())).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_scratchpack"))
        .args(arguments)
        .current_dir(root.path())
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .stdout(std::process::Stdio::null())
        .stderr(OwnedFd::from(other.try_clone().unwrap()))
        .spawn()
        .unwrap();
    // Read all the time: a terminal holds little that nobody has seen.
    let reader = std::thread::spawn(move || {
        let (mut said, mut terminal) = (Vec::new(), fs::File::from(terminal));
        while !said.ends_with(b"END") {
            let mut buffer = [0; 4096];
            let size = terminal.read(&mut buffer).unwrap();
            said.extend_from_slice(&buffer[..size]);
        }
        String::from_utf8(said).unwrap()
    });
    assert!(child.wait().unwrap().success());
    std::io::Write::write_all(&mut other, b"END").unwrap();
    reader.join().unwrap()
}

#[test]
fn a_bar_shows_on_a_terminal_what_takes_longer_than_a_second() {
    let root = Root::debian().file("/app", &static_program());
    // Much to hash, and nothing on disk.
    fs::File::create(root.on_machine("/big")).unwrap().set_len(700 << 20).unwrap();
    let big = ["build", "app", "--file", "big:/big", "-o", "-", "--type", "layer", "--compression", "none"];
    let said = on_a_terminal(&root, &big);
    assert!(said.contains("packing"), "{said:?}");
    // It is gone in the end.
    assert!(said.trim_end_matches("END").ends_with("\r\u{1b}[2K"), "{said:?}");
    assert_eq!(on_a_terminal(&root, &[&big[..], &["--quiet"]].concat()), "END");
    assert_eq!(on_a_terminal(&root, &["build", "app", "-o", "app.tar"]), "END");
    assert_eq!(err(&scratchpack(&root, &big)), "");
}

#[test]
fn sizes_are_told_by_file_and_with_what_only_it_pulls_in() {
    let root = Root::debian()
        .file("/app", &program(&["liba.so", "libb.so"]))
        .file("/lib/liba.so", &library("liba.so").needs("libdata.so"))
        .file("/lib/libdata.so", &library("libdata.so").data(&[1; 30_000]))
        .file("/lib/libb.so", &library("libb.so").data(&[1; 10_000]));
    let inspect = |more: &[&str]| {
        let output = scratchpack(&root, &[&["inspect", "app", "--sysroot", ".", "--sort", "size"], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        out(&output)
    };
    let table = inspect(&[]);
    let files: Vec<&str> = table.lines().map(|line| line.split_whitespace().nth(4).unwrap_or_default()).collect();
    assert_eq!(files[1..4], ["/app", "/lib/liba.so", "/lib/libdata.so"], "{table}");
    assert!(table.contains("/lib/libdata.so  only through liba.so\n"), "{table}");
    let list = inspect(&["--format", "list"]);
    assert!(list.lines().nth(1).unwrap().ends_with("/lib/liba.so"), "{list}");
    let report: Value = serde_json::from_str(&inspect(&["--format", "json"])).unwrap();
    let [a, data] = [0, 1].map(|number| report["objects"][number].clone());
    let size = |object: &Value, key: &str| object[key].as_u64().unwrap();
    assert_eq!(a["path"], "/lib/liba.so");
    assert_eq!(size(&a, "whole_size"), size(&a, "size") + size(&data, "size"));
    assert_eq!((&a["only_through"], &data["only_through"]), (&Value::Null, &json!("/lib/liba.so")));
}

#[test]
fn what_is_written_beside_an_image_is_a_file_of_its_own() {
    let root = Root::debian().file("/app", &program(&[])).directory("/there");
    let build = |more: &[&str]| scratchpack(&root, &[&["build", "app", "--sysroot", "."], more].concat());
    for (more, status) in [
        (&["-o", "a.tar", "--iidfile", "./a.tar"][..], 2),
        (&["-o", "a.tar", "--depfile", "there/../a.tar"], 2),
        (&["-o", "there/", "--iidfile", "there/index.json"], 2),
        (&["-o", "a.tar", "--iidfile", "x", "--depfile", "x"], 2),
        (&["-o", "-", "--depfile", "x"], 2),
        (&["-o", "a", "--type", "rootfs", "--iidfile", "x"], 2),
        (&["-o", "a.tar", "--iidfile", "app"], 1),
        (&["-o", "a.tar", "--iidfile", "there"], 1),
        (&["-o", "b.tar", "--depfile", "nowhere/x"], 1),
    ] {
        let output = build(more);
        assert_eq!(output.status.code(), Some(status), "{more:?}: {}", err(&output));
        assert!(out(&output).is_empty() && !root.on_machine("/b.tar").exists(), "{more:?}");
    }
    assert_eq!(fs::read(root.on_machine("/app")).unwrap(), program(&[]).bytes());
    let output = build(&["-o", "c.tar", "--iidfile", "c.id", "--depfile", "c.d"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(fs::read_to_string(root.on_machine("/c.id")).unwrap().starts_with("sha256:"));
    assert!(fs::read_to_string(root.on_machine("/c.d")).unwrap().starts_with("c.tar: \\\n"));
}

#[test]
fn a_report_tells_how_long_each_stage_took() {
    let root = Root::debian().file("/app", &program(&[]));
    let output = scratchpack(&root, &["build", "app", "--sysroot", ".", "-o", "a.tar", "--format", "json"]);
    let timings = &serde_json::from_str::<Value>(&out(&output)).unwrap()["timings"];
    assert!(timings["resolve"].is_f64() && timings["write"].is_f64() && timings["load"].is_null(), "{timings}");
}

#[test]
fn a_build_tells_scanners_of_packages_and_writes_bills_of_materials() {
    let root = dpkg(merged(), "libx1:amd64", &[X]);
    let bills = ["--sbom", "app.spdx.json", "--sbom", "app.cdx.json"];
    let build = ["build", "app", "--sysroot", ".", "-o", "app.tar", "--package-db"];
    let output = scratchpack(&root, &[&build[..], &bills].concat());
    assert_eq!((output.status.code(), err(&output)), (Some(0), String::new()));
    let read = |name: &str| serde_json::from_slice::<Value>(&fs::read(root.on_machine(name)).unwrap()).unwrap();
    assert_eq!(read("/app.spdx.json")["spdxVersion"], "SPDX-2.3");
    assert_eq!(read("/app.cdx.json")["bomFormat"], "CycloneDX");
    assert!(fs::read_to_string(root.on_machine("/app.spdx.json")).unwrap().contains("/var/lib/dpkg/status.d/libx1"));
}
