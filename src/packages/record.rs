//! What an image says of the packages in it, in the form in which scanners look for it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::wanted::split;
use super::{Package, Packages};
use crate::collect::{Extra, ExtraContent, Origin};

/// What a database says of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// The paragraph without what it says of files.
    head: Vec<u8>,
    /// What is said of each file, by its number.
    pub(super) details: BTreeMap<usize, Vec<u8>>,
    /// The same, by its path in the image.
    by_path: BTreeMap<PathBuf, Vec<u8>>,
}

impl Record {
    pub(super) fn of(head: &[u8]) -> Record {
        Record { head: head.to_vec(), ..Record::default() }
    }

    pub(super) fn with(self, details: BTreeMap<usize, Vec<u8>>) -> Record {
        Record { details, ..self }
    }

    /// With the paths of the files in the image for their numbers. One that would end a line cannot be told.
    pub(super) fn placed(mut self, path: impl Fn(usize) -> PathBuf) -> Record {
        let details = std::mem::take(&mut self.details);
        let is_line = |at: &Path| !at.as_os_str().as_bytes().contains(&b'\n');
        let placed = details.into_iter().map(|(number, detail)| (path(number), detail));
        self.by_path = placed.filter(|(at, _)| is_line(at)).collect();
        self
    }
}

/// The files that tell a scanner of the packages in an image, and of their distribution.
pub(crate) fn records(packages: &Packages) -> Vec<Extra> {
    let release = packages.distribution.iter().flat_map(|distribution| distribution.files()).map(|(at, bytes)| {
        let reason = "the distribution, for scanners".to_owned();
        extra(Path::new("/etc").join(at), bytes.to_vec(), reason)
    });
    release.chain(dpkg(&packages.list)).chain(apk(&packages.list)).chain(rpm(&packages.list)).collect()
}

/// A file for each package, named after it, and one with the digests of its files (as images of "distroless" have them).
fn dpkg(list: &[Package]) -> Vec<Extra> {
    let known = || list.iter().filter(|package| is_of("deb", package));
    let mut names = BTreeSet::new();
    let doubled: BTreeSet<&str> = known().map(Package::name).filter(|name| !names.insert(*name)).collect();
    let mut written = Vec::new();
    for package in known() {
        let name = match (doubled.contains(package.name()), package.architecture()) {
            (true, Some(architecture)) if is_architecture(architecture) => format!("{}:{architecture}", package.name),
            _ => package.name.clone(),
        };
        let mut write = |name: &str, bytes: Vec<u8>, of: &str| {
            let reason = format!("{of} the package {}, for scanners", package.name);
            written.push(extra(Path::new("/var/lib/dpkg/status.d").join(name), bytes, reason));
        };
        write(&name, package.record.head.clone(), "what dpkg knows of");
        let sums = package.record.by_path.iter().map(|(at, sum)| [sum, &b"  "[..], relative(at), b"\n"].concat());
        let sums: Vec<u8> = sums.flatten().collect();
        if !sums.is_empty() {
            write(&format!("{name}.md5sums"), sums, "the files of");
        }
    }
    written
}

/// What may stand in the name of a file (deb-control(5): architectures have letters, digits and dashes).
fn is_architecture(text: &str) -> bool {
    text.len() < 50 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// One file with a paragraph for each package.
fn apk(list: &[Package]) -> Option<Extra> {
    let paragraphs: Vec<Vec<u8>> = list.iter().filter(|package| is_of("apk", package)).map(apk_paragraph).collect();
    let reason = "what apk knows of the packages in the image, for scanners".to_owned();
    let at = PathBuf::from("/lib/apk/db/installed");
    (!paragraphs.is_empty()).then(|| extra(at, paragraphs.concat(), reason))
}

/// One line for each package (as distroless images of CBL-Mariner have them): rpm's own database is none for a few packages.
fn rpm(list: &[Package]) -> Option<Extra> {
    let lines: Vec<u8> =
        list.iter().filter(|package| is_of("rpm", package)).flat_map(|package| package.record.head.clone()).collect();
    let reason = "what rpm knows of the packages in the image, for scanners".to_owned();
    let at = PathBuf::from("/var/lib/rpmmanifest/container-manifest-2");
    (!lines.is_empty()).then(|| extra(at, lines, reason))
}

/// What is said of the package, and of the files that are in the image, by their directories.
fn apk_paragraph(package: &Package) -> Vec<u8> {
    let mut bytes = package.record.head.clone();
    let mut last = None;
    for (at, detail) in &package.record.by_path {
        let (directory, name) = split(relative(at));
        if last.replace(directory) != Some(directory) {
            bytes.extend([b"F:", directory, b"\n"].concat());
        }
        bytes.extend([b"R:", name, b"\n", detail].concat());
    }
    bytes.push(b'\n');
    bytes
}

fn extra(at: PathBuf, bytes: Vec<u8>, reason: String) -> Extra {
    Extra { at, content: ExtraContent::Generated(bytes), origin: Origin::Packages(reason) }
}

fn is_of(kind: &str, package: &Package) -> bool {
    package.kind == kind && package.database.is_some()
}

fn relative(at: &Path) -> &[u8] {
    at.strip_prefix("/").unwrap_or(at).as_os_str().as_bytes()
}
