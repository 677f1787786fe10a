//! What differs between two locks, or two trees.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::chain::{Chain, Needers};
use super::change::{Change, ChangeKind, Why};
use super::named::Named;
use super::{Lock, LockEntry, LockedKind, file_name};
use crate::root::{MAX_LINKS, steps_to_walk};

/// Names that one path may lead through, links followed, and all paths of a comparison. What leads farther is told by its own
/// name.
const MAX_STEPS: usize = 4096;
const MAX_ALL_STEPS: usize = 1_000_000;

/// A longer name, which no file has but a lock may, counts as several.
const BYTES_OF_A_STEP: usize = 256;

/// The rules that find what is loaded while a program runs; a reason says more of these than a name.
const HIDDEN: [&str; 4] = ["audit", "note", "requested", "symbol"];

pub(super) fn changes(before: &Lock, now: &Lock) -> Vec<Change> {
    let paths: BTreeSet<&OsString> = before.entries.keys().chain(now.entries.keys()).collect();
    let sides = Sides::of(before, now);
    let changes = paths.into_iter().filter_map(|path| sides.change(path)).collect();
    sides.in_order(changes)
}

struct Sides<'l> {
    before: &'l Lock,
    now: &'l Lock,
    /// What stands somewhere else now, or was replaced by something of another name, and the same the other way round.
    moved: BTreeMap<PathBuf, PathBuf>,
    /// Where the program of either side is, where it is another path.
    programs: Option<(&'l Path, &'l Path)>,
    came_from: BTreeMap<PathBuf, PathBuf>,
    named_before: Named<'l>,
    named_now: Named<'l>,
    needers_before: Arc<Needers>,
    needers_now: Arc<Needers>,
    /// Names that paths may still lead through.
    steps: Cell<usize>,
}

impl<'l> Sides<'l> {
    fn of(before: &'l Lock, now: &'l Lock) -> Self {
        let (gone, added) = (files_of_one_alone(before, now), files_of_one_alone(now, before));
        let of_one_name =
            gone.iter().filter_map(|(name, old)| Some((old.to_path_buf(), added.get(name)?.to_path_buf())));
        let steps = Cell::new(MAX_ALL_STEPS);
        let mut moved = replaced(before, now, &steps);
        moved.extend(of_one_name);
        add_of_one_content(&mut moved, before, now);
        let came_from = moved.iter().map(|(old, new)| (new.clone(), old.clone())).collect();
        Sides {
            before,
            now,
            moved,
            programs: program(before).zip(program(now)).filter(|(old, new)| old != new),
            came_from,
            named_before: Named::of(before, &steps),
            named_now: Named::of(now, &steps),
            needers_before: Needers::of(before),
            needers_now: Needers::of(now),
            steps,
        }
    }

    fn change(&self, path: &OsStr) -> Option<Change> {
        let path = Path::new(path);
        let (before, now) = (self.before.entry(path), self.now.entry(path));
        let (kind, needers, why) = match (before, now) {
            (None, Some(new)) => (ChangeKind::Added, &self.needers_now, self.why_added(path, new)),
            (Some(old), None) => (ChangeKind::Gone, &self.needers_before, self.why_gone(path, old)),
            (Some(old), Some(new)) if !old.is_same(new) => (ChangeKind::Changed, &self.needers_now, Why::Stays),
            (Some(old), Some(new)) if self.are_explained() && !old.has_same_reason(new) => {
                (ChangeKind::Reason, &self.needers_now, Why::Stays)
            }
            _ => return None,
        };
        // What only one side can tell, it tells of both.
        let chain =
            needers.chain(path).or_else(|| self.needers_before.chain(path).filter(|_| kind == ChangeKind::Changed));
        let chain = chain.unwrap_or_else(Chain::none);
        Some(Change {
            path: path.to_owned(),
            kind,
            before: before.cloned(),
            after: now.cloned(),
            chain,
            why,
            with: None,
        })
    }

    fn are_explained(&self) -> bool {
        self.before.is_explained && self.now.is_explained
    }

    fn why_added(&self, path: &Path, new: &LockEntry) -> Why {
        if let Some(was) = self.came_from.get(path) {
            return Why::Was(was.clone());
        }
        match &new.needed_by {
            Some(_) if new.is_hidden() => Why::Told,
            Some(by) if self.named_now.is_needed_here_alone(path, by, &self.named_before) => Why::NeededNow(by.clone()),
            Some(by) => Why::Needed(by.clone()),
            None => match self.programs {
                Some((old, new)) if new == path => Why::ProgramWas(old.to_owned()),
                _ => Why::Told,
            },
        }
    }

    fn why_gone(&self, path: &Path, old: &LockEntry) -> Why {
        if let Some(is) = self.moved.get(path) {
            return Why::Is(is.clone());
        }
        match &old.needed_by {
            Some(by) if self.now.entry(by).is_none() && !self.moved.contains_key(by) => Why::NeederGone(by.clone()),
            Some(by) if self.named_before.is_needed_here_alone(path, by, &self.named_now) => {
                Why::NeededNoMore(by.clone())
            }
            Some(by) => Why::WasNeeded(by.clone()),
            None => match self.programs {
                Some((old, new)) if old == path => Why::ProgramIs(new.to_owned()),
                _ => Why::Told,
            },
        }
    }

    /// Each with the links and directories behind it that come or go with it.
    fn in_order(&self, mut changes: Vec<Change>) -> Vec<Change> {
        let files = |kind| {
            changes.iter().filter(move |change| change.kind == kind && change.entry().is_some_and(LockEntry::is_file))
        };
        let paths = |kind| files(kind).map(|change| Arc::from(change.path.as_os_str())).collect::<BTreeSet<_>>();
        let (added, gone) = (paths(ChangeKind::Added), paths(ChangeKind::Gone));
        for change in &mut changes {
            change.with = match change.kind {
                ChangeKind::Gone => companion(self.before, &gone, &change.path, &self.steps),
                ChangeKind::Added => companion(self.now, &added, &change.path, &self.steps),
                // A link that leads elsewhere now, to what is new.
                ChangeKind::Changed if change.entry().is_some_and(LockEntry::is_link) => {
                    companion(self.now, &added, &change.path, &self.steps)
                }
                ChangeKind::Changed | ChangeKind::Reason => None,
            };
        }
        // The sort is stable, and the changes have the order of their paths.
        let place = |change: &Change| change.with.clone().unwrap_or_else(|| change.path.as_os_str().into());
        changes.sort_by_cached_key(|change| (place(change), change.with.is_some()));
        changes
    }
}

/// Which of `files` a link or directory is there for.
fn companion(lock: &Lock, files: &BTreeSet<Arc<OsStr>>, path: &Path, steps: &Cell<usize>) -> Option<Arc<OsStr>> {
    let real = match &lock.entry(path)?.kind {
        LockedKind::Symlink(_) => lock.resolve(path, steps),
        LockedKind::Directory => path.to_owned(),
        _ => return None,
    };
    files.get(real.as_os_str()).cloned().or_else(|| first_below(files, &real))
}

fn first_below(files: &BTreeSet<Arc<OsStr>>, directory: &Path) -> Option<Arc<OsStr>> {
    let mut start = directory.as_os_str().to_owned();
    start.push("/");
    let mut behind = files.range::<OsStr, _>((Bound::Excluded(start.as_os_str()), Bound::Unbounded));
    behind.next().filter(|file| Path::new(file).starts_with(directory)).cloned()
}

/// The regular files that `one` has and `other` has not, by their last names; of several of one name, none.
fn files_of_one_alone<'l>(one: &'l Lock, other: &Lock) -> BTreeMap<&'l OsStr, &'l Path> {
    let mut named: BTreeMap<&OsStr, Option<&Path>> = BTreeMap::new();
    for (path, _) in one.entries().filter(|(path, entry)| entry.is_file() && other.entry(path).is_none()) {
        named.entry(file_name(path)).and_modify(|known| *known = None).or_insert(Some(path));
    }
    named.into_iter().filter_map(|(name, path)| Some((name, path?))).collect()
}

/// Files that were replaced by others, as links tell that lead to these now: the new ones by the old ones.
fn replaced(before: &Lock, now: &Lock, steps: &Cell<usize>) -> BTreeMap<PathBuf, PathBuf> {
    let links = before.entries().filter(|(path, old)| old.is_link() && now.entry(path).is_some_and(LockEntry::is_link));
    let ends = links.map(|(link, _)| (before.resolve(link, steps), now.resolve(link, steps)));
    let has_file = |lock: &Lock, path: &Path| lock.entry(path).is_some_and(LockEntry::is_file);
    let is_gone = |old: &Path| has_file(before, old) && now.entry(old).is_none();
    let is_new = |new: &Path| has_file(now, new) && before.entry(new).is_none();
    ends.filter(|(old, new)| is_gone(old) && is_new(new)).collect()
}

/// Objects that stand elsewhere now, as they are: of several of one content, none.
fn add_of_one_content(moved: &mut BTreeMap<PathBuf, PathBuf>, before: &Lock, now: &Lock) {
    let (gone, added) = (objects_of_one_alone(before, now), objects_of_one_alone(now, before));
    let mut taken: BTreeSet<PathBuf> = moved.values().cloned().collect();
    for (content, old) in gone {
        if let Some(new) = added.get(&content).filter(|new| !taken.contains(**new) && !moved.contains_key(old)) {
            taken.insert(new.to_path_buf());
            moved.insert(old.to_owned(), new.to_path_buf());
        }
    }
}

fn objects_of_one_alone<'l>(one: &'l Lock, other: &Lock) -> BTreeMap<[u8; 32], &'l Path> {
    let objects = one.entries().filter(|(path, entry)| entry.needs.is_some() && other.entry(path).is_none());
    let mut known: BTreeMap<[u8; 32], Option<&Path>> = BTreeMap::new();
    for (path, entry) in objects {
        if let LockedKind::File(digest) = entry.kind {
            known.entry(digest).and_modify(|path| *path = None).or_insert(Some(path));
        }
    }
    known.into_iter().filter_map(|(digest, path)| Some((digest, path?))).collect()
}

/// The only program of an image.
fn program(lock: &Lock) -> Option<&Path> {
    let mut programs = lock.entries().filter(|(_, entry)| entry.is_program());
    programs.next().map(|(path, _)| path).filter(|_| programs.next().is_none())
}

impl Lock {
    /// Where a path leads through the links of this tree.
    pub(super) fn resolve(&self, path: &Path, left: &Cell<usize>) -> PathBuf {
        let mut rest: Vec<&OsStr> = steps_to_walk(path).collect();
        let mut real = PathBuf::from("/");
        let (mut crossed, mut steps) = (0, 0);
        while let Some(name) = rest.pop() {
            steps += 1;
            let cost = 1 + name.len() / BYTES_OF_A_STEP;
            let Some(rest_of_all) = left.get().checked_sub(cost).filter(|_| steps <= MAX_STEPS) else {
                return path.to_owned();
            };
            left.set(rest_of_all);
            if name == ".." {
                real.pop();
                continue;
            }
            real.push(name);
            if let Some(LockedKind::Symlink(target)) = self.entry(&real).map(LockEntry::kind) {
                crossed += 1;
                if crossed > MAX_LINKS {
                    return path.to_owned();
                }
                real = if target.is_absolute() { PathBuf::from("/") } else { parent_of(&real) };
                rest.extend(steps_to_walk(target));
            }
        }
        real
    }
}

fn parent_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}

impl LockEntry {
    pub(super) fn is_file(&self) -> bool {
        matches!(self.kind, LockedKind::File(_) | LockedKind::HardLink(_))
    }

    /// Whether it is loaded while the program runs.
    fn is_hidden(&self) -> bool {
        self.found_by().is_some_and(|rule| HIDDEN.contains(&rule))
    }
}
