//! A tree in the making: links first, then everything that goes through them, and every conflict on the way.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Content, Entry, Rank, Say, Settled};
use crate::analyze::Machine;
use crate::collect::{
    Closure, Extra, ExtraContent, InSystem, Item, Listed, LoaderBuild, LoaderFacts, MUSL_BUILTIN, Object, Origin,
    write_ld_cache,
};
use crate::error::Cause;
use crate::need::Need;
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
    pub(super) fn of(closures: &[Closure], given: &[Extra]) -> Draft {
        let mut draft = Draft::default();
        let (links, others): (Vec<&Extra>, Vec<&Extra>) =
            extras(closures, given).into_iter().partition(|extra| matches!(extra.content, ExtraContent::Link(_)));
        closures.iter().for_each(|closure| draft.add_links(closure));
        links.into_iter().for_each(|extra| draft.add_extra_link(extra));
        closures.iter().for_each(|closure| draft.add_rest(closure));
        others.into_iter().for_each(|extra| draft.insert(extra_entry(extra)));
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

    /// Links on the way to objects stand at real paths; one that is given may lie behind another.
    fn add_extra_link(&mut self, extra: &Extra) {
        let mut entry = extra_entry(extra);
        entry.path = self.resolve_parent(&entry.path);
        self.insert_link(entry);
    }

    fn insert_link(&mut self, entry: Entry) {
        match self.links.get(entry.path.as_os_str()).map(|known| (known.settle(&entry), known)) {
            Some((Settled::Conflict, known)) => self.conflict(&known.clone(), &entry),
            Some((Settled::Known, _)) => {}
            Some((Settled::New, _)) | None => {
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
                    self.insert(Entry::new(at, content, reason(closure, object), rank));
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
        match self.links.get(entry.path.as_os_str()).map(|link| (link.settle(&entry), link)) {
            Some((Settled::Known, _)) => {}
            Some((_, link)) => self.conflict(&link.clone(), &entry),
            None => self.insert_resolved(entry),
        }
    }

    fn insert_resolved(&mut self, entry: Entry) {
        match self.entries.get(entry.path.as_os_str()).map(|known| (known.settle(&entry), known)) {
            Some((Settled::Conflict, known)) => self.conflict(&known.clone(), &entry),
            Some((Settled::Known, _)) => {}
            Some((Settled::New, _)) | None => {
                self.entries.insert(entry.path.clone().into_os_string(), entry);
            }
        }
    }

    fn conflict(&mut self, known: &Entry, new: &Entry) {
        self.conflicts.insert(format!(
            "two different things would stand at {}: {} ({}), and {} ({}); {}",
            printable(&new.path),
            known.in_words(),
            known.reason,
            new.in_words(),
            new.reason,
            remedy(known, new),
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
    pub(super) fn finish(mut self, keeps_setuid: bool) -> Result<Vec<Entry>, Cause> {
        for mut link in self.links.values().cloned().collect::<Vec<_>>() {
            link.path = self.resolve_parent(&link.path);
            self.insert_resolved(link);
        }
        self.add_parents();
        if !self.conflicts.is_empty() {
            return Err(Cause::Conflict(self.conflicts.into_iter().collect()));
        }
        let mut entries: Vec<Entry> = self.entries.into_values().collect();
        if keeps_setuid {
            entries.iter_mut().for_each(|entry| entry.mode |= entry.content.special_bits());
        }
        join_hard_links(&mut entries);
        entries.sort_by_key(|entry| entry.rank);
        Ok(entries)
    }

    fn add_parents(&mut self) {
        // Each with something that is below it.
        let mut parents: BTreeMap<OsString, OsString> = BTreeMap::new();
        for entry in self.entries.values() {
            for parent in entry.path.ancestors().skip(1) {
                // Whatever is above a directory that is known was added with it.
                if parents.insert(parent.as_os_str().to_owned(), entry.path.clone().into_os_string()).is_some() {
                    break;
                }
            }
        }
        for (parent, below) in parents {
            match self.entries.get(&parent).map(|known| &known.content) {
                Some(Content::Directory) => {}
                Some(_) => self.conflict_below(&parent, &below),
                None => {
                    let reason = "holds what is in it".to_owned();
                    self.insert(Entry::new(Path::new(&parent), Content::Directory, reason, Rank::Frame));
                }
            }
        }
    }

    fn conflict_below(&mut self, parent: &OsStr, below: &OsStr) {
        if let (Some(parent), Some(below)) = (self.entries.get(parent), self.entries.get(below)) {
            self.conflicts.insert(format!(
                "{} ({}) would lie below {}, which is no directory but {} ({}); give one of them another path",
                printable(&below.path),
                below.reason,
                printable(&parent.path),
                parent.in_words(),
                parent.reason,
            ));
        }
    }
}

/// What the caller gives, and what meets the needs of programs, but for what the caller gives at the same path.
fn extras<'e>(closures: &'e [Closure], given: &'e [Extra]) -> Vec<&'e Extra> {
    let taken: BTreeSet<&OsStr> = given.iter().map(|extra| extra.at.as_os_str()).collect();
    let needs = closures.iter().flat_map(Closure::extras);
    given.iter().chain(needs.filter(|extra| !taken.contains(extra.at.as_os_str()))).collect()
}

fn extra_entry(extra: &Extra) -> Entry {
    let (reason, say, rank) = match &extra.origin {
        Origin::Caller => ("given by the caller".to_owned(), Say::Caller, Rank::Extra),
        Origin::Packages(reason) => (printable(reason).to_string(), Say::Need, Rank::Library),
        Origin::Need(need) => (format!("the need {}", printable(&need.to_string())), Say::Need, Rank::Library),
    };
    let (content, rank, mode) = match &extra.content {
        ExtraContent::Directory(mode) => (Content::Directory, Rank::Frame, Some(*mode)),
        ExtraContent::Link(target) => (Content::Link(target.clone()), Rank::Frame, None),
        ExtraContent::File(source) => (Content::File(source.clone()), rank, None),
        ExtraContent::Generated(bytes) => (Content::Generated(bytes.clone()), rank, None),
    };
    let entry = Entry::new(&extra.at, content, reason, rank);
    Entry { say, mode: mode.unwrap_or(entry.mode), ..entry }
}

/// What to do about two entries for one path.
fn remedy(one: &Entry, other: &Entry) -> &'static str {
    if one.say == Say::Caller || other.say == Say::Caller {
        "give one of them another path"
    } else if one.rank == Rank::Program && other.rank == Rank::Program {
        "give one of them by a symlink of another name: the name given is the name in the image"
    } else if one.say == Say::Need && other.say == Say::Need {
        "give the file that shall stand there, or make an image of each program"
    } else {
        "install the program elsewhere, or rename one"
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

fn reason(closure: &Closure, object: &Object) -> String {
    let Some(by) = object.needed_by().next() else { return "the program".to_owned() };
    let (name, by) = (printable(object.name()), printable(by));
    match object.found_by() {
        Rule::Interpreter => format!("the interpreter of {by}"),
        Rule::Symbol => format!("{name}, which the C library loads by itself for {}", clue(closure, object)),
        Rule::Note => format!("{name}, which {by} loads by itself, as its .note.dlopen says"),
        Rule::Requested => format!("{name}, which {by} loads by itself, as the caller says or a need of it"),
        rule => format!("{name} needed by {by}, found by {}", rule.code()),
    }
}

/// The first thing that tells that a library is loaded while the program runs.
fn clue(closure: &Closure, object: &Object) -> String {
    let need = Need::Library(object.name().to_owned());
    let mut told = closure.requirements().iter().filter(|requirement| *requirement.need() == need);
    let evidence = told.find_map(|requirement| requirement.evidence().first());
    evidence.map(ToString::to_string).unwrap_or_default()
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
        for &name in &names[1..] {
            if let Content::File(source) = &entries[name].content {
                entries[name].content = Content::HardLink(first.clone(), source.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Draft;
    use crate::collect::{Extra, ExtraContent, Origin};
    use crate::need::Need;

    fn extra(at: &str, content: ExtraContent, origin: Origin) -> Extra {
        Extra { at: at.into(), content, origin }
    }

    fn users(at: &str, bytes: &[u8]) -> Extra {
        extra(at, ExtraContent::Generated(bytes.to_vec()), Origin::Need(Need::Users))
    }

    /// The paths, modes and reasons, or the conflicts.
    fn tree(extras: &[Extra]) -> Result<Vec<(String, u32, String)>, String> {
        let entries = Draft::of(&[], extras).finish(false).map_err(|cause| cause.to_string())?;
        let line = |entry: super::Entry| (entry.path.display().to_string(), entry.mode, entry.reason);
        Ok(entries.into_iter().map(line).collect())
    }

    #[test]
    fn what_a_need_would_put_somewhere_gives_way_to_the_caller() {
        let own = extra("/p", ExtraContent::Generated(b"own".to_vec()), Origin::Caller);
        let expected = [("/p".to_owned(), 0o644, "given by the caller".to_owned())];
        assert_eq!(tree(&[users("/p", b"x"), own.clone()]).unwrap(), expected);
        assert_eq!(tree(&[own, users("/p", b"x")]).unwrap(), expected);
        let directory = |mode, origin| extra("/tmp", ExtraContent::Directory(mode), origin);
        let both = [directory(0o1777, Origin::Need(Need::Tmp)), directory(0o700, Origin::Caller)];
        assert_eq!(tree(&both).unwrap()[0].1, 0o700);
    }

    #[test]
    fn the_same_need_of_two_programs_is_met_once() {
        let entries = tree(&[users("/etc/p", b"x"), users("/etc/p", b"x")]).unwrap();
        assert_eq!(entries[1], ("/etc/p".to_owned(), 0o644, "the need users".to_owned()));
        assert_eq!(entries.len(), 2);
    }

    #[test]
    fn two_needs_that_differ_are_a_conflict() {
        let error = tree(&[users("/p", b"x"), users("/p", b"y")]).unwrap_err();
        assert!(error.contains("a generated file (the need users), and a generated file"), "{error}");
        assert!(error.ends_with("; give the file that shall stand there, or make an image of each program"), "{error}");
    }
}
