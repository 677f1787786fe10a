//! What goes to standard error, and names as JSON has them.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;

use scratchpack::{Finding, Level, Need, printable};
use serde::Serialize;

/// Says something on standard error. Nobody may be listening.
pub(crate) fn say(message: &str) {
    // In one piece, whatever else writes there.
    let _ = std::io::stderr().write_all(format!("scratchpack: {message}\n").as_bytes());
}

/// Each warning has a message of its own; all notes share one. With `is_auto` the needs among them are those that
/// could not be met.
pub(crate) fn say_findings(findings: &[Finding], is_auto: bool) {
    for finding in findings.iter().filter(|finding| finding.level() == Level::Warning) {
        say(&finding.to_string());
    }
    if let Some(notes) = notes(findings, is_auto) {
        say(&format!("note: {notes}"));
    }
}

/// Needs first, each once however many programs have it; what is left stands behind.
fn notes(findings: &[Finding], is_auto: bool) -> Option<String> {
    let notes = findings.iter().filter(|finding| finding.level() == Level::Note);
    let (mut needs, others): (Vec<&Finding>, Vec<&Finding>) = notes.partition(|finding| is_need(finding));
    let mut said = HashSet::new();
    needs.retain(|finding| said.insert(finding.code()));
    let remedy = if is_auto { "" } else { ". --with NAME includes one, --auto all of them" };
    let needs = (!needs.is_empty())
        .then(|| format!("it runs, but may differ where it uses what the image lacks: {}{remedy}", joined(&needs)));
    let others = (!others.is_empty()).then(|| joined(&others));
    let all: Vec<String> = needs.into_iter().chain(others).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// Whether its code is the name of a need.
fn is_need(finding: &Finding) -> bool {
    finding.code().parse::<Need>().is_ok()
}

fn joined(findings: &[&Finding]) -> String {
    findings.iter().map(|finding| finding.message()).collect::<Vec<_>>().join("; ")
}

/// Bytes that are not UTF-8 as `\xNN`, a backslash as `\\`: every name has a text of its own.
pub(crate) fn text<S: AsRef<OsStr> + ?Sized>(name: &S) -> String {
    let mut text = String::new();
    for chunk in name.as_ref().as_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// A name as a person sees it.
pub(crate) fn shown<S: AsRef<OsStr> + ?Sized>(name: &S) -> String {
    printable(name).to_string()
}

#[derive(Serialize)]
pub(crate) struct FindingReport<'a> {
    level: &'static str,
    code: &'a str,
    message: &'a str,
    evidence: &'a str,
}

pub(crate) fn finding_reports(findings: &[Finding]) -> Vec<FindingReport<'_>> {
    findings
        .iter()
        .map(|finding| FindingReport {
            level: finding.level().name(),
            code: finding.code(),
            message: finding.message(),
            evidence: finding.evidence(),
        })
        .collect()
}

/// Writes a report as JSON, on a line a field.
pub(crate) fn write_json(report: &impl Serialize) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, report)?;
    writeln!(out)
}
