//! The rules of musl's loader, a sentence each, in roots that hold nothing else.

use crate::elf::{Fixture, RPATH, RUNPATH, library, program};
use crate::root::{Root, missing, opened, rules, tree};

const LOADER: &str = "/lib/ld-musl-x86_64.so.1";

fn app(needed: &[&str]) -> Fixture {
    Fixture { interpreter: Some([LOADER.as_bytes(), b"\0"].concat()), ..program(needed) }
}

fn root() -> Root {
    let data = b"\0%.*s/etc/ld-musl-x86_64.path\0".to_vec();
    Root::empty().file(LOADER, &Fixture { data, ..library("libc.musl-x86_64.so.1") })
}

#[test]
fn the_rules_are_those_of_the_interpreter_whatever_it_is_called() {
    // gcompat puts musl's loader at glibc's path.
    let data = b"\0%.*s/etc/ld-musl-x86_64.path\0".to_vec();
    let root = Root::empty()
        .file(crate::elf::LOADER, &Fixture { data, ..library("libc.musl-x86_64.so.1") })
        .file("/app", &program(&["libc.so.6"]));
    let closure = root.closure("/app");
    assert_eq!(closure.libc(), Some(scratchpack::Libc::Musl));
    assert_eq!(missing(&closure), [""; 0]);
}

#[test]
fn names_of_the_c_library_are_the_loader() {
    let root = root()
        .file("/app", &app(&["libc.so", "libpthread.so.0", "libm.so.6", "libdl.x", LOADER, "libcrypt.so"]))
        .file("/lib/libm.so.6", &library("libm.so.6"));
    let closure = root.closure("/app");
    assert_eq!((opened(&closure).len(), missing(&closure)), (0, vec!["libcrypt.so".to_owned()]));
}

#[test]
fn the_library_path_comes_before_rpath_and_runpath() {
    for tag in [RPATH, RUNPATH] {
        let root = root()
            .file("/app", &app(&["libx.so"]).with(tag, "/opt/l"))
            .file("/opt/l/libx.so", &library("libx.so"))
            .file("/callers/libx.so", &library("libx.so"));
        let mut collector = scratchpack::Collector::new();
        collector.sysroot(root.path()).library_path(root.on_machine("/callers"));
        assert_eq!(rules(&collector.collect(root.on_machine("/app")).unwrap()), ["library-path"]);
    }
}

#[test]
fn a_soname_is_no_name_so_the_program_could_load_another_file_by_it() {
    let root = root()
        .file("/app", &app(&["liba.so"]).imports(&["dlopen"]).data(b"\0libx.so.1\0"))
        .file("/lib/liba.so", &library("libx.so.1"))
        .file("/lib/libx.so.1", &library("libx.so.1").needs("libc.so"));
    assert!(root.closure("/app").findings()[0].message().contains("--library libx.so.1"));
}

#[test]
fn runpath_is_inherited() {
    let root = root()
        .file("/app", &app(&["liba.so"]).with(RUNPATH, "/opt/l"))
        .file("/opt/l/liba.so", &library("liba.so").needs("libb.so").with(RUNPATH, "/nowhere"))
        .file("/opt/l/libb.so", &library("libb.so"));
    assert_eq!(opened(&root.closure("/app")), ["/opt/l/liba.so", "/opt/l/libb.so"]);
}

#[test]
fn any_other_token_voids_the_whole_list() {
    let root = root()
        .file("/app", &app(&["libx.so"]).with(RUNPATH, "/opt/l:$LIB"))
        .file("/opt/l/libx.so", &library("libx.so"));
    assert_eq!(missing(&root.closure("/app")), ["libx.so"]);
}

#[test]
fn tokens_in_names_are_not_expanded() {
    let root = root().file("/app", &app(&["$ORIGIN/libx.so"])).file("/libx.so", &library("libx.so"));
    assert_eq!(missing(&root.closure("/app")), ["$ORIGIN/libx.so"]);
}

#[test]
fn an_object_is_known_by_its_base_name_and_never_by_its_soname() {
    let root = root()
        .file("/app", &app(&["liba.so", "libshared.so"]))
        .file("/lib/liba.so", &library("libshared.so").needs("liba.so"))
        .file("/lib/libshared.so", &library("x"));
    assert_eq!(opened(&root.closure("/app")), ["/lib/liba.so", "/lib/libshared.so"]);
}

#[test]
fn the_first_file_that_opens_is_final() {
    let root = root()
        .file("/app", &app(&["libx.so"]).with(RUNPATH, "/opt/l"))
        .file("/opt/l/libx.so", &library("libx.so").machine(crate::elf::AARCH64, true, true))
        .file("/lib/libx.so", &library("libx.so"));
    let closure = root.closure("/app");
    assert_eq!(closure.missing()[0].tried().len(), 1);
    assert_eq!(closure.missing()[0].tried()[0].why().code(), "wrong-machine");
}

#[test]
fn two_names_of_one_inode_are_one_object() {
    let root = root()
        .file("/app", &app(&["liba.so", "libb.so"]))
        .file("/lib/liba.so", &library("x"))
        .hard_link("/lib/libb.so", "/lib/liba.so");
    assert_eq!(opened(&root.closure("/app")), ["/lib/liba.so"]);
}

#[test]
fn without_a_path_file_three_directories_are_searched() {
    let root = root()
        .file("/app", &app(&["liba.so", "libb.so", "libc2.so"]))
        .file("/lib/liba.so", &library("a"))
        .file("/usr/local/lib/liba.so", &library("a"))
        .file("/usr/local/lib/libb.so", &library("b"))
        .file("/usr/lib/libc2.so", &library("c"));
    let expected = ["/lib/liba.so", "/usr/local/lib/libb.so", "/usr/lib/libc2.so"];
    assert_eq!(opened(&root.closure("/app")), expected);
    assert!(!tree(&root.image("/app")).iter().any(|line| line.contains("/etc")));
}

#[test]
fn a_path_file_replaces_the_three_and_the_image_gets_what_of_it_is_used() {
    let root = root()
        .file("/app", &app(&["liba.so", "libb.so"]))
        .bytes("/etc/ld-musl-x86_64.path", b"/opt/unused:/opt/a\n/opt/b\n")
        .file("/opt/a/liba.so", &library("a"))
        .file("/opt/b/libb.so", &library("b"))
        .file("/lib/liba.so", &library("a"));
    let image = root.image("/app");
    assert_eq!(opened(image.closure()), ["/opt/a/liba.so", "/opt/b/libb.so"]);
    let file = image.entries().find(|entry| entry.path().ends_with("ld-musl-x86_64.path")).unwrap();
    assert_eq!(file.size(), b"/opt/a\n/opt/b\n".len() as u64);
}

#[test]
fn an_empty_path_file_means_no_directory_at_all() {
    let root = root()
        .file("/app", &app(&["liba.so"]))
        .bytes("/etc/ld-musl-x86_64.path", b"")
        .file("/lib/liba.so", &library("a"));
    assert_eq!(missing(&root.closure("/app")), ["liba.so"]);
}

#[test]
fn there_is_no_cache() {
    let root = root()
        .file("/app", &app(&["libx.so"]))
        .file("/opt/x/libx.so", &library("libx.so"))
        .bytes("/etc/ld.so.cache", &crate::root::cache("libx.so", "/opt/x/libx.so"));
    assert_eq!(missing(&root.closure("/app")), ["libx.so"]);
}

#[test]
fn what_origin_reaches_moves_with_the_program() {
    let root = root()
        .file("/b/bin/app", &app(&["libx.so"]).with(RUNPATH, "${ORIGIN}/../lib"))
        .file("/b/lib/libx.so", &library("libx.so"));
    let tree = tree(&root.image("/b/bin/app"));
    assert!(tree.contains(&"/opt/app/lib/libx.so".to_owned()), "{tree:?}");
}
