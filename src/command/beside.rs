//! What `build` writes beside the image: its id, and what it hangs on.

use std::path::{Path, PathBuf};

use scratchpack::{Image, Written};

use super::Failure;

/// Where it is written.
pub(super) struct Beside<'a> {
    pub(super) iidfile: Option<&'a Path>,
    /// The file, and the output for which it has a rule.
    pub(super) depfile: Option<(&'a Path, PathBuf)>,
}

impl<'a> Beside<'a> {
    /// `target` is the file by which a build tool knows the output, if it is one; with the file for an id goes whether
    /// there will be an id.
    pub(super) fn of(
        iidfile: Option<(&'a Path, bool)>,
        depfile: Option<&'a Path>,
        target: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        if iidfile.is_some_and(|(_, has_id)| !has_id) {
            return Err(Failure::Usage("a root directory is no image, and has no id; leave out --iidfile".into()));
        }
        let iidfile = iidfile.map(|(file, _)| file);
        // What is loaded, or goes to a pipe, is known by its id alone.
        let target = target.or_else(|| iidfile.map(Path::to_owned));
        let depfile = match (depfile, target) {
            (Some(file), Some(target)) => Some((file, target)),
            (None, _) => None,
            (Some(_), None) => {
                return Err(Failure::Usage(
                    "a depfile is a rule for a file, and there is none: give -o a name, or --iidfile".into(),
                ));
            }
        };
        Ok(Beside { iidfile, depfile })
    }

    pub(super) fn write(&self, image: &Image, written: Option<&Written>) -> Result<(), Failure> {
        if let (Some(file), Some(written)) = (self.iidfile, written) {
            written.write_id(file)?;
        }
        if let Some((file, target)) = &self.depfile {
            // A build tool starts its commands where its names count from.
            let working = std::env::current_dir().unwrap_or_default();
            image.write_depfile(file, target, working)?;
        }
        Ok(())
    }
}
