//! Entries of a cache: files named by a key, each with a checksum of its own. They are written under another name and
//! renamed, so processes that share a cache never see half of one; whoever finds one gone or damaged does without.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use blake3::Hash;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use super::super::temporary::is_draft;
use super::drafts::Drafts;
use crate::system;

/// One kind of entries.
#[derive(Debug)]
pub(crate) struct Shelf {
    /// `None` where there is none, in a cache that may only be read.
    directory: Option<OwnedFd>,
    drafts: Arc<Drafts>,
    /// How many bytes of disk space it may take.
    limit: u64,
    /// Whether something was stored that may be too much.
    is_fuller: AtomicBool,
}

/// The bytes of an entry's checksum, which follows what it holds.
pub(crate) const SUM: usize = blake3::OUT_LEN;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const OLD: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Names of one shelf that are looked at.
const MAX_ENTRIES: usize = 1 << 20;

/// What is used is marked as used so often, in seconds; the least recently used is removed first.
const MARK_AFTER: i64 = 3_600;

/// The file by which tools that make backups know a cache (the Cache Directory Tagging Specification), and we ours.
const TAG: &str = "CACHEDIR.TAG";
const TAG_TEXT: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55\n# A cache of scratchpack.\n";

/// Opens a directory that nobody else may write, and that is a cache or empty; makes it, and those above it, where there
/// is none. `shelves` are the names that it may hold without its tag.
pub(crate) fn open_directory(path: &Path, shelves: &[&str]) -> Result<OwnedFd, String> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| format!("it cannot be made: {error}; give another directory"))?;
    let handle = rustix::fs::open(path, DIRECTORY, Mode::empty());
    let directory = expect_ours(handle.map_err(|error| format!("it cannot be opened: {error}"))?)?;
    if !has_tag(&directory) {
        expect_nothing_else(&directory, shelves)?;
    }
    Ok(directory)
}

/// Opens a directory in a cache, which is made if there is none, and there is none in a cache that may only be read.
pub(crate) fn open_shelf(cache: impl AsFd, name: &str) -> Result<Option<OwnedFd>, String> {
    match rustix::fs::mkdirat(&cache, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(Errno::ROFS | Errno::ACCESS | Errno::PERM) => return Ok(None),
        Err(error) => return Err(format!("nothing can be put into it: {error}")),
    }
    let directory = rustix::fs::openat(&cache, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty());
    expect_ours(directory.map_err(|error| format!("its {name} cannot be opened: {error}"))?).map(Some)
}

/// Says what the directory is, if it does not yet. What says so may only be read, and has something to read.
pub(crate) fn put_tag(directory: &OwnedFd, drafts: &Drafts) -> Result<(), String> {
    if has_tag(directory) {
        return Ok(());
    }
    drafts.put(directory, TAG, &[TAG_TEXT]).map_err(|error| format!("nothing can be put into it: {error}"))
}

fn has_tag(directory: &OwnedFd) -> bool {
    let mut text = [0; TAG_TEXT.len()];
    let tag = rustix::fs::openat(directory, TAG, OLD, Mode::empty()).map(File::from);
    tag.is_ok_and(|tag| tag.read_exact_at(&mut text, 0).is_ok() && text == TAG_TEXT)
}

/// What is in there may be somebody's, and a cache removes files.
fn expect_nothing_else(directory: &OwnedFd, shelves: &[&str]) -> Result<(), String> {
    for entry in Dir::read_from(directory).map_err(|error| format!("it cannot be read: {error}"))? {
        let entry = entry.map_err(|error| format!("it cannot be read: {error}"))?;
        let name = entry.file_name().to_bytes();
        let is_ours = shelves.iter().chain(&[".", "..", TAG]).any(|known| known.as_bytes() == name);
        if !is_ours {
            return Err("it holds other things than a cache; give a new directory, or an empty one".into());
        }
    }
    Ok(())
}

fn expect_ours(directory: OwnedFd) -> Result<OwnedFd, String> {
    let status = rustix::fs::fstat(&directory).map_err(|error| error.to_string())?;
    if status.st_uid != rustix::process::geteuid().as_raw() {
        return Err("it belongs to another user; give one of your own".into());
    }
    if status.st_mode & 0o022 != 0 {
        return Err("its group or everybody may write to it; take that right away (chmod go-w), or give another".into());
    }
    Ok(directory)
}

impl Shelf {
    pub(crate) fn open(cache: impl AsFd, name: &str, limit: u64, drafts: &Arc<Drafts>) -> Result<Shelf, String> {
        let directory = open_shelf(cache, name)?;
        Ok(Shelf { directory, drafts: drafts.clone(), limit, is_fuller: AtomicBool::new(false) })
    }

    /// What the entry holds.
    pub(crate) fn read(&self, key: &Hash) -> Option<Vec<u8>> {
        let (file, size) = self.open_entry(key)?;
        let mut bytes = vec![0; usize::try_from(size).ok().filter(|_| size <= self.limit)?];
        let length = read_whole(&file, &mut bytes, key)?;
        bytes.truncate(length);
        Some(bytes)
    }

    /// Reads what the entry holds into the buffer, which has room for its checksum as well; answers how much that is, and
    /// the checksum.
    pub(crate) fn read_into(&self, key: &Hash, buffer: &mut [u8]) -> Option<(usize, Hash)> {
        let (file, size) = self.open_entry(key)?;
        let buffer = buffer.get_mut(..usize::try_from(size).ok()?)?;
        let length = read_whole(&file, buffer, key)?;
        Some((length, Hash::from_bytes(buffer[length..].try_into().ok()?)))
    }

    fn open_entry(&self, key: &Hash) -> Option<(File, u64)> {
        let directory = self.directory.as_ref()?;
        let file = rustix::fs::openat(directory, key.to_hex().as_str(), OLD, Mode::empty()).ok()?;
        let status = rustix::fs::fstat(&file).ok()?;
        // Somebody may have put it here while the directory was open to others.
        if status.st_uid != rustix::process::geteuid().as_raw() {
            return None;
        }
        mark_as_used(&file, &status);
        let size = u64::try_from(status.st_size).ok()?;
        Some((File::from(file), size))
    }

    /// Stores an entry, and answers its checksum. A cache that takes no more makes the next image slower, and this one no
    /// worse.
    pub(crate) fn store(&self, key: &Hash, parts: &[&[u8]]) -> Hash {
        let mut hasher = blake3::Hasher::new_keyed(key.as_bytes());
        for part in parts {
            hasher.update(part);
        }
        let sum = hasher.finalize();
        let parts: Vec<&[u8]> = parts.iter().copied().chain([sum.as_bytes().as_slice()]).collect();
        if let Some(directory) = &self.directory {
            let _ = self.drafts.put(directory, key.to_hex().as_str(), &parts);
            self.is_fuller.store(true, Ordering::Relaxed);
        }
        sum
    }

    /// Removes an entry that turned out to be wrong.
    pub(crate) fn remove(&self, key: &Hash) {
        if let Some(directory) = &self.directory {
            let _ = rustix::fs::unlinkat(directory, key.to_hex().as_str(), AtFlags::empty());
        }
    }

    /// Removes what was not used for the longest time, where there is too much.
    pub(crate) fn sweep(&self) {
        let Some(directory) = self.directory.as_ref().filter(|_| self.is_fuller.swap(false, Ordering::Relaxed)) else {
            return;
        };
        let mut entries = entries_of(directory).unwrap_or_default();
        let total: u64 = entries.iter().map(|entry| entry.size).sum();
        if total <= self.limit {
            return;
        }
        // Some room more, so that not every image sweeps.
        let mut surplus = total - self.limit / 4 * 3;
        entries.sort_unstable_by_key(|entry| entry.used);
        for entry in entries {
            if surplus == 0 {
                return;
            }
            let _ = rustix::fs::unlinkat(directory, OsStr::from_bytes(&entry.name), AtFlags::empty());
            surplus = surplus.saturating_sub(entry.size);
        }
    }
}

/// The entries of a directory, from which drafts of earlier versions are removed on the way.
// The types of these fields differ between machines.
#[allow(clippy::unnecessary_cast)]
fn entries_of(directory: &OwnedFd) -> Result<Vec<Entry>, Errno> {
    let mut entries = Vec::new();
    for name in Dir::read_from(directory)?.take(MAX_ENTRIES) {
        let name = name?.file_name().to_bytes().to_vec();
        if is_draft(OsStr::from_bytes(&name), EARLY, "") {
            let _ = rustix::fs::unlinkat(directory, OsStr::from_bytes(&name), AtFlags::empty());
        }
        if !is_entry(&name) {
            continue;
        }
        let status = rustix::fs::statat(directory, OsStr::from_bytes(&name), AtFlags::SYMLINK_NOFOLLOW);
        let Ok(status) = status else { continue };
        if rustix::fs::FileType::from_raw_mode(status.st_mode).is_file() {
            let used = (status.st_mtime as i64, status.st_mtime_nsec as i64);
            entries.push(Entry { name, size: (status.st_blocks as u64 * 512).max(LEAST), used });
        }
    }
    Ok(entries)
}

/// How the names of drafts began in earlier versions. One that is still at work does without the entry.
const EARLY: &str = "new-";

/// What the smallest entry counts, so that there are not too many to look at.
const LEAST: u64 = 16 << 10;

fn is_entry(name: &[u8]) -> bool {
    name.len() == 2 * blake3::OUT_LEN && name.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

struct Entry {
    name: Vec<u8>,
    size: u64,
    used: (i64, i64),
}

/// Fills the buffer with an entry, which must be as long, and be what was stored under this key.
fn read_whole(file: &File, buffer: &mut [u8], key: &Hash) -> Option<usize> {
    file.read_exact_at(buffer, 0).ok()?;
    let (bytes, sum) = buffer.split_at(buffer.len().checked_sub(SUM)?);
    (blake3::keyed_hash(key.as_bytes(), bytes) == *<&[u8; SUM]>::try_from(sum).ok()?).then_some(bytes.len())
}

#[allow(clippy::unnecessary_cast)]
fn mark_as_used(file: &OwnedFd, status: &Stat) {
    let (now, _) = system::now();
    if (status.st_mtime as i64).saturating_add(MARK_AFTER) < now {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
            last_modification: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
        };
        let _ = rustix::fs::futimens(file, &times);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, FileTimes};
    use std::time::{Duration, SystemTime};

    use super::super::drafts::Drafts;
    use super::{Shelf, open_directory};

    fn shelf(directory: &std::path::Path, limit: u64) -> Shelf {
        let directory = open_directory(directory, &[]).unwrap();
        let drafts = Drafts::open(&directory).unwrap();
        Shelf::open(&directory, "frames", limit, &drafts.into()).unwrap()
    }

    fn key(number: u32) -> blake3::Hash {
        blake3::hash(&number.to_le_bytes())
    }

    #[test]
    fn what_was_not_used_for_the_longest_time_goes_first_when_there_is_too_much() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = shelf(directory.path(), 16 * super::LEAST);
        fs::write(directory.path().join("frames/somebody's"), [0; 1 << 20]).unwrap();
        fs::write(directory.path().join("frames/new-1-0"), b"half").unwrap();
        fs::write(directory.path().join("frames/new-shoes"), b"somebody's").unwrap();
        for number in 0..20 {
            shelf.store(&key(number), &[&[number as u8; 4000]]);
            let path = directory.path().join("frames").join(key(number).to_hex().as_str());
            let used = SystemTime::now() - Duration::from_secs(10_000 - u64::from(number));
            fs::File::options().write(true).open(path).unwrap().set_times(FileTimes::new().set_modified(used)).unwrap();
        }
        // Used again.
        assert!(shelf.read(&key(0)).is_some());
        shelf.sweep();
        let left: Vec<u32> = (0..20).filter(|&number| shelf.read(&key(number)).is_some()).collect();
        assert_eq!(left, [vec![0], (9..20).collect()].concat());
        assert!(["somebody's", "new-shoes"].iter().all(|name| directory.path().join("frames").join(name).exists()));
        assert!(!directory.path().join("frames/new-1-0").exists());
        shelf.sweep();
        assert_eq!((0..20).filter(|&number| shelf.read(&key(number)).is_some()).count(), 12);
    }

    #[test]
    fn an_entry_is_what_was_stored_under_its_key_or_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = shelf(directory.path(), 1 << 20);
        shelf.store(&key(1), &[b"first", b" entry"]);
        assert_eq!(shelf.read(&key(1)).unwrap(), b"first entry");
        let mut buffer = [0; 11 + super::SUM];
        assert_eq!(shelf.read_into(&key(1), &mut buffer).unwrap().0, 11);
        assert_eq!(shelf.read_into(&key(1), &mut buffer[1..]), None);
        let name = |number| directory.path().join("frames").join(key(number).to_hex().as_str());
        fs::copy(name(1), name(2)).unwrap();
        assert_eq!(shelf.read(&key(2)), None);
    }
}
