//! Who needs what in an image that others made: an object needs what its dynamic section names, which is the file of that
//! name for the same machine, or the one of that soname. Of several nobody knows here which is loaded, so nobody needs them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::{file_name, names_needed};
use crate::analyze::{Class, Elf, Machine};
use crate::check::{Node, Nodes};

/// A name, as the objects for one machine say it.
type Name<'n> = (Machine, Class, &'n OsStr);

struct Objects<'n> {
    /// In the order of their paths.
    list: Vec<(&'n Path, u32, &'n Elf)>,
    /// Who is called so, by the last name of its path.
    files: HashMap<Name<'n>, Vec<usize>>,
    /// Who is called so by its soname.
    sonames: HashMap<Name<'n>, Vec<usize>>,
}

/// Of each object the one by which it is reached first, from the programs on, and from what nobody names.
pub(super) fn needed_by(nodes: &Nodes<'_>) -> HashMap<PathBuf, PathBuf> {
    let objects = Objects::of(nodes);
    let mut reached = Reached { by: vec![None; objects.list.len()], ..Reached::default() };
    let named: HashSet<Name<'_>> = objects.list.iter().flat_map(|(_, _, elf)| called_by(elf)).collect();
    let is_unnamed = |path: &'_ Path, elf: &'_ Elf| !names_of(path, elf).any(|name| named.contains(&name));
    // A C library has an interpreter as well.
    let programs =
        objects.numbers(|(path, mode, elf)| mode & 0o111 != 0 && elf.interpreter().is_some() && is_unnamed(path, elf));
    reached.follow(&objects, programs);
    let unnamed = objects.numbers(|(path, _, elf)| is_unnamed(path, elf));
    reached.follow(&objects, unnamed);
    let pairs = reached.by.iter().enumerate();
    let path = |number: usize| objects.list[number].0.to_owned();
    pairs.filter_map(|(number, by)| Some((path(number), path((*by)?)))).collect()
}

impl<'n> Objects<'n> {
    fn of(nodes: &'n Nodes<'_>) -> Self {
        let elf = |(path, node): (&'n std::borrow::Cow<'_, OsStr>, &'n Node<'_>)| match node {
            Node::File(file) => Some((Path::new(path), file.mode, file.parsed.elf.as_deref().ok()?)),
            _ => None,
        };
        let mut list: Vec<(&Path, u32, &Elf)> = nodes.iter().filter_map(elf).collect();
        list.sort_unstable_by_key(|(path, ..)| path.as_os_str());
        let (mut files, mut sonames) = (HashMap::new(), HashMap::new());
        for (number, (path, _, elf)) in list.iter().enumerate() {
            let add = |names: &mut HashMap<_, Vec<usize>>, name| {
                names.entry((elf.machine(), elf.class(), name)).or_default().push(number);
            };
            add(&mut files, file_name(path));
            elf.soname().into_iter().for_each(|soname| add(&mut sonames, soname));
        }
        Objects { list, files, sonames }
    }

    /// Whom a name means.
    fn called(&self, name: &Name<'n>) -> &[usize] {
        self.files.get(name).or_else(|| self.sonames.get(name)).map(Vec::as_slice).unwrap_or_default()
    }

    fn numbers(&self, is_wanted: impl Fn(&(&'n Path, u32, &'n Elf)) -> bool) -> Vec<usize> {
        (0..self.list.len()).filter(|&number| is_wanted(&self.list[number])).collect()
    }
}

/// Which names were followed, and by whom each object was reached.
#[derive(Default)]
struct Reached<'n> {
    by: Vec<Option<usize>>,
    starts: HashSet<usize>,
    names: HashSet<Name<'n>>,
}

impl<'n> Reached<'n> {
    fn follow(&mut self, objects: &Objects<'n>, starts: Vec<usize>) {
        self.starts.extend(&starts);
        let mut rest = VecDeque::from(starts);
        while let Some(number) = rest.pop_front() {
            for name in called_by(objects.list[number].2) {
                if !self.names.insert(name) {
                    continue;
                }
                let called = objects.called(&name);
                for &other in called {
                    if self.by[other].is_none() && !self.starts.contains(&other) {
                        match called.len() {
                            1 => self.by[other] = Some(number),
                            // What these need themselves begins with them.
                            _ => drop(self.starts.insert(other)),
                        }
                        rest.push_back(other);
                    }
                }
            }
        }
    }
}

/// What an object is called.
fn names_of<'n>(path: &'n Path, elf: &'n Elf) -> impl Iterator<Item = Name<'n>> {
    let name = file_name(path);
    let soname = elf.soname().filter(|soname| *soname != name);
    std::iter::once(name).chain(soname).map(|name| (elf.machine(), elf.class(), name))
}

/// Whom it names.
fn called_by(elf: &Elf) -> impl Iterator<Item = Name<'_>> {
    names_needed(elf).map(|name| (elf.machine(), elf.class(), file_name(Path::new(name))))
}
