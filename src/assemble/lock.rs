//! The lock of an image, and what it says of one.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::publish::{WRITE, publish_small};
use super::source::SourceReader;
use super::{Image, holds};
use crate::collect::{Closure, Item, Object, Source};
use crate::error::{Cause, Result};
use crate::lock::{Change, ChangeKind, Lock, LockEntry, LockedKind, PROGRAM, names_needed};
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
    /// compilation makes one; nor is another reason for the same. [`Lock::changes`] tells both. What the caller gives beside
    /// a program counts, even if it is the same file.
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
        let now = self.lock()?;
        let mut changes = Lock::read(file)?.changes(&now);
        let given = now.given_names();
        let is_made_anew = |change: &Change| change.is_program_made_anew() && !given.contains(change.path());
        changes.retain(|change| change.kind() != ChangeKind::Reason && !is_made_anew(change));
        self.deciding.push(std::path::absolute(file).map_err(|error| Cause::from(error).on("read", file))?);
        Ok(changes)
    }
}

/// What closures say of the files of an image.
struct Objects<'i> {
    /// What stands at a path for them.
    at: HashMap<&'i Path, Role<'i>>,
    /// By file, as the first closure has it.
    known: HashMap<FileId, Role<'i>>,
    /// The first path of each file, those behind that the caller gives beside it.
    places: BTreeMap<FileId, &'i Path>,
}

/// What a file is to a program.
#[derive(Clone, Copy)]
struct Role<'i> {
    closure: &'i Closure,
    object: &'i Object,
    is_program: bool,
}

impl<'i> Objects<'i> {
    fn of(image: &'i Image) -> Self {
        let mut roles: Vec<(&Path, Role<'_>)> = image.closures.iter().flat_map(roles).collect();
        // What is a program and a library of another one is a program.
        roles.sort_by_key(|(_, role)| !role.is_program);
        let (mut at, mut known) = (HashMap::new(), HashMap::new());
        for (path, role) in roles {
            at.entry(path).or_insert(role);
            known.entry(role.object.file_source().stamp.id).or_insert(role);
        }
        let (given, own): (Vec<&Entry>, Vec<&Entry>) = image.tree.entries().iter().partition(|entry| entry.is_given());
        let mut places = BTreeMap::new();
        for entry in own.into_iter().chain(given) {
            entry.copied_from().map(|source| places.entry(source.stamp.id).or_insert(entry.path()));
        }
        Objects { at, known, places }
    }

    fn entry(&self, entry: &Entry) -> Result<LockEntry> {
        let role = self.role(entry);
        Ok(LockEntry {
            kind: kind_of(entry)?,
            mode: entry.mode(),
            capabilities: entry.capabilities().map(<[u8]>::to_vec),
            found_by: role.map(|role| role.found_by().to_owned()),
            needed_by: role.and_then(|role| self.needed_by(role)),
            needs: role.map(|role| names_needed(role.object.elf()).map(OsStr::to_owned).collect()),
            reason: entry.reason().to_owned(),
        })
    }

    /// What the caller gives beside a program is what it is given as, whatever else the same file is.
    fn role(&self, entry: &Entry) -> Option<Role<'i>> {
        let of_file = || self.known.get(&entry.copied_from()?.stamp.id).filter(|_| !entry.is_given());
        self.at.get(entry.path()).or_else(of_file).copied()
    }

    /// The first that asked for it.
    fn needed_by(&self, role: Role<'_>) -> Option<PathBuf> {
        let needing = role.object.needed_by().next().filter(|_| !role.is_program)?;
        let by = role.closure.object_at(needing)?;
        self.places.get(&by.file_source().stamp.id).map(|path| path.to_path_buf())
    }
}

impl Role<'_> {
    fn found_by(&self) -> &'static str {
        if self.is_program { PROGRAM } else { self.object.found_by().code() }
    }
}

/// The program of a closure is 0.
fn roles(closure: &Closure) -> impl Iterator<Item = (&Path, Role<'_>)> {
    closure.items().iter().filter_map(move |item| match item {
        Item::File { at, object: number } => {
            let object = closure.object(*number);
            Some((at.as_path(), Role { closure, object, is_program: *number == 0 }))
        }
        Item::Link { .. } | Item::Directory(_) => None,
    })
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
