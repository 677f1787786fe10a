//! What is published to crates.io: all that users need, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::tools::{are_here, command, run};

/// What is there beside the sources.
const NAMED: [&str; 19] = [
    ".cargo_vcs_info.json",
    "ARCHITECTURE.md",
    "BENCHMARKS.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "Cargo.toml.orig",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
    "benches/scale.svg",
    "examples/busybox.rs",
    "examples/hello.c",
    "examples/hello.rs",
    "examples/inspect.rs",
    // SPDX's names.
    "src/packages/license/exceptions.txt",
    "src/packages/license/names.txt",
    // Of this benchmarks make programs.
    "tests/it/elf.rs",
];
const MOST_OF_A_FILE: usize = 200_000;
const MOST_OF_ALL: usize = 2_000_000;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files that `cargo package` would take.
fn packaged() -> BTreeSet<String> {
    let mut cargo = command("cargo");
    cargo.args(["package", "--list", "--allow-dirty", "--locked", "--offline"]).current_dir(root());
    run(&mut cargo).lines().map(str::to_owned).collect()
}

/// Every file below a directory of the package.
fn below(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(root().join(directory)).unwrap().map(|entry| entry.unwrap());
    let of = |entry: fs::DirEntry| {
        let path = directory.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() { below(&path) } else { vec![path.to_str().unwrap().to_owned()] }
    };
    entries.flat_map(of).collect()
}

#[test]
fn the_package_has_the_sources_and_what_is_named_and_nothing_else() {
    if !are_here(&["cargo"]) {
        return;
    }
    let sources = ["src", "benches"].iter().flat_map(|directory| below(Path::new(directory)));
    let sources = sources.filter(|path| path.ends_with(".rs"));
    let expected: BTreeSet<String> = sources.chain(NAMED.map(str::to_owned)).collect();
    // Without a repository around it there is no such file.
    let (mut packaged, vcs) = (packaged(), NAMED[0].to_owned());
    packaged.insert(vcs);
    let lacking: Vec<&String> = expected.difference(&packaged).collect();
    let unexpected: Vec<&String> = packaged.difference(&expected).collect();
    assert_eq!((lacking, unexpected), (Vec::<&String>::new(), Vec::<&String>::new()), "lacking, and unexpected");
}

#[test]
fn the_package_is_small_and_has_no_binary() {
    if !are_here(&["cargo"]) {
        return;
    }
    let mut all = 0;
    // What cargo makes is not there yet.
    for path in packaged().iter().filter(|path| root().join(path).exists()) {
        let bytes = fs::read(root().join(path)).unwrap();
        assert!(bytes.len() <= MOST_OF_A_FILE, "{path} has {} bytes", bytes.len());
        assert!(!bytes.contains(&0) && std::str::from_utf8(&bytes).is_ok(), "{path} is no text");
        all += bytes.len();
    }
    assert!(all > 0 && all <= MOST_OF_ALL, "{all} bytes");
}
