//! The members of a tar file: headers through the tar crate, and names of any bytes and length.

use std::path::Path;

use std::os::unix::ffi::OsStrExt;
use tar::{EntryType, Header};

use crate::tree::{Content, Entry};

const BLOCK: u64 = 512;

/// The end of a tar file: two blocks of zeros, and no more.
pub(crate) const TRAILER: [u8; 1024] = [0; 1024];

/// The zeros that fill the last block of `size` bytes.
pub(crate) fn padding(size: u64) -> &'static [u8] {
    let fill = size.next_multiple_of(BLOCK) - size;
    &TRAILER[..usize::try_from(fill).unwrap_or(0)]
}

/// The header blocks of an entry of a layer: everything before its data.
pub(crate) fn layer_header(entry: &Entry, mtime: u64) -> Vec<u8> {
    let mut blocks = entry.capabilities().map(extended).unwrap_or_default();
    blocks.extend(plain_header(entry, mtime));
    blocks
}

fn plain_header(entry: &Entry, mtime: u64) -> Vec<u8> {
    let (kind, size, link) = match entry.content() {
        Content::Directory => (EntryType::Directory, 0, None),
        Content::Link(target) => (EntryType::Symlink, 0, Some(target.as_os_str().as_bytes())),
        Content::HardLink(target, _) => (EntryType::Link, 0, Some(member_name(target))),
        Content::File(_) | Content::Generated(_) => (EntryType::Regular, entry.size(), None),
    };
    let mut name = member_name(entry.path()).to_vec();
    if kind.is_dir() {
        name.push(b'/');
    }
    let mut header = header(kind, size, entry.mode(), mtime);
    let mut blocks = Vec::new();
    if let Some(link) = link {
        set_link(&mut header, link, &mut blocks);
    }
    set_name(&mut header, &name, &mut blocks);
    finish(header, blocks)
}

/// A member that says more of the next one: its capabilities, which no field of a header holds (pax(1), "Extended
/// Header"; the name is star's, and every tool's).
fn extended(capabilities: &[u8]) -> Vec<u8> {
    let record = record(b"SCHILY.xattr.security.capability", capabilities);
    let size = record.len() as u64;
    let mut header = header(EntryType::XHeader, size, 0o644, 0);
    fits(&mut header.as_old_mut().name, b"././@PaxHeader");
    let mut blocks = finish(header, Vec::new());
    blocks.extend_from_slice(&record);
    blocks.extend_from_slice(padding(size));
    blocks
}

/// `LENGTH KEY=VALUE\n`, in which the length counts its own digits.
fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = [b" ", key, b"=", value, b"\n"].concat();
    let mut length = rest.len();
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    [length.to_string().as_bytes(), &rest].concat()
}

/// The header block of a plain file with a short name.
pub(crate) fn file_header(name: &str, size: u64, mtime: u64) -> Vec<u8> {
    let mut header = header(EntryType::Regular, size, 0o644, mtime);
    let mut blocks = Vec::new();
    set_name(&mut header, name.as_bytes(), &mut blocks);
    finish(header, blocks)
}

/// The header block of a directory with a short name.
pub(crate) fn directory_header(name: &str, mtime: u64) -> Vec<u8> {
    let mut header = header(EntryType::Directory, 0, 0o755, mtime);
    let mut blocks = Vec::new();
    set_name(&mut header, name.as_bytes(), &mut blocks);
    finish(header, blocks)
}

/// Names in a layer have no slash at the start.
fn member_name(path: &Path) -> &[u8] {
    let bytes = path.as_os_str().as_bytes();
    bytes.strip_prefix(b"/").unwrap_or(bytes)
}

/// Owner 0:0, without names: a name would mean another number in another image.
fn header(kind: EntryType, size: u64, mode: u32, mtime: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(mtime);
    header
}

// The crate's own setters refuse or rewrite names that are legal in an image; so the fields are filled here.
fn set_name(header: &mut Header, name: &[u8], blocks: &mut Vec<u8>) {
    let field = &mut header.as_old_mut().name;
    if !fits(field, name) {
        long(EntryType::GNULongName, name, blocks);
    }
}

fn set_link(header: &mut Header, target: &[u8], blocks: &mut Vec<u8>) {
    let field = &mut header.as_old_mut().linkname;
    if !fits(field, target) {
        long(EntryType::GNULongLink, target, blocks);
    }
}

/// Fills a field with as much of the name as there is room for; says whether that was all.
fn fits(field: &mut [u8; 100], name: &[u8]) -> bool {
    let length = name.len().min(field.len());
    field[..length].copy_from_slice(&name[..length]);
    length == name.len()
}

/// GNU's member for a name that is too long for its field: any bytes, ended by NUL (tar(5)).
fn long(kind: EntryType, name: &[u8], blocks: &mut Vec<u8>) {
    let size = name.len() as u64 + 1;
    let mut header = header(kind, size, 0o644, 0);
    fits(&mut header.as_old_mut().name, b"././@LongLink");
    header.set_cksum();
    blocks.extend_from_slice(header.as_bytes());
    blocks.extend_from_slice(name);
    blocks.push(0);
    blocks.extend_from_slice(padding(size));
}

fn finish(mut header: Header, mut blocks: Vec<u8>) -> Vec<u8> {
    header.set_cksum();
    blocks.extend_from_slice(header.as_bytes());
    blocks
}

#[cfg(test)]
mod tests {
    use super::record;

    #[test]
    fn the_length_of_a_record_counts_its_own_digits() {
        for size in 0..2_000 {
            let record = record(b"k", &vec![b'v'; size]);
            let digits = record.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let length: usize = std::str::from_utf8(&record[..digits]).unwrap().parse().unwrap();
            assert_eq!((length, record[digits]), (record.len(), b' '));
        }
    }
}
