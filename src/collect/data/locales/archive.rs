//! `locale-archive`: many locales in one file (glibc's locale/locarchive.h).

use std::collections::BTreeSet;
use std::path::Path;

use memchr::memchr;

use super::{ARCHIVES, CATEGORIES, MAX_CATEGORY, Surroundings, byte_order};
use crate::analyze::ReadAt;
use crate::root::Input;

const MAGIC: u32 = 0xde02_0109;
const HEADER: usize = 56;
/// A name's hash, and where the name and the locale are.
const NAME_ENTRY: usize = 12;
/// How many names lead here, and thirteen pairs of an offset and a size.
const RECORD: usize = 4 + 13 * 8;
/// Entries for names, free ones included. An archive of all locales of glibc has 1,800.
const MAX_ENTRIES: usize = 1 << 16;
/// Bytes of a name that are looked at, the NUL at its end included.
const MAX_NAME: usize = 256;

/// The bytes of each category.
pub(super) type Categories = Vec<Vec<u8>>;

/// The names of an archive, and where each one's record is.
pub(super) struct Archive {
    input: Input,
    read: fn([u8; 4]) -> u32,
    names: Vec<(String, u32)>,
}

impl Archive {
    /// `None` where there is none, or what is there is none.
    pub(super) fn open(path: &Path, around: &Surroundings<'_>) -> Option<Archive> {
        let (_, input) = ARCHIVES.open(path, around)?;
        let header = range(&input, 0, HEADER)?;
        let read = byte_order(&header, MAGIC)?;
        let mut archive = Archive { input, read, names: Vec::new() };
        archive.names = archive.read_names(&header)?;
        Some(archive)
    }

    /// Its locales.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.names.iter().map(|(name, _)| name.clone())
    }

    /// The locale `name`, whose code set is normalized already.
    pub(super) fn read(&self, name: &str) -> Option<Categories> {
        let (_, at) = self.names.iter().find(|(known, _)| known == name)?;
        let record = range(&self.input, *at, RECORD)?;
        // Of all of them; a real locale has less than one category may have.
        let mut left = MAX_CATEGORY;
        let read = |(category, _): &(usize, &str)| {
            let (at, size) =
                (number(&record, 4 + category * 8, self.read)?, number(&record, 8 + category * 8, self.read)?);
            left = left.checked_sub(u64::from(size))?;
            range(&self.input, at, usize::try_from(size).ok()?)
        };
        let categories = CATEGORIES.iter().map(read).collect();
        // Not of two states of the file.
        if self.input.is_unchanged() { categories } else { None }
    }

    fn read_names(&self, header: &[u8]) -> Option<Vec<(String, u32)>> {
        let (at, entries) = (number(header, 8, self.read)?, number(header, 16, self.read)?);
        let entries = usize::try_from(entries).ok().filter(|&entries| entries <= MAX_ENTRIES)?;
        let table = range(&self.input, at, entries * NAME_ENTRY)?;
        let mut names = BTreeSet::new();
        for entry in table.chunks_exact(NAME_ENTRY) {
            let (name, record) = (number(entry, 4, self.read)?, number(entry, 8, self.read)?);
            // One that was taken out again has no record, and a free one no name.
            if name != 0 && record != 0 {
                names.extend(self.name(name).map(|name| (name, record)));
            }
        }
        Some(names.into_iter().collect())
    }

    fn name(&self, at: u32) -> Option<String> {
        let left = self.input.stamp.size.checked_sub(u64::from(at))?;
        let bytes = range(&self.input, at, usize::try_from(left).map_or(MAX_NAME, |left| left.min(MAX_NAME)))?;
        String::from_utf8(bytes[..memchr(0, &bytes)?].to_vec()).ok()
    }
}

/// Exactly these bytes of the file; nothing is set aside for what is not there.
fn range(input: &Input, at: u32, size: usize) -> Option<Vec<u8>> {
    let end = u64::from(at).checked_add(u64::try_from(size).ok()?)?;
    if end > input.stamp.size {
        return None;
    }
    let mut bytes = vec![0; size];
    let filled = input.read_at(&mut bytes, u64::from(at)).ok()?;
    (filled == size).then_some(bytes)
}

fn number(bytes: &[u8], at: usize, read: fn([u8; 4]) -> u32) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(read)
}
