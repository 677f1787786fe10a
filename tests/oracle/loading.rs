//! `scratchpack build --load`: programs that were linked a moment ago, in containers, without a file in between.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::engines::{docker, podman, socket_of_docker, start_dockerd};
use crate::fixtures::{Fixtures, Program, scratch};
use crate::tools::{self, command, run};

/// The report of a build that loads a program.
fn load(program: &Program, prepare: impl FnOnce(&mut Command)) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scratchpack"));
    command.arg("build").arg(&program.path).args(["--load", "--quiet", "--format", "json"]);
    prepare(&mut command);
    serde_json::from_str(&run(&mut command)).unwrap()
}

fn name(program: &Program) -> &str {
    program.path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn docker_takes_and_runs_what_is_streamed_into_it() {
    if !tools::are_here(&["cc", "dockerd", "docker", "runc"]) || !tools::is_root() {
        return;
    }
    let daemon = start_dockerd();
    let fixtures = Fixtures::compile();
    for program in &fixtures.programs {
        let report = load(program, |command| {
            command.env("DOCKER_HOST", socket_of_docker(daemon.path()));
        });
        assert_eq!(report["loaded_into"], "docker");
        let said = run(docker(daemon.path()).args(["run", "--rm", "--network", "none", name(program)]));
        assert_eq!(said, program.says, "{}", name(program));
        let id = run(docker(daemon.path()).args(["image", "inspect", "--format", "{{.Id}}", name(program)]));
        // A store of containerd's calls an image by a manifest that it makes itself.
        let driver = run(docker(daemon.path()).args(["info", "--format", "{{.DriverStatus}}"]));
        if !driver.contains("containerd.snapshotter") {
            assert_eq!(id.trim(), report["config_digest"]);
        }
    }
    tools::say(&format!("docker: {} images streamed into it and run", fixtures.programs.len()));
}

#[test]
fn podman_takes_and_runs_what_is_streamed_into_it() {
    if !tools::are_here(&["cc", "podman", "runc"]) || !tools::is_root() {
        return;
    }
    let [store, directory] = [scratch(), scratch()];
    script_of_podman(store.path(), directory.path());
    let fixtures = Fixtures::compile();
    for program in &fixtures.programs {
        let report = load(program, |command| {
            command.env("PATH", directory.path());
        });
        assert_eq!(report["loaded_into"], "podman");
        let full_name = report["names"][0].as_str().unwrap();
        let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
        let said = run(podman(store.path()).args(["run", "--rm", "--network", "none"]).args(limits).arg(full_name));
        assert_eq!(said, program.says, "{full_name}");
        let id = run(podman(store.path()).args(["image", "inspect", "--format", "{{.Id}}", full_name]));
        assert_eq!(format!("sha256:{}", id.trim()), report["config_digest"]);
    }
    tools::say(&format!("podman: {} images streamed into it and run", fixtures.programs.len()));
}

/// A `podman` that uses this store, alone in a directory.
fn script_of_podman(store: &Path, directory: &Path) {
    let podman = podman(store);
    let quoted = |word: &OsStr| format!("'{}'", word.to_str().unwrap());
    let words: Vec<String> = [podman.get_program()].into_iter().chain(podman.get_args()).map(quoted).collect();
    let variables = podman.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let exports = variables.map(|(name, value)| format!("export {}={}\n", name.to_str().unwrap(), quoted(value)));
    let text = format!("#!/bin/sh\n{}exec {} \"$@\"\n", exports.collect::<String>(), words.join(" "));
    let draft = directory.join("draft");
    fs::write(&draft, text).unwrap();
    // In a process of its own: what another thread starts meanwhile would hold a file of this process open for writing,
    // and the kernel starts no such program.
    run(command("install").args(["-m", "755"]).arg(draft).arg(directory.join("podman")));
}
