//! `scratchpack explain`

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use scratchpack::{Closure, Explanation, Image, Link};
use serde::Serialize;

use super::Failure;
use super::args::{Explain, ReportFormat};
use super::output::{shown, text, write_json};
use super::report::AttemptReport;

/// How like a name must be to be meant. All names of libraries are somewhat alike.
const ALIKE: f64 = 0.85;
const MOST_MEANT: usize = 3;

pub(crate) fn run(explain: &Explain) -> Result<(), Failure> {
    let closure = explain.search.collector().collect(&explain.binary)?;
    let explanations = closure.explain(&explain.name);
    let reasons = if explanations.is_empty() { reasons(explain, &closure)? } else { Vec::new() };
    match explain.format {
        ReportFormat::Json => write_json(&Report::of(explain, &explanations, &reasons))?,
        ReportFormat::Text => {
            let mut out = std::io::stdout().lock();
            explanations.iter().try_for_each(|explanation| writeln!(out, "{explanation}"))?;
            reasons.iter().try_for_each(|(path, reason)| writeln!(out, "{}: {reason}", shown(path)))?;
        }
    }
    match explanations.is_empty() && reasons.is_empty() {
        true => Err(not_there(explain, &closure)),
        false => Ok(()),
    }
}

/// What is in the image and no object of a process: a symlink, a directory, a file that is made for the loader.
fn reasons(explain: &Explain, closure: &Closure) -> Result<Vec<(PathBuf, String)>, Failure> {
    if !closure.missing().is_empty() {
        return Ok(Vec::new());
    }
    let image = Image::builder().collector(explain.search.collector()).binary(&explain.binary).build()?;
    let entries = image.entries().filter(|entry| {
        entry.path().as_os_str() == explain.name || entry.path().file_name() == Some(explain.name.as_os_str())
    });
    Ok(entries.map(|entry| (entry.path().to_owned(), entry.reason().to_owned())).collect())
}

fn not_there(explain: &Explain, closure: &Closure) -> Failure {
    match closure.missing().iter().find(|missing| missing.name() == explain.name) {
        Some(missing) => Failure::Failed(missing.to_string()),
        None => Failure::Failed(format!(
            "{} is not in the image of {}; {}`scratchpack inspect` shows what is",
            shown(&explain.name),
            shown(&explain.binary),
            meant(explain, closure)
        )),
    }
}

/// What may have been meant.
fn meant(explain: &Explain, closure: &Closure) -> String {
    let given = explain.name.to_string_lossy();
    let names: BTreeSet<_> = closure.objects().iter().map(|object| object.name().to_string_lossy()).collect();
    let mut likely: Vec<_> = names.iter().map(|name| (likeness(&given, name), name)).collect();
    likely.retain(|(likeness, _)| *likeness > ALIKE);
    likely.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let names: Vec<String> = likely.iter().take(MOST_MEANT).map(|(_, name)| shown(name.as_ref())).collect();
    if names.is_empty() { String::new() } else { format!("did you mean {}? ", names.join(" or ")) }
}

/// From 0 to 1. A name of which the beginning was given, `libc` for `libc.so.6`, is as near as can be.
fn likeness(given: &str, name: &str) -> f64 {
    let is_beginning = name.strip_prefix(given).is_some_and(|rest| rest.starts_with(['.', '-']));
    if is_beginning { 1.0 } else { strsim::jaro(given, name) }
}

#[derive(Serialize)]
struct Report {
    binary: String,
    name: String,
    files: Vec<FileReport>,
}

#[derive(Default, Serialize)]
struct FileReport {
    path: String,
    /// Of what is no object of a process.
    reason: Option<String>,
    opened: Option<String>,
    source: Option<String>,
    chains: Vec<Vec<StepReport>>,
    complete: bool,
    links: Vec<LinkReport>,
}

#[derive(Serialize)]
struct StepReport {
    needed_by: String,
    name: String,
    path: String,
    rule: &'static str,
}

#[derive(Serialize)]
struct LinkReport {
    #[serde(flatten)]
    step: StepReport,
    tried: Vec<AttemptReport>,
}

impl Report {
    fn of(explain: &Explain, explanations: &[Explanation<'_>], reasons: &[(PathBuf, String)]) -> Self {
        let entry = |(path, reason): &(PathBuf, String)| FileReport {
            path: text(path),
            reason: Some(reason.clone()),
            complete: true,
            ..FileReport::default()
        };
        let files = explanations.iter().map(FileReport::of).chain(reasons.iter().map(entry)).collect();
        Report { binary: text(&explain.binary), name: text(&explain.name), files }
    }
}

impl FileReport {
    fn of(explanation: &Explanation<'_>) -> Self {
        let object = explanation.object();
        let chain = |chain: &Vec<Link<'_>>| chain.iter().map(StepReport::of).collect();
        FileReport {
            path: text(object.path()),
            reason: None,
            opened: Some(text(object.opened())),
            source: Some(text(&object.source())),
            chains: explanation.chains().iter().map(chain).collect(),
            complete: explanation.is_complete(),
            links: explanation.links().iter().map(LinkReport::of).collect(),
        }
    }
}

impl StepReport {
    fn of(link: &Link<'_>) -> Self {
        StepReport {
            needed_by: text(link.requester().path()),
            name: text(link.name()),
            path: text(link.object().path()),
            rule: link.rule().code(),
        }
    }
}

impl LinkReport {
    fn of(link: &Link<'_>) -> Self {
        LinkReport { step: StepReport::of(link), tried: link.tried().iter().map(AttemptReport::of).collect() }
    }
}
