//! What is to be said of a closure that is complete all the same.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::cache::UnbuiltCache;
use super::loader::LoaderBuild;
use super::place::Layout;
use super::process::{Asked, Ignored, Loaded, Loading, PROGRAM};
use super::search::Anchor;
use super::setting::Cpu;
use crate::analyze::Priority;
use crate::error::Error;
use crate::finding::Finding;
use crate::text::printable;
use crate::trace::Rule;

/// Directories in which a system or a package keeps its libraries. A path elsewhere, which the loader must open, is
/// likely to be the place where something was built.
const SYSTEM_DIRECTORIES: [&str; 9] =
    ["/lib", "/lib32", "/lib64", "/libx32", "/usr", "/opt", "/nix/store", "/gnu/store", "/emul"];

pub(super) fn is_of_system(path: &Path) -> bool {
    SYSTEM_DIRECTORIES.iter().any(|directory| path.starts_with(directory))
}

pub(super) fn of(loading: &Loading, layout: &Layout, build: Option<&LoaderBuild>, least: Priority) -> Vec<Finding> {
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
    let variants = loading.objects.iter().enumerate().filter_map(|(index, object)| variant(object, index, layout));
    let program = layout.paths[PROGRAM].as_path();
    let ignored = loading.ignored.iter().map(|ignored| ignored_object(ignored, program));
    let notes = notes_below(loading, layout, least);
    build_paths.chain(relative).chain(variants).chain(ignored).chain(unloaded(loading, layout)).chain(notes).collect()
}

/// A preloaded or auditing object that the loader goes without.
pub(super) fn ignored_object(ignored: &Ignored, program: &Path) -> Finding {
    let name = printable(&ignored.name).to_string();
    let missing: Vec<String> = ignored.not_found.iter().map(|missing| printable(&missing.name).to_string()).collect();
    let what = if missing == [name.clone()] { "it".to_owned() } else { missing.join(", ") };
    Finding::warning(
        "not-loaded",
        format!(
            "{} names {name} for {}, and {what} was not found for the image; the loader goes on without it. An image \
             holds what its programs need by themselves: link with it, or do not name it",
            ignored.asked_by,
            printable(program),
        ),
        format_args!("{}: {name}", ignored.asked_by),
    )
}

/// What could not be loaded of that which is loaded while it runs.
fn unloaded(loading: &Loading, layout: &Layout) -> impl Iterator<Item = Finding> {
    let files = if loading.unloaded.is_empty() { HashMap::new() } else { loading.files() };
    loading.unloaded.iter().filter_map(move |unloaded| {
        let path = printable(&layout.paths[*files.get(&unloaded.by)?]).to_string();
        let name = printable(&unloaded.name).to_string();
        let what = if unloaded.is_incomplete { "not all that it needs was found" } else { "it was not found" };
        Some(match unloaded.asked {
            Asked::Symbol(0) => Finding::warning(
                "libgcc",
                format!(
                    "{path} ends threads or looks at its own stack, for which the C library loads {name}, and {what}: \
                     it will abort there. Install the library (of GCC), or give its directory as library path"
                ),
                &path,
            ),
            Asked::Symbol(_) => Finding::warning(
                "nss-modules",
                format!(
                    "{path} looks up names of users, hosts or services, for which this C library loads {name}, and \
                     {what}: it will find none. Install the C library in full"
                ),
                &path,
            ),
            Asked::Note(_) => Finding::note(
                "dlopen",
                format!("a library that {path} would load, if it were there ({name}: {what} on this machine)"),
                format_args!(".note.dlopen of {path}"),
            ),
            _ => Finding::note(
                "dlopen",
                format!("a library that {path} could load ({name}: {what} on this machine)"),
                format_args!("`{name}` in {path}"),
            ),
        })
    })
}

/// What notes name that is of less priority than what was asked for.
fn notes_below(loading: &Loading, layout: &Layout, least: Priority) -> impl Iterator<Item = Finding> {
    loading.objects.iter().zip(&layout.paths).filter_map(move |(object, path)| {
        let below = object.elf.dlopen_notes().iter().filter(|note| note.priority() > least);
        let names: Vec<String> = below.filter_map(|note| Some(printable(note.sonames().next()?).to_string())).collect();
        if names.is_empty() {
            return None;
        }
        let path = printable(path).to_string();
        let message = format!("libraries that {path} can do without ({}; --dlopen suggested)", names.join(", "));
        Some(Finding::note("dlopen", message, format_args!(".note.dlopen of {path}")))
    })
}

/// A library that is there for some CPUs only.
fn variant(object: &Loaded, index: usize, layout: &Layout) -> Option<Finding> {
    let variant = object.variant.as_deref().filter(|_| object.is_only_variant)?;
    let path = printable(&layout.paths[index]).to_string();
    let level = variant.strip_prefix("glibc-hwcaps/").unwrap_or(variant);
    Some(Finding::warning(
        "cpu-level",
        format!(
            "{} is there for CPUs of level {level} only, at {path}; on others the program does not start. Install the \
             library for all CPUs as well, beside the directory {variant}",
            printable(&object.name),
        ),
        path,
    ))
}

/// What `$PLATFORM` stands for differs from CPU to CPU.
pub(super) fn platform(program: &Path, starts_on: &[Cpu], all: &[Cpu]) -> Finding {
    let names = |cpus: &[Cpu]| cpus.iter().filter_map(|cpu| cpu.platform).collect::<Vec<_>>().join(", ");
    Finding::warning(
        "cpu-platform",
        format!(
            "where {} looks for libraries depends on the CPU that runs the image: $PLATFORM can be {}, and what it needs \
             was found for {}. Link without $PLATFORM, or install the libraries for each",
            printable(program),
            names(all),
            names(starts_on),
        ),
        "$PLATFORM",
    )
}

/// A program that loads no libraries, and the caller says that it does.
pub(super) fn static_program(program: &Path, libraries: &[PathBuf]) -> Finding {
    let names: Vec<String> = libraries.iter().map(|name| printable(name).to_string()).collect();
    let program = printable(program).to_string();
    Finding::warning(
        "dlopen",
        format!("{program} is static and loads no libraries, so that {} does not come with it", names.join(", ")),
        &program,
    )
}

/// What this machine loads into every process, and an image does not.
pub(super) fn system_preload(names: &str) -> Finding {
    Finding::warning(
        "system-preload",
        format!(
            "/etc/ld.so.preload has {} loaded into every program of this system; the image has neither that file nor \
             what it names. Link the program with it if it needs it",
            names
        ),
        "/etc/ld.so.preload",
    )
}

/// What could not be read that may tell of needs.
pub(super) fn unread(fault: &Error) -> Finding {
    let path = fault.path().map(|path| printable(path).to_string()).unwrap_or_default();
    Finding::warning("unread", format!("not all is known of what the program needs while it runs: {fault}"), path)
}

fn build_path(object: &Loaded, builtin: &[PathBuf]) -> Option<Finding> {
    let path = &object.place.spot.path;
    if object.place.anchor != Anchor::Fixed {
        return None;
    }
    if is_of_system(path) || builtin.iter().any(|directory| path.starts_with(directory)) {
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
                Rule::Path => "a DT_NEEDED entry, or the program itself,",
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

/// What was worked out in the place of an ld.so.cache that is not there, if anything in the image comes of it.
pub(super) fn no_cache(loading: &Loading, cache: &UnbuiltCache<'_>) -> Option<Finding> {
    let requests = loading.objects.iter().flat_map(|object| &object.requests);
    let found = requests.filter(|request| request.rule == Rule::Cache);
    let found: BTreeSet<String> = found.map(|request| printable(&request.name).to_string()).collect();
    let found = found.into_iter().collect::<Vec<_>>().join(", ");
    let problems = cache.problems().join("; ");
    let what = match (found.as_str(), problems.as_str()) {
        ("", "") => return None,
        ("", problems) => format!("could not be worked out in full from its ld.so.conf: {problems}"),
        (found, "") => format!("was worked out from its ld.so.conf: {found}. The image has a cache with them"),
        (found, problems) => format!(
            "was worked out from its ld.so.conf: {found}. The image has a cache with them. But not in full: {problems}"
        ),
    };
    Some(Finding::warning(
        "no-cache",
        format!("the sysroot has no ld.so.cache that its loader reads; what ldconfig would put there {what}. {REMEDY}"),
        format_args!("{}: {found}", printable(cache.path())),
    ))
}

const REMEDY: &str = "Run ldconfig -r on the sysroot to have one";
