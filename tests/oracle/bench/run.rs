//! The closure of a bench's program, its image, and runs of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use scratchpack::{Closure, Finding, Image, ImageBuilder};

use super::{Bench, Libc};
use crate::loader::{self, Listing};
use crate::packed::Packed;
use crate::start::Start;
use crate::tools::{self, text_of};

impl Bench {
    pub(crate) fn closure(&self) -> Closure {
        self.collector.collect(&self.started_as).unwrap()
    }

    /// An image of the program.
    pub(crate) fn image(&self) -> ImageBuilder {
        let mut builder = Image::builder();
        builder.collector(self.collector.clone()).binary(&self.started_as);
        if let Some(directory) = &self.workdir {
            builder.workdir(directory);
        }
        builder
    }

    pub(crate) fn pack(&self) -> Option<Packed> {
        let packed = Packed::of(self.image().build().unwrap())?;
        Some(match &self.workdir {
            Some(directory) => packed.in_directory(directory),
            None => packed,
        })
    }

    pub(crate) fn output(&self) -> Output {
        self.command(&self.seen(&self.started_as)).output().unwrap()
    }

    /// Lets the loader start the program, with options.
    pub(crate) fn output_of_loader(&self, options: &[&str]) -> Output {
        let mut loader = self.command(Path::new(&self.interpreter()));
        loader.args(options).arg(self.seen(&self.started_as)).output().unwrap()
    }

    /// The files of the bench that are libraries of the program when it runs.
    pub(crate) fn loaded(&self) -> Vec<String> {
        let told = told_by(&self.output(), self.interpreter().as_ref());
        self.in_bench(told.iter().map(|path| self.start.absolute(path)).collect())
    }

    pub(crate) fn listing(&self) -> Result<Listing, String> {
        let program = self.seen(&self.started_as);
        let interpreter = self.interpreter();
        match self.libc {
            Libc::Glibc => loader::list(&mut self.tracing().command(&program), &interpreter),
            Libc::Musl => loader::list(self.command(Path::new(&interpreter)).arg("--list").arg(program), &interpreter),
        }
    }

    /// That of the program.
    pub(crate) fn interpreter(&self) -> String {
        loader::dynamic(self.started_as.clone()).unwrap().interpreter
    }

    /// A path as the program sees it.
    pub(super) fn seen(&self, path: &Path) -> PathBuf {
        let inside = path.strip_prefix(self.directory.path()).unwrap();
        Path::new(if self.start.has_root() { "/" } else { self.base() }).join(inside)
    }

    pub(super) fn command(&self, program: &Path) -> Command {
        self.start.command(program)
    }

    /// The files of the bench that a process of the program opens, in the order of their paths.
    pub(super) fn opened_by_kernel(&self) -> Vec<String> {
        let log = self.make_room("log");
        let mut strace = self.command(&tools::find("strace").unwrap());
        strace.args(["-e", "trace=openat", "-o"]).arg(&log).arg(&self.started_as).output().unwrap();
        let log = fs::read_to_string(log).unwrap();
        let opened = log.lines().filter(|line| !line.contains(" = -1 ")).filter_map(|line| line.split('"').nth(1));
        let opened: BTreeSet<String> = opened.map(str::to_owned).collect();
        self.in_bench(opened.into_iter().collect())
    }

    /// Lets the loader list what it loads.
    fn tracing(&self) -> Start {
        let mut start = self.start.clone();
        start.env("LD_TRACE_LOADED_OBJECTS", "1");
        start
    }

    /// Without what every program has.
    pub(super) fn opened(&self, closure: &Closure) -> Vec<String> {
        let ours = closure.objects().iter().skip(1).filter(|object| object.name() != "libc.so.6");
        self.in_bench(ours.map(|object| object.opened().to_str().unwrap().to_owned()).collect())
    }

    /// Those of these paths that are in the bench.
    fn in_bench(&self, paths: Vec<String>) -> Vec<String> {
        let inside = paths.iter().filter_map(|path| path.strip_prefix(self.base())?.strip_prefix('/'));
        inside.map(str::to_owned).collect()
    }
}

/// The codes of what is to be said of a closure.
pub(crate) fn codes(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(Finding::code).collect()
}

/// The libraries that a program says it has; it says so of its loader and of the vDSO as well.
pub(crate) fn told_by(output: &Output, interpreter: &Path) -> Vec<String> {
    assert!(output.status.success(), "{}", text_of(output));
    // The program itself is the first, with or without a name.
    let lines = std::str::from_utf8(&output.stdout).unwrap().lines().skip(1).map(str::to_owned);
    lines.filter(|line| !loader::is_of_kernel(line) && Path::new(line) != interpreter).collect()
}
