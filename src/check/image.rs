//! Checks what a path holds: images in an archive or a layout, or a root directory.

use std::path::Path;

use super::content::Reading;
use super::directory::Directory;
use super::documents::Parts;
use super::executables::{Subject, unread};
use super::held::{Held, Images, without_faults};
use super::report::{Check, Problem};
use super::store::Store;
use crate::collect::Setting;
use crate::error::{Cause, Result};
use crate::root::{Root, Walker};
use crate::text::printable;

/// What can be checked and compared.
pub(super) const FORMS: &str = "what can be read is a docker archive (docker save), an OCI archive or layout, and a \
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
    let opened = Walker::new(machine).open(&std::path::absolute(path)?).map(|(_, input)| input);
    match Held::of(opened, path)? {
        Held::Images(images) => check_images(&images),
        Held::Directory(root) => without_faults(&root, check_root(&root)),
    }
}

fn check_root(root: &Root) -> Result<Check, Cause> {
    let Directory { nodes, contents, unread: closed, .. } = Directory::read(root, Reading::Check)?;
    let subject = Subject::new(nodes, contents.into_loaders(), Setting::default(), None);
    let (programs, mut problems) = subject.judge();
    problems.extend(closed.into_iter().map(|(path, why)| unread(&path, why)));
    Ok(Check { programs, problems })
}

fn check_images(images: &Images) -> Result<Check, Cause> {
    match &images.store {
        Store::Layout(root) => without_faults(root, check_each(images)),
        Store::Archive(_) => check_each(images),
    }
}

fn check_each(images: &Images) -> Result<Check, Cause> {
    let mut all = Check::default();
    for image in &images.list {
        let name = image.name.clone().or_else(|| (images.list.len() > 1).then(|| image.digest.clone()));
        let check = check_image(images, image).map_err(|cause| match &name {
            Some(name) => cause.within(printable(name)),
            None => cause,
        })?;
        all.programs += check.programs;
        all.problems.extend(check.problems.into_iter().map(|problem| Problem { image: name.clone(), ..problem }));
    }
    Ok(all)
}

fn check_image(images: &Images, image: &Parts) -> Result<Check, Cause> {
    let config = image.config(&images.store)?;
    let (nodes, contents) = images.tree(image, Reading::Check)?;
    let setting = Setting::of_image(&config.env, config.working_directory.as_deref().map(Path::new));
    // A name alone is looked for in PATH.
    let program = config.program.filter(|program| program.contains('/'));
    let program = program.and_then(|program| setting.absolute(program.as_ref()));
    let subject = Subject::new(nodes, contents.into_loaders(), setting, program.as_deref());
    let (programs, problems) = subject.judge();
    Ok(Check { programs, problems })
}
