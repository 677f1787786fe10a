//! What is worked out from a sysroot's ld.so.conf, beside what ldconfig makes of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use scratchpack::Collector;

use crate::fixtures::scratch;
use crate::tools::{are_here, command, is_root, run};

/// A directory, a file in there, and its soname.
const LIBRARIES: [(&str, &str, &str); 15] = [
    ("opt/a", "libone.so.1.2", "libone.so.1"),
    ("opt/a", "libtwo-2.so", "libtwo.so.2"),
    ("opt/a", "libthree-9.so", "libthree.so.3"),
    ("opt/a", "libthree-10.so", "libthree.so.3"),
    ("opt/a", "libseven-9.so", "libseven.so.7"),
    ("opt/a", "libseven-10.so", "libseven.so.7"),
    ("opt/a", "libfour.so.1", ""),
    ("opt/a", "libfive.so.1", "libfive.so.9"),
    ("opt/b", "libfive.so.1", "libfive.so.1"),
    ("opt/a", "libsix.so.1", "libsix.so.1"),
    ("opt/b", "libsix.so.1", "libsix.so.1"),
    ("opt/b", "odd.so", "libodd.so.1"),
    ("opt/c d", "libspace.so.1", "libspace.so.1"),
    ("opt/real", "liblinked.so.1", "liblinked.so.1"),
    ("opt/absent", "libnowhere.so.1", "libnowhere.so.1"),
];

const NEEDED: [&str; 11] = [
    "libone.so.1",
    "libtwo.so.2",
    "libthree.so.3",
    "libfour.so.1",
    "libfive.so.1",
    "libsix.so.1",
    "libseven.so.7",
    "libodd.so.1",
    "libspace.so.1",
    "liblinked.so.1",
    "libnowhere.so.1",
];

const CONF: &str = "
# a comment
include /etc/ld.so.conf.d/*.conf   /etc/none/*.conf
  /opt/link/   # behind
/opt/real
opt/absent
";

#[test]
fn a_sysroot_without_a_cache_has_the_closure_that_it_has_with_the_one_of_ldconfig() {
    // Without a real chroot, ldconfig takes the names of links for those of what they lead to.
    if !are_here(&["cc", "ldconfig"]) || !is_root() {
        return;
    }
    let directory = scratch();
    let root = directory.path().join("root");
    sysroot(directory.path(), &root);
    let ours = closure(&root);
    run(command("ldconfig").arg("-r").arg(&root));
    assert!(root.join("etc/ld.so.cache").exists());
    assert_eq!(ours, closure(&root));
    assert_eq!(ours.0.len(), NEEDED.len() - 2);
}

/// The files on this machine, in load order, and the names of what is missing.
fn closure(root: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let closure = Collector::new().sysroot(root).collect(root.join("app")).unwrap();
    let found = closure.objects().iter().skip(1).map(|object| fs::canonicalize(object.source()).unwrap());
    (found.collect(), closure.missing().iter().map(|missing| missing.name().into()).collect())
}

fn sysroot(scratch: &Path, root: &Path) {
    for (directory, file, soname) in LIBRARIES {
        library(scratch, &root.join(directory).join(file), soname);
    }
    symlink("libone.so.1.2", root.join("opt/a/libone.so.1")).unwrap();
    symlink("libone.so.1", root.join("opt/a/libone.so")).unwrap();
    symlink("libthree-9.so", root.join("opt/a/libthree.so")).unwrap();
    symlink("libseven-9.so", root.join("opt/a/libseven-11.so")).unwrap();
    symlink("/opt/real", root.join("opt/link")).unwrap();
    fs::write(root.join("opt/a/libscript.so"), "/* GNU ld script */ INPUT(libone.so.1)").unwrap();
    fs::create_dir_all(root.join("etc/ld.so.conf.d")).unwrap();
    fs::write(root.join("etc/ld.so.conf"), CONF).unwrap();
    fs::write(root.join("etc/ld.so.conf.d/10-a.conf"), "/opt/a=libc6\nhwcap 1 x\n").unwrap();
    fs::write(root.join("etc/ld.so.conf.d/20-b.conf"), "/opt/b//\n/opt/c d\n").unwrap();
    fs::write(root.join("etc/ld.so.conf.d/.30-hidden.conf"), "/opt/absent\n").unwrap();
    program(scratch, root);
}

fn library(scratch: &Path, path: &Path, soname: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let source = scratch.join("library.c");
    fs::write(&source, "").unwrap();
    let mut cc = command("cc");
    cc.args(["-shared", "-nostdlib", "-o"]).arg(path).arg(source);
    if !soname.is_empty() {
        cc.arg(format!("-Wl,-soname,{soname}"));
    }
    run(&mut cc);
}

/// A program that needs them all, and the machine's own loader for it.
fn program(scratch: &Path, root: &Path) {
    let source = scratch.join("program.c");
    fs::write(&source, "void _start(void) {}").unwrap();
    let stubs: Vec<PathBuf> = NEEDED.iter().map(|name| scratch.join("stubs").join(name)).collect();
    stubs.iter().zip(NEEDED).for_each(|(stub, name)| library(scratch, stub, name));
    let program = root.join("app");
    run(command("cc")
        .args(["-pie", "-fPIE", "-nostdlib", "-Wl,--no-as-needed", "-o"])
        .arg(&program)
        .arg(source)
        .args(stubs));
    let interpreter = scratchpack::Elf::read(&program).unwrap().interpreter().map(PathBuf::from).unwrap();
    let copy = root.join(interpreter.strip_prefix("/").unwrap());
    fs::create_dir_all(copy.parent().unwrap()).unwrap();
    fs::copy(interpreter, copy).unwrap();
}
