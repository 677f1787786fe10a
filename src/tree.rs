//! The image's file tree: what stands at each path, in one order, with no conflict.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::analyze::Machine;
use crate::collect::{Closure, Item, LoaderBuild, LoaderFacts, MUSL_BUILTIN, Object, Source, write_ld_cache};
use crate::error::Cause;
use crate::root::FileId;
use crate::text::printable;
use crate::trace::Rule;

/// One path of the image.
#[derive(Clone, Debug)]
pub struct Entry {
    path: PathBuf,
    content: Content,
    reason: String,
    /// Programs come last in a layer, so that what changes most is at its end.
    rank: Rank,
}

/// What stands at a path of the image.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Directory,
    Link(PathBuf),
    File(Source),
    /// A further name of the file at another path.
    HardLink(PathBuf),
    /// Bytes that are made for this image.
    Generated(Vec<u8>),
}

/// What kind of thing stands at a path of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A symlink with this target.
    Symlink(PathBuf),
    /// A regular file, copied from this path on this machine.
    File(PathBuf),
    /// A further name of the file at this path in the image.
    HardLink(PathBuf),
    /// A regular file that was made for the image.
    Generated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Frame,
    Library,
    Program,
}

impl Entry {
    /// The absolute path in the image.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What stands there.
    pub fn kind(&self) -> EntryKind {
        match &self.content {
            Content::Directory => EntryKind::Directory,
            Content::Link(target) => EntryKind::Symlink(target.clone()),
            Content::File(source) => EntryKind::File(source.on_machine()),
            Content::HardLink(target) => EntryKind::HardLink(target.clone()),
            Content::Generated(_) => EntryKind::Generated,
        }
    }

    /// The permission bits: 0755 for directories, programs and ELF files, 0644 for other files, 0777 for symlinks.
    pub fn mode(&self) -> u32 {
        match &self.content {
            Content::Directory => 0o755,
            Content::Link(_) => 0o777,
            Content::File(source) if source.is_elf || source.stamp.mode & 0o111 != 0 => 0o755,
            Content::HardLink(_) => 0o755,
            Content::File(_) | Content::Generated(_) => 0o644,
        }
    }

    /// The bytes of data that it adds to the image.
    pub fn size(&self) -> u64 {
        match &self.content {
            Content::File(source) => source.stamp.size,
            Content::Generated(bytes) => bytes.len() as u64,
            Content::Directory | Content::Link(_) | Content::HardLink(_) => 0,
        }
    }

    /// Why it is in the image, in words.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    pub(crate) fn content(&self) -> &Content {
        &self.content
    }
}

/// The whole tree, in the order in which a layer holds it.
#[derive(Debug)]
pub(crate) struct Tree {
    entries: Vec<Entry>,
}

impl Tree {
    /// The tree of these programs and what they need.
    pub(crate) fn of(closures: &[Closure]) -> Result<Tree, Cause> {
        let mut draft = Draft::default();
        closures.iter().for_each(|closure| draft.add_links(closure));
        closures.iter().for_each(|closure| draft.add_rest(closure));
        draft.add_loader_files(closures);
        draft.finish()
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// Names and paths, as a loader's cache has them.
type Listed<'a> = BTreeSet<(&'a [u8], &'a [u8])>;

/// A tree in the making. Links come first, so that whatever goes through one lands where it leads.
#[derive(Default)]
struct Draft {
    links: BTreeMap<OsString, Entry>,
    // By bytes, in which a directory comes before what is in it.
    entries: BTreeMap<OsString, Entry>,
    conflicts: BTreeSet<String>,
}

impl Draft {
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
        let mut caches: BTreeMap<&Path, (Machine, Listed<'_>)> = BTreeMap::new();
        let mut path_files: BTreeMap<&Path, Vec<&Path>> = BTreeMap::new();
        for (closure, loader) in closures.iter().filter_map(|closure| Some((closure, closure.loader()?))) {
            match &loader.build {
                LoaderBuild::Glibc(build) => {
                    let wanted = self.outside(&loader.found_in_system, &build.directories);
                    let wanted = wanted.map(|(name, path)| (name.as_bytes(), path.as_os_str().as_bytes()));
                    let machine = closure.program().elf().machine();
                    caches.entry(&build.cache).or_insert((machine, Listed::new())).1.extend(wanted);
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

    /// The libraries that are not the first of their names in these directories.
    fn outside<'f>(
        &self,
        found: &'f [(OsString, PathBuf)],
        directories: &[PathBuf],
    ) -> impl Iterator<Item = &'f (OsString, PathBuf)> {
        found.iter().filter(|(name, path)| {
            let candidates = directories.iter().map(|directory| self.resolve(&directory.join(name)));
            let first = candidates.into_iter().find(|path| self.entries.contains_key(path.as_os_str()));
            first.is_none_or(|first| first != self.resolve(path))
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
        let mut rest: Vec<PathBuf> = Vec::new();
        push_components(&mut rest, path);
        let mut real = PathBuf::from("/");
        let mut crossed = 0;
        while let Some(component) = rest.pop() {
            if component.as_os_str() == ".." {
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
                    push_components(&mut rest, target);
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

    fn finish(mut self) -> Result<Tree, Cause> {
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
        Ok(Tree { entries })
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
    let used: BTreeSet<&Path> = loader.found_in_system.iter().filter_map(|(_, path)| path.parent()).collect();
    loader.build.directories().iter().map(PathBuf::as_path).filter(move |directory| used.contains(directory))
}

fn cache_entry((path, (machine, libraries)): (&Path, (Machine, Listed<'_>))) -> Entry {
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

/// The kernel's own limit (path_resolution(7)).
const MAX_LINKS: usize = 40;

fn push_components(rest: &mut Vec<PathBuf>, path: &Path) {
    let components = path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        _ => None,
    });
    rest.extend(components);
}

impl Entry {
    fn new(path: &Path, content: Content, reason: String, rank: Rank) -> Self {
        Entry { path: path.to_owned(), content, reason, rank }
    }

    fn is_same(&self, other: &Entry) -> bool {
        match (&self.content, &other.content) {
            (Content::Directory, Content::Directory) => true,
            (Content::Link(one), Content::Link(two)) => one == two,
            (Content::File(one), Content::File(two)) => one.stamp.id == two.stamp.id,
            (Content::Generated(one), Content::Generated(two)) => one == two,
            _ => false,
        }
    }

    fn in_words(&self) -> String {
        match &self.content {
            Content::Directory => "a directory".to_owned(),
            Content::Link(target) => format!("a symlink to {}", printable(target)),
            Content::File(source) => printable(&source.on_machine()).to_string(),
            Content::HardLink(target) => format!("a hard link to {}", printable(target)),
            Content::Generated(_) => "a generated file".to_owned(),
        }
    }
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
