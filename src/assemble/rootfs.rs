//! The tree as a directory, for `COPY rootfs/ /` and for those who look.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

use super::Image;
use super::progress::{Progress, Stage};
use super::publish::{DirectoryDraft, Durability, WRITE, sync_handle};
use super::source::SourceReader;
use crate::collect::Source;
use crate::error::{Cause, Result};
use crate::root::CAPABILITY;
use crate::system;
use crate::tree::{Content, Entry};

const BUFFER: usize = 1 << 20;

/// Writes the tree to a new or empty directory. Owners are the caller's: only root could give them away.
pub(crate) fn write(image: &Image, directory: &Path) -> Result<()> {
    let draft = DirectoryDraft::of(directory, image.making.durability)?;
    let durability = image.making.durability;
    let writer = Writer { root: draft.path().to_owned(), mtime: image.mtime(), durability };
    let reporter = &image.making.reporter;
    let total = image.entries().map(Entry::size).sum();
    let mut done = 0;
    for entry in image.entries() {
        writer.create(entry)?;
        done += entry.size();
        reporter.report(Progress::new(Stage::Pack, done, total));
    }
    if durability == Durability::Durable {
        reporter.report(Progress::new(Stage::Sync, 0, 0));
    }
    // Once all are on their way to the disk.
    image.entries().try_for_each(|entry| writer.sync(entry))?;
    // Writing into a directory changes its time, and may take more rights than it gives; so directories are finished
    // last, the deepest first.
    let directories = image.entries().filter(|entry| matches!(entry.content(), Content::Directory));
    let mut directories: Vec<(PathBuf, u32)> =
        directories.map(|entry| (writer.path(entry.path()), entry.mode())).collect();
    directories.sort_by(|a, b| b.cmp(a));
    for (directory, mode) in directories.iter().chain([&(writer.root.clone(), 0o755)]) {
        writer.finish_directory(directory, *mode)?;
    }
    draft.publish()
}

struct Writer {
    root: PathBuf,
    mtime: u64,
    durability: Durability,
}

impl Writer {
    fn path(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn create(&self, entry: &Entry) -> Result<()> {
        let path = self.path(entry.path());
        let failed = |error: io::Error| Cause::Io(error).on(WRITE, &path);
        match entry.content() {
            Content::Directory => {
                fs::create_dir(&path).map_err(failed)?;
                self.set_mode(&path, 0o755)
            }
            Content::Link(target) => {
                symlink(target, &path).map_err(failed)?;
                self.set_time(&path)
            }
            Content::HardLink(target, _) => fs::hard_link(self.path(target), &path).map_err(failed),
            Content::Generated(bytes) => {
                let mut file = self.new_file(&path)?;
                file.write_all(bytes).map_err(failed)?;
                self.finish(&file, &path, entry)
            }
            Content::File(source) => {
                let mut file = self.new_file(&path)?;
                copy(source, &mut file, &path)?;
                self.finish(&file, &path, entry)
            }
        }
    }

    fn new_file(&self, path: &Path) -> Result<File> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        file.map_err(|error| Cause::Io(error).on(WRITE, path))
    }

    fn finish(&self, file: &File, path: &Path, entry: &Entry) -> Result<()> {
        self.set_mode(path, entry.mode())?;
        if let Some(capabilities) = entry.capabilities() {
            set_capabilities(file, capabilities).map_err(|cause| cause.on(WRITE, path))?;
        }
        self.set_time(path)?;
        if self.durability == Durability::Durable {
            system::send_to_disk(file, 0, entry.size());
        }
        Ok(())
    }

    fn sync(&self, entry: &Entry) -> Result<()> {
        let is_file = matches!(entry.content(), Content::File(_) | Content::Generated(_));
        if self.durability == Durability::Fleeting || !is_file {
            return Ok(());
        }
        let path = self.path(entry.path());
        File::open(&path).and_then(|file| system::sync(&file)).map_err(|error| Cause::Io(error).on(WRITE, path))
    }

    /// Opened first: its own mode may forbid that.
    fn finish_directory(&self, path: &Path, mode: u32) -> Result<()> {
        let directory = File::open(path).map_err(|error| Cause::Io(error).on(WRITE, path))?;
        self.set_mode(path, mode)?;
        self.set_time(path)?;
        match self.durability {
            Durability::Durable => sync_handle(&directory).map_err(|error| Cause::Io(error).on(WRITE, path)),
            Durability::Fleeting => Ok(()),
        }
    }

    /// Whatever the umask is.
    fn set_mode(&self, path: &Path, mode: u32) -> Result<()> {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(path, permissions).map_err(|error| Cause::Io(error).on(WRITE, path))
    }

    fn set_time(&self, path: &Path) -> Result<()> {
        let time = Timespec { tv_sec: i64::try_from(self.mtime).unwrap_or(i64::MAX), tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| Cause::Io(errno.into()).on(WRITE, path))
    }
}

/// Behind the last write, which takes them away (capabilities(7)).
fn set_capabilities(file: &File, value: &[u8]) -> Result<(), Cause> {
    if !system::HAS_CAPABILITIES {
        return Err(Cause::Unsupported(
            "this system has no file capabilities; write an archive or a layout instead, or do not keep them".into(),
        ));
    }
    rustix::fs::fsetxattr(file, CAPABILITY, value, XattrFlags::empty()).map_err(|errno| match errno {
        Errno::PERM | Errno::ACCESS => Cause::Unsupported(
            "its file capabilities can be set by root alone; write an archive or a layout instead, or do not keep them"
                .into(),
        ),
        Errno::OPNOTSUPP => Cause::Unsupported(
            "this file system holds no file capabilities; write to another, or write an archive or a layout".into(),
        ),
        errno => Cause::Io(errno.into()),
    })
}

/// Copies just the bytes that the file had when it was analyzed, or fails.
fn copy(source: &Source, out: &mut File, path: &Path) -> Result<()> {
    let input = SourceReader::open(source)?;
    let mut buffer = vec![0; BUFFER];
    let mut offset = 0;
    while offset < source.stamp.size {
        let wanted = usize::try_from(source.stamp.size - offset).unwrap_or(BUFFER).min(BUFFER);
        input.read(&mut buffer[..wanted], offset)?;
        out.write_all(&buffer[..wanted]).map_err(|error| Cause::Io(error).on(WRITE, path))?;
        offset += wanted as u64;
    }
    input.finish()
}
