//! What the benchmarks of whole processes share.

// Each benchmark is a crate of its own, and uses its part.
#![allow(dead_code)]

pub(crate) mod measure;
pub(crate) mod samples;
pub(crate) mod table;
pub(crate) mod tools;

use std::path::{Path, PathBuf};

/// The program that is packed, unless the environment names another.
const PROGRAM: (&str, &str) = ("SCRATCHPACK_BENCH_PROGRAM", "/usr/bin/gdb");
/// How often everything is run, unless a benchmark says otherwise.
const ROUNDS: &str = "SCRATCHPACK_BENCH_ROUNDS";

/// The command, as it is released.
pub(crate) const SCRATCHPACK: &str = match option_env!("CARGO_BIN_EXE_scratchpack") {
    Some(path) => path,
    None => "scratchpack",
};

/// Whether to measure anything, or to do the part of a helper, or, under `cargo test`, nothing at all.
pub(crate) fn is_wanted() -> bool {
    !measure::serve() && std::env::args().any(|argument| argument == "--bench")
}

/// Whether a group is wanted: those whose names were given, `cargo bench --bench packing -- zstd`, or all.
pub(crate) fn is_chosen(group: &str) -> bool {
    let mut names = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).peekable();
    names.peek().is_none() || names.any(|name| name == group)
}

pub(crate) fn program() -> PathBuf {
    let (variable, default) = PROGRAM;
    std::env::var_os(variable).map_or_else(|| default.into(), PathBuf::from)
}

/// The program, where it is there; what is left out without it is said.
pub(crate) fn program_if_there() -> Option<PathBuf> {
    let program = program();
    let is_there = program.exists();
    if !is_there {
        eprintln!("{} is not installed: nothing is packed; name another in {}", program.display(), PROGRAM.0);
    }
    is_there.then_some(program)
}

pub(crate) fn rounds(default: usize) -> usize {
    std::env::var(ROUNDS).ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(default)
}

/// A directory on the file system of the target directory, which goes with the value.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory")
}

/// A file's size.
pub(crate) fn size_of(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}
