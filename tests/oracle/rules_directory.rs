//! Names and paths that mean the working directory of a process.

use crate::bench::{Bench, codes};
use crate::link::{Link, needs, plain};

/// A program that is started in `w`, and whose closure is told.
fn bench(link: Link) -> Option<Bench> {
    Some(Bench::of_glibc()?.program(link).folder("w").workdir("w"))
}

fn has_and_packs(bench: &Bench, libraries: &[&str]) {
    bench.has(libraries);
    if let Some(packed) = bench.pack() {
        packed.loads_its_closure();
    }
}

#[test]
fn a_relative_name_is_below_the_working_directory() {
    let Some(bench) = bench(needs(&["l/libx.so"])) else { return };
    has_and_packs(&bench.library("w/l/libx.so", plain()), &["w/l/libx.so"]);
}

#[test]
fn a_relative_name_may_have_dots() {
    for (name, opened) in [("./libx.so", "w/./libx.so"), ("../libx.so", "w/../libx.so")] {
        let Some(bench) = bench(needs(&[name])) else { return };
        has_and_packs(&bench.library(opened, plain()), &[opened]);
    }
}

#[test]
fn a_relative_name_of_a_library_means_the_same_directory() {
    let Some(bench) = bench(needs(&["@/l/liba.so"])) else { return };
    let bench = bench.library("l/liba.so", needs(&["m/libx.so"]));
    has_and_packs(&bench.library("w/m/libx.so", plain()), &["l/liba.so", "w/m/libx.so"]);
}

#[test]
fn a_relative_name_that_leads_nowhere_is_missing() {
    let Some(bench) = bench(needs(&["l/libx.so"])) else { return };
    bench.library("l/libx.so", plain()).lacks_library("l/libx.so");
}

#[test]
fn relative_elements_are_below_the_working_directory() {
    for link in [needs(&["libx.so"]).runpath("l"), needs(&["libx.so"]).rpath("l/"), needs(&["libx.so"]).rpath("/no:l")]
    {
        let Some(bench) = bench(link) else { return };
        has_and_packs(&bench.library("w/l/libx.so", plain()), &["w/l/libx.so"]);
    }
}

#[test]
fn empty_elements_are_the_working_directory() {
    for list in [":", ":@/no", "@/no:", "@/no::@/never"] {
        for link in [needs(&["libx.so"]).runpath(list), needs(&["libx.so"]).rpath(list)] {
            let Some(bench) = bench(link) else { return };
            has_and_packs(&bench.library("w/libx.so", plain()), &["w/libx.so"]);
        }
    }
}

#[test]
fn relative_elements_stand_where_they_stand() {
    let Some(bench) = bench(needs(&["libx.so", "liby.so"]).runpath("@/l:m:@/n")) else { return };
    let bench = bench.library("l/libx.so", plain()).library("w/m/libx.so", plain());
    let bench = bench.library("w/m/liby.so", plain()).library("n/liby.so", plain());
    has_and_packs(&bench, &["l/libx.so", "w/m/liby.so"]);
}

#[test]
fn a_relative_rpath_is_inherited() {
    let Some(bench) = bench(needs(&["liba.so"]).rpath("l")) else { return };
    let bench = bench.library("w/l/liba.so", needs(&["libx.so"])).library("w/l/libx.so", plain());
    has_and_packs(&bench, &["w/l/liba.so", "w/l/libx.so"]);
}

#[test]
fn dots_are_the_working_directory() {
    let Some(bench) = bench(needs(&["libx.so"]).runpath(".")) else { return };
    has_and_packs(&bench.library("w/libx.so", plain()), &["w/./libx.so"]);
}

#[test]
fn what_was_opened_by_a_relative_path_has_an_absolute_origin() {
    let Some(bench) = bench(needs(&["l/liba.so"])) else { return };
    let bench = bench.library("w/l/liba.so", needs(&["libx.so"]).runpath("$ORIGIN/m"));
    has_and_packs(&bench.library("w/l/m/libx.so", plain()), &["w/l/liba.so", "w/l/m/libx.so"]);
}

#[test]
fn a_relative_path_and_an_absolute_one_may_be_one_file() {
    let Some(bench) = bench(needs(&["l/libx.so", "@/w/l/libx.so"])) else { return };
    has_and_packs(&bench.library("w/l/libx.so", plain()), &["w/l/libx.so"]);
}

#[test]
fn a_directory_that_is_not_told_is_refused_in_words() {
    for link in [needs(&["l/libx.so"]), needs(&["libx.so"]).runpath("l"), needs(&["libx.so"]).rpath(":@/no")] {
        let Some(bench) = Bench::of_glibc() else { return };
        let bench = bench.program(link).library("w/l/libx.so", plain()).library("w/libx.so", plain()).started_in("w");
        bench.assert_starts(true);
        let closure = bench.closure();
        assert_eq!(closure.missing().len(), 1);
        let note = closure.missing()[0].note().unwrap_or_default();
        assert!(note.contains("working directory"), "{note}");
        let error = bench.image().build().unwrap_err().to_string();
        assert!(error.contains("working directory"), "{error}");
    }
}

#[test]
fn a_directory_that_is_not_told_and_not_needed_is_warned_of() {
    let Some(bench) = Bench::of_glibc() else { return };
    let bench = bench.program(needs(&["libx.so"]).runpath("l:$ORIGIN")).library("bin/libx.so", plain());
    bench.loads(&["bin/libx.so"]);
    assert_eq!(codes(bench.closure().findings()), ["relative-path"]);
}

#[test]
fn musl_means_the_working_directory_as_well() {
    for (link, opened) in [(needs(&["l/libx.so"]), "w/l/libx.so"), (needs(&["libx.so"]).runpath("l"), "w/l/libx.so")] {
        let Some(bench) = Bench::of_musl() else { return };
        let bench = bench.program(link).workdir("w").library(opened, plain());
        has_and_packs(&bench, &[opened]);
    }
}

#[test]
fn musl_passes_over_empty_elements() {
    for list in [":", ":@/no", "@/no::@/never"] {
        let Some(bench) = Bench::of_musl() else { return };
        let bench = bench.program(needs(&["libx.so"]).runpath(list)).folder("w").workdir("w");
        bench.library("w/libx.so", plain()).lacks_library("libx.so");
    }
}
