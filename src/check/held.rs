//! What a path holds: images in an archive or a layout, or a root directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::archive::Archive;
use super::blob::Blob;
use super::content::{Contents, Reading};
use super::directory::Directory;
use super::documents::{Parts, images};
use super::layers::Layers;
use super::store::Store;
use super::view::Nodes;
use crate::error::{Cause, Error, Result};
use crate::root::{Fault, Input, OF_KERNEL, Root, Walker};
use crate::text::printable;

/// What stands at a path.
pub(crate) enum Held {
    Images(Images),
    Directory(Arc<Root>),
}

/// The images of an archive or a layout.
pub(crate) struct Images {
    pub(super) store: Store,
    pub(super) list: Vec<Parts>,
}

impl Held {
    /// `opened` is what came of opening the file at `path`.
    pub(crate) fn of(opened: Result<Input, Fault>, path: &Path) -> Result<Held, Cause> {
        match opened {
            Ok(input) => Images::of(Store::Archive(Archive::index(&Blob::whole(input))?)).map(Held::Images),
            Err(Fault::Directory) => Held::of_directory(Arc::new(Root::at(path).map_err(Error::into_cause)?)),
            Err(Fault::Special) => Err(Cause::NotAnImage(
                "it is no regular file, and an archive is read by position; save it first".into(),
            )),
            Err(Fault::OfKernel) => Err(Cause::NotAnImage(OF_KERNEL.into())),
            Err(fault) => Err(fault.into_cause()),
        }
    }

    fn of_directory(root: Arc<Root>) -> Result<Held, Cause> {
        if !is_layout(&root) {
            return Ok(Held::Directory(root));
        }
        without_faults(&root, Images::of(Store::Layout(root.clone()))).map(Held::Images)
    }
}

/// The file that marks a layout (OCI image spec, "oci-layout file"), or all else that it has.
fn is_layout(root: &Root) -> bool {
    let walker = Walker::new(root);
    let is_file = |name: &str| walker.open(Path::new(name)).is_ok();
    is_file("/oci-layout") || (is_file("/index.json") && walker.directory(Path::new("/blobs")).is_ok())
}

/// What could not be read says nothing of what is there.
pub(super) fn without_faults<T>(root: &Root, done: Result<T, Cause>) -> Result<T, Cause> {
    match root.take_faults().into_iter().next() {
        Some(fault) => Err(fault.into_part()),
        None => done,
    }
}

impl Images {
    fn of(store: Store) -> Result<Images, Cause> {
        images(&store).map(|list| Images { store, list })
    }

    /// All that each is called; its digest, where it has no name.
    pub(crate) fn names(&self) -> impl Iterator<Item = Vec<&str>> {
        self.list.iter().map(|parts| match parts.names().next() {
            Some(_) => parts.names().collect(),
            None => vec![parts.digest.as_str()],
        })
    }

    /// All that the files of an image say, its layers applied in order.
    pub(super) fn tree(&self, image: &Parts, reading: Reading) -> Result<(Nodes<'static>, Contents), Cause> {
        let mut layers = Layers::new(reading);
        for layer in &image.layers {
            let apply = |layers: &mut Layers| layers.apply(layer.blob(&self.store)?);
            apply(&mut layers).map_err(|cause| cause.within(printable(&layer.name)))?;
        }
        Ok(layers.finish())
    }

    /// What stands at each path of the image of this number, with digests, and how its containers run.
    pub(crate) fn compared(&self, number: usize) -> Result<Compared, Cause> {
        let done = self.list.get(number).map(|image| {
            let settings = image.settings(&self.store)?;
            let (nodes, _) = self.tree(image, Reading::Compare)?;
            Ok(Compared { nodes, settings: Some(settings) })
        });
        let done = done.unwrap_or_else(|| Err(Cause::malformed("there is no such image")));
        match &self.store {
            Store::Layout(root) => without_faults(root, done),
            Store::Archive(_) => done,
        }
    }
}

/// What an image is compared by.
pub(crate) struct Compared {
    pub(crate) nodes: Nodes<'static>,
    /// As JSON, by the names that a configuration has for them; a directory has none.
    pub(crate) settings: Option<BTreeMap<String, String>>,
}

impl Compared {
    pub(crate) fn of_directory(root: &Root) -> Result<Compared, Cause> {
        let read = Directory::read(root, Reading::Compare).and_then(|directory| {
            let unread = directory.unread.into_iter().next();
            let unread = unread.map(|(path, cause): (PathBuf, Cause)| Err(cause.within(printable(&path))));
            unread.unwrap_or(Ok(Compared { nodes: directory.nodes, settings: None }))
        });
        without_faults(root, read)
    }
}
