//! Names of members and links, as paths inside the tree that they are in.

use std::path::{Component, Path, PathBuf};

use crate::error::Cause;
use crate::root::PATH_MAX;
use crate::text::printable;

/// Where `path` is, seen from `directory`, with `.`, `..` and doubled slashes taken out as text. An absolute path is seen
/// from the root of the tree. None may lead out of it.
pub(super) fn inside(directory: &Path, path: &Path) -> Result<PathBuf, Cause> {
    expect_possible(path)?;
    let mut real = match path.is_absolute() {
        true => PathBuf::from("/"),
        false => directory.to_owned(),
    };
    for component in path.components() {
        match component {
            Component::Normal(name) => real.push(name),
            Component::ParentDir if !real.pop() => {
                return Err(Cause::malformed(format!("{} leads out of the image", printable(path))));
            }
            _ => {}
        }
    }
    Ok(real)
}

/// Paths that Linux cannot open are no paths.
pub(super) fn expect_possible(path: &Path) -> Result<(), Cause> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.len() > PATH_MAX {
        return Err(Cause::malformed(format!("it holds a path of {} bytes; the limit is {PATH_MAX}", bytes.len())));
    }
    match memchr::memchr(0, bytes) {
        Some(_) => Err(Cause::malformed(format!("it holds a path with a NUL: {}", printable(path)))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::inside;
    use std::path::{Path, PathBuf};

    #[test]
    fn paths_stay_inside() {
        let at = |directory: &str, path: &str| inside(Path::new(directory), Path::new(path)).ok();
        assert_eq!(at("/", "./a//b/../c/"), Some(PathBuf::from("/a/c")));
        assert_eq!(at("/x", "../y/layer.tar"), Some(PathBuf::from("/y/layer.tar")));
        assert_eq!(at("/x", "/y"), Some(PathBuf::from("/y")));
        assert_eq!(at("/", "a/../../b"), None);
        assert_eq!(at("/x", "\0"), None);
    }
}
