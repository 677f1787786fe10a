//! The lock of an image, and what it says of one.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::publish::{WRITE, publish_small};
use super::source::SourceReader;
use super::{Image, copied, holds};
use crate::collect::{Closure, Object, Source};
use crate::error::{Cause, Result};
use crate::lock::{Change, ChangeKind, Lock, LockEntry, LockedKind, PROGRAM};
use crate::root::FileId;
use crate::tree::{Content, Entry};

impl Image {
    /// What the image holds, and why. Every file is read for it.
    ///
    /// # Errors
    /// [`Changed`](crate::ErrorKind::Changed) where a file is not as it was analyzed; [`Io`](crate::ErrorKind::Io).
    pub fn lock(&self) -> Result<Lock> {
        let objects = Objects::of(self);
        let entries = self.entries().map(|entry| {
            let entry_of_lock = objects.entry(entry)?;
            Ok((entry.path().to_owned(), entry_of_lock))
        });
        Ok(Lock::of(entries.collect::<Result<Vec<_>>>()?.into_iter()))
    }

    /// Writes the [lock](Image::lock) of the image, to be kept under version control. A file that says so already is left as
    /// it is, with its time.
    ///
    /// # Errors
    /// Those of [`Image::lock`] and [`Image::write_archive`]; [`Unsupported`](crate::ErrorKind::Unsupported) beyond a
    /// [limit](crate::limits).
    pub fn write_lock(&self, file: impl AsRef<Path>) -> Result<()> {
        let file = file.as_ref();
        self.expect_no_input(file)?;
        let lock = self.lock()?;
        let text = lock.to_string();
        lock.expect_within_limits(&text).map_err(|cause| cause.on(WRITE, file))?;
        if holds(file, text.as_bytes()) { Ok(()) } else { publish_small(file, text.as_bytes(), self.making.durability) }
    }

    /// What is otherwise in the image than a lock says that was written before; nothing, where the lock holds. The lock is
    /// one of the image's [inputs](Image::inputs) from then on.
    ///
    /// A lock guards what comes with a program, so another content of one of the image's programs is no change, for every
    /// compilation makes one; nor is another reason for the same. [`Lock::changes`] tells both.
    ///
    /// # Errors
    /// Those of [`Lock::read`] and [`Image::lock`].
    ///
    /// ```no_run
    /// let mut image = scratchpack::Image::from_binary("hello")?;
    /// let changes = image.compare_with_lock("hello.lock")?;
    /// if changes.is_empty() {
    ///     image.write_archive("hello.tar")?;
    /// }
    /// # Ok::<(), scratchpack::Error>(())
    /// ```
    pub fn compare_with_lock(&mut self, file: impl AsRef<Path>) -> Result<Vec<Change>> {
        let file = file.as_ref();
        let mut changes = Lock::read(file)?.changes(&self.lock()?);
        changes.retain(|change| change.kind() != ChangeKind::Reason && !change.is_program_made_anew());
        self.deciding.push(std::path::absolute(file).map_err(|error| Cause::from(error).on("read", file))?);
        Ok(changes)
    }
}

/// What closures say of the files of an image.
struct Objects<'i> {
    /// By file, in the first closure that has it.
    known: HashMap<FileId, (&'i Closure, &'i Object)>,
    programs: Vec<FileId>,
    /// The first path of each file.
    places: BTreeMap<FileId, &'i Path>,
}

impl<'i> Objects<'i> {
    fn of(image: &'i Image) -> Self {
        let mut known = HashMap::new();
        for closure in &image.closures {
            for object in closure.all() {
                known.entry(object.file_source().stamp.id).or_insert((closure, object));
            }
        }
        let mut places = BTreeMap::new();
        for (path, source) in copied(&image.tree) {
            places.entry(source.stamp.id).or_insert(path);
        }
        let programs = image.closures.iter().map(|closure| closure.program().file_source().stamp.id).collect();
        Objects { known, programs, places }
    }

    fn entry(&self, entry: &Entry) -> Result<LockEntry> {
        let file = entry.copied_from().map(|source| source.stamp.id);
        Ok(LockEntry {
            kind: kind_of(entry)?,
            mode: entry.mode(),
            capabilities: entry.capabilities().map(<[u8]>::to_vec),
            found_by: file.and_then(|file| self.found_by(file)).map(str::to_owned),
            needed_by: file.and_then(|file| self.needed_by(file)),
            reason: entry.reason().to_owned(),
        })
    }

    fn found_by(&self, file: FileId) -> Option<&'static str> {
        match self.programs.contains(&file) {
            true => Some(PROGRAM),
            false => self.known.get(&file).map(|(_, object)| object.found_by().code()),
        }
    }

    /// The first that asked for it.
    fn needed_by(&self, file: FileId) -> Option<PathBuf> {
        let (closure, object) = self.known.get(&file).filter(|_| !self.programs.contains(&file))?;
        let by = closure.object_at(object.needed_by().next()?)?;
        self.places.get(&by.file_source().stamp.id).map(|path| path.to_path_buf())
    }
}

fn kind_of(entry: &Entry) -> Result<LockedKind> {
    Ok(match entry.content() {
        Content::Directory => LockedKind::Directory,
        Content::Link(target) => LockedKind::Symlink(target.clone()),
        Content::HardLink(first, _) => LockedKind::HardLink(first.clone()),
        Content::Generated(bytes) => LockedKind::File(Sha256::digest(bytes).into()),
        Content::File(source) => LockedKind::File(digest(source)?),
    })
}

/// Of the file as it was analyzed.
fn digest(source: &Source) -> Result<[u8; 32]> {
    let mut hash = Sha256::new();
    SourceReader::read_whole(source, |bytes| hash.update(bytes))?;
    Ok(hash.finalize().into())
}
