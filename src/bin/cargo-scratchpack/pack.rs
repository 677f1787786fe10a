//! The command `scratchpack`, which packs.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use scratchpack::printable;

use super::Failure;

const NAME: &str = "scratchpack";

/// Below a file nothing can be.
const NOWHERE: &str = "/dev/null/program";

/// What it says then is about its own arguments alone.
const MORE: &[u8] = b"cargo scratchpack --help tells of the program and of the options that are cargo's.\n";

pub(crate) struct Scratchpack(PathBuf);

impl Scratchpack {
    /// Beside this command, as `cargo install` puts it, or on PATH.
    pub(crate) fn find() -> Result<Scratchpack, Failure> {
        let own = env::current_exe().ok().and_then(|own| own.parent().map(Path::to_owned));
        let path = env::var_os("PATH").unwrap_or_default();
        let mut places = own.into_iter().chain(env::split_paths(&path)).map(|directory| directory.join(NAME));
        places.find(|place| place.is_file()).map(Scratchpack).ok_or_else(|| {
            Failure::Failed(format!(
                "the command {NAME} is neither beside this one nor on PATH; cargo install scratchpack --features cli \
                 installs both"
            ))
        })
    }

    /// Has it look at its arguments, for a program that cannot be there: so nothing is packed.
    pub(crate) fn check(&self, arguments: &[OsString]) -> Result<(), Failure> {
        let output = self
            .build(Path::new(NOWHERE), arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| self.fault(&error))?;
        if output.status.code() != Some(2) {
            return Ok(());
        }
        // Nobody may be listening.
        let _ = io::stderr().write_all(&[output.stderr.as_slice(), MORE].concat());
        Err(Failure::Said(2))
    }

    /// So its status, and the signals that it gets, are ours.
    pub(crate) fn replace_this_process(&self, program: &Path, arguments: &[OsString]) -> Failure {
        self.fault(&self.build(program, arguments).exec())
    }

    fn build(&self, program: &Path, arguments: &[OsString]) -> Command {
        let mut command = Command::new(&self.0);
        command.arg("build").arg(program).args(arguments);
        command
    }

    fn fault(&self, error: &io::Error) -> Failure {
        Failure::Failed(format!("cannot run {}: {error}", printable(&self.0)))
    }
}
