//! A program with a need, and what it says where the need is met and where not.

use std::path::Path;

use super::container::{Container, Lack};
use super::workshop::Workshop;
use crate::tools;

#[derive(Default)]
pub(crate) struct Case {
    name: &'static str,
    source: String,
    compiler: Option<&'static str>,
    flags: Vec<&'static str>,
    headers: Vec<&'static str>,
    environment: Vec<(&'static str, &'static str)>,
    options: Vec<String>,
    lacks: Vec<Lack>,
    with: Vec<&'static str>,
    says: &'static str,
    otherwise: Option<&'static str>,
}

/// A program of this name and source, which says `words` where its needs are met.
pub(crate) fn program(name: &'static str, source: impl Into<String>, words: &'static str) -> Case {
    Case { name, source: source.into(), says: words, ..Case::default() }
}

impl Case {
    /// Instead of `cc`.
    pub(crate) fn compiler(self, compiler: &'static str) -> Case {
        Case { compiler: Some(compiler), ..self }
    }

    pub(crate) fn flags(self, flags: &[&'static str]) -> Case {
        Case { flags: flags.to_vec(), ..self }
    }

    /// The path of a header without which it does not compile.
    pub(crate) fn header(mut self, path: &'static str) -> Case {
        self.headers.push(path);
        self
    }

    pub(crate) fn option(mut self, name: &str, value: &str) -> Case {
        self.options.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// A variable of the image, and so of the process.
    pub(crate) fn env(mut self, name: &'static str, value: &'static str) -> Case {
        self.environment.push((name, value));
        self.option("--env", &format!("{name}={value}"))
    }

    /// By default there is this warning, and its evidence names this.
    pub(crate) fn warns(self, code: &'static str, evidence: &'static str) -> Case {
        self.lacks(Lack { level: "warning", code, evidence })
    }

    /// By default there is this note, and its evidence names this.
    pub(crate) fn notes(self, code: &'static str, evidence: &'static str) -> Case {
        self.lacks(Lack { level: "note", code, evidence })
    }

    fn lacks(mut self, lack: Lack) -> Case {
        self.lacks.push(lack);
        self
    }

    /// What it says by default.
    pub(crate) fn otherwise(self, words: &'static str) -> Case {
        Case { otherwise: Some(words), ..self }
    }

    /// These needs, each alone, make it say the right words as well.
    pub(crate) fn with(mut self, needs: &[&'static str]) -> Case {
        self.with.extend(needs);
        self
    }

    /// Shows it by default, with all that there is evidence of, and with each of the needs alone.
    pub(crate) fn holds(&self) {
        if let Some(workshop) = self.workshop() {
            self.holds_in(&workshop);
        }
    }

    pub(crate) fn workshop(&self) -> Option<Workshop> {
        let are_here = self.headers.iter().all(|path| tools::is_available(path, Path::new(path).exists()));
        if are_here { Workshop::open(&[self.cc()]) } else { None }
    }

    fn cc(&self) -> &'static str {
        self.compiler.unwrap_or("cc")
    }

    pub(crate) fn holds_in(&self, workshop: &Workshop) {
        workshop.compile(self.cc(), self.name, &self.source, &self.flags);
        self.holds_by_default(&self.pack(workshop, &[]));
        self.is_met(&self.pack(workshop, &["--auto"]));
        for need in &self.with {
            self.is_met(&self.pack(workshop, &["--with", need]));
        }
    }

    fn pack(&self, workshop: &Workshop, more: &[&str]) -> Container {
        let options: Vec<&str> = self.options.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let container = workshop.pack(self.name, &options);
        self.environment.iter().fold(container, |container, (name, value)| container.env(name, value))
    }

    fn holds_by_default(&self, container: &Container) {
        for &lack in &self.lacks {
            container.reports(lack);
            assert!(container.messages().contains(lack.evidence), "{}", container.messages());
        }
        self.runs(container, self.otherwise.unwrap_or(self.says));
    }

    fn is_met(&self, container: &Container) {
        self.lacks.iter().for_each(|lack| container.does_not_report(lack.code));
        self.runs(container, self.says);
    }

    fn runs(&self, container: &Container, words: &str) {
        container.says(&format!("/{}", self.name), words);
    }
}
