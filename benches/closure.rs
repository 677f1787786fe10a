//! The closure alone: of many libraries with long search paths, and the whole command beside `libtree -p`:
//! `cargo bench --features cli --bench closure`.
//!
//! What is not installed, or not built, is left out, and said so.

#![allow(clippy::print_stderr, clippy::expect_used)]

#[path = "../tests/it/elf.rs"]
#[allow(dead_code, unreachable_pub, unused_imports, clippy::unwrap_used)]
mod elf;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use divan::Bencher;
use scratchpack::Closure;
use tempfile::TempDir;

/// From few libraries to about sixty.
const PROGRAMS: [&str; 3] = ["/bin/true", "/usr/bin/git", "/usr/bin/gdb"];

/// Runs of each command, in turn.
const ROUNDS: usize = 100;

fn main() {
    match option_env!("CARGO_BIN_EXE_scratchpack") {
        Some(own) => {
            PROGRAMS.iter().filter(|program| Path::new(program).exists()).for_each(|program| compare(own, program))
        }
        None => eprintln!("without --features cli there is no command to compare"),
    }
    divan::main();
}

/// How long the command takes, relative to libtree in the same pair of runs.
fn compare(own: &str, program: &str) {
    let mut pairs = Vec::new();
    for _ in 0..ROUNDS {
        let own = time(Command::new(own).args(["inspect", "--format", "list", program]));
        let Some((own, other)) = own.zip(time(Command::new("libtree").args(["-p", program]))) else {
            return eprintln!("libtree is not installed");
        };
        pairs.push((own, other));
    }
    let ratio = |(own, other): (Duration, Duration)| own.as_secs_f64() / other.as_secs_f64();
    let fastest = pairs.iter().map(|pair| pair.0).min().zip(pairs.iter().map(|pair| pair.1).min()).map(ratio);
    let mut ratios: Vec<f64> = pairs.into_iter().map(ratio).collect();
    ratios.sort_by(f64::total_cmp);
    let (median, fastest) = (ratios[ROUNDS / 2], fastest.unwrap_or_default());
    eprintln!("{program}: {median:.2} of libtree's time in the median pair, {fastest:.2} the fastest of each");
}

/// `None` where it does not run.
fn time(command: &mut Command) -> Option<Duration> {
    let start = Instant::now();
    // cargo's own would have libtree look into further directories.
    command.env_remove("LD_LIBRARY_PATH").stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    Some(start.elapsed())
}

/// Directories in the RUNPATH of each library, the last of which has them all.
const DIRECTORIES: usize = 50;

/// A program that needs so many libraries, each of which names two others.
fn program(libraries: usize) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let directories: Vec<PathBuf> = (0..DIRECTORIES).map(|number| directory.path().join(format!("{number}"))).collect();
    directories.iter().for_each(|directory| fs::create_dir(directory).expect("a directory"));
    let list: Vec<&str> = directories.iter().filter_map(|directory| directory.to_str()).collect();
    let name = |number: usize| format!("lib{number}.so");
    for number in 0..libraries {
        let library = elf::library(&name(number)).with(elf::RUNPATH, &list.join(":"));
        let needed = [2 * number + 1, 2 * number + 2].into_iter().filter(|&needed| needed < libraries);
        let library = needed.fold(library, |library, needed| library.needs(&name(needed)));
        fs::write(directories[DIRECTORIES - 1].join(name(number)), library.bytes()).expect("a library");
    }
    let path = directory.path().join("program");
    let program = elf::program(&[&name(0)]).with(elf::RUNPATH, &list.join(":"));
    fs::write(&path, program.bytes()).expect("a program");
    (directory, path)
}

/// All of them are found, each behind a directory after the other.
#[divan::bench(args = [250, 500, 1000, 2000], sample_count = 20)]
fn many_libraries(bencher: Bencher<'_, '_>, libraries: usize) {
    if !Path::new(elf::LOADER).exists() {
        return eprintln!("{} is not installed", elf::LOADER);
    }
    let (_directory, path) = program(libraries);
    let closure = Closure::of(&path).expect("a closure");
    assert_eq!((closure.objects().len(), closure.missing().len()), (libraries + 1, 0));
    bencher.bench(|| drop(divan::black_box(Closure::of(&path))));
}
