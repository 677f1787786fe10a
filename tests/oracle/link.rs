//! Objects as a test wants them: the linker's part of a [`Bench`](crate::bench::Bench).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixtures::scratch;
use crate::tools::{command, run};

const MAIN: &str = "int main(void) { return 0; }";

/// What an object shall say of itself. `@` stands for the directory of the bench.
#[derive(Default)]
pub(crate) struct Link {
    needs: Vec<String>,
    flags: Vec<String>,
}

/// An object with a DT_NEEDED for each of the names, whatever they are.
pub(crate) fn needs(names: &[&str]) -> Link {
    Link { needs: names.iter().map(|&name| name.to_owned()).collect(), flags: Vec::new() }
}

/// An object that needs nothing.
pub(crate) fn plain() -> Link {
    Link::default()
}

impl Link {
    pub(crate) fn soname(self, name: &str) -> Link {
        self.flags(&["-soname", name])
    }

    pub(crate) fn rpath(self, list: &str) -> Link {
        self.flags(&["--disable-new-dtags", "-rpath", list])
    }

    pub(crate) fn runpath(self, list: &str) -> Link {
        self.flags(&["--enable-new-dtags", "-rpath", list])
    }

    pub(crate) fn filter(self, name: &str) -> Link {
        self.flags(&["-F", name])
    }

    pub(crate) fn auxiliary(self, name: &str) -> Link {
        self.flags(&["-f", name])
    }

    /// Only a string in the dynamic section, to be given another tag.
    pub(crate) fn spare(self, text: &str) -> Link {
        self.flags(&["--depaudit", text])
    }

    pub(crate) fn interpreter(self, path: &str) -> Link {
        self.flags(&["--dynamic-linker", path])
    }

    /// Flags for `ld`.
    pub(crate) fn flags(mut self, flags: &[&str]) -> Link {
        self.flags.extend(flags.iter().map(|&flag| flag.to_owned()));
        self
    }

    /// Links a program with `compiler`, so that it needs its C library as well.
    pub(crate) fn program(&self, compiler: &str, output: &Path, base: &str) {
        let directory = scratch();
        let main = directory.path().join("main.c");
        fs::write(&main, MAIN).unwrap();
        let mut cc = command(compiler);
        cc.arg("-o").arg(output).arg(main);
        for argument in self.arguments(directory.path(), base) {
            cc.arg("-Xlinker").arg(argument);
        }
        run(&mut cc);
    }

    /// Links a library that needs nothing but what it says.
    pub(crate) fn library(&self, output: &Path, base: &str) {
        let directory = scratch();
        let mut ld = ld_shared(output, directory.path());
        run(ld.args(self.arguments(directory.path(), base)));
    }

    fn arguments(&self, directory: &Path, base: &str) -> Vec<String> {
        let stubs = self.needs.iter().enumerate().map(|(number, name)| stub(directory, number, &at(base, name)));
        let stubs = stubs.map(|path| path.to_str().unwrap().to_owned());
        let flags = self.flags.iter().map(|flag| at(base, flag));
        ["--no-as-needed".to_owned()].into_iter().chain(flags).chain(stubs).collect()
    }
}

/// A text in which `@` stands for `base`.
pub(crate) fn at(base: &str, text: &str) -> String {
    text.replace('@', base)
}

/// What is linked with a library has a DT_NEEDED with the library's DT_SONAME.
fn stub(directory: &Path, number: usize, soname: &str) -> PathBuf {
    let path = directory.join(format!("{number}.so"));
    run(ld_shared(&path, directory).args(["-soname", soname]));
    path
}

fn ld_shared(output: &Path, directory: &Path) -> Command {
    let nothing = directory.join("nothing.o");
    run(command("as").arg("-o").arg(&nothing).arg("/dev/null"));
    let mut ld = command("ld");
    ld.args(["-shared", "-o"]).arg(output).arg(nothing);
    ld
}
