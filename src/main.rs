//! The command `scratchpack`: a thin layer over the library's public API.

#![forbid(unsafe_code)]

mod command;

use std::process::ExitCode;

fn main() -> ExitCode {
    command::run()
}
