//! musl: in which directories a name is looked for, and what becomes of a candidate that is no good.

use crate::bench::Bench;
use crate::link::{Link, needs, plain};
use crate::patch::{DT_DEPAUDIT, DT_RPATH, retag};

#[test]
fn the_library_path_comes_before_rpath_and_runpath() {
    for link in [needs(&["libx.so"]).rpath("@/r"), needs(&["libx.so"]).runpath("@/r")] {
        let Some(bench) = Bench::of_musl() else { return };
        bench
            .program(link)
            .library("r/libx.so", plain())
            .library("e/libx.so", plain())
            .library_path("@/e")
            .loads(&["e/libx.so"]);
    }
}

#[test]
fn rpath_and_runpath_are_inherited_alike_the_nearest_first() {
    for kind in [Link::rpath, Link::runpath] {
        let Some(bench) = Bench::of_musl() else { return };
        bench
            .program(kind(needs(&["liba.so"]), "@/p"))
            .library("p/liba.so", kind(needs(&["libx.so", "liby.so"]), "@/a"))
            .library("a/libx.so", plain())
            .library("p/libx.so", plain())
            .library("p/liby.so", plain())
            .loads(&["p/liba.so", "a/libx.so", "p/liby.so"]);
    }
}

#[test]
fn a_runpath_does_not_hide_the_rpath_of_a_loader() {
    let Some(bench) = Bench::of_musl() else { return };
    bench
        .program(needs(&["liba.so"]).rpath("@/l"))
        .library("l/liba.so", needs(&["libb.so"]).runpath("@/nowhere"))
        .library("l/libb.so", plain())
        .loads(&["l/liba.so", "l/libb.so"]);
}

#[test]
fn a_runpath_replaces_the_rpath_beside_it() {
    let Some(bench) = Bench::of_musl() else { return };
    bench
        .program(needs(&["libx.so"]).runpath("@/r").spare("@/o"))
        .patch("bin/app", |bytes| retag(bytes, DT_DEPAUDIT, DT_RPATH))
        .library("r/libx.so", plain())
        .library("o/libx.so", plain())
        .loads(&["r/libx.so"]);
}

#[test]
fn the_origin_of_a_program_is_the_directory_of_its_real_path() {
    let Some(bench) = Bench::of_musl() else { return };
    bench
        .program(needs(&["libx.so"]).runpath("${ORIGIN}/../l:$ORIGIN/m"))
        .library("l/libx.so", plain())
        .library("bin/m/libx.so", plain())
        .loads(&["bin/../l/libx.so"]);
}

#[test]
fn the_origin_of_a_library_is_the_directory_of_the_path_as_opened() {
    let Some(bench) = Bench::of_musl() else { return };
    bench
        .program(needs(&["liba.so"]).runpath("@/l"))
        .library("real/liba.so", needs(&["libx.so"]).runpath("$ORIGIN/m"))
        .link("l/liba.so", "../real/liba.so")
        .library("real/m/libx.so", plain())
        .library("l/m/libx.so", plain())
        .loads(&["l/liba.so", "l/m/libx.so"]);
}

#[test]
fn any_other_token_voids_the_whole_list() {
    for element in ["$LIB", "${LIB}", "$PLATFORM", "$", "${ORIGIN"] {
        let Some(bench) = Bench::of_musl() else { return };
        bench
            .program(needs(&["libx.so"]).runpath(&format!("@/l:@/{element}")))
            .library("l/libx.so", plain())
            .misses(&["libx.so"]);
    }
}

#[test]
fn a_list_with_another_token_does_not_hide_that_of_a_loader() {
    let Some(bench) = Bench::of_musl() else { return };
    bench
        .program(needs(&["liba.so"]).runpath("@/l"))
        .library("l/liba.so", needs(&["libb.so"]).runpath("@/m:$LIB"))
        .library("l/libb.so", plain())
        .library("m/libb.so", plain())
        .loads(&["l/liba.so", "l/libb.so"]);
}

#[test]
fn empty_elements_mean_nothing() {
    let Some(bench) = Bench::of_musl() else { return };
    bench.program(needs(&["libx.so"]).runpath("@/nowhere::")).library("libx.so", plain()).misses(&["libx.so"]);
}

/// A library in the second of two directories of one list; a test adds something in the first, `a`.
fn second_of_two() -> Option<Bench> {
    let bench = Bench::of_musl()?;
    Some(bench.program(needs(&["libx.so"]).runpath("@/a:@/b")).library("b/libx.so", plain()))
}

#[test]
fn what_does_not_open_is_passed_over() {
    let Some(bench) = second_of_two() else { return };
    bench.loads(&["b/libx.so"]);
    second_of_two().unwrap().text("a", "no directory").loads(&["b/libx.so"]);
    second_of_two().unwrap().link("a/libx.so", "nowhere").loads(&["b/libx.so"]);
}

#[test]
fn the_first_file_that_opens_is_final() {
    let Some(bench) = second_of_two() else { return };
    bench.text("a/libx.so", "INPUT(libx.so.1)").misses(&["libx.so"]);
    second_of_two().unwrap().text("a/libx.so", "").misses(&["libx.so"]);
    second_of_two().unwrap().folder("a/libx.so").misses(&["libx.so"]);
}

#[test]
fn a_symlink_loop_is_final() {
    let Some(bench) = second_of_two() else { return };
    bench.link("a/libx.so", "libx.so").misses(&["libx.so"]);
    second_of_two().unwrap().link("a", "a").misses(&["libx.so"]);
}

#[test]
fn what_is_final_is_so_for_the_later_lists_too() {
    let Some(bench) = second_of_two() else { return };
    bench.text("e/libx.so", "").library_path("@/e").misses(&["libx.so"]);
}
