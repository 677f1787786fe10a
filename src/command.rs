//! Parses the arguments, runs a subcommand, and says how it went.

mod args;
mod beforehand;
mod beside;
mod build;
mod changes;
mod check;
mod clock;
mod completions;
mod diff;
mod explain;
mod inspect;
mod load;
mod man;
mod output;
mod pairs;
mod plain;
mod progress;
mod report;
mod sizes;
mod unbuilt;
mod usage;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use scratchpack::{Error, ErrorKind};

use args::{Arguments, Inspection, Subcommand};

/// How a subcommand ended other than well.
pub(crate) enum Failure {
    /// It would not start, or something failed: status 1.
    Failed(String),
    /// The arguments make no sense: status 2.
    Usage(String),
    /// All has been said already.
    Said,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidOption => Failure::Usage(error.to_string()),
            _ => Failure::Failed(error.to_string()),
        }
    }
}

/// Standard output was closed, or is full.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::Said,
            _ => Failure::Failed(format!("cannot write to standard output: {error}; send it elsewhere")),
        }
    }
}

/// Runs the command: 0 done, 1 it would not start or failed, 2 usage.
pub(crate) fn run() -> ExitCode {
    let arguments = arguments();
    let result = match &arguments.subcommand {
        Subcommand::Build(build) => match &build.before_build {
            Some(directory) => beforehand::check(build, directory),
            None => build::run(build),
        },
        Subcommand::Inspect(inspect) => inspect::run(inspect),
        Subcommand::Check(check) => check::run(check),
        Subcommand::Diff(diff) => diff::run(diff),
        Subcommand::Explain(explain) => explain::run(explain),
        Subcommand::Completions(completions) => completions::run(completions),
        Subcommand::Man => man::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Said) => ExitCode::from(1),
        Err(Failure::Failed(message)) => fail(&message, 1),
        Err(Failure::Usage(message)) => fail(&message, 2),
    }
}

/// Much of the time of an inspection would be making the parser of all subcommands, so its plainest form is read without
/// any, and another is left to its own first. What that does not take is left to the whole, whose help and messages tell
/// of all.
fn arguments() -> Arguments {
    let given: Vec<OsString> = std::env::args_os().skip(1).collect();
    if given.is_empty() {
        usage::show_example();
    }
    let plain = plain::inspection(&given).map(|inspect| Arguments { subcommand: Subcommand::Inspect(inspect) });
    let all = || Arguments::try_parse().unwrap_or_else(|error| usage::refuse(error));
    plain.or_else(|| inspection(&given)).unwrap_or_else(all)
}

fn inspection(given: &[OsString]) -> Option<Arguments> {
    let is_inspection = given.first().is_some_and(|first| first == "inspect");
    is_inspection.then(Inspection::try_parse).and_then(Result::ok).map(Arguments::from)
}

fn fail(message: &str, status: u8) -> ExitCode {
    output::say(output::Message::Error, message);
    ExitCode::from(status)
}
