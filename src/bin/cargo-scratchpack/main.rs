//! The command `cargo scratchpack`: builds a program of a package, and has the command `scratchpack` pack it.
//!
//! Neither is compiled into this one: cargo is asked, and `scratchpack build` is given the file that cargo names.

#![forbid(unsafe_code)]

mod arguments;
mod build;
mod choice;
mod help;
mod pack;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use arguments::{Arguments, Request};
use choice::Metadata;
use pack::Scratchpack;

/// How it ended other than well.
enum Failure {
    /// Something failed: status 1.
    Failed(String),
    /// The arguments make no sense: status 2.
    Usage(String),
    /// All has been said already.
    Said(u8),
}

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(message)) => fail(message, 1),
        Err(Failure::Usage(message)) => fail(format!("{message}\n\nFor more information, try '--help'."), 2),
        Err(Failure::Said(status)) => ExitCode::from(status),
    }
}

fn run(given: Vec<OsString>) -> Result<(), Failure> {
    match arguments::read(given)? {
        Request::Help => answer(help::HELP),
        Request::Version => answer(concat!("cargo-scratchpack ", env!("CARGO_PKG_VERSION"))),
        Request::Pack(arguments) => pack(&arguments),
    }
}

/// What can be wrong without a program is found before one is compiled, which may take long.
fn pack(arguments: &Arguments) -> Result<(), Failure> {
    let scratchpack = Scratchpack::find()?;
    let workspace = Metadata::of(arguments)?;
    scratchpack.check(arguments, workspace.target_directory(arguments))?;
    let choice = workspace.choose(arguments)?;
    let program = build::program(arguments, choice.as_deref())?;
    Err(scratchpack.replace_this_process(&program, &arguments.scratchpack))
}

fn answer(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

fn fail(message: impl Display, status: u8) -> ExitCode {
    // In one piece, whatever else writes there; nobody may be listening.
    let _ = io::stderr().write_all(format!("cargo-scratchpack: error: {message}\n").as_bytes());
    ExitCode::from(status)
}
