//! rpm's database, in the form that it has since rpm 4.16: SQLite with a row for each package, and an index of the names of
//! their files (lib/backend/sqlite.c in rpm). Its older forms are not read.

mod header;
mod sqlite;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use super::database::Databases;
use super::found::Found;
use super::license::Licenses;
use super::record::Record;
use super::wanted::Wanted;
use crate::error::{Cause, Error, Result};
use crate::limits::MAX_PACKAGE_PATHS;
use header::Header;
use sqlite::{Database, Field};

/// Where it is of late, where it was, and where systems made of images have it.
const PATHS: [&str; 3] =
    ["/usr/lib/sysimage/rpm/rpmdb.sqlite", "/var/lib/rpm/rpmdb.sqlite", "/usr/share/rpm/rpmdb.sqlite"];

/// The older forms.
const OLDER: [&str; 4] = [
    "/usr/lib/sysimage/rpm/Packages.db",
    "/usr/lib/sysimage/rpm/Packages",
    "/var/lib/rpm/Packages.db",
    "/var/lib/rpm/Packages",
];

/// The packages from which the wanted files came.
pub(super) fn find(databases: &mut Databases<'_>, wanted: &Wanted) -> Result<Vec<Found>> {
    let mut seen = HashSet::new();
    for path in PATHS.map(Path::new) {
        let Some(file) = (if wanted.is_empty() { None } else { databases.open(path)? }) else { continue };
        let log = databases.open(Path::new(&format!("{}-wal", path.display())))?;
        // One is often a link to the other. What is empty has no tables, and is a database all the same.
        if !seen.insert(file.stamp.id) || file.stamp.size == 0 {
            continue;
        }
        let failed = |cause| databases.failed(path, cause);
        let database = Database::open(&file, log.as_ref(), &databases.left).map_err(failed)?;
        let found = Search { database, path, wanted, databases }.packages()?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// A database that is there and in no form that is read.
pub(super) fn unread(databases: &Databases<'_>) -> Option<PathBuf> {
    let older = OLDER.map(Path::new).into_iter().find(|path| databases.walker.open(path).is_ok());
    older.map(|path| databases.root.on_machine(path))
}

/// Files of one package by what the index has of them: which of the package's files they may be.
type Candidates = BTreeMap<i64, Vec<(Vec<u8>, usize)>>;

struct Search<'s, 'r> {
    database: Database<'s>,
    path: &'s Path,
    wanted: &'s Wanted,
    databases: &'s Databases<'r>,
}

impl Search<'_, '_> {
    fn packages(&self) -> Result<Vec<Found>> {
        let candidates = self.candidates().map_err(|cause| self.failed(cause))?;
        let root = self.database.root("Packages").map_err(|cause| self.failed(cause))?;
        let mut found = Vec::new();
        for (number, files) in candidates {
            let row = self.database.row_of(root, number).map_err(|cause| self.failed(cause))?;
            let blob = row.as_ref().and_then(|row| row.get(1)).and_then(Field::bytes);
            if let Some(header) = blob.and_then(Header::of) {
                found.extend(self.package(&header, &files)?);
            }
        }
        Ok(found)
    }

    /// The packages that have files of wanted names.
    fn candidates(&self) -> Result<Candidates, Cause> {
        let (index, names) = (self.database.root("Basenames_key_idx")?, self.database.root("Basenames")?);
        let mut candidates = Candidates::new();
        let mut count = 0;
        for name in self.wanted.names() {
            for number in self.database.rows_under(index, name)? {
                count += 1;
                if count > MAX_PACKAGE_PATHS {
                    return Err(Cause::malformed(format!(
                        "more than {MAX_PACKAGE_PATHS} of its paths have names of the image, which is the limit"
                    )));
                }
                // The name, the package, and which of the package's files it is.
                let row = self.database.row_of(names, number)?.unwrap_or_default();
                let numbers = row.get(1).and_then(Field::integer).zip(row.get(2).and_then(Field::integer));
                if let Some((package, file)) = numbers {
                    let file = usize::try_from(file).unwrap_or(usize::MAX);
                    candidates.entry(package).or_default().push((name.to_vec(), file));
                }
            }
        }
        Ok(candidates)
    }

    /// The package, if any of these are wanted files where it has them.
    fn package(&self, header: &Header<'_>, candidates: &[(Vec<u8>, usize)]) -> Result<Option<Found>> {
        let mut files = BTreeSet::new();
        let directories = header.directories();
        for (name, file) in candidates.iter().filter(|(_, file)| header.has_installed(*file)) {
            if let Some(directory) = header.directory_of(*file).and_then(|number| directories.get(number)) {
                let directory = directory.strip_suffix(b"/").unwrap_or(directory);
                files.extend(self.wanted.matches(directory, name, self.databases)?);
            }
        }
        let (Some(name), Some(version), false) = (header.text(header::NAME), header.version(), files.is_empty()) else {
            return Ok(None);
        };
        Ok(Some(Found {
            kind: "rpm",
            architecture: header.text(header::ARCHITECTURE),
            source: header.source(),
            maintainer: header.text(header::VENDOR).or_else(|| header.text(header::PACKAGER)),
            licenses: header.text(header::LICENSE).map(|tag| Licenses::of([tag.as_str()])).unwrap_or_default(),
            files,
            database: self.path.to_owned(),
            record: Record::of(header.manifest_line().as_bytes()),
            name,
            version,
        }))
    }

    fn failed(&self, cause: Cause) -> Error {
        self.databases.failed(self.path, cause)
    }
}
