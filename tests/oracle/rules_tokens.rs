//! glibc: `$ORIGIN` and its like.

use crate::bench::Bench;
use crate::link::{needs, plain};

#[test]
fn the_origin_of_a_program_is_the_directory_of_its_real_path() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["libx.so"]).runpath("$ORIGIN/../l"))
        .library("l/libx.so", plain())
        .library("elsewhere/l/libx.so", plain())
        .link("elsewhere/bin/app", "../../bin/app")
        .started_as("elsewhere/bin/app")
        .loads(&["bin/../l/libx.so"]);
}

#[test]
fn the_origin_of_a_program_in_a_linked_directory_is_the_real_directory() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["libx.so"]).runpath("$ORIGIN/../l"))
        .library("l/libx.so", plain())
        .link("elsewhere/programs", "../bin")
        .started_as("elsewhere/programs/app")
        .loads(&["bin/../l/libx.so"]);
}

#[test]
fn the_origin_of_a_library_is_the_directory_of_the_path_as_opened() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so"]).runpath("@/l"))
        .library("real/liba.so", needs(&["libx.so"]).runpath("$ORIGIN"))
        .link("l/liba.so", "../real/liba.so")
        .library("real/libx.so", plain())
        .library("l/libx.so", plain())
        .loads(&["l/liba.so", "l/libx.so"]);
}

#[test]
fn the_origin_in_an_inherited_rpath_is_of_the_object_that_has_it() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so"]).rpath("$ORIGIN/l"))
        .library("bin/l/liba.so", needs(&["@/m/libb.so"]).rpath("$ORIGIN/n"))
        .library("m/libb.so", needs(&["libx.so"]))
        .library("bin/l/n/libx.so", plain())
        .library("m/n/libx.so", plain())
        .loads(&["bin/l/liba.so", "m/libb.so", "bin/l/n/libx.so"]);
}

#[test]
fn braces_are_allowed() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["libx.so"]).runpath("${ORIGIN}/l"))
        .library("bin/l/libx.so", plain())
        .loads(&["bin/l/libx.so"]);
}

#[test]
fn origin_counts_anywhere_in_an_element() {
    let Some(bench) = Bench::of_glibc() else { return };
    let base = bench.absolute("");
    bench
        .program(needs(&["libx.so"]).runpath("@/x$ORIGIN"))
        .library(&format!("x{base}bin/libx.so"), plain())
        .loads(&[&format!("x{base}bin/libx.so")]);
}

#[test]
fn a_token_is_the_longest_identifier() {
    for name in ["$ORIGINAL", "$ORIGIN_", "$ORIGIN1", "$UNKNOWN", "${UNKNOWN}", "${ORIGIN", "$", "$$", "$LIBRARY"] {
        let Some(bench) = Bench::of_glibc() else { return };
        bench
            .program(needs(&["libx.so"]).runpath(&format!("@/{name}")))
            .library(&format!("{name}/libx.so"), plain())
            .loads(&[&format!("{name}/libx.so")]);
    }
}

#[test]
fn a_token_ends_where_no_identifier_goes_on() {
    for end in ["-x", ".x", "+"] {
        let Some(bench) = Bench::of_glibc() else { return };
        bench
            .program(needs(&["libx.so"]).runpath(&format!("$ORIGIN{end}")))
            .library(&format!("bin{end}/libx.so"), plain())
            .loads(&[&format!("bin{end}/libx.so")]);
    }
}

/// Which one it is stands in the loader, so it must be the loader who says.
#[test]
fn lib_is_what_the_loader_was_built_with() {
    let Some(bench) = Bench::of_glibc() else { return };
    let bench = bench.program(needs(&["libx.so"]).runpath("@/$LIB"));
    let directories = ["lib", "lib64", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu"];
    let bench = directories.iter().fold(bench, |bench, lib| bench.library(&format!("{lib}/libx.so"), plain()));
    assert!(bench.agrees().missing().is_empty());
}

#[test]
fn tokens_in_a_name_without_a_slash_make_it_one_with_a_slash() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["$ORIGIN/libx.so"]).runpath("@/l"))
        .library("bin/libx.so", plain())
        .library("l/libx.so", plain())
        .loads(&["bin/libx.so"]);
}

#[test]
fn the_origin_of_a_program_with_two_names_is_of_the_one_by_which_it_was_started() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["libx.so"]).runpath("$ORIGIN/l"))
        .hard_link("other/app", "bin/app")
        .library("bin/l/libx.so", plain())
        .library("other/l/libx.so", plain())
        .started_as("other/app")
        .loads(&["other/l/libx.so"]);
}

#[test]
fn the_origin_of_a_program_has_no_dots() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["libx.so"]).runpath("$ORIGIN/l"))
        .library("bin/l/libx.so", plain())
        .folder("other")
        .started_as("other/../bin/./app")
        .loads(&["bin/l/libx.so"]);
}

#[test]
fn the_origin_of_a_library_keeps_its_dots() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so"]).runpath("@/l/../l"))
        .library("l/liba.so", needs(&["libb.so"]).runpath("$ORIGIN"))
        .library("l/libb.so", plain())
        .loads(&["l/../l/liba.so", "l/../l/libb.so"]);
}

#[test]
fn the_origin_of_a_library_with_two_names_is_of_the_one_by_which_it_was_opened_first() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["@/a/liba.so", "@/b/liba.so"]))
        .library("a/liba.so", needs(&["libx.so"]).runpath("$ORIGIN"))
        .link("b/liba.so", "../a/liba.so")
        .library("a/libx.so", plain())
        .library("b/libx.so", plain())
        .loads(&["a/liba.so", "a/libx.so"]);
}
