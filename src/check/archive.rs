//! The members of an archive, by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::blob::{Blob, unreadable};
use super::codec::Codec;
use super::limits::PathBudget;
use super::members::{Kind, Members, is_header};
use super::names::inside;
use crate::error::Cause;
use crate::root::MAX_LINKS;
use crate::text::printable;

/// An archive, of which nothing but the headers was read.
#[derive(Debug)]
pub(super) struct Archive {
    members: BTreeMap<PathBuf, Stored>,
}

#[derive(Debug)]
enum Stored {
    Data(Blob),
    /// Docker before 25 stores a layer that two images share once, and symlinks to it.
    Link(PathBuf),
}

impl Archive {
    pub(super) fn index(blob: &Blob) -> Result<Archive, Cause> {
        expect_tar(&blob.start(512).map_err(unreadable)?)?;
        let mut archive = Archive { members: BTreeMap::new() };
        let mut names = PathBudget::of_archive();
        let mut members = Members::of(blob.clone());
        while let Some(member) = members.next()? {
            names.spend(&member.path)?;
            // What leads out of the archive has no name in it.
            let Ok(path) = inside(Path::new("/"), &member.path) else { continue };
            let directory = path.parent().unwrap_or(&path);
            let stored = match member.kind {
                Kind::File => {
                    let data = members.source().part(0, member.size).ok_or_else(|| members.too_short())?;
                    Some(Stored::Data(data))
                }
                Kind::Symlink(target) => inside(directory, &target).ok().map(Stored::Link),
                Kind::HardLink(target) => inside(Path::new("/"), &target).ok().map(Stored::Link),
                _ => None,
            };
            if let Some(Stored::Link(target)) = &stored {
                names.spend_target(target)?;
            }
            archive.members.extend(stored.map(|stored| (path, stored)));
        }
        Ok(archive)
    }

    /// The member `name`; `None` where there is none.
    pub(super) fn blob(&self, name: &Path) -> Result<Option<Blob>, Cause> {
        let mut at = inside(Path::new("/"), name)?;
        for _ in 0..=MAX_LINKS {
            match self.members.get(&at) {
                Some(Stored::Data(blob)) => return Ok(Some(blob.clone())),
                Some(Stored::Link(target)) => at = target.clone(),
                None => return Ok(None),
            }
        }
        Err(Cause::malformed(format!("{} is behind too many links", printable(name))))
    }
}

/// Says what the file is instead.
fn expect_tar(start: &[u8]) -> Result<(), Cause> {
    if is_header(start) {
        return Ok(());
    }
    Err(Cause::NotAnImage(match Codec::of(start) {
        Codec::None if start.starts_with(b"\x7fELF") => {
            format!("it is no tar archive, but an ELF file itself; {}, with programs in it", super::FORMS)
        }
        Codec::None => format!("it is no tar archive; {}", super::FORMS),
        codec => {
            format!("it is compressed with {name}, as a whole; decompress it first ({name} -d)", name = codec.name())
        }
    }))
}
