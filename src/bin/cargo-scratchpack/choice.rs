//! Which program is meant, as `cargo run` decides it: the only one, or the one of `default-run`.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use scratchpack::printable;
use serde::Deserialize;

use super::Failure;
use super::arguments::Arguments;
use super::build::{cargo, output};

/// What `cargo metadata` says (cargo book, "cargo metadata").
#[derive(Deserialize)]
pub(crate) struct Metadata {
    packages: Vec<Package>,
    workspace_default_members: Vec<String>,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    default_run: Option<String>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Metadata {
    pub(crate) fn of(arguments: &Arguments) -> Result<Metadata, Failure> {
        let mut command = cargo("metadata");
        let said = output(command.args(["--no-deps", "--format-version", "1"]).args(&arguments.every))?;
        serde_json::from_slice(&said)
            .map_err(|error| Failure::Failed(format!("cargo metadata says what cannot be read: {error}")))
    }

    /// Where cargo builds.
    pub(crate) fn target_directory<'a>(&'a self, arguments: &'a Arguments) -> &'a Path {
        arguments.target_directory.as_deref().unwrap_or(&self.target_directory)
    }

    /// The program's name; none where the arguments name it, or name packages in a way that cargo alone understands.
    pub(crate) fn choose(&self, arguments: &Arguments) -> Result<Option<String>, Failure> {
        match self.selected(&arguments.packages).as_slice() {
            _ if arguments.is_named => Ok(None),
            [] => Ok(None),
            packages => only(packages).map(Some),
        }
    }

    /// Those that `--package` names or, without any, those that cargo takes in this directory.
    fn selected(&self, names: &[impl AsRef<OsStr>]) -> Vec<&Package> {
        let is_named = |package: &&Package| names.iter().any(|name| package.is_called(name.as_ref()));
        let is_default = |package: &&Package| self.workspace_default_members.contains(&package.id);
        self.packages.iter().filter(|one| if names.is_empty() { is_default(one) } else { is_named(one) }).collect()
    }
}

impl Package {
    fn is_called(&self, name: &OsStr) -> bool {
        name == self.name.as_str() || *name == *format!("{}@{}", self.name, self.version)
    }

    fn programs(&self) -> impl Iterator<Item = &str> {
        let programs = self.targets.iter().filter(|target| target.kind.iter().any(|kind| kind == "bin"));
        programs.map(|target| target.name.as_str())
    }
}

fn only(packages: &[&Package]) -> Result<String, Failure> {
    let defaults: Vec<&String> = packages.iter().filter_map(|package| package.default_run.as_ref()).collect();
    if let [default] = defaults[..] {
        return Ok(default.clone());
    }
    let programs: BTreeSet<&str> = packages.iter().flat_map(|package| package.programs()).collect();
    match Vec::from_iter(programs).as_slice() {
        [] => Err(Failure::Usage(format!("{} has no program to pack{}", listed(packages), EXAMPLE))),
        [one] => Ok((*one).to_owned()),
        several => Err(Failure::Usage(format!(
            "there is more than one program: {}; choose one with --bin NAME, or by default-run in Cargo.toml",
            several.iter().map(|name| printable(*name).to_string()).collect::<Vec<_>>().join(", ")
        ))),
    }
}

const EXAMPLE: &str = "; --package NAME chooses another package, --example NAME an example";

fn listed(packages: &[&Package]) -> String {
    packages.iter().map(|package| printable(&package.name).to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{Metadata, only};
    use crate::Failure;

    const METADATA: &str = r##"{"target_directory": "/t", "workspace_default_members": ["#a", "#b"], "packages": [
        {"id": "#a", "name": "a", "version": "1.0.0", "default_run": null, "targets": [
            {"name": "a", "kind": ["lib"]}, {"name": "a", "kind": ["bin"]}, {"name": "test", "kind": ["test"]}]},
        {"id": "#b", "name": "b", "version": "2.0.0", "default_run": "y", "targets": [
            {"name": "x", "kind": ["bin"]}, {"name": "y", "kind": ["bin"]}]},
        {"id": "#c", "name": "c", "version": "1.0.0", "default_run": null, "targets": [
            {"name": "x", "kind": ["bin"]}, {"name": "y\u001b", "kind": ["bin"]}]},
        {"id": "#d", "name": "d", "version": "1.0.0", "default_run": null, "targets": [
            {"name": "d", "kind": ["lib"]}]}]}"##;

    fn chosen(packages: &[&str]) -> Result<String, String> {
        let metadata: Metadata = serde_json::from_str(METADATA).unwrap();
        only(&metadata.selected(packages)).map_err(|failure| match failure {
            Failure::Usage(message) => message,
            _ => panic!("{packages:?}"),
        })
    }

    #[test]
    fn it_is_the_only_program_or_the_one_that_is_run_by_default() {
        assert_eq!(chosen(&["a"]).unwrap(), "a");
        assert_eq!(chosen(&["b@2.0.0"]).unwrap(), "y");
        assert_eq!(chosen(&[]).unwrap(), "y");
    }

    #[test]
    fn none_or_several_are_refused_with_their_names() {
        assert!(chosen(&["d"]).unwrap_err().starts_with("d has no program to pack"));
        let several = chosen(&["a", "c"]).unwrap_err();
        assert!(several.starts_with("there is more than one program: a, x, y\\x1b; choose"), "{several}");
    }
}
