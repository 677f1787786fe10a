//! glibc: what becomes of a candidate that is no good.

use crate::bench::Bench;
use crate::link::{needs, plain};
use crate::patch::{with_load_out_of_step, without_dynamic, without_loads};

const ET_REL: u8 = 1;
const ET_EXEC: u8 = 2;
const ET_CORE: u8 = 4;

/// Where the fields of the file header are.
const CLASS: usize = 4;
const DATA: usize = 5;
const VERSION: usize = 6;
const OS_ABI: usize = 7;
const ABI_VERSION: usize = 8;
const PADDING: usize = 9;
const TYPE: usize = 16;
const MACHINE: usize = 18;
const SECOND_VERSION: usize = 20;
const PROGRAM_HEADER_SIZE: usize = 54;

/// A library in the second of two directories of one list; a test adds something in the first, `a`.
fn second_of_two() -> Option<Bench> {
    let bench = Bench::of_glibc()?;
    Some(bench.program(needs(&["libx.so"]).runpath("@/a:@/b")).library("b/libx.so", plain()))
}

/// The same, with a file in the first directory that has other bytes than a library.
fn with_bytes(changes: &[(usize, u8)]) -> Option<Bench> {
    let change = |bytes: &mut [u8]| changes.iter().for_each(|&(at, byte)| bytes[at] = byte);
    Some(second_of_two()?.library("a/libx.so", plain()).patch("a/libx.so", change))
}

#[test]
fn a_good_file_in_the_first_directory_is_taken() {
    let Some(bench) = with_bytes(&[]) else { return };
    bench.loads(&["a/libx.so"]);
}

#[test]
fn a_directory_that_does_not_exist_is_passed_over() {
    let Some(bench) = second_of_two() else { return };
    bench.loads(&["b/libx.so"]);
}

#[test]
fn a_directory_without_the_name_is_passed_over() {
    let Some(bench) = second_of_two() else { return };
    bench.folder("a").loads(&["b/libx.so"]);
}

#[test]
fn an_element_that_is_a_file_is_passed_over() {
    let Some(bench) = second_of_two() else { return };
    bench.text("a", "no directory").loads(&["b/libx.so"]);
}

#[test]
fn a_dangling_symlink_is_passed_over() {
    let Some(bench) = second_of_two() else { return };
    bench.link("a/libx.so", "nowhere").loads(&["b/libx.so"]);
}

#[test]
fn a_symlink_through_a_file_ends_its_list() {
    let Some(bench) = second_of_two() else { return };
    bench.text("file", "no directory").link("a/libx.so", "../file/libx.so").misses(&["libx.so"]);
}

#[test]
fn a_symlink_loop_ends_its_list() {
    let Some(bench) = second_of_two() else { return };
    bench.link("a/libx.so", "libx.so").misses(&["libx.so"]);
}

#[test]
fn behind_a_symlink_loop_the_later_lists_go_on() {
    let Some(bench) = second_of_two() else { return };
    bench.link("e/libx.so", "libx.so").library_path("@/e").loads(&["b/libx.so"]);
}

#[test]
fn a_directory_that_is_a_symlink_loop_is_passed_over() {
    let Some(bench) = second_of_two() else { return };
    bench.link("a", "a").loads(&["b/libx.so"]);
}

#[test]
fn another_class_is_passed_over() {
    let Some(bench) = with_bytes(&[(CLASS, 1)]) else { return };
    bench.loads(&["b/libx.so"]);
}

#[test]
fn a_real_library_of_another_class_is_passed_over() {
    let Some(bench) = second_of_two() else { return };
    let header = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x03\0\x01\0\0\0";
    let header: String = header.iter().map(|&byte| char::from(byte)).collect();
    bench.text("a/libx.so", &format!("{header:\0<512}")).loads(&["b/libx.so"]);
}

#[test]
fn another_machine_is_passed_over() {
    let Some(bench) = with_bytes(&[(MACHINE, 0xf7), (MACHINE + 1, 0)]) else { return };
    bench.loads(&["b/libx.so"]);
}

#[test]
fn what_is_only_of_another_machine_is_missing() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["libx.so"]).runpath("@/a"))
        .library("a/libx.so", plain())
        .patch("a/libx.so", |bytes| bytes[MACHINE] = 0xf7)
        .misses(&["libx.so"]);
}

#[test]
fn another_byte_order_of_another_machine_is_passed_over_where_the_machine_is_tested_first() {
    let Some(bench) = with_bytes(&[(DATA, 2), (MACHINE, 0), (MACHINE + 1, 22)]) else { return };
    bench.agrees_with_run();
}

#[test]
fn another_byte_order_of_the_same_machine_is_fatal() {
    let Some(bench) = with_bytes(&[(DATA, 2)]) else { return };
    bench.agrees_with_run();
}

#[test]
fn text_is_fatal() {
    let Some(bench) = second_of_two() else { return };
    bench.text("a/libx.so", "/* GNU ld script */ INPUT(libx.so.1), and more than a file header has").dies_of("libx.so");
}

#[test]
fn a_short_text_is_fatal() {
    let Some(bench) = second_of_two() else { return };
    bench.text("a/libx.so", "short").dies_of("libx.so");
}

#[test]
fn an_empty_file_is_fatal() {
    let Some(bench) = second_of_two() else { return };
    bench.text("a/libx.so", "").dies_of("libx.so");
}

#[test]
fn a_directory_in_place_of_the_file_is_fatal() {
    let Some(bench) = second_of_two() else { return };
    bench.folder("a/libx.so").dies_of("libx.so");
}

#[test]
fn fatal_is_fatal_for_the_later_lists_too() {
    let Some(bench) = second_of_two() else { return };
    bench.text("e/libx.so", "").library_path("@/e").dies_of("libx.so");
}

#[test]
fn what_is_neither_a_library_nor_a_program_is_fatal() {
    for kind in [ET_REL, ET_CORE] {
        let Some(bench) = with_bytes(&[(TYPE, kind)]) else { return };
        bench.dies_of("libx.so");
    }
}

#[test]
fn a_program_is_fatal() {
    let Some(bench) = with_bytes(&[(TYPE, ET_EXEC)]) else { return };
    bench.dies_of("libx.so");
}

#[test]
fn a_position_independent_program_is_fatal() {
    let Some(bench) = second_of_two() else { return };
    bench.copy("bin/app", "a/libx.so").dies_of("libx.so");
}

#[test]
fn the_abis_of_linux_and_of_nobody_are_fine() {
    for abi in [0, 3] {
        let Some(bench) = with_bytes(&[(OS_ABI, abi)]) else { return };
        bench.loads(&["a/libx.so"]);
    }
}

#[test]
fn the_abi_of_another_system_is_fatal() {
    for abi in [1, 2, 9, 255] {
        let Some(bench) = with_bytes(&[(OS_ABI, abi)]) else { return };
        bench.dies_of("libx.so");
    }
}

#[test]
fn another_version_of_the_format_is_fatal() {
    for at in [VERSION, SECOND_VERSION] {
        let Some(bench) = with_bytes(&[(at, 2)]) else { return };
        bench.dies_of("libx.so");
    }
}

#[test]
fn another_version_of_the_abi_is_fatal() {
    let Some(bench) = with_bytes(&[(ABI_VERSION, 1)]) else { return };
    bench.dies_of("libx.so");
}

#[test]
fn a_version_of_the_abi_of_linux_that_the_loader_does_not_know_is_fatal() {
    let Some(bench) = with_bytes(&[(OS_ABI, 3), (ABI_VERSION, 99)]) else { return };
    bench.dies_of("libx.so");
}

#[test]
fn padding_that_is_not_zero_is_fatal() {
    let Some(bench) = with_bytes(&[(PADDING, 1)]) else { return };
    bench.dies_of("libx.so");
}

#[test]
fn program_headers_of_another_size_are_fatal() {
    let Some(bench) = with_bytes(&[(PROGRAM_HEADER_SIZE, 57)]) else { return };
    bench.dies_of("libx.so");
}

#[test]
fn nothing_to_load_is_fatal() {
    let Some(bench) = with_bytes(&[]) else { return };
    bench.patch("a/libx.so", without_loads).dies_of("libx.so");
}

#[test]
fn no_dynamic_section_is_fatal() {
    let Some(bench) = with_bytes(&[]) else { return };
    bench.patch("a/libx.so", without_dynamic).dies_of("libx.so");
}

#[test]
fn a_segment_out_of_step_with_its_pages_is_fatal() {
    let Some(bench) = with_bytes(&[]) else { return };
    bench.patch("a/libx.so", with_load_out_of_step).dies_of("libx.so");
}

#[test]
fn as_many_symlinks_are_followed_as_the_kernel_follows() {
    for (links, found) in [(40, "a/libx.so"), (41, "")] {
        let Some(bench) = second_of_two() else { return };
        let bench = bench.library("a/0", plain()).link("a/libx.so", &format!("{}", links - 1));
        let bench = (1..links).fold(bench, |bench, link| bench.link(&format!("a/{link}"), &format!("{}", link - 1)));
        if found.is_empty() { bench.misses(&["libx.so"]) } else { bench.loads(&[found]) }
    }
}
