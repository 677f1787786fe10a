//! Checks what a path holds: images in an archive or a layout, or a root directory.

use std::path::Path;
use std::sync::Arc;

use super::archive::Archive;
use super::blob::Blob;
use super::directory::Directory;
use super::documents::{Parts, images};
use super::executables::{Subject, unread};
use super::layers::Layers;
use super::report::{Check, Problem};
use super::store::Store;
use crate::collect::Setting;
use crate::error::{Cause, Error, Result};
use crate::root::{Fault, OF_KERNEL, Root, Walker};
use crate::text::printable;

/// What can be checked.
pub(super) const FORMS: &str = "what can be checked is a docker archive (docker save), an OCI archive or layout, and a \
                                root directory";

/// Whether the programs of somebody's image would start: the proof that [`ImageBuilder::build`](crate::ImageBuilder::build)
/// makes, on any image.
///
/// `path` is a docker archive (`docker save`), an OCI archive, the directory of an OCI layout, or a root directory. All
/// layers are applied in order. Of a root directory's `/proc`, `/sys` and `/dev` nothing is looked at. Looked at is every
/// ELF file with an x bit and a program interpreter, and the program that the image's configuration starts, if that is
/// a path. Nothing is executed, nothing unpacked, and no symlink is followed out of `path`.
///
/// ```no_run
/// let check = scratchpack::check("image.tar")?;
/// for problem in check.problems() {
///     println!("{problem}");
/// }
/// # Ok::<(), scratchpack::Error>(())
/// ```
///
/// # Errors
/// [`NotAnImage`](crate::ErrorKind::NotAnImage) for a file or a layout that is none of these,
/// [`Malformed`](crate::ErrorKind::Malformed) where it is cut off, damaged or beyond a limit,
/// [`Unsupported`](crate::ErrorKind::Unsupported) for layers that are neither plain nor gzip nor zstd,
/// [`NotFound`](crate::ErrorKind::NotFound) and [`Io`](crate::ErrorKind::Io).
pub fn check(path: impl AsRef<Path>) -> Result<Check> {
    let path = path.as_ref();
    let machine = Root::host()?;
    check_path(path, &machine).map_err(|cause| cause.on("check", path))
}

fn check_path(path: &Path, machine: &Root) -> Result<Check, Cause> {
    let absolute = std::path::absolute(path)?;
    let walker = Walker::new(machine);
    match walker.open(&absolute) {
        Ok((_, input)) => check_store(&Store::Archive(Archive::index(&Blob::whole(input))?)),
        Err(Fault::Directory) => check_directory(Arc::new(Root::at(path).map_err(Error::into_cause)?)),
        Err(Fault::Special) => {
            Err(Cause::NotAnImage("it is no regular file, and an archive is read by position; save it first".into()))
        }
        Err(Fault::OfKernel) => Err(Cause::NotAnImage(OF_KERNEL.into())),
        Err(fault) => Err(fault.into_cause()),
    }
}

fn check_directory(root: Arc<Root>) -> Result<Check, Cause> {
    let check = match is_layout(&root) {
        true => check_store(&Store::Layout(root.clone())),
        false => check_root(&root),
    };
    // What could not be read says nothing of what is there.
    match root.take_faults().into_iter().next() {
        Some(fault) => Err(fault.into_part()),
        None => check,
    }
}

/// The file that marks a layout (OCI image spec, "oci-layout file"), or all else that it has.
fn is_layout(root: &Root) -> bool {
    let walker = Walker::new(root);
    let is_file = |name: &str| walker.open(Path::new(name)).is_ok();
    is_file("/oci-layout") || (is_file("/index.json") && walker.directory(Path::new("/blobs")).is_ok())
}

fn check_root(root: &Root) -> Result<Check, Cause> {
    let Directory { nodes, contents, unread: closed, .. } = Directory::read(root)?;
    let subject = Subject::new(nodes, contents.into_loaders(), Setting::default(), None);
    let (programs, mut problems) = subject.judge();
    problems.extend(closed.into_iter().map(|(path, why)| unread(&path, why)));
    Ok(Check { programs, problems })
}

fn check_store(store: &Store) -> Result<Check, Cause> {
    let images = images(store)?;
    let mut all = Check::default();
    for image in &images {
        let name = image.name.clone().or_else(|| (images.len() > 1).then(|| image.digest.clone()));
        let check = check_image(store, image).map_err(|cause| match &name {
            Some(name) => cause.within(printable(name)),
            None => cause,
        })?;
        all.programs += check.programs;
        all.problems.extend(check.problems.into_iter().map(|problem| Problem { image: name.clone(), ..problem }));
    }
    Ok(all)
}

fn check_image(store: &Store, image: &Parts) -> Result<Check, Cause> {
    let config = image.config(store)?;
    let mut layers = Layers::new();
    for layer in &image.layers {
        let apply = |layers: &mut Layers| layers.apply(layer.blob(store)?);
        apply(&mut layers).map_err(|cause| cause.within(printable(&layer.name)))?;
    }
    let (nodes, contents) = layers.finish();
    let setting = Setting::of_image(&config.env, config.working_directory.as_deref().map(Path::new));
    // A name alone is looked for in PATH.
    let program = config.program.filter(|program| program.contains('/'));
    let program = program.and_then(|program| setting.absolute(program.as_ref()));
    let subject = Subject::new(nodes, contents.into_loaders(), setting, program.as_deref());
    let (programs, problems) = subject.judge();
    Ok(Check { programs, problems })
}
