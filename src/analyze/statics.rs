//! What a static program needs at run time: it imports nothing, so what tells of it are the functions that it has, or
//! the names of files among its constants.

use goblin::elf::section_header::{SHT_SYMTAB, SectionHeader};
use goblin::elf::sym::{STT_FUNC, STT_GNU_IFUNC};

use super::constants::texts_held_in;
use super::dynamic::Strings;
use super::reader::{ReadAt, Reader};
use super::segments::Segments;
use super::symbols::{Layout, expect_few, look_up};
use super::{constant_parts, notes, sections};
use crate::error::Cause;
use crate::need::{Hint, Known, known};

/// What tells of the needs of a static program.
#[derive(Default)]
pub(super) struct Statics {
    pub(super) symbols: Vec<&'static Known>,
    /// Whether nothing in it tells them.
    pub(super) has_unknown_needs: bool,
    pub(super) is_of_glibc: bool,
}

/// A function of a static program that tells something.
#[derive(Clone, Copy, PartialEq)]
enum Function {
    Known(&'static Known),
    /// It has the symbols of its C library.
    Start,
    /// It uses the streams of libstdc++.
    Streams,
}

/// What goes together with functions that read the databases of nsswitch.conf(5), in glibc.
const NSS: &str = "/etc/nsswitch.conf";
/// The type name of the base class of streams in C++.
const STREAMS: &str = "St8ios_base";

pub(super) fn read<R: ReadAt + ?Sized>(reader: &mut Reader<'_, R>, segments: &Segments) -> Result<Statics, Cause> {
    let is_glibc = notes::is_of_glibc(reader, segments);
    let functions = functions(reader, segments)?;
    let has_symbols = functions.contains(&Function::Start);
    let texts = Texts::find(reader, segments, is_glibc);
    let has_streams = functions.contains(&Function::Streams) || texts.has(STREAMS);
    let symbols = functions.iter().filter_map(|function| match function {
        Function::Known(known) => Some(*known),
        Function::Start | Function::Streams => None,
    });
    let mut hints: Vec<&Known> = symbols.filter(|known| tells(known, is_glibc, has_streams)).collect();
    for text in texts.known() {
        let is_told = has_symbols && text.hint != Hint::Certificates;
        if !is_told && tells(text, is_glibc, has_streams) && !hints.iter().any(|hint| hint.hint == text.hint) {
            hints.push(text);
        }
    }
    let has_unknown_needs = is_glibc && !has_symbols && texts.has(NSS);
    Ok(Statics { symbols: hints, has_unknown_needs, is_of_glibc: is_glibc })
}

/// Whether it tells of a need in a static program.
fn tells(known: &Known, is_glibc: bool, has_streams: bool) -> bool {
    match known.hint {
        // libgcc_eh is linked in; every program of glibc has dlopen, and one of musl cannot load anything.
        Hint::Unwind | Hint::Dlopen => false,
        // musl's are built in. Every program of glibc has setlocale, and one with the streams of libstdc++ all others.
        Hint::Locales | Hint::Charsets => is_glibc && !has_streams && known.name != "setlocale",
        Hint::Zones => !has_streams,
        _ => true,
    }
}

/// What is known of the functions in the symbol table, which only a section header leads to; nothing where it is stripped.
fn functions<R: ReadAt + ?Sized>(reader: &mut Reader<'_, R>, segments: &Segments) -> Result<Vec<Function>, Cause> {
    let Some((table, strings)) = symbol_table(reader, segments) else { return Ok(Vec::new()) };
    let strings = Strings { offset: strings.sh_offset, size: strings.sh_size };
    let layout = Layout::of(segments);
    let count = table.sh_size / layout.size as u64;
    expect_few(count)?;
    let mut names = Vec::new();
    let read = reader.records(table.sh_offset, count, layout.size, |number, entry| {
        if matches!(layout.kind(entry), STT_FUNC | STT_GNU_IFUNC) && !layout.is_undefined(entry) {
            names.push((layout.name(entry), u32::try_from(number).unwrap_or(u32::MAX)));
        }
    });
    let names = read.map_or_else(|_| Vec::new(), |()| names);
    Ok(look_up(names, &strings, reader, |_| true, function))
}

/// The headers of the symbols and of their names; `None` where there are none in the file.
fn symbol_table<R: ReadAt + ?Sized>(
    reader: &mut Reader<'_, R>,
    segments: &Segments,
) -> Option<(SectionHeader, SectionHeader)> {
    let headers = sections::headers(reader, segments)?;
    let table = headers.iter().find(|header| header.sh_type == SHT_SYMTAB)?;
    let end = table.sh_offset.checked_add(table.sh_size)?;
    let strings = headers.get(table.sh_link as usize)?;
    (end <= reader.len()).then(|| (table.clone(), strings.clone()))
}

fn function(name: &[u8]) -> Option<Function> {
    match name {
        b"__libc_start_main" => Some(Function::Start),
        b"_ZNSt8ios_base4InitC1Ev" | b"_ZNSt8ios_base4InitC2Ev" => Some(Function::Streams),
        _ => known(name).map(Function::Known),
    }
}

/// The texts that tell something, and which of them the program has.
struct Texts {
    known: Vec<&'static Known>,
    held: Vec<&'static str>,
}

impl Texts {
    fn find<R: ReadAt + ?Sized>(reader: &Reader<'_, R>, segments: &Segments, is_glibc: bool) -> Texts {
        let further = if is_glibc { &[] } else { Known::TEXTS_WITHOUT_GLIBC };
        let known: Vec<&Known> = Known::TEXTS.iter().chain(further).collect();
        let searched: Vec<&str> = known.iter().map(|known| known.name).chain([NSS, STREAMS]).collect();
        let held = texts_held_in(reader.source(), &constant_parts(segments, reader.len()), &searched);
        Texts { known, held }
    }

    fn has(&self, text: &str) -> bool {
        self.held.contains(&text)
    }

    fn known(&self) -> impl Iterator<Item = &'static Known> {
        self.known.iter().copied().filter(|known| self.has(known.name))
    }
}

#[cfg(test)]
mod tests {
    use super::{Reader, Strings, function, look_up};
    use crate::analyze::{Buffers, Hints};

    const ABI_TAG: &[u8] = b"\x04\0\0\0\x10\0\0\0\x01\0\0\0GNU\0\0\0\0\0\x03\0\0\0\x02\0\0\0\0\0\0\0";

    /// A static program with these constants, with the mark of glibc or without, and with a table of these functions where
    /// there are any.
    fn program(is_glibc: bool, constants: &str, functions: &[&str]) -> Hints {
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
        file.extend([256u64, 64, 1024].map(u64::to_le_bytes).concat());
        file.extend([0u32, 0x0038_0040, 0x0040_0002, 0x0000_0003].map(u32::to_le_bytes).concat());
        for (kind, at, size) in [(1u32, 0u64, 1024u64), (4, 192, if is_glibc { 32 } else { 0 })] {
            file.extend([kind, 4].map(u32::to_le_bytes).concat());
            file.extend([at, at, at, size, size, 4].map(u64::to_le_bytes).concat());
        }
        file.resize(192, 0);
        file.extend(ABI_TAG);
        file.extend(constants.as_bytes());
        file.resize(1024, 0);
        let (names, symbols) = table(functions);
        let sections = [(0u32, 0, 0), (2, 1216 + names.len(), symbols.len()), (3, 1216, names.len())];
        for (kind, at, size) in
            sections.into_iter().map(|(kind, at, size)| (if functions.is_empty() { 0 } else { kind }, at, size))
        {
            file.extend([0, kind].map(u32::to_le_bytes).concat());
            file.extend([0, 0, at as u64, size as u64].map(u64::to_le_bytes).concat());
            file.extend([2u32, 0].map(u32::to_le_bytes).concat());
            file.extend([0u64, 0].map(u64::to_le_bytes).concat());
        }
        Hints::parse(&[file, names, symbols].concat())
    }

    /// Strings, and symbols of functions.
    fn table(functions: &[&str]) -> (Vec<u8>, Vec<u8>) {
        let (mut names, mut symbols) = (vec![0], vec![0; 24]);
        for function in functions {
            symbols.extend(u32::try_from(names.len()).unwrap().to_le_bytes());
            symbols.extend([0x12, 0, 1, 0]);
            symbols.extend([0; 16]);
            names.extend([function.as_bytes(), b"\0"].concat());
        }
        (names, symbols)
    }

    fn names(hints: &Hints) -> Vec<&'static str> {
        hints.symbols().iter().map(|known| known.name).collect()
    }

    #[test]
    fn an_odd_table_of_strings_tells_nothing_and_is_no_error() {
        let (names, symbols) = table(&["getpwuid"]);
        let strings = Strings { offset: u64::MAX - 1, size: u64::MAX };
        let bytes = [names, symbols].concat();
        let mut buffers = Buffers::default();
        let mut reader = Reader::new(&bytes[..], bytes.len() as u64, &mut buffers);
        assert!(look_up(vec![(1, 1), (u32::MAX, 2)], &strings, &mut reader, |_| true, function).is_empty());
    }

    #[test]
    fn what_every_program_of_glibc_has_tells_nothing() {
        let all = ["__libc_start_main", "setlocale", "dlopen", "dlmopen", "pthread_cancel", "backtrace"];
        let hello = program(true, "/usr/lib/locale gconv-modules", &all);
        assert_eq!((names(&hello), hello.has_unknown_needs()), (vec![], false));
        let asks = program(true, "/etc/nsswitch.conf", &[&all[..], &["getpwuid", "iconv_open"]].concat());
        assert_eq!((names(&asks), asks.has_unknown_needs()), (vec!["getpwuid", "iconv_open"], false));
    }

    #[test]
    fn what_every_program_with_streams_has_tells_nothing() {
        let all = ["__libc_start_main", "_ZNSt8ios_base4InitC1Ev", "iconv_open", "localtime", "newlocale", "getpwuid"];
        assert_eq!(names(&program(true, "", &all)), ["getpwuid"]);
        assert_eq!(names(&program(true, "St8ios_base /usr/share/zoneinfo", &[])), [""; 0]);
    }

    #[test]
    fn a_stripped_program_is_told_by_its_texts() {
        let texts = "/usr/share/zoneinfo\0/etc/gai.conf\0/etc/passwd\0/etc/services\0%.*s/%.*sXXXXXX\0";
        let glibc = program(true, texts, &[]);
        assert_eq!(names(&glibc), ["/etc/gai.conf", "/usr/share/zoneinfo", "%.*s/%.*sXXXXXX"]);
        assert!(glibc.symbols().iter().all(|known| known.is_text()));
        assert!(names(&program(false, texts, &[])).contains(&"/etc/passwd"));
        assert!(!names(&program(false, texts, &["__libc_start_main"])).contains(&"/etc/passwd"));
    }

    #[test]
    fn a_stripped_program_of_glibc_that_asks_for_a_database_has_unknown_needs() {
        assert!(program(true, "/etc/nsswitch.conf", &[]).has_unknown_needs());
        assert!(!program(true, "", &[]).has_unknown_needs());
        assert!(!program(false, "/etc/nsswitch.conf", &[]).has_unknown_needs());
    }

    #[test]
    fn a_program_of_musl_has_its_character_sets_and_locales_built_in() {
        let all = ["__libc_start_main", "iconv_open", "setlocale", "dlopen", "pthread_exit", "tmpfile"];
        assert_eq!(names(&program(false, "", &all)), ["tmpfile"]);
    }
}
