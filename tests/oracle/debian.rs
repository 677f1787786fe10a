//! Another Debian, for this machine or another, unpacked and not configured: nothing of it has run.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::fixtures::scratch;
use crate::tools::{self, command, text_of};

const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian";
const SOURCES: [&str; 2] = ["/etc/apt/sources.list", "/etc/apt/sources.list.d"];

/// Needs `debootstrap` and the network.
pub(crate) fn unpack(suite: &str, architecture: &str) -> Option<TempDir> {
    let (directory, mirror) = (scratch(), mirror());
    let mut debootstrap = command("debootstrap");
    debootstrap.args(["--foreign", "--variant=minbase", &format!("--arch={architecture}"), suite]);
    let output = debootstrap.arg(directory.path()).arg(&mirror).output().unwrap();
    let words = last_lines(&text_of(&output));
    let what = format!("{suite} for {architecture}, which debootstrap does not get from {mirror} ({words})");
    tools::is_available(&what, output.status.success()).then_some(directory)
}

/// The mirror that this machine has its own packages from, if it is one of Debian.
fn mirror() -> String {
    let texts = sources().into_iter().filter_map(|path| fs::read_to_string(path).ok());
    let lines: String = texts.collect::<Vec<_>>().join("\n");
    let words = lines.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace);
    let mut mirrors = words.filter(|word| word.contains("://") && word.trim_end_matches('/').ends_with("/debian"));
    mirrors.next().unwrap_or(DEFAULT_MIRROR).to_owned()
}

fn sources() -> Vec<PathBuf> {
    let [file, directory] = SOURCES.map(PathBuf::from);
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    [vec![file], files].concat()
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}
