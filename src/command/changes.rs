//! What differs between two images or locks, in words and as JSON.

use std::path::Path;

use scratchpack::{Change, ChangeKind, LockEntry, LockedKind};
use serde::{Serialize, Serializer};

use super::output::{shown, text};

/// A line each; what comes or goes with a file stands below it.
pub(super) fn lines(changes: &[Change]) -> impl Iterator<Item = String> {
    changes.iter().map(|change| format!("{}{change}", if change.with().is_some() { "  " } else { "" }))
}

/// `2 added, 1 changed`
pub(super) fn overview(changes: &[Change]) -> String {
    let kinds = [ChangeKind::Added, ChangeKind::Gone, ChangeKind::Changed];
    let counts = kinds.map(|kind| (changes.iter().filter(|change| change.kind() == kind).count(), kind.code()));
    let told: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, code)| format!("{count} {code}")).collect();
    told.join(", ")
}

/// Nobody reads more, and a lock made to do harm could have gigabytes said.
const MOST_LINES: usize = 1000;

/// What the lock in `file` does not say, in words, and what to do.
pub(super) fn not_as_locked(file: &Path, changes: &[Change]) -> String {
    let mut list: Vec<String> = lines(changes).take(MOST_LINES).map(|line| format!("  {line}")).collect();
    if changes.len() > MOST_LINES {
        list.push(format!("  and {} more, all of which --format json tells", changes.len() - MOST_LINES));
    }
    format!(
        "the image is not what {} says ({}); nothing was written\n{}\nIf it is as it should be, accept it with --lock {} \
         instead of --locked",
        shown(file),
        overview(changes),
        list.join("\n"),
        shown(file),
    )
}

/// Each is put into words when it is written, for together they may be many times as large as what was compared.
#[derive(Clone, Copy, Default)]
pub(super) struct ChangeReports<'a>(pub(super) &'a [Change]);

impl Serialize for ChangeReports<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ChangeReport::of))
    }
}

#[derive(Serialize)]
struct ChangeReport {
    path: String,
    change: &'static str,
    before: Option<EntryReport>,
    after: Option<EntryReport>,
    chain: Vec<String>,
    with: Option<String>,
    message: String,
}

#[derive(Serialize)]
struct EntryReport {
    kind: &'static str,
    digest: Option<String>,
    target: Option<String>,
    mode: String,
    capabilities: Option<String>,
    found_by: Option<String>,
    needed_by: Option<String>,
    needs: Option<Vec<String>>,
    reason: Option<String>,
}

impl ChangeReport {
    fn of(change: &Change) -> Self {
        ChangeReport {
            path: text(change.path()),
            change: change.kind().code(),
            before: change.before().map(EntryReport::of),
            after: change.after().map(EntryReport::of),
            chain: change.chain().iter().map(text).collect(),
            with: change.with().map(text),
            message: change.to_string(),
        }
    }
}

impl EntryReport {
    fn of(entry: &LockEntry) -> Self {
        let (kind, digest, target) = match entry.kind() {
            kind @ LockedKind::File(_) => ("file", Some(kind.to_string()), None),
            LockedKind::HardLink(first) => ("hardlink", None, Some(text(first))),
            LockedKind::Symlink(target) => ("symlink", None, Some(text(target))),
            LockedKind::Directory => ("directory", None, None),
            _ => ("special", None, None),
        };
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        EntryReport {
            kind,
            digest,
            target,
            mode: format!("{:04o}", entry.mode()),
            capabilities: entry.capabilities().map(hex),
            found_by: entry.found_by().map(str::to_owned),
            needed_by: entry.needed_by().map(text),
            needs: entry.needs().map(|names| names.iter().map(text).collect()),
            reason: Some(entry.reason().to_owned()).filter(|reason| !reason.is_empty()),
        }
    }
}
