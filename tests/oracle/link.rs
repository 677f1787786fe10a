//! Objects as a test wants them: the linker's part of a [`Bench`](crate::bench::Bench).

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::fixtures::scratch;
use crate::symbols::Symbols;
use crate::tools::{command, run};

/// Says which objects it has.
const MAIN: &str = r#"
#define _GNU_SOURCE
#include <link.h>
#include <stdio.h>
static int tell(struct dl_phdr_info *object, size_t size, void *data) { return puts(object->dlpi_name) < 0; }
int main(void) { return dl_iterate_phdr(tell, 0); }
"#;

/// What an object shall say of itself. `@` stands for the directory of the bench.
#[derive(Default)]
pub(crate) struct Link {
    needs: Vec<String>,
    flags: Vec<String>,
    code: Option<&'static str>,
    symbols: Symbols,
    versions_of: Vec<(String, Symbols)>,
}

/// An object with a DT_NEEDED for each of the names, whatever they are.
pub(crate) fn needs(names: &[&str]) -> Link {
    Link { needs: names.iter().map(|&name| name.to_owned()).collect(), ..Link::default() }
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

    /// A library of this source in C, which needs its C library.
    pub(crate) fn code(self, source: &'static str) -> Link {
        Link { code: Some(source), ..self }
    }

    /// Defines a symbol of each of these versions, each version a successor of the one before.
    pub(crate) fn defines(mut self, versions: &[&str]) -> Link {
        self.symbols.define(versions);
        self
    }

    /// Defines the symbols of these versions without their versions.
    pub(crate) fn defines_unversioned(mut self, versions: &[&str]) -> Link {
        self.symbols.define_unversioned(versions);
        self
    }

    /// Needs a library, and versions of it.
    pub(crate) fn uses(mut self, library: &str, versions: &[&str]) -> Link {
        let mut symbols = Symbols::default();
        symbols.define(versions);
        self.symbols.refer_to(versions);
        self.versions_of.push((library.to_owned(), symbols));
        self
    }

    /// Has DT_RELR.
    pub(crate) fn packs_relocations(mut self) -> Link {
        self.symbols.refer_to_themselves();
        self.flags(&["-z", "pack-relative-relocs"])
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
        run(self.cc(compiler, MAIN, directory.path(), base).arg("-o").arg(output));
    }

    /// Links a library that needs nothing but what it says.
    pub(crate) fn library(&self, output: &Path, base: &str) {
        let directory = scratch();
        match self.code {
            Some(source) => {
                run(self.cc("cc", source, directory.path(), base).args(["-shared", "-fPIC", "-o"]).arg(output))
            }
            None => {
                run(ld_shared(output, directory.path(), &self.symbols).args(self.arguments(directory.path(), base)))
            }
        };
    }

    fn cc(&self, compiler: &str, source: &str, directory: &Path, base: &str) -> Command {
        let file = directory.join("source.c");
        fs::write(&file, source).unwrap();
        let mut cc = command(compiler);
        cc.arg(file).arg(self.symbols.assembly(directory));
        for argument in self.arguments(directory, base) {
            cc.arg("-Xlinker").arg(argument);
        }
        cc
    }

    fn arguments(&self, directory: &Path, base: &str) -> Vec<String> {
        let names = self.needs.iter().map(|name| (at(base, name), Symbols::default()));
        let stubs = names.chain(self.versions_of.iter().cloned()).enumerate();
        let stubs = stubs.map(|(number, (name, symbols))| stub(&directory.join(number.to_string()), &name, &symbols));
        let flags = self.flags.iter().map(|flag| at(base, flag));
        ["--no-as-needed".to_owned()].into_iter().chain(flags).chain(stubs).collect()
    }
}

/// A text in which `@` stands for `base`.
pub(crate) fn at(base: &str, text: &str) -> String {
    text.replace('@', base)
}

/// What is linked with a library has a DT_NEEDED with the library's DT_SONAME.
fn stub(directory: &Path, soname: &str, symbols: &Symbols) -> String {
    fs::create_dir(directory).unwrap();
    let path = directory.join("stub.so");
    run(ld_shared(&path, directory, symbols).args(["-soname", soname]));
    path.into_os_string().into_string().unwrap()
}

fn ld_shared(output: &Path, directory: &Path, symbols: &Symbols) -> Command {
    let object = directory.join("symbols.o");
    run(command("as").arg("-o").arg(&object).arg(symbols.assembly(directory)));
    let mut ld = command("ld");
    ld.args(["-shared", "-o"]).arg(output).arg(object).args(symbols.version_script(directory));
    ld
}
