//! A package that a database knows.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::license::Licenses;
use super::{Copied, Distribution, Package, Record};
use crate::error::Cause;
use crate::limits::MAX_PACKAGE_RECORD;
use crate::root::Root;
use crate::text::printable;

/// A package that a database knows, and the numbers of the files that came from it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: Option<String>,
    pub(super) source: Option<(String, String)>,
    pub(super) maintainer: Option<String>,
    pub(super) licenses: Licenses,
    pub(super) files: BTreeSet<usize>,
    /// The database by its path in the root.
    pub(super) database: PathBuf,
    pub(super) record: Record,
}

impl Found {
    pub(super) fn package(self, root: &Root, copied: &[Copied<'_>], of: Option<&Arc<Distribution>>) -> Package {
        let mut files: Vec<PathBuf> = self.files.iter().map(|&number| copied[number].0.to_owned()).collect();
        files.sort_unstable();
        Package {
            kind: self.kind.to_owned(),
            name: self.name,
            version: self.version,
            architecture: self.architecture,
            source: self.source,
            maintainer: self.maintainer,
            license: self.licenses.expression,
            customs: self.licenses.customs,
            distribution: of.cloned(),
            files,
            database: Some(root.on_machine(&self.database)),
            record: self.record.placed(|number| copied[number].0.to_owned()),
        }
    }
}

/// What is written of a package into an image.
pub(super) fn expect_short(record: &[u8], package: &str) -> Result<(), Cause> {
    let (size, name) = (record.len(), printable(package));
    match size > MAX_PACKAGE_RECORD {
        true => Err(Cause::malformed(format!(
            "it says {size} bytes of the package {name}; the limit is {MAX_PACKAGE_RECORD}"
        ))),
        false => Ok(()),
    }
}
