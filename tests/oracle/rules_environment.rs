//! What the environment of an image makes of a program: proved, and then tried in the image.

use std::collections::BTreeSet;

use scratchpack::ErrorKind;

use crate::bench::{Bench, codes};
use crate::link::{needs, plain};
use crate::packed::Packed;
use crate::tools::text_of;
use crate::verify::verified;

/// A program that has `l/libx.so`, and by its path a second file of that name.
fn bench() -> Option<Bench> {
    let bench = Bench::of_glibc()?.program(needs(&["libx.so", "@/m/libx.so"]).runpath("@/l"));
    Some(bench.library("l/libx.so", plain()).library("m/libx.so", plain()))
}

/// A value in which `@` stands for the bench.
fn value_in(bench: &Bench, value: &str) -> String {
    value.replace('@', bench.absolute("").trim_end_matches('/'))
}

/// The image is made with this environment, and the program has the same libraries there as without.
fn assert_harmless(bench: &Bench, name: &str, value: &str) {
    let value = value_in(bench, value);
    let image = bench.image().env(name, &value).build().map(verified).unwrap();
    assert!(!codes(image.findings()).contains(&"not-loaded"), "{:?}", image.findings());
    let Some(packed) = Packed::of(image) else { return };
    packed.env(name, &value).loads_its_closure();
}

/// The image is made with this environment, and the loader says that it goes without something.
fn assert_ignored(bench: &Bench, name: &str, value: &str, words: &str) {
    let value = value_in(bench, value);
    let image = bench.image().env(name, &value).build().map(verified).unwrap();
    assert!(codes(image.findings()).contains(&"not-loaded"), "{:?}", image.findings());
    let Some(packed) = Packed::of(image) else { return };
    let packed = packed.env(name, &value);
    let said = text_of(&packed.output());
    assert!(said.contains(words), "{said}");
    packed.loads_its_closure();
}

/// The image is not made with this environment, with which the program would have other libraries.
fn assert_refused(bench: &Bench, name: &str, value: &str) {
    let value = value_in(bench, value);
    if let Some(packed) = bench.pack() {
        let without = BTreeSet::from_iter(packed.loaded());
        assert_ne!(BTreeSet::from_iter(packed.env(name, &value).loaded()), without);
    }
    let kind = bench.image().env(name, &value).build().err().map(|error| error.kind());
    assert_eq!(kind, Some(ErrorKind::Unprovable));
}

#[test]
fn a_library_path_that_leads_to_another_file_is_refused() {
    let Some(bench) = bench() else { return };
    assert_refused(&bench, "LD_LIBRARY_PATH", "@/m");
    assert_refused(&bench, "LD_LIBRARY_PATH", "/no;@/m");
}

#[test]
fn a_library_path_that_leads_to_the_same_file_is_harmless() {
    let Some(bench) = bench() else { return };
    assert_harmless(&bench, "LD_LIBRARY_PATH", "@/l:@/m");
    assert_harmless(&bench, "LD_LIBRARY_PATH", "/no::relative");
}

#[test]
fn a_relative_library_path_means_the_working_directory() {
    let Some(bench) = bench() else { return };
    let bench = bench.workdir("m");
    for value in [".", ":", "../m"] {
        assert_refused(&bench, "LD_LIBRARY_PATH", value);
    }
}

#[test]
fn preloading_a_library_of_the_program_is_harmless() {
    let Some(bench) = bench() else { return };
    for value in ["@/l/libx.so", "@/l/libx.so @/l/libx.so", "libc.so.6", ""] {
        assert_harmless(&bench, "LD_PRELOAD", value);
    }
}

#[test]
fn a_preloaded_library_that_answers_to_the_name_of_another_is_refused() {
    let Some(bench) = bench() else { return };
    let bench = bench.library("m/libx.so", plain().soname("libx.so"));
    for value in ["@/m/libx.so", "/no.so:@/m/libx.so", "/no.so @/m/libx.so"] {
        assert_refused(&bench, "LD_PRELOAD", value);
    }
}

/// It is searched as the program would search it.
#[test]
fn a_preloaded_library_without_a_path_is_found_by_the_programs_runpath() {
    let Some(bench) = bench() else { return };
    assert_harmless(&bench, "LD_PRELOAD", "libx.so");
}

#[test]
fn a_preloaded_library_that_the_image_lacks_is_ignored() {
    let Some(bench) = bench() else { return };
    for value in ["/no.so", "libno.so", "@/bin/no.so libx.so"] {
        assert_ignored(&bench, "LD_PRELOAD", value, "cannot be preloaded");
    }
}

#[test]
fn an_auditing_object_that_the_image_lacks_is_ignored() {
    let Some(bench) = bench() else { return };
    for value in ["/no.so", "libno.so", "libno.so:/no.so"] {
        assert_ignored(&bench, "LD_AUDIT", value, "cannot be loaded as audit interface");
    }
}

#[test]
fn musl_goes_without_what_it_cannot_preload_as_well() {
    let Some(bench) = Bench::of_musl() else { return };
    let bench = bench.program(needs(&["libx.so"]).runpath("@/l")).library("l/libx.so", plain());
    let image = bench.image().env("LD_PRELOAD", "/no.so").build().map(verified).unwrap();
    assert_eq!(codes(image.findings()), ["build-path", "not-loaded"]);
    let Some(packed) = Packed::of(image) else { return };
    packed.env("LD_PRELOAD", "/no.so").loads_its_closure();
}

#[test]
fn with_musl_a_preloaded_library_with_a_path_answers_to_no_other_name() {
    let Some(bench) = Bench::of_musl() else { return };
    let bench = bench.program(needs(&["libx.so", "@/m/liby.so"]).runpath("@/l"));
    let bench = bench.library("l/libx.so", plain()).library("m/liby.so", needs(&["@/m/libx.so"]));
    assert_harmless(&bench.library("m/libx.so", plain()), "LD_PRELOAD", "@/m/libx.so");
}

#[test]
fn with_musl_a_library_path_that_leads_to_another_file_is_refused() {
    let Some(bench) = Bench::of_musl() else { return };
    let bench = bench.program(needs(&["libx.so", "@/m/liby.so"]).runpath("@/l"));
    let bench = bench.library("l/libx.so", plain()).library("m/liby.so", needs(&["@/m/libx.so"]));
    let bench = bench.library("m/libx.so", plain());
    assert_refused(&bench, "LD_LIBRARY_PATH", "@/m");
}
