//! The command `scratchpack`, which packs.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use scratchpack::printable;

use super::Failure;
use super::arguments::Arguments;

const NAME: &str = "scratchpack";

/// Where in cargo's directory it is, is not known yet.
const UNBUILT: &str = "program";

/// What it says then is about its own arguments alone.
const MORE: &str = "cargo scratchpack --help tells of the program and of the options that are cargo's.\n";

fn not_a_lock(word: &OsStr) -> String {
    let word = printable(word);
    format!(
        "cargo-scratchpack: note: --locked is cargo's and takes no value, so {word} is taken for a program; --locked={word} \
         holds the image to a lock\n"
    )
}

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

    /// Has it look at its arguments before anything is below the directory where cargo builds. Nothing is packed.
    pub(crate) fn check(&self, arguments: &Arguments, target_directory: &Path) -> Result<(), Failure> {
        let mut command = self.build();
        // What the caller gives may end with programs that look like options.
        command.arg("--before-build").arg(target_directory).arg(target_directory.join(UNBUILT));
        let status =
            command.args(&arguments.scratchpack).stdin(Stdio::null()).status().map_err(|error| self.fault(&error))?;
        if status.success() {
            return Ok(());
        }
        let status = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
        let more = match (&arguments.behind_locked, status) {
            (Some(word), _) => not_a_lock(word),
            (None, 2) => MORE.to_owned(),
            (None, _) => String::new(),
        };
        // Nobody may be listening.
        let _ = io::stderr().write_all(more.as_bytes());
        Err(Failure::Said(status))
    }

    /// So its status, and the signals that it gets, are ours.
    pub(crate) fn replace_this_process(&self, program: &Path, arguments: &[OsString]) -> Failure {
        self.fault(&self.build().arg(program).args(arguments).exec())
    }

    fn build(&self) -> Command {
        let mut command = Command::new(&self.0);
        command.arg("build");
        command
    }

    fn fault(&self, error: &io::Error) -> Failure {
        Failure::Failed(format!("cannot run {}: {error}", printable(&self.0)))
    }
}
