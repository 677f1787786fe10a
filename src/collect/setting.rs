//! What a process starts with besides its files: its environment, its working directory, its rights and its CPU.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::glob;
use super::process::Asked;
use super::search::Place;
use crate::analyze::Priority;
use crate::root::FileId;

/// What a loader takes from a process (ld.so(8)).
#[derive(Clone, Debug, Default)]
pub(crate) struct Setting {
    /// Directories that the caller names, in the place of `LD_LIBRARY_PATH`.
    pub(crate) library_path: Arc<[Place]>,
    /// `LD_LIBRARY_PATH` as it stands in the environment.
    pub(crate) environment_path: OsString,
    /// `LD_PRELOAD`.
    pub(crate) preload: Vec<OsString>,
    /// `LD_AUDIT`.
    pub(crate) audit: Vec<OsString>,
    /// `None` where it is not known.
    pub(crate) working_directory: Option<PathBuf>,
    /// Whether the program gains rights by being run: `AT_SECURE` (getauxval(3)).
    pub(crate) is_secure: bool,
    pub(crate) cpu: Cpu,
    pub(crate) by_itself: Arc<ByItself>,
    /// Patterns for names that are not looked up.
    pub(crate) exclude: Arc<[Vec<u8>]>,
}

/// What a program loads by name while it runs, as far as anyone knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByItself {
    /// The least priority of the dlopen notes that count. `None` where only what it starts with matters.
    pub(crate) least: Option<Priority>,
    /// What the caller says that it loads.
    pub(crate) libraries: Vec<Library>,
    /// What it gets on without, by the file that asks.
    pub(crate) without: Vec<(FileId, Asked)>,
}

/// A library that is loaded by name.
#[derive(Clone, Debug)]
pub(crate) struct Library {
    /// As the program would ask for it.
    pub(crate) name: OsString,
    /// Where it is, if no search of the program's loader finds it.
    pub(crate) place: Option<Place>,
    /// Whether it is an error if it cannot be loaded.
    pub(crate) is_required: bool,
}

impl Library {
    pub(crate) fn of_name(name: &OsStr) -> Library {
        Library { name: name.to_owned(), place: None, is_required: true }
    }

    /// One that the program gets on without.
    pub(crate) fn optional(name: &OsStr) -> Library {
        Library { is_required: false, ..Library::of_name(name) }
    }
}

/// What a loader makes of the CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cpu {
    /// What `$PLATFORM` stands for; the first that the machine can have where it is not told.
    pub(crate) platform: Option<&'static str>,
    /// The subdirectories of glibc-hwcaps that are searched, the best first.
    pub(crate) levels: &'static [&'static str],
}

impl Setting {
    /// Of an image's own configuration: `NAME=VALUE` each, and its working directory, which is `/` by default.
    pub(crate) fn of_image(variables: &[String], working_directory: Option<&Path>) -> Setting {
        Setting {
            environment_path: value(variables, "LD_LIBRARY_PATH").into(),
            preload: names(value(variables, "LD_PRELOAD"), b": "),
            audit: names(value(variables, "LD_AUDIT"), b":"),
            working_directory: Some(working_directory.unwrap_or(Path::new("/")).to_owned()),
            ..Setting::default()
        }
    }

    /// The same for a program that gains rights: nothing that the environment names counts, because preloaded and
    /// auditing objects would have to be setuid themselves.
    pub(crate) fn secure(&self) -> Setting {
        let (environment_path, preload, audit) = Default::default();
        Setting { environment_path, preload, audit, is_secure: true, ..self.clone() }
    }

    /// Whether a name is not to be looked up.
    pub(crate) fn excludes(&self, name: &OsStr) -> bool {
        self.exclude.iter().any(|pattern| excludes(pattern, name))
    }

    /// The same in a file tree where `/etc/ld.so.preload` holds `list`.
    pub(crate) fn with_system_preload(&self, list: &[u8]) -> Setting {
        Setting { preload: self.preload.iter().cloned().chain(preloaded(list)).collect(), ..self.clone() }
    }

    /// The same for a program that loads this while it runs, and to which others provide that.
    pub(crate) fn with(&self, by_itself: Arc<ByItself>, exclude: Arc<[Vec<u8>]>) -> Setting {
        Setting { by_itself, exclude, ..self.clone() }
    }

    /// The same on a CPU of this kind.
    pub(crate) fn on(&self, cpu: &Cpu) -> Setting {
        Setting { cpu: cpu.clone(), ..self.clone() }
    }

    /// Where a path leads; a relative one only where the working directory is known.
    pub(crate) fn absolute(&self, path: &OsStr) -> Option<PathBuf> {
        match Path::new(path).is_absolute() {
            true => Some(PathBuf::from(path)),
            false => self.working_directory.as_deref().map(|directory| in_directory(directory, path)),
        }
    }
}

/// Whether a pattern is for a name: one with a slash is for the whole of it, another for its file name.
pub(crate) fn excludes(pattern: &[u8], name: &OsStr) -> bool {
    let whole = name.as_bytes();
    let file = whole.rsplit(|&byte| byte == b'/').next().unwrap_or(whole);
    glob::matches(pattern, if pattern.contains(&b'/') { whole } else { file })
}

fn in_directory(directory: &Path, path: &OsStr) -> PathBuf {
    if path.is_empty() { directory.to_owned() } else { directory.join(path) }
}

/// Of variables of one name the last counts to glibc's loader.
fn value<'v>(variables: &'v [String], name: &str) -> &'v str {
    let mut values = variables.iter().rev().filter_map(|variable| variable.strip_prefix(name)?.strip_prefix('='));
    values.next().unwrap_or_default()
}

/// What glibc's loader is told to load into every program, beside what the environment says (ld.so(8)).
pub(crate) const SYSTEM_PRELOAD: &str = "/etc/ld.so.preload";

/// The names in such a file: `#` begins a comment, and white space and colons part them.
pub(crate) fn preloaded(list: &[u8]) -> Vec<OsString> {
    let lines = list.split(|&byte| byte == b'\n');
    let lines = lines.map(|line| line.split(|&byte| byte == b'#').next().unwrap_or_default());
    let names = lines.flat_map(|line| line.split(|byte| b" \t\r:".contains(byte)));
    names.filter(|name| !name.is_empty()).map(|name| OsString::from_vec(name.to_vec())).collect()
}

fn names(list: &str, separators: &[u8]) -> Vec<OsString> {
    let names = list.as_bytes().split(|byte| separators.contains(byte)).filter(|name| !name.is_empty());
    names.map(|name| OsString::from_vec(name.to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::Setting;
    use std::path::{Path, PathBuf};

    #[test]
    fn relative_paths_are_in_the_working_directory() {
        let setting = Setting::of_image(&[], Some(Path::new("/work")));
        let absolute = |path: &str| setting.absolute(path.as_ref()).unwrap();
        assert_eq!([absolute("lib"), absolute(""), absolute("/x")], ["/work/lib", "/work", "/x"].map(PathBuf::from));
        assert_eq!(Setting::default().absolute("lib".as_ref()), None);
    }

    #[test]
    fn preloaded_objects_are_parted_by_colons_and_spaces() {
        let setting = Setting::of_image(&["LD_PRELOAD=a.so b.so::/c.so".to_owned()], None);
        assert_eq!(setting.preload, ["a.so", "b.so", "/c.so"]);
        assert!(setting.secure().preload.is_empty());
    }
}
