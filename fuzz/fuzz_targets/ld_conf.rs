//! `ld.so.conf`, in a root in which it can include itself.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = std::env::temp_dir().join(format!("scratchpack-fuzz-{}", std::process::id()));
    for directory in ["etc/ld.so.conf.d", "lib", "usr/lib"] {
        fs::create_dir_all(root.join(directory)).expect("a directory");
    }
    fs::write(root.join("etc/ld.so.conf.d/a.conf"), "include ../ld.so.conf\n/lib\n").expect("a file");
    root
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    fs::write(ROOT.join("etc/ld.so.conf"), bytes).expect("a file");
    scratchpack::fuzzing::ld_conf(&ROOT);
});
