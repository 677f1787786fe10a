//! What is known of a closure, as JSON.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io;
use std::path::Path;

use scratchpack::{Attempt, Closure, Clue, Elf, Evidence, Missing, Need, Object, Weight};
use serde::Serialize;

use super::args::Search;
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
    pub(super) needs: Vec<NeedReport>,
    pub(super) excluded: Vec<ExcludedReport>,
    pub(super) findings: Vec<FindingReport<'a>>,
}

#[derive(Serialize)]
pub(super) struct NeedReport {
    need: String,
    evidence: Vec<EvidenceReport>,
    bytes: u64,
    included: bool,
}

#[derive(Default, PartialEq, Eq, Serialize)]
struct EvidenceReport {
    object: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The feature that a `.note.dlopen` names.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Serialize)]
pub(super) struct ExcludedReport {
    name: String,
    needed_by: Vec<String>,
}

#[derive(Serialize)]
struct ObjectReport {
    name: String,
    path: String,
    opened: String,
    source: String,
    size: u64,
    /// With what only it pulls in.
    whole_size: u64,
    /// The path of the library through which alone it is needed.
    only_through: Option<String>,
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
            objects: object_reports(closure),
            missing: closure.missing().iter().map(MissingReport::of).collect(),
            needs: need_reports([closure]),
            excluded: excluded_reports([closure]),
            findings: finding_reports(closure.findings()),
        }
    }
}

impl ClosureReport<'_> {
    /// With what would save most if it were not needed first.
    pub(super) fn by_size(mut self) -> Self {
        self.objects.sort_by(|one, two| (two.whole_size, &one.path).cmp(&(one.whole_size, &two.path)));
        self
    }
}

/// Reports what can be said of a program all the same: of an ELF file, also where nothing can be made of it.
pub(super) fn report_failure(
    search: &Search,
    binary: &Path,
    write: impl FnOnce(ClosureReport<'_>) -> io::Result<()>,
) -> io::Result<()> {
    match search.collector().collect(binary) {
        Ok(closure) => write(ClosureReport::of(&closure)),
        Err(_) => report_refusal(search, binary, write),
    }
}

/// The same where all that was asked for makes no closure.
pub(super) fn report_refusal(
    search: &Search,
    binary: &Path,
    write: impl FnOnce(ClosureReport<'_>) -> io::Result<()>,
) -> io::Result<()> {
    // A need that nothing meets says nothing against the rest.
    let rest = search.asks_for_needs().then(|| search.collector_without_needs().collect(binary));
    match rest {
        Some(Ok(closure)) => write(ClosureReport::of(&closure)),
        _ => Elf::read(binary).map_or(Ok(()), |elf| write(ClosureReport::of_failure(binary, &elf))),
    }
}

impl ClosureReport<'_> {
    /// What a file says of itself, where no closure was made of it.
    fn of_failure(binary: &Path, elf: &Elf) -> Self {
        let name = Path::new("/").join(binary.file_name().unwrap_or_default());
        ClosureReport {
            binary: text(&name),
            interpreter: elf.interpreter().map(text),
            libc: None,
            architecture: elf.machine().architecture(),
            isa_level: elf.isa_level(),
            objects: Vec::new(),
            missing: Vec::new(),
            needs: Vec::new(),
            excluded: Vec::new(),
            findings: Vec::new(),
        }
    }
}

/// The needs of these programs, each once.
pub(super) fn need_reports<'c>(closures: impl IntoIterator<Item = &'c Closure>) -> Vec<NeedReport> {
    let mut needs: BTreeMap<&Need, NeedReport> = BTreeMap::new();
    for requirement in closures.into_iter().flat_map(Closure::requirements) {
        let report = needs.entry(requirement.need()).or_insert_with(|| NeedReport::of(requirement.need()));
        // What meets it is there once, whoever needs it.
        report.bytes = report.bytes.max(requirement.bytes());
        report.included |= requirement.is_included();
        requirement.evidence().iter().map(EvidenceReport::of).for_each(|evidence| report.add(evidence));
    }
    needs.into_values().collect()
}

/// What was excluded of these programs, each name once.
pub(super) fn excluded_reports<'c>(closures: impl IntoIterator<Item = &'c Closure>) -> Vec<ExcludedReport> {
    let mut names: BTreeMap<&OsStr, Vec<String>> = BTreeMap::new();
    for excluded in closures.into_iter().flat_map(Closure::excluded) {
        let needed_by = names.entry(excluded.name()).or_default();
        for path in excluded.needed_by().iter().map(text) {
            if !needed_by.contains(&path) {
                needed_by.push(path);
            }
        }
    }
    names.into_iter().map(|(name, needed_by)| ExcludedReport { name: text(name), needed_by }).collect()
}

impl NeedReport {
    fn of(need: &Need) -> Self {
        NeedReport { need: text(&need.to_string()), evidence: Vec::new(), bytes: 0, included: false }
    }

    fn add(&mut self, evidence: EvidenceReport) {
        if !self.evidence.contains(&evidence) {
            self.evidence.push(evidence);
        }
    }
}

impl EvidenceReport {
    fn of(evidence: &Evidence) -> Self {
        let clue = Some(text(evidence.clue().as_os_str()));
        let report = EvidenceReport { object: text(evidence.object()), ..EvidenceReport::default() };
        match evidence.clue() {
            Clue::Symbol(_) => EvidenceReport { symbol: clue, ..report },
            Clue::Note(_) => EvidenceReport { note: clue, ..report },
            _ => EvidenceReport { text: clue, ..report },
        }
    }
}

/// Everything but the program, in load order.
fn object_reports(closure: &Closure) -> Vec<ObjectReport> {
    let weights = closure.weights();
    let weights: HashMap<&Path, &Weight<'_>> = weights.iter().map(|weight| (weight.object().path(), weight)).collect();
    let weight = |object: &Object| weights.get(object.path()).copied();
    closure.objects().iter().filter_map(weight).map(ObjectReport::of).collect()
}

impl ObjectReport {
    fn of(weight: &Weight<'_>) -> Self {
        let object = weight.object();
        ObjectReport {
            name: text(object.name()),
            path: text(object.path()),
            opened: text(object.opened()),
            source: text(&object.source()),
            size: object.size(),
            whole_size: weight.whole(),
            only_through: weight.only_through().map(|object| text(object.path())),
            needed_by: object.needed_by().map(text).collect(),
            found_by: object.found_by().code(),
            hidden: object.is_hidden(),
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
