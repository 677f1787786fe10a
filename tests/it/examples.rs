//! The examples that are crates of their own build and do what they say.

use std::path::Path;
use std::process::Command;

#[test]
fn a_build_script_packs_what_it_compiled_into_its_own_directory() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("build-script");
    let status = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline", "--manifest-path"])
        .arg(root.join("examples/build-script/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    let archive = Path::new(said.trim());
    assert!(archive.starts_with(&target), "{said}");
    assert!(std::fs::metadata(archive).unwrap().len() > 100_000);
}
