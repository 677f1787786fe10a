//! What goes to standard error, and names as JSON has them.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;

use clap::builder::styling::AnsiColor;
use scratchpack::{Finding, Level, Need, printable};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};

/// What a message is, which is its first word.
#[derive(Clone, Copy)]
pub(crate) enum Message {
    Error,
    Warning,
    Note,
}

impl Message {
    fn name(self) -> &'static str {
        match self {
            Message::Error => "error",
            Message::Warning => "warning",
            Message::Note => "note",
        }
    }

    /// In its colour.
    pub(crate) fn head(self) -> String {
        let style = self.color().on_default().bold();
        format!("{style}{}:{style:#}", self.name())
    }

    /// As clap has it for errors, and cargo for all three.
    fn color(self) -> AnsiColor {
        match self {
            Message::Error => AnsiColor::Red,
            Message::Warning => AnsiColor::Yellow,
            Message::Note => AnsiColor::Cyan,
        }
    }
}

/// Says something on standard error, in colours where it has them. Nobody may be listening.
pub(crate) fn say(message: Message, words: &str) {
    let head = if has_colors(&io::stderr()) { message.head() } else { format!("{}:", message.name()) };
    // In one piece, whatever else writes there.
    let line = format!("scratchpack: {head} {words}\n");
    let _ = io::stderr().write_all(line.as_bytes());
}

/// The same of what has been put into words by others.
pub(crate) fn print_error(words: &str) {
    let _ = io::stderr().write_all(words.as_bytes());
}

/// A terminal has colours unless it calls itself dumb, or nobody wants them (NO_COLOR, no-color.org). Nothing else has any,
/// whatever CLICOLOR_FORCE and CI say: who reads a file would see the escapes.
pub(crate) fn has_colors(stream: &impl IsTerminal) -> bool {
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_able = || std::env::var_os("TERM").is_some_and(|terminal| terminal != "dumb");
    stream.is_terminal() && !is_unwanted && is_able()
}

/// Each warning has a message of its own; all notes share one. With `is_auto` the needs among them are those that
/// could not be met.
pub(crate) fn say_findings(findings: &[Finding], is_auto: bool) {
    for finding in findings.iter().filter(|finding| finding.level() == Level::Warning) {
        say(Message::Warning, finding.message());
    }
    if let Some(notes) = notes(findings, is_auto) {
        say(Message::Note, &notes);
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
            let _ = std::fmt::Write::write_fmt(&mut text, format_args!("\\x{byte:02x}"));
        }
    }
    text
}

/// Whether no terminal should get a character, which is so shown by its bytes.
pub(crate) fn is_unfit(c: char) -> bool {
    !matches!(c, ' '..='~') && !shown(c.encode_utf8(&mut [0; 4])).starts_with(c)
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
pub(crate) fn write_json(report: &impl Serialize) -> io::Result<()> {
    // Standard output alone would be written to at each end of a line.
    let mut out = io::BufWriter::new(io::stdout().lock());
    report.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Escaping::default()))?;
    writeln!(out)?;
    out.flush()
}

/// JSON with an escape for every character that no terminal should get, rather than for the few for which JSON demands
/// one.
#[derive(Default)]
struct Escaping(PrettyFormatter<'static>);

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_unfit(*c)) {
            out.write_all(&rest.as_bytes()[..at])?;
            write!(out, "\\u{:04x}", u32::from(c))?;
            rest = &rest[at + c.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_array(out)
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array(out)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, is_first: bool) -> io::Result<()> {
        self.0.begin_array_value(out, is_first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array_value(out)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object(out)
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object(out)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, is_first: bool) -> io::Result<()> {
        self.0.begin_object_key(out, is_first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object_value(out)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object_value(out)
    }
}
