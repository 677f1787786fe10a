//! glibc: `$PLATFORM`, which depends on the CPU that a program runs on.

use scratchpack::Closure;

use crate::bench::{Bench, codes};
use crate::link::{needs, plain};
use crate::tools;

/// All that it can be.
const PLATFORMS: [&str; 3] = ["x86_64", "haswell", "xeon_phi"];

/// A program whose library is there for these CPUs.
fn bench_for(platforms: &[&str]) -> Option<Bench> {
    if !tools::is_available("x86-64", cfg!(target_arch = "x86_64")) {
        return None;
    }
    let bench = Bench::of_glibc()?.program(needs(&["libx.so"]).runpath("@/$PLATFORM"));
    Some(platforms.iter().fold(bench, |bench, platform| bench.library(&format!("{platform}/libx.so"), plain())))
}

/// What it is here.
fn own() -> Option<&'static str> {
    let loaded = bench_for(&PLATFORMS)?.loaded();
    PLATFORMS.into_iter().find(|platform| loaded == [format!("{platform}/libx.so")])
}

fn assert_warns(closure: &Closure) {
    assert!(codes(closure.findings()).contains(&"cpu-platform"), "{:?}", closure.findings());
}

#[test]
fn libraries_for_every_platform_are_all_in_the_image() {
    let Some(own) = own() else { return };
    let Some(bench) = bench_for(&PLATFORMS) else { return };
    bench.starts_with(&PLATFORMS.map(|platform| format!("{platform}/libx.so")).each_ref().map(String::as_str));
    assert_warns(&bench.closure());
    let Some(packed) = bench.pack() else { return };
    assert!(packed.loaded().contains(&bench.absolute(&format!("{own}/libx.so"))));
}

#[test]
fn a_library_for_this_platform_only_is_enough_here() {
    let Some(own) = own() else { return };
    let Some(bench) = bench_for(&[own]) else { return };
    bench.loads(&[&format!("{own}/libx.so")]);
    assert_warns(&bench.closure());
    let Some(packed) = bench.pack() else { return };
    packed.loads_its_closure();
}

/// It is packed for the machines that have it.
#[test]
fn a_library_for_another_platform_only_is_not_enough_here() {
    let Some(own) = own() else { return };
    for other in PLATFORMS.into_iter().filter(|&platform| platform != own) {
        let Some(bench) = bench_for(&[other]) else { return };
        bench.assert_starts(false);
        let closure = bench.closure();
        assert!(closure.missing().is_empty());
        assert_warns(&closure);
        let finding = closure.findings().iter().find(|finding| finding.code() == "cpu-platform").unwrap();
        assert!(finding.message().contains(&format!("was found for {other}.")), "{}", finding.message());
        let Some(packed) = bench.pack() else { return };
        packed.does_not_start();
    }
}

#[test]
fn a_library_for_no_platform_is_missing() {
    let Some(bench) = bench_for(&["sparc"]) else { return };
    bench.misses(&["libx.so"]);
}

#[test]
fn two_libraries_for_different_platforms_are_missing_one_of_them() {
    let Some(bench) = bench_for(&["x86_64"]) else { return };
    let bench = bench.program(needs(&["libx.so", "liby.so"]).runpath("@/$PLATFORM"));
    let bench = bench.library("haswell/liby.so", plain());
    bench.assert_starts(false);
    assert_eq!(bench.closure().missing().len(), 1);
}

#[test]
fn a_platform_in_a_name_counts_as_well() {
    let Some(own) = own() else { return };
    let Some(bench) = bench_for(&[]) else { return };
    let bench = bench.program(needs(&["@/$PLATFORM/libx.so"]));
    let bench = PLATFORMS.iter().fold(bench, |bench, name| bench.library(&format!("{name}/libx.so"), plain()));
    assert_warns(&bench.closure());
    let Some(packed) = bench.pack() else { return };
    assert!(packed.loaded().contains(&bench.absolute(&format!("{own}/libx.so"))));
}

#[test]
fn a_platform_that_is_not_asked_for_is_not_warned_of() {
    let Some(bench) = bench_for(&[]) else { return };
    let bench = bench.program(needs(&["@/l/libx.so"]).runpath("@/$PLATFORM")).library("l/libx.so", plain());
    bench.loads(&["l/libx.so"]);
}

#[test]
fn libraries_for_every_platform_may_need_different_ones() {
    let Some(own) = own() else { return };
    let Some(bench) = bench_for(&[]) else { return };
    let bench = bench.program(needs(&["libx.so"]).rpath("@/$PLATFORM"));
    let bench = PLATFORMS.iter().fold(bench, |bench, platform| {
        let needed = format!("liby_{platform}.so");
        bench
            .library(&format!("{platform}/libx.so"), needs(&[&needed]))
            .library(&format!("{platform}/{needed}"), plain())
    });
    let Some(packed) = bench.pack() else { return };
    assert!(packed.loaded().contains(&bench.absolute(&format!("{own}/liby_{own}.so"))));
}
