//! Packed programs in a chroot: the image's loader must find there what the closure says.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use scratchpack::{ErrorKind, Image};

use crate::compare::at_start;
use crate::fixtures::scratch;
use crate::loader::{self, Dynamic, Listing};
use crate::tools;

const PACKAGE_LISTS: &str = "/var/lib/dpkg/info";
const FEWEST: usize = 50;
const MOST: usize = 80;

/// The loader looks in /proc for `$ORIGIN`. The mount is in a namespace of its own, so that it goes with the process.
const CHROOT: &str = r#"mount --bind /proc "$0/proc" && exec chroot "$0" "$@""#;

#[test]
fn packed_programs_list_the_same_in_a_chroot() {
    if !tools::is_root() || !tools::are_here(&["unshare", "mount", "chroot"]) {
        return;
    }
    if !tools::is_available("dpkg", Path::new(PACKAGE_LISTS).is_dir()) {
        return;
    }
    let compared: Vec<_> = by_package().iter().filter_map(|programs| compare_one(programs)).take(MOST).collect();
    let count = compared.len();
    tools::say(&format!("{count} packed programs compared in a chroot"));
    let differences: Vec<String> = compared.into_iter().filter_map(Result::err).collect();
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    tools::is_available(&format!("programs of {FEWEST} packages"), count >= FEWEST);
}

/// The programs of each package, in the order of their names.
fn by_package() -> Vec<Vec<Dynamic>> {
    let owners = owners();
    let mut packages: BTreeMap<&str, Vec<Dynamic>> = BTreeMap::new();
    for program in loader::programs().into_iter().filter(Dynamic::is_of_glibc) {
        if let Some(package) = owners.get(&program.path) {
            packages.entry(package).or_default().push(program);
        }
    }
    packages.into_values().collect()
}

fn owners() -> HashMap<PathBuf, String> {
    let mut owners = HashMap::new();
    for list in fs::read_dir(PACKAGE_LISTS).unwrap().map(|entry| entry.unwrap().path()) {
        let Some(package) = list.to_str().unwrap().strip_suffix(".list") else { continue };
        let paths = fs::read_to_string(&list).unwrap();
        owners.extend(paths.lines().map(|path| (merged(path), package.to_owned())));
    }
    owners
}

/// A package may name /bin/x where /bin is a link to /usr/bin.
fn merged(path: &str) -> PathBuf {
    let is_outside = path.starts_with("/bin/") || path.starts_with("/sbin/");
    PathBuf::from(if is_outside { format!("/usr{path}") } else { path.to_owned() })
}

/// Compares the first of a package's programs that is complete on this machine.
fn compare_one(programs: &[Dynamic]) -> Option<Result<(), String>> {
    programs.iter().find_map(|program| match Image::from_binary(&program.path) {
        Ok(image) => Some(compare(&image, program)),
        Err(error) if error.kind() == ErrorKind::Unresolved => None,
        Err(error) => Some(Err(format!("{error:?}"))),
    })
}

fn compare(image: &Image, program: &Dynamic) -> Result<(), String> {
    let listing = list_in_chroot(image, &program.interpreter)?;
    let closure = image.closure();
    let ours: Vec<&str> = at_start(closure).map(|object| object.path().to_str().unwrap()).collect();
    let theirs: Vec<&str> = listing.objects.iter().map(|object| object.path.as_str()).collect();
    match ours == theirs && listing.missing.is_empty() && (listing.has_interpreter || listing.is_static) {
        true => Ok(()),
        false => Err(format!("{}\n  closure {ours:?}\n  loader  {listing:?}", program.path.display())),
    }
}

fn list_in_chroot(image: &Image, interpreter: &str) -> Result<Listing, String> {
    let root = scratch();
    image.write_rootfs(root.path()).map_err(|error| format!("{error:?}"))?;
    fs::create_dir(root.path().join("proc")).unwrap();
    let mut command = tools::command("unshare");
    command.args(["--mount", "sh", "-c", CHROOT]).arg(root.path());
    command.args([interpreter, "--list"]).arg(image.closure().program().path());
    loader::list(&mut command, interpreter)
}
