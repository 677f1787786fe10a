//! What a process starts with besides its files.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;

use super::search::Place;

/// What a loader takes from the environment of a process (ld.so(8)).
#[derive(Clone, Debug, Default)]
pub(crate) struct Setting {
    /// `LD_LIBRARY_PATH`.
    pub(crate) library_path: Rc<[Place]>,
}

impl Setting {
    /// Of an image's own configuration: `NAME=VALUE` each.
    pub(crate) fn of_image(variables: &[String]) -> Setting {
        let value = variables.iter().find_map(|variable| variable.strip_prefix("LD_LIBRARY_PATH="));
        let elements = value.unwrap_or_default().as_bytes().split(|byte| matches!(byte, b':' | b';'));
        // An empty element means the working directory, where an image has no libraries.
        let elements = elements.filter(|element| !element.is_empty());
        let places = elements.map(|element| Place::fixed(PathBuf::from(OsStr::from_bytes(element))));
        Setting { library_path: places.collect() }
    }
}
