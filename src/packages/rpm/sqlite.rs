//! Reads what is looked for in an SQLite database, and no more of it (sqlite.org/fileformat2.html). Of all that is
//! looked at the size counts, so that a database made to do harm ends where the limit is.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use crate::analyze::ReadAt;
use crate::error::Cause;
use crate::limits::{MAX_PACKAGE_BYTES, MAX_PACKAGE_FILE};
use crate::root::Input;

/// Trees of four billion pages are no higher.
const MAX_DEPTH: usize = 20;

/// Columns of the widest table that is read, which is the schema.
const MOST_COLUMNS: usize = 5;

/// Pages that are remembered.
const REMEMBERED: usize = 512;

/// A database, open for reading.
pub(super) struct Database<'i> {
    file: &'i Input,
    /// Where in the write-ahead log the newest state of a page is.
    newer: HashMap<u32, u64>,
    log: Option<&'i Input>,
    page_size: usize,
    /// Bytes of a page that are used.
    usable: usize,
    pages: RefCell<HashMap<u32, Rc<Vec<u8>>>>,
    /// Bytes that may still be read.
    left: &'i Cell<u64>,
}

/// A value of a row, as far as anybody asks.
#[derive(Debug)]
pub(super) enum Field {
    Integer(i64),
    Bytes(Vec<u8>),
    Other,
}

impl Field {
    pub(super) fn integer(&self) -> Option<i64> {
        if let Field::Integer(number) = self { Some(*number) } else { None }
    }

    pub(super) fn bytes(&self) -> Option<&[u8]> {
        if let Field::Bytes(bytes) = self { Some(bytes) } else { None }
    }
}

impl<'i> Database<'i> {
    /// The database in `file`, with what was committed to its write-ahead log and is not in it yet.
    pub(super) fn open(file: &'i Input, log: Option<&'i Input>, left: &'i Cell<u64>) -> Result<Self, Cause> {
        let mut header = [0; 100];
        let filled = file.read_at(&mut header, 0)?;
        if filled < header.len() || !header.starts_with(b"SQLite format 3\0") {
            return Err(damaged("it is no SQLite database"));
        }
        let page_size = match u16_at(&header, 16).unwrap_or(0) {
            1 => 65_536,
            size => usize::from(size),
        };
        let usable = page_size.saturating_sub(header[20].into());
        if !page_size.is_power_of_two() || page_size < 512 || usable < 480 {
            return Err(damaged("its pages have no possible size"));
        }
        let newer = log.map(|log| committed(log, page_size, left)).transpose()?.unwrap_or_default();
        let database = Database { file, newer, log, page_size, usable, pages: RefCell::default(), left };
        // The rest of the header may be in the log.
        match u32_at(&database.read(1)?, 56) {
            Some(1) => Ok(database),
            _ => Err(damaged("its texts are not in UTF-8")),
        }
    }

    /// The first page of a table or an index.
    pub(super) fn root(&self, name: &str) -> Result<u32, Cause> {
        let mut root = None;
        self.each_row(1, 0, &mut |row| {
            // Type, name, table, first page, SQL.
            if row.get(1).and_then(Field::bytes) == Some(name.as_bytes()) {
                root = row.get(3).and_then(Field::integer).and_then(|page| u32::try_from(page).ok());
            }
        })?;
        root.ok_or_else(|| damaged(&format!("it has no {name}; rebuild it with rpmdb --rebuilddb")))
    }

    fn each_row(&self, page: u32, depth: usize, work: &mut dyn FnMut(Vec<Field>)) -> Result<(), Cause> {
        let page = self.page(page, depth)?;
        for cell in page.cells()? {
            match page.kind {
                Kind::TableInterior => self.each_row(page.number(cell)?, depth + 1, work)?,
                Kind::TableLeaf => work(fields(&self.row(&page, cell)?.1)?),
                _ => return Err(damaged(SHAPE)),
            }
        }
        match page.kind {
            Kind::TableInterior => self.each_row(page.last()?, depth + 1, work),
            _ => Ok(()),
        }
    }

    /// The row of a table that has this number.
    pub(super) fn row_of(&self, root: u32, wanted: i64) -> Result<Option<Vec<Field>>, Cause> {
        let mut number = root;
        for depth in 0.. {
            let page = self.page(number, depth)?;
            match page.kind {
                Kind::TableLeaf => {
                    for cell in page.cells()? {
                        if varint(&page.bytes, &mut page.behind_size(cell)?)? == wanted as u64 {
                            return fields(&self.row(&page, cell)?.1).map(Some);
                        }
                    }
                    return Ok(None);
                }
                Kind::TableInterior => {
                    let mut next = page.last()?;
                    for cell in page.cells()? {
                        if wanted <= varint(&page.bytes, &mut (cell + 4))? as i64 {
                            next = page.number(cell)?;
                            break;
                        }
                    }
                    number = next;
                }
                _ => return Err(damaged(SHAPE)),
            }
        }
        Ok(None)
    }

    /// The numbers of the rows that an index has under a text.
    pub(super) fn rows_under(&self, root: u32, wanted: &[u8]) -> Result<Vec<i64>, Cause> {
        let mut rows = Vec::new();
        self.search(root, wanted, 0, &mut rows)?;
        Ok(rows)
    }

    fn search(&self, page: u32, wanted: &[u8], depth: usize, rows: &mut Vec<i64>) -> Result<(), Cause> {
        let page = self.page(page, depth)?;
        let is_leaf = match page.kind {
            Kind::IndexLeaf => true,
            Kind::IndexInterior => false,
            _ => return Err(damaged(SHAPE)),
        };
        for cell in page.cells()? {
            let entry = fields(&self.payload(&page, if is_leaf { cell } else { cell + 4 }, 0)?)?;
            let key = entry.first().and_then(Field::bytes).unwrap_or_default();
            if key >= wanted && !is_leaf {
                self.search(page.number(cell)?, wanted, depth + 1, rows)?;
            }
            if key == wanted {
                rows.extend(entry.last().and_then(Field::integer));
            }
            if key > wanted {
                return Ok(());
            }
        }
        if is_leaf { Ok(()) } else { self.search(page.last()?, wanted, depth + 1, rows) }
    }

    /// The number and the content of a row.
    fn row(&self, page: &Page, cell: usize) -> Result<(u64, Vec<u8>), Cause> {
        let mut at = page.behind_size(cell)?;
        let number = varint(&page.bytes, &mut at)?;
        let before = at - page.behind_size(cell)?;
        Ok((number, self.payload(page, cell, before)?))
    }

    /// The content of a cell: its size, so many bytes of no interest, and as much of it as the page holds. The rest is on pages
    /// of its own.
    fn payload(&self, page: &Page, cell: usize, passed: usize) -> Result<Vec<u8>, Cause> {
        let mut at = cell;
        let size = varint(&page.bytes, &mut at)?;
        at += passed;
        if size > MAX_PACKAGE_FILE {
            return Err(Cause::malformed(format!("a row has {size} bytes; the limit is {MAX_PACKAGE_FILE}")));
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let local = self.local(size, page.kind);
        spend(self.left, local as u64)?;
        let mut payload = slice(&page.bytes, at, local)?.to_vec();
        let mut next = if local < size { u32_at(&page.bytes, at + local).unwrap_or(0) } else { 0 };
        while payload.len() < size {
            let overflow = self.read(next)?;
            next = u32_at(&overflow, 0).unwrap_or(0);
            payload.extend(slice(&overflow, 4, (size - payload.len()).min(self.usable - 4))?);
        }
        Ok(payload)
    }

    /// How much of a content of this size is on the page itself ("Cell Payload Overflow Pages").
    fn local(&self, size: usize, kind: Kind) -> usize {
        let most = match kind {
            Kind::TableLeaf => self.usable - 35,
            _ => (self.usable - 12) * 64 / 255 - 23,
        };
        let least = (self.usable - 12) * 32 / 255 - 23;
        if size <= most {
            return size;
        }
        let fitting = least + (size - least) % (self.usable - 4);
        if fitting <= most { fitting } else { least }
    }

    fn page(&self, number: u32, depth: usize) -> Result<Page, Cause> {
        if depth > MAX_DEPTH {
            return Err(damaged(SHAPE));
        }
        let bytes = self.read(number)?;
        let start = if number == 1 { 100 } else { 0 };
        let kind = match bytes.get(start) {
            Some(0x02) => Kind::IndexInterior,
            Some(0x05) => Kind::TableInterior,
            Some(0x0a) => Kind::IndexLeaf,
            Some(0x0d) => Kind::TableLeaf,
            _ => return Err(damaged(SHAPE)),
        };
        Ok(Page { bytes, start, kind })
    }

    fn read(&self, number: u32) -> Result<Rc<Vec<u8>>, Cause> {
        let size = self.page_size as u64;
        if let Some(page) = self.pages.borrow().get(&number) {
            // It could be named again and again; of what is looked at in it, the size counts as well.
            spend(self.left, size / 8)?;
            return Ok(page.clone());
        }
        spend(self.left, size)?;
        let before = number.checked_sub(1).ok_or_else(|| damaged(SHAPE))?;
        let mut bytes = vec![0; self.page_size];
        let filled = match (self.newer.get(&number), self.log) {
            (Some(&at), Some(log)) => log.read_at(&mut bytes, at)?,
            _ => self.file.read_at(&mut bytes, u64::from(before) * size)?,
        };
        if filled < bytes.len() {
            return Err(damaged("it ends before a page that it names"));
        }
        let page = Rc::new(bytes);
        let mut pages = self.pages.borrow_mut();
        if pages.len() >= REMEMBERED {
            pages.clear();
        }
        pages.insert(number, page.clone());
        Ok(page)
    }
}

const SHAPE: &str = "its pages contradict each other; rebuild it with rpmdb --rebuilddb";

fn damaged(why: &str) -> Cause {
    Cause::malformed(why)
}

fn spend(left: &Cell<u64>, size: u64) -> Result<(), Cause> {
    let rest = left.get().checked_sub(size).ok_or_else(|| {
        Cause::malformed(format!("more than {MAX_PACKAGE_BYTES} bytes of it would have to be read, which is the limit"))
    })?;
    left.set(rest);
    Ok(())
}

/// Where in a write-ahead log the last committed state of each page is. What an earlier log left behind has other salts, and what
/// was not written to its end another sum ("WAL File Format").
fn committed(log: &Input, page_size: usize, left: &Cell<u64>) -> Result<HashMap<u32, u64>, Cause> {
    let mut header = [0; 32];
    if log.read_at(&mut header, 0)? < header.len() {
        return Ok(HashMap::new());
    }
    let Some(mut sum) = LogSum::of(&header) else { return Ok(HashMap::new()) };
    let mut frame = vec![0; 24 + page_size];
    let (mut newer, mut pending) = (HashMap::new(), Vec::new());
    for at in (32..log.stamp.size).step_by(frame.len()) {
        spend(left, frame.len() as u64)?;
        if log.read_at(&mut frame, at)? < frame.len() || frame[8..16] != header[16..24] || !sum.goes_on_to(&frame) {
            break;
        }
        pending.push((u32_at(&frame, 0).unwrap_or(0), at + 24));
        // The size of the database behind a commit, and 0 before one.
        if u32_at(&frame, 4) != Some(0) {
            newer.extend(pending.drain(..));
        }
    }
    Ok(newer)
}

/// The sum of all that a log has so far ("Checksum Algorithm").
struct LogSum {
    is_little: bool,
    sum: [u32; 2],
}

impl LogSum {
    /// That of a log's header, if it is one.
    fn of(header: &[u8; 32]) -> Option<LogSum> {
        let is_little = match u32_at(header, 0)? {
            0x377f_0682 => true,
            0x377f_0683 => false,
            _ => return None,
        };
        let mut sum = LogSum { is_little, sum: [0; 2] };
        sum.add(&header[..24]);
        sum.is_at(header, 24).then_some(sum)
    }

    /// Adds a frame, whose sum does not count itself; whether it is the one that it says.
    fn goes_on_to(&mut self, frame: &[u8]) -> bool {
        self.add(&frame[..8]);
        self.add(&frame[24..]);
        self.is_at(frame, 16)
    }

    fn add(&mut self, bytes: &[u8]) {
        let word = |bytes: &[u8]| {
            let bytes = bytes.first_chunk().copied().unwrap_or_default();
            if self.is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
        };
        self.sum = bytes.chunks_exact(8).fold(self.sum, |[one, two], pair| {
            let one = one.wrapping_add(word(pair)).wrapping_add(two);
            [one, two.wrapping_add(word(&pair[4..])).wrapping_add(one)]
        });
    }

    fn is_at(&self, bytes: &[u8], at: usize) -> bool {
        u32_at(bytes, at) == Some(self.sum[0]) && u32_at(bytes, at + 4) == Some(self.sum[1])
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    IndexInterior,
    IndexLeaf,
    TableInterior,
    TableLeaf,
}

/// A page of a tree.
struct Page {
    bytes: Rc<Vec<u8>>,
    /// Of its header; the first page has that of the database before it.
    start: usize,
    kind: Kind,
}

impl Page {
    /// Where the cells begin, in their order.
    fn cells(&self) -> Result<Vec<usize>, Cause> {
        let count = u16_at(&self.bytes, self.start + 3).map_or(0, usize::from);
        let header = if matches!(self.kind, Kind::IndexInterior | Kind::TableInterior) { 12 } else { 8 };
        let pointers = slice(&self.bytes, self.start + header, 2 * count)?;
        Ok(pointers.chunks_exact(2).map(|pair| usize::from(u16::from_be_bytes([pair[0], pair[1]]))).collect())
    }

    /// The page below a cell.
    fn number(&self, cell: usize) -> Result<u32, Cause> {
        u32_at(&self.bytes, cell).ok_or_else(|| damaged(SHAPE))
    }

    /// The page behind all cells.
    fn last(&self) -> Result<u32, Cause> {
        self.number(self.start + 8)
    }

    fn behind_size(&self, cell: usize) -> Result<usize, Cause> {
        let mut at = cell;
        varint(&self.bytes, &mut at).map(|_| at)
    }
}

/// The values of a row ("Record Format").
fn fields(record: &[u8]) -> Result<Vec<Field>, Cause> {
    let mut at = 0;
    let header = usize::try_from(varint(record, &mut at)?).unwrap_or(usize::MAX);
    let mut value_at = header;
    let mut fields = Vec::new();
    while at < header && fields.len() < MOST_COLUMNS {
        let kind = varint(record, &mut at)?;
        let size = match kind {
            1..=4 => kind as usize,
            5 => 6,
            6 | 7 => 8,
            12.. => usize::try_from((kind - 12) / 2).unwrap_or(usize::MAX),
            _ => 0,
        };
        let value = slice(record, value_at, size)?;
        value_at += size;
        fields.push(match kind {
            1..=6 => Field::Integer(signed(value)),
            8 | 9 => Field::Integer(kind as i64 - 8),
            12.. => Field::Bytes(value.to_vec()),
            _ => Field::Other,
        });
    }
    Ok(fields)
}

fn signed(bytes: &[u8]) -> i64 {
    let first = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { -1 } else { 0 };
    bytes.iter().fold(first, |number, &byte| number << 8 | i64::from(byte))
}

/// A number of one to nine bytes, the last of which has all its bits.
fn varint(bytes: &[u8], at: &mut usize) -> Result<u64, Cause> {
    let mut number = 0u64;
    for count in 0..9 {
        let byte = *bytes.get(*at).ok_or_else(|| damaged(SHAPE))?;
        *at += 1;
        if count == 8 {
            return Ok(number << 8 | u64::from(byte));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Ok(number)
}

fn slice(bytes: &[u8], at: usize, size: usize) -> Result<&[u8], Cause> {
    at.checked_add(size).and_then(|end| bytes.get(at..end)).ok_or_else(|| damaged(SHAPE))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_be_bytes(*chunk))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_be_bytes(*chunk))
}
