//! How large an image may be, and what makes it so.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::Path;

use crate::collect::{Closure, Object, Source, Weight};
use crate::error::Cause;
use crate::limits::{MAX_FILE, MAX_LAYER};
use crate::text::{megabytes, printable};
use crate::tree::{Entry, Tree};

/// Files of an image that is too large which are named, the largest first.
const NAMED: usize = 5;

/// Holds the files of an image against the limits of a layer, and against `most` bytes in all.
pub(super) fn expect_small(tree: &Tree, closures: &[Closure], most: Option<u64>) -> Result<(), Cause> {
    let entries = tree.entries();
    if let Some(large) = entries.iter().find(|entry| entry.size() > MAX_FILE) {
        let (path, size) = (printable(large.path()), large.size());
        return Err(Cause::Unsupported(format!("{path} has {size} bytes; the limit of a file is {MAX_FILE}")));
    }
    // None of them is so large that the sum could overflow.
    let size: u64 = entries.iter().map(Entry::size).sum();
    match most {
        Some(most) if size > most => Err(Cause::TooLarge(too_large(size, most, entries, closures))),
        _ if size > MAX_LAYER => {
            Err(Cause::Unsupported(format!("its files have {size} bytes; the limit of a layer is {MAX_LAYER}")))
        }
        _ => Ok(()),
    }
}

fn too_large(size: u64, most: u64, entries: &[Entry], closures: &[Closure]) -> Vec<String> {
    let mut largest: Vec<&Entry> = entries.iter().filter(|entry| entry.size() > 0).collect();
    largest.sort_by_key(|entry| Reverse(entry.size()));
    let processes: Vec<Process<'_>> = closures.iter().map(Process::of).collect();
    let lines = largest.into_iter().take(NAMED).map(|entry| line(entry, &processes));
    let head = format!(
        "its image would have files of {} ({size} bytes), and {} ({most} bytes) are allowed; the largest are",
        megabytes(size),
        megabytes(most)
    );
    let remedy =
        "leave out what is not needed (--exclude), link without it, or allow more; `inspect --sort size` has all";
    std::iter::once(head).chain(lines).chain([remedy.to_owned()]).collect()
}

/// A file, its size, and how the image comes to hold it.
fn line(entry: &Entry, processes: &[Process<'_>]) -> String {
    let chain = entry.copied_from().and_then(|source| processes.iter().find_map(|process| process.chain(source)));
    let why = chain.unwrap_or_else(|| entry.reason().to_owned());
    format!("  {:>9}  {}  {why}", megabytes(entry.size()), printable(entry.path()))
}

/// The objects of a program, by their files.
struct Process<'c> {
    closure: &'c Closure,
    weights: HashMap<&'c Path, Weight<'c>>,
}

impl<'c> Process<'c> {
    fn of(closure: &'c Closure) -> Self {
        let weights =
            closure.weights().into_iter().map(|weight| (weight.object().file_source().real.as_path(), weight));
        Process { closure, weights: weights.collect() }
    }

    /// The chain to a library, and what goes with the library farthest from it through which alone it is needed.
    fn chain(&self, file: &Source) -> Option<String> {
        let weight = self.weights.get(file.real.as_path())?;
        if weight.object().path() == self.closure.program().path() {
            return None;
        }
        let chain: Vec<String> = self.closure.chain(weight.object()).into_iter().map(name).collect();
        let through = std::iter::successors(self.through(weight), |weight| self.through(weight)).last();
        let through = through
            .map(|first| format!(" ({} only through {})", megabytes(first.whole()), name(first.object())))
            .unwrap_or_default();
        Some(format!("{}{through}", chain.join(" -> ")))
    }

    fn through(&self, weight: &Weight<'_>) -> Option<&Weight<'c>> {
        self.weights.get(weight.only_through()?.file_source().real.as_path())
    }
}

fn name(object: &Object) -> String {
    printable(object.name()).to_string()
}
