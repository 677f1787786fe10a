//! Which package of a distribution a file was copied from, told by package databases that are read as files, and where
//! those do not know it, by the file itself.

mod apk;
mod copyright;
mod database;
mod dpkg;
mod found;
mod license;
mod note;
mod paragraph;
mod purl;
mod record;
mod release;
mod rpm;
mod wanted;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::analyze::Identity;
use crate::collect::Source;
use crate::error::{Cause, Result};
use crate::root::{FileId, Root};
use database::Databases;
use wanted::Wanted;

pub(crate) use license::Custom;
pub(crate) use record::{Record, records};
pub use release::Distribution;

/// A package of a distribution from which files of an image were copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    kind: String,
    name: String,
    version: String,
    architecture: Option<String>,
    source: Option<(String, String)>,
    maintainer: Option<String>,
    license: Option<String>,
    customs: Vec<Custom>,
    distribution: Option<Arc<Distribution>>,
    files: Vec<PathBuf>,
    database: Option<PathBuf>,
    record: Record,
}

impl Package {
    /// What kind of package it is, by the name that package URLs have for it: `deb`, `apk`, `rpm`, or what a file's
    /// `.note.package` says, such as `rpm`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Its name: `libc6`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version, as its distribution writes it: `2.36-9+deb12u9`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The architecture that it is for, as its distribution calls it: `amd64`, `x86_64`.
    pub fn architecture(&self) -> Option<&str> {
        self.architecture.as_deref()
    }

    /// The source package that it was built from, and the version of that: `("glibc", "2.36-9+deb12u9")`.
    pub fn source(&self) -> Option<(&str, &str)> {
        self.source.as_ref().map(|(name, version)| (name.as_str(), version.as_str()))
    }

    /// Who maintains it, as its distribution has it: `GNU Libc Maintainers <debian-glibc@lists.debian.org>`.
    pub fn maintainer(&self) -> Option<&str> {
        self.maintainer.as_deref()
    }

    /// Under which licence it is, as an SPDX license expression (SPDX 2.3, annex D); names that SPDX does not know are
    /// `LicenseRef-...`. `None` where the package does not state it in a form for machines.
    ///
    /// A dpkg package states it in `/usr/share/doc/<name>/copyright`, where that is machine-readable (Debian, "Machine-readable
    /// debian/copyright file"): every licence of which a part is named.
    pub fn license(&self) -> Option<&str> {
        self.license.as_deref()
    }

    /// The distribution whose package it is, where `/etc/os-release` tells it.
    pub fn distribution(&self) -> Option<&Distribution> {
        self.distribution.as_deref()
    }

    /// Its package URL (github.com/package-url): `pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=amd64&distro=debian-12`.
    pub fn purl(&self) -> String {
        purl::of(self)
    }

    /// The files of the image that came from it, by their paths in the image, in bytewise order.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(PathBuf::as_path)
    }

    /// The database of this machine in which it stands; `None` where only a file's own `.note.package` tells of it.
    pub fn database(&self) -> Option<&Path> {
        self.database.as_deref()
    }

    /// The names of licences that are not SPDX's.
    #[cfg(feature = "sbom")]
    pub(crate) fn customs(&self) -> &[Custom] {
        &self.customs
    }
}

/// A file of an image, by its path there, and the file of this machine that it is a copy of.
pub(crate) type Copied<'a> = (&'a Path, &'a Source);

/// All that is known of the packages of an image.
#[derive(Debug)]
pub(crate) struct Packages {
    /// In the order of their package URLs, each of which is there once.
    pub(crate) list: Vec<Package>,
    pub(crate) distribution: Option<Arc<Distribution>>,
    /// What of this machine decided on it, but for the files of the image.
    pub(crate) inputs: Vec<PathBuf>,
    /// A database of this machine that is there and in no form that is read.
    pub(crate) unread: Option<PathBuf>,
}

impl Packages {
    /// Whether there is anything to tell a scanner of packages.
    pub(crate) fn has_records(&self) -> bool {
        self.list.iter().any(|package| package.database.is_some())
    }

    /// Those of these files, by the databases of the root.
    pub(crate) fn of(copied: &[Copied<'_>], root: &Root) -> Result<Packages> {
        let mut databases = Databases::of(root);
        let packages = read(copied, &mut databases);
        // What could not be read says nothing of what is there.
        match root.take_faults().into_iter().next() {
            Some(fault) => Err(fault),
            None => packages,
        }
    }
}

fn read(copied: &[Copied<'_>], databases: &mut Databases<'_>) -> Result<Packages> {
    let wanted = Wanted::of(copied, databases.root);
    let distribution = release::read(databases)?.map(Arc::new);
    let mut found = dpkg::find(databases, &wanted)?;
    found.extend(apk::find(databases, &wanted)?);
    found.extend(rpm::find(databases, &wanted)?);
    let registered: BTreeSet<usize> = found.iter().flat_map(|found| found.files.iter().copied()).collect();
    found.iter_mut().for_each(|found| with_further_names(&mut found.files, &registered, copied));
    let mut list: Vec<Package> =
        found.into_iter().map(|found| found.package(databases.root, copied, distribution.as_ref())).collect();
    list.extend(noted(copied, &list)?);
    let unread = rpm::unread(databases);
    Ok(Packages { list: each_once(list), distribution, inputs: databases.inputs(), unread })
}

/// Adds the names that hard links gave to files of a package, but for those that a package registered: they have the same
/// bytes.
fn with_further_names(files: &mut BTreeSet<usize>, registered: &BTreeSet<usize>, copied: &[Copied<'_>]) {
    let ids: HashSet<FileId> = files.iter().map(|&file| copied[file].1.stamp.id).collect();
    let is_further = |file: &usize| ids.contains(&copied[*file].1.stamp.id) && !registered.contains(file);
    files.extend((0..copied.len()).filter(is_further));
}

/// The packages that only files themselves tell of.
fn noted(copied: &[Copied<'_>], known: &[Package]) -> Result<Vec<Package>> {
    let known: HashSet<&Path> = known.iter().flat_map(Package::files).collect();
    let mut noted: Vec<Package> = Vec::new();
    for (at, source) in copied.iter().filter(|(at, source)| source.is_elf && !known.contains(at)) {
        let package = identity(source)?.package.and_then(|json| note::package(&json));
        noted.extend(package.map(|package| Package { files: vec![at.to_path_buf()], ..package }));
    }
    Ok(noted)
}

/// In the order of their package URLs. What several sources tell of is one package, as the first of them tells it.
fn each_once(list: Vec<Package>) -> Vec<Package> {
    let mut by_purl: BTreeMap<String, Package> = BTreeMap::new();
    for package in list {
        match by_purl.entry(package.purl()) {
            Entry::Occupied(known) => known.into_mut().files.extend(package.files),
            Entry::Vacant(new) => drop(new.insert(package)),
        }
    }
    let in_order = |mut package: Package| {
        package.files.sort_unstable();
        package.files.dedup();
        package
    };
    by_purl.into_values().map(in_order).collect()
}

/// What the file's notes say that it is.
pub(crate) fn identity(source: &Source) -> Result<Identity> {
    let read = || {
        let input = source.open_unchanged()?;
        Ok(Identity::read(&input, input.stamp.size))
    };
    read().map_err(|cause: Cause| cause.on("read", source.on_machine()))
}
