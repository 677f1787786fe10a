//! The tools beside which the command is measured.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::SCRATCHPACK;

const SYSTEM_DIRECTORIES: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Whether all are there; what is left out without them is said.
pub(crate) fn are_here(what: &str, tools: &[&str]) -> bool {
    let missing: Vec<&str> = tools.iter().copied().filter(|tool| find(tool).is_none()).collect();
    if !missing.is_empty() {
        eprintln!("{what}: left out, for want of {}", missing.join(", "));
    }
    missing.is_empty()
}

/// Where a tool is. A user's PATH may lack the directories in which daemons are.
pub(crate) fn find(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(SYSTEM_DIRECTORIES.map(PathBuf::from));
    directories.map(|directory| directory.join(tool)).find(|path| path.is_file())
}

/// A line of bash, as a user types it; all of the line must succeed.
pub(crate) fn bash(line: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-o", "pipefail", "-c", line]);
    command
}

/// `scratchpack build`, without its findings.
pub(crate) fn build(program: &Path) -> Command {
    let mut command = Command::new(SCRATCHPACK);
    command.arg("build").arg(program).arg("--quiet").env_remove("SOURCE_DATE_EPOCH");
    command
}

/// Whether `scratchpack build` has an option.
pub(crate) fn build_has(option: &str) -> bool {
    let output = Command::new(SCRATCHPACK).args(["build", "--help"]).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(option))
}

/// Runs a command that must succeed, unmeasured.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().expect("the command starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A path in a line of bash.
pub(crate) fn quoted(path: &(impl AsRef<OsStr> + ?Sized)) -> String {
    format!("'{}'", path.as_ref().to_string_lossy().replace('\'', r"'\''"))
}
