//! Which paths an image can have.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use crate::root::{NAME_MAX, PATH_MAX};

/// How the names of whiteouts begin: members of a layer that are no files, but hide those of the layers below (OCI image
/// spec, "Image Layer Filesystem Changeset").
const WHITEOUT: &[u8] = b".wh.";

/// Why no image can hold something at `path`, which is absolute; in words that say what to do.
pub(crate) fn impossible(path: &Path) -> Option<&'static str> {
    let is_plain = |component| matches!(component, Component::RootDir | Component::Normal(_));
    let mut names = path.as_os_str().as_bytes().split(|&byte| byte == b'/');
    if !path.is_absolute() {
        Some("the path must be absolute: let it begin with `/`")
    } else if !path.components().all(is_plain) {
        Some("the path must have no `..`")
    } else if let Some(why) = unopenable(path) {
        Some(why)
    } else if names.clone().any(|name| name.len() > NAME_MAX) {
        Some("Linux has no file names of more than 255 bytes; give it a shorter one")
    } else if names.any(|name| name.starts_with(WHITEOUT)) {
        Some(
            "in a layer, a name that begins with `.wh.` is no file but a whiteout, which hides files of other layers; give \
             it another name",
        )
    } else {
        None
    }
}

/// Why nothing can be opened by a path, or by a symlink with this target (path_resolution(7)).
pub(crate) fn unopenable(path: &Path) -> Option<&'static str> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.contains(&0) {
        Some("a path has no NUL")
    } else if bytes.len() >= PATH_MAX {
        Some("Linux opens no path of more than 4,095 bytes; give it a shorter one")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use super::impossible;

    #[test]
    fn a_path_is_possible_if_linux_opens_it_and_layers_can_have_it() {
        let long = |bytes: usize| format!("/{}", "x".repeat(bytes));
        let deep = |bytes: usize| format!("/{}", "x/".repeat(bytes)[..bytes - 1].to_owned());
        for path in ["/a", "/a/.wh", "/a.wh.b", "/.whx", "/a b ", "/\\", "/12 path=x\n", &long(255), &deep(4_095)] {
            assert_eq!(impossible(Path::new(path)), None, "{path:?}");
        }
        assert_eq!(impossible(Path::new(OsStr::from_bytes(b"/\xff\n\x1b"))), None);
        for (path, words) in [
            ("a", "absolute"),
            ("/a/../b", "`..`"),
            ("/.wh.a", "whiteout"),
            ("/.wh..wh..opq", "whiteout"),
            ("/a/.wh./b", "whiteout"),
            ("/a\0b", "NUL"),
            (&long(256), "255"),
            (&deep(4_096), "4,095"),
            (&format!("/{}/..", "x/".repeat(100)), "`..`"),
        ] {
            assert!(impossible(Path::new(path)).is_some_and(|why| why.contains(words)), "{path:?}");
        }
    }
}
