//! Who needs what, from a program on. All changes share what a lock says of that, and each chain is made when somebody asks:
//! of a lock made to do harm they are many times as large as the lock.

use std::fmt::{self, Debug, Formatter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Lock;

/// Objects of a chain, the longest known of which has 12, and bytes of their paths. What is farther away is left out.
const MAX_CHAIN: usize = 16;
const MAX_BYTES: usize = 4096;

/// Who needs each path of a lock.
#[derive(Debug, Default)]
pub(super) struct Needers {
    /// Each path with the number of the one that needs it, in bytewise order.
    all: Vec<(PathBuf, Option<usize>)>,
}

/// The chain that ends with one path.
#[derive(Clone)]
pub(super) struct Chain {
    needers: Arc<Needers>,
    end: Option<usize>,
}

impl Needers {
    pub(super) fn of(lock: &Lock) -> Arc<Self> {
        let paths: Vec<&Path> = lock.entries().map(|(path, _)| path).collect();
        let number = |by: &Path| paths.binary_search_by(|path| path.as_os_str().cmp(by.as_os_str())).ok();
        let all = lock.entries().map(|(path, entry)| (path.to_owned(), entry.needed_by().and_then(number)));
        Arc::new(Needers { all: all.collect() })
    }

    /// The chain that ends with `path`, where something needs it.
    pub(super) fn chain(self: &Arc<Self>, path: &Path) -> Option<Chain> {
        let end = self.all.binary_search_by(|(known, _)| known.as_os_str().cmp(path.as_os_str())).ok();
        let is_needed = |end: usize| self.all[end].1.is_some_and(|by| by != end);
        Some(Chain { needers: self.clone(), end: Some(end.filter(|&end| is_needed(end))?) })
    }
}

impl Chain {
    pub(super) fn none() -> Chain {
        Chain { needers: Arc::default(), end: None }
    }

    /// From the farthest object that needs it to the path itself.
    pub(super) fn paths(&self) -> Vec<&Path> {
        let mut numbers: Vec<usize> = Vec::new();
        let mut left = MAX_BYTES;
        let mut next = self.end;
        while let Some((number, (path, by))) = next.and_then(|number| Some((number, self.needers.all.get(number)?))) {
            let rest = left.checked_sub(path.as_os_str().len());
            if numbers.len() == MAX_CHAIN || numbers.contains(&number) || rest.is_none() && numbers.len() > 1 {
                break;
            }
            left = rest.unwrap_or_default();
            numbers.push(number);
            next = *by;
        }
        numbers.iter().rev().map(|&number| self.needers.all[number].0.as_path()).collect()
    }
}

/// By what it says.
impl PartialEq for Chain {
    fn eq(&self, other: &Chain) -> bool {
        self.paths() == other.paths()
    }
}

impl Eq for Chain {}

impl Debug for Chain {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.paths().fmt(f)
    }
}
