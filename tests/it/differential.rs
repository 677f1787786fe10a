//! What another reader of ELF files makes of the same bytes; each disagreement has a reason that is named here.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use object::elf::{
    DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_SONAME, DT_STRSZ, DT_STRTAB, ET_DYN, ET_EXEC, FileHeader32, FileHeader64,
    PT_DYNAMIC, PT_INTERP, PT_LOAD,
};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, FileKind};
use scratchpack::{ByteOrder, Class, Elf, ElfKind};

use crate::mutated::{mutate, originals};
use crate::random::Random;

/// What both tell of a file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    machine: u16,
    is_64: bool,
    is_little: bool,
    kind: u16,
    interpreter: Option<Vec<u8>>,
    needed: Vec<Vec<u8>>,
    soname: Option<Vec<u8>>,
    rpath: Option<Vec<u8>>,
    runpath: Option<Vec<u8>>,
}

fn ours(bytes: &[u8]) -> Result<Told, String> {
    let elf = Elf::parse(bytes).map_err(|error| error.to_string())?;
    let owned = |string: &std::ffi::OsStr| string.as_encoded_bytes().to_vec();
    Ok(Told {
        machine: elf.machine().code(),
        is_64: elf.class() == Class::Elf64,
        is_little: elf.byte_order() == ByteOrder::Little,
        kind: if elf.kind() == ElfKind::Executable { ET_EXEC.0 } else { ET_DYN.0 },
        interpreter: elf.interpreter().map(owned),
        needed: elf.needed().map(owned).collect(),
        soname: elf.soname().map(owned),
        rpath: elf.rpath().map(owned),
        runpath: elf.runpath().map(owned),
    })
}

/// Of a string table.
const CUT: &str = "it is not all in the file";

fn theirs(bytes: &[u8]) -> Result<Told, String> {
    match FileKind::parse(bytes) {
        Ok(FileKind::Elf32) => of_class::<FileHeader32<Endianness>>(bytes, false),
        Ok(FileKind::Elf64) => of_class::<FileHeader64<Endianness>>(bytes, true),
        other => Err(format!("{other:?}")),
    }
}

fn of_class<H: FileHeader<Endian = Endianness>>(bytes: &[u8], is_64: bool) -> Result<Told, String> {
    let words = |error: object::Error| error.to_string();
    let header = H::parse(bytes).map_err(words)?;
    let endian = header.endian().map_err(words)?;
    let headers = header.program_headers(endian, bytes).map_err(words)?;
    let mut told = Told {
        machine: header.e_machine(endian).0,
        is_64,
        is_little: endian == Endianness::Little,
        kind: header.e_type(endian).0,
        ..Told::default()
    };
    // The kernel takes the first, and glibc the last.
    if let Some(interpreter) = headers.iter().find(|header| header.p_type(endian) == PT_INTERP) {
        told.interpreter = interpreter.interpreter(endian, bytes).map_err(words)?.map(<[u8]>::to_vec);
    }
    let Some(dynamic) = headers.iter().rfind(|header| header.p_type(endian) == PT_DYNAMIC) else { return Ok(told) };
    let entries = dynamic.dynamic(endian, bytes).map_err(words)?.unwrap_or_default();
    let entries = entries.iter().map(|entry| (entry.tag(endian), entry.val(endian)));
    let entries: Vec<_> = entries.take_while(|(tag, _)| tag.0 != 0).collect();
    let last = |wanted| entries.iter().rfind(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
    let strings = last(DT_STRTAB).zip(last(DT_STRSZ)).and_then(|(address, size)| {
        let mut loads = headers.iter().filter(|header| header.p_type(endian) == PT_LOAD);
        loads.find_map(|load| load.data_range(endian, bytes, address, size).ok().flatten())
    });
    let string = |at: u64| {
        if strings.is_none() && last(DT_STRTAB).is_some() {
            return Err(CUT.to_owned());
        }
        let rest = strings.and_then(|strings| strings.get(usize::try_from(at).ok()?..));
        let end = rest.and_then(|rest| rest.iter().position(|&byte| byte == 0));
        rest.zip(end).map(|(rest, end)| rest[..end].to_vec()).ok_or_else(|| "no such string".to_owned())
    };
    let single = |tag| last(tag).map(string).transpose();
    told.needed =
        entries.iter().filter(|(tag, _)| *tag == DT_NEEDED).map(|(_, at)| string(*at)).collect::<Result<_, _>>()?;
    (told.soname, told.runpath) = (single(DT_SONAME)?, single(DT_RUNPATH)?);
    told.rpath = single(DT_RPATH)?.filter(|_| told.runpath.is_none());
    Ok(told)
}

/// What of a message of ours stands for a rule that the other reader does not have, and the rule.
const RULES: [(&str, &str); 30] = [
    ("e_type is", "only what can be loaded is read"),
    ("object file", "only what can be loaded is read"),
    ("core dump", "only what can be loaded is read"),
    ("EI_VERSION", "there is one version"),
    ("no PT_LOAD", "without a segment there is nothing to run"),
    ("overlap", "what is mapped twice has two contents"),
    ("wraps around", "an address space ends"),
    ("behind the end of any file", "a file ends"),
    ("PT_INTERP has", "Linux takes 2 to 4,096 bytes"),
    ("PT_INTERP does not end", "Linux wants a NUL at the end"),
    ("PT_INTERP is empty", "an empty path leads nowhere"),
    ("interpreter path", "the path must be in the file"),
    ("dynamic section is empty", "a dynamic section has an end at least"),
    ("dynamic section has", "so many entries have no meaning"),
    ("not where its address says", "the loader goes by the address, linkers by the offset"),
    ("within its dynamic section", "all of it must be in the file"),
    ("does not end in DT_NULL", "a loader would read on"),
    ("no DT_STRSZ", "a table has an end"),
    ("string table lies in no segment", "what is not mapped cannot be read"),
    ("points outside the string table", "a string is in the table"),
    ("has no end within the string table", "a string ends in the table"),
    ("which is the limit", "there is a limit"),
    ("the limit is", "there is a limit"),
    ("symbol versions", "versions are read as well, as the loader does"),
    ("DT_VERNEED", "versions are read as well, as the loader does"),
    ("DT_VERDEF", "versions are read as well, as the loader does"),
    ("a version points", "versions are read as well, as the loader does"),
    ("e_phentsize", "the size of headers must be right"),
    ("within its program headers", "all headers must be in the file"),
    ("within its ELF header", "the header must be in the file"),
];

/// Why the two disagree; `None` for no reason that is known.
fn explanation(ours: &Result<Told, String>, theirs: &Result<Told, String>) -> Option<&'static str> {
    match (ours, theirs) {
        (Err(ours), _) => RULES.iter().find(|(words, _)| ours.contains(words)).map(|(_, rule)| *rule),
        (Ok(_), Err(theirs)) => {
            // It looks at what nothing that is loaded depends on.
            let odd = ["Unsupported ELF header", "Invalid ELF"].iter().any(|words| theirs.contains(words));
            match odd {
                true => Some("what the loader does not look at may be odd"),
                false => (theirs == CUT).then_some("behind the strings that are asked for, the file may end"),
            }
        }
        (Ok(_), Ok(_)) => None,
    }
}

/// Compares, and counts what was explained.
fn compare(what: &str, bytes: &[u8], explained: &mut BTreeMap<&'static str, usize>) {
    let (ours, theirs) = (ours(bytes), theirs(bytes));
    let agree = match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) => ours == theirs,
        (Err(_), Err(_)) => true,
        _ => false,
    };
    if !agree {
        let rule = explanation(&ours, &theirs).unwrap_or_else(|| panic!("{what}: {ours:?}\n{theirs:?}"));
        *explained.entry(rule).or_default() += 1;
    }
}

fn files_in(directory: &str, is_wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.to_str().is_some_and(&is_wanted) && path.is_file()).collect();
    files.sort();
    files
}

#[test]
fn every_file_of_this_machine_is_read_as_another_reader_does() {
    let (mut explained, mut read) = (BTreeMap::new(), 0);
    let libraries = files_in("/usr/lib/x86_64-linux-gnu", |path| path.contains(".so"));
    let programs = ["/usr/bin", "/usr/sbin"].map(|directory| files_in(directory, |_| true)).concat();
    for path in programs.into_iter().chain(libraries) {
        let Ok(bytes) = fs::read(&path) else { continue };
        if bytes.starts_with(b"\x7fELF") {
            compare(&path.display().to_string(), &bytes, &mut explained);
            read += 1;
        }
    }
    println!("{read} files");
    assert!(explained.is_empty(), "{explained:?}");
}

#[test]
fn files_that_were_harmed_are_read_as_another_reader_does_or_a_rule_says_why_not() {
    let (originals, mut random, mut explained) = (originals(), Random(3), BTreeMap::new());
    for number in 0..40_000 {
        let bytes = mutate(&mut random, &originals[number % originals.len()]);
        compare(&number.to_string(), &bytes, &mut explained);
    }
    println!("{explained:#?}");
}
