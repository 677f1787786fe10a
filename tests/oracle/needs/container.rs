//! The files of an image, and a program that runs in them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::start::Start;
use crate::tools::text_of;

pub(crate) struct Container {
    root: PathBuf,
    start: Start,
    report: Value,
    messages: String,
    _directory: TempDir,
}

/// A finding as a test wants it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lack {
    pub(crate) level: &'static str,
    pub(crate) code: &'static str,
    pub(crate) evidence: &'static str,
}

impl Container {
    pub(crate) fn new(directory: TempDir, root: &Path, report: Value, messages: String) -> Container {
        Container { root: root.to_owned(), start: Start::in_root(root), report, messages, _directory: directory }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Container {
        self.start.env(name, value);
        self
    }

    /// As the image's own configuration has it, which a root directory lacks.
    pub(crate) fn by_user(mut self, user: u32) -> Container {
        self.start.by_user(user);
        self
    }

    /// All that the program says, whether or not it succeeds.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.start.command(Path::new(program)).args(arguments).output().unwrap();
        text_of(&output)
    }

    pub(crate) fn says(&self, program: &str, words: &str) {
        assert_eq!(self.run(program, &[]), words, "{}", self.messages);
    }

    /// A path of the image as one of this machine.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The permissions at a path, and what else the kernel makes of a program there.
    pub(crate) fn mode(&self, path: &str) -> u32 {
        self.path(path).symlink_metadata().unwrap().permissions().mode() & 0o7777
    }

    /// The paths of the image with one of these words in them.
    pub(crate) fn paths_with(&self, words: &[&str]) -> Vec<String> {
        let entries = list(&self.report, "entries").iter().map(|entry| text(entry, "path"));
        entries.filter(|path| words.iter().any(|word| path.contains(word))).map(str::to_owned).collect()
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// What the command said, to standard error.
    pub(crate) fn messages(&self) -> &str {
        &self.messages
    }

    pub(crate) fn is_silent(&self) {
        assert_eq!(self.messages, "");
        assert_eq!(self.findings().len(), 0);
    }

    pub(crate) fn reports(&self, lack: Lack) {
        let found = self.findings().iter().any(|finding| is(finding, lack));
        assert!(found, "{lack:?} is not in {:#?}", self.findings());
    }

    pub(crate) fn does_not_report(&self, code: &str) {
        assert!(!self.codes().contains(&code), "{:#?}", self.findings());
    }

    /// The codes of the findings.
    pub(crate) fn codes(&self) -> Vec<&str> {
        self.findings().iter().map(|finding| text(finding, "code")).collect()
    }

    fn findings(&self) -> &[Value] {
        list(&self.report, "findings")
    }

    /// The rule that found a library, if it is there and no DT_NEEDED names it.
    pub(crate) fn hidden(&self, name: &str) -> Option<&str> {
        let mut objects = list(&self.report, "objects").iter();
        let object = objects.find(|object| text(object, "name") == name && object["hidden"] == true)?;
        Some(text(object, "found_by"))
    }

    /// Whether a need was found, and if so whether it is met.
    pub(crate) fn meets(&self, need: &str) -> Option<bool> {
        let requirement = list(&self.report, "needs").iter().find(|requirement| text(requirement, "need") == need)?;
        requirement["included"].as_bool()
    }

    /// The names that were excluded.
    pub(crate) fn excluded(&self) -> Vec<&str> {
        list(&self.report, "excluded").iter().map(|excluded| text(excluded, "name")).collect()
    }
}

fn is(finding: &Value, lack: Lack) -> bool {
    let names = |key| text(finding, key).contains(lack.evidence);
    text(finding, "level") == lack.level
        && text(finding, "code") == lack.code
        && (names("evidence") || names("message"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}
