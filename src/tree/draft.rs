//! A tree in the making: links first, then everything that goes through them, and every conflict on the way.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Content, Entry, Rank};
use crate::analyze::Machine;
use crate::collect::{Closure, InSystem, Item, Listed, LoaderBuild, LoaderFacts, MUSL_BUILTIN, Object, write_ld_cache};
use crate::error::Cause;
use crate::root::{FileId, MAX_LINKS, steps_to_walk};
use crate::text::printable;
use crate::trace::Rule;

/// A tree in the making. Links come first, so that whatever goes through one lands where it leads.
#[derive(Default)]
pub(super) struct Draft {
    links: BTreeMap<OsString, Entry>,
    // By bytes, in which a directory comes before what is in it.
    entries: BTreeMap<OsString, Entry>,
    conflicts: BTreeSet<String>,
}

impl Draft {
    pub(super) fn of(closures: &[Closure]) -> Draft {
        let mut draft = Draft::default();
        closures.iter().for_each(|closure| draft.add_links(closure));
        closures.iter().for_each(|closure| draft.add_rest(closure));
        draft.add_loader_files(closures);
        draft
    }

    fn add_links(&mut self, closure: &Closure) {
        for item in closure.items() {
            if let Item::Link { at, target } = item {
                let reason = format!("a symlink on the way to what {} needs", shown(closure));
                self.insert_link(Entry::new(at, Content::Link(target.clone()), reason, Rank::Frame));
            }
        }
    }

    fn insert_link(&mut self, entry: Entry) {
        match self.links.get(entry.path.as_os_str()) {
            Some(known) if !known.is_same(&entry) => self.conflict(&known.clone(), &entry),
            Some(_) => {}
            None => {
                self.links.insert(entry.path.clone().into_os_string(), entry);
            }
        }
    }

    fn add_rest(&mut self, closure: &Closure) {
        for item in closure.items() {
            match item {
                Item::Directory(at) => {
                    let reason = format!("a directory on the way to what {} needs", shown(closure));
                    self.insert(Entry::new(at, Content::Directory, reason, Rank::Frame));
                }
                Item::File { at, object } => {
                    let rank = if *object == 0 { Rank::Program } else { Rank::Library };
                    let object = closure.object(*object);
                    let content = Content::File(object.file_source().clone());
                    self.insert(Entry::new(at, content, reason(object), rank));
                }
                Item::Link { .. } => {}
            }
        }
    }

    /// What the image's loader must read to find what it would not find in its builtin directories: for glibc a cache
    /// with just those libraries, for musl a path file with just the directories that are used.
    fn add_loader_files(&mut self, closures: &[Closure]) {
        let mut caches: BTreeMap<&Path, (Machine, BTreeSet<Listed<'_>>)> = BTreeMap::new();
        let mut path_files: BTreeMap<&Path, Vec<&Path>> = BTreeMap::new();
        for (closure, loader) in closures.iter().filter_map(|closure| Some((closure, closure.loader()?))) {
            match &loader.build {
                LoaderBuild::Glibc(build) => {
                    let machine = closure.program().elf().machine();
                    let listed = self.listed(&loader.found_in_system, &build.directories);
                    caches.entry(&build.cache).or_insert((machine, BTreeSet::new())).1.extend(listed);
                }
                LoaderBuild::Musl(build) => {
                    let builtin = MUSL_BUILTIN.map(PathBuf::from);
                    if self.outside(&loader.found_in_system, &builtin).next().is_some() {
                        path_files.entry(&build.path_file).or_default().extend(directories_used(loader));
                    }
                }
            }
        }
        let caches = caches.into_iter().filter(|(_, (_, libraries))| !libraries.is_empty()).map(cache_entry);
        let written: Vec<Entry> = caches.chain(path_files.into_iter().map(path_file_entry)).collect();
        written.into_iter().for_each(|entry| self.insert(entry));
    }

    /// What a cache must list: a library that is listed is found nowhere else, so its variants are listed as well.
    fn listed<'f>(&self, found: &'f [InSystem], directories: &[PathBuf]) -> impl Iterator<Item = Listed<'f>> {
        let names: BTreeSet<&OsStr> = self.outside(found, directories).map(|found| found.name.as_os_str()).collect();
        found.iter().filter(move |found| names.contains(found.name.as_os_str())).map(|found| Listed {
            name: found.name.as_bytes(),
            path: found.path.as_os_str().as_bytes(),
            level: found.variant.as_deref().and_then(|variant| variant.strip_prefix("glibc-hwcaps/")),
        })
    }

    /// The libraries that are not the first of their names in these directories.
    fn outside<'f>(&self, found: &'f [InSystem], directories: &[PathBuf]) -> impl Iterator<Item = &'f InSystem> {
        found.iter().filter(|found| {
            let name = match &found.variant {
                Some(variant) => Path::new(variant).join(&found.name),
                None => PathBuf::from(&found.name),
            };
            let candidates = directories.iter().map(|directory| self.resolve(&directory.join(&name)));
            let first = candidates.into_iter().find(|path| self.entries.contains_key(path.as_os_str()));
            first.is_none_or(|first| first != self.resolve(&found.path))
        })
    }

    fn insert(&mut self, mut entry: Entry) {
        entry.path = match entry.content {
            Content::Directory => self.resolve(&entry.path),
            _ => self.resolve_parent(&entry.path),
        };
        if entry.path == Path::new("/") {
            return;
        }
        match self.links.get(entry.path.as_os_str()) {
            Some(link) => self.conflict(&link.clone(), &entry),
            None => self.insert_resolved(entry),
        }
    }

    fn insert_resolved(&mut self, entry: Entry) {
        match self.entries.get(entry.path.as_os_str()) {
            Some(known) if !known.is_same(&entry) => self.conflict(&known.clone(), &entry),
            // A program that is a library of another one stays a program.
            Some(known) if known.rank >= entry.rank => {}
            _ => {
                self.entries.insert(entry.path.clone().into_os_string(), entry);
            }
        }
    }

    fn conflict(&mut self, known: &Entry, new: &Entry) {
        self.conflicts.insert(format!(
            "two different things would stand at {}: {} ({}), and {} ({}); install the program elsewhere, or rename one",
            printable(&new.path),
            known.in_words(),
            known.reason,
            new.in_words(),
            new.reason,
        ));
    }

    fn resolve_parent(&self, path: &Path) -> PathBuf {
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => self.resolve(parent).join(name),
            _ => path.to_owned(),
        }
    }

    /// Where a path leads through the links of this tree.
    fn resolve(&self, path: &Path) -> PathBuf {
        if self.is_resolved(path) {
            return path.to_owned();
        }
        let mut rest: Vec<&OsStr> = steps_to_walk(path).collect();
        let mut real = PathBuf::from("/");
        let mut crossed = 0;
        while let Some(component) = rest.pop() {
            if component == ".." {
                real.pop();
                continue;
            }
            let next = real.join(component);
            match self.links.get(next.as_os_str()).map(|link| &link.content) {
                Some(Content::Link(target)) if crossed < MAX_LINKS => {
                    crossed += 1;
                    if target.is_absolute() {
                        real = PathBuf::from("/");
                    }
                    rest.extend(steps_to_walk(target));
                }
                _ => real = next,
            }
        }
        real
    }

    /// Most paths come from a walk that resolved them.
    fn is_resolved(&self, path: &Path) -> bool {
        let bytes = path.as_os_str().as_bytes();
        let ends = memchr::memchr_iter(b'/', bytes).skip(1).chain([bytes.len()]);
        let mut prefixes = ends.map(|end| OsStr::from_bytes(&bytes[..end]));
        memchr::memmem::find(bytes, b"/..").is_none() && !prefixes.any(|prefix| self.links.contains_key(prefix))
    }

    /// The entries in the order of a layer, or all conflicts at once.
    pub(super) fn finish(mut self) -> Result<Vec<Entry>, Cause> {
        for mut link in self.links.values().cloned().collect::<Vec<_>>() {
            link.path = self.resolve_parent(&link.path);
            self.insert_resolved(link);
        }
        self.add_parents();
        if !self.conflicts.is_empty() {
            return Err(Cause::Conflict(self.conflicts.into_iter().collect()));
        }
        let mut entries: Vec<Entry> = self.entries.into_values().collect();
        join_hard_links(&mut entries);
        entries.sort_by_key(|entry| entry.rank);
        Ok(entries)
    }

    fn add_parents(&mut self) {
        let mut parents: BTreeSet<OsString> = BTreeSet::new();
        for entry in self.entries.values() {
            for parent in entry.path.ancestors().skip(1) {
                // Whatever is above a directory that is known was added with it.
                if !parents.insert(parent.as_os_str().to_owned()) {
                    break;
                }
            }
        }
        for parent in parents {
            let reason = "holds what is in it".to_owned();
            self.insert(Entry::new(Path::new(&parent), Content::Directory, reason, Rank::Frame));
        }
    }
}

/// In the order of the loader's own list.
fn directories_used(loader: &LoaderFacts) -> impl Iterator<Item = &Path> {
    let used: BTreeSet<&Path> = loader.found_in_system.iter().filter_map(|found| found.path.parent()).collect();
    loader.build.directories().iter().map(PathBuf::as_path).filter(move |directory| used.contains(directory))
}

fn cache_entry((path, (machine, libraries)): (&Path, (Machine, BTreeSet<Listed<'_>>))) -> Entry {
    let libraries: Vec<_> = libraries.into_iter().collect();
    let reason = "the loader's cache, for libraries outside its builtin directories".to_owned();
    Entry::new(path, Content::Generated(write_ld_cache(&libraries, machine)), reason, Rank::Library)
}

fn path_file_entry((path, directories): (&Path, Vec<&Path>)) -> Entry {
    let mut seen = BTreeSet::new();
    let unique = directories.into_iter().filter(|directory| seen.insert(*directory));
    let lines: Vec<&[u8]> = unique.flat_map(|directory| [directory.as_os_str().as_bytes(), b"\n"]).collect();
    let reason = "the loader's path file, for libraries outside its builtin directories".to_owned();
    Entry::new(path, Content::Generated(lines.concat()), reason, Rank::Library)
}

fn reason(object: &Object) -> String {
    let by = object.needed_by().next().map(|path| printable(path).to_string()).unwrap_or_default();
    match object.found_by() {
        Rule::Requested => "the program".to_owned(),
        Rule::Interpreter => format!("the interpreter of {by}"),
        rule => format!("{} needed by {by}, found by {}", printable(object.name()), rule.code()),
    }
}

fn shown(closure: &Closure) -> String {
    printable(closure.program().path()).to_string()
}

/// Names of one file become hard links to the bytewise first. All of them go where the last of them belongs, for the
/// first must come before the others.
fn join_hard_links(entries: &mut [Entry]) {
    let mut names: HashMap<FileId, Vec<usize>> = HashMap::new();
    for (index, entry) in entries.iter().enumerate() {
        if let Content::File(source) = &entry.content {
            names.entry(source.stamp.id).or_default().push(index);
        }
    }
    for names in names.into_values().filter(|names| names.len() > 1) {
        let first = entries[names[0]].path.clone();
        let rank = names.iter().map(|&name| entries[name].rank).max().unwrap_or(Rank::Library);
        names.iter().for_each(|&name| entries[name].rank = rank);
        names[1..].iter().for_each(|&name| entries[name].content = Content::HardLink(first.clone()));
    }
}
