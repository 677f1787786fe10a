//! dpkg's database: who registered a path (dpkg(1), "Files"; dpkg-query(1), dpkg-divert(1)), and what is said of it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::copyright;
use super::database::Databases;
use super::found::{Found, expect_short};
use super::paragraph::{first_line, paragraphs};
use super::record::Record;
use super::wanted::{Wanted, lines, split};
use crate::error::Result;
use crate::root::Listed;

const STATUS: &str = "/var/lib/dpkg/status";
const INFO: &str = "/var/lib/dpkg/info";
const DIVERSIONS: &str = "/var/lib/dpkg/diversions";
/// Where images without a dpkg have a file for each package, and one with its files behind the same name.
const STATUS_D: &str = "/var/lib/dpkg/status.d";
const LIST: &[u8] = b".list";
const SUMS: &[u8] = b".md5sums";

/// The files that each package registered, by the name of its files in the database: `zlib1g:amd64`, `tzdata`.
type Owners = BTreeMap<Vec<u8>, BTreeSet<usize>>;

/// The packages from which the wanted files came.
pub(super) fn find(databases: &mut Databases<'_>, wanted: &Wanted) -> Result<Vec<Found>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let paths = Paths { wanted, diversions: Diversions::read(databases, wanted)? };
    let mut found = installed(databases, &paths)?;
    found.extend(registered_alone(databases, &paths)?);
    for package in &mut found {
        let copyright = Path::new("/usr/share/doc").join(&package.name).join("copyright");
        let mut bytes = Vec::new();
        if databases.read_statement(&copyright, &mut bytes)? {
            package.licenses = copyright::licenses(&bytes);
        }
    }
    Ok(found)
}

/// Those of `status`, whose files are in `info`.
fn installed(databases: &mut Databases<'_>, paths: &Paths<'_>) -> Result<Vec<Found>> {
    let owners = owners(databases, paths)?;
    if owners.is_empty() {
        return Ok(Vec::new());
    }
    let info = Path::new(INFO);
    let files = |key: &[u8]| [info.join(named(key, LIST)), info.join(named(key, SUMS))];
    let found = known_to_status(&owners, databases)?;
    found.into_iter().map(|(key, package)| with_sums(package, files(key), databases, paths)).collect()
}

/// Who registered the wanted files. A package without a list of its files has their digests.
fn owners(databases: &mut Databases<'_>, paths: &Paths<'_>) -> Result<Owners> {
    let info = Path::new(INFO);
    let listed = databases.names(info)?;
    let with_list: HashSet<&[u8]> = listed.iter().filter_map(|listed| stem(listed, LIST)).collect();
    let mut owners = Owners::new();
    let mut bytes = Vec::new();
    for file in &listed {
        if let Some(key) = stem(file, LIST) {
            databases.read_listed(info, file, &mut bytes)?;
            paths.register(key, lines(&bytes), databases, &mut owners)?;
        } else if let Some(key) = stem(file, SUMS).filter(|key| !with_list.contains(key)) {
            databases.read_listed(info, file, &mut bytes)?;
            paths.register(key, lines(&bytes).map(path_of_sum), databases, &mut owners)?;
        }
    }
    Ok(owners)
}

/// What `status` says of the owners, each of which stands there once.
fn known_to_status<'o>(owners: &'o Owners, databases: &mut Databases<'_>) -> Result<Vec<(&'o [u8], Found)>> {
    let names: HashSet<&[u8]> = owners.keys().map(|key| parts_of(key).0).collect();
    let mut bytes = Vec::new();
    databases.read(Path::new(STATUS), &mut bytes)?;
    let mut found: BTreeMap<&[u8], Found> = BTreeMap::new();
    for paragraph in paragraphs(&bytes) {
        let name = name_of(paragraph);
        if !names.contains(name.as_ref()) {
            continue;
        }
        let architecture = first_line(paragraph, "Architecture").unwrap_or_default();
        for key in [name.to_vec(), [&name, &b":"[..], architecture.as_bytes()].concat()] {
            let owner = owners.get_key_value(&key).filter(|(key, _)| !found.contains_key(key.as_slice()));
            if let Some((key, files)) = owner {
                found.extend(
                    package(paragraph, Path::new(STATUS), files, databases)?.map(|package| (key.as_slice(), package)),
                );
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// Those of `status.d`.
fn registered_alone(databases: &mut Databases<'_>, paths: &Paths<'_>) -> Result<Vec<Found>> {
    let directory = Path::new(STATUS_D);
    let listed = databases.names(directory)?;
    let mut owners = Owners::new();
    let mut bytes = Vec::new();
    for (file, key) in listed.iter().filter_map(|listed| Some((listed, stem(listed, SUMS)?))) {
        databases.read_listed(directory, file, &mut bytes)?;
        paths.register(key, lines(&bytes).map(path_of_sum), databases, &mut owners)?;
    }
    let mut found = Vec::new();
    for (key, files) in &owners {
        let status = directory.join(OsStr::from_bytes(key));
        databases.read(&status, &mut bytes)?;
        let Some(paragraph) = paragraphs(&bytes).next() else { continue };
        let package = package(paragraph, &status, files, databases)?;
        let sums = [directory.join(named(key, SUMS))];
        found.extend(package.map(|package| with_sums(package, sums, databases, paths)).transpose()?);
    }
    Ok(found)
}

/// The wanted paths, and where packages' files are that other packages had put aside.
struct Paths<'w> {
    wanted: &'w Wanted,
    diversions: Diversions,
}

impl Paths<'_> {
    /// Takes down which of the wanted files a package registered.
    fn register<'l>(
        &self,
        key: &[u8],
        registered: impl Iterator<Item = &'l [u8]>,
        databases: &Databases<'_>,
        owners: &mut Owners,
    ) -> Result<()> {
        for path in registered {
            let files = self.files(key, path, databases)?;
            if !files.is_empty() {
                owners.entry(key.to_vec()).or_default().extend(files);
            }
        }
        Ok(())
    }

    /// The wanted files that a package means by a path.
    fn files(&self, key: &[u8], path: &[u8], databases: &Databases<'_>) -> Result<Vec<usize>> {
        let (directory, name) = split(path);
        if !self.wanted.has_name(name) && !self.diversions.names.contains(name) {
            return Ok(Vec::new());
        }
        match self.diversions.of(path) {
            Some((to, by)) if by != parts_of(key).0 => {
                let (directory, name) = split(to);
                self.wanted.matches(directory, name, databases)
            }
            _ => self.wanted.matches(directory, name, databases),
        }
    }
}

/// Files that packages install elsewhere than they say, because another package has something in their places
/// (dpkg-divert(1)).
#[derive(Default)]
struct Diversions {
    /// Where they are instead, and the package for which they make room.
    by_path: HashMap<Vec<u8>, (Vec<u8>, Vec<u8>)>,
    /// File names of paths from which something that is wanted was put aside.
    names: HashSet<Vec<u8>>,
}

impl Diversions {
    /// Three lines each: the path, where it is instead, and the package, or `:` for whoever administers the machine.
    fn read(databases: &mut Databases<'_>, wanted: &Wanted) -> Result<Diversions> {
        let mut bytes = Vec::new();
        databases.read(Path::new(DIVERSIONS), &mut bytes)?;
        let mut diversions = Diversions::default();
        let mut lines = lines(&bytes);
        while let (Some(from), Some(to), Some(by)) = (lines.next(), lines.next(), lines.next()) {
            let (name, name_there) = (split(from).1, split(to).1);
            if wanted.has_name(name_there) {
                diversions.names.insert(name.to_vec());
            }
            if wanted.has_name(name) || wanted.has_name(name_there) {
                diversions.by_path.insert(from.to_vec(), (to.to_vec(), by.to_vec()));
            }
        }
        Ok(diversions)
    }

    fn of(&self, path: &[u8]) -> Option<(&[u8], &[u8])> {
        let absolute: Cow<'_, [u8]> = if path.starts_with(b"/") { path.into() } else { [b"/", path].concat().into() };
        self.by_path.get(absolute.as_ref()).map(|(to, by)| (to.as_slice(), by.as_slice()))
    }
}

/// The package of a paragraph, if it is one that is there.
fn package(
    paragraph: &[u8],
    database: &Path,
    files: &BTreeSet<usize>,
    databases: &Databases<'_>,
) -> Result<Option<Found>> {
    let (Some(name), Some(version)) = (first_line(paragraph, "Package"), first_line(paragraph, "Version")) else {
        return Ok(None);
    };
    let is_gone = first_line(paragraph, "Status").is_some_and(|status| status.ends_with(" not-installed"));
    if is_gone || !is_name(&name) {
        return Ok(None);
    }
    expect_short(paragraph, &name).map_err(|cause| databases.failed(database, cause))?;
    Ok(Some(Found {
        kind: "deb",
        architecture: first_line(paragraph, "Architecture"),
        source: Some(source(first_line(paragraph, "Source"), &name, &version)),
        maintainer: first_line(paragraph, "Maintainer"),
        licenses: Default::default(),
        files: files.clone(),
        database: database.to_owned(),
        record: Record::of(paragraph),
        name,
        version,
    }))
}

/// `Source: glibc`, `Source: gcc-12 (12.2.0-14)`, or none where both are called the same (deb-control(5)).
fn source(field: Option<String>, name: &str, version: &str) -> (String, String) {
    let field = field.unwrap_or_else(|| name.to_owned());
    match field.split_once(" (") {
        Some((name, version)) => (name.to_owned(), version.trim_end_matches(')').to_owned()),
        None => (field, version.to_owned()),
    }
}

/// Adds the digests that the package has of its files. What told of the package is an input.
fn with_sums<const N: usize>(
    mut package: Found,
    told: [PathBuf; N],
    databases: &mut Databases<'_>,
    paths: &Paths<'_>,
) -> Result<Found> {
    let mut bytes = Vec::new();
    for path in told {
        let is_there = databases.read(&path, &mut bytes)?;
        if !is_there || !path.as_os_str().as_bytes().ends_with(SUMS) {
            continue;
        }
        for line in lines(&bytes) {
            let sum = line.get(..32).filter(|sum| sum.iter().all(u8::is_ascii_hexdigit));
            for file in paths.files(package.name.as_bytes(), path_of_sum(line), databases)? {
                package.record.details.extend(sum.map(|sum| (file, sum.to_vec())));
            }
        }
    }
    Ok(package)
}

/// The package's name in a paragraph, which nearly always begins with it.
fn name_of(paragraph: &[u8]) -> Cow<'_, [u8]> {
    match paragraph.strip_prefix(b"Package: ").and_then(|rest| lines(rest).next()) {
        Some(name) => name.trim_ascii().into(),
        None => first_line(paragraph, "Package").unwrap_or_default().into_bytes().into(),
    }
}

/// The name and the architecture of `zlib1g:amd64`.
fn parts_of(key: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memrchr(b':', key) {
        Some(colon) => (&key[..colon], Some(&key[colon + 1..])),
        None => (key, None),
    }
}

/// What dpkg takes for a name (`pkg_name_is_illegal` in libdpkg). It is one of a file as well, beside which its digests are.
fn is_name(name: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-+._".contains(&byte);
    name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && name.bytes().all(is_fit)
        && name.len() < 200
        && !name.ends_with(".md5sums")
}

fn stem<'l>(listed: &'l Listed, suffix: &[u8]) -> Option<&'l [u8]> {
    listed.name.as_bytes().strip_suffix(suffix)
}

fn named(key: &[u8], suffix: &[u8]) -> PathBuf {
    Path::new(OsStr::from_bytes(&[key, suffix].concat())).to_owned()
}

/// The path in a line of md5sums: a digest of 32 digits, two spaces, and a path without a slash before it.
fn path_of_sum(line: &[u8]) -> &[u8] {
    line.get(34..).unwrap_or_default()
}
