//! Which names the objects of a lock need, so that a comparison knows whether one needs something that it did not need before.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::{Lock, LockEntry, file_name};

/// Of one side of a comparison. Names are without their directories.
pub(super) struct Named<'l> {
    /// What each object needs of which that is known.
    needed: HashMap<&'l OsStr, HashSet<&'l OsStr>>,
    /// What links of such names call the files to which they lead.
    links: HashMap<PathBuf, Vec<&'l OsStr>>,
}

impl<'l> Named<'l> {
    /// `steps` is what [`Lock::resolve`] may still take.
    pub(super) fn of(lock: &'l Lock, steps: &Cell<usize>) -> Self {
        let known = lock.entries.iter().filter_map(|(path, entry)| Some((path.as_os_str(), last_names(entry)?)));
        let needed: HashMap<_, _> = known.collect();
        let names: HashSet<&OsStr> = needed.values().flatten().copied().collect();
        let mut links: HashMap<PathBuf, Vec<&OsStr>> = HashMap::new();
        let of_such_names = lock.entries().filter(|(path, entry)| entry.is_link() && names.contains(file_name(path)));
        for (path, _) in of_such_names {
            links.entry(lock.resolve(path, steps)).or_default().push(file_name(path));
        }
        Named { needed, links }
    }

    /// What the file at `path` is called.
    fn names_of<'p>(&'p self, path: &'p Path) -> impl Iterator<Item = &'p OsStr> {
        let links = self.links.get(path).into_iter().flatten().copied();
        std::iter::once(file_name(path)).chain(links)
    }

    /// Whether the object at `by` needs the file at `path` by a name of it, and is known not to in `other`.
    pub(super) fn is_needed_here_alone(&self, path: &Path, by: &Path, other: &Named<'_>) -> bool {
        let needs = |side: &Named<'_>| {
            let names = side.needed.get(by.as_os_str())?;
            Some(self.names_of(path).any(|name| names.contains(name)))
        };
        needs(self) == Some(true) && needs(other) == Some(false)
    }
}

fn last_names(entry: &LockEntry) -> Option<HashSet<&OsStr>> {
    entry.needs.as_ref().map(|names| names.iter().map(|name| file_name(Path::new(name))).collect())
}
