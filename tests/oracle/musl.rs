//! Programs of musl beside musl's own loader, on a machine whose C library is another.

use std::fs;
use std::path::{Path, PathBuf};

use scratchpack::{Closure, Image, Libc};
use tempfile::TempDir;

use crate::compare::compare;
use crate::fixtures::scratch;
use crate::loader;
use crate::tools::{self, command, run};
use crate::verify::verified;

const LIBRARY: &str = "int answer(void); int ask(void) { return answer(); }";
const INNER: &str = "int answer(void) { return 42; }";
const PROGRAM: &str = r#"
#include <stdio.h>
int ask(void);
int main(void) { return printf("%d\n", ask()) < 0; }
"#;

/// `app` needs libouter.so by RUNPATH, and that one libinner.so, which only the program's RUNPATH finds: musl inherits it.
struct Programs {
    directory: TempDir,
}

impl Programs {
    fn compile() -> Programs {
        let programs = Programs { directory: scratch() };
        let lib = programs.path("lib");
        fs::create_dir(&lib).unwrap();
        let search = format!("-L{}", lib.display());
        let run_path = format!("-Wl,--enable-new-dtags,-rpath,{}", lib.display());
        programs.cc(INNER, &lib.join("libinner.so"), &["-shared", "-fPIC"]);
        programs.cc(LIBRARY, &lib.join("libouter.so"), &["-shared", "-fPIC", &search, "-linner"]);
        let flags = [search.as_str(), "-louter", &format!("-Wl,-rpath-link,{}", lib.display()), &run_path];
        programs.cc(PROGRAM, &programs.path("app"), &flags);
        programs
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn cc(&self, source: &str, output: &Path, flags: &[&str]) {
        let file = self.path("source.c");
        fs::write(&file, source).unwrap();
        run(command("musl-gcc").arg("-o").arg(output).arg(file).args(flags));
    }
}

#[test]
fn a_program_of_musl_has_the_closure_that_its_loader_lists() {
    if !tools::are_here(&["musl-gcc"]) {
        return;
    }
    let programs = Programs::compile();
    let app = loader::dynamic(programs.path("app")).unwrap();
    let mut list = command(&app.interpreter);
    let listing = loader::list(list.arg("--list").arg(&app.path), &app.interpreter).unwrap();
    let closure = Closure::of(&app.path).unwrap();
    assert_eq!(closure.libc(), Some(Libc::Musl));
    compare(&closure, &listing, &app.interpreter).unwrap();
    assert_eq!(listing.objects.len(), 2);
}

#[test]
fn a_packed_program_of_musl_runs() {
    if !tools::are_here(&["musl-gcc", "chroot"]) || !tools::is_root() {
        return;
    }
    let programs = Programs::compile();
    let root = programs.path("root");
    Image::from_binary(programs.path("app")).map(verified).unwrap().write_rootfs(&root).unwrap();
    assert_eq!(run(command("chroot").arg(root).arg("/app")), "42\n");
}
