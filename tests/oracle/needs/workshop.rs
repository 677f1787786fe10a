//! Where programs are compiled and packed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::container::Container;
use crate::fixtures::scratch;
use crate::link::at;
use crate::start::Start;
use crate::tools::{self, command, run, text_of};

/// A directory of its own; in options and flags it is `@`.
pub(crate) struct Workshop {
    directory: TempDir,
}

impl Workshop {
    /// `None` where one of the tools is not here, or nothing can be run in a root of its own.
    pub(crate) fn open(tools: &[&str]) -> Option<Workshop> {
        let can_run = Start::can_enter_roots() && tools::are_here(tools);
        can_run.then(|| Workshop { directory: scratch() })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Compiles a program, or with the right flags a library.
    pub(crate) fn compile(&self, compiler: &str, name: &str, source: &str, flags: &[&str]) {
        let (output, extension) = (self.path(name), if compiler == "c++" { "cc" } else { "c" });
        fs::create_dir_all(output.parent().unwrap()).unwrap();
        let file = output.with_extension(extension);
        fs::write(&file, source).unwrap();
        run(command(compiler).arg("-o").arg(output).arg(file).args(self.expand(flags)));
    }

    /// A library that has its own name as DT_SONAME.
    pub(crate) fn library(&self, path: &str, source: &str, flags: &[&str]) {
        let name = Path::new(path).file_name().unwrap().to_str().unwrap();
        let soname = format!("-Wl,-soname,{name}");
        self.compile("cc", path, source, &[&["-shared", "-fPIC", &soname], flags].concat());
    }

    pub(crate) fn write(&self, path: &str, contents: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    /// The image's files of one program, which must be made.
    pub(crate) fn pack(&self, program: &str, options: &[&str]) -> Container {
        self.pack_all(&[program], options)
    }

    pub(crate) fn pack_all(&self, programs: &[&str], options: &[&str]) -> Container {
        let directory = tempfile::tempdir_in(self.directory.path()).unwrap();
        let root = directory.path().join("root");
        let output = self.build(programs, &root, options);
        assert!(output.status.success(), "{options:?}: {}\n{}", output.status, text_of(&output));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        Container::new(directory, &root, report, String::from_utf8(output.stderr).unwrap())
    }

    /// Makes `@/sysroot` a root that has what this program needs to start, and nothing else.
    pub(crate) fn sysroot(&self, program: &str) {
        let output = self.build(&[program], &self.path("sysroot"), &[]);
        assert!(output.status.success(), "{}", text_of(&output));
    }

    /// What the command says where it makes no image.
    pub(crate) fn refusal(&self, programs: &[&str], options: &[&str]) -> String {
        let root = self.path("refused");
        let output = self.build(programs, &root, options);
        assert_eq!(output.status.code(), Some(1), "{options:?}: {}", text_of(&output));
        assert!(!root.exists());
        String::from_utf8(output.stderr).unwrap()
    }

    fn build(&self, programs: &[&str], root: &Path, options: &[&str]) -> Output {
        let mut build = Command::new(env!("CARGO_BIN_EXE_scratchpack"));
        build.env_remove("SOURCE_DATE_EPOCH").current_dir(self.directory.path()).arg("build").args(programs);
        build.args(["--type", "rootfs", "--format", "json", "--output"]).arg(root);
        build.args(self.expand(options)).output().unwrap()
    }

    fn expand(&self, options: &[&str]) -> Vec<String> {
        let base = self.directory.path().to_str().unwrap();
        options.iter().map(|option| at(base, option)).collect()
    }
}
