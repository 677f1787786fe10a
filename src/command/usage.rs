//! What is said of arguments that make no sense, which may be any bytes.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use clap::builder::styling::Styles;
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Error};

use super::args::Arguments;
use super::output::{Message, has_colors, is_unfit, shown};

/// What is typed first. A whole page of help would hide it.
const EXAMPLE: &str = "\
scratchpack build hello -o hello.tar
docker load -i hello.tar && docker run --rm hello

`scratchpack --help` tells the rest.
";

/// Tells whoever gave no arguments what arguments look like, and ends the process.
pub(super) fn show_example() -> ! {
    super::output::print_error(EXAMPLE);
    std::process::exit(2)
}

/// Says what is wrong with the arguments, or what was asked for, and ends the process.
pub(super) fn refuse(error: Error) -> ! {
    let status = error.exit_code();
    match error.use_stderr() {
        true => super::output::print_error(&in_color(words(without_styles().unwrap_or(error)))),
        false => show(&error),
    }
    std::process::exit(status)
}

/// Help has no part of an argument in it. Nobody may be listening.
fn show(help: &Error) {
    let mut out = io::stdout();
    let words = help.render();
    let words = if has_colors(&out) { words.ansi().to_string() } else { words.to_string() };
    let _ = out.write_all(words.as_bytes()).and_then(|()| out.flush());
}

/// The same error without escape sequences of its own: those that are in it then are of the arguments.
fn without_styles() -> Option<Error> {
    Arguments::command().styles(Styles::plain()).try_get_matches().err()
}

fn words(mut error: Error) -> String {
    if let Some(tip) = tip(&error) {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    let given: Vec<(ContextKind, ContextValue)> = error.context().filter_map(escaped).collect();
    for (kind, value) in given {
        error.insert(kind, value);
    }
    // Without styles this is the text as it is; `to_string` would take out what looks like a style. What is left to escape
    // stands in hints that were put together before.
    harmless(&error.render().ansi().to_string())
}

fn in_color(words: String) -> String {
    match words.strip_prefix("error:").filter(|_| has_colors(&io::stderr())) {
        Some(rest) => format!("{}{rest}", Message::Error.head()),
        None => words,
    }
}

/// For whoever gives a program where a command should be.
fn tip(error: &Error) -> Option<String> {
    match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(name)) if Path::new(name).is_file() => {
            let name = shown(name);
            Some(format!(
                "to pack it: scratchpack build {name} -o OUT; to see what it needs: scratchpack inspect {name}"
            ))
        }
        _ => None,
    }
}

/// An argument as it was given, or a part of one.
fn escaped((kind, value): (ContextKind, &ContextValue)) -> Option<(ContextKind, ContextValue)> {
    match value {
        ContextValue::String(text) if text.chars().any(is_unfit) => Some((kind, ContextValue::String(shown(text)))),
        _ => None,
    }
}

fn is_harmful(c: char) -> bool {
    is_unfit(c) && c != '\n'
}

fn harmless(words: &str) -> String {
    words.chars().fold(String::with_capacity(words.len()), |mut text, c| {
        match is_harmful(c) {
            // Writing to a String cannot fail.
            true => drop(write!(text, "{}", shown(c.encode_utf8(&mut [0; 4])))),
            false => text.push(c),
        }
        text
    })
}
