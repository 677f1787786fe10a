//! What a process starts with besides its files: its environment, its working directory, its rights and its CPU.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::search::Place;

/// What a loader takes from a process (ld.so(8)).
#[derive(Clone, Debug, Default)]
pub(crate) struct Setting {
    /// `LD_LIBRARY_PATH`.
    pub(crate) library_path: Rc<[Place]>,
    /// `LD_PRELOAD`.
    pub(crate) preload: Vec<OsString>,
    /// `LD_AUDIT`.
    pub(crate) audit: Vec<OsString>,
    /// `None` where it is not known.
    pub(crate) working_directory: Option<PathBuf>,
    /// Whether the program gains rights by being run: `AT_SECURE` (getauxval(3)).
    pub(crate) is_secure: bool,
    pub(crate) cpu: Cpu,
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
        let directory = working_directory.unwrap_or(Path::new("/"));
        let place = |element: &[u8]| Place::fixed(in_directory(directory, OsStr::from_bytes(element)));
        Setting {
            library_path: elements(variables, "LD_LIBRARY_PATH", b":;").map(place).collect(),
            preload: names(variables, "LD_PRELOAD", b": "),
            audit: names(variables, "LD_AUDIT", b":"),
            working_directory: Some(directory.to_owned()),
            ..Setting::default()
        }
    }

    /// The same for a program that gains rights: nothing that the environment names counts, because preloaded and
    /// auditing objects would have to be setuid themselves.
    pub(crate) fn secure(&self) -> Setting {
        let (library_path, preload, audit) = Default::default();
        Setting { library_path, preload, audit, is_secure: true, ..self.clone() }
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

fn in_directory(directory: &Path, path: &OsStr) -> PathBuf {
    if path.is_empty() { directory.to_owned() } else { directory.join(path) }
}

/// The first variable of a name counts. An empty list is none; an empty element is the working directory.
fn elements<'v>(variables: &'v [String], name: &str, separators: &'v [u8]) -> impl Iterator<Item = &'v [u8]> {
    let value = variables.iter().find_map(|variable| variable.strip_prefix(name)?.strip_prefix('='));
    let value = value.filter(|value| !value.is_empty()).map(str::as_bytes);
    value.into_iter().flat_map(|value| value.split(|byte| separators.contains(byte)))
}

fn names(variables: &[String], name: &str, separators: &[u8]) -> Vec<OsString> {
    let names = elements(variables, name, separators).filter(|name| !name.is_empty());
    names.map(|name| OsString::from_vec(name.to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::Setting;
    use std::path::Path;

    fn library_path(value: &str) -> Vec<String> {
        let setting = Setting::of_image(&[format!("LD_LIBRARY_PATH={value}")], Some(Path::new("/work")));
        setting.library_path.iter().map(|place| place.spot.path.display().to_string()).collect()
    }

    #[test]
    fn relative_and_empty_elements_are_in_the_working_directory() {
        assert_eq!(library_path("/x:lib;:/y"), ["/x", "/work/lib", "/work", "/y"]);
        assert_eq!(library_path(""), [""; 0]);
    }

    #[test]
    fn preloaded_objects_are_parted_by_colons_and_spaces() {
        let setting = Setting::of_image(&["LD_PRELOAD=a.so b.so::/c.so".to_owned()], None);
        assert_eq!(setting.preload, ["a.so", "b.so", "/c.so"]);
        assert!(setting.secure().preload.is_empty());
    }
}
