//! What `build` writes beside the image: its id, what it hangs on, its lock, and its bills of materials.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use scratchpack::{Image, SbomFormat, Written};

use super::Failure;
use super::args::Build;
use super::output::shown;
use super::unbuilt::is_unbuilt;

/// Where it is written.
pub(super) struct Beside<'a> {
    iidfile: Option<&'a Path>,
    depfile: Option<&'a Path>,
    bills: Vec<(&'a Path, SbomFormat)>,
    lock: Option<&'a Path>,
    /// What is read, and must not be written.
    locked: Option<&'a Path>,
    /// The file by which a build tool knows the output.
    target: Option<PathBuf>,
}

impl<'a> Beside<'a> {
    /// `target` is the file by which a build tool knows the output, if it is one.
    pub(super) fn of(build: &'a Build, target: Option<PathBuf>) -> Result<Self, Failure> {
        let bills =
            build.sbom.iter().map(|file| Ok((file.as_path(), form_of(file)?))).collect::<Result<_, Failure>>()?;
        let beside = Beside {
            iidfile: build.iidfile.as_deref(),
            depfile: build.depfile.as_deref(),
            bills,
            lock: build.lock.as_deref(),
            locked: build.locked.as_deref(),
            target,
        };
        beside.expect_one_use_of_a_lock()?;
        if beside.depfile.is_some() && beside.target.is_none() && beside.iidfile.is_none() {
            return Err(Failure::Usage(
                "a depfile is a rule for a file, and there is none: give -o a name, or --iidfile".into(),
            ));
        }
        beside.expect_different_files()?;
        let image = beside.target.as_deref().filter(|target| build.output.as_deref() == Some(*target));
        beside.all().try_for_each(|file| expect_no_stream(file, image == Some(file)))?;
        beside.files().try_for_each(|file| if is_unbuilt(build, file) { Ok(()) } else { expect_writable(file) })?;
        Ok(beside)
    }

    /// All that is written but the depfile. What is loaded, or goes to a pipe, is known by its id alone.
    fn outputs(&self) -> Vec<&Path> {
        self.target.as_deref().into_iter().chain(self.told()).collect()
    }

    /// What tells of the image.
    fn told(&self) -> impl Iterator<Item = &'a Path> {
        self.iidfile.into_iter().chain(self.lock).chain(self.bills.iter().map(|(file, _)| *file))
    }

    /// The image's file as well.
    fn all(&self) -> impl Iterator<Item = &Path> {
        self.target.as_deref().into_iter().chain(self.files())
    }

    /// All that is written beside the image.
    fn files(&self) -> impl Iterator<Item = &'a Path> {
        self.told().chain(self.depfile)
    }

    /// What is compared with a file must not write it.
    fn expect_one_use_of_a_lock(&self) -> Result<(), Failure> {
        let Some(locked) = self.locked else { return Ok(()) };
        if self.lock.is_some_and(|lock| place_of(lock) == place_of(locked)) {
            return Err(Failure::Usage(format!(
                "--lock would write what --locked compares with, so that {} would accept every change; give --locked to \
                 hold the image to it, or --lock to accept what changed",
                shown(locked)
            )));
        }
        match self.all().any(|file| place_of(file) == place_of(locked)) {
            true => {
                Err(Failure::Usage(format!("{} is the lock, and would be written; give another name", shown(locked))))
            }
            false => Ok(()),
        }
    }

    fn expect_different_files(&self) -> Result<(), Failure> {
        let mut known = HashSet::new();
        match self.all().find(|file| !known.insert(place_of(file))) {
            Some(file) => Err(Failure::Usage(format!("two outputs would be {}; give each a file", shown(file)))),
            None => Ok(()),
        }
    }

    /// Says before the image is written which of these files would be refused behind it.
    pub(super) fn expect_no_input(&self, image: &Image) -> Result<(), Failure> {
        let files: Vec<&Path> = self.files().collect();
        // To know the inputs takes time and handles.
        let inputs: HashSet<PathBuf> = if files.is_empty() { HashSet::new() } else { image.inputs().collect() };
        match files.into_iter().find(|file| inputs.contains(&place_of(file))) {
            Some(file) => Err(unwritable(file, "the image is made of it, or by what it says; give another name")),
            None => Ok(()),
        }
    }

    /// All of it tells of the image, so not before that is there.
    pub(super) fn write_behind(&self, image: &Image, written: Option<&Written>) -> Result<(), Failure> {
        self.bills.iter().try_for_each(|(file, format)| image.write_sbom(file, *format))?;
        self.lock.map_or(Ok(()), |file| image.write_lock(file))?;
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

fn form_of(file: &Path) -> Result<SbomFormat, Failure> {
    SbomFormat::of_name(file).ok_or_else(|| {
        Failure::Usage(format!(
            "--sbom {} tells no format; let its name end in .spdx.json for SPDX, or in .cdx.json for CycloneDX",
            shown(file)
        ))
    })
}

/// Says before all work what would otherwise fail behind it.
pub(super) fn expect_writable(file: &Path) -> Result<(), Failure> {
    let why = match fs::metadata(file) {
        Ok(known) if known.is_dir() => "it is a directory; give a file name",
        Ok(known) if !known.is_file() => "it is no regular file, and will not be replaced; give another name",
        Ok(_) => return Ok(()),
        Err(_) if file.file_name().is_none() || file.as_os_str().as_bytes().ends_with(b"/") => {
            "it is no file name; leave out what follows the last slash, and the slash"
        }
        Err(error) if is_loop(&error) => LOOP,
        Err(_) => return expect_directory_of(file),
    };
    Err(unwritable(file, why))
}

/// The same of what will be a directory.
pub(super) fn expect_directory_to_be(path: &Path) -> Result<(), Failure> {
    match fs::metadata(path) {
        Ok(known) if !known.is_dir() => Err(unwritable(path, "it is no directory; remove it, or give a new name")),
        Err(error) if is_loop(&error) => Err(unwritable(path, LOOP)),
        _ => expect_directory_of(path),
    }
}

const LOOP: &str = "its symlinks lead nowhere but to each other; remove them, or give another name";

fn is_loop(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::LOOP)
}

/// What is there, or a link to somewhere, has one. What keeps others from being looked at, who writes there will tell.
pub(super) fn expect_directory_of(file: &Path) -> Result<(), Failure> {
    let is_none = match fs::metadata(directory_of(file)) {
        Ok(known) => !known.is_dir(),
        Err(error) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
    };
    match is_none && fs::symlink_metadata(file).is_err() {
        true => Err(unwritable(file, "there is no such directory; make it first")),
        false => Ok(()),
    }
}

pub(super) fn unwritable(path: &Path, why: &str) -> Failure {
    Failure::Failed(format!("cannot write {}: {why}", shown(path)))
}

/// A file to which standard output or error is redirected: another would stand at its name, and what is said be lost.
fn expect_no_stream(file: &Path, is_image: bool) -> Result<(), Failure> {
    let Some(place) = fs::metadata(file).ok().filter(Metadata::is_file).map(|known| (known.dev(), known.ino())) else {
        return Ok(());
    };
    let why = match () {
        _ if is_at(place, &io::stdout()) && is_image => "standard output goes there; -o - writes the image to it",
        _ if is_at(place, &io::stdout()) => "standard output goes there",
        _ if is_at(place, &io::stderr()) => "standard error goes there",
        _ => return Ok(()),
    };
    Err(Failure::Usage(format!("{} would be replaced, and {why}; give another name", shown(file))))
}

fn is_at(place: (u64, u64), stream: &impl AsFd) -> bool {
    let known = stream.as_fd().try_clone_to_owned().and_then(|stream| File::from(stream).metadata());
    known.is_ok_and(|known| (known.dev(), known.ino()) == place)
}

/// The same for all names of one file, which need not be there yet.
fn place_of(file: &Path) -> PathBuf {
    let file = end_of_links(file);
    let unmade =
        || fs::canonicalize(directory_of(&file)).map(|directory| directory.join(file.file_name().unwrap_or_default()));
    fs::canonicalize(&file).or_else(|_| unmade()).unwrap_or_else(|_| file.clone())
}

/// Where symlinks lead, be there something or not.
fn end_of_links(file: &Path) -> PathBuf {
    // As many as Linux follows (path_resolution(7)).
    const MOST: usize = 40;
    let next = |path: &PathBuf| Some(directory_of(path).join(fs::read_link(path).ok()?));
    std::iter::successors(Some(file.to_owned()), next).take(MOST + 1).last().unwrap_or_else(|| file.to_owned())
}

fn directory_of(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
