//! What is said of a bench: sentences that hold of the closure and of the real loader.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use scratchpack::Closure;

use super::Bench;
use crate::compare::{compare, missing};
use crate::tools::text_of;

/// Of a program that its loader gives up.
const DOES_NOT_START: i32 = 127;

impl Bench {
    /// The program starts, and closure and loader have opened these files of the bench.
    pub(crate) fn loads(&self, opened: &[&str]) {
        let closure = self.agrees();
        assert_eq!(self.opened(&closure), opened);
        assert_eq!(missing(&closure), BTreeSet::new());
        self.assert_starts(true);
    }

    /// The program does not start, and closure and loader name these libraries as the missing ones.
    pub(crate) fn misses(&self, names: &[&str]) {
        assert_eq!(Vec::from_iter(missing(&self.agrees())), names);
        self.assert_starts(false);
    }

    /// The loader gives up before it could list anything, and the closure has this to say.
    pub(crate) fn dies_of(&self, name: &str) {
        self.assert_starts(false);
        assert!(self.listing().is_err(), "the loader does not give up: {:?}", self.listing());
        assert_eq!(Vec::from_iter(missing(&self.closure())), [name]);
    }

    /// The loader finds all libraries, but not this version in this one of them, and so says the closure.
    pub(crate) fn lacks(&self, library: &str, version: &str) {
        let output = self.output();
        let says_so = !output.status.success() && text_of(&output).contains(version);
        assert!(says_so, "{}\n{}", output.status, text_of(&output));
        assert_eq!(self.missing_versions(), [(library.to_owned(), version.to_owned())]);
    }

    /// The program starts, and has these libraries of the bench besides its C library, whatever its loader would list.
    pub(crate) fn has(&self, libraries: &[&str]) {
        let loaded = self.loaded();
        let loaded: Vec<&String> = loaded.iter().filter(|path| !path.ends_with("/libc.so.6")).collect();
        assert_eq!(loaded, libraries);
        self.starts_with(libraries);
    }

    /// The program does not start, and the closure has this library as the only one that is missing.
    pub(crate) fn lacks_library(&self, name: &str) {
        self.assert_starts(false);
        assert_eq!(Vec::from_iter(missing(&self.closure())), [name]);
    }

    /// The program starts, and all that is opened for it in the bench is this, in the order of the paths, in the closure
    /// and to the kernel.
    pub(crate) fn opens(&self, files: &[&str]) -> Closure {
        let closure = self.closure();
        let mut opened = self.opened(&closure);
        opened.sort();
        assert_eq!(opened, files);
        assert_eq!(self.opened_by_kernel(), files);
        self.assert_starts(true);
        assert_eq!(missing(&closure), BTreeSet::new());
        closure
    }

    /// What the closure says is missing, each a version of a library.
    pub(crate) fn missing_versions(&self) -> Vec<(String, String)> {
        let text = |text: &OsStr| text.to_str().unwrap().to_owned();
        let closure = self.closure();
        let missing = closure.missing().iter();
        missing.map(|missing| (text(missing.name()), text(missing.version().unwrap()))).collect()
    }

    /// The program starts, whatever its loader lists, and the closure has opened these files of the bench.
    pub(crate) fn starts_with(&self, opened: &[&str]) {
        let closure = self.closure();
        assert_eq!(self.opened(&closure), opened);
        assert_eq!(missing(&closure), BTreeSet::new());
        self.assert_starts(true);
    }

    /// The kernel does not start the program, and the closure names its interpreter as missing.
    pub(crate) fn has_no_interpreter(&self) {
        let output = self.command(&self.seen(&self.started_as)).output();
        assert!(!output.is_ok_and(|output| output.status.success()), "the program starts");
        assert_eq!(Vec::from_iter(missing(&self.closure())), [self.interpreter()]);
    }

    /// The closure is complete just where the program starts.
    pub(crate) fn agrees_with_run(&self) {
        self.assert_starts(self.closure().missing().is_empty());
    }

    /// The closure of the program is complete just where it starts, and then has the libraries that it has.
    pub(crate) fn agrees_about_libraries(&self) {
        self.agrees_with_run();
        if self.output().status.success() {
            let closure = self.closure();
            self.has(&self.opened(&closure).iter().map(String::as_str).collect::<Vec<_>>());
        }
    }

    /// Closure and loader say the same.
    pub(crate) fn agrees(&self) -> Closure {
        let closure = self.closure();
        compare(&closure, &self.listing().unwrap(), &self.interpreter()).unwrap_or_else(|words| panic!("{words}"));
        closure
    }

    pub(crate) fn assert_starts(&self, starts: bool) {
        let output = self.output();
        let expected = if starts { 0 } else { DOES_NOT_START };
        assert_eq!(output.status.code(), Some(expected), "{}", text_of(&output));
    }
}
