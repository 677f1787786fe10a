//! How a process is started: what its root is, where, by whom, with which environment.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixtures::compile;
use crate::tools::{self, command};

/// Sets an environment that whoever enters the root does not have itself.
const LAUNCHER: &str = "launch";
const LAUNCHER_SOURCE: &str = r#"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int count, char **arguments) {
    while (strchr(*++arguments, '='))
        putenv(*arguments);
    return execv(*arguments, arguments);
}
"#;
const NOBODY: u32 = 65534;

#[derive(Clone, Default)]
pub(crate) struct Start {
    root: Option<PathBuf>,
    directory: PathBuf,
    user: Option<u32>,
    environment: Vec<(String, String)>,
}

impl Start {
    /// In this machine's own root.
    pub(crate) fn in_directory(directory: &Path) -> Start {
        Start { directory: directory.to_owned(), ..Start::default() }
    }

    /// Whether a directory can be made a root.
    pub(crate) fn can_enter_roots() -> bool {
        tools::is_root() && tools::are_here(&["cc", "unshare"])
    }

    /// With `root` as root, to which is added what a container has, and what it takes to start.
    pub(crate) fn in_root(root: &Path) -> Start {
        fs::create_dir_all(root.join("proc")).unwrap();
        compile(LAUNCHER_SOURCE, &root.join(LAUNCHER), &["-static"]);
        Start { root: Some(root.to_owned()), ..Start::in_directory(Path::new("/")) }
    }

    pub(crate) fn has_root(&self) -> bool {
        self.root.is_some()
    }

    pub(crate) fn env(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// In a directory of its root.
    pub(crate) fn move_to(&mut self, directory: &str) {
        if let Some(root) = &self.root {
            fs::create_dir_all(root.join(&directory[1..])).unwrap();
        }
        self.directory = PathBuf::from(directory);
    }

    /// What a path means to a process that is started.
    pub(crate) fn absolute(&self, path: &str) -> String {
        self.directory.join(path).into_os_string().into_string().unwrap()
    }

    /// By a user who owns nothing there.
    pub(crate) fn by_nobody(&mut self) {
        self.by_user(NOBODY);
    }

    /// By this user, and the group of the same number.
    pub(crate) fn by_user(&mut self, user: u32) {
        fs::set_permissions(self.root.as_ref().unwrap(), Permissions::from_mode(0o755)).unwrap();
        self.user = Some(user);
    }

    /// Starts `program`, a path in the root.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = match &self.root {
            Some(root) => self.enter(root, program),
            None => Command::new(program),
        };
        command.env_clear();
        if self.root.is_none() {
            command.envs(self.environment.iter().cloned()).current_dir(&self.directory);
        }
        command
    }

    fn enter(&self, root: &Path, program: &Path) -> Command {
        let mut command = command("unshare");
        command.arg("--mount-proc").arg("--root").arg(root).arg("--wd").arg(&self.directory);
        if let Some(user) = self.user.map(|user| user.to_string()) {
            command.args(["--setuid", &user, "--setgid", &user]);
        }
        let environment = self.environment.iter().map(|(name, value)| format!("{name}={value}"));
        command.arg(Path::new("/").join(LAUNCHER)).args(environment).arg(program);
        command
    }
}
