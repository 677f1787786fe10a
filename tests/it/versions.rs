//! Versions of symbols: what is needed must be defined by what was found.

use scratchpack::ErrorKind;

use crate::elf::{Fixture, LOADER, RELR, S390, library, loader, newer_loader, program};
use crate::root::{BUILTIN, Root, missing};

fn needing(version: &str) -> Fixture {
    program(&["libx.so"]).needs_version("libx.so", version)
}

fn with(program: &Fixture, library: &Fixture) -> Root {
    Root::debian().file("/app", program).file("/lib/libx.so", library)
}

#[test]
fn a_version_that_is_defined_is_fine() {
    assert_eq!(missing(&with(&needing("V2"), &library("libx.so").defines(&["V1", "V2"])).closure("/app")), [""; 0]);
}

#[test]
fn a_version_that_is_not_defined_is_missing_and_says_who_needs_it_and_where_it_is_not() {
    let root = with(&needing("V2"), &library("libx.so").defines(&["V0", "V1"]));
    let closure = root.closure("/app");
    let missing = &closure.missing()[0];
    assert_eq!((missing.name().to_str(), missing.version().and_then(|v| v.to_str())), (Some("libx.so"), Some("V2")));
    assert_eq!(missing.needed_by()[0].to_str(), Some("/app"));
    let error = root.builder("/app").build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unresolved);
    let message = error.to_string();
    assert!(message.contains("app needs version V2 of libx.so, which was not found in /lib/libx.so"), "{message}");
    assert!(message.contains("whose last version is V1"), "{message}");
}

#[test]
fn a_weak_need_of_a_version_passes() {
    let weak = program(&["libx.so"]).likes_version("libx.so", "V2");
    assert_eq!(missing(&with(&weak, &library("libx.so").defines(&["V1"])).closure("/app")), [""; 0]);
}

#[test]
fn a_library_without_versions_passes_for_any() {
    assert_eq!(missing(&with(&needing("V2"), &library("libx.so")).closure("/app")), [""; 0]);
}

#[test]
fn libraries_need_versions_of_each_other() {
    let root = Root::debian()
        .file("/app", &program(&["liba.so"]))
        .file("/lib/liba.so", &library("liba.so").needs("libb.so").needs_version("libb.so", "B2"))
        .file("/lib/libb.so", &library("libb.so").defines(&["B1"]));
    let closure = root.closure("/app");
    assert_eq!(closure.missing()[0].needed_by()[0].to_str(), Some("/lib/liba.so"));
    assert!(closure.missing()[0].to_string().contains("(via liba.so)"));
}

#[test]
fn every_version_that_is_missing_is_listed_at_once() {
    let program = needing("V2").needs_version("libx.so", "V3").needs("liby.so");
    let root = with(&program, &library("libx.so").defines(&["V1"]));
    let error = root.builder("/app").build().unwrap_err();
    assert_eq!(error.missing().len(), 3);
    let message = error.to_string();
    assert!(message.contains("1 file and 2 versions that it needs were not found"), "{message}");
}

#[test]
fn a_file_that_nothing_loads_has_no_versions() {
    let program = program(&["libx.so"]).needs_version("libother.so", "V1");
    let closure = with(&program, &library("libx.so")).closure("/app");
    assert!(closure.missing()[0].to_string().contains("but nothing loads that file"));
}

#[test]
fn versions_are_read_in_both_classes_and_byte_orders() {
    for (machine, is_64, is_little) in [(3, false, true), (S390, true, false), (8, false, false)] {
        let of = |fixture: Fixture| fixture.machine(machine, is_64, is_little);
        let root = Root::empty()
            .file(LOADER, &of(loader(&["/lib", "/usr/lib"])))
            .file("/app", &of(needing("V2").needs_version("libx.so", "V1")))
            .file("/lib/libx.so", &of(library("libx.so").defines(&["V1"])));
        let closure = root.closure("/app");
        assert_eq!(missing(&closure), ["libx.so"]);
        assert_eq!(closure.missing()[0].version().and_then(|version| version.to_str()), Some("V2"));
    }
}

fn with_relr(version: &str, loader: &Fixture) -> Vec<String> {
    let program = program(&["libc.so.6"]).number(RELR, 0).needs_version("libc.so.6", version);
    let libc = library("libc.so.6").defines(&["GLIBC_2.36", "GLIBC_ABI_DT_RELR"]);
    let root = Root::empty().file(LOADER, loader).file("/app", &program).file("/lib/libc.so.6", &libc);
    root.closure("/app").missing().iter().map(ToString::to_string).collect()
}

#[test]
fn compact_relocations_must_be_told_by_a_version_where_the_loader_knows_them() {
    assert_eq!(with_relr("GLIBC_ABI_DT_RELR", &newer_loader(&BUILTIN)), [""; 0]);
    assert_eq!(with_relr("GLIBC_2.36", &loader(&BUILTIN)), [""; 0]);
    let missing = with_relr("GLIBC_2.36", &newer_loader(&BUILTIN));
    assert!(
        missing[0].contains("needs version GLIBC_ABI_DT_RELR of libc.so.6, because /app has DT_RELR"),
        "{missing:?}"
    );
}

#[test]
fn tables_without_an_end_are_errors() {
    let mut bytes = needing("V2").bytes();
    let at = bytes.windows(8).position(|window| window == [1, 0, 1, 0, 1, 0, 0, 0]);
    // The record says that the next one is where it is not.
    let next = at.unwrap_or_else(|| bytes.windows(4).position(|window| window == [1, 0, 1, 0]).unwrap()) + 12;
    bytes[next..next + 4].copy_from_slice(&[0xf0, 0xff, 0xff, 0x7f]);
    let error = scratchpack::Elf::parse(&bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    assert!(error.to_string().contains("its symbol versions lie in no segment"), "{error}");
}

#[test]
fn a_table_at_the_end_of_the_address_space_is_an_error() {
    let mut bytes = needing("V2").bytes();
    let record = bytes.windows(4).position(|window| window == [1, 0, 1, 0]).unwrap();
    bytes[record + 12..record + 16].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(scratchpack::Elf::parse(&bytes).unwrap_err().kind(), ErrorKind::Malformed);
}
