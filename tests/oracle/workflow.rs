//! The example of a workflow for GitHub Actions. There are no runners here: its scripts are run in their order, as a runner
//! runs them (`bash -e`, values by the environment), but for those that need a network. Actions of others are not.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::engines::{socket_of_docker, start_dockerd};
use crate::fixtures::scratch;
use crate::rebuilding::{copy_example, installed};
use crate::tools;
use crate::verify::verify_output;

const WORKFLOW: &str = ".github/workflows/image.yml";

/// It gets crates from their registry.
const OF_THE_NETWORK: &str = "Install scratchpack";

const READ_YAML: &str = "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout, default=str)";

/// The registry is a directory; the rest is skopeo's own.
const SKOPEO: &str = r#"#!/bin/bash
case $1 in
login) read -r token && [ "$token" = "the token" ] ;;
copy) exec REAL "${@/#docker:\/\/*/dir:REGISTRY}" ;;
esac
"#;

struct Runner {
    scratch: TempDir,
    workflow: Value,
    docker: String,
    outputs: BTreeMap<String, String>,
}

impl Runner {
    fn new(docker: String) -> Runner {
        let scratch = scratch();
        for directory in ["clone", "home", "bin"] {
            fs::create_dir(scratch.path().join(directory)).unwrap();
        }
        copy_example("github-actions", &scratch.path().join("clone"));
        let file = scratch.path().join("clone").join(WORKFLOW);
        let read = tools::run(Command::new(python().unwrap()).args(["-c", READ_YAML]).arg(file));
        let runner =
            Runner { workflow: serde_json::from_str(&read).unwrap(), scratch, docker, outputs: BTreeMap::new() };
        runner.put_skopeo();
        runner
    }

    fn put_skopeo(&self) {
        let real = tools::find("skopeo").unwrap();
        let text =
            SKOPEO.replace("REAL", real.to_str().unwrap()).replace("REGISTRY", self.path("pushed").to_str().unwrap());
        fs::write(self.path("bin/skopeo"), text).unwrap();
        fs::set_permissions(self.path("bin/skopeo"), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn steps(&self) -> Vec<Value> {
        self.workflow["jobs"]["image"]["steps"].as_array().unwrap().clone()
    }

    /// Runs the script of a step, and gives what it printed.
    fn run(&mut self, name: &str) -> String {
        let step = self.steps().into_iter().find(|step| step["name"] == name).unwrap();
        let script = step["run"].as_str().unwrap();
        assert!(!script.contains("${{"), "{name}: a value that is put into a script may be one");
        for file in ["script", "output", "summary"] {
            fs::write(self.path(file), "").unwrap();
        }
        fs::write(self.path("script"), script).unwrap();
        let said = tools::run(&mut self.command(&step));
        if let Some(id) = step["id"].as_str() {
            let written = fs::read_to_string(self.path("output")).unwrap();
            let pairs = written.lines().map(|line| line.split_once('=').unwrap());
            self.outputs.extend(pairs.map(|(key, value)| (format!("steps.{id}.outputs.{key}"), value.to_owned())));
        }
        said
    }

    fn command(&self, step: &Value) -> Command {
        let mut command = installed("bash");
        let path = command.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, path)| path).unwrap();
        let path = format!("{}:{}", self.path("bin").display(), path.to_str().unwrap());
        command.arg("-e").arg(self.path("script")).current_dir(self.path("clone")).env("PATH", path);
        command.env("HOME", self.path("home")).env("DOCKER_HOST", &self.docker);
        command.env("GITHUB_OUTPUT", self.path("output")).env("GITHUB_STEP_SUMMARY", self.path("summary"));
        command.env("GITHUB_SHA", "0123456789abcdef0123456789abcdef01234567").env("GITHUB_ACTOR", "somebody");
        let given = [&self.workflow["env"], &step["env"]].into_iter().filter_map(Value::as_object).flatten();
        command.envs(given.map(|(name, value)| (name, self.evaluated(value.as_str().unwrap()))));
        command
    }

    /// With the value of each expression, of which there are few.
    fn evaluated(&self, text: &str) -> String {
        let Some((before, (expression, behind))) =
            text.split_once("${{").and_then(|(before, rest)| Some((before, rest.split_once("}}")?)))
        else {
            return text.to_owned();
        };
        let value = match expression.trim() {
            "github.repository" => "Somebody/Hello",
            "secrets.GITHUB_TOKEN" => "the token",
            output => &self.outputs[output],
        };
        format!("{before}{value}{}", self.evaluated(behind))
    }
}

/// The system's own, for which Debian packages PyYAML, or the one on PATH.
const PYTHONS: [&str; 2] = ["/usr/bin/python3", "python3"];

fn python() -> Option<&'static str> {
    let has_yaml = |python: &&str| Command::new(python).args(["-c", "import yaml"]).status().is_ok_and(|s| s.success());
    PYTHONS.into_iter().find(has_yaml)
}

fn has_yaml() -> bool {
    tools::is_available("python3 with PyYAML", python().is_some())
}

fn digest_of(file: &Path) -> String {
    let digest = Sha256::digest(fs::read(file).unwrap());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

#[test]
fn the_scripts_of_the_example_of_a_workflow_build_pack_prove_run_and_push_an_image() {
    let programs = ["bash", "cc", "docker", "dockerd", "runc", "skopeo"];
    if !tools::is_root() || !tools::are_here(&programs) || !has_yaml() {
        return;
    }
    let daemon = start_dockerd();
    let mut runner = Runner::new(socket_of_docker(daemon.path()));
    let scripts: Vec<Value> = runner.steps().into_iter().filter(|step| step.get("run").is_some()).collect();
    let names: Vec<&str> = scripts.iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, [OF_THE_NETWORK, "Build", "Pack", "Check", "Try", "Push"]);
    let said: Vec<String> = names[1..].iter().map(|name| runner.run(name)).collect();

    verify_output(&runner.path("clone/build/hello.tar"));
    assert!(said[3].ends_with("Hello from scratch!\n"), "{said:?}");
    let digest = runner.outputs["steps.pack.outputs.digest"].clone();
    assert_eq!(digest_of(&runner.path("pushed/manifest.json")), digest);
    assert_eq!(
        runner.outputs["steps.pack.outputs.name"],
        "ghcr.io/somebody/hello:0123456789abcdef0123456789abcdef01234567"
    );
    assert!(runner.path("clone/build/hello.spdx.json").exists());
    assert!(runner.path("home/.cache/scratchpack").is_dir());
}

#[test]
fn the_scripts_of_the_example_of_a_workflow_make_again_what_changed() {
    if !tools::are_here(&["bash", "cc", "skopeo"]) || !has_yaml() {
        return;
    }
    let mut runner = Runner::new(String::new());
    let mut pack = |change: Option<(&str, &str)>| {
        if let Some((old, new)) = change {
            let source = runner.path("clone/hello.c");
            fs::write(&source, fs::read_to_string(&source).unwrap().replace(old, new)).unwrap();
            runner.run("Build");
        }
        runner.run("Pack");
        let written = fs::metadata(runner.path("clone/build/hello.tar")).unwrap().modified().unwrap();
        (runner.outputs["steps.pack.outputs.digest"].clone(), written)
    };
    let first = pack(Some(("Hello", "Hello")));
    assert_eq!(pack(None), first, "nothing has changed");
    let second = pack(Some(("Hello", "Welcome")));
    assert!(second.0 != first.0 && second.1 != first.1, "the program has changed");
    assert_eq!(pack(Some(("Welcome", "Hello"))).0, first.0, "the same program has the same image");
}
