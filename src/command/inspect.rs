//! `scratchpack inspect`

use std::collections::HashSet;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use scratchpack::{Attempt, Closure, Missing, Object, Request, Rule};
use serde::Serialize;

use super::Failure;
use super::args::{Inspect, InspectFormat};
use super::output::{FindingReport, finding_reports, say, say_findings, shown, text, write_json};

pub(crate) fn run(inspect: &Inspect) -> Result<(), Failure> {
    let closure = inspect.search.collector().collect(&inspect.binary)?;
    match inspect.format {
        InspectFormat::Tree => write_tree(&closure)?,
        InspectFormat::List => write_list(&closure)?,
        InspectFormat::Json => write_json(&Report::of(&closure))?,
    }
    if inspect.format != InspectFormat::Json {
        say_findings(closure.findings());
    }
    closure.missing().iter().for_each(|missing| say(&format!("error: {missing}")));
    if closure.missing().is_empty() { Ok(()) } else { Err(Failure::Said) }
}

fn write_list(closure: &Closure) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for object in std::iter::once(closure.program()).chain(closure.objects()) {
        out.write_all(object.opened_on_machine().as_os_str().as_bytes())?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

fn write_tree(closure: &Closure) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let program = closure.program();
    writeln!(out, "{}", shown(program.opened()))?;
    let mut tree = Tree { closure, out: &mut out, shown: HashSet::new() };
    let is_last = program.requests().is_empty();
    match (program.elf().interpreter(), closure.interpreter()) {
        (None, _) => tree.line("", true, "statically linked: it needs no other file")?,
        (Some(name), None) => tree.line("", is_last, &format!("{}  not found  [interpreter]", shown(name)))?,
        (Some(_), Some(interpreter)) => tree.object("", is_last, interpreter.name(), interpreter)?,
    }
    tree.requests("", program)?;
    out.flush()
}

/// Draws who needs what. What an object needs is drawn where the object first appears.
struct Tree<'a, W> {
    closure: &'a Closure,
    out: &'a mut W,
    shown: HashSet<&'a Path>,
}

impl<'a, W: Write> Tree<'a, W> {
    fn requests(&mut self, indent: &str, object: &'a Object) -> io::Result<()> {
        let requests = object.requests();
        for (number, request) in requests.iter().enumerate() {
            self.request(indent, number + 1 == requests.len(), request)?;
        }
        Ok(())
    }

    fn request(&mut self, indent: &str, is_last: bool, request: &'a Request) -> io::Result<()> {
        match request.path().and_then(|path| self.closure.object_at(path)) {
            Some(object) => self.object(indent, is_last, request.name(), object),
            None if request.is_missing() => {
                self.line(indent, is_last, &format!("{}  not found", shown(request.name())))
            }
            None => self.line(indent, is_last, &format!("{}  provided by the kernel", shown(request.name()))),
        }
    }

    fn object(&mut self, indent: &str, is_last: bool, name: &std::ffi::OsStr, object: &'a Object) -> io::Result<()> {
        let place = if name == object.opened() { String::new() } else { format!(" => {}", shown(object.opened())) };
        let is_new = self.shown.insert(object.path());
        let again = if is_new || object.requests().is_empty() { "" } else { "  (above)" };
        self.line(indent, is_last, &format!("{}{place}  [{}]{again}", shown(name), object.found_by().code()))?;
        if is_new {
            let below = format!("{indent}{}", if is_last { "    " } else { "│   " });
            self.requests(&below, object)?;
        }
        Ok(())
    }

    fn line(&mut self, indent: &str, is_last: bool, line: &str) -> io::Result<()> {
        writeln!(self.out, "{indent}{} {line}", if is_last { "└──" } else { "├──" })
    }
}

#[derive(Serialize)]
struct Report<'a> {
    binary: String,
    interpreter: Option<String>,
    libc: Option<&'static str>,
    architecture: Option<&'static str>,
    objects: Vec<ObjectReport>,
    missing: Vec<MissingReport>,
    findings: Vec<FindingReport<'a>>,
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
struct MissingReport {
    name: String,
    needed_by: Vec<String>,
    tried: Vec<AttemptReport>,
}

#[derive(Serialize)]
struct AttemptReport {
    path: String,
    rule: &'static str,
    why: &'static str,
    detail: Option<String>,
}

impl<'a> Report<'a> {
    fn of(closure: &'a Closure) -> Self {
        let program = closure.program();
        Report {
            binary: text(program.path()),
            interpreter: program.elf().interpreter().map(text),
            libc: closure.libc().map(|libc| libc.name()),
            architecture: program.elf().machine().architecture(),
            objects: closure.objects().iter().map(ObjectReport::of).collect(),
            missing: closure.missing().iter().map(MissingReport::of).collect(),
            findings: finding_reports(closure.findings()),
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
            hidden: object.found_by() == Rule::Requested,
        }
    }
}

impl MissingReport {
    fn of(missing: &Missing) -> Self {
        let tried = |attempt: &Attempt| AttemptReport {
            path: text(attempt.path()),
            rule: attempt.rule().code(),
            why: attempt.why().code(),
            detail: attempt.detail().map(str::to_owned),
        };
        MissingReport {
            name: text(missing.name()),
            needed_by: missing.needed_by().iter().map(text).collect(),
            tried: missing.tried().iter().map(tried).collect(),
        }
    }
}
