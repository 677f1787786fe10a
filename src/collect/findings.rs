//! What is to be said of a closure that is complete all the same.

use std::path::PathBuf;

use super::loader::LoaderBuild;
use super::place::Layout;
use super::process::{Loaded, Loading};
use super::search::Anchor;
use crate::finding::Finding;
use crate::text::printable;
use crate::trace::Rule;

/// Directories in which a system or a package keeps its libraries. A path elsewhere, which the loader must open, is
/// likely to be the place where something was built.
const SYSTEM_DIRECTORIES: [&str; 9] =
    ["/lib", "/lib32", "/lib64", "/libx32", "/usr", "/opt", "/nix/store", "/gnu/store", "/emul"];

pub(super) fn findings(loading: &Loading, layout: &Layout, build: Option<&LoaderBuild>) -> Vec<Finding> {
    let builtin = build.map(LoaderBuild::directories).unwrap_or_default();
    let build_paths = loading.objects.iter().skip(1).filter_map(|object| build_path(object, builtin));
    let relative = loading.relative.iter().map(|relative| {
        let owner = printable(&layout.paths[relative.owner]).to_string();
        let element = printable(&relative.element).to_string();
        Finding::warning(
            "relative-path",
            format!(
                "{owner} looks for libraries in `{element}`, which means the working directory; nothing was looked up \
                 there. Link it with absolute directories or $ORIGIN"
            ),
            format_args!("{} of {owner}: {element}", relative.rule.code()),
        )
    });
    build_paths.chain(relative).collect()
}

fn build_path(object: &Loaded, builtin: &[PathBuf]) -> Option<Finding> {
    let path = &object.place.spot.path;
    if object.place.anchor != Anchor::Fixed {
        return None;
    }
    let is_of_system = SYSTEM_DIRECTORIES.iter().any(|directory| path.starts_with(directory))
        || builtin.iter().any(|directory| path.starts_with(directory));
    if is_of_system {
        return None;
    }
    let shown = printable(path).to_string();
    Some(Finding::warning(
        "build-path",
        format!(
            "the image must hold {shown} at that very path, because {} names it; {} to keep this machine's \
             directories out of the image",
            match object.rule {
                Rule::Rpath => "an RPATH",
                Rule::Runpath => "a RUNPATH",
                Rule::Interpreter => "the program's PT_INTERP",
                Rule::Path => "a DT_NEEDED entry",
                _ => "the system's list of libraries",
            },
            match object.rule {
                Rule::Interpreter => "link with another --dynamic-linker",
                Rule::Rpath | Rule::Runpath | Rule::Path => "link with $ORIGIN",
                _ => "install it in a directory of the system, or give its directory as library path",
            }
        ),
        shown,
    ))
}
