//! musl: which names are the same object, and in which order objects are loaded.

use crate::bench::Bench;
use crate::link::{needs, plain};

#[test]
fn libraries_are_loaded_breadth_first() {
    let Some(bench) = Bench::of_musl() else { return };
    bench
        .program(needs(&["liba.so", "libb.so"]).rpath("@/l"))
        .library("l/liba.so", needs(&["libd.so"]))
        .library("l/libb.so", needs(&["libe.so", "libd.so"]))
        .library("l/libd.so", plain())
        .library("l/libe.so", plain())
        .loads(&["l/liba.so", "l/libb.so", "l/libd.so", "l/libe.so"]);
}

#[test]
fn filters_and_auxiliaries_mean_nothing() {
    let Some(bench) = Bench::of_musl() else { return };
    bench
        .program(needs(&["liba.so"]).rpath("@/l"))
        .library("l/liba.so", plain().filter("libf.so").auxiliary("libx.so"))
        .library("l/libx.so", plain())
        .loads(&["l/liba.so"]);
}

#[test]
fn names_of_the_c_library_are_the_loader_itself() {
    for name in ["libc.so.6", "libm.so.6", "libpthread.x", "librt.so.1", "libdl.so.2", "libutil.so.1", "libxnet.so"] {
        let Some(bench) = Bench::of_musl() else { return };
        bench.program(needs(&[name]).rpath("@/l")).library(&format!("l/{name}"), plain()).loads(&[]);
    }
}

#[test]
fn names_that_only_resemble_those_of_the_c_library_are_files() {
    for name in ["libcrypt.so.1", "libresolv.so.2", "libmount.so.1", "libc-x.so", "libdlx.so", "liby.so"] {
        let Some(bench) = Bench::of_musl() else { return };
        bench
            .program(needs(&[name]).rpath("@/l"))
            .library(&format!("l/{name}"), plain())
            .loads(&[&format!("l/{name}")]);
    }
}

#[test]
fn the_path_of_the_interpreter_is_the_loader_itself() {
    let Some(bench) = Bench::of_musl() else { return };
    let interpreter = bench.program(plain()).interpreter();
    Bench::of_musl().unwrap().program(needs(&[&interpreter])).loads(&[]);
}

#[test]
fn the_file_of_the_loader_is_the_loader_itself() {
    let Some(bench) = Bench::of_musl() else { return };
    let interpreter = bench.program(plain()).interpreter();
    Bench::of_musl().unwrap().program(needs(&["libx.so"]).rpath("@/l")).link("l/libx.so", &interpreter).loads(&[]);
}

#[test]
#[ignore = "the closure has the copy as a library"]
fn a_copy_of_the_loader_is_the_loader_itself() {
    let Some(bench) = Bench::of_musl() else { return };
    let interpreter = bench.program(plain()).interpreter();
    Bench::of_musl().unwrap().program(needs(&["libx.so"]).rpath("@/l")).copy(&interpreter, "l/libx.so").loads(&[]);
}

#[test]
fn a_name_with_a_slash_is_opened_as_it_stands() {
    let Some(bench) = Bench::of_musl() else { return };
    bench.program(needs(&["@/l/../l//libx.so"])).library("l/libx.so", plain()).loads(&["l/../l//libx.so"]);
}

#[test]
fn tokens_in_a_name_stand_for_themselves() {
    let Some(bench) = Bench::of_musl() else { return };
    bench.program(needs(&["@/$ORIGIN/libx.so"])).library("$ORIGIN/libx.so", plain()).loads(&["$ORIGIN/libx.so"]);
}

/// An image does not fix the working directory, so the closure says no more than that.
#[test]
fn a_relative_name_is_of_the_working_directory() {
    let Some(bench) = Bench::of_musl() else { return };
    let bench = bench.program(needs(&["./l/libx.so"])).library("l/libx.so", plain());
    bench.assert_starts(true);
    assert!(bench.closure().missing()[0].note().unwrap().contains("working directory"));
}

#[test]
fn a_loaded_object_answers_to_its_base_name_whatever_the_directory() {
    let Some(bench) = Bench::of_musl() else { return };
    bench
        .program(needs(&["liba.so", "libb.so"]).runpath("@/l"))
        .library("l/liba.so", plain())
        .library("l/libb.so", needs(&["liba.so"]).runpath("@/m"))
        .library("m/liba.so", plain())
        .loads(&["l/liba.so", "l/libb.so"]);
}

#[test]
fn sonames_are_never_read() {
    let Some(bench) = Bench::of_musl() else { return };
    bench
        .program(needs(&["liba.so", "libshared.so.1"]).runpath("@/l"))
        .library("l/liba.so", plain().soname("libshared.so.1"))
        .library("l/libshared.so.1", plain().soname("libshared.so.1"))
        .loads(&["l/liba.so", "l/libshared.so.1"]);
}

#[test]
fn what_was_asked_for_by_a_path_has_no_base_name() {
    let Some(bench) = Bench::of_musl() else { return };
    bench
        .program(needs(&["@/l/libx.so", "libx.so"]).runpath("@/m"))
        .library("l/libx.so", plain())
        .library("m/libx.so", plain())
        .loads(&["l/libx.so", "m/libx.so"]);
}

#[test]
fn what_was_asked_for_by_a_path_has_its_own_base_name_once_a_search_has_found_it() {
    let Some(bench) = Bench::of_musl() else { return };
    bench
        .program(needs(&["@/l/libx.so", "liby.so", "libz.so"]).runpath("@/m"))
        .library("l/libx.so", plain())
        .link("m/liby.so", "../l/libx.so")
        .library("m/libz.so", needs(&["libx.so", "liby.so"]).runpath("@/n"))
        .library("n/libx.so", plain())
        .library("n/liby.so", plain())
        .loads(&["l/libx.so", "m/libz.so", "n/liby.so"]);
}

#[test]
fn symlinks_and_hard_links_to_a_file_are_one_object() {
    let Some(bench) = Bench::of_musl() else { return };
    bench
        .program(needs(&["liba.so", "libb.so", "libd.so"]).runpath("@/l"))
        .library("l/liba.so", plain())
        .link("l/libb.so", "liba.so")
        .hard_link("l/libd.so", "l/liba.so")
        .loads(&["l/liba.so"]);
}

#[test]
fn copies_of_a_file_are_two_objects() {
    let Some(bench) = Bench::of_musl() else { return };
    bench
        .program(needs(&["liba.so", "libb.so"]).runpath("@/l"))
        .library("l/liba.so", plain())
        .copy("l/liba.so", "l/libb.so")
        .loads(&["l/liba.so", "l/libb.so"]);
}
