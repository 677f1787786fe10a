//! The examples for cargo, each from a clean clone: what changed is made again, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::fixtures::{compile, scratch};
use crate::rebuilding::{copy_example, installed};
use crate::tools;
use crate::verify::verify_output;

/// An example, beside it a C library of somebody else's, and what is watched.
pub(crate) struct Project {
    scratch: TempDir,
    environment: Vec<(&'static str, String)>,
    words: &'static [&'static str],
    watched: Vec<(&'static str, PathBuf)>,
}

impl Project {
    /// `words` are those with which its users build it.
    pub(crate) fn clone_of(example: &str, words: &'static [&'static str]) -> Project {
        let scratch = scratch();
        fs::create_dir(scratch.path().join("clone")).unwrap();
        fs::create_dir(scratch.path().join("lib")).unwrap();
        copy_example(example, &scratch.path().join("clone"));
        let project = Project { scratch, environment: Vec::new(), words, watched: Vec::new() };
        compile(&greeting("from C"), &project.library(), &SHARED);
        project
    }

    pub(crate) fn build_in(&mut self, target: &Path) {
        self.environment.push(("CARGO_TARGET_DIR", target.to_str().unwrap().to_owned()));
    }

    pub(crate) fn watch(&mut self, name: &'static str, path: impl Into<PathBuf>) {
        self.watched.push((name, path.into()));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join("clone").join(name)
    }

    fn library(&self) -> PathBuf {
        self.scratch.path().join("lib/libgreeting.so")
    }

    pub(crate) fn replace(&self, name: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(old), "{name}: {text}");
        fs::write(self.path(name), text.replace(old, new)).unwrap();
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = installed("cargo");
        command.args(words).envs(self.environment.iter().cloned()).current_dir(self.path(""));
        command
    }

    pub(crate) fn answer(&self) -> String {
        tools::run(&mut self.command(self.words))
    }

    /// What is built, by the names of what is watched.
    fn build(&self) -> Vec<&'static str> {
        let stamp = |path: &PathBuf| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let before: Vec<_> = self.watched.iter().map(|(_, path)| stamp(path)).collect();
        self.answer();
        let made = self.watched.iter().zip(before).filter(|((_, path), before)| stamp(path) != *before);
        made.map(|((name, _), _)| *name).collect()
    }

    pub(crate) fn expect(&self, why: &str, made: &[&str]) {
        assert_eq!(self.build(), made, "{:?}: {why}", self.words);
        assert!(self.build().is_empty(), "{:?}: {why}, and once more", self.words);
    }

    /// The program greets by the library, which a package manager put where it is.
    pub(crate) fn link_with_the_library(&self, main: &str) {
        let directory = self.library().parent().unwrap().to_str().unwrap().to_owned();
        let script = BUILD_SCRIPT.replace("DIRECTORY", &directory);
        fs::write(self.path("build.rs"), script).unwrap();
        fs::write(self.path(main), GREETING_MAIN).unwrap();
    }

    /// As a package manager does it: by a rename, with the time at which the package was made.
    pub(crate) fn replace_library_by_an_older_one(&self) {
        let new = self.scratch.path().join("new.so");
        compile(&greeting("from a newer library"), &new, &SHARED);
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        fs::File::options().write(true).open(&new).unwrap().set_modified(long_ago).unwrap();
        fs::rename(new, self.library()).unwrap();
    }
}

const SHARED: [&str; 2] = ["-shared", "-fPIC"];

const BUILD_SCRIPT: &str = r#"
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-search=native=DIRECTORY");
    println!("cargo::rustc-link-lib=greeting");
    println!("cargo::rustc-link-arg=-Wl,-rpath,DIRECTORY");
}
"#;

const GREETING_MAIN: &str = r#"
unsafe extern "C" { safe fn greeting() -> i32; }
fn main() { std::process::exit(greeting()); }
"#;

fn greeting(words: &str) -> String {
    format!("#include <stdio.h>\nint greeting(void) {{ return puts(\"Hello {words}\") < 0; }}\n")
}

/// One for all, so that the library is compiled once.
fn shared_target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cargo-projects")
}

#[test]
fn an_xtask_packs_the_program_of_its_package_again_when_the_program_or_a_library_changed() {
    if !tools::are_here(&["cargo", "cc"]) {
        return;
    }
    let mut project = Project::clone_of("xtask", &["xtask", "image"]);
    let image = shared_target().join("release/app.tar");
    project.build_in(&shared_target());
    project.watch("program", shared_target().join("release/app"));
    project.watch("image", &image);
    project.replace("xtask/Cargo.toml", "../../..", env!("CARGO_MANIFEST_DIR"));
    // What the last run of this test left there would be up to date.
    fs::remove_file(&image).ok();
    let digest = project.answer();
    verify_output(&image);
    project.expect_nothing();
    project.replace("src/main.rs", "Hello", "Welcome");
    project.expect("the program has changed", &["program", "image"]);
    assert_ne!(project.answer(), digest);
    project.link_with_the_library("src/main.rs");
    project.expect("a library has been added", &["program", "image"]);
    project.replace_library_by_an_older_one();
    project.expect("the library is another one", &["image"]);
    verify_output(&image);
}

impl Project {
    pub(crate) fn expect_nothing(&self) {
        self.expect("nothing has changed", &[]);
    }
}

#[test]
fn a_build_script_makes_its_image_again_when_the_program_or_a_library_changed() {
    if !tools::are_here(&["cargo", "cc"]) {
        return;
    }
    let mut project = Project::clone_of("build-script", &["run", "--quiet"]);
    project.build_in(&shared_target());
    project.replace("Cargo.toml", "../..", env!("CARGO_MANIFEST_DIR"));
    // A clone is no part of the repository's workspace, and has its versions of everything.
    project.replace("Cargo.toml", "[package]", "[workspace]\n[package]");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock"), project.path("Cargo.lock")).unwrap();
    let library = project.library().parent().unwrap().display().to_string();
    let flags = format!("-L{library} -Wl,-rpath,{library} -Wl,--no-as-needed -lgreeting");
    project.environment.push(("CFLAGS", flags));
    let image = PathBuf::from(project.answer().trim());
    assert!(image.starts_with(shared_target()), "{}", image.display());
    project.watch("image", &image);
    verify_output(&image);
    project.expect_nothing();
    project.replace("hello.c", "Hello", "Welcome");
    project.expect("the program has changed", &["image"]);
    project.replace_library_by_an_older_one();
    project.expect("the library is another one", &["image"]);
    verify_output(&image);
}
