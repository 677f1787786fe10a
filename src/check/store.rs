//! Where the documents and layers of images lie: in an archive, or in the directory of an OCI layout.

use std::path::Path;
use std::sync::Arc;

use super::archive::Archive;
use super::blob::Blob;
use crate::error::Cause;
use crate::root::{Fault, Root, Walker};
use crate::text::printable;

#[derive(Debug)]
pub(super) enum Store {
    Archive(Archive),
    /// Symlinks in it stay inside.
    Layout(Arc<Root>),
}

impl Store {
    /// What is called `name`; `None` where nothing is.
    pub(super) fn find(&self, name: &str) -> Result<Option<Blob>, Cause> {
        match self {
            Store::Archive(archive) => archive.blob(Path::new(name)),
            Store::Layout(root) => match Walker::new(root).open(&Path::new("/").join(name)) {
                Ok((_, input)) => Ok(Some(Blob::whole(input))),
                Err(fault) if fault.is_absence() => Ok(None),
                Err(Fault::Directory | Fault::Special | Fault::OfKernel) => {
                    Err(Cause::malformed(format!("{} is no regular file", printable(name))))
                }
                Err(fault) => Err(fault.into_cause().within(printable(name))),
            },
        }
    }

    pub(super) fn get(&self, name: &str) -> Result<Blob, Cause> {
        self.find(name)?.ok_or_else(|| {
            Cause::malformed(format!("{} is not in it, so the image is not whole; get it again", printable(name)))
        })
    }
}
