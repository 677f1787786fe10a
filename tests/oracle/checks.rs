//! Root directories with a library missing: what a check finds there is what the loader does not find.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use scratchpack::{Image, check};

use crate::fixtures::scratch;
use crate::loader::{self, Dynamic, Listing};
use crate::tools;

const MOST: usize = 12;

/// The loader looks in /proc for `$ORIGIN`.
const CHROOT: &str = r#"mount --bind /proc "$0/proc" && exec chroot "$0" "$@""#;

#[test]
fn a_check_finds_missing_what_the_loader_does_not_find() {
    if !tools::is_root() || !tools::are_here(&["unshare", "mount", "chroot"]) {
        return;
    }
    let programs = loader::programs().into_iter().filter(Dynamic::is_of_glibc);
    let compared: Vec<Vec<String>> =
        programs.step_by(40).filter_map(|program| compare_one(&program)).take(MOST).collect();
    tools::say(&format!("{} programs checked without each of their libraries", compared.len()));
    let differences = compared.concat();
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

/// `None` for what cannot be packed on this machine.
fn compare_one(program: &Dynamic) -> Option<Vec<String>> {
    let image = Image::from_binary(&program.path).ok()?;
    let root = scratch();
    image.write_rootfs(root.path()).unwrap();
    fs::create_dir(root.path().join("proc")).unwrap();
    let mut differences: Vec<String> = difference(root.path(), &image, program).into_iter().collect();
    for library in image.closure().objects().iter().skip(1) {
        let path = root.path().join(library.path().strip_prefix("/").unwrap());
        let away = root.path().join("away");
        fs::rename(&path, &away).unwrap();
        differences.extend(difference(root.path(), &image, program));
        fs::rename(&away, &path).unwrap();
    }
    Some(differences)
}

fn difference(root: &Path, image: &Image, program: &Dynamic) -> Option<String> {
    let path = image.closure().program().path();
    let check = check(root).unwrap();
    let problem = check.problems().iter().find(|problem| problem.program() == path);
    let missing = problem.map(|problem| problem.missing()).unwrap_or_default();
    let ours: BTreeSet<String> = missing.iter().map(|missing| missing.name().to_str().unwrap().to_owned()).collect();
    let theirs = list(root, path, &program.interpreter);
    let agree = match &theirs {
        Ok(listing) => listing.missing == ours,
        // The loader says which of them it asked for first.
        Err(text) => ours.iter().any(|name| text.contains(&format!("{name}: cannot open shared object file"))),
    };
    (!agree).then(|| format!("{}\n  check   {problem:?}\n  loader  {theirs:?}", program.path.display()))
}

fn list(root: &Path, program: &Path, interpreter: &str) -> Result<Listing, String> {
    let mut command = tools::command("unshare");
    command.args(["--mount", "sh", "-c", CHROOT]).arg(root).args([interpreter, "--list"]).arg(program);
    loader::list(&mut command, interpreter)
}
