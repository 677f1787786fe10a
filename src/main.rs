//! The command `scratchpack`: a thin layer over the library's public API.

#![forbid(unsafe_code)]

mod command;

use std::process::ExitCode;

use nix::sys::signal::{SigSet, Signal};

fn main() -> ExitCode {
    // A file that grows beyond the limit (RLIMIT_FSIZE) is an error, as one on a full disk is: killed by this signal,
    // the command could neither say so nor remove what it had written. What it starts has the signal again.
    let _ = SigSet::from(Signal::SIGXFSZ).thread_block();
    command::run()
}
