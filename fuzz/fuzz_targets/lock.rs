//! Two locks, one behind the other and a zero byte between: read, written again, compared.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use scratchpack::Lock;

static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("scratchpack-fuzz-{}.lock", std::process::id())));

fn read(file: &Path, bytes: &[u8]) -> Option<Lock> {
    fs::write(file, bytes).expect("a file");
    Lock::read(file).ok()
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let at = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let (before, after) = bytes.split_at(at);
    let Some(before) = read(&FILE, before) else { return };
    assert_eq!(read(&FILE, before.to_string().as_bytes()).as_ref(), Some(&before));
    assert!(before.changes(&before).is_empty());
    let Some(after) = after.get(1..).and_then(|after| read(&FILE, after)) else { return };
    for change in before.changes(&after) {
        assert!(!change.to_string().contains('\n'));
    }
});
