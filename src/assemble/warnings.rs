//! What may surprise whoever runs the image, and is no error.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::source::capabilities;
use crate::check::Proven;
use crate::collect::{Closure, excludes};
use crate::error::Result;
use crate::finding::Finding;
use crate::need::Excluded;
use crate::packages::Packages;
use crate::text::printable;
use crate::tree::{Content, Entry, Tree};

/// What is known of an image, and was asked for.
pub(super) struct Facts<'a> {
    pub(super) closures: &'a [Closure],
    pub(super) tree: &'a Tree,
    /// If they were read early.
    pub(super) packages: Option<&'a Packages>,
    pub(super) proven: Proven,
    /// Patterns of what to leave out.
    pub(super) excluding: &'a [String],
    pub(super) keeps_capabilities: bool,
    pub(super) has_package_db: bool,
}

/// All findings of an image, but for its name and its cache, each once.
pub(super) fn of(facts: &Facts<'_>) -> Result<Vec<Finding>> {
    let Facts { closures, tree, .. } = *facts;
    let mut findings: Vec<Finding> = closures.iter().flat_map(|closure| closure.findings()).cloned().collect();
    findings.extend(unused_patterns(facts));
    findings.extend(facts.proven.findings.iter().cloned());
    findings.extend(tree.entries().iter().filter_map(dropped_bits));
    if !facts.keeps_capabilities {
        findings.extend(dropped_capabilities(closures, tree)?);
    }
    // A program of the caller's own is of no package.
    let is_of_packages = facts.has_package_db || closures.iter().any(|closure| !closure.objects().is_empty());
    findings.extend(facts.packages.filter(|known| is_of_packages && !known.has_records()).map(no_records));
    Ok(each_once(findings))
}

/// Patterns of what to leave out that may be misspelt.
fn unused_patterns(facts: &Facts<'_>) -> Vec<Finding> {
    let names = facts.closures.iter().flat_map(Closure::excluded).map(Excluded::name);
    let names: Vec<&OsStr> = names.chain(facts.proven.excluded.iter().map(OsString::as_os_str)).collect();
    let is_unused = |pattern: &&String| !names.iter().any(|name| excludes(pattern.as_bytes(), name));
    facts.excluding.iter().filter(is_unused).map(|pattern| unused_exclude(pattern)).collect()
}

/// Programs that share a library share what is to be said of it.
fn each_once(findings: Vec<Finding>) -> Vec<Finding> {
    let mut unique: Vec<Finding> = Vec::new();
    for finding in findings {
        if !unique.contains(&finding) {
            unique.push(finding);
        }
    }
    unique
}

fn unused_exclude(pattern: &str) -> Finding {
    let pattern = printable(pattern);
    let message =
        format!("no program asks for a library of the name {pattern}, to leave it out; mend the pattern, or drop it");
    Finding::warning("unused-exclude", message, pattern)
}

fn no_records(packages: &Packages) -> Finding {
    let distribution = packages.distribution.as_ref().map_or("an unknown distribution", |known| known.name());
    let older = packages.unread.as_deref().map(|path| {
        let path = printable(path);
        format!("; {path} has an older form, which is not read: rpm 4.16 or later rewrites it (rpmdb --rebuilddb)")
    });
    let message = format!(
        "none of the image's files is known to a package database in the root (dpkg's, apk's, or rpm's in SQLite), so \
         nobody is told of packages{}",
        older.unwrap_or_default()
    );
    Finding::warning("package-db", message, printable(distribution))
}

const SETUID_OR_SETGID: u32 = 0o6000;

fn dropped_bits(entry: &Entry) -> Option<Finding> {
    let Content::File(source) = entry.content() else { return None };
    let mode = source.stamp.mode & 0o7777;
    (mode & SETUID_OR_SETGID & !entry.mode() != 0).then(|| {
        let path = printable(entry.path());
        Finding::warning(
            "special-mode",
            format!("{path} loses its setuid or setgid bit; it runs with the rights of the container's user"),
            format_args!("mode {mode:04o}"),
        )
    })
}

fn dropped_capabilities(closures: &[Closure], tree: &Tree) -> Result<Vec<Finding>> {
    let programs = closures.iter().filter(|closure| closure.has_capabilities());
    let mut findings: Vec<Finding> = programs.map(|closure| without_capabilities(closure.program().path())).collect();
    for entry in tree.entries().iter().filter(|entry| entry.is_given()) {
        if let Content::File(source) = entry.content()
            && capabilities(source)?.is_some()
        {
            findings.push(without_capabilities(entry.path()));
        }
    }
    Ok(findings)
}

fn without_capabilities(path: &Path) -> Finding {
    let path = printable(path);
    Finding::warning(
        "file-capabilities",
        format!(
            "{path} loses its file capabilities; keep them, or give them to the container, as with docker run --cap-add"
        ),
        format_args!("security.capability of {path}"),
    )
}
