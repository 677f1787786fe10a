//! A system that is no Unix, Windows above all, where a file's bytes are analyzed and no more.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// A name as this system can have it: nothing but UTF-8, which comes back as it was.
pub(crate) fn os_str(bytes: &[u8]) -> Option<&OsStr> {
    std::str::from_utf8(bytes).ok().map(OsStr::new)
}

/// Opens a regular file, symlinks followed, and tells how many bytes it has; `None` for anything else.
pub(crate) fn open_regular(path: &Path) -> io::Result<Option<(File, u64)>> {
    // A directory is not opened: that there it may not be would be the error.
    if !std::fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    Ok(Some((file, size)))
}

/// Reads some of what is at `offset`; nothing at the end. The file is read by nobody else meanwhile, for where it is read is
/// a property of the file here.
pub(crate) fn read_at(mut file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek(SeekFrom::Start(offset))?;
    file.read(buffer)
}

/// Puts what is at `offset` into the room that is left in `bytes`; nothing at the end.
pub(crate) fn read_into_room(mut file: &File, bytes: &mut Vec<u8>, offset: u64) -> io::Result<usize> {
    file.seek(SeekFrom::Start(offset))?;
    let room = bytes.capacity() - bytes.len();
    file.take(room as u64).read_to_end(bytes)
}

/// What helps with an error that the standard library has no kind for: nothing is known.
#[cfg(not(unix))]
pub(crate) fn remedy(_error: &io::Error) -> Option<&'static str> {
    None
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{open_regular, os_str, read_at, read_into_room};

    #[test]
    fn a_name_comes_back_as_it_was_or_is_none() {
        assert_eq!(os_str("libgröße.so".as_bytes()).unwrap(), "libgröße.so");
        assert_eq!(os_str(b"lib\xff.so"), None);
    }

    #[test]
    fn a_file_is_read_at_any_position() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "0123456789").unwrap();
        let (file, size) = open_regular(&path).unwrap().unwrap();
        assert_eq!(size, 10);
        for (offset, expected) in [(7, &b"789"[..]), (2, b"2345"), (10, b""), (99, b"")] {
            let mut buffer = [0; 4];
            let filled = read_at(&file, &mut buffer, offset).unwrap();
            assert_eq!(&buffer[..filled], expected);
            let mut bytes = Vec::with_capacity(6);
            bytes.extend(b"ab");
            assert_eq!(read_into_room(&file, &mut bytes, offset).unwrap(), expected.len());
            assert_eq!((&bytes[..2], &bytes[2..], bytes.capacity()), (&b"ab"[..], expected, 6));
        }
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        assert!(open_regular(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap().is_none());
        assert!(open_regular(Path::new("/no/such/file")).is_err());
    }
}
