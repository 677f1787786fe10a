//! apk's database: one text with a paragraph for each package, a letter for each field (apk-installed(5) of apk-tools).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::database::Databases;
use super::found::{Found, expect_short};
use super::license::Licenses;
use super::paragraph::paragraphs;
use super::record::Record;
use super::wanted::{Wanted, lines};
use crate::error::Result;

/// Where it is, and where it is of late.
const INSTALLED: [&str; 2] = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];

/// The packages from which the wanted files came.
pub(super) fn find(databases: &mut Databases<'_>, wanted: &Wanted) -> Result<Vec<Found>> {
    let mut bytes = Vec::new();
    for path in INSTALLED.map(Path::new) {
        // A merged /usr has one file at both paths.
        if !wanted.is_empty() && databases.read(path, &mut bytes)? {
            let read = paragraphs(&bytes).map(|paragraph| package(paragraph, path, wanted, databases));
            let found: Vec<Found> = read.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }
    Ok(Vec::new())
}

/// The package of a paragraph, where any of the wanted files is one of its files.
fn package(paragraph: &[u8], path: &Path, wanted: &Wanted, databases: &Databases<'_>) -> Result<Option<Found>> {
    let mut directory: &[u8] = b"";
    let mut current = Vec::new();
    let mut details: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    for line in lines(paragraph) {
        match line {
            [b'F', b':', rest @ ..] => (directory, current) = (rest, Vec::new()),
            [b'R', b':', name @ ..] => {
                current = wanted.matches(directory, name, databases)?;
                details.extend(current.iter().map(|&file| (file, Vec::new())));
            }
            // Access rights and digest of the file before.
            [b'a' | b'Z', b':', ..] => {
                for file in &current {
                    details.entry(*file).or_default().extend([line, b"\n"].concat());
                }
            }
            _ => {}
        }
    }
    let (Some(name), Some(version)) = (field(paragraph, b'P'), field(paragraph, b'V')) else { return Ok(None) };
    if details.is_empty() {
        return Ok(None);
    }
    let head = head(paragraph);
    expect_short(&head, &name).map_err(|cause| databases.failed(path, cause))?;
    Ok(Some(Found {
        kind: "apk",
        architecture: field(paragraph, b'A'),
        source: field(paragraph, b'o').map(|origin| (origin, version.clone())),
        maintainer: field(paragraph, b'm'),
        licenses: field(paragraph, b'L').map(|tag| Licenses::of([tag.as_str()])).unwrap_or_default(),
        files: details.keys().copied().collect::<BTreeSet<_>>(),
        database: path.to_owned(),
        record: Record::of(&head).with(details),
        name,
        version,
    }))
}

/// The paragraph without what it says of files and directories.
fn head(paragraph: &[u8]) -> Vec<u8> {
    let of_package = lines(paragraph).filter(|line| !matches!(line, [b'F' | b'M' | b'R' | b'a' | b'Z', b':', ..]));
    of_package.flat_map(|line| [line, b"\n"]).collect::<Vec<_>>().concat()
}

fn field(paragraph: &[u8], letter: u8) -> Option<String> {
    let value = lines(paragraph).find_map(|line| line.strip_prefix(&[letter, b':'])).map(<[u8]>::trim_ascii)?;
    (!value.is_empty()).then(|| String::from_utf8_lossy(value).into_owned())
}
