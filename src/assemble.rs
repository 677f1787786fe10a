//! From a tree to an image: the layer, the documents around it, and the outputs.

mod archive;
#[cfg(feature = "sbom")]
mod bill;
mod builder;
mod cache;
mod compress;
mod depfile;
mod digest;
mod docker;
mod documents;
mod given;
mod layer;
mod layout;
mod lock;
mod members;
mod pieces;
mod progress;
mod publish;
mod reference;
mod rootfs;
mod running;
mod size;
mod source;
mod temporary;
mod timestamp;
mod warnings;

use std::collections::BTreeSet;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::collect::Closure;
use crate::error::{Cause, Result};
use crate::finding::Finding;
use crate::packages::{Copied, Distribution, Package, Packages};
use crate::root::FileId;
use crate::tree::{Content, Entry, Tree};
use cache::{Cache, Slot, Standing};
use documents::{Description, Documents};
use layer::{Layer, LayerPlan, LayerWriter};
use progress::Reporter;
use publish::{Draft, Durability, WRITE, final_target, publish_small, sweep_beside};

pub use builder::ImageBuilder;
pub use compress::Compression;
pub use progress::{Progress, Stage};

/// An image: everything resolved and checked, nothing compressed or written yet.
///
/// It is cheap to make, and can be looked at before a byte is written. Each `write_*` reads the files once (to a pipe, where
/// what comes first must be known first, twice; with a cache, only what changed), in the state in which they were analyzed,
/// with bounded memory; a file that changed in between is an error. What the system does not date cannot be seen: writes
/// through a memory map to pages that were written before, and what one long call still writes when the file is read.
#[derive(Debug)]
pub struct Image {
    closures: Vec<Closure>,
    tree: Tree,
    description: Description,
    findings: Vec<Finding>,
    making: Making,
    /// Read when somebody asks.
    packages: OnceLock<Packages>,
    /// What else decided: package databases, where they are in the image, and locks that it was compared with.
    deciding: Vec<PathBuf>,
}

/// How an image is made, which changes no byte of it.
#[derive(Debug)]
struct Making {
    threads: NonZeroUsize,
    cache: Option<(Cache, Slot)>,
    durability: Durability,
    reporter: Reporter,
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

    /// The paths on this machine on which the image hangs, each once, in bytewise order: the files that go into it, and
    /// what else decided on them (see [`Closure::inputs`]), directories too. While none of them has changed, and symlinks
    /// to directories lead where they led, the same call makes the same image.
    pub fn inputs(&self) -> impl Iterator<Item = PathBuf> {
        let given = self.entries().filter_map(|entry| match entry.content() {
            Content::File(source) => Some(source.on_machine()),
            _ => None,
        });
        let closures = self.closures.iter().flat_map(Closure::inputs);
        closures.chain(given).chain(self.deciding.iter().cloned()).collect::<BTreeSet<_>>().into_iter()
    }

    /// The packages of a distribution from which files of the image were copied, by the package databases of dpkg, apk and rpm in
    /// the root (the sysroot, if there is one), read as files. A file that no database knows is told by its `.note.package`,
    /// if it has one.
    ///
    /// The first call reads the databases, and later ones nothing.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io); [`Malformed`](crate::ErrorKind::Malformed) where a database exceeds a limit or is no
    /// file; [`Changed`](crate::ErrorKind::Changed).
    ///
    /// ```no_run
    /// let image = scratchpack::Image::from_binary("/usr/bin/git")?;
    /// for package in image.packages()? {
    ///     println!("{} {}: {}", package.name(), package.version(), package.files().count());
    /// }
    /// # Ok::<(), scratchpack::Error>(())
    /// ```
    pub fn packages(&self) -> Result<&[Package]> {
        self.known_packages().map(|packages| packages.list.as_slice())
    }

    /// The distribution that the root is of, by its `/etc/os-release`.
    ///
    /// # Errors
    /// Those of [`Image::packages`].
    pub fn distribution(&self) -> Result<Option<&Distribution>> {
        self.known_packages().map(|packages| packages.distribution.as_deref())
    }

    fn known_packages(&self) -> Result<&Packages> {
        match self.packages.get() {
            Some(packages) => Ok(packages),
            None => {
                let packages = Packages::of(&copied(&self.tree), self.closure().root())?;
                Ok(self.packages.get_or_init(|| packages))
            }
        }
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
        self.write_file(file.as_ref(), "archive", |layer, file| archive::write_to_file(self, layer, file))
    }

    /// Writes the same bytes to a pipe, a socket or memory. The layer is made twice, because its digest stands before it.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) and [`Changed`](crate::ErrorKind::Changed); what was written until then is no
    /// complete archive.
    pub fn write_archive_to(&self, mut out: impl Write) -> Result<Written> {
        archive::write_to_stream(self, self.chosen_layer_writer(), &mut out)
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
        self.write_file(file.as_ref(), "layer", |layer, file| {
            let layer = layer.write(file)?;
            Ok(Written::new(&layer, &self.description.documents(&layer)?, layer.blob.size))
        })
    }

    /// Writes the layer alone to a pipe, a socket or memory.
    ///
    /// # Errors
    /// Those of [`Image::write_archive_to`].
    pub fn write_layer_to(&self, mut out: impl Write) -> Result<Written> {
        let layer = self.chosen_layer_writer().write(&mut out)?;
        out.flush().map_err(|error| Cause::Io(error).during(WRITE))?;
        let documents = self.description.documents(&layer)?;
        Ok(Written::new(&layer, &documents, layer.blob.size))
    }

    /// Writes a depfile, as make, ninja, CMake and Meson read it: a rule by which the first of `outputs`, as the build tool
    /// names it, hangs on all [`Image::inputs`], but for the directories in which `outputs` and `file` are, because these
    /// change whenever something is written there. Paths below `base`, the directory that the build tool works in, are
    /// written relative to it, so that it knows its own files by them.
    ///
    /// Build tools compare modification times. What a package manager replaces by something older they do not notice.
    ///
    /// # Errors
    /// Those of [`Image::write_archive`]; [`Unsupported`](crate::ErrorKind::Unsupported) where no depfile can name a path,
    /// because a line ends in it, or because of one of `;*?|<>'"&^` and the backtick and backslash.
    pub fn write_depfile(&self, file: impl AsRef<Path>, outputs: &[&Path], base: impl AsRef<Path>) -> Result<()> {
        let (file, base) = (file.as_ref(), base.as_ref());
        self.expect_no_input(file)?;
        let written: Vec<PathBuf> = outputs.iter().chain([&file]).map(|path| directory_to_be(path, base)).collect();
        let is_written = |input: &PathBuf| std::fs::canonicalize(input).is_ok_and(|real| written.contains(&real));
        let inputs = self.inputs().filter(|input| !is_written(input));
        let target = outputs.first().copied().unwrap_or(file);
        let relative = |input: PathBuf| match input.strip_prefix(base) {
            Ok(below) if below != Path::new("") => below.to_owned(),
            _ => input,
        };
        let text = depfile::text(target, &inputs.map(relative).collect()).map_err(|cause| cause.on(WRITE, file))?;
        publish_small(file, &text, self.making.durability)
    }

    /// Writes the [id](Written::config_digest) of what was written to a file, without a line end, as `docker build
    /// --iidfile` does. A file that says so already is left as it is, with its time: what hangs on it alone is not made
    /// again.
    ///
    /// # Errors
    /// Those of [`Image::write_archive`].
    pub fn write_id(&self, file: impl AsRef<Path>, written: &Written) -> Result<()> {
        let (file, id) = (file.as_ref(), written.config_digest.as_bytes());
        self.expect_no_input(file)?;
        if holds(file, id) { Ok(()) } else { publish_small(file, id, self.making.durability) }
    }

    /// A file that goes into the image must not be replaced by it.
    fn expect_no_input(&self, file: &Path) -> Result<()> {
        let sources = self.entries().filter_map(|entry| match entry.content() {
            Content::File(source) => Some(source.stamp.id),
            _ => None,
        });
        match FileId::of(file).map_err(|cause| cause.on(WRITE, file))? {
            Some(id) if sources.into_iter().any(|source| source == id) => {
                let why = "it is one of the files that go into the image; give another name".to_owned();
                Err(Cause::OutputRefused(why).on(WRITE, file))
            }
            _ => Ok(()),
        }
    }

    /// Writes an output that is one file, unless it is there already.
    fn write_file(
        &self,
        file: &Path,
        kind: &str,
        write: impl FnOnce(&mut LayerWriter<'_>, &mut Draft) -> Result<Written>,
    ) -> Result<Written> {
        self.expect_no_input(file)?;
        let target = final_target(file)?;
        sweep_beside(&target);
        let mut layer = self.chosen_layer_writer();
        if let Some(written) = self.find_written(&layer, kind, &target).map_err(|error| error.at(file))? {
            return Ok(written);
        }
        let mut draft = Draft::beside(target.clone(), self.making.durability)?;
        let written = write(&mut layer, &mut draft).map_err(|error| error.at(file))?;
        let published = draft.publish(&self.making.reporter)?;
        if let Some(standing) = self.standing_image(kind, &target, &written) {
            standing.remember(&published);
        }
        Ok(written)
    }

    /// What was written to `target` before, if that is what would be written now.
    fn find_written(&self, layer: &LayerWriter<'_>, kind: &str, target: &Path) -> Result<Option<Written>> {
        let Some(known) = layer.known() else { return Ok(None) };
        let documents = self.description.documents(&known)?;
        let written = Written::new(&known, &documents, 0);
        match self.standing_image(kind, target, &written).and_then(|standing| standing.find()) {
            Some(size) => layer.expect_unchanged().map(|()| Some(Written { size, ..written })),
            None => Ok(None),
        }
    }

    /// An output that is one file, and all that tells its bytes.
    fn standing_image(&self, kind: &str, target: &Path, written: &Written) -> Option<Standing<'_>> {
        let names: Vec<String> = self.names().collect();
        let created = self.description.created.to_le_bytes();
        let names = names.iter().map(String::as_bytes);
        let content: Vec<&[u8]> =
            [kind.as_bytes(), written.digest.as_bytes(), &created].into_iter().chain(names).collect();
        self.standing(target, &content)
    }

    /// What stands at a path, where there is a cache that could know it.
    fn standing(&self, target: &Path, content: &[&[u8]]) -> Option<Standing<'_>> {
        let (cache, _) = self.making.cache.as_ref()?;
        Some(cache.standing(target, content, self.making.durability))
    }

    /// The layer, compressed like this. Only as the caller chose it is it in the cache.
    fn layer_writer(&self, compression: Compression) -> LayerWriter<'_> {
        let is_chosen = compression == self.description.compression;
        let plan = LayerPlan {
            entries: self.tree.entries(),
            mtime: self.mtime(),
            compression,
            threads: self.making.threads,
            cache: self.making.cache.as_ref().filter(|_| is_chosen).map(|(cache, slot)| (cache, *slot)),
            reporter: &self.making.reporter,
        };
        plan.begin()
    }

    fn chosen_layer_writer(&self) -> LayerWriter<'_> {
        self.layer_writer(self.description.compression)
    }

    fn description(&self) -> &Description {
        &self.description
    }

    fn mtime(&self) -> u64 {
        self.description.created
    }
}

/// The files of an image that are copies, by each of their names.
fn copied(tree: &Tree) -> Vec<Copied<'_>> {
    tree.entries().iter().filter_map(|entry| Some((entry.path(), entry.copied_from()?))).collect()
}

/// Whether a file has just these bytes. What is no regular file is not read, for that might take forever.
fn holds(file: &Path, bytes: &[u8]) -> bool {
    let is_candidate =
        std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.len() == bytes.len() as u64);
    is_candidate && std::fs::read(file).is_ok_and(|known| known == bytes)
}

/// The directory in which `path` is or will be, symlinks resolved.
fn directory_to_be(path: &Path, base: &Path) -> PathBuf {
    let directory = base.join(path).parent().map(Path::to_owned).unwrap_or_default();
    std::fs::canonicalize(&directory).unwrap_or(directory)
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
