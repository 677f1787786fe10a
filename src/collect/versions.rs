//! Whether what was loaded defines the versions that are needed of it (`_dl_check_all_versions` in glibc).

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ffi::OsStr;

use super::loader::GlibcBuild;
use super::process::{Loaded, Loading, NotFound};
use crate::analyze::VersionNeed;
use crate::text::printable;

/// By this version an object says that its loader must know `DT_RELR`.
const RELR_MARKER: &str = "GLIBC_ABI_DT_RELR";

/// What these objects need in vain, each with the one that needs it.
pub(super) fn problems(loading: &Loading, members: &[usize], build: &GlibcBuild) -> Vec<(usize, NotFound)> {
    let names = OnceCell::new();
    let mut problems = Vec::new();
    for &index in members {
        let object = &loading.objects[index];
        let needs = object.elf.needed_versions();
        let unmet = needs.filter_map(|need| {
            // Nearly always it is one that the object itself asked for.
            let own = object.requests.iter().find(|request| request.name == need.file()).and_then(|own| own.object);
            let all = || names.get_or_init(|| names_of(loading, members)).get(need.file()).copied();
            unmet(loading, own.or_else(all), &need)
        });
        problems.extend(unmet.chain(relr_problem(object, build)).map(|problem| (index, problem)));
    }
    problems
}

/// Every name by which an object was asked for or opened.
fn names_of<'l>(loading: &'l Loading, members: &[usize]) -> HashMap<&'l OsStr, usize> {
    let mut names = HashMap::new();
    for &index in members {
        let object = &loading.objects[index];
        for name in [object.name.as_os_str(), object.place.spot.path.as_os_str()] {
            names.entry(name).or_insert(index);
        }
        for request in &object.requests {
            if let Some(target) = request.object {
                names.entry(&request.name).or_insert(target);
            }
        }
    }
    names
}

fn unmet(loading: &Loading, provider: Option<usize>, need: &VersionNeed<'_>) -> Option<NotFound> {
    let Some(provider) = provider else {
        // What was not found has no versions to look at.
        let is_missing = loading.not_found.iter().any(|missing| missing.name == need.file())
            || loading.excluded.iter().any(|(_, name)| name == need.file());
        return (!is_missing).then(|| not_found(need, "but nothing loads that file; link the program anew".to_owned()));
    };
    let provider = &loading.objects[provider];
    if need.is_weak() || provider.elf.provides(need.version) {
        return None;
    }
    let note = format!(
        "which was not found in {}{}; pack with a library that has it, or link against this one",
        printable(&provider.place.spot.path),
        newest(provider)
    );
    Some(not_found(need, note))
}

/// The last version of the kind that a library counts up, for whoever wonders how old it is.
fn newest(provider: &Loaded) -> String {
    let last = provider.elf.defined_versions().and_then(Iterator::last);
    last.map_or_else(String::new, |last| format!(", whose last version is {}", printable(last)))
}

/// From 2.36 on the loader wants to be told (`_dl_check_map_versions`).
fn relr_problem(object: &Loaded, build: &GlibcBuild) -> Option<NotFound> {
    let needs = object.elf.needed_versions();
    let mut of_libc = needs.filter(|need| need.file().as_encoded_bytes().starts_with(b"libc.so.")).peekable();
    let is_wrong = build.wants_relr_marker
        && object.elf.has_relr()
        && of_libc.peek().is_some()
        && !of_libc.any(|need| need.version() == RELR_MARKER);
    is_wrong.then(|| NotFound {
        name: "libc.so.6".into(),
        version: Some(RELR_MARKER.into()),
        needed_by: Vec::new(),
        tried: Vec::new(),
        note: Some(format!(
            "because {} has DT_RELR, but does not say so, and the loader refuses that; link it with a linker that adds \
             the version, or without -z pack-relative-relocs",
            printable(&object.place.spot.path)
        )),
    })
}

fn not_found(need: &VersionNeed<'_>, note: String) -> NotFound {
    NotFound {
        name: need.file().to_owned(),
        version: Some(need.version().to_owned()),
        needed_by: Vec::new(),
        tried: Vec::new(),
        note: Some(note),
    }
}
