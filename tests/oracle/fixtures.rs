//! Programs to pack: one of each way of linking.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::tools::{command, run};

const HELLO: &str = r#"
#include <stdio.h>
int main(void) { return puts("hello from the image") < 0; }
"#;

const GREET: &str = r#"
#include <stdio.h>
int greet(void) { return puts("hello from the library"); }
"#;

const APP: &str = r#"
int greet(void);
int main(void) { return greet() < 0; }
"#;

const WAYS_OF_LINKING: [(&str, &[&str]); 4] = [
    ("hello-pie", &["-pie", "-fPIE"]),
    ("hello-no-pie", &["-no-pie"]),
    ("hello-static", &["-static", "-no-pie"]),
    ("hello-static-pie", &["-static-pie", "-fPIE"]),
];

/// A program, and what it prints.
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) says: &'static str,
}

/// The programs; their files go when this is dropped.
pub(crate) struct Fixtures {
    directory: TempDir,
    pub(crate) programs: Vec<Program>,
}

impl Fixtures {
    /// Needs `cc`.
    pub(crate) fn compile() -> Fixtures {
        let directory = scratch();
        let mut programs: Vec<Program> =
            WAYS_OF_LINKING.iter().map(|(name, flags)| hello(directory.path(), name, flags)).collect();
        programs.push(app(directory.path()));
        Fixtures { directory, programs }
    }

    /// For what is made of them.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// A directory below cargo's own for tests.
pub(crate) fn scratch() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn hello(directory: &Path, name: &str, flags: &[&str]) -> Program {
    let path = directory.join(name);
    compile(HELLO, &path, flags);
    Program { path, says: "hello from the image\n" }
}

/// Finds its library by `$ORIGIN/../lib`.
fn app(directory: &Path) -> Program {
    let (bin, lib) = (directory.join("bin"), directory.join("lib"));
    fs::create_dir(&bin).unwrap();
    fs::create_dir(&lib).unwrap();
    compile(GREET, &lib.join("libgreet.so"), &["-shared", "-fPIC"]);
    let search = format!("-L{}", lib.display());
    compile(APP, &bin.join("app"), &[&search, "-lgreet", "-Wl,--enable-new-dtags,-rpath,$ORIGIN/../lib"]);
    Program { path: bin.join("app"), says: "hello from the library\n" }
}

/// Needs `cc`.
pub(crate) fn compile(source: &str, output: &Path, flags: &[&str]) {
    let file = output.with_extension("c");
    fs::write(&file, source).unwrap();
    run(command("cc").arg("-o").arg(output).arg(file).args(flags));
}
