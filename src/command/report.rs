//! What is known of a closure, as JSON.

use std::path::Path;

use scratchpack::{Attempt, Closure, Elf, Missing, Object, Rule};
use serde::Serialize;

use super::output::{FindingReport, finding_reports, text};

#[derive(Default, Serialize)]
pub(super) struct ClosureReport<'a> {
    binary: String,
    interpreter: Option<String>,
    libc: Option<&'static str>,
    architecture: Option<&'static str>,
    /// What the most demanding of its files needs.
    isa_level: Option<&'static str>,
    objects: Vec<ObjectReport>,
    missing: Vec<MissingReport>,
    pub(super) findings: Vec<FindingReport<'a>>,
}

#[derive(Serialize)]
struct ObjectReport {
    name: String,
    path: String,
    opened: String,
    source: String,
    size: u64,
    needed_by: Vec<String>,
    found_by: &'static str,
    hidden: bool,
}

#[derive(Serialize)]
pub(super) struct MissingReport {
    name: String,
    version: Option<String>,
    needed_by: Vec<String>,
    tried: Vec<AttemptReport>,
    note: Option<String>,
}

#[derive(Serialize)]
pub(super) struct AttemptReport {
    path: String,
    rule: &'static str,
    why: &'static str,
    detail: Option<String>,
}

impl<'a> ClosureReport<'a> {
    pub(super) fn of(closure: &'a Closure) -> Self {
        let program = closure.program();
        ClosureReport {
            binary: text(program.path()),
            interpreter: program.elf().interpreter().map(text),
            libc: closure.libc().map(|libc| libc.name()),
            architecture: program.elf().machine().architecture(),
            isa_level: closure.isa_level(),
            objects: closure.objects().iter().map(ObjectReport::of).collect(),
            missing: closure.missing().iter().map(MissingReport::of).collect(),
            findings: finding_reports(closure.findings()),
        }
    }
}

impl ClosureReport<'_> {
    /// What a file says of itself, where no closure was made of it.
    pub(super) fn of_failure(binary: &Path, elf: &Elf) -> Self {
        let name = Path::new("/").join(binary.file_name().unwrap_or_default());
        ClosureReport {
            binary: text(&name),
            interpreter: elf.interpreter().map(text),
            libc: None,
            architecture: elf.machine().architecture(),
            isa_level: elf.isa_level(),
            objects: Vec::new(),
            missing: Vec::new(),
            findings: Vec::new(),
        }
    }
}

impl ObjectReport {
    fn of(object: &Object) -> Self {
        ObjectReport {
            name: text(object.name()),
            path: text(object.path()),
            opened: text(object.opened()),
            source: text(&object.source()),
            size: object.size(),
            needed_by: object.needed_by().map(text).collect(),
            found_by: object.found_by().code(),
            hidden: matches!(object.found_by(), Rule::Requested | Rule::Audit),
        }
    }
}

impl AttemptReport {
    pub(super) fn of(attempt: &Attempt) -> Self {
        AttemptReport {
            path: text(attempt.path()),
            rule: attempt.rule().code(),
            why: attempt.why().code(),
            detail: attempt.detail().map(str::to_owned),
        }
    }
}

impl MissingReport {
    pub(super) fn of(missing: &Missing) -> Self {
        MissingReport {
            name: text(missing.name()),
            version: missing.version().map(text),
            needed_by: missing.needed_by().iter().map(text).collect(),
            tried: missing.tried().iter().map(AttemptReport::of).collect(),
            note: missing.note().map(str::to_owned),
        }
    }
}
