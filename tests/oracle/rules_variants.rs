//! glibc: libraries that are there for some CPUs only, in subdirectories (ld.so(8), "Hardware capabilities").

use scratchpack::{Closure, Finding};

use crate::bench::{Bench, codes, told_by};
use crate::compare::missing;
use crate::link::{Link, needs, plain};
use crate::loader::Listing;
use crate::packed::Packed;
use crate::rules_cache::{ENTRIES, ENTRY};
use crate::tools;

/// Every x86-64 machine of the last fifteen years has the first, and nearly every one of the last ten the second.
const LEVELS: [&str; 2] = ["x86-64-v2", "x86-64-v3"];
/// The levels of some CPUs, as far as a loader can play them.
const CPUS: [&str; 3] = ["x86-64-v3:x86-64-v2", "x86-64-v2", "none"];

/// A program with a library in `l`, and that directory's subdirectories.
fn bench() -> Option<Bench> {
    let is_known = cfg!(target_arch = "x86_64");
    if !tools::is_available("levels of x86-64", is_known) {
        return None;
    }
    Some(Bench::of_glibc()?.program(needs(&["libx.so"]).runpath("@/l")))
}

fn variant(level: &str) -> String {
    format!("l/glibc-hwcaps/{level}/libx.so")
}

fn with_variants(bench: Bench, link: impl Fn() -> Link) -> Bench {
    LEVELS.iter().fold(bench, |bench, level| bench.library(&variant(level), link()))
}

fn cpu_findings(closure: &Closure) -> Vec<&Finding> {
    closure.findings().iter().filter(|finding| finding.code().starts_with("cpu-")).collect()
}

/// Whether the closure has the very files that the loader lists.
fn assert_holds(closure: &Closure, listing: &Listing) {
    assert_eq!(listing.missing, missing(closure));
    for listed in &listing.objects {
        let has = closure.objects().iter().any(|object| object.opened().to_str() == Some(&listed.path));
        assert!(has, "{} is not there", listed.path);
    }
}

/// Each CPU has the same libraries in the bench and in the image.
fn assert_same_on_all(bench: &Bench, packed: &Packed) {
    for mask in CPUS {
        let options = ["--glibc-hwcaps-mask", mask];
        let interpreter = bench.interpreter();
        let here = told_by(&bench.output_of_loader(&options), interpreter.as_ref());
        let there = told_by(&packed.output_of_loader(&options), interpreter.as_ref());
        assert_eq!(here, there, "{mask}");
    }
}

#[test]
fn the_closure_has_what_runs_on_every_cpu() {
    let Some(bench) = bench() else { return };
    let bench = with_variants(bench, plain).library("l/libx.so", plain());
    let closure = bench.closure();
    bench.starts_with(&["l/libx.so"]);
    assert!(cpu_findings(&closure).is_empty());
    let options = ["--glibc-hwcaps-mask", "none"];
    assert!(
        told_by(&bench.output_of_loader(&options), bench.interpreter().as_ref()).contains(&bench.absolute("l/libx.so"))
    );
    let Some(packed) = bench.pack() else { return };
    packed.loads_its_closure();
}

#[test]
fn with_all_variants_the_closure_has_the_one_of_this_cpu() {
    let Some(bench) = bench() else { return };
    let bench = with_variants(bench, plain).library("l/libx.so", plain()).hwcaps("all");
    let closure = bench.closure();
    assert_holds(&closure, &bench.listing().unwrap());
    assert_eq!(closure.objects().iter().filter(|object| object.name() == "libx.so").count(), 3);
    assert!(cpu_findings(&closure).is_empty());
    let Some(packed) = bench.pack() else { return };
    assert_same_on_all(&bench, &packed);
}

#[test]
fn variants_up_to_a_level_are_those_below_it_too() {
    let Some(bench) = bench() else { return };
    let bench = with_variants(bench, plain).library("l/libx.so", plain()).hwcaps(LEVELS[0]);
    bench.starts_with(&["l/libx.so", &variant(LEVELS[0])]);
}

#[test]
fn a_variant_may_need_what_the_library_for_all_does_not() {
    let Some(bench) = bench() else { return };
    let bench = with_variants(bench, || needs(&["liby.so"]).runpath("@/l"));
    let bench = bench.library("l/libx.so", plain()).library("l/liby.so", plain()).hwcaps("all");
    assert_holds(&bench.closure(), &bench.listing().unwrap());
    let Some(packed) = bench.pack() else { return };
    assert_same_on_all(&bench, &packed);
}

#[test]
fn a_variant_of_which_something_is_missing_is_missing_it() {
    let Some(bench) = bench() else { return };
    let bench = with_variants(bench, || needs(&["liby.so"])).library("l/libx.so", plain()).hwcaps("all");
    bench.assert_starts(false);
    assert_eq!(Vec::from_iter(missing(&bench.closure())), ["liby.so"]);
}

#[test]
fn variants_have_their_own_origin() {
    let Some(bench) = bench() else { return };
    let bench = with_variants(bench, || needs(&["liby.so"]).runpath("$ORIGIN/m"));
    let add = |bench: Bench, level: &&str| bench.library(&format!("l/glibc-hwcaps/{level}/m/liby.so"), plain());
    let bench = LEVELS.iter().fold(bench.library("l/libx.so", plain()).hwcaps("all"), add);
    assert_holds(&bench.closure(), &bench.listing().unwrap());
    let Some(packed) = bench.pack() else { return };
    assert_same_on_all(&bench, &packed);
}

#[test]
fn variants_that_the_programs_origin_leads_to_move_with_it() {
    let Some(bench) = bench() else { return };
    let bench = bench.program(needs(&["libx.so"]).runpath("$ORIGIN/../l"));
    let bench = with_variants(bench, plain).library("l/libx.so", plain()).hwcaps("all");
    let Some(packed) = bench.pack() else { return };
    assert_eq!(bench.loaded().len(), packed.loaded().iter().filter(|path| path.contains("/l/")).count());
    assert!(packed.loaded().iter().any(|path| path.contains(LEVELS[0]) || path.contains(LEVELS[1])));
}

#[test]
fn variants_from_the_library_path_stay_variants() {
    let Some(bench) = bench() else { return };
    let bench = bench.program(needs(&["libx.so"])).library_path("@/l");
    let bench = with_variants(bench, plain).library("l/libx.so", plain()).hwcaps("all");
    assert_holds(&bench.closure(), &bench.listing().unwrap());
    let Some(packed) = bench.pack() else { return };
    assert!(packed.loaded().iter().any(|path| path.contains(LEVELS[0]) || path.contains(LEVELS[1])));
}

#[test]
fn a_library_for_some_cpus_only_is_taken_and_its_level_named() {
    let Some(bench) = bench() else { return };
    let bench = bench.library(&variant(LEVELS[0]), plain());
    bench.loads(&[&variant(LEVELS[0])]);
    let closure = bench.closure();
    let findings = cpu_findings(&closure);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].code(), "cpu-level");
    assert!(findings[0].message().contains(LEVELS[0]), "{}", findings[0].message());
    let Some(packed) = bench.pack() else { return };
    packed.loads_its_closure();
}

#[test]
fn of_libraries_for_some_cpus_only_more_cpus_have_the_one_that_is_taken() {
    let Some(bench) = bench() else { return };
    let bench = with_variants(bench, plain);
    bench.starts_with(&[&variant(LEVELS[0])]);
    let closure = bench.closure();
    assert_eq!(cpu_findings(&closure).len(), 1);
    let Some(packed) = bench.pack() else { return };
    packed.loads_its_closure();
}

#[test]
fn a_library_for_all_cpus_elsewhere_counts_before_one_for_some() {
    let Some(bench) = bench() else { return };
    let bench = bench.program(needs(&["libx.so"]).runpath("@/l:@/m"));
    let bench = with_variants(bench, plain).library("m/libx.so", plain());
    bench.starts_with(&["m/libx.so"]);
    assert!(cpu_findings(&bench.closure()).is_empty());
    let Some(packed) = bench.pack() else { return };
    packed.loads_its_closure();
}

/// A program that has its library and the variants of it through a cache.
fn with_cache(libraries: &[&str]) -> Option<Bench> {
    bench()?;
    let bench = Bench::in_chroot()?.program(needs(&["libx.so.1"])).text("etc/ld.so.conf", "/opt/l\n");
    let add = |bench: Bench, path: &&str| bench.library(path, plain().soname("libx.so.1"));
    Some(libraries.iter().fold(bench, add).ldconfig())
}

const IN_CACHE: [&str; 3] =
    ["opt/l/libx.so.1", "opt/l/glibc-hwcaps/x86-64-v2/libx.so.1", "opt/l/glibc-hwcaps/x86-64-v3/libx.so.1"];

#[test]
fn a_cache_has_variants_beside_the_library_for_all_cpus() {
    let Some(bench) = with_cache(&IN_CACHE) else { return };
    bench.starts_with(&IN_CACHE[..1]);
    let bench = bench.hwcaps("all");
    assert_holds(&bench.closure(), &bench.listing().unwrap());
    let Some(packed) = bench.pack() else { return };
    assert_same_on_all(&bench, &packed);
}

/// The loader stops at the first entry that asks nothing of the CPU.
#[test]
fn variants_behind_the_library_for_all_cpus_do_not_count_in_a_cache() {
    let Some(bench) = with_cache(&IN_CACHE[..2]) else { return };
    let bench = bench.patch("etc/ld.so.cache", swap_first_entries).hwcaps("all");
    assert!(bench.loaded().iter().any(|path| path == IN_CACHE[0]));
    bench.starts_with(&IN_CACHE[..1]);
}

fn swap_first_entries(cache: &mut [u8]) {
    let (first, second) = cache[ENTRIES..ENTRIES + 2 * ENTRY].split_at_mut(ENTRY);
    first.swap_with_slice(second);
}

#[test]
fn a_cache_may_have_a_variant_only() {
    let Some(bench) = with_cache(&IN_CACHE[1..2]) else { return };
    bench.loads(&IN_CACHE[1..2]);
    assert_eq!(codes(bench.closure().findings()), ["cpu-level"]);
    let Some(packed) = bench.pack() else { return };
    packed.loads_its_closure();
}

#[test]
fn variants_that_a_cache_would_have_are_in_the_image() {
    let Some(bench) = with_cache(&IN_CACHE) else { return };
    let bench = bench.hwcaps("all");
    let here = bench.loaded();
    let Some(packed) = bench.remove("etc/ld.so.cache").pack() else { return };
    let there: Vec<String> = packed.loaded().iter().map(|path| path[1..].to_owned()).collect();
    assert!(here.iter().all(|path| there.contains(path)), "{here:?}\n{there:?}");
}

#[test]
fn builtin_directories_have_variants_as_well() {
    let Some(bench) = Bench::in_chroot() else { return };
    let bench = bench.program(needs(&["libx.so"])).library("usr/lib/libx.so", plain()).hwcaps("all");
    let add = |bench: Bench, level: &&str| bench.library(&format!("usr/lib/glibc-hwcaps/{level}/libx.so"), plain());
    let bench = LEVELS.iter().fold(bench, add);
    assert_holds(&bench.closure(), &bench.listing().unwrap());
    let Some(packed) = bench.pack() else { return };
    assert_same_on_all(&bench, &packed);
}

/// Of loaders up to 2.36.
const LEGACY: [&str; 5] = ["tls", "x86_64", "tls/x86_64", "haswell", "haswell/x86_64"];

#[test]
fn a_library_in_an_older_subdirectory_only_is_taken_where_the_loader_takes_it() {
    for subdirectory in LEGACY {
        let Some(bench) = bench() else { return };
        let bench = bench.library(&format!("l/{subdirectory}/libx.so"), plain());
        if !bench.output().status.success() {
            tools::say(&format!("skipped: needs a loader that searches {subdirectory}"));
            continue;
        }
        bench.agrees();
        assert_eq!(cpu_findings(&bench.closure()).len(), 1);
        let Some(packed) = bench.pack() else { return };
        packed.loads_its_closure();
    }
}

#[test]
fn a_library_beside_older_subdirectories_is_the_one_that_is_taken() {
    for subdirectory in LEGACY {
        let Some(bench) = bench() else { return };
        let bench = bench.library("l/libx.so", plain()).library(&format!("l/{subdirectory}/libx.so"), plain());
        bench.starts_with(&["l/libx.so"]);
        let Some(packed) = bench.pack() else { return };
        packed.loads_its_closure();
    }
}

/// ldconfig lists what the loader of the same version searches.
#[test]
fn a_cache_may_have_a_library_in_an_older_subdirectory_only() {
    for subdirectory in LEGACY {
        let path = format!("opt/l/{subdirectory}/libx.so.1");
        let Some(bench) = with_cache(&[&path]) else { return };
        if !bench.output().status.success() {
            tools::say(&format!("skipped: needs a cache with {subdirectory}"));
            continue;
        }
        bench.starts_with(&[&path]);
        let Some(packed) = bench.pack() else { return };
        packed.loads_its_closure();
    }
}

#[test]
fn a_cache_that_is_not_there_may_have_a_variant_only() {
    let Some(bench) = with_cache(&IN_CACHE[1..2]) else { return };
    bench.assert_starts(true);
    let bench = bench.remove("etc/ld.so.cache");
    bench.assert_starts(false);
    assert!(codes(bench.closure().findings()).contains(&"cpu-level"));
    let Some(packed) = bench.pack() else { return };
    packed.loads_its_closure();
}

#[test]
fn what_is_there_for_some_cpus_only_has_what_it_needs() {
    let Some(bench) = bench() else { return };
    let bench = bench.library(&variant(LEVELS[0]), needs(&["liby.so"]).runpath("$ORIGIN"));
    let bench = bench.library("l/glibc-hwcaps/x86-64-v2/liby.so", plain());
    bench.loads(&[&variant(LEVELS[0]), "l/glibc-hwcaps/x86-64-v2/liby.so"]);
    let Some(packed) = bench.pack() else { return };
    packed.loads_its_closure();
}

#[test]
fn variants_of_what_variants_need_are_variants_too() {
    let Some(bench) = bench() else { return };
    let bench = with_variants(bench, || needs(&["liby.so"]).runpath("@/m")).library("l/libx.so", plain());
    let bench = bench.library("m/liby.so", plain()).library("m/glibc-hwcaps/x86-64-v2/liby.so", plain());
    let bench = bench.hwcaps("all");
    assert_holds(&bench.closure(), &bench.listing().unwrap());
    let Some(packed) = bench.pack() else { return };
    assert_same_on_all(&bench, &packed);
}

#[test]
fn an_auditing_object_has_variants_as_well() {
    let Some(bench) = bench() else { return };
    let bench = bench.program(plain().flags(&["--audit", "libx.so"]).runpath("@/l")).hwcaps("all");
    let bench = with_variants(bench, plain).library("l/libx.so", plain());
    let closure = bench.closure();
    assert_eq!(closure.objects().iter().filter(|object| object.name() == "libx.so").count(), 3);
}
