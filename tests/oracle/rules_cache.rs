//! glibc: the loader's cache, and the directories built into it, in a root that holds nothing else.

use crate::bench::{Bench, codes};
use crate::link::{needs, plain};

/// Where the parts of a cache are.
const BYTE_ORDER: usize = 28;
pub(crate) const ENTRIES: usize = 48;
pub(crate) const ENTRY: usize = 24;
const FLAGS: usize = 0;
const VALUE: usize = 8;

/// A program with a library that only the cache knows.
fn with_hit() -> Option<Bench> {
    let bench = Bench::in_chroot()?.program(needs(&["libx.so.1"])).text("etc/ld.so.conf", "/opt/l\n");
    Some(bench.library("opt/l/libx.so.1", plain().soname("libx.so.1")))
}

/// Sets a field in every entry of a cache.
fn set(bytes: &mut [u8], field: usize, value: u32) {
    let count = u32::from_ne_bytes(bytes[20..24].try_into().unwrap());
    for number in 0..usize::try_from(count).unwrap() {
        let at = ENTRIES + number * ENTRY + field;
        bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
}

#[test]
fn a_hit_of_the_cache_is_opened() {
    let Some(bench) = with_hit() else { return };
    bench.ldconfig().loads(&["opt/l/libx.so.1"]);
}

/// A sysroot without a cache is taken for one in which ldconfig did not run yet; its own loader finds nothing.
#[test]
fn the_list_of_directories_is_read_in_place_of_a_cache_that_is_absent_and_never_else() {
    let Some(bench) = with_hit() else { return };
    bench.assert_starts(false);
    assert_eq!(codes(bench.closure().findings()), ["no-cache"]);
    if let Some(packed) = bench.pack() {
        packed.loads_its_closure();
    }
    bench.text("etc/ld.so.cache", "no cache").misses(&["libx.so.1"]);
}

#[test]
fn the_cache_comes_before_the_builtin_directories() {
    let Some(bench) = with_hit() else { return };
    bench.ldconfig().library("usr/lib/libx.so.1", plain().soname("libx.so.1")).loads(&["opt/l/libx.so.1"]);
}

#[test]
fn a_runpath_comes_before_the_cache() {
    let Some(bench) = Bench::in_chroot() else { return };
    bench
        .program(needs(&["libx.so.1"]).runpath("/r"))
        .library("opt/l/libx.so.1", plain().soname("libx.so.1"))
        .library("r/libx.so.1", plain())
        .text("etc/ld.so.conf", "/opt/l\n")
        .ldconfig()
        .loads(&["r/libx.so.1"]);
}

#[test]
fn of_equal_names_the_first_directory_counts() {
    let Some(bench) = Bench::in_chroot() else { return };
    bench
        .program(needs(&["libx.so.1"]))
        .library("opt/b/libx.so.1", plain().soname("libx.so.1"))
        .library("opt/a/libx.so.1", plain().soname("libx.so.1"))
        .text("etc/ld.so.conf", "/opt/b\n/opt/a\n")
        .ldconfig()
        .loads(&["opt/b/libx.so.1"]);
}

#[test]
fn names_are_found_among_many() {
    let names: Vec<String> = (1..=30).map(|number| format!("libx.so.{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let Some(bench) = Bench::in_chroot() else { return };
    let bench = bench.program(needs(&names)).text("etc/ld.so.conf", "/opt/l\n");
    let bench = names.iter().fold(bench, |bench, name| bench.library(&format!("opt/l/{name}"), plain().soname(name)));
    assert!(bench.ldconfig().agrees().missing().is_empty());
}

#[test]
fn a_hit_may_be_a_symlink() {
    let Some(bench) = Bench::in_chroot() else { return };
    bench
        .program(needs(&["libx.so.1"]))
        .library("opt/l/libx.so.1.2", plain().soname("libx.so.1"))
        .text("etc/ld.so.conf", "/opt/l\n")
        .ldconfig()
        .loads(&["opt/l/libx.so.1"]);
}

#[test]
fn a_hit_that_does_not_open_leads_on_to_the_builtin_directories() {
    let Some(bench) = with_hit() else { return };
    bench.ldconfig().library("usr/lib/libx.so.1", plain()).remove("opt/l/libx.so.1").loads(&["usr/lib/libx.so.1"]);
}

#[test]
fn a_hit_that_is_text_is_fatal() {
    let Some(bench) = with_hit() else { return };
    bench.ldconfig().library("usr/lib/libx.so.1", plain()).text("opt/l/libx.so.1", "").dies_of("libx.so.1");
}

#[test]
fn without_default_directories_a_hit_elsewhere_counts() {
    let Some(bench) = Bench::in_chroot() else { return };
    bench
        .program(needs(&["/opt/m/liba.so"]))
        .library("opt/m/liba.so", needs(&["libx.so.1", "liby.so.1"]).flags(&["-z", "nodefaultlib"]))
        .library("opt/l/libx.so.1", plain().soname("libx.so.1"))
        .library("usr/lib/liby.so.1", plain().soname("liby.so.1"))
        .text("etc/ld.so.conf", "/opt/l\n")
        .ldconfig()
        .misses(&["liby.so.1"]);
}

/// The loader compares text, so a directory below a builtin one counts as that one.
#[test]
fn without_default_directories_a_hit_below_one_does_not_count() {
    let Some(bench) = Bench::in_chroot() else { return };
    bench
        .program(needs(&["/opt/m/liba.so"]))
        .library("opt/m/liba.so", needs(&["libx.so.1"]).flags(&["-z", "nodefaultlib"]))
        .library("usr/lib/below/libx.so.1", plain().soname("libx.so.1"))
        .text("etc/ld.so.conf", "/usr/lib/below\n")
        .ldconfig()
        .misses(&["libx.so.1"]);
}

#[test]
fn a_cache_that_is_none_is_passed_over() {
    for text in ["", "nonsense", "glibc-ld.so.cache1.1"] {
        let Some(bench) = Bench::in_chroot() else { return };
        bench
            .program(needs(&["libx.so.1"]))
            .library("usr/lib/libx.so.1", plain())
            .text("etc/ld.so.cache", text)
            .loads(&["usr/lib/libx.so.1"]);
    }
}

#[test]
fn the_builtin_directories_are_searched_in_their_order() {
    let Some(bench) = Bench::in_chroot() else { return };
    let bench = bench.program(needs(&["liba.so", "libb.so", "libc.so"]));
    let bench = ["liba.so", "libb.so"].iter().fold(bench, |bench, name| {
        bench.library(&format!("lib/{name}"), plain()).library(&format!("usr/lib/{name}"), plain())
    });
    bench.library("usr/lib/libc.so", plain()).loads(&["lib/liba.so", "lib/libb.so", "usr/lib/libc.so"]);
}

#[test]
fn the_new_format_of_the_cache_is_read_alone_and_behind_the_old_one() {
    for format in ["new", "compat"] {
        let Some(bench) = with_hit() else { return };
        bench.ldconfig_with(&["-c", format]).loads(&["opt/l/libx.so.1"]);
    }
}

#[test]
fn the_old_format_of_the_cache_is_read_alone() {
    let Some(bench) = with_hit() else { return };
    bench.ldconfig_with(&["-c", "old"]).remove("etc/ld.so.conf").loads(&["opt/l/libx.so.1"]);
}

#[test]
fn entries_for_other_machines_do_not_count() {
    for flags in [0, 1, 2, 3, 0x103, 0x303, 0x403, 0x803, 0xa03] {
        let Some(bench) = with_hit() else { return };
        bench.ldconfig().patch("etc/ld.so.cache", |bytes| set(bytes, FLAGS, flags)).agrees_with_run();
    }
}

#[test]
fn a_cache_of_another_byte_order_does_not_count() {
    for order in [0, 1, 2, 3] {
        let Some(bench) = with_hit() else { return };
        let bench = bench.ldconfig().patch("etc/ld.so.cache", |bytes| bytes[BYTE_ORDER] = order);
        bench.remove("etc/ld.so.conf").agrees_with_run();
    }
}

#[test]
fn an_entry_that_points_behind_the_end_does_not_count() {
    let Some(bench) = with_hit() else { return };
    bench.ldconfig().patch("etc/ld.so.cache", |bytes| set(bytes, VALUE, u32::MAX - 8)).misses(&["libx.so.1"]);
}
