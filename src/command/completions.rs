//! `scratchpack completions`

use std::io::{self, Write};

use clap::CommandFactory;

use super::Failure;
use super::args::{Arguments, Completions};

pub(crate) fn run(completions: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut Arguments::command(), "scratchpack", &mut script);
    Ok(io::stdout().lock().write_all(&script)?)
}
