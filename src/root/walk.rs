//! Walks paths inside a root as the kernel does, and remembers each symlink crossed on the way.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use rustix::fs::FileType;
use rustix::io::Errno;

use super::{Fault, Input, Root, expect_regular_type, split};

pub(crate) use crate::limits::MAX_LINKS;

/// Bytes of a path, the NUL at its end included (limits.h).
pub(crate) const PATH_MAX: usize = 4_096;

/// Bytes of a name (NAME_MAX of limits.h): a longer one is another error than one that is not there.
pub(crate) const NAME_MAX: usize = 255;

/// Something that a path leads through, and that must exist for the path to be walked again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A directory that was entered and left again by `..`.
    Left(PathBuf),
    /// A symlink, by the real path where it stands, with its target as written.
    Link { at: PathBuf, target: PathBuf },
}

/// Where a path leads.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    /// The path in the root with no symlink and no `..` left.
    pub(crate) real: PathBuf,
    pub(crate) steps: Vec<Rc<Step>>,
    links: usize,
    kind: FileType,
}

/// Walks paths inside a root; directories once walked are remembered.
pub(crate) struct Walker<'r> {
    root: &'r Root,
    directories: RefCell<HashMap<OsString, Result<Rc<Known>, Fault>>>,
    /// Of each real directory, however the paths to it are spelled.
    names: RefCell<HashMap<OsString, Rc<RefCell<Names>>>>,
}

/// A directory to which a path led.
struct Known {
    walk: Walk,
    names: Rc<RefCell<Names>>,
}

/// What is known of the names in a directory.
enum Names {
    /// How many were asked for that are not there.
    Absent(usize),
    /// All that there are.
    Listed(HashSet<OsString>),
    /// They cannot be listed, or a list does not tell what is there.
    Unlisted,
}

impl Names {
    /// Takes down that somebody wanted to know which names there are.
    fn count_question(&mut self) {
        if let Names::Absent(0) = self {
            *self = Names::Absent(1);
        }
    }
}

impl Default for Names {
    fn default() -> Names {
        Names::Absent(0)
    }
}

/// Names that are asked for in vain before all of a directory are listed. A list takes as long as a few hundred of them.
const PATIENCE: usize = 128;

impl Known {
    /// Whether a list of the directory tells that it has no such name.
    fn lacks(&self, name: &OsStr) -> bool {
        matches!(&*self.names.borrow(), Names::Listed(names) if name.len() <= NAME_MAX && !names.contains(name))
    }

    /// Lists the directory once it has been asked often in vain.
    fn note_absence(&self, root: &Root) {
        let mut names = self.names.borrow_mut();
        match &mut *names {
            Names::Absent(count) if *count < PATIENCE => *count += 1,
            Names::Absent(_) => *names = root.all_names(&self.walk.real).map_or(Names::Unlisted, Names::Listed),
            Names::Listed(_) | Names::Unlisted => {}
        }
    }
}

impl<'r> Walker<'r> {
    pub(crate) fn new(root: &'r Root) -> Self {
        Walker { root, directories: RefCell::default(), names: RefCell::default() }
    }

    /// Where the absolute `path` leads, all symlinks followed. What stands there may be of any kind.
    pub(crate) fn walk(&self, path: &Path) -> Result<Walk, Fault> {
        expect_possible(path)?;
        match split(path) {
            Ok((parent, name)) => self.enter_last(&*self.known_directory(parent)?, name),
            Err(_) => self.directory(path),
        }
    }

    /// Opens the regular file where `path` leads.
    pub(crate) fn open(&self, path: &Path) -> Result<(Walk, Input), Fault> {
        let walk = self.walk(path)?;
        expect_regular_type(walk.kind)?;
        let input = self.root.open_seen(&walk.real)?;
        Ok((walk, input))
    }

    /// Where `path` leads, which must be a directory.
    pub(crate) fn directory(&self, path: &Path) -> Result<Walk, Fault> {
        self.known_directory(path).map(|known| known.walk.clone())
    }

    fn known_directory(&self, path: &Path) -> Result<Rc<Known>, Fault> {
        expect_possible(path)?;
        if let Some(known) = self.directories.borrow().get(path.as_os_str()) {
            return known.clone();
        }
        let known = self.walk_to_directory(path).map(|walk| self.known(walk));
        self.directories.borrow_mut().insert(path.as_os_str().to_owned(), known.clone());
        known
    }

    fn known(&self, walk: Walk) -> Rc<Known> {
        let names = self.names.borrow_mut().entry(walk.real.clone().into_os_string()).or_default().clone();
        Rc::new(Known { walk, names })
    }

    /// Whether earlier looks tell that nothing stands at `name` in `directory`.
    pub(crate) fn is_known_to_lack(&self, directory: &Path, name: &OsStr) -> bool {
        let is_possible = directory.as_os_str().len() + 1 + name.len() < PATH_MAX;
        is_possible
            && match self.directories.borrow().get(directory.as_os_str()) {
                Some(Ok(known)) => !["", ".", ".."].map(OsStr::new).contains(&name) && known.lacks(name),
                Some(Err(fault)) => matches!(fault, Fault::System(Errno::NOENT | Errno::NOTDIR)),
                None => false,
            }
    }

    /// The names in the directory where `path` leads, in the order of their bytes.
    pub(crate) fn names(&self, path: &Path) -> Result<Vec<OsString>, Fault> {
        let directory = self.known_directory(path)?;
        directory.names.borrow_mut().count_question();
        self.root.names(&directory.walk.real)
    }

    /// The real directories in which one more name would have made a difference: those that lacked a name or were listed,
    /// and of those that are not there, what they would be made in.
    pub(crate) fn searched(&self) -> Vec<PathBuf> {
        let names = self.names.borrow();
        let asked = names.iter().filter(|(_, names)| !matches!(*names.borrow(), Names::Absent(0)));
        let asked = asked.map(|(real, _)| PathBuf::from(real));
        let directories = self.directories.borrow();
        let absent = directories.iter().filter(|(_, known)| known.is_err()).map(|(path, _)| Path::new(path));
        let is_there = |path: &Path| directories.get(path.as_os_str()).and_then(|known| known.as_ref().ok());
        let above = absent.filter_map(|path| path.ancestors().find_map(is_there));
        asked.chain(above.map(|known| known.walk.real.clone())).collect()
    }

    fn walk_to_directory(&self, path: &Path) -> Result<Walk, Fault> {
        if let Ok((parent, name)) = split(path) {
            let walk = self.enter(self.directory(parent)?, name)?;
            return self.expect_directory(&walk).map(|()| walk);
        }
        let mut components = path.components();
        let walk = match components.next_back() {
            Some(last @ (Component::Normal(_) | Component::ParentDir)) => {
                self.step(self.directory(components.as_path())?, last)?
            }
            Some(Component::CurDir) => self.directory(components.as_path())?,
            Some(Component::RootDir | Component::Prefix(_)) | None => Walk::start(),
        };
        self.expect_directory(&walk)?;
        Ok(walk)
    }

    fn step(&self, walk: Walk, component: Component<'_>) -> Result<Walk, Fault> {
        match component {
            Component::Normal(name) => self.enter(walk, name),
            Component::ParentDir => Ok(leave(walk)),
            _ => Ok(walk),
        }
    }

    /// The same as [`Walker::enter`] for the last name of a path. Those of libraries are nearly always symlinks.
    fn enter_last(&self, directory: &Known, name: &OsStr) -> Result<Walk, Fault> {
        if directory.lacks(name) {
            return Err(Fault::System(Errno::NOENT));
        }
        match self.root.read_link(&directory.walk.real, name) {
            Ok(target) => self.cross(directory.walk.clone(), name, target),
            // It is none.
            Err(Fault::System(Errno::INVAL)) => self.enter(directory.walk.clone(), name),
            Err(fault) => {
                if fault == Fault::System(Errno::NOENT) {
                    directory.note_absence(self.root);
                }
                Err(fault)
            }
        }
    }

    /// Goes from a directory to one of its names, through whatever symlinks stand there.
    fn enter(&self, mut walk: Walk, name: &OsStr) -> Result<Walk, Fault> {
        let kind = FileType::from_raw_mode(self.root.status(&walk.real, name)?.st_mode);
        if kind == FileType::Symlink {
            let target = self.root.read_link(&walk.real, name)?;
            return self.cross(walk, name, target);
        }
        walk.real.push(name);
        walk.kind = kind;
        Ok(walk)
    }

    /// Follows a symlink: its target is relative to the link's directory, or to the root.
    fn cross(&self, mut walk: Walk, name: &OsStr, target: PathBuf) -> Result<Walk, Fault> {
        walk.links += 1;
        if walk.links > MAX_LINKS {
            return Err(Fault::Loop);
        }
        let at = walk.real.join(name);
        walk.steps.push(Rc::new(Step::Link { at, target: target.clone() }));
        if target.is_absolute() {
            walk.real = PathBuf::from("/");
        }
        for component in target.components() {
            self.expect_directory(&walk)?;
            walk = self.step(walk, component)?;
        }
        if ends_as_directory(&target) {
            self.expect_directory(&walk)?;
        }
        Ok(walk)
    }

    fn expect_directory(&self, walk: &Walk) -> Result<(), Fault> {
        self.root.handle_of(&walk.real).map(|_| ())
    }
}

impl Walk {
    fn start() -> Self {
        Walk { real: PathBuf::from("/"), steps: Vec::new(), links: 0, kind: FileType::Directory }
    }

    /// A walk that ended at this regular file.
    pub(crate) fn to(real: PathBuf) -> Self {
        Walk { real, steps: Vec::new(), links: 0, kind: FileType::RegularFile }
    }
}

/// `..`: what was entered must still exist for the path to be walked again. At the root it stays.
fn leave(mut walk: Walk) -> Walk {
    let Ok((parent, _)) = split(&walk.real) else { return walk };
    let parent = parent.to_owned();
    let left = std::mem::replace(&mut walk.real, parent);
    walk.steps.push(Rc::new(Step::Left(left)));
    walk.kind = FileType::Directory;
    walk
}

/// The names and `..` of a path, the last one first: what is left to walk, as a stack.
pub(crate) fn steps_to_walk(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        Component::ParentDir => Some(OsStr::new("..")),
        _ => None,
    })
}

/// Linux opens no longer path.
pub(crate) fn expect_possible(path: &Path) -> Result<(), Fault> {
    if path.as_os_str().len() < PATH_MAX { Ok(()) } else { Err(Fault::System(Errno::NAMETOOLONG)) }
}

pub(crate) fn ends_as_directory(path: &Path) -> bool {
    let last = path.as_os_str().as_encoded_bytes().rsplit(|&byte| byte == b'/').next();
    matches!(last, Some(b"" | b"." | b".."))
}
