//! `scratchpack inspect`

use std::cmp::Reverse;
use std::collections::HashSet;
use std::io::{self, Write};
use std::path::Path;

use scratchpack::{Closure, Object, Request, Weight};

use super::Failure;
use super::args::{Inspect, InspectFormat, SortKey};
use super::output::{Message, say, say_findings, shown, write_json};
use super::report::{ClosureReport, report_refusal};
use super::sizes::{Sizes, write_sizes};

/// What helps with files of which nothing but the places tried is known.
const REMEDY: &str = "install what has it, or give the directory that it is in with --library-path; with --sysroot, the root \
                      of another system is searched instead of this machine";

pub(crate) fn run(inspect: &Inspect) -> Result<(), Failure> {
    let closure = match inspect.search.collector().collect(&inspect.binary) {
        Ok(closure) => closure,
        Err(error) if inspect.format == Some(InspectFormat::Json) => {
            report_refusal(&inspect.search, &inspect.binary, |report| write_json(&report))?;
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    };
    write(inspect, &closure)?;
    match inspect.format {
        Some(InspectFormat::Json) => {}
        // Who wants the files, and does not ask for needs, is told of the files: to find needs takes longer.
        Some(InspectFormat::List) if !inspect.search.asks_for_needs() => say_findings(closure.search_findings(), false),
        _ => say_findings(closure.findings(), inspect.search.auto),
    }
    closure.missing().iter().for_each(|missing| say(Message::Error, &missing.to_string()));
    if closure.missing().iter().any(|missing| missing.version().is_none() && missing.note().is_none()) {
        say(Message::Note, REMEDY);
    }
    let is_whole = closure.missing().is_empty();
    // The process ends, and what it holds is not worth being given back piece by piece.
    std::mem::forget(closure);
    if is_whole { Ok(()) } else { Err(Failure::Said) }
}

fn write(inspect: &Inspect, closure: &Closure) -> io::Result<()> {
    let is_by_size = inspect.sort == Some(SortKey::Size);
    match inspect.format {
        None if is_by_size => write_table(closure),
        None | Some(InspectFormat::Tree) => write_tree(closure, is_by_size),
        Some(InspectFormat::List) if is_by_size => write_list(closure.weights().iter().map(Weight::object)),
        Some(InspectFormat::List) => write_list(std::iter::once(closure.program()).chain(closure.objects())),
        Some(InspectFormat::Json) if is_by_size => write_json(&ClosureReport::of(closure).by_size()),
        Some(InspectFormat::Json) => write_json(&ClosureReport::of(closure)),
    }
}

fn write_list<'c>(objects: impl Iterator<Item = &'c Object>) -> io::Result<()> {
    // A name that holds the end of a line would be two files to whoever reads lines.
    let list: String = objects.map(|object| format!("{}\n", shown(&object.opened_on_machine()))).collect();
    // Ends of lines are where standard output lets go of what it has: this does so at once.
    io::stdout().lock().write_all(list.as_bytes())
}

fn write_table(closure: &Closure) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    write_sizes(&mut out, closure)?;
    out.flush()
}

fn write_tree(closure: &Closure, is_by_size: bool) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let program = closure.program();
    let sizes = Sizes::of(closure);
    writeln!(out, "{}  {}", shown(program.opened()), sizes.of_object(program))?;
    let mut tree = Tree { closure, sizes, is_by_size, out: &mut out, shown: HashSet::new() };
    let is_last = program.requests().is_empty();
    match (program.elf().interpreter(), closure.interpreter()) {
        (None, _) => tree.line("", true, "statically linked: it needs no other file")?,
        (Some(name), None) => tree.line("", is_last, &format!("{}  not found  [interpreter]", shown(name)))?,
        (Some(_), Some(interpreter)) => tree.object("", is_last, interpreter.name(), interpreter)?,
    }
    tree.requests("", program)?;
    out.flush()
}

/// Bytes of indentation that are drawn.
const DEEPEST: usize = 1_000;

/// Draws who needs what. What an object needs is drawn where the object first appears.
struct Tree<'a, W> {
    closure: &'a Closure,
    sizes: Sizes<'a>,
    is_by_size: bool,
    out: &'a mut W,
    shown: HashSet<&'a Path>,
}

impl<'a, W: Write> Tree<'a, W> {
    fn requests(&mut self, indent: &str, object: &'a Object) -> io::Result<()> {
        let mut requests: Vec<&Request> = object.requests().iter().collect();
        if self.is_by_size {
            // What has none stands behind, and equals in the order in which they are loaded.
            requests.sort_by_key(|request| Reverse(self.answer(request).map(|object| self.sizes.whole_of(object))));
        }
        for (number, request) in requests.iter().enumerate() {
            self.request(indent, number + 1 == requests.len(), request)?;
        }
        Ok(())
    }

    fn answer(&self, request: &Request) -> Option<&'a Object> {
        request.path().and_then(|path| self.closure.object_at(path))
    }

    fn request(&mut self, indent: &str, is_last: bool, request: &'a Request) -> io::Result<()> {
        match self.answer(request) {
            Some(object) => self.object(indent, is_last, request.name(), object),
            None if request.is_missing() => {
                self.line(indent, is_last, &format!("{}  not found", shown(request.name())))
            }
            None if request.is_excluded() => {
                self.line(indent, is_last, &format!("{}  excluded", shown(request.name())))
            }
            None => self.line(indent, is_last, &format!("{}  provided by the kernel", shown(request.name()))),
        }
    }

    fn object(&mut self, indent: &str, is_last: bool, name: &std::ffi::OsStr, object: &'a Object) -> io::Result<()> {
        let place = if name == object.opened() { String::new() } else { format!(" => {}", shown(object.opened())) };
        let is_new = self.shown.insert(object.path());
        let note = match is_new {
            true => format!("  {}", self.sizes.of_object(object)),
            false if object.requests().is_empty() => String::new(),
            false => "  (above)".to_owned(),
        };
        self.line(indent, is_last, &format!("{}{place}  [{}]{note}", shown(name), object.found_by().code()))?;
        if is_new && indent.len() > DEEPEST {
            return self.line(indent, true, "    what it needs lies too deep to be drawn; --format list has it");
        }
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
