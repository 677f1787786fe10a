//! What is said of every executable of the machine, counted, and of whom nothing may be said.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use scratchpack::{Finding, Image, Level};

use crate::loader;
use crate::parallel::in_parallel;
use crate::tools;

/// They open nothing that their closures do not have, and change nothing that the image could lack.
const PLAIN: [&str; 12] = [
    "/usr/bin/true",
    "/usr/bin/false",
    "/usr/bin/echo",
    "/usr/bin/cat",
    "/usr/bin/head",
    "/usr/bin/tail",
    "/usr/bin/wc",
    "/usr/bin/cp",
    "/usr/bin/rm",
    "/usr/bin/mkdir",
    "/usr/bin/sleep",
    "/usr/bin/sed",
];

/// Level, code and message of a finding.
type Said = (Level, &'static str, String);

#[test]
fn every_finding_of_the_machine_s_executables_is_counted() {
    let programs = loader::executables();
    let said = in_parallel(&programs, |path| Some((path.clone(), said_of(path)?)));
    let mut counts: BTreeMap<(Level, &str), Vec<&Path>> = BTreeMap::new();
    for (path, findings) in &said {
        for (level, code, _) in findings {
            let paths = counts.entry((*level, code)).or_default();
            if paths.last() != Some(&path.as_path()) {
                paths.push(path);
            }
        }
    }
    tools::say(&format!("{} executables inspected; of them", said.len()));
    for ((level, code), paths) in &counts {
        tools::say(&format!("  {:5} have a {} `{code}`, such as {}", paths.len(), level.name(), some(paths)));
    }
    let silent = said.iter().filter(|(_, findings)| findings.is_empty()).count();
    tools::say(&format!("  {silent:5} have none"));
}

/// `None` where it cannot be packed, which other tests are about.
fn said_of(path: &Path) -> Option<Vec<Said>> {
    let image = Image::from_binary(path).ok()?;
    let said = |finding: &Finding| (finding.level(), finding.code(), finding.message().to_owned());
    Some(image.findings().iter().map(said).collect())
}

fn some(paths: &[&Path]) -> String {
    let names = paths.iter().step_by(paths.len().div_ceil(4)).map(|path| path.file_name().unwrap().to_string_lossy());
    names.collect::<Vec<_>>().join(", ")
}

#[test]
fn plain_programs_have_no_warnings() {
    let plain: Vec<PathBuf> = PLAIN.iter().map(PathBuf::from).filter(|path| path.exists()).collect();
    for path in plain {
        let said = said_of(&path).unwrap();
        let warnings: Vec<&Said> = said.iter().filter(|(level, ..)| *level == Level::Warning).collect();
        assert!(warnings.is_empty(), "{}: {warnings:#?}", path.display());
    }
}
