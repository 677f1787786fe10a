//! A program in the files of its image alone.

use std::path::Path;
use std::process::Output;

use scratchpack::Image;
use tempfile::TempDir;

use crate::bench::told_by;
use crate::fixtures::scratch;
use crate::start::Start;
use crate::tools::{command, run, text_of};
use crate::verify::verified;

pub(crate) struct Packed {
    image: Image,
    start: Start,
    _directory: TempDir,
}

impl Packed {
    /// `None` where nothing can be run in a root of its own.
    pub(crate) fn of(image: Image) -> Option<Packed> {
        if !Start::can_enter_roots() {
            return None;
        }
        let directory = scratch();
        let [written, root] = ["written", "root"].map(|name| directory.path().join(name));
        let image = verified(image);
        image.write_rootfs(&written).unwrap();
        // What another thread starts meanwhile would hold a file of this process open for writing, and the kernel starts
        // no such program.
        run(command("cp").arg("--archive").args([&written, &root]));
        Some(Packed { image, start: Start::in_root(&root), _directory: directory })
    }

    pub(crate) fn in_directory(mut self, directory: &str) -> Packed {
        self.start.move_to(directory);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Packed {
        self.start.env(name, value);
        self
    }

    pub(crate) fn output(&self) -> Output {
        self.start.command(self.image.closure().program().path()).output().unwrap()
    }

    /// Lets the image's loader start the program, as `--glibc-hwcaps-mask` and the like would have it.
    pub(crate) fn output_of_loader(&self, options: &[&str]) -> Output {
        let closure = self.image.closure();
        let mut loader = self.start.command(closure.interpreter().unwrap().path());
        loader.args(options).arg(closure.program().path()).output().unwrap()
    }

    /// The paths of the libraries that the program has when it runs.
    pub(crate) fn loaded(&self) -> Vec<String> {
        told_by(&self.output(), self.interpreter()).iter().map(|path| self.start.absolute(path)).collect()
    }

    /// The program runs, and has just the libraries of its closure.
    pub(crate) fn loads_its_closure(&self) {
        let mut loaded = self.loaded();
        let libraries = self.image.closure().objects().iter().skip(1);
        let mut expected: Vec<String> = libraries.map(|object| object.path().to_str().unwrap().to_owned()).collect();
        loaded.sort();
        expected.sort();
        assert_eq!(loaded, expected);
    }

    pub(crate) fn does_not_start(&self) {
        let output = self.output();
        assert!(!output.status.success(), "{}", text_of(&output));
    }

    fn interpreter(&self) -> &Path {
        self.image.closure().interpreter().unwrap().path()
    }
}
