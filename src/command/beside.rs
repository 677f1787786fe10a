//! What `build` writes beside the image: its id, and what it hangs on.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use scratchpack::{Image, Written};

use super::Failure;
use super::output::shown;

/// Where it is written.
pub(super) struct Beside<'a> {
    iidfile: Option<&'a Path>,
    depfile: Option<&'a Path>,
    /// The file by which a build tool knows the output.
    target: Option<PathBuf>,
}

impl<'a> Beside<'a> {
    /// `target` is the file by which a build tool knows the output, if it is one.
    pub(super) fn of(
        iidfile: Option<&'a Path>,
        depfile: Option<&'a Path>,
        target: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        let beside = Beside { iidfile, depfile, target };
        if depfile.is_some() && beside.outputs().is_empty() {
            return Err(Failure::Usage(
                "a depfile is a rule for a file, and there is none: give -o a name, or --iidfile".into(),
            ));
        }
        beside.expect_different_files()?;
        iidfile.into_iter().chain(depfile).try_for_each(expect_writable)?;
        Ok(beside)
    }

    /// What is written beside the depfile. What is loaded, or goes to a pipe, is known by its id alone.
    fn outputs(&self) -> Vec<&Path> {
        self.target.as_deref().into_iter().chain(self.iidfile).collect()
    }

    fn expect_different_files(&self) -> Result<(), Failure> {
        let mut known = HashSet::new();
        let mut files = self.outputs().into_iter().chain(self.depfile);
        match files.find(|file| !known.insert(place_of(file))) {
            Some(file) => Err(Failure::Usage(format!("two outputs would be {}; give each a file", shown(file)))),
            None => Ok(()),
        }
    }

    pub(super) fn write(&self, image: &Image, written: Option<&Written>) -> Result<(), Failure> {
        if let (Some(file), Some(written)) = (self.iidfile, written) {
            image.write_id(file, written)?;
        }
        if let Some(file) = self.depfile {
            // A build tool starts its commands where its names count from.
            let working = std::env::current_dir().unwrap_or_default();
            image.write_depfile(file, &self.outputs(), working)?;
        }
        Ok(())
    }
}

/// Says before all work what would otherwise fail behind it.
fn expect_writable(file: &Path) -> Result<(), Failure> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let why = match fs::metadata(file) {
        Ok(metadata) if !metadata.is_file() => "it is no regular file, and will not be replaced",
        Err(_) if !directory.is_dir() => "there is no such directory",
        _ => return Ok(()),
    };
    Err(Failure::Failed(format!("cannot write {}: {why}", shown(file))))
}

/// The same for all names of one file.
fn place_of(file: &Path) -> PathBuf {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let unmade = || fs::canonicalize(directory).map(|directory| directory.join(file.file_name().unwrap_or_default()));
    fs::canonicalize(file).or_else(|_| unmade()).unwrap_or_else(|_| file.to_owned())
}
