//! What exceeds a limit is refused, and told which limit that is.

use std::fs;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use scratchpack::limits::{
    MAX_DLOPEN_NOTES, MAX_DYNAMIC_ENTRIES, MAX_FILE, MAX_INTERPRETER, MAX_LAYER, MAX_LINKS, MAX_LOOKUPS, MAX_NAME,
    MAX_NAMED, MAX_NEEDED, MAX_NEEDED_NAMES, MAX_NOTES, MAX_OBJECTS, MAX_PATH_ELEMENTS, MAX_PATH_LIST,
    MAX_PROGRAM_HEADERS, MAX_RELOCATIONS, MAX_SYMBOLS, MAX_VERSION_NAMES, MAX_VERSIONS,
};
use scratchpack::{Collector, Elf, Error, ErrorKind, Image, Need};

use crate::crafted::{Crafted, DYNAMIC, HASH, INTERP, NOTE, ROOM, STRSZ, STRTAB, SYMTAB};
use crate::elf::{AUDIT, Fixture, LOADER, NEEDED, RPATH, RUNPATH, SONAME, library, program};
use crate::root::Root;
use crate::verify::verified;

pub fn expect(error: &Error, kind: ErrorKind, limit: impl ToString) {
    let (message, limit) = (error.to_string(), limit.to_string());
    let numbers: Vec<&str> = message.split(|c: char| !c.is_ascii_digit()).collect();
    assert!(error.kind() == kind && numbers.contains(&limit.as_str()), "{limit}: {message:.300}");
}

/// A name each, as many as wanted.
fn repeated(count: usize, tag: u64, name: &str) -> Fixture {
    Fixture { strings: vec![(tag, name.as_bytes().to_vec()); count], ..library("l") }
}

/// A library that names one string of this length so often.
fn naming(count: usize, length: usize) -> Fixture {
    Fixture { numbers: vec![(NEEDED, 1); count], ..library(&"x".repeat(length)) }
}

fn text(limit: impl TryInto<usize>) -> String {
    "x".repeat(limit.try_into().ok().unwrap())
}

fn list(elements: usize) -> String {
    vec![""; elements].join(":")
}

fn notes(json: &str) -> Vec<u8> {
    library("l").loads(json).bytes()
}

fn entries(count: usize) -> String {
    format!("[{}]", vec![r#"{"soname":["l"]}"#; count].join(","))
}

fn names(count: usize) -> String {
    format!(r#"[{{"soname":[{}]}}]"#, vec![r#""l""#; count].join(","))
}

fn with_headers(count: usize) -> Vec<u8> {
    let all = Crafted::library(0x2_0000);
    (1..count).fold(all, |all, _| all.segment(NOTE, 0, 0, 0)).bytes()
}

fn with_dynamic_entries(count: usize) -> Vec<u8> {
    let size = ROOM + 16 * count;
    Crafted::library(size).segment(DYNAMIC, ROOM, ROOM as u64, 16 * count).bytes()
}

fn with_interpreter(size: usize) -> Vec<u8> {
    Crafted::library(0x2_0000).put(ROOM, b"/ld").segment(INTERP, ROOM, ROOM as u64, size).bytes()
}

fn with_versions(count: usize, length: usize) -> Vec<u8> {
    let mut fixture = library("l");
    // Each is two records, and two names.
    fixture.needed_versions = vec![("f".to_owned(), text(length), false); count / 2];
    fixture.bytes()
}

fn with_notes(size: u64) -> Vec<u8> {
    let size = usize::try_from(size).unwrap();
    Crafted::library(ROOM + size).segment(NOTE, ROOM, ROOM as u64, size).bytes()
}

type Make = fn(usize) -> Vec<u8>;

#[test]
fn a_file_at_a_limit_is_read_and_one_beyond_it_is_told_the_limit() {
    let size = |limit: u64| usize::try_from(limit).unwrap();
    let cases: [(&str, usize, Make); 16] = [
        ("program headers", MAX_PROGRAM_HEADERS, with_headers),
        ("interpreter", size(MAX_INTERPRETER), with_interpreter),
        ("dynamic entries", MAX_DYNAMIC_ENTRIES, with_dynamic_entries),
        ("NEEDED", MAX_NEEDED, |n| repeated(n, NEEDED, "l").bytes()),
        ("names of NEEDED", MAX_NEEDED_NAMES / 4096 * 4096, |n| naming(n.div_ceil(4096), 4096).bytes()),
        ("name", size(MAX_NAME), |n| library("l").needs(&text(n)).bytes()),
        ("soname", size(MAX_PATH_LIST), |n| library(&text(n)).bytes()),
        ("RUNPATH", size(MAX_PATH_LIST), |n| library("l").with(RUNPATH, &text(n)).bytes()),
        ("elements of RPATH", MAX_PATH_ELEMENTS, |n| library("l").with(RPATH, &list(n)).bytes()),
        ("elements of RUNPATH", MAX_PATH_ELEMENTS, |n| library("l").with(RUNPATH, &list(n)).bytes()),
        ("elements of AUDIT", MAX_PATH_ELEMENTS, |n| library("l").with(AUDIT, &list(n)).bytes()),
        ("versions", MAX_VERSIONS, |n| with_versions(n.next_multiple_of(2), 1)),
        ("names of versions", MAX_VERSION_NAMES / 4096, |n| with_versions(2 * n, 4095)),
        ("notes", size(MAX_NOTES), |n| with_notes(n as u64)),
        ("entries of a dlopen note", MAX_DLOPEN_NOTES, |n| notes(&entries(n))),
        ("names in an entry", MAX_DLOPEN_NOTES, |n| notes(&names(n))),
    ];
    for (what, limit, make) in cases {
        if let Err(error) = Elf::parse(&make(limit)) {
            panic!("{what}: {error}");
        }
        let error = Elf::parse(&make(limit + 1)).map(|_| what).unwrap_err();
        let shown = match what {
            "names of NEEDED" => MAX_NEEDED_NAMES,
            "names of versions" => MAX_VERSION_NAMES,
            _ => limit,
        };
        expect(&error, ErrorKind::Malformed, shown);
    }
}

/// A file that is nearly all hole.
fn sparse(path: &Path, start: &[u8], size: u64) {
    fs::write(path, start).unwrap();
    File::options().write(true).open(path).and_then(|file| file.set_len(size)).unwrap();
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let root = Root::debian();
    let start = program(&[]).bytes();
    for size in [MAX_FILE + 1, 1 << 40] {
        sparse(&root.on_machine("app"), &start, size);
        expect(&Elf::read(root.on_machine("app")).unwrap_err(), ErrorKind::Malformed, MAX_FILE);
        expect(&root.builder("app").build().unwrap_err(), ErrorKind::Malformed, MAX_FILE);
    }
    sparse(&root.on_machine("app"), &start, MAX_FILE);
    assert!(root.closure("app").missing().is_empty());
}

#[test]
fn a_library_that_is_too_large_is_told_with_the_limit() {
    let root = Root::debian().file("/app", &program(&["libx.so"])).directory("/lib");
    sparse(&root.on_machine("/lib/libx.so"), &library("libx.so").bytes(), 1 << 40);
    let error = root.builder("/app").build().unwrap_err();
    expect(&error, ErrorKind::Unresolved, MAX_FILE);
}

#[test]
fn files_that_make_a_layer_too_large_are_refused_before_anything_is_written() {
    let root = Root::debian().file("/app", &program(&[]));
    let large = root.on_machine("/large");
    let image = |sizes: &[u64]| {
        let mut builder = root.builder("/app");
        for (number, size) in sizes.iter().enumerate() {
            let path = large.with_file_name(format!("large{number}"));
            sparse(&path, b"", *size);
            builder.file(path, format!("/data/{number}"));
        }
        builder.build()
    };
    expect(&image(&[1 << 40]).unwrap_err(), ErrorKind::Unsupported, MAX_FILE);
    expect(&image(&[MAX_FILE; 4]).unwrap_err(), ErrorKind::Unsupported, MAX_LAYER);
    assert!(image(&[MAX_FILE; 3]).is_ok());
}

#[test]
fn a_program_that_loads_too_many_objects_is_told_the_limit() {
    // With the program and its interpreter.
    for (count, is_good) in [(MAX_OBJECTS - 2, true), (MAX_OBJECTS - 1, false)] {
        let names: Vec<String> = (0..count).map(|number| format!("l{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let root = Root::debian().file("/app", &program(&names));
        let root = names.iter().fold(root, |root, name| root.file(&format!("/lib/{name}"), &library(name)));
        match Collector::new().sysroot(root.path()).collect(root.on_machine("/app")) {
            Ok(closure) => assert!(is_good && closure.missing().is_empty() && closure.objects().len() == count + 1),
            Err(error) => {
                assert!(!is_good, "{error}");
                expect(&error, ErrorKind::Malformed, MAX_OBJECTS);
            }
        }
    }
}

#[test]
fn what_would_load_too_many_objects_in_an_image_is_told_the_limit() {
    let names: Vec<String> = (0..MAX_OBJECTS - 1).map(|number| format!("l{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (last, others) = names.split_last().unwrap();
    let root = Root::debian().file("/app", &program(others)).file("/more", &program(&names));
    let root = names.iter().fold(root, |root, name| root.file(&format!("/lib/{name}"), &library(name)));
    let excess = format!("it would load more than {MAX_OBJECTS} objects, which is the limit");
    for path in ["/app", "/more", LOADER] {
        fs::set_permissions(root.on_machine(path), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let check = scratchpack::check(root.path()).unwrap();
    assert_eq!(check.programs(), 2);
    let problems: Vec<String> = check.problems().iter().map(ToString::to_string).collect();
    assert_eq!(problems, [format!("/more cannot be checked: {excess}")]);
    // What the image has more than the program needs, a program or the environment asks for.
    let at = format!("/lib/{last}");
    let mut builder = root.builder("/app");
    builder.file(root.on_machine(&at), &at);
    let given = builder.clone().file(root.on_machine("/more"), "/more").build().map(verified).unwrap();
    let [finding] = given.findings() else { panic!("{:?}", given.findings()) };
    assert!(finding.code() == "file-program" && finding.message().contains(&excess), "{finding}");
    let error = builder.env("LD_PRELOAD", &at).build().unwrap_err();
    expect(&error, ErrorKind::Unprovable, MAX_OBJECTS);
}

#[test]
fn a_search_that_tries_too_many_paths_is_told_the_limit() {
    let names: Vec<String> = (0..8_000).map(|number| format!("l{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let directories: Vec<String> = (0..4_000).map(|number| format!("/{number}")).collect();
    let app = program(&names).with(RUNPATH, &directories.join(":"));
    let musl = Fixture { data: b"/etc/ld-musl-x86_64.path\0".to_vec(), ..library("libc.musl-x86_64.so.1") };
    for root in [Root::debian(), Root::empty().file(LOADER, &musl)] {
        let root = root.file("/app", &app);
        let error = Collector::new().sysroot(root.path()).collect(root.on_machine("/app")).unwrap_err();
        expect(&error, ErrorKind::Malformed, MAX_LOOKUPS);
    }
}

#[test]
fn a_library_path_with_too_many_directories_is_told_the_limit() {
    let root = Root::debian().file("/app", &program(&[]));
    let closure = |count| {
        let mut collector = Collector::new();
        (0..count).for_each(|_| {
            collector.library_path(root.path());
        });
        collector.sysroot(root.path()).collect(root.on_machine("/app"))
    };
    assert!(closure(MAX_PATH_ELEMENTS).is_ok());
    expect(&closure(MAX_PATH_ELEMENTS + 1).unwrap_err(), ErrorKind::InvalidOption, MAX_PATH_ELEMENTS);
    let image = |elements| root.builder("/app").env("LD_LIBRARY_PATH", vec!["/x"; elements].join(";")).build();
    assert!(image(MAX_PATH_ELEMENTS).is_ok());
    expect(&image(MAX_PATH_ELEMENTS + 1).unwrap_err(), ErrorKind::InvalidOption, MAX_PATH_ELEMENTS);
}

#[test]
fn a_path_through_too_many_symlinks_is_told_the_limit() {
    let mut root = Root::debian().file("/app", &program(&["libx.so"])).file("/l0", &library("libx.so"));
    for number in 1..=MAX_LINKS + 1 {
        root = root.link(&format!("/l{number}"), &format!("l{}", number - 1));
    }
    let last = |links: usize| root.on_machine(&format!("/l{links}"));
    assert!(Elf::read(last(MAX_LINKS)).is_ok());
    expect(&Elf::read(last(MAX_LINKS + 1)).unwrap_err(), ErrorKind::Io, MAX_LINKS);
    let root = root.link("/lib/libx.so", &format!("../l{MAX_LINKS}"));
    expect(&root.builder("/app").build().unwrap_err(), ErrorKind::Unresolved, MAX_LINKS);
}

/// What tells of needs is read where it decides what goes into an image.
fn with_needs(root: &Root) -> Error {
    root.builder("/app").auto().build().unwrap_err()
}

#[test]
fn a_program_with_too_many_symbols_or_relocations_is_told_the_limit() {
    let root = Root::debian();
    let strings = [(STRTAB, 0), (STRSZ, 1), (SYMTAB, ROOM as u64)];
    let (symbols, relocations) = (MAX_SYMBOLS + 1, MAX_RELOCATIONS + 1);
    for (limit, size, entries) in [
        (MAX_SYMBOLS, symbols * 24, vec![(HASH, 0x1_0f00)]),
        (MAX_RELOCATIONS, relocations * 24, vec![(7, ROOM as u64), (8, relocations * 24)]),
    ] {
        let entries = [&strings[..], &entries].concat();
        let count = u32::try_from(symbols).unwrap();
        let mut start = Crafted::program(0x2_0000).longs(0x1_0f00, &[1, count]).dynamic(0x1_0e00, &entries).bytes();
        // The one segment has all of the hole.
        let size = size + ROOM as u64;
        start[64 + 32..64 + 40].copy_from_slice(&size.to_le_bytes());
        start[64 + 40..64 + 48].copy_from_slice(&size.to_le_bytes());
        sparse(&root.on_machine("/app"), &start, size);
        expect(&with_needs(&root), ErrorKind::Malformed, limit);
    }
}

#[test]
fn a_program_with_too_many_names_among_its_constants_is_told_the_limit() {
    let names = |count: usize| (0..count).map(|number| format!("lib{number}.so\0")).collect::<String>();
    let app = |count| program(&["libc.so.6"]).imports(&["dlopen"]).data(format!("\0{}", names(count)).as_bytes());
    let warnings = |count| {
        let root = Root::debian().file("/app", &app(count)).file("/lib/libc.so.6", &library("libc.so.6"));
        let image = root.builder("/app").auto().build().map(verified).unwrap();
        image.findings().iter().map(ToString::to_string).filter(|text| text.contains("the limit")).collect::<Vec<_>>()
    };
    assert_eq!(warnings(MAX_NAMED), [""; 0]);
    let warnings = warnings(MAX_NAMED + 1);
    assert!(matches!(&warnings[..], [one] if one.contains(&MAX_NAMED.to_string())), "{warnings:?}");
}

#[test]
fn one_who_gives_no_sysroot_has_the_same_limits() {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("app");
    fs::write(&path, repeated(MAX_NEEDED + 1, SONAME, "l").bytes()).unwrap();
    assert!(Elf::read(&path).is_ok(), "only what is needed counts");
    fs::write(&path, repeated(MAX_NEEDED + 1, NEEDED, "l").bytes()).unwrap();
    expect(&Image::from_binary(&path).unwrap_err(), ErrorKind::Malformed, MAX_NEEDED);
}

#[test]
fn patterns_of_a_configuration_that_take_too_long_are_given_up_and_told() {
    let directory = |count: usize| {
        (0..count).fold(Root::debian().file("/app", &program(&[])), |root, number| {
            root.bytes(&format!("/etc/d/{number:0>250}"), b"/lib")
        })
    };
    let told = |count, pattern: &str| {
        let root = directory(count).bytes("/etc/ld.so.conf", format!("include d/{pattern}\n").as_bytes());
        let closure = root.closure("/app");
        closure.findings().iter().any(|finding| finding.to_string().contains("too many names for a pattern"))
    };
    assert!(!told(20, "*0"));
    assert!(told(300, &"*[0]".repeat(60)));
}

#[test]
fn a_search_path_that_its_tokens_make_longer_than_any_path_is_passed_over() {
    let long = format!("{}:/opt/lib", "$ORIGIN/".repeat(4_000));
    let musl = Fixture { data: b"/etc/ld-musl-x86_64.path\0".to_vec(), ..library("libc.musl-x86_64.so.1") };
    for root in [Root::debian(), Root::empty().file(LOADER, &musl)] {
        let app = program(&["libx.so"]).with(RUNPATH, &long);
        let root = root.file("/a/rather/long/directory/app", &app).file("/opt/lib/libx.so", &library("libx.so"));
        let closure = root.closure("/a/rather/long/directory/app");
        assert_eq!(crate::root::opened(&closure), ["/opt/lib/libx.so"]);
    }
}

#[test]
fn a_list_that_means_something_only_as_a_whole_is_told_its_limit() {
    let sparse = |root: &Root, path: &str, size| {
        fs::create_dir_all(root.on_machine(path).parent().unwrap()).unwrap();
        File::create(root.on_machine(path)).unwrap().set_len(size).unwrap();
    };
    let musl = Fixture { data: b"/etc/ld-musl-x86_64.path\0".to_vec(), ..library("libc.musl-x86_64.so.1") };
    let musl = Root::empty().file(LOADER, &musl).file("/app", &program(&[]));
    let glibc = Root::debian().file("/app", &program(&[]).imports(&["iconv_open"]));
    for (root, path, limit) in [
        (&musl, "/etc/ld-musl-x86_64.path", 1 << 20),
        (&glibc, "/usr/lib/gconv/gconv-modules", 1 << 20),
        (&glibc, "/etc/ld.so.cache", 32 << 20),
    ] {
        let build = || root.builder("/app").with(Need::Gconv).build().map(drop);
        sparse(root, path, limit);
        assert!(!build().is_err_and(|error| error.kind() == ErrorKind::Malformed), "{path}");
        sparse(root, path, limit + 1);
        let error = build().unwrap_err();
        expect(&error, ErrorKind::Malformed, limit);
        assert_eq!(error.path(), Some(root.on_machine(path).as_path()), "{error}");
        fs::remove_file(root.on_machine(path)).unwrap();
    }
    sparse(&glibc, "/etc/ld.so.preload", (64 << 10) + 1);
    let image = glibc.image("/app");
    assert!(
        image.findings()[0].message().contains("has more than 65536 bytes of names loaded"),
        "{:?}",
        image.findings()
    );
}
