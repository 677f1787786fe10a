//! Files of the system: as they are, or small texts that are read whole before they go into an image.

use std::path::{Path, PathBuf};

use memchr::memmem;

use super::Surroundings;
use crate::analyze::ReadAt;
use crate::collect::extra::{Extra, ExtraContent, Origin};
use crate::collect::files::World;
use crate::collect::source::Source;
use crate::need::Need;
use crate::root::{Fault, Input, Walk};
use crate::text::printable;

/// Of every kind of private key that is written as text (RFC 7468, RFC 5958, OpenSSH).
const PRIVATE_KEY: &[u8] = b"PRIVATE KEY";

/// A longer name is no file name (limits.h).
pub(super) const NAME_MAX: usize = 255;

/// A text file of the root.
#[derive(Debug)]
pub(super) struct Text {
    /// The file in the state in which it was read.
    pub(super) source: Source,
    pub(super) bytes: Vec<u8>,
}

impl Text {
    /// The file at `path` in the root, if there is one; in words why it must not go into an image. No file that holds a
    /// private key may, whatever its name is, nor one of more than `limit` bytes.
    pub(super) fn read(path: &Path, limit: u64, around: &Surroundings<'_>) -> Result<Option<Text>, String> {
        let (source, input) = match around.files.walker(World::Root).open(path) {
            Ok(opened) => source(opened, around),
            Err(fault) if fault.is_absence() => return Ok(None),
            Err(fault) => return Err(refused(path, &in_words(fault))),
        };
        let bytes = bytes(&input, limit).map_err(|why| refused(path, &why))?;
        Ok(Some(Text { source, bytes }))
    }

    pub(super) fn holds(&self, text: &[u8]) -> bool {
        memmem::find(&self.bytes, text).is_some()
    }
}

/// An open file, which is read once more for an image.
fn source((walk, input): (Walk, Input), around: &Surroundings<'_>) -> (Source, Input) {
    (Source { root: around.root.clone(), real: walk.real, stamp: input.stamp, is_elf: false }, input)
}

fn bytes(input: &Input, limit: u64) -> Result<Vec<u8>, String> {
    let size = input.stamp.size;
    if size > limit {
        return Err(format!("it has {size} bytes, and no such file has more than {limit}"));
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
    let filled = input.read_at(&mut bytes, 0).map_err(|error| error.to_string())?;
    bytes.truncate(filled);
    match memmem::find(&bytes, PRIVATE_KEY) {
        Some(_) => Err("it holds a private key".to_owned()),
        None => Ok(bytes),
    }
}

pub(super) fn refused(path: &Path, why: &str) -> String {
    format!("{} is not put into an image: {why}", printable(path))
}

fn in_words(fault: Fault) -> String {
    match fault {
        Fault::Directory => "it is a directory".to_owned(),
        Fault::Special => "it is not a regular file".to_owned(),
        Fault::OfKernel => "it is a file of the kernel's own".to_owned(),
        Fault::Loop => "it is a symlink that leads through more than 40 others".to_owned(),
        Fault::System(errno) => std::io::Error::from(errno).to_string(),
    }
}

/// What stands at a path for a need.
pub(super) fn extra(need: &Need, at: impl Into<PathBuf>, content: ExtraContent) -> Extra {
    Extra { at: at.into(), content, origin: Origin::Need(need.clone()) }
}

/// Files of one kind, of which nobody knows what is in them.
pub(super) struct Kind<'k, P> {
    /// The known directories in which they are looked for, and below one of which they lie.
    pub(super) directories: &'k [P],
    /// None of them has more bytes.
    pub(super) limit: u64,
}

impl<P: AsRef<Path>> Kind<'_, P> {
    /// The file to which `path` leads in the root, for `path` itself.
    pub(super) fn copied(&self, path: &Path, need: &Need, around: &Surroundings<'_>) -> Option<Extra> {
        let (source, _) = self.open(path, around)?;
        Some(extra(need, path, ExtraContent::File(source)))
    }

    /// The file to which `path` leads. A symlink that leads out of the directories may lead to anything.
    pub(super) fn open(&self, path: &Path, around: &Surroundings<'_>) -> Option<(Source, Input)> {
        let (source, input) = source(around.files.file_there(path).ok()?, around);
        let holds = |directory: &P| {
            let walk = around.files.walker(World::Root).directory(directory.as_ref());
            walk.is_ok_and(|walk| source.real.starts_with(walk.real))
        };
        let is_of_it = input.stamp.size <= self.limit && self.directories.iter().any(holds);
        is_of_it.then_some((source, input))
    }
}

/// A name for a file of a directory: no path leads out of it by that.
pub(super) fn is_file_name(name: &str) -> bool {
    let is_graphic = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    is_graphic && !name.is_empty() && !name.starts_with('.') && name.len() <= NAME_MAX
}

/// Paths as they are listed to somebody.
pub(super) fn listed(paths: &[&str]) -> String {
    paths.join(", ")
}
