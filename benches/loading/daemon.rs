//! A docker daemon with a directory of its own, both of which go when it is dropped.

use std::fs::{self, File};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

use crate::NAME;
use crate::support::measure::{Cost, cost_of};
use crate::support::tools::{bash, find, run};

const ROUND: Duration = Duration::from_millis(100);
const ROUNDS: usize = 300;

pub(crate) struct Daemon {
    child: Child,
    directory: TempDir,
}

impl Daemon {
    /// `None`, and said why, where it does not answer.
    pub(crate) fn start() -> Option<Daemon> {
        // Not in the target directory: a socket's path has at most 107 bytes.
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| directory.path().join(name);
        fs::write(path("daemon.json"), "{}").expect("room for it");
        let log = File::create(path("log")).expect("room for it");
        let mut command = Command::new(find("dockerd")?);
        command.arg("--config-file").arg(path("daemon.json")).arg("--data-root").arg(path("data"));
        command.arg("--exec-root").arg(path("exec")).arg("--pidfile").arg(path("pid"));
        command.args(["--host", &socket(&directory), "--bridge=none", "--iptables=false"]);
        let child = command.stdout(log.try_clone().expect("its log")).stderr(log).spawn().expect("dockerd starts");
        let daemon = Daemon { child, directory };
        let answers =
            (0..ROUNDS).any(|_| daemon.client("docker version").output().is_ok_and(|o| o.status.success()) || pause());
        if !answers {
            eprintln!(
                "dockerd does not answer:\n{}",
                fs::read_to_string(daemon.directory.path().join("log")).unwrap_or_default()
            );
        }
        answers.then_some(daemon)
    }

    /// A line of the shell in which `docker` is a client of this daemon.
    pub(crate) fn client(&self, line: &str) -> Command {
        let mut command = bash(line);
        command.env("DOCKER_HOST", socket(&self.directory)).env("DOCKER_CONFIG", self.directory.path().join("client"));
        command
    }

    pub(crate) fn version(&self) -> String {
        let version = run(&mut self.client("docker version --format {{.Server.Version}}"));
        let driver = run(&mut self.client("docker info --format {{.Driver}}"));
        format!("docker {}, storage driver {}", version.trim(), driver.trim())
    }

    /// What the line takes where the image is not there yet, nor any of its layers.
    pub(crate) fn cost_of_fresh(&self, line: &str) -> Cost {
        let _ = self.client(&format!("docker image rm --force {NAME}; docker image prune --force")).output();
        cost_of(&self.client(line))
    }
}

fn socket(directory: &TempDir) -> String {
    format!("unix://{}", directory.path().join("docker.sock").display())
}

fn pause() -> bool {
    sleep(ROUND);
    false
}

impl Drop for Daemon {
    /// A killed daemon would leave its own children behind, so it is asked first.
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let has_ended = |daemon: &mut Daemon| matches!(daemon.child.try_wait(), Ok(Some(_)));
        if !(0..ROUNDS).any(|_| has_ended(self) || pause()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
