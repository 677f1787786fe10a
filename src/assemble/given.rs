//! What the caller puts into an image beside its programs: checked, and found on this machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::analyze::ReadAt;
use crate::collect::{Extra, ExtraContent, Origin, Source, impossible, unopenable};
use crate::error::{Cause, Result};
use crate::root::{Fault, OF_KERNEL, Root, Walker, ends_as_directory};
use crate::text::printable;

/// One path of the image, and what the caller wants there.
#[derive(Clone, Debug)]
pub(super) enum Given {
    /// A copy of a file of this machine.
    File {
        source: PathBuf,
        at: PathBuf,
    },
    Link {
        target: PathBuf,
        at: PathBuf,
    },
    Directory {
        at: PathBuf,
        mode: Option<u32>,
    },
}

/// What mkdir(1) gives under the usual umask.
const USUAL_DIRECTORY: u32 = 0o755;

/// All of it, as a tree takes it.
pub(super) fn extras(given: &[Given]) -> Result<Vec<Extra>> {
    if given.is_empty() {
        return Ok(Vec::new());
    }
    let machine = Arc::new(Root::host()?);
    let walker = Walker::new(&machine);
    given.iter().map(|given| given.extra(&machine, &walker)).collect()
}

impl Given {
    /// What is wrong with it before any file is looked at.
    pub(super) fn problem(&self) -> Option<String> {
        let at = self.at();
        let why = path_problem(&at).or_else(|| match self {
            Given::File { .. } => None,
            Given::Link { at, .. } if ends_as_directory(at) => {
                Some("give the link's own path, without a slash at its end")
            }
            Given::Link { target, .. } => target_problem(target),
            Given::Directory { mode, .. } => {
                mode.is_some_and(|mode| mode > 0o7777).then_some("its mode must be one of 0 to 7777, in octal")
            }
        });
        why.map(|why| format!("nothing can be put at `{}` in the image: {why}", printable(&at)))
    }

    /// Its path in the image. A file that goes to `dir/` keeps its name, as with cp(1).
    pub(super) fn at(&self) -> PathBuf {
        let path = match self {
            Given::File { source, at } if ends_as_directory(at) => at.join(source.file_name().unwrap_or_default()),
            Given::File { at, .. } | Given::Link { at, .. } | Given::Directory { at, .. } => at.clone(),
        };
        path.components().collect()
    }

    fn extra(&self, machine: &Arc<Root>, walker: &Walker<'_>) -> Result<Extra> {
        let content = match self {
            Given::File { source, .. } => ExtraContent::File(
                file(source, machine, walker).map_err(|cause| cause.on("put into the image", source))?,
            ),
            Given::Link { target, .. } => ExtraContent::Link(target.clone()),
            Given::Directory { mode, .. } => ExtraContent::Directory(mode.unwrap_or(USUAL_DIRECTORY)),
        };
        Ok(Extra { at: self.at(), content, origin: Origin::Caller })
    }
}

fn file(path: &Path, machine: &Arc<Root>, walker: &Walker<'_>) -> Result<Source, Cause> {
    let (walk, input) = walker.open(&std::path::absolute(path)?).map_err(refused)?;
    let mut magic = [0; 4];
    input.file.read_at(&mut magic, 0)?;
    Ok(Source { root: machine.clone(), real: walk.real, stamp: input.stamp, is_elf: magic == *b"\x7fELF" })
}

fn refused(fault: Fault) -> Cause {
    let why = match fault {
        Fault::Directory => "it is a directory; give its files one by one",
        Fault::OfKernel => OF_KERNEL,
        Fault::Special => "it is a device, a FIFO or a socket; give a regular file",
        other => return other.into_cause(),
    };
    Cause::InvalidOption(vec![why.into()])
}

fn path_problem(path: &Path) -> Option<&'static str> {
    if path == Path::new("/") {
        Some("that is the image's root directory; give a path below it")
    } else {
        impossible(path)
    }
}

fn target_problem(target: &Path) -> Option<&'static str> {
    if target.as_os_str().is_empty() { Some("the link needs a target") } else { unopenable(target) }
}
