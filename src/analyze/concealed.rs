//! Programs that bring other files within themselves, and load or run what no header tells of.

use goblin::elf::section_header::{SHT_NOBITS, SHT_NULL};

use super::reader::{ReadAt, Reader};
use super::sections;
use super::segments::Segments;

/// What UPX puts behind a checksum of four bytes (`l_info` in its stub/src/include/linux.h).
const UPX: &[u8] = b"UPX!";
/// What the end of a PyInstaller archive begins with (`MAGIC` in its bootloader/src/pyi_archive.c).
const PYINSTALLER: &[u8] = b"MEI\x0c\x0b\x0a\x0b\x0e";
/// Bytes of the file's end in which it is searched: section headers may come behind it.
const END: u64 = 8192;
/// Bytes behind all that the headers tell of which are no matter: signatures, and what tools leave there.
const SLACK: u64 = 64 << 10;

/// Why what the program loads cannot be seen in it, in words.
pub(super) fn reason<R: ReadAt + ?Sized>(reader: &mut Reader<'_, R>, segments: &Segments) -> Option<&'static str> {
    // AppImage specification, "Type 1" and "Type 2": in bytes of e_ident that mean nothing else.
    if matches!(segments.header.e_ident[8..11], [b'A', b'I', 1 | 2]) {
        return Some("it is an AppImage, which brings its files packed");
    }
    if is_upx(reader, segments) {
        return Some("it is packed by UPX");
    }
    if reader.len().saturating_sub(mapped_end(segments)) <= SLACK {
        return None;
    }
    if is_pyinstaller(reader) {
        return Some("it is made by PyInstaller, which packs the libraries into the program");
    }
    (reader.len().saturating_sub(described_end(reader, segments)?) > SLACK)
        .then_some("it has other data behind all that its headers tell of, such as an archive that it unpacks")
}

/// Behind the program headers there is its `l_info`; section headers it leaves out.
fn is_upx<R: ReadAt + ?Sized>(reader: &mut Reader<'_, R>, segments: &Segments) -> bool {
    let header = &segments.header;
    let headers = u64::from(header.e_phnum) * u64::from(header.e_phentsize);
    let Some(behind) = header.e_phoff.checked_add(headers + 4) else { return false };
    header.e_shnum == 0 && reader.up_to(behind, UPX.len()).is_ok_and(|bytes| bytes == UPX)
}

fn is_pyinstaller<R: ReadAt + ?Sized>(reader: &mut Reader<'_, R>) -> bool {
    let start = reader.len().saturating_sub(END);
    reader.up_to(start, END as usize).is_ok_and(|end| memchr::memmem::find(end, PYINSTALLER).is_some())
}

fn mapped_end(segments: &Segments) -> u64 {
    segments.headers.iter().map(|header| header.p_offset.saturating_add(header.p_filesz)).max().unwrap_or(0)
}

/// Where everything ends that segments and sections tell of; `None` where there are section headers that cannot be read.
fn described_end<R: ReadAt + ?Sized>(reader: &mut Reader<'_, R>, segments: &Segments) -> Option<u64> {
    let header = &segments.header;
    let mapped = mapped_end(segments);
    if header.e_shoff == 0 {
        return Some(mapped);
    }
    let table = header.e_shoff.saturating_add(u64::from(header.e_shnum) * u64::from(header.e_shentsize));
    let sections = sections::headers(reader, segments)?;
    let ends = sections.iter().filter(|section| !matches!(section.sh_type, SHT_NULL | SHT_NOBITS));
    let ends = ends.map(|section| section.sh_offset.saturating_add(section.sh_size));
    // With more sections than fit into e_shnum, it is 0 (gABI, "ELF Header").
    (header.e_shnum != 0).then(|| ends.fold(mapped.max(table), u64::max))
}

#[cfg(test)]
mod tests {
    use crate::analyze::Hints;

    /// A static program with one segment, of this size with its headers.
    fn program(size: usize) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
        file.extend([120, 64, 0].map(u64::to_le_bytes).concat());
        file.extend([0u32, 0x0038_0040, 0x0040_0001, 0].map(u32::to_le_bytes).concat());
        file.extend([1u32, 5].map(u32::to_le_bytes).concat());
        file.extend([0, 0, 0, size as u64, size as u64, 4096].map(u64::to_le_bytes).concat());
        file.resize(size, 0);
        file
    }

    fn concealed(bytes: &[u8]) -> Option<&'static str> {
        Hints::parse(bytes).concealed()
    }

    #[test]
    fn a_program_with_little_behind_its_segments_conceals_nothing() {
        assert_eq!(concealed(&program(4096)), None);
        assert_eq!(concealed(&[program(4096), vec![0; 65_536]].concat()), None);
    }

    #[test]
    fn one_with_much_behind_all_that_its_headers_tell_of_does() {
        let mut bytes = [program(4096), vec![0; 70_000]].concat();
        assert!(concealed(&bytes).unwrap().contains("other data behind"));
        // Section headers that tell of it.
        let (at, size) = (4096usize, 64);
        bytes[40..48].copy_from_slice(&at.to_le_bytes());
        bytes[58..62].copy_from_slice(&[64, 0, 2, 0]);
        bytes[at + size + 4] = 1;
        bytes[at + size + 24..at + size + 32].copy_from_slice(&(at + 2 * size).to_le_bytes());
        bytes[at + size + 32..at + size + 40].copy_from_slice(&69_000usize.to_le_bytes());
        assert_eq!(concealed(&bytes), None);
    }

    #[test]
    fn packers_are_known_by_their_marks() {
        let mut upx = program(4096);
        upx[124..128].copy_from_slice(b"UPX!");
        assert_eq!(concealed(&upx), Some("it is packed by UPX"));
        let mut appimage = program(4096);
        appimage[8..11].copy_from_slice(b"AI\x02");
        assert!(concealed(&appimage).unwrap().contains("AppImage"));
        let python = [&program(4096)[..], &[7; 70_000], b"MEI\x0c\x0b\x0a\x0b\x0e", &[0; 3000]].concat();
        assert!(concealed(&python).unwrap().contains("PyInstaller"));
    }
}
