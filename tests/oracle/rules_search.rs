//! glibc: in which directories a name is looked for, and in which order.

use crate::bench::Bench;
use crate::link::{needs, plain};
use crate::patch::{DT_DEPAUDIT, DT_RPATH, DT_RUNPATH, retag, retag_as_empty};

#[test]
fn a_name_with_a_slash_is_opened_as_it_stands() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench.program(needs(&["@/l/../l//libx.so"])).library("l/libx.so", plain()).loads(&["l/../l//libx.so"]);
}

#[test]
fn a_name_with_a_slash_is_never_searched_for() {
    let Some(bench) = Bench::of_glibc() else { return };
    let name = "@/nowhere/libx.so";
    let missing = bench.absolute("nowhere/libx.so");
    bench.program(needs(&[name]).runpath("@/l")).library("l/libx.so", plain()).misses(&[&missing]);
}

/// An image does not fix the working directory, so the closure says no more than that.
#[test]
fn a_relative_name_is_of_the_working_directory() {
    for name in ["l/libx.so", "./l/libx.so"] {
        let Some(bench) = Bench::of_glibc() else { return };
        let bench = bench.program(needs(&[name])).library("l/libx.so", plain());
        bench.assert_starts(true);
        let closure = bench.closure();
        assert_eq!(closure.missing()[0].name(), name);
        assert!(closure.missing()[0].note().unwrap().contains("working directory"));
    }
}

#[test]
fn the_rpath_of_the_requester_counts() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["@/l/liba.so"]))
        .library("l/liba.so", needs(&["libb.so"]).rpath("@/m"))
        .library("m/libb.so", plain())
        .loads(&["l/liba.so", "m/libb.so"]);
}

#[test]
fn the_rpaths_of_all_loaders_count_the_nearest_first() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so"]).rpath("@/p"))
        .library("p/liba.so", needs(&["libb.so"]).rpath("@/a"))
        .library("a/libb.so", needs(&["libx.so", "liby.so", "libz.so"]).rpath("@/b"))
        .library("b/libx.so", plain())
        .library("a/libx.so", plain())
        .library("a/liby.so", plain())
        .library("p/liby.so", plain())
        .library("p/libz.so", plain())
        .loads(&["p/liba.so", "a/libb.so", "b/libx.so", "a/liby.so", "p/libz.so"]);
}

#[test]
fn the_loader_is_who_asked_first() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["@/l/liba.so", "@/l/libb.so"]))
        .library("l/liba.so", needs(&["@/l/libc.so"]).rpath("@/a"))
        .library("l/libb.so", needs(&["@/l/libc.so"]).rpath("@/b"))
        .library("l/libc.so", needs(&["libx.so"]))
        .library("a/libx.so", plain())
        .library("b/libx.so", plain())
        .loads(&["l/liba.so", "l/libb.so", "l/libc.so", "a/libx.so"]);
}

#[test]
fn an_rpath_is_not_of_those_who_did_not_load() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["@/l/liba.so", "@/l/libb.so"]))
        .library("l/liba.so", needs(&["@/l/libc.so"]))
        .library("l/libb.so", needs(&["@/l/libc.so"]).rpath("@/b"))
        .library("l/libc.so", needs(&["libx.so"]))
        .library("b/libx.so", plain())
        .misses(&["libx.so"]);
}

#[test]
fn an_ancestor_with_runpath_contributes_nothing_but_those_above_do() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so"]).rpath("@/p"))
        .library("p/liba.so", needs(&["libb.so"]).runpath("@/a"))
        .library("a/libb.so", needs(&["libx.so"]))
        .library("a/libx.so", plain())
        .library("p/libx.so", plain())
        .loads(&["p/liba.so", "a/libb.so", "p/libx.so"]);
}

#[test]
fn an_ancestor_with_both_contributes_neither() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["@/l/liba.so"]))
        .library("l/liba.so", needs(&["@/l/libb.so"]).runpath("@/r").spare("@/o"))
        .patch("l/liba.so", |bytes| retag(bytes, DT_DEPAUDIT, DT_RPATH))
        .library("l/libb.so", needs(&["libx.so"]))
        .library("r/libx.so", plain())
        .library("o/libx.so", plain())
        .misses(&["libx.so"]);
}

#[test]
fn a_runpath_is_not_inherited() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so"]).runpath("@/l"))
        .library("l/liba.so", needs(&["libb.so"]))
        .library("l/libb.so", plain())
        .misses(&["libb.so"]);
}

#[test]
fn a_runpath_hides_the_rpaths_of_all_loaders() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so"]).rpath("@/l"))
        .library("l/liba.so", needs(&["libb.so"]).runpath("@/nowhere"))
        .library("l/libb.so", plain())
        .misses(&["libb.so"]);
}

#[test]
fn a_runpath_hides_the_rpath_beside_it() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["libx.so"]).runpath("@/r").spare("@/o"))
        .patch("bin/app", |bytes| retag(bytes, DT_DEPAUDIT, DT_RPATH))
        .library("r/libx.so", plain())
        .library("o/libx.so", plain())
        .loads(&["r/libx.so"]);
}

#[test]
fn an_empty_runpath_hides_the_rpaths_all_the_same() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so"]).rpath("@/l"))
        .library("l/liba.so", needs(&["libb.so"]).spare("-"))
        .patch("l/liba.so", |bytes| retag_as_empty(bytes, DT_DEPAUDIT, DT_RUNPATH))
        .library("l/libb.so", plain())
        .misses(&["libb.so"]);
}

#[test]
fn an_empty_rpath_is_no_path_and_hides_nothing() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so"]).rpath("@/l"))
        .library("l/liba.so", needs(&["libb.so"]).spare("-"))
        .patch("l/liba.so", |bytes| retag_as_empty(bytes, DT_DEPAUDIT, DT_RPATH))
        .library("l/libb.so", plain())
        .loads(&["l/liba.so", "l/libb.so"]);
}

#[test]
fn an_rpath_comes_before_the_library_path() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["libx.so"]).rpath("@/r"))
        .library("r/libx.so", plain())
        .library("e/libx.so", plain())
        .library_path("@/e")
        .loads(&["r/libx.so"]);
}

#[test]
fn a_runpath_comes_after_the_library_path() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["libx.so", "liby.so"]).runpath("@/r"))
        .library("r/libx.so", plain())
        .library("r/liby.so", plain())
        .library("e/libx.so", plain())
        .library_path("@/e")
        .loads(&["e/libx.so", "r/liby.so"]);
}

#[test]
fn the_library_path_counts_for_every_object_and_is_split_at_colons_and_semicolons() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so"]))
        .library("a/liba.so", needs(&["libb.so", "libc.so"]))
        .library("b/libb.so", plain())
        .library("b/libc.so", plain())
        .library("c/libc.so", plain())
        .folder("a")
        .library_path("@/a;@/c:@/b")
        .loads(&["a/liba.so", "b/libb.so", "c/libc.so"]);
}

#[test]
fn a_runpath_is_split_at_colons_alone() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["libx.so"]).runpath("@/a;b:@/c"))
        .library("a;b/libx.so", plain())
        .library("c/libx.so", plain())
        .loads(&["a;b/libx.so"]);
}

#[test]
fn slashes_at_the_end_and_duplicates_are_dropped() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["libx.so"]).runpath("@/none//:@/none:@/l///:@/l"))
        .library("l/libx.so", plain())
        .loads(&["l/libx.so"]);
}

#[test]
fn slashes_in_the_middle_and_dots_stay() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["libx.so"]).runpath("@//l/../l/."))
        .library("l/libx.so", plain())
        .loads(&["/l/../l/./libx.so"]);
}

/// Where the program's process starts is nothing that a closure could know, so it says so.
#[test]
fn an_empty_or_relative_element_is_the_working_directory() {
    for list in ["@/none:", "l", "./l:"] {
        let Some(bench) = Bench::of_glibc() else { return };
        let bench = bench.program(needs(&["libx.so"]).runpath(list));
        let bench = bench.library("l/libx.so", plain()).copy("l/libx.so", "libx.so");
        bench.assert_starts(true);
        let closure = bench.closure();
        assert_eq!(closure.missing().len(), 1, "{list}");
        assert!(closure.findings().iter().any(|finding| finding.code() == "relative-path"), "{list}");
    }
}

/// The C library itself is a hit of the cache in a builtin directory.
#[test]
fn without_default_directories_a_hit_of_the_cache_in_one_does_not_count() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench.program(plain().flags(&["-z", "nodefaultlib"])).misses(&["libc.so.6"]);
}

#[test]
fn default_directories_count_for_those_who_do_not_refuse_them() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["@/l/liba.so"]))
        .library("l/liba.so", needs(&["libc.so.6"]).flags(&["-z", "nodefaultlib"]))
        .loads(&["l/liba.so"]);
}

#[test]
fn slashes_at_the_end_and_duplicates_in_the_library_path_are_dropped() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["libx.so"]))
        .library("e/libx.so", plain())
        .folder("d")
        .library_path("@/d//:@/d:@/e//:@/e")
        .loads(&["e/libx.so"]);
}
