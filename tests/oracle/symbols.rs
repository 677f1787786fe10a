//! What an object defines and refers to: symbols, of which each version has one.

use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Clone, Default)]
pub(crate) struct Symbols {
    assembly: String,
    script: String,
    last: String,
}

impl Symbols {
    pub(crate) fn define(&mut self, versions: &[&str]) {
        self.define_unversioned(versions);
        for version in versions {
            writeln!(self.script, "{version} {{ of_{version}; }} {};", self.last).unwrap();
            self.last = (*version).to_owned();
        }
    }

    pub(crate) fn define_unversioned(&mut self, versions: &[&str]) {
        for version in versions {
            writeln!(self.assembly, ".data\n.globl of_{version}\nof_{version}: .quad 0").unwrap();
        }
    }

    pub(crate) fn refer_to(&mut self, versions: &[&str]) {
        for version in versions {
            writeln!(self.assembly, ".data\n.quad of_{version}").unwrap();
        }
    }

    /// Has something to relocate that needs no other object.
    pub(crate) fn refer_to_themselves(&mut self) {
        self.assembly.push_str(".data\n.balign 8\nhere: .quad here\n");
    }

    /// The path of a file with the assembler's source.
    pub(crate) fn assembly(&self, directory: &Path) -> PathBuf {
        let path = directory.join("symbols.s");
        let not_executable_stack = ".section .note.GNU-stack,\"\",%progbits\n";
        fs::write(&path, format!("{}{not_executable_stack}", self.assembly)).unwrap();
        path
    }

    /// An argument for `ld`, if there are versions.
    pub(crate) fn version_script(&self, directory: &Path) -> Option<OsString> {
        if self.script.is_empty() {
            return None;
        }
        let path = directory.join("versions");
        fs::write(&path, &self.script).unwrap();
        let mut argument = OsString::from("--version-script=");
        argument.push(path);
        Some(argument)
    }
}
