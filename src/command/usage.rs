//! What is said of arguments that make no sense, which may be any bytes.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use clap::Error;
use clap::error::{ContextKind, ContextValue};

use super::output::{has_colors, is_unfit, shown};

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
pub(super) fn refuse(mut error: Error) -> ! {
    if let Some(tip) = tip(&error) {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    let given: Vec<(ContextKind, ContextValue)> = error.context().filter_map(escaped).collect();
    for (kind, value) in given {
        error.insert(kind, value);
    }
    match error.use_stderr() {
        true => print(&error, io::stderr()),
        false => print(&error, io::stdout()),
    }
    std::process::exit(error.exit_code())
}

/// Nobody may be listening.
fn print(error: &Error, mut stream: impl IsTerminal + Write) {
    let words = error.render();
    let plain = words.to_string();
    let words = match plain.chars().any(is_harmful) {
        // What is left stands in hints that were put together before.
        true => harmless(&plain),
        false if has_colors(&stream) => words.ansi().to_string(),
        false => plain,
    };
    let _ = stream.write_all(words.as_bytes()).and_then(|()| stream.flush());
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
