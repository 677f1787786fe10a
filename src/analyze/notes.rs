//! Notes: what a linker or a packager left in a file for others to read (gABI, "Note Section").
//!
//! The loader needs none of them here, so they are read leniently: what is odd says nothing, and is no error.

use goblin::elf::header::{EM_386, EM_X86_64};
use goblin::elf::program_header::{PT_GNU_PROPERTY, PT_NOTE, ProgramHeader};

use super::machine::{ByteOrder, Class};
use super::reader::{Buffers, ReadAt, Reader};
use super::segments::Segments;
use super::{DlopenNote, dlopen_note};
use crate::error::Cause;
use crate::limits::{MAX_DLOPEN_NOTES, MAX_NOTES};
use crate::text::hex;

/// Of the owner `FDO`: libraries that are loaded later (UAPI group, "ELF dlopen metadata").
const FDO_DLOPEN: u32 = 0x407c_0c0a;
/// Of the owner `GNU`: the system that it is for.
const NT_GNU_ABI_TAG: u32 = 1;
/// Of the owner `GNU`: what tells one build of a file from another (ld(1), `--build-id`).
const NT_GNU_BUILD_ID: u32 = 3;
/// Of the owner `FDO`: the package that a file was built for (UAPI group, "Package Metadata for Executable Files").
const FDO_PACKAGING_METADATA: u32 = 0xcafe_1a7e;
/// Of the owner `GNU`: properties of the code (Linux extensions to the gABI, "Program Property").
const NT_GNU_PROPERTY_TYPE_0: u32 = 5;
/// A bit for each level of the instruction set that the code needs (x86-64 psABI, "Program Property").
const GNU_PROPERTY_X86_ISA_1_NEEDED: u32 = 0xc000_8002;
/// The levels by their bits, the lowest first.
const ISA_LEVELS: [&str; 4] = ["x86-64-baseline", "x86-64-v2", "x86-64-v3", "x86-64-v4"];

/// One note.
struct Note<'a> {
    /// Without the NUL at its end.
    owner: &'a [u8],
    kind: u32,
    content: &'a [u8],
}

/// The highest level of x86 that the code needs, by its property notes; `None` where the file does not tell.
pub(super) fn isa_level<R: ReadAt + ?Sized>(reader: &mut Reader<'_, R>, segments: &Segments) -> Option<&'static str> {
    let machine = segments.machine;
    if !matches!(machine.code, EM_X86_64 | EM_386) {
        return None;
    }
    // The note has the alignment of its class; glibc passes over others (`_dl_process_pt_gnu_property`).
    let alignment = if machine.class == Class::Elf64 { 8 } else { 4 };
    let kind = match segments.headers.iter().any(|header| header.p_type == PT_GNU_PROPERTY) {
        true => PT_GNU_PROPERTY,
        false => PT_NOTE,
    };
    let mut needed = 0;
    for_each(
        reader,
        segments,
        |header| (header.p_type, header.p_align) == (kind, alignment),
        |note| {
            if (note.owner, note.kind) == (b"GNU", NT_GNU_PROPERTY_TYPE_0) {
                needed |= isa_needed(note.content, alignment as usize, machine.byte_order);
            }
        },
    );
    let highest = (0..ISA_LEVELS.len()).rfind(|level| needed & 1 << level != 0)?;
    Some(ISA_LEVELS[highest])
}

/// The bits of the levels in a note of properties.
fn isa_needed(properties: &[u8], alignment: usize, byte_order: ByteOrder) -> u32 {
    let mut fields = Fields { rest: properties, alignment, byte_order };
    let mut needed = 0;
    while let Some((kind, value)) = fields.property() {
        if kind == GNU_PROPERTY_X86_ISA_1_NEEDED {
            needed |= value.first_chunk().map_or(0, |word| number(*word, byte_order));
        }
    }
    needed
}

/// The entries of all notes of this kind; one that is odd is passed over.
pub(super) fn dlopen<R: ReadAt + ?Sized>(
    reader: &mut Reader<'_, R>,
    segments: &Segments,
) -> Result<Vec<DlopenNote>, Cause> {
    expect_small(reader.len(), segments)?;
    let mut entries = Ok(Vec::new());
    for_each(
        reader,
        segments,
        |header| header.p_type == PT_NOTE,
        |note| {
            if (note.owner, note.kind) == (b"FDO", FDO_DLOPEN)
                && let Ok(known) = &mut entries
            {
                match dlopen_note::entries(note.content) {
                    Ok(more) => known.extend(more),
                    Err(cause) => entries = Err(cause),
                }
            }
        },
    );
    match entries? {
        entries if entries.len() > MAX_DLOPEN_NOTES => Err(dlopen_note::too_many("entries")),
        entries => Ok(entries),
    }
}

/// Of all notes, whatever they say, for each could name something that is loaded.
fn expect_small(len: u64, segments: &Segments) -> Result<(), Cause> {
    let notes = segments.headers.iter().filter(|header| header.p_type == PT_NOTE);
    let there = notes.map(|header| header.p_filesz.min(len.saturating_sub(header.p_offset)));
    let size = there.fold(0, u64::saturating_add);
    match size > MAX_NOTES {
        true => Err(Cause::malformed(format!("its notes have {size} bytes; the limit is {MAX_NOTES}"))),
        false => Ok(()),
    }
}

/// Whether glibc's startup code is linked into it, which brings a note of the oldest kernel that it runs on (LSB core,
/// "Notes").
pub(super) fn is_of_glibc<R: ReadAt + ?Sized>(reader: &mut Reader<'_, R>, segments: &Segments) -> bool {
    let mut is_of_glibc = false;
    for_each(
        reader,
        segments,
        |header| header.p_type == PT_NOTE,
        |note| is_of_glibc |= (note.owner, note.kind) == (b"GNU", NT_GNU_ABI_TAG),
    );
    is_of_glibc
}

/// What a file's notes say that it is.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    /// As it is written in general: hexadecimal digits.
    pub(crate) build_id: Option<String>,
    /// The JSON of its `.note.package`, as it stands.
    pub(crate) package: Option<Vec<u8>>,
}

impl Identity {
    /// Of the file that `source`, of `len` bytes, is; what is odd tells nothing. Of several notes of one kind the first counts.
    pub(crate) fn read<R: ReadAt + ?Sized>(source: &R, len: u64) -> Identity {
        let mut buffers = Buffers::default();
        let mut reader = Reader::new(source, len, &mut buffers);
        let mut identity = Identity::default();
        let Ok(segments) = Segments::read(&mut reader) else { return identity };
        for_each(
            &mut reader,
            &segments,
            |header| header.p_type == PT_NOTE,
            |note| match (note.owner, note.kind) {
                (b"GNU", NT_GNU_BUILD_ID) if (1..=MAX_BUILD_ID).contains(&note.content.len()) => {
                    identity.build_id.get_or_insert_with(|| hex(note.content));
                }
                (b"FDO", FDO_PACKAGING_METADATA) => {
                    let json = note.content.split(|&byte| byte == 0).next().unwrap_or_default();
                    identity.package.get_or_insert_with(|| json.to_vec());
                }
                _ => {}
            },
        );
        identity
    }
}

/// Bytes of a build id: 20 by default, and what the caller of a linker gives is no more than a digest.
const MAX_BUILD_ID: usize = 64;

/// Goes through all notes of the segments that are `wanted`, in their order.
fn for_each<R: ReadAt + ?Sized>(
    reader: &mut Reader<'_, R>,
    segments: &Segments,
    wanted: impl Fn(&ProgramHeader) -> bool,
    mut work: impl FnMut(Note<'_>),
) {
    let mut rest = MAX_NOTES;
    for header in segments.headers.iter().filter(|header| wanted(header)) {
        let size = header.p_filesz.min(rest);
        rest -= size;
        let size = usize::try_from(size).unwrap_or(0);
        let Ok(bytes) = reader.bytes(header.p_offset, size, "notes") else { continue };
        // Whatever is not 8 is 4, however it is written.
        let alignment = if header.p_align == 8 { 8 } else { 4 };
        let mut fields = Fields { rest: bytes, alignment, byte_order: segments.machine.byte_order };
        while let Some(note) = fields.note() {
            work(note);
        }
    }
}

/// Numbers and byte strings, one behind the other, each string aligned.
struct Fields<'a> {
    rest: &'a [u8],
    alignment: usize,
    byte_order: ByteOrder,
}

impl<'a> Fields<'a> {
    fn note(&mut self) -> Option<Note<'a>> {
        let start = self.rest;
        let (owner, content, kind) = (self.number()?, self.number()?, self.number()?);
        let owner = self.take(owner)?;
        // The content is aligned to the start of the note, not to that of its owner's name.
        let header = start.len() - self.rest.len();
        self.take(header.next_multiple_of(self.alignment) - header)?;
        let content = self.take(content)?;
        self.align(content.len());
        Some(Note { owner: owner.strip_suffix(b"\0").unwrap_or(owner), kind, content })
    }

    /// The type of a property, and its value.
    fn property(&mut self) -> Option<(u32, &'a [u8])> {
        let (kind, size) = (self.number()?, self.number()?);
        let value = self.take(size)?;
        self.align(value.len());
        Some((kind, value))
    }

    fn number(&mut self) -> Option<u32> {
        let (word, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(number(*word, self.byte_order))
    }

    fn take(&mut self, size: impl TryInto<usize>) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(size.try_into().ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    /// Passes over what fills up a string of this size. The last one need not be filled up.
    fn align(&mut self, size: usize) {
        let padding = size.next_multiple_of(self.alignment) - size;
        self.rest = self.rest.get(padding..).unwrap_or_default();
    }
}

fn number(word: [u8; 4], byte_order: ByteOrder) -> u32 {
    match byte_order {
        ByteOrder::Little => u32::from_le_bytes(word),
        ByteOrder::Big => u32::from_be_bytes(word),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::{GNU_PROPERTY_X86_ISA_1_NEEDED, isa_needed};
    use crate::analyze::reader::Counted;
    use crate::analyze::{ByteOrder, Elf};

    const PROPERTY: u32 = 0x6474_e553;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// A note of these properties, as a 64-bit file has it.
    fn note(properties: &[u8]) -> Vec<u8> {
        [&words(&[4, u32::try_from(properties.len()).unwrap(), 5])[..], b"GNU\0", properties].concat()
    }

    fn needed(bits: u32) -> Vec<u8> {
        words(&[GNU_PROPERTY_X86_ISA_1_NEEDED, 4, bits, 0])
    }

    /// A shared library of 8 KiB with these notes in a segment at its start.
    fn file(kind: u32, notes: &[u8]) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0".to_vec();
        file.extend([0, 64, 0].map(u64::to_le_bytes).concat());
        file.extend(words(&[0, 0x0038_0040, 0x0040_0002, 0]));
        for (kind, at, size) in [(1u32, 0, 8192), (kind, 176, notes.len() as u64)] {
            file.extend(words(&[kind, 4]));
            file.extend([at, at, at, size, size, 8].map(u64::to_le_bytes).concat());
        }
        file.extend(notes);
        file.resize(8192, 0);
        file
    }

    fn isa_level(kind: u32, notes: &[u8]) -> Option<&'static str> {
        Elf::parse(&file(kind, notes)).unwrap().isa_level()
    }

    #[test]
    fn the_highest_level_counts() {
        for (bits, level) in
            [(1, "x86-64-baseline"), (3, "x86-64-v2"), (7, "x86-64-v3"), (8, "x86-64-v4"), (0xf3, "x86-64-v2")]
        {
            assert_eq!(isa_level(PROPERTY, &note(&needed(bits))), Some(level));
        }
        assert_eq!(isa_level(PROPERTY, &note(&needed(0))), None);
    }

    #[test]
    fn other_notes_and_properties_are_passed_over() {
        let other = [words(&[4, 20, 3]), b"GNU\0".to_vec(), vec![7; 24]].concat();
        let properties = [words(&[0xc000_0002, 4, 3, 0]), needed(2)].concat();
        let notes = [other, note(&properties)].concat();
        assert_eq!(isa_level(PROPERTY, &notes), Some("x86-64-v2"));
        assert_eq!(isa_level(4, &notes), Some("x86-64-v2"));
    }

    #[test]
    fn whatever_is_odd_tells_nothing() {
        let good = note(&needed(2));
        for end in 0..good.len() - 4 {
            assert_eq!(isa_level(PROPERTY, &good[..end]), None, "{end}");
        }
        for odd in [words(&[u32::MAX, u32::MAX, 5]), words(&[4, u32::MAX, 5, 0]), vec![0xff; 64], vec![0; 64]] {
            assert_eq!(isa_level(PROPERTY, &odd), None);
        }
        assert_eq!(isa_needed(&words(&[GNU_PROPERTY_X86_ISA_1_NEEDED, 2, 2]), 8, ByteOrder::Little), 0);
    }

    #[test]
    fn notes_among_the_first_bytes_cost_no_read_of_their_own() {
        let counted = Counted(file(PROPERTY, &note(&needed(2))), Cell::new(0));
        let elf = Elf::read_from(&counted, 8192).unwrap();
        assert_eq!((elf.isa_level(), counted.1.get()), (Some("x86-64-v2"), 1));
    }
}
