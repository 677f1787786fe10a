//! Section headers. No loader reads them, so whatever is odd tells nothing, and is no error.

use goblin::elf::section_header::SectionHeader;
use scroll::Pread;

use super::reader::{ReadAt, Reader};
use super::segments::Segments;

/// All of them; `None` where the file has none that can be read.
pub(super) fn headers<R: ReadAt + ?Sized>(
    reader: &mut Reader<'_, R>,
    segments: &Segments,
) -> Option<Vec<SectionHeader>> {
    let header = &segments.header;
    let (count, size) = (usize::from(header.e_shnum), SectionHeader::size(segments.ctx));
    if usize::from(header.e_shentsize) != size {
        return None;
    }
    let bytes = reader.bytes(header.e_shoff, count * size, "section headers").ok()?;
    (0..count).map(|at| bytes.pread_with(at * size, segments.ctx).ok()).collect()
}
