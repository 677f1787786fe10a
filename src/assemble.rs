//! From a tree to an image: the layer, the documents around it, and the outputs.

mod archive;
mod builder;
mod compress;
mod digest;
mod docker;
mod documents;
mod given;
mod json;
mod layer;
mod layout;
mod members;
mod publish;
mod reference;
mod rootfs;
mod source;
mod timestamp;

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use crate::collect::Closure;
use crate::error::{Cause, Result};
use crate::finding::Finding;
use crate::root::FileId;
use crate::tree::{Content, Entry, Tree};
use documents::{Description, Documents};
use layer::{Layer, LayerPlan};
use publish::{Draft, WRITE};

pub use builder::ImageBuilder;
pub use compress::Compression;

/// An image: everything resolved and checked, nothing compressed or written yet.
///
/// It is cheap to make, and can be looked at before a byte is written. Each `write_*` reads the files once, in the state
/// in which they were analyzed, with bounded memory; a file that changed in between is an error.
#[derive(Debug)]
pub struct Image {
    closures: Vec<Closure>,
    tree: Tree,
    description: Description,
    findings: Vec<Finding>,
    threads: NonZeroUsize,
}

/// What was written: the digests by which others know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    digest: String,
    config_digest: String,
    layer_digest: String,
    diff_id: String,
    layer_size: u64,
    size: u64,
}

impl Image {
    /// The image of one program, all options at their defaults: `Image::builder().binary(path).build()`.
    ///
    /// # Errors
    /// Those of [`ImageBuilder::build`].
    ///
    /// ```no_run
    /// let image = scratchpack::Image::from_binary("hello")?;
    /// image.write_archive("hello.tar")?;
    /// # Ok::<(), scratchpack::Error>(())
    /// ```
    pub fn from_binary(path: impl AsRef<Path>) -> Result<Image> {
        Image::builder().binary(path.as_ref()).build()
    }

    /// An image with options.
    pub fn builder() -> ImageBuilder {
        ImageBuilder::default()
    }

    /// The closure of the first program.
    pub fn closure(&self) -> &Closure {
        &self.closures[0]
    }

    /// The closures of all programs, in the order in which they were given.
    pub fn closures(&self) -> &[Closure] {
        &self.closures
    }

    /// Everything that the image holds, in the order of its layer.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.tree.entries().iter()
    }

    /// What the caller should know: warnings and notes.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The files on this machine that go into the image, each once, in bytewise order.
    pub fn inputs(&self) -> impl Iterator<Item = PathBuf> {
        let objects = self.closures.iter().flat_map(Closure::all).map(|object| object.source());
        let extras = self.entries().filter_map(|entry| match entry.content() {
            Content::File(source) => Some(source.on_machine()),
            _ => None,
        });
        objects.chain(extras).collect::<std::collections::BTreeSet<_>>().into_iter()
    }

    /// The names that the image has, in full: `docker.io/library/hello:latest`. Empty where no legal name was given or
    /// could be made of the program's.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.description.names.iter().map(ToString::to_string)
    }

    /// Writes an archive for `docker load`, `podman load`, `skopeo copy`, `ctr images import` and the like: one tar that
    /// is an OCI image layout and a docker archive at once. It replaces what is at `file`, whole or not at all.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io), [`Changed`](crate::ErrorKind::Changed), and
    /// [`OutputRefused`](crate::ErrorKind::OutputRefused) where `file` is no regular file.
    pub fn write_archive(&self, file: impl AsRef<Path>) -> Result<Written> {
        let file = file.as_ref();
        self.expect_no_input(file)?;
        let mut draft = Draft::of_file(file)?;
        let written = archive::write_to_file(self, draft.file()).map_err(|error| error.at(file))?;
        draft.publish().map(|()| written)
    }

    /// Writes the same bytes to a pipe, a socket or memory. The layer is made twice, because its digest stands before it.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) and [`Changed`](crate::ErrorKind::Changed); what was written until then is no
    /// complete archive.
    pub fn write_archive_to(&self, mut out: impl Write) -> Result<Written> {
        archive::write_to_stream(self, &mut out)
    }

    /// Writes an archive in docker's own form for what reads a pipe: `docker load` and `podman load` without `--input`. It
    /// is uncompressed, whatever [`ImageBuilder::compression`] says, and so written in one pass: the layer is made once,
    /// nothing is kept, and its bytes flow from the first moment on. The digests are those of the image uncompressed;
    /// [`Written::config_digest`], docker's image id, is the same for every compression.
    ///
    /// # Errors
    /// Those of [`Image::write_archive_to`]. What was written until then is no image to any tool, because what names its
    /// parts comes last.
    pub fn write_docker_archive_to(&self, mut out: impl Write) -> Result<Written> {
        docker::write(self, &mut out)
    }

    /// Adds the image to an OCI image layout (OCI image spec, image layout), which is made if there is none. Images of
    /// other names in it stay.
    ///
    /// # Errors
    /// Those of [`Image::write_archive`]; a directory that holds other things is refused.
    pub fn write_layout(&self, directory: impl AsRef<Path>) -> Result<Written> {
        layout::write(self, directory.as_ref()).map_err(|error| error.at(directory.as_ref()))
    }

    /// Writes the file tree as a directory, for a Dockerfile's `COPY rootfs/ /`. Owners are whoever calls. File
    /// capabilities that are kept are set, which takes root.
    ///
    /// # Errors
    /// Those of [`Image::write_archive`]; a directory that is not empty is refused.
    pub fn write_rootfs(&self, directory: impl AsRef<Path>) -> Result<()> {
        rootfs::write(self, directory.as_ref()).map_err(|error| error.at(directory.as_ref()))
    }

    /// Writes the layer alone, a tar compressed as chosen.
    ///
    /// # Errors
    /// Those of [`Image::write_archive`].
    pub fn write_layer(&self, file: impl AsRef<Path>) -> Result<Written> {
        let file = file.as_ref();
        self.expect_no_input(file)?;
        let mut draft = Draft::of_file(file)?;
        let layer = self.layer_plan().write(draft.file()).map_err(|error| error.at(file))?;
        let documents = self.description.documents(&layer)?;
        draft.publish()?;
        Ok(Written::new(&layer, &documents, layer.blob.size))
    }

    /// Writes the layer alone to a pipe, a socket or memory.
    ///
    /// # Errors
    /// Those of [`Image::write_archive_to`].
    pub fn write_layer_to(&self, mut out: impl Write) -> Result<Written> {
        let layer = self.layer_plan().write(&mut out)?;
        out.flush().map_err(|error| Cause::Io(error).during(WRITE))?;
        let documents = self.description.documents(&layer)?;
        Ok(Written::new(&layer, &documents, layer.blob.size))
    }

    /// A file that goes into the image must not be replaced by it.
    fn expect_no_input(&self, file: &Path) -> Result<()> {
        let sources = self.entries().filter_map(|entry| match entry.content() {
            Content::File(source) => Some(source.stamp.id),
            _ => None,
        });
        match FileId::of(file) {
            Some(id) if sources.into_iter().any(|source| source == id) => {
                let why = "it is one of the files that go into the image; give another name".to_owned();
                Err(Cause::OutputRefused(why).on(WRITE, file))
            }
            _ => Ok(()),
        }
    }

    fn layer_plan(&self) -> LayerPlan<'_> {
        LayerPlan {
            entries: self.tree.entries(),
            mtime: self.mtime(),
            compression: self.description.compression,
            threads: self.threads,
        }
    }

    fn description(&self) -> &Description {
        &self.description
    }

    fn mtime(&self) -> u64 {
        self.description.created
    }
}

impl Written {
    fn new(layer: &Layer, documents: &Documents, size: u64) -> Self {
        Written {
            digest: documents.manifest.hashed.digest(),
            config_digest: documents.config.hashed.digest(),
            layer_digest: layer.blob.digest(),
            diff_id: layer.diff_id.digest(),
            layer_size: layer.blob.size,
            size,
        }
    }

    /// The digest of the manifest, by which registries know the image: `sha256:` and 64 hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The digest of the configuration, which docker calls the image's id.
    pub fn config_digest(&self) -> &str {
        &self.config_digest
    }

    /// The digest of the layer as it was written, compressed or not.
    pub fn layer_digest(&self) -> &str {
        &self.layer_digest
    }

    /// The digest of the layer's tar, whatever the compression.
    pub fn diff_id(&self) -> &str {
        &self.diff_id
    }

    /// The bytes of the layer as it was written.
    pub fn layer_size(&self) -> u64 {
        self.layer_size
    }

    /// The bytes of the whole output: of an archive the file's, of a layout those of this image's blobs.
    pub fn size(&self) -> u64 {
        self.size
    }
}
