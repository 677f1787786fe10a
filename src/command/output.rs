//! What goes to standard error, and names as JSON has them.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;

use scratchpack::{Finding, Level, printable};
use serde::Serialize;

/// Says something on standard error. Nobody may be listening.
pub(crate) fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "scratchpack: {message}");
}

/// Each warning has a message of its own; all notes share one.
pub(crate) fn say_findings(findings: &[Finding]) {
    for finding in findings.iter().filter(|finding| finding.level() == Level::Warning) {
        say(&finding.to_string());
    }
    let notes: Vec<&str> =
        findings.iter().filter(|finding| finding.level() == Level::Note).map(Finding::message).collect();
    if !notes.is_empty() {
        say(&format!("note: {}", notes.join("; ")));
    }
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
