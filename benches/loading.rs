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
const HELLO: &str = "#include <stdio.h>\nint main(void) { return puts(\"hello\") < 0; }\n";

fn main() {
    if !support::is_wanted() || !tools::are_here("loading", &["bash", "docker", "dockerd"]) {
        return;
    }
    let Some(daemon) = Daemon::start() else { return };
    eprintln!("{}", daemon.version());
    let directory = support::scratch();
    let mut table = Table::new([
        "program",
        "`build --load` and run, over `docker build` and run",
        "over run alone",
        "`build`, `docker load` and run, over `docker build` and run",
    ]);
    if let Some(hello) = hello(directory.path()) {
        table.row(compare(&daemon, &hello, ""));
    }
    if let Some(program) = support::program_if_there() {
        table.row(compare(&daemon, &program, " --version"));
    }
    table.print(&format!("From program to printed, with {}: least over least (median over median)", daemon.version()));
}

/// A small program in C, where there is a compiler.
fn hello(directory: &Path) -> Option<PathBuf> {
    let (source, program) = (directory.join("hello.c"), directory.join("hello"));
    fs::write(&source, HELLO).expect("room for it");
    tools::are_here("hello", &["cc"]).then(|| run(Command::new("cc").arg("-o").arg(&program).arg(source)))?;
    Some(program)
}

fn compare(daemon: &Daemon, program: &Path, arguments: &str) -> Vec<String> {
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    eprintln!("\n{name}");
    let context = context(program, &name);
    let archive = context.path().join("archive.tar");
    let build = format!("{} build {} --quiet --tag {NAME}", quoted(support::SCRATCHPACK), quoted(program));
    // Without the line that waits for what was printed, a container that prints nothing would be the fastest.
    let printed = format!("{RUN}{arguments} | grep --quiet .");
    let ours = format!("{build} --load && {printed}");
    let theirs = format!("docker build --quiet --no-cache --tag {NAME} {} && {printed}", quoted(context.path()));
    let file = quoted(&archive);
    let by_file = format!("{build} --output {file} && docker load --quiet --input {file} && {printed}");
    let ways = [ours, theirs, by_file].map(|line| Way::new(line.clone(), move || daemon.cost_of_fresh(&line)));
    let mut ways = Vec::from(ways);
    ways.push(Way::new(printed.clone(), || {
        run(&mut daemon.client(&format!("{build} --load")));
        cost_of(&daemon.client(&printed))
    }));
    row(name, &in_turn(support::rounds(5), ways))
}

fn row(name: String, samples: &[Samples]) -> Vec<String> {
    let over = |one: usize, other: usize| samples[one].elapsed().over(samples[other].elapsed()).text();
    vec![name, over(0, 1), over(0, 3), over(2, 1)]
}

/// What `docker build` is given: the tree, and three lines.
fn context(program: &Path, name: &str) -> TempDir {
    let context = support::scratch();
    run(build(program).args(["--type", "rootfs", "--output"]).arg(context.path().join("rootfs")));
    let lines = format!("FROM scratch\nCOPY rootfs/ /\nENTRYPOINT [\"/{name}\"]\n");
    fs::write(context.path().join("Dockerfile"), lines).expect("room for it");
    fs::write(context.path().join(".dockerignore"), "archive.tar\n").expect("room for it");
    context
}
