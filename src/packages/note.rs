//! What a file's `.note.package` says of the package that it was built for (UAPI group, "Package Metadata for Executable
//! Files").

use std::sync::Arc;

use serde_json::Value;

use super::{Distribution, Package, Record};

/// The package that a note names, if it names one with a version; files are added by whoever asks.
pub(super) fn package(json: &[u8]) -> Option<Package> {
    let note: Value = serde_json::from_slice(json).ok()?;
    let text = |key: &str| note.get(key)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let distribution = text("os").map(|id| Arc::new(Distribution::new(id, text("osVersion"))));
    Some(Package {
        kind: text("type").map_or_else(|| "generic".to_owned(), |kind| kind.to_ascii_lowercase()),
        name: text("name")?,
        version: text("version")?,
        architecture: text("architecture"),
        source: None,
        maintainer: None,
        license: None,
        customs: Vec::new(),
        distribution,
        files: Vec::new(),
        database: None,
        record: Record::default(),
    })
}
