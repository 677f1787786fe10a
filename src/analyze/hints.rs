//! What in a file tells of needs that its dynamic section does not name.
//!
//! No loader looks at it, so it is read when somebody asks, and leniently: what is odd tells nothing, and is no error.

use super::reader::{Buffers, ReadAt, Reader};
use super::segments::Segments;
use super::statics::{self, Statics};
use super::{Elf, concealed, dynamic};
use crate::error::Cause;
use crate::need::{Hint, Known};

/// What tells of the needs of a program or a library.
#[derive(Debug)]
pub(crate) struct Hints {
    symbols: Vec<&'static Known>,
    has_unknown_needs: bool,
    has_glibc_inside: bool,
    concealed: Option<&'static str>,
}

impl Hints {
    /// Of a file that tells nothing.
    pub(crate) const NONE: Hints =
        Hints { symbols: Vec::new(), has_unknown_needs: false, has_glibc_inside: false, concealed: None };

    /// Of the file that `source`, of `len` bytes, is, with the memory that another file was read into.
    /// An error is only that there is more than is believed.
    pub(crate) fn read<R: ReadAt + ?Sized>(
        elf: &Elf,
        source: &R,
        len: u64,
        buffers: &mut Buffers,
    ) -> Result<Hints, Cause> {
        let mut reader = Reader::new(source, len, buffers);
        Segments::read(&mut reader).map_or_else(|_| Ok(Hints::NONE), |segments| of(elf, &segments, &mut reader))
    }

    /// The symbols among those that it imports which tell of a need; of a static program among those that it has.
    pub(crate) fn symbols(&self) -> &[&'static Known] {
        &self.symbols
    }

    /// The first of those symbols that tells one of these.
    pub(crate) fn symbol_for(&self, wanted: &[Hint]) -> Option<&'static Known> {
        self.symbols.iter().copied().find(|symbol| wanted.contains(&symbol.hint))
    }

    /// Whether it is a static program of glibc in which nothing tells what it needs at run time.
    pub(crate) fn has_unknown_needs(&self) -> bool {
        self.has_unknown_needs
    }

    /// Whether it is a static program of glibc.
    pub(crate) fn has_glibc_inside(&self) -> bool {
        self.has_glibc_inside
    }

    /// Why what it loads cannot be seen in it, in words.
    pub(crate) fn concealed(&self) -> Option<&'static str> {
        self.concealed
    }
}

fn of<R: ReadAt + ?Sized>(elf: &Elf, segments: &Segments, reader: &mut Reader<'_, R>) -> Result<Hints, Cause> {
    let imported = dynamic::imported_symbols(reader, segments)?;
    let concealed = concealed::reason(reader, segments);
    // What is packed is not there to be read.
    let statics = match elf.is_static_program() && concealed.is_none() {
        true => statics::read(reader, segments)?,
        false => Statics::default(),
    };
    Ok(Hints {
        symbols: [imported, statics.symbols].concat(),
        has_unknown_needs: statics.has_unknown_needs,
        has_glibc_inside: statics.is_of_glibc,
        concealed,
    })
}

#[cfg(test)]
impl Hints {
    /// Of a file that is in memory.
    pub(crate) fn parse(bytes: &[u8]) -> Hints {
        let elf = Elf::parse(bytes).unwrap();
        Hints::read(&elf, bytes, bytes.len() as u64, &mut Buffers::default()).unwrap()
    }
}
