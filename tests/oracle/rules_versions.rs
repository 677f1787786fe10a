//! glibc: the versions that an object needs of others, looked for when all are loaded.

use crate::bench::Bench;
use crate::link::{needs, plain};
use crate::patch::{DT_NOTHING, rehash_version, replace_version, retag_first, weaken_version};
use crate::tools::{self, text_of};

const RELR_MARKER: &str = "GLIBC_ABI_DT_RELR";
/// What every program needs of its C library.
const VERSION_OF_C: &str = "GLIBC_2.2.5";

/// A library that needs versions itself.
const USER_OF_C: &str = "#include <stdio.h>\nint say(void) { return puts(\"\"); }";

/// A program that needs the versions of `l/libx.so`.
fn program_using(versions: &[&str]) -> Option<Bench> {
    Some(Bench::of_glibc()?.program(plain().uses("libx.so", versions).runpath("@/l")))
}

#[test]
fn versions_that_are_defined_are_there() {
    let Some(bench) = program_using(&["ONE", "TWO"]) else { return };
    bench.library("l/libx.so", plain().defines(&["ONE", "TWO"])).loads(&["l/libx.so"]);
}

#[test]
fn a_version_that_is_not_defined_is_missing() {
    let Some(bench) = program_using(&["ONE", "TWO"]) else { return };
    bench.library("l/libx.so", plain().defines(&["ONE"])).lacks("libx.so", "TWO");
}

#[test]
fn the_symbol_without_the_version_is_not_enough() {
    let Some(bench) = program_using(&["TWO"]) else { return };
    bench.library("l/libx.so", plain().defines(&["ONE"]).defines_unversioned(&["TWO"])).lacks("libx.so", "TWO");
}

#[test]
fn a_library_that_defines_no_versions_is_not_asked() {
    let Some(bench) = program_using(&["ONE"]) else { return };
    bench.library("l/libx.so", plain().code(USER_OF_C).defines_unversioned(&["ONE"])).loads(&["l/libx.so"]);
}

/// It is the symbol that the loader then does not look for in there.
#[test]
#[ignore = "the closure does not look for symbols"]
fn a_library_that_has_nothing_to_do_with_versions_is_fatal() {
    let Some(bench) = program_using(&["ONE"]) else { return };
    bench.library("l/libx.so", plain().defines_unversioned(&["ONE"])).agrees_with_run();
}

#[test]
fn a_version_of_which_only_a_successor_is_defined_is_missing() {
    let Some(bench) = program_using(&["ONE"]) else { return };
    bench
        .library("l/libx.so", plain().defines(&["ONE", "TWO"]))
        .patch("l/libx.so", |bytes| rehash_version(bytes, "ONE"))
        .lacks("libx.so", "ONE");
}

#[test]
fn a_version_with_predecessors_is_there() {
    let Some(bench) = program_using(&["THREE"]) else { return };
    bench.library("l/libx.so", plain().defines(&["ONE", "TWO", "THREE"])).loads(&["l/libx.so"]);
}

#[test]
fn a_version_that_is_needed_under_another_hash_is_missing() {
    let Some(bench) = program_using(&["ONE"]) else { return };
    bench
        .patch("bin/app", |bytes| rehash_version(bytes, "ONE"))
        .library("l/libx.so", plain().defines(&["ONE"]))
        .lacks("libx.so", "ONE");
}

#[test]
fn a_version_that_is_needed_weakly_may_be_missing() {
    let Some(bench) = program_using(&["TWO"]) else { return };
    bench
        .patch("bin/app", |bytes| weaken_version(bytes, "TWO"))
        .library("l/libx.so", plain().defines(&["ONE"]).defines_unversioned(&["TWO"]))
        .starts_with(&["l/libx.so"]);
}

#[test]
fn every_version_that_is_missing_is_told() {
    let Some(bench) = program_using(&["ONE", "TWO", "THREE"]) else { return };
    let bench = bench.library("l/libx.so", plain().defines(&["TWO"]));
    let said = text_of(&bench.output());
    assert!(["ONE", "THREE"].iter().all(|version| said.contains(&format!("version `{version}' not found"))), "{said}");
    let mut missing = bench.missing_versions();
    missing.sort();
    assert_eq!(missing, [("libx.so".into(), "ONE".into()), ("libx.so".into(), "THREE".into())]);
}

#[test]
fn what_libraries_need_counts_as_well() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so"]).rpath("@/l"))
        .library("l/liba.so", plain().uses("libx.so", &["TWO"]))
        .library("l/libx.so", plain().defines(&["ONE"]))
        .lacks("libx.so", "TWO");
}

#[test]
fn what_is_never_called_counts_as_well() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so"]).rpath("@/l").flags(&["-z", "lazy"]))
        .library("l/liba.so", plain().uses("libx.so", &["TWO"]).flags(&["-z", "lazy"]))
        .library("l/libx.so", plain().defines(&["ONE"]))
        .lacks("libx.so", "TWO");
}

#[test]
fn a_library_that_answers_to_a_name_is_the_one_that_is_asked() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["@/other/liby.so", "liba.so"]).rpath("@/l"))
        .library("other/liby.so", plain().soname("libx.so").defines(&["ONE"]))
        .library("l/liba.so", plain().uses("libx.so", &["TWO"]))
        .library("l/libx.so", plain().defines(&["TWO"]))
        .lacks("libx.so", "TWO");
}

#[test]
fn a_library_is_asked_by_any_of_its_names() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(plain().uses("libx.so", &["ONE"]).uses("liby.so", &["TWO"]).rpath("@/l"))
        .library("l/libx.so", plain().defines(&["ONE", "TWO"]))
        .link("l/liby.so", "libx.so")
        .loads(&["l/libx.so"]);
}

#[test]
fn a_version_of_a_library_that_nothing_loads_is_fatal() {
    let Some(bench) = program_using(&["ONE"]) else { return };
    let bench =
        bench.patch("bin/app", |bytes| retag_first(bytes, DT_NOTHING)).library("l/libx.so", plain().defines(&["ONE"]));
    bench.assert_starts(false);
    assert_eq!(bench.missing_versions(), [("libx.so".into(), "ONE".into())]);
}

/// A program with DT_RELR, which linkers have learned late.
fn with_packed_relocations() -> Option<Bench> {
    let is_known = tools::run(tools::command("ld").arg("--help")).contains("pack-relative-relocs");
    if !tools::is_available("a linker that knows DT_RELR", is_known) {
        return None;
    }
    Some(Bench::of_glibc()?.program(plain().packs_relocations()))
}

#[test]
fn packed_relocations_that_are_told_are_fine() {
    let Some(bench) = with_packed_relocations() else { return };
    bench.loads(&[]);
}

#[test]
fn packed_relocations_that_are_not_told_are_fatal() {
    let Some(bench) = with_packed_relocations() else { return };
    bench.patch("bin/app", |bytes| replace_version(bytes, RELR_MARKER, VERSION_OF_C)).lacks("libc.so.6", RELR_MARKER);
}

#[test]
fn packed_relocations_of_what_needs_no_versions_are_fine() {
    let Some(bench) = with_packed_relocations() else { return };
    bench
        .program(needs(&["libx.so"]).runpath("@/l"))
        .library("l/libx.so", needs(&["libc.so.6"]).packs_relocations())
        .loads(&["l/libx.so"]);
}

/// A linker adds the version itself where it sees others of the library that users see.
#[test]
fn packed_relocations_that_a_library_does_not_tell_are_fatal() {
    let Some(bench) = with_packed_relocations() else { return };
    bench
        .program(needs(&["libx.so"]).runpath("@/l"))
        .library("l/libx.so", plain().uses("libc.so.6", &["GLIBC_PRIVATE"]).packs_relocations())
        .lacks("libc.so.6", RELR_MARKER);
}

#[test]
fn musl_asks_for_no_versions() {
    let Some(bench) = Bench::of_musl() else { return };
    bench
        .program(plain().uses("libx.so", &["TWO"]).runpath("@/l"))
        .library("l/libx.so", plain().defines(&["ONE"]).defines_unversioned(&["TWO"]))
        .loads(&["l/libx.so"]);
}
