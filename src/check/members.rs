//! The members of a tar stream, one after the other, as Go's archive/tar reads them, with which engines unpack images
//! (POSIX pax, "ustar Interchange Format" and "pax Header Block"; GNU tar, "Basic Tar Format"). The tar crate reads long
//! names into memory whatever their size; here they have a limit.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use super::blob::{Blob, unreadable};
use super::limits::MAX_RECORDS;
use crate::error::Cause;
use crate::root::Capabilities;
use crate::text::printable;

const BLOCK: usize = 512;

/// Where a tar is read from.
pub(super) trait Source: Read {
    /// Passes over `size` bytes, or as many as there are, and says how many.
    fn pass(&mut self, size: u64) -> io::Result<u64>;
}

impl Source for Blob {
    fn pass(&mut self, size: u64) -> io::Result<u64> {
        Ok(Blob::pass(self, size))
    }
}

/// One member, but for its data.
#[derive(Debug)]
pub(super) struct Member {
    /// As it stands in the archive.
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    /// The capabilities that the file has of its own.
    pub(super) capabilities: Option<Capabilities>,
    /// Bytes of data that follow.
    pub(super) size: u64,
}

#[derive(Debug)]
pub(super) enum Kind {
    File,
    /// A file stored without its holes.
    Sparse,
    Directory,
    Symlink(PathBuf),
    HardLink(PathBuf),
    Special,
}

/// Reads members; the data of the last one can be read from it until the next is asked for.
pub(super) struct Members<S> {
    source: S,
    path: PathBuf,
    data: u64,
    padding: u64,
}

impl<S: Source> Members<S> {
    pub(super) fn of(source: S) -> Self {
        Members { source, path: PathBuf::new(), data: 0, padding: 0 }
    }

    pub(super) fn source(&self) -> &S {
        &self.source
    }

    pub(super) fn into_source(self) -> S {
        self.source
    }

    /// The next member; `None` at the end, which zeros mark, or nothing.
    pub(super) fn next(&mut self) -> Result<Option<Member>, Cause> {
        let mut records = Records::default();
        loop {
            self.pass_data()?;
            let Some(header) = self.header()? else { return records.expect_none().map(|()| None) };
            self.expect_data(&header)?;
            match header.entry_type() {
                EntryType::XHeader => records.add(&self.record()?)?,
                EntryType::GNULongName => records.path = Some(until_nul(self.record()?)),
                EntryType::GNULongLink => records.link = Some(until_nul(self.record()?)),
                // No engine applies what is said of all members.
                EntryType::XGlobalHeader => {}
                kind => return self.member(&header, kind, records).map(Some),
            }
        }
    }

    fn member(&mut self, header: &Header, kind: EntryType, records: Records) -> Result<Member, Cause> {
        let path = path_of(records.path.unwrap_or_else(|| header.path_bytes().into_owned()));
        let link = || {
            let link = records.link.clone().or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
            path_of(link.unwrap_or_default())
        };
        let kind = match kind {
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Symlink(link()),
            EntryType::Link => Kind::HardLink(link()),
            EntryType::GNUSparse => Kind::Sparse,
            EntryType::Regular | EntryType::Continuous if records.is_sparse => Kind::Sparse,
            EntryType::Regular if path.as_os_str().as_encoded_bytes().ends_with(b"/") => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => Kind::File,
            _ => Kind::Special,
        };
        if matches!(kind, Kind::Directory | Kind::Symlink(_) | Kind::HardLink(_) | Kind::Special) {
            // Whatever the size says, no data follows, as in Go's archive/tar.
            self.set_data(0)?;
        } else if let Some(size) = records.size {
            self.set_data(size)?;
        }
        self.pass_map_of_holes(header)?;
        self.path.clone_from(&path);
        let mode = header.mode().map_err(|_| self.damaged("the mode"))?;
        Ok(Member { path, kind, mode, capabilities: records.capabilities, size: self.data })
    }

    /// The data of the member that was read last, less what was read of it.
    pub(super) fn data(&mut self) -> Data<'_, S> {
        Data { members: self, hasher: None }
    }

    /// The same, hashed as it is read.
    pub(super) fn hashed_data(&mut self) -> Data<'_, S> {
        Data { hasher: Some(Sha256::new()), ..self.data() }
    }

    fn header(&mut self) -> Result<Option<Header>, Cause> {
        let mut header = Header::new_old();
        match fill(&mut self.source, header.as_mut_bytes()).map_err(unreadable)? {
            0 => Ok(None),
            BLOCK if header.as_bytes().iter().all(|&byte| byte == 0) => Ok(None),
            BLOCK if is_header(header.as_bytes()) => Ok(Some(header)),
            BLOCK => Err(Cause::malformed(format!("what follows {} is no tar header", self.last()))),
            _ => Err(Cause::malformed(format!("it ends within the tar header that follows {}", self.last()))),
        }
    }

    fn expect_data(&mut self, header: &Header) -> Result<(), Cause> {
        let size = header.entry_size().map_err(|_| self.damaged("the size"))?;
        self.set_data(size)
    }

    fn set_data(&mut self, size: u64) -> Result<(), Cause> {
        let whole = size.checked_next_multiple_of(BLOCK as u64).ok_or_else(|| self.damaged("the size"))?;
        (self.data, self.padding) = (size, whole - size);
        Ok(())
    }

    /// Where the holes of a file of GNU's format are stands in blocks of their own, before its data.
    fn pass_map_of_holes(&mut self, header: &Header) -> Result<(), Cause> {
        let mut goes_on = header.entry_type() == EntryType::GNUSparse && header.as_bytes()[482] != 0;
        while goes_on {
            let mut block = [0; BLOCK];
            self.source.read_exact(&mut block).map_err(unreadable)?;
            goes_on = block[504] != 0;
        }
        Ok(())
    }

    /// All data of a member that says something of the next one.
    fn record(&mut self) -> Result<Vec<u8>, Cause> {
        if self.data > MAX_RECORDS {
            let why = format!("the record that follows {} has {} bytes", self.last(), self.data);
            return Err(Cause::malformed(format!("{why}; the limit is {MAX_RECORDS}")));
        }
        let size = self.data;
        let mut bytes = Vec::new();
        self.data().read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 == size { Ok(bytes) } else { Err(self.too_short()) }
    }

    fn pass_data(&mut self) -> Result<(), Cause> {
        let data = std::mem::take(&mut self.data);
        if self.source.pass(data).map_err(unreadable)? < data {
            return Err(self.too_short());
        }
        // The padding of the last member may be left out, as a trailer may.
        let padding = std::mem::take(&mut self.padding);
        self.source.pass(padding).map_err(unreadable).map(|_| ())
    }

    pub(super) fn too_short(&self) -> Cause {
        Cause::malformed(format!("it ends within {}", self.last()))
    }

    fn damaged(&self, what: &str) -> Cause {
        Cause::malformed(format!("{what} of the member that follows {} is no number", self.last()))
    }

    /// The last member, in words.
    fn last(&self) -> String {
        match self.path == Path::new("") {
            true => "its start".to_owned(),
            false => printable(&self.path).to_string(),
        }
    }
}

/// Whether the block is a tar header: its checksum fits.
pub(super) fn is_header(block: &[u8]) -> bool {
    let Some(block) = block.first_chunk::<BLOCK>() else { return false };
    let header = Header::from_byte_slice(block);
    let rest = || block.iter().enumerate().filter(|(at, _)| !(148..156).contains(at)).map(|(_, &byte)| byte);
    let unsigned: u32 = rest().map(u32::from).sum::<u32>() + 8 * 32;
    // Some old tars add the bytes up as signed ones.
    let signed: i32 = rest().map(|byte| i32::from(byte.cast_signed())).sum::<i32>() + 8 * 32;
    header.cksum().is_ok_and(|sum| sum == unsigned || i32::try_from(sum) == Ok(signed))
}

/// The data of a member.
pub(super) struct Data<'m, S> {
    members: &'m mut Members<S>,
    /// Where a digest of all of it is wanted.
    hasher: Option<Sha256>,
}

impl<S: Source> Data<'_, S> {
    /// Passes over `size` bytes.
    pub(super) fn pass(&mut self, size: u64) -> io::Result<u64> {
        if self.hasher.is_some() {
            return io::copy(&mut self.take(size), &mut io::sink());
        }
        let passed = self.members.source.pass(size.min(self.members.data))?;
        self.members.data -= passed;
        Ok(passed)
    }

    /// The digest of all of it, where one is wanted; what was not read yet passes by.
    pub(super) fn finish(mut self) -> Result<Option<[u8; 32]>, Cause> {
        let Some(_) = self.hasher else { return Ok(None) };
        self.pass(u64::MAX).map_err(unreadable)?;
        match self.members.data {
            0 => Ok(self.hasher.map(|hasher| hasher.finalize().into())),
            _ => Err(self.members.too_short()),
        }
    }
}

impl<S: Source> Read for Data<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = buffer.len().min(usize::try_from(self.members.data).unwrap_or(usize::MAX));
        let filled = self.members.source.read(&mut buffer[..size])?;
        self.members.data -= filled as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..filled]);
        }
        Ok(filled)
    }
}

/// What stands before a header, and counts instead of what is in it.
#[derive(Default)]
struct Records {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    is_sparse: bool,
    capabilities: Option<Capabilities>,
}

impl Records {
    /// `LENGTH KEY=VALUE\n`, one behind the other.
    fn add(&mut self, mut records: &[u8]) -> Result<(), Cause> {
        while !records.is_empty() {
            let (key, value, rest) =
                split_record(records).ok_or_else(|| Cause::malformed("a pax record is damaged"))?;
            self.take(key, value)?;
            records = rest;
        }
        Ok(())
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Cause> {
        match key {
            b"path" | b"GNU.sparse.name" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            // As star, GNU tar and all engines write it.
            b"SCHILY.xattr.security.capability" => self.capabilities = Some(Capabilities::of(value)),
            b"size" => self.size = Some(number(value).ok_or_else(|| Cause::malformed("a pax size is no number"))?),
            _ => {}
        }
        self.is_sparse |= key.starts_with(b"GNU.sparse.");
        Ok(())
    }

    fn expect_none(&self) -> Result<(), Cause> {
        match self.path.is_some() || self.link.is_some() || self.size.is_some() {
            true => Err(Cause::malformed("it ends between the records of a member and its header")),
            false => Ok(()),
        }
    }
}

fn split_record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = memchr::memchr(b' ', records)?;
    let length = usize::try_from(number(&records[..space])?).ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = memchr::memchr(b'=', record)?;
    Some((&record[..equals], &record[equals + 1..], rest))
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = memchr::memchr(0, &bytes).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

fn path_of(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}

/// Reads until `buffer` is full, or there is no more.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
