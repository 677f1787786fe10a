//! `cargo scratchpack`, as somebody uses it who has installed it.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use crate::cargo_projects::Project;
use crate::fixtures::scratch;
use crate::tools;
use crate::verify::verify_output;

const PACK: [&str; 9] =
    ["scratchpack", "--release", "-t", "app:1", "-o", "target/app.tar", "--cache", "target/cache", "--no-sync"];

/// A package with one program, which the example of an xtask has.
fn package() -> Project {
    let mut project = Project::clone_of("xtask", &PACK);
    fs::remove_dir_all(project.path("xtask")).unwrap();
    project.replace("Cargo.toml", "members = [\"xtask\"]", "");
    fs::remove_file(project.path("Cargo.lock")).unwrap();
    project.build_in(&project.path("target"));
    project
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn refused(project: &Project, words: &[&str], status: i32) -> String {
    let Output { status: ended, stdout, stderr } = project.command(words).output().unwrap();
    assert_eq!(ended.code(), Some(status), "{words:?}: {}", text(&stderr));
    assert_eq!(text(&stdout), "", "{words:?}");
    assert!(!project.path("target/app.tar").exists(), "{words:?}");
    text(&stderr)
}

#[test]
fn it_builds_and_packs_again_what_changed() {
    if !tools::are_here(&["cargo", "cc"]) {
        return;
    }
    let mut project = package();
    let (program, image) = (project.path("target/release/app"), project.path("target/app.tar"));
    project.watch("program", program);
    project.watch("image", &image);
    project.expect("all is new", &["program", "image"]);
    verify_output(&image);
    project.replace("src/main.rs", "Hello", "Welcome");
    project.expect("the program has changed", &["program", "image"]);
    project.link_with_the_library("src/main.rs");
    project.expect("a library has been added", &["program", "image"]);
    project.replace_library_by_an_older_one();
    project.expect("the library is another one", &["image"]);
    verify_output(&image);
}

#[test]
fn its_answer_is_the_one_of_the_command_that_packs_and_so_are_its_options() {
    if !tools::are_here(&["cargo", "cc"]) {
        return;
    }
    let project = package();
    let digest = project.answer();
    let mut packing = Command::new(env!("CARGO_BIN_EXE_scratchpack"));
    packing.args(["build", "target/release/app", "-t", "app:1", "-o", "target/other.tar"]);
    assert_eq!(digest, tools::run(packing.current_dir(project.path(""))));
    let report = ["-o", "target/b.tar", "--cmd", "--release", "--cmd", "-p", "--format", "json", "-q"];
    let mut direct = Command::new(env!("CARGO_BIN_EXE_cargo-scratchpack"));
    let said = direct.args(report).env("CARGO_TARGET_DIR", project.path("target")).current_dir(project.path(""));
    let said = said.output().unwrap();
    assert_eq!(text(&said.stderr), "");
    let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(said["objects"][0]["needed_by"][0], "/app");
    let debug = project.path("target/debug/app");
    assert_eq!(said["entries"].as_array().unwrap().last().unwrap()["source"], debug.to_str().unwrap());
}

#[test]
fn a_sysroot_and_a_target_reach_those_for_whom_they_are() {
    if !tools::are_here(&["cargo", "cc"]) {
        return;
    }
    let project = package();
    fs::create_dir(project.path("empty")).unwrap();
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let words = ["scratchpack", "--target", &target, "--sysroot", "empty", "-o", "target/app.tar"];
    let said = refused(&project, &words, 1);
    assert!(said.contains("its interpreter (PT_INTERP), which the sysroot does not have"), "{said}");
    assert!(project.path("target").join(target).join("debug/app").exists());
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_compiled() {
    if !tools::are_here(&["cargo"]) {
        return;
    }
    let project = package();
    for (words, expected) in [
        (&["scratchpack"][..], "--output <OUT>"),
        (&["scratchpack", "-o", "target/app.tar", "--relase"], "unexpected argument '--relase'"),
        (&["scratchpack", "-o", "target/app.tar", "-t", "No Name"], "No Name"),
        (&["scratchpack", "-o", "target/app.tar", "--target"], "cargo-scratchpack: error: --target needs a value"),
    ] {
        let said = refused(&project, words, 2);
        assert!(said.contains(expected), "{words:?}: {said}");
        assert!(said.ends_with("that are cargo's.\n") || said.starts_with("cargo-scratchpack: "), "{words:?}: {said}");
        assert!(!project.path("target").exists(), "{words:?}");
    }
    fs::create_dir(project.path("src/bin")).unwrap();
    fs::write(project.path("src/bin/tool.rs"), "fn main() {}").unwrap();
    let said = refused(&project, &["scratchpack", "-o", "target/app.tar"], 2);
    assert!(said.contains("more than one program: app, tool; choose one with --bin NAME"), "{said}");
    assert!(!project.path("target").exists());
    project.replace("Cargo.toml", "[package]", "[package]\ndefault-run = \"tool\"");
    let answer = tools::run(&mut project.command(&["scratchpack", "-o", "target/tool.tar"]));
    assert!(answer.starts_with("sha256:"), "{answer}");
    assert!(project.path("target/debug/tool").exists() && !project.path("target/debug/app").exists());
}

#[test]
fn what_would_fail_whatever_the_program_is_fails_before_anything_is_compiled() {
    if !tools::are_here(&["cargo", "rustc"]) {
        return;
    }
    let project = package();
    fs::write(project.path("app.lock"), "no lock").unwrap();
    let programs = project.path("programs");
    fs::create_dir(&programs).unwrap();
    for (name, program) in [
        ("cargo", tools::find("cargo").unwrap()),
        ("rustc", tools::find("rustc").unwrap()),
        ("scratchpack", env!("CARGO_BIN_EXE_scratchpack").into()),
        ("cargo-scratchpack", env!("CARGO_BIN_EXE_cargo-scratchpack").into()),
    ] {
        symlink(program, programs.join(name)).unwrap();
    }
    let meant = "so app.lock is taken for a program; --locked=app.lock holds the image to a lock\n";
    for (words, status, expected) in [
        (&["-o", "no/app.tar"][..], 1, "cannot write no/app.tar: there is no such directory; make it first"),
        (&["-o", "no/app/"], 1, "cannot write no/app/: there is no such directory"),
        (&["-o", "src", "--type", "rootfs"], 1, "cannot write src: the directory is not empty"),
        (&["-o", "-", "--iidfile", "no/id"], 1, "cannot write no/id: there is no such directory"),
        (&["-o", "-", "--locked=no.lock"], 1, "there is no lock no.lock; write it with --lock first"),
        (&["-o", "-", "--locked=app.lock"], 1, "app.lock"),
        (&["-o", "-", "--locked", "app.lock"], 1, meant),
        (&["-o", "-", "other"], 1, "cannot analyze other: no such file"),
        (&["-o", "-", "--file", "no.conf:/etc/app.conf"], 1, "no.conf: no such file"),
        (&["-o", "-", "--library-path", "no"], 2, "cannot search the library path no"),
        (&["-o", "-", "--jobs", "2", "-j2"], 2, "cannot be used multiple times"),
        (&["-o", "-", "--help=all"], 2, "unexpected value 'all'"),
        (&["-o", "-", "--before-build", "."], 2, "cannot be used multiple times"),
        (&["--load"], 1, "neither docker nor podman is on PATH"),
        // What is below cargo's directory alone is not known.
        (&["-o", "target/app.tar", "--iidfile", "src/../no/id"], 1, "cannot write src/../no/id"),
        (&["-o", "other/app.tar", "--target-dir", "other", "--iidfile", "target/id"], 1, "cannot write target/id"),
    ] {
        let words = ["scratchpack"].iter().chain(words).copied().collect::<Vec<_>>();
        let said = project.command(&words).env("PATH", &programs).output().unwrap();
        let (ended, said) = (said.status.code(), text(&said.stderr));
        assert_eq!(ended, Some(status), "{words:?}: {said}");
        assert!(said.contains(expected), "{words:?}: {said}");
        assert!(!project.path("target").exists() && !project.path("other").exists(), "{words:?}");
    }
}

#[test]
fn what_cargo_will_make_is_not_missed_before() {
    if !tools::are_here(&["cargo", "cc"]) {
        return;
    }
    let project = package();
    let words = [
        "scratchpack",
        "-o",
        "./src/../target/debug/app.tar",
        "--iidfile",
        "target/debug/app.id",
        "--library-path",
        "target/debug/deps",
        "--file",
        "target/debug/app.d:/app.d",
        "--no-sync",
        "target/debug/app",
        "--install",
        "/app",
    ];
    // Two programs are too many for --install, which is known; that there are two is all that is known of them.
    let said = refused(&project, &words, 2);
    assert!(said.contains("install"), "{said}");
    assert!(!project.path("target").exists());
    tools::run(&mut project.command(&words[..words.len() - 3]));
    verify_output(&project.path("target/debug/app.tar"));
    assert!(project.path("target/debug/app.id").exists());
}

#[test]
fn where_cargo_fails_nothing_is_packed_and_one_line_says_so() {
    if !tools::are_here(&["cargo"]) {
        return;
    }
    let project = package();
    fs::write(project.path("src/main.rs"), "fn main() { nothing() }").unwrap();
    let said = refused(&project, &PACK, 1);
    assert!(said.contains("cannot find function `nothing`"), "{said}");
    assert!(said.ends_with("\ncargo-scratchpack: error: cargo build failed; nothing was packed\n"), "{said}");
    fs::remove_file(project.path("Cargo.toml")).unwrap();
    let said = refused(&project, &["scratchpack", "-o", "target/app.tar", "--manifest-path", "Cargo.toml"], 1);
    assert!(said.ends_with("cargo-scratchpack: error: cargo metadata failed; nothing was packed\n"), "{said}");
}

#[test]
fn an_example_is_packed_when_it_is_named() {
    if !tools::are_here(&["cargo", "cc"]) {
        return;
    }
    let project = package();
    fs::create_dir(project.path("examples")).unwrap();
    fs::write(project.path("examples/other.rs"), "fn main() {}").unwrap();
    tools::run(&mut project.command(&["scratchpack", "--example", "other", "-o", "target/app.tar", "--no-sync"]));
    verify_output(&project.path("target/app.tar"));
}

#[test]
fn without_the_command_that_packs_it_says_how_to_have_it() {
    let scratch = scratch();
    let own = scratch.path().join("cargo-scratchpack");
    fs::copy(env!("CARGO_BIN_EXE_cargo-scratchpack"), &own).unwrap();
    let mut alone = Command::new(&own);
    let output = alone.args(["-o", "app.tar"]).env("PATH", scratch.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cargo install scratchpack --features cli"), "{}", text(&output.stderr));
    // Beside it, or wherever PATH has it.
    let elsewhere = scratch.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(env!("CARGO_BIN_EXE_scratchpack"), elsewhere.join("scratchpack")).unwrap();
    let mut found = Command::new(&own);
    let output = found.arg("--relase").env("PATH", &elsewhere).env("CARGO", env!("CARGO")).output().unwrap();
    assert!(text(&output.stderr).contains("unexpected argument '--relase'"), "{}", text(&output.stderr));
}

#[test]
fn its_help_and_that_of_the_command_that_packs_share_no_option_but_those_of_both() {
    let help = |program: &str, words: &[&str]| tools::run(Command::new(program).args(words));
    let own = help(env!("CARGO_BIN_EXE_cargo-scratchpack"), &["scratchpack", "--help"]);
    let packing = help(env!("CARGO_BIN_EXE_scratchpack"), &["build", "--help"]);
    let both: Vec<&str> = options(&own).into_iter().filter(|option| options(&packing).contains(option)).collect();
    let known = ["--help", "--jobs", "--locked", "--quiet", "--version"];
    assert!(both.iter().all(|option| known.contains(option)), "{both:?}");
    assert!(both.contains(&"--quiet"), "{both:?}");
    assert!(own.lines().all(|line| line.chars().count() <= 115));
}

/// The long options that lines of a help begin with.
fn options(help: &str) -> Vec<&str> {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let words = lines.flat_map(|line| line.split([' ', ',', '=', '<']).take(3));
    words.filter(|word| word.starts_with("--")).collect()
}

#[test]
fn its_version_is_the_one_of_the_package() {
    let version = tools::run(Command::new(env!("CARGO_BIN_EXE_cargo-scratchpack")).arg("-V"));
    assert_eq!(version, concat!("cargo-scratchpack ", env!("CARGO_PKG_VERSION"), "\n"));
}
