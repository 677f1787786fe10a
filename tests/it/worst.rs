//! The worst that a file of 32 MiB can hold takes little time, and little memory beside its own.
//!
//! Each case runs in a process of its own, this test's program once more, so that its memory is its own.

// A process that is measured answers on its standard output.
#![allow(clippy::print_stdout)]

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::resource::{UsageWho, getrusage};
use scratchpack::{Collector, Elf, Image, Lock};

use crate::crafted::{Crafted, GNU_HASH, HASH, LOAD, NOTE, ROOM, STRSZ, STRTAB, SYMTAB, VERDEF, VERNEED};
use crate::elf::{Fixture, LOADER, NEEDED, RUNPATH, SONAME, library, program, static_program};
use crate::root::Root;

/// As large as a file may be that is done in a second.
const SIZE: usize = 32 << 20;
/// Bytes beside those of the file.
const EXTRA: u64 = 64 << 20;
/// Of the processor, for all that is done with the file, by code that is not optimized, in seconds. What hangs takes hours.
const TIME: i64 = 15;

/// Names the root to a process that is measured.
const ROOT: &str = "SCRATCHPACK_WORST_ROOT";

/// Runs all that reads a program on `/app` of the root, as long as it goes.
fn work(root: &Path) {
    let app = root.join("app");
    let bytes = fs::read(&app).unwrap();
    let usage = || getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let seconds = || usage().user_time().tv_sec() + usage().system_time().tv_sec();
    let before = resident("VmRSS");
    // proc_pid_clear_refs(5): the peak is what is resident now. Where nobody may say so, it is what it was, or more.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let start = seconds();
    let _ = Elf::parse(&bytes);
    let _ = Elf::read(&app);
    let closure = Collector::new().sysroot(root).collect(&app);
    let _ = closure.map(|closure| closure.findings().len() + closure.requirements().len());
    let _ = Image::builder().sysroot(root).binary(&app).auto().build();
    if let (Ok(before), Ok(now)) = (Lock::read(root.join("before.lock")), Lock::read(root.join("now.lock"))) {
        let changes = before.changes(&now);
        assert!(changes.iter().all(|change| change.to_string().len() < SIZE));
    }
    println!("\nextra {} seconds {}", resident("VmHWM").saturating_sub(before), seconds() - start);
}

/// In bytes.
fn resident(what: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn a_process_that_is_measured() {
    if let Some(root) = std::env::var_os(ROOT) {
        work(Path::new(&root));
    }
}

fn measure(what: &str, root: &Root) {
    let own = std::env::current_exe().unwrap();
    let test = ["--exact", "worst::a_process_that_is_measured", "--nocapture"];
    let output = Command::new(own).args(test).env(ROOT, root.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line =
        text.lines().find_map(|line| line.strip_prefix("extra ")).unwrap_or_else(|| panic!("{what}: {output:?}"));
    let (extra, seconds) = line.split_once(" seconds ").unwrap();
    let (extra, seconds): (u64, i64) = (extra.parse().unwrap(), seconds.parse().unwrap());
    println!("{what}: {} MiB, {seconds} s", extra >> 20);
    assert!(extra <= EXTRA && seconds < TIME, "{what}: {extra} bytes, {seconds} seconds");
}

fn expect_cheap(what: &str, file: Vec<u8>) {
    assert!(file.len() <= SIZE, "{what}: {}", file.len());
    let libc = library("libc.so.6").defines(&["GLIBC_2.2.5"]);
    measure(what, &Root::debian().bytes("/app", &file).file("/lib/libc.so.6", &libc));
}

/// Room for a dynamic section, and behind it a table that fills the file up to the interpreter's path.
const TABLE: usize = ROOM + 0x1000;

fn with_table(entries: &[(u64, u64)], table: &[u8]) -> Vec<u8> {
    Crafted::program(SIZE).put(TABLE, table).dynamic(ROOM, entries).bytes()
}

fn filled(record: &[u8]) -> Vec<u8> {
    record.iter().copied().cycle().take(SIZE - TABLE - 0x1000).collect()
}

#[test]
fn version_tables_that_overlap_themselves() {
    let at = TABLE as u64;
    let strings = [(STRTAB, at + 0x1000), (STRSZ, 0x1000)];
    // All that is read as a number is 1: a version, a count, a name, and the distance to the next record.
    for tag in [VERNEED, VERDEF] {
        let table = filled(&[1, 0]);
        expect_cheap("versions", with_table(&[&strings[..], &[(tag, at)]].concat(), &table));
        let far = filled(&[1, 0, 0, 0, 1, 0, 0, 0]);
        expect_cheap("versions far apart", with_table(&[&strings[..], &[(tag, at)]].concat(), &far));
    }
}

#[test]
fn one_long_string_that_is_named_by_every_entry() {
    for (count, length) in [(65_000, 4_096), (8_192, 4_096), (8_192, 127), (256, 4_096)] {
        let file = Fixture { numbers: vec![(NEEDED, 1); count], ..program(&[]).with(SONAME, &"x".repeat(length)) };
        expect_cheap("one string", file.bytes());
    }
    let versions = vec![("f".repeat(4_000), "v".repeat(4_000), false); 4_000];
    expect_cheap("one string of versions", Fixture { needed_versions: versions, ..program(&[]) }.bytes());
}

#[test]
fn names_that_are_all_missing_in_directories_without_number() {
    let names: Vec<String> = (0..8_000).map(|number| format!("l{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let directories: Vec<String> = (0..4_000).map(|number| format!("/{number}")).collect();
    expect_cheap("missing names", program(&names).with(RUNPATH, &directories.join(":")).bytes());
    let origins = "$ORIGIN/".repeat(8_000);
    expect_cheap("origins", program(&names[..100]).with(RUNPATH, &origins).bytes());
    let elements = vec!["$ORIGIN/$LIB/$PLATFORM"; 2_700].join(":");
    expect_cheap("tokens", program(&names[..100]).with(RUNPATH, &elements).bytes());
}

#[test]
fn a_large_directory_under_names_without_number() {
    let names: Vec<String> = (0..8_000).map(|number| format!("l{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let spell = |number: usize| {
        let [up, usr, lib] = [number % 20, number / 20 % 6, number / 120];
        format!("{}/usr{}/lib{}", "/..".repeat(up), "/../usr".repeat(usr), "/../lib".repeat(lib))
    };
    let spellings: Vec<String> = (0..720).map(spell).collect();
    // Its loader has no subdirectories for some CPUs.
    let musl = Fixture { data: b"/etc/ld-musl-x86_64.path\0".to_vec(), ..library("libc.musl-x86_64.so.1") };
    let root = Root::empty().file(LOADER, &musl).file("/app", &program(&names).with(RUNPATH, &spellings.join(":")));
    let root = (0..3_000).fold(root, |root, number| root.bytes(&format!("/usr/lib/other{number}"), b""));
    measure("spellings", &root);
}

#[test]
fn symbols_that_all_tell_something_or_claim_to_be_without_number() {
    let at = TABLE as u64;
    let strings = *b"\0dlopen\0getpwuid\0pthread_exit\0iconv_open\0localtime\0";
    let names = [1u32, 8, 17, 30, 41];
    let symbols: Vec<u8> =
        names.iter().flat_map(|name| [&name.to_le_bytes()[..], &[0x12, 0], &[0; 18]].concat()).collect();
    let strings_at = SIZE - 0x800;
    let count = u32::try_from((SIZE - TABLE - 0x1000) / 24).unwrap();
    let table = [(STRTAB, strings_at as u64), (STRSZ, strings.len() as u64), (SYMTAB, at)];
    let file = |hash: &[(u64, u64)], words: &[u32]| {
        let entries = [&table[..], hash].concat();
        let file = Crafted::program(SIZE).put(TABLE, &filled(&symbols)).put(strings_at, &strings);
        file.longs(SIZE - 0x400, words).dynamic(ROOM, &entries).bytes()
    };
    let hash = SIZE as u64 - 0x400;
    expect_cheap("symbols", file(&[(HASH, hash)], &[1, count]));
    expect_cheap("symbols of a bogus chain", file(&[(HASH, hash)], &[u32::MAX; 8]));
    for words in [[2, count, 1, 0, 0, 0, 1, 1], [u32::MAX; 8], [1, count, u32::MAX, 6, 0, 0, 0, 0], [0; 8]] {
        expect_cheap("hashed symbols", file(&[(GNU_HASH, hash)], &words));
    }
    // Names all over a table of strings that is nearly the whole file.
    let scattered: Vec<u8> = (0..count / 2)
        .flat_map(|number| {
            [&(number.wrapping_mul(2_654_435_761) % 16_000_000).to_le_bytes()[..], &[0x12, 0], &[0; 18]].concat()
        })
        .collect();
    let entries = [(STRTAB, at), (STRSZ, 16 << 20), (SYMTAB, at), (HASH, hash)];
    let file = Crafted::program(SIZE).put(TABLE, &scattered).longs(SIZE - 0x400, &[1, count / 2]);
    expect_cheap("scattered names", file.dynamic(ROOM, &entries).bytes());
    let relocations = [(7, at), (8, u64::from(count) * 24)];
    expect_cheap("relocations", with_table(&[&table[..], &relocations].concat(), &filled(&[0xff; 8])));
}

#[test]
fn segments_that_all_have_the_same_bytes() {
    let text = filled(b"\0lib.so.1.so\0St8ios_base/etc/nsswitch.conf");
    let many = |file: Crafted| (0..1_100).fold(file, |file, _| file.mapped_again(0, SIZE)).bytes();
    let strings = [(STRTAB, TABLE as u64), (STRSZ, (SIZE - TABLE) as u64)];
    expect_cheap("segments", many(Crafted::program(SIZE).put(TABLE, &text).dynamic(ROOM, &strings)));
    expect_cheap("segments of a static program", many(Crafted::library(SIZE).put(TABLE, &text)));
}

#[test]
fn notes_that_overlap_or_are_nothing_but_structure() {
    let notes = (0..1_100).fold(Crafted::program(SIZE), |file, _| file.segment(NOTE, 0, 0, SIZE));
    expect_cheap("notes", notes.bytes());
    for json in [r#"{"":0},"#, "[],", r#"{"soname":[""]},"#, "0,", r#""","#] {
        let limit = usize::try_from(scratchpack::limits::MAX_NOTES).unwrap() - 100;
        let json = format!("[{}0]", json.repeat(limit / json.len()));
        expect_cheap(json.get(..20).unwrap(), program(&[]).loads(&json).bytes());
    }
}

#[test]
fn constants_that_look_like_names_of_libraries() {
    let distinct = |make: fn(usize) -> String| (0..).map(make).take(3_000_000).collect::<Vec<_>>().concat();
    let mut names = distinct(|number| format!("l{number}.so\0"));
    names.truncate(SIZE - 0x1000);
    let mut sets = distinct(|number| format!("CP{number}\0"));
    sets.truncate(SIZE - 0x1000);
    let app = |data: &[u8]| program(&["libc.so.6"]).imports(&["dlopen", "iconv_open", "setlocale"]).data(data).bytes();
    for (what, data) in [
        ("names", names.into_bytes()),
        ("character sets", sets.into_bytes()),
        ("one name", b"CP12\0a.so\0de_DE\0".repeat((SIZE - 0x1000) / 16)),
        ("names that repeat their end", [&b".so".repeat(84)[..], b"\0"].concat().repeat((SIZE - 0x1000) / 253)),
        ("ends without names", [&b".so".repeat(1_365)[..], b"\0"].concat().repeat((SIZE - 0x1000) / 4_096)),
        ("dots", vec![b'.'; SIZE - 0x1000]),
        ("nothing", vec![0; SIZE - 0x1000]),
    ] {
        expect_cheap(what, app(&data));
        expect_cheap(what, static_program().data(&data).bytes());
    }
}

#[test]
fn sections_of_a_static_program_that_lead_anywhere() {
    let symbols = filled(&[1, 0, 0, 0, 0x12, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let mut file = Crafted::library(SIZE).put(TABLE, &symbols).bytes();
    // Section headers are all that the file has, and each is a table of symbols.
    let section = [
        [0u32, 2].map(u32::to_le_bytes).concat(),
        [0, 0, TABLE as u64, (SIZE - TABLE) as u64].map(u64::to_le_bytes).concat(),
        [0u32, 0].map(u32::to_le_bytes).concat(),
        [0u64, 24].map(u64::to_le_bytes).concat(),
    ];
    let sections = section.concat().repeat(0xffff);
    let at = SIZE - sections.len();
    file[at..].copy_from_slice(&sections);
    file[0x28..0x30].copy_from_slice(&(at as u64).to_le_bytes());
    file[0x3a..0x3e].copy_from_slice(&[64u16, 0xffff].map(u16::to_le_bytes).concat());
    expect_cheap("sections", file);
}

#[test]
fn a_loader_that_is_full_of_directories() {
    for list in ["/lib/\0x\0", "/lib/\0", "/ld.so.cache\0", "/lib/xglibc-ld.so.cache\0"] {
        let data = [b"glibc-ld.so.cache\0".to_vec(), list.as_bytes().repeat((SIZE - 0x1000) / list.len())].concat();
        let loader = Fixture { data, ..library("ld-linux-x86-64.so.2") };
        let root = Root::empty().file(LOADER, &loader).file("/app", &program(&["libx.so"]));
        measure("a loader", &root);
    }
}

/// Both formats, of entries that all have one name, and of names that have no end or count as equal.
#[test]
fn a_cache_that_names_one_library_without_end() {
    const ENTRIES: usize = 500_000;
    let cache = |key: &[u8]| {
        let mut bytes = b"glibc-ld.so.cache1.1".to_vec();
        bytes.extend(u32::try_from(ENTRIES).unwrap().to_le_bytes());
        bytes.resize(48, 0);
        let at = u32::try_from(48 + ENTRIES * 24).unwrap();
        let entry = [[0x303, at, at, 0, 0, 0].map(u32::to_le_bytes).concat()].concat();
        (0..ENTRIES).for_each(|_| bytes.extend(&entry));
        bytes.extend(key);
        bytes
    };
    let names: Vec<String> = (0..1_000).map(|zeros| format!("l.so.{}1", "0".repeat(zeros % 900))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for key in [&b"l.so.1\0"[..], &[b"l.so.".as_slice(), &[b'0'; 4_000], b"1\0"].concat(), &vec![b'0'; 16 << 20]] {
        let root = Root::debian().file("/app", &program(&names)).bytes("/etc/ld.so.cache", &cache(key));
        measure("a cache", &root);
    }
}

/// Of goblin 0.10.7: its Dynamic::parse takes 6.7 seconds for such a file of 4.5 MB, its Strtab::parse 32 times the memory,
/// and it passes over what it cannot read.
#[test]
fn what_a_library_for_elf_files_is_slow_at_or_silent_about() {
    let many = (0..1_100).fold(Crafted::program(5 << 20), |file, number| file.segment(LOAD, 0, (6 << 20) + number, 1));
    let entries = vec![(STRTAB, TABLE as u64); 60_000];
    expect_cheap("addresses", many.dynamic(ROOM + 0x2000, &entries).bytes());
    let strings = [(STRTAB, TABLE as u64), (STRSZ, (SIZE - TABLE) as u64)];
    expect_cheap("strings", with_table(&strings, &filled(b"a\0")));
    let nowhere = Crafted::program(0x2_0000).dynamic(ROOM, &[(STRTAB, 0), (STRSZ, 9), (NEEDED, 1 << 40)]).bytes();
    assert!(Elf::parse(&nowhere).unwrap_err().to_string().contains("DT_NEEDED points outside"));
    let mut unreadable = program(&[]).bytes();
    unreadable[64 + 56 + 8..64 + 56 + 16].copy_from_slice(&(1u64 << 40).to_le_bytes());
    assert!(Elf::parse(&unreadable).unwrap_err().to_string().contains("interpreter"));
}

/// Chains take many times the bytes of the locks that they are in.
#[test]
fn locks_of_objects_that_need_one_another() {
    let lock = |mode: &str| {
        let path = |number: usize| format!("/{}{number:06}", "d".repeat(200));
        let line = |number: usize| format!("{} directory {mode} - {} - x\n", path(number), path(number + 1));
        format!("# scratchpack lock 1\n{}", (0..12_000).map(line).collect::<String>())
    };
    let root = Root::debian().file("/app", &program(&[])).bytes("/before.lock", lock("0755").as_bytes());
    measure("chains", &root.bytes("/now.lock", lock("0700").as_bytes()));
}
