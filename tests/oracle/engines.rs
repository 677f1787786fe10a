//! The engines that load and run images, each with a store of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::tools::{Daemon, command};

/// Needs root, `dockerd`, `docker` and `runc`.
pub(crate) fn start_dockerd() -> Daemon {
    Daemon::start(dockerd, |directory| docker(directory).arg("version").output().unwrap().status.success())
}

fn dockerd(directory: &Path) -> Command {
    let config = directory.join("daemon.json");
    fs::write(&config, "{}").unwrap();
    let mut command = command("dockerd");
    command.arg("--config-file").arg(config).arg("--data-root").arg(directory.join("data"));
    command.arg("--exec-root").arg(directory.join("exec")).arg("--pidfile").arg(directory.join("pid"));
    command.args(["--host", &socket_of_docker(directory), "--bridge=none", "--iptables=false"]);
    command
}

/// A client of the daemon in this directory.
pub(crate) fn docker(directory: &Path) -> Command {
    let mut command = command("docker");
    command.env("DOCKER_CONFIG", directory.join("client")).args(["--host", &socket_of_docker(directory)]);
    command
}

pub(crate) fn socket_of_docker(directory: &Path) -> String {
    format!("unix://{}", directory.join("docker.sock").display())
}

/// With a store, and locks, of its own.
pub(crate) fn podman(store: &Path) -> Command {
    let config = store.join("containers.conf");
    fs::write(&config, "[engine]\nlock_type = \"file\"\nevents_logger = \"file\"\n").unwrap();
    let mut command = command("podman");
    command.env("CONTAINERS_CONF", config);
    command.arg("--root").arg(store.join("root")).arg("--runroot").arg(store.join("run"));
    command.arg("--tmpdir").arg(store.join("tmp")).args(["--storage-driver", "vfs"]);
    command.args(["--runtime", "runc", "--cgroup-manager", "cgroupfs"]);
    command
}
