//! The tools of the machine: whether they are there, and how they are run.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

const REQUIRE: &str = "SCRATCHPACK_REQUIRE_TOOLS";
const SYSTEM_DIRECTORIES: [&str; 2] = ["/usr/sbin", "/sbin"];
const CAP_SYS_ADMIN: u32 = 21;
const ROUND: Duration = Duration::from_millis(100);
const ROUNDS: usize = 300;

/// Whether a test must fail where it would be skipped.
fn are_required() -> bool {
    env::var_os(REQUIRE).is_some_and(|value| value == "1")
}

/// Whether all `programs` are there; where not, the test that asks is skipped.
pub(crate) fn are_here(programs: &[&str]) -> bool {
    programs.iter().all(|program| is_available(program, find(program).is_some()))
}

/// Whether this process may mount and chroot.
pub(crate) fn is_root() -> bool {
    is_available("root", effective_capabilities() & (1 << CAP_SYS_ADMIN) != 0)
}

pub(crate) fn is_available(what: &str, is_there: bool) -> bool {
    if !is_there {
        assert!(!are_required(), "needs {what}, and {REQUIRE}=1 says that it is there");
        say(&format!("skipped: needs {what}"));
    }
    is_there
}

/// Says it past libtest, which keeps to itself what a passing test prints.
pub(crate) fn say(line: &str) {
    io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn effective_capabilities() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap()
}

/// Where a program is.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    search_path().into_iter().map(|directory| directory.join(program)).find(|path| path.is_file())
}

/// A user's PATH may lack the directories in which the daemons are.
fn search_path() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(SYSTEM_DIRECTORIES.map(PathBuf::from)).collect()
}

/// A tool without the library path that cargo gives its tests.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(find(program).unwrap());
    command.env_remove("LD_LIBRARY_PATH").env_remove("LD_PRELOAD");
    command.env("PATH", env::join_paths(search_path()).unwrap());
    command
}

/// The output of a command that must succeed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, text_of(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// What a command said, for people.
pub(crate) fn text_of(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// A daemon with a directory of its own, both of which go when this is dropped.
pub(crate) struct Daemon {
    child: Child,
    directory: TempDir,
}

impl Daemon {
    /// Starts what `command` makes of the directory, and waits until `is_ready`.
    pub(crate) fn start(command: impl FnOnce(&Path) -> Command, is_ready: impl Fn(&Path) -> bool) -> Daemon {
        // Not in the target directory: a socket's path has at most 107 bytes.
        let directory = tempfile::tempdir().unwrap();
        let log = File::create(directory.path().join("log")).unwrap();
        let mut command = command(directory.path());
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let daemon = Daemon { child, directory };
        if !(0..ROUNDS).any(|_| is_ready(daemon.path()) || pause()) {
            panic!("{command:?} does not answer:\n{}", fs::read_to_string(daemon.path().join("log")).unwrap());
        }
        daemon
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }
}

fn pause() -> bool {
    sleep(ROUND);
    false
}

impl Drop for Daemon {
    /// A killed daemon would leave its own children behind, so it is asked first.
    fn drop(&mut self) {
        let terminate = format!("kill -TERM {}", self.child.id());
        Command::new("sh").args(["-c", &terminate]).status().ok();
        if !(0..ROUNDS).any(|_| self.has_ended() || pause()) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}
