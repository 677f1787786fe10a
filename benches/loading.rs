//! From a program that has just been linked to a container that has printed: `cargo bench --features cli --bench loading`.
//!
//! `scratchpack build --load` and `docker run`, beside `docker build` and `docker run` of the same tree, which is handed to
//! it: finding what belongs into it is not counted. The daemon is one of its own, and needs root.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::expect_used)]

mod support;

#[path = "loading/daemon.rs"]
mod daemon;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use daemon::Daemon;
use support::measure::cost_of;
use support::samples::{Samples, Way, in_turn};
use support::table::Table;
use support::tools::{self, build, quoted, run};
use tempfile::TempDir;

const NAME: &str = "scratchpack-bench";
const RUN: &str = "docker run --rm --network none scratchpack-bench";
const DOCKERFILE: &str = "FROM scratch\nCOPY rootfs/ /\nENTRYPOINT [\"/hello\"]\n";
const HELLO: &str = "#include <stdio.h>\nint main(void) { return puts(\"hello\") < 0; }\n";

fn main() {
    if !support::is_wanted() || !tools::are_here("loading", &["bash", "cc", "docker", "dockerd"]) {
        return;
    }
    let Some(daemon) = Daemon::start() else { return };
    let version = daemon.version();
    eprintln!("{version}");
    let directory = support::scratch();
    let hello = hello(directory.path());
    let mut table = Table::new([
        "image",
        "`build --load` and run, over `docker build` and run",
        "`build`, `docker load` and run, over `docker build` and run",
        "`build --load` and run, over run alone",
    ]);
    table.row(compare(&daemon, "a small program in C", &[&hello]));
    if let Some(program) = support::program_if_there() {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Not every program does anything useful in a container; but all can lie in one.
        table.row(compare(&daemon, &format!("the same, and `{name}` beside it"), &[&hello, &program]));
    }
    table.print(&format!("From program to printed, with {version}: least over least (median over median)"));
}

fn hello(directory: &Path) -> PathBuf {
    let (source, program) = (directory.join("hello.c"), directory.join("hello"));
    fs::write(&source, HELLO).expect("room for it");
    run(Command::new("cc").arg("-o").arg(&program).arg(source));
    program
}

fn compare(daemon: &Daemon, what: &str, programs: &[&Path]) -> Vec<String> {
    eprintln!("\n{what}");
    let context = context(programs);
    let programs: Vec<String> = programs.iter().map(quoted).collect();
    let build = format!("{} build {} --quiet --tag {NAME}", quoted(support::SCRATCHPACK), programs.join(" "));
    // A container that printed nothing would be the fastest.
    let printed = format!("{RUN} | grep --quiet hello");
    let ours = format!("{build} --load && {printed}");
    let theirs = format!("docker build --quiet --no-cache --tag {NAME} {} && {printed}", quoted(context.path()));
    let file = quoted(&context.path().join("archive.tar"));
    let by_file = format!("{build} --output {file} && docker load --quiet --input {file} && {printed}");
    let lines = [("build --load", ours), ("docker build", theirs), ("build, docker load", by_file)];
    let fresh = lines.map(|(name, line)| Way::new(name, move || daemon.cost_of_fresh(&line)));
    let alone = Way::new("docker run", || {
        run(&mut daemon.client(&format!("{build} --load")));
        cost_of(&daemon.client(&printed))
    });
    row(what, &in_turn(support::rounds(5), fresh.into_iter().chain([alone]).collect()))
}

fn row(what: &str, samples: &[Samples]) -> Vec<String> {
    let over = |one: usize, other: usize| samples[one].elapsed().over(samples[other].elapsed()).text();
    vec![what.to_owned(), over(0, 1), over(2, 1), over(0, 3)]
}

/// What `docker build` is given: the tree, and three lines.
fn context(programs: &[&Path]) -> TempDir {
    let context = support::scratch();
    let mut command = build(programs[0]);
    command.args(&programs[1..]).args(["--type", "rootfs", "--output"]).arg(context.path().join("rootfs"));
    run(&mut command);
    fs::write(context.path().join("Dockerfile"), DOCKERFILE).expect("room for it");
    fs::write(context.path().join(".dockerignore"), "archive.tar\n").expect("room for it");
    context
}
