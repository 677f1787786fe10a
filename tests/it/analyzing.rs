//! What one ELF file says about itself.

use scratchpack::{ByteOrder, Class, DependencyKind, Elf, ElfKind, ErrorKind, Priority};

use crate::crafted::{Crafted, INTERP, LOAD, ROOM};
use crate::elf::{
    AARCH64, ARM, AUXILIARY, EXEC, FILTER, FLAGS_1, Fixture, LOADER, NEEDED, RPATH, RUNPATH, S390, SONAME, X86_64,
    arm_attributes, library, program, static_program, with_arm_attributes,
};
use crate::root::{Root, tree};

fn parse(fixture: &Fixture) -> Elf {
    Elf::parse(&fixture.bytes()).unwrap()
}

fn refusal(bytes: &[u8]) -> (ErrorKind, String) {
    let error = Elf::parse(bytes).unwrap_err();
    (error.kind(), error.to_string())
}

#[test]
fn a_program_tells_its_interpreter_and_needs() {
    let elf = parse(&program(&["liba.so", "libb.so.1"]).with(RUNPATH, "/x:$ORIGIN"));
    assert_eq!(elf.interpreter().unwrap(), LOADER);
    assert_eq!(elf.needed().collect::<Vec<_>>(), ["liba.so", "libb.so.1"]);
    assert_eq!(elf.runpath().unwrap(), "/x:$ORIGIN");
    assert_eq!((elf.soname(), elf.rpath()), (None, None));
    assert!(elf.is_executable());
}

#[test]
fn every_class_and_byte_order_is_read() {
    for (machine, is_64, is_little, architecture) in [
        (X86_64, true, true, "amd64"),
        (X86_64, false, true, "amd64"),
        (3, false, true, "386"),
        (AARCH64, true, true, "arm64"),
        (40, false, true, "arm"),
        (S390, true, false, "s390x"),
        (21, true, true, "ppc64le"),
        (21, true, false, "ppc64"),
        (243, true, true, "riscv64"),
        (258, true, true, "loong64"),
    ] {
        let elf = parse(&program(&["libc.so.6"]).machine(machine, is_64, is_little));
        assert_eq!(elf.machine().architecture(), Some(architecture));
        assert_eq!(elf.class(), if is_64 { Class::Elf64 } else { Class::Elf32 });
        assert_eq!(elf.byte_order(), if is_little { ByteOrder::Little } else { ByteOrder::Big });
        assert_eq!(elf.needed().collect::<Vec<_>>(), ["libc.so.6"]);
    }
}

#[test]
fn filters_keep_their_place_among_the_needs() {
    let elf = parse(&library("l").needs("a").with(FILTER, "f").with(AUXILIARY, "x").needs("b"));
    let kinds: Vec<_> = elf.dependencies().iter().map(|d| (d.kind(), d.name().to_str().unwrap())).collect();
    assert_eq!(
        kinds,
        [
            (DependencyKind::Needed, "a"),
            (DependencyKind::Filter, "f"),
            (DependencyKind::Auxiliary, "x"),
            (DependencyKind::Needed, "b"),
        ]
    );
}

#[test]
fn of_a_tag_that_may_stand_once_the_last_counts() {
    let elf = parse(&library("first").with(SONAME, "last").with(RPATH, "/a").with(RPATH, "/b"));
    assert_eq!((elf.soname().unwrap(), elf.rpath().unwrap()), ("last".as_ref(), "/b".as_ref()));
}

#[test]
fn runpath_replaces_rpath() {
    let elf = parse(&library("l").with(RPATH, "/a").with(RUNPATH, "/b"));
    assert_eq!((elf.rpath(), elf.runpath().unwrap()), (None, "/b".as_ref()));
}

#[test]
fn flags_are_read() {
    assert!(parse(&library("l").number(FLAGS_1, 0x800)).no_default_lib());
    assert!(parse(&library("l").number(FLAGS_1, 0x0800_0000)).is_executable());
    assert!(!parse(&library("l")).is_executable());
}

#[test]
fn a_static_program_has_no_interpreter() {
    let elf = parse(&static_program());
    assert_eq!((elf.interpreter(), elf.needed().count(), elf.kind()), (None, 0, ElfKind::Executable));
}

#[test]
fn an_interpreter_ends_at_its_first_nul() {
    let elf = parse(&Fixture { interpreter: Some(b"/ld\0junk\0".to_vec()), ..program(&[]) });
    assert_eq!(elf.interpreter().unwrap(), "/ld");
}

#[test]
fn names_that_are_not_utf_8_are_kept() {
    let mut fixture = program(&[]);
    fixture.strings.push((NEEDED, b"lib\xff.so".to_vec()));
    assert_eq!(parse(&fixture).needed().next().unwrap().as_encoded_bytes(), b"lib\xff.so");
}

#[test]
fn section_headers_are_never_looked_at() {
    for fixture in [program(&["libc.so.6"]), static_program(), library("l")] {
        let good = fixture.bytes();
        let image = |bytes: &[u8]| {
            let root = Root::debian().bytes("/app", bytes).file("/lib/libc.so.6", &library("libc.so.6"));
            root.builder("/app").auto().build().map(|image| tree(&image)).map_err(|error| error.kind())
        };
        // Beyond the end, in the headers, and as large as can be.
        for (offset, [size, count, names]) in [(u64::MAX, [0xffff; 3]), (1, [64, 0xffff, 0]), (0, [64, 9, 0xfff0])] {
            let mut bytes = good.clone();
            bytes[0x28..0x30].copy_from_slice(&offset.to_le_bytes());
            bytes[0x3a..0x40].copy_from_slice(&[size, count, names].map(u16::to_le_bytes).concat());
            assert_eq!(Elf::parse(&bytes).unwrap(), Elf::parse(&good).unwrap());
            assert_eq!(image(&bytes), image(&good));
        }
    }
}

#[test]
fn an_arm_file_tells_its_architecture_by_its_build_attributes() {
    let app = program(&["libc.so.6"]).machine(ARM, false, true).bytes();
    let variant = |bytes: &[u8]| Elf::parse(bytes).unwrap().arm_variant();
    assert_eq!(variant(&app), None);
    for (cpu_arch, expected) in [
        (2, Some("v5")),
        (6, Some("v6")),
        (9, Some("v6")),
        (10, Some("v7")),
        (14, Some("v8")),
        (22, Some("v8")),
        (23, None),
    ] {
        assert_eq!(variant(&with_arm_attributes(app.clone(), &arm_attributes(cpu_arch))), expected, "{cpu_arch}");
    }
}

#[test]
fn odd_build_attributes_tell_nothing_and_are_no_error() {
    let app = program(&[]).machine(ARM, false, true).bytes();
    let good = with_arm_attributes(app, &arm_attributes(10));
    let headers = good.len() - 2 * 40;
    let with = |at: usize, new: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        bytes
    };
    for bytes in [
        good[..good.len() - 1].to_vec(),
        with(32, &[0xff; 4]),
        with(46, &[0; 2]),
        with(48, &[0xff; 2]),
        with(headers + 40 + 4, &[1]),
        with(headers + 40 + 16, &[0xff; 4]),
        with(headers + 40 + 20, &[0xff; 4]),
        with(headers - 19, &[0; 4]),
    ] {
        assert_eq!(Elf::parse(&bytes).unwrap().arm_variant(), None);
    }
}

#[test]
fn the_level_of_the_instruction_set_is_read_in_either_class() {
    let level = |fixture: Fixture| parse(&fixture.isa_needed(5)).isa_level();
    assert_eq!(level(library("l")), Some("x86-64-v3"));
    assert_eq!(level(library("l").machine(3, false, true)), Some("x86-64-v3"));
    assert_eq!(level(library("l").machine(X86_64, false, true)), Some("x86-64-v3"));
    assert_eq!(level(library("l").machine(AARCH64, true, true)), None);
    assert_eq!(parse(&library("l")).isa_level(), None);
}

#[test]
fn what_is_no_elf_file_says_what_it_is() {
    for (bytes, words) in [
        (&b""[..], "empty"),
        (b"#!/bin/sh -e\necho", "a script for /bin/sh -e"),
        (b"!<arch>\nfoo             ", "static archive"),
        (b"\xcf\xfa\xed\xfe\x0c\0\0\x01", "a program of macOS (Mach-O)"),
        (b"\xca\xfe\xba\xbe\0\0\0\x02", "a program of macOS (Mach-O)"),
        (b"\xca\xfe\xba\xbe\0\0\0\x34", "not an ELF file"),
        (b"hello, world, how are you", "not an ELF file"),
        (b"\x7fELF\x02", "ends within its ELF header"),
    ] {
        let (kind, message) = refusal(bytes);
        assert_eq!(kind, ErrorKind::NotElf, "{message}");
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn object_files_and_core_dumps_are_no_programs() {
    for kind in [1, 4] {
        assert_eq!(refusal(&Fixture { kind, ..program(&[]) }.bytes()).0, ErrorKind::NotAProgram);
    }
}

#[test]
fn contradictions_are_errors_and_never_a_shorter_list() {
    let good = program(&["libc.so.6"]);
    let bytes = good.bytes();
    let with = |at: usize, new: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        bytes
    };
    let interpreter = 64 + 56;
    let dynamic = 64 + 2 * 56;
    for (what, bytes) in [
        ("e_phentsize", with(0x36, &[57, 0])),
        ("program headers beyond the end", with(0x20, &[0xff, 0xff, 0xff])),
        ("no PT_LOAD", with(64, &[0x70])),
        ("e_type", with(0x10, &[9, 0])),
        ("EI_CLASS", with(4, &[3])),
        ("EI_DATA", with(5, &[0])),
        ("EI_VERSION", with(6, &[0])),
        ("interpreter of one byte", with(interpreter + 32, &[1])),
        ("interpreter without NUL", with(interpreter + 32, &[5])),
        ("interpreter beyond the end", with(interpreter + 8, &[0, 0, 1])),
        ("dynamic section elsewhere", with(dynamic + 8, &[1])),
        ("empty dynamic section", with(dynamic + 32, &[0, 0])),
        ("dynamic section without end", with(dynamic + 32, &[16, 0])),
        ("file cut short", bytes[..bytes.len() - 20].to_vec()),
        ("string outside its table", good.clone().number(NEEDED, 9999).bytes()),
        ("string table outside the file", good.clone().number(5, 1 << 40).bytes()),
        ("string table larger than its segment", good.clone().number(10, 1 << 40).bytes()),
        ("string table without end", good.clone().number(10, 5).number(NEEDED, 1).bytes()),
        ("segment around the address space", with(64 + 16, &[0xff; 8])),
        ("segment behind the end of any file", with(64 + 8, &[0xff; 8])),
        ("interpreter that is empty", with(interior(&bytes, LOADER), &[0])),
        ("string table of unknown size", without_size_of_strings()),
        ("string table in what is zero at the start", with(64 + 32, &[0x80, 0, 0])),
        ("string at the end of the address space", good.clone().number(NEEDED, u64::MAX).bytes()),
        ("strings at the end of the address space", good.clone().number(5, u64::MAX).bytes()),
        ("string table as large as the address space", good.clone().number(10, u64::MAX).bytes()),
        ("versions at the end of the address space", good.clone().number(0x6fff_fffe, u64::MAX).bytes()),
        ("versions in no segment", good.clone().number(0x6fff_fffc, 1 << 40).bytes()),
    ] {
        let error = Elf::parse(&bytes).map(|elf| format!("{elf:?}")).expect_err(what);
        assert!(matches!(error.kind(), ErrorKind::Malformed), "{what}: {error}");
    }
}

/// A library with a string table of a size that nothing tells.
fn without_size_of_strings() -> Vec<u8> {
    Crafted::library(0x2_0000).dynamic(ROOM, &[(5, ROOM as u64), (NEEDED, 1)]).bytes()
}

/// Where a text begins.
fn interior(bytes: &[u8], text: &str) -> usize {
    bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap()
}

#[test]
fn overlapping_segments_are_an_error_and_an_empty_one_overlaps_nothing() {
    let with = |at: u64, size: usize| Crafted::library(0x2_0000).segment(LOAD, 0, at, size).bytes();
    for (at, size) in [(0, 1), (0x1_0000, 0x1_0000), (0x1_ffff, 1), (0x1_ffff, 0x1_0000)] {
        let (kind, message) = refusal(&with(at, size));
        assert!(kind == ErrorKind::Malformed && message.contains("overlap"), "{at:x}: {message}");
    }
    for (at, size) in [(0x2_0000, 1), (0x100, 0), (0, 0)] {
        assert!(Elf::parse(&with(at, size)).is_ok(), "{at:x} {size}");
    }
}

#[test]
fn a_segment_of_32_bits_ends_within_its_address_space() {
    let file = |size: u32| {
        let mut bytes = library("l").machine(3, false, true).bytes();
        // p_vaddr and p_memsz
        bytes[52 + 8..52 + 12].copy_from_slice(&0xffff_f000_u32.to_le_bytes());
        bytes[52 + 20..52 + 24].copy_from_slice(&size.to_le_bytes());
        // Without the dynamic section, which is not there any more.
        bytes[52 + 32] = 0;
        Elf::parse(&bytes)
    };
    assert!(file(0x1000).is_ok());
    assert_eq!(file(0x1001).unwrap_err().kind(), ErrorKind::Malformed);
}

#[test]
fn the_first_interpreter_and_the_last_dynamic_section_count() {
    let names = b"\0first\0last\0";
    let file = Crafted::program(0x2_0000).put(ROOM, names).put(ROOM + 0x100, b"/ld\0");
    let file = file.segment(INTERP, ROOM + 0x100, ROOM as u64 + 0x100, 4);
    let strings = [(5, ROOM as u64), (10, names.len() as u64)];
    let file = file.dynamic(ROOM + 0x200, &[&strings[..], &[(NEEDED, 1)]].concat());
    let elf = Elf::parse(&file.dynamic(ROOM + 0x300, &[&strings[..], &[(NEEDED, 7)]].concat()).bytes()).unwrap();
    assert_eq!(elf.interpreter().unwrap(), LOADER);
    assert_eq!(elf.needed().collect::<Vec<_>>(), ["last"]);
}

#[test]
fn strings_in_the_last_bytes_of_an_address_space_and_a_file_are_no_panic() {
    // What is mapped at the end of the address space, and says that it comes from the end of the largest file.
    for (offset, at) in
        [(u64::MAX - 0xfff, u64::MAX - 0xfff), (1 << 63, u64::MAX - 0xfff), (u64::MAX - 0xfff, 0x2_0000)]
    {
        let mut bytes = Crafted::library(0x2_0000)
            .segment(LOAD, 0, at, 0xfff)
            .dynamic(ROOM, &[(5, at), (10, 0xfff), (NEEDED, 0xffe), (0x6fff_fffe, at), (6, at), (4, at)])
            .bytes();
        bytes[64 + 56 + 8..64 + 56 + 16].copy_from_slice(&offset.to_le_bytes());
        assert_eq!(refusal(&bytes).0, ErrorKind::Malformed);
    }
}

#[test]
fn a_program_with_more_in_the_file_than_in_memory_is_refused_and_a_library_is_not() {
    // As Linux refuses to start the one (`load_elf_binary`), and glibc maps the other.
    let root = Root::debian().file("/app", &program(&["libx.so"])).file("/lib/libx.so", &library("libx.so"));
    let cut = |path: &str| {
        let path = root.on_machine(path);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[64 + 40..64 + 48].copy_from_slice(&8u64.to_le_bytes());
        std::fs::write(path, bytes).unwrap();
    };
    cut("/lib/libx.so");
    assert!(root.closure("/app").missing().is_empty());
    cut("/app");
    let error = root.builder("/app").build().unwrap_err();
    assert!(error.kind() == ErrorKind::Malformed && error.to_string().contains("Linux refuses"), "{error}");
}

#[test]
fn a_fixed_address_is_told_from_a_free_one() {
    assert_eq!(parse(&Fixture { kind: EXEC, ..program(&[]) }).kind(), ElfKind::Executable);
    assert_eq!(parse(&program(&[])).kind(), ElfKind::SharedObject);
}

/// A note of libraries that are loaded later, as 32-bit and 64-bit files have it.
fn dlopen_note(json: &str) -> Vec<u8> {
    let content = [json.as_bytes(), b"\0"].concat();
    let words = [4, u32::try_from(content.len()).unwrap(), 0x407c_0c0a].map(u32::to_le_bytes).concat();
    let mut note = [&words[..], b"FDO\0", &content].concat();
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

#[test]
fn libraries_that_are_loaded_later_are_told_by_all_notes_in_order() {
    let other = [4u32, 2, 0xcafe_1a7e].map(u32::to_le_bytes).concat();
    let notes = [
        dlopen_note(r#"[{"soname": ["libx.so.2", "libx.so.1"], "feature": "x", "priority": "suggested"}]"#),
        [&other[..], b"FDO\0{}\0\0"].concat(),
        dlopen_note(r#"[{"soname": ["liby.so"], "description": "Does y"}, {"soname": 7}]"#),
        dlopen_note("[{"),
    ];
    let elf = parse(&Fixture { more: Some((4, notes.concat())), ..library("l") });
    let [x, y] = elf.dlopen_notes() else { panic!("{:?}", elf.dlopen_notes()) };
    assert_eq!(x.sonames().collect::<Vec<_>>(), ["libx.so.2", "libx.so.1"]);
    assert_eq!((x.feature(), x.priority()), (Some("x"), Priority::Suggested));
    assert_eq!((y.description(), y.priority()), (Some("Does y"), Priority::Recommended));
}

#[test]
fn odd_notes_of_libraries_tell_nothing_and_are_no_error() {
    let good = dlopen_note(r#"[{"soname": ["libx.so"]}]"#);
    for end in 0..good.len() - 6 {
        let elf = parse(&Fixture { more: Some((4, good[..end].to_vec())), ..library("l") });
        assert!(elf.dlopen_notes().is_empty(), "{end}");
    }
}
