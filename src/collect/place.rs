//! Where each object of a process lies in the image, and what must stand there for the loader to find it.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use super::files::{Files, Spot, World};
use super::glibc::Loaded;
use super::search::{Anchor, Place};
use crate::root::{Fault, Step, Walk};

/// Something that must stand in the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Directory(PathBuf),
    Link {
        at: PathBuf,
        target: PathBuf,
    },
    /// The bytes of an object of the process.
    File {
        at: PathBuf,
        object: usize,
    },
}

/// Where the program goes.
pub(crate) struct ProgramPlace<'a> {
    /// The file name as given.
    pub(crate) name: &'a OsStr,
    pub(crate) install: Option<&'a Path>,
}

/// A process laid out in the image.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// The path of each object as the image's loader opens it.
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) items: Vec<Item>,
}

/// The directory in the image where a name lies, symlinks resolved.
type RealDirectory = PathBuf;

struct Planner<'p, 'r> {
    files: &'p Files<'r>,
    objects: &'p [Loaded],
    builtin: PathBuf,
    layout: Layout,
    /// Of each object that does not lie where it lies on this machine.
    moved: HashMap<usize, RealDirectory>,
}

/// Lays out the objects of a process. `builtin` is the loader's first builtin directory.
pub(crate) fn lay_out(
    files: &Files<'_>,
    objects: &[Loaded],
    program: &ProgramPlace<'_>,
    builtin: PathBuf,
) -> Result<Layout, Fault> {
    let mut planner = Planner { files, objects, builtin, layout: Layout::default(), moved: HashMap::new() };
    planner.place_program(program);
    for index in 1..objects.len() {
        planner.place_object(index)?;
    }
    Ok(planner.layout)
}

impl Planner<'_, '_> {
    fn place_program(&mut self, program: &ProgramPlace<'_>) {
        let at = match program.install {
            Some(install) => install.to_owned(),
            None => self.default_directory(program.name).join(program.name),
        };
        self.moved.insert(0, parent(&at).to_owned());
        self.layout.items.push(Item::File { at: at.clone(), object: 0 });
        self.layout.paths.push(at);
    }

    /// `/`, or below `/opt/<name>` as many of its own directories as what it reaches by `$ORIGIN` climbs out of.
    fn default_directory(&self, name: &OsStr) -> PathBuf {
        let Some(levels) = self.levels_above_program() else { return PathBuf::from("/") };
        let own: Vec<Component<'_>> = parent(&self.objects[0].opened.walk.real).components().skip(1).collect();
        let kept = &own[own.len().saturating_sub(levels)..];
        Path::new("/opt").join(name).join(kept.iter().collect::<PathBuf>())
    }

    /// How far above the program's directory its `$ORIGIN` leads; `None` where nothing is reached by it.
    fn levels_above_program(&self) -> Option<usize> {
        let mut depths: HashMap<usize, i64> = HashMap::from([(0, 0)]);
        let mut highest = None;
        for (index, object) in self.objects.iter().enumerate().skip(1) {
            let places = std::iter::once(&object.place).chain(object.aliases.iter().map(|alias| &alias.place));
            for (number, place) in places.enumerate() {
                let Anchor::Origin { owner, suffix } = &place.anchor else { continue };
                let Some(&from) = depths.get(owner) else { continue };
                let (lowest, end) = climb(from, Path::new(suffix));
                highest = highest.max(Some(-lowest));
                if number == 0 {
                    depths.insert(index, end);
                }
            }
        }
        highest.map(|levels| usize::try_from(levels).unwrap_or(0))
    }

    fn place_object(&mut self, index: usize) -> Result<(), Fault> {
        let object = &self.objects[index];
        let path = self.image_path(&object.place, &object.name);
        self.layout.paths.push(path);
        if let Some(directory) = self.place(index, &object.place, &object.name, &object.opened.walk)? {
            self.moved.insert(index, directory);
        }
        for alias in &object.aliases {
            let name = alias.place.spot.path.file_name().unwrap_or(&object.name);
            self.place(index, &alias.place, name, &alias.opened.walk)?;
        }
        Ok(())
    }

    /// The path by which the image's loader opens it.
    fn image_path(&self, place: &Place, name: &OsStr) -> PathBuf {
        match &place.anchor {
            Anchor::Fixed => place.spot.path.clone(),
            Anchor::Caller => self.builtin.join(name),
            Anchor::Origin { owner, suffix } => {
                let directory = parent(&self.layout.paths[*owner]);
                let mut path = match directory == Path::new("/") {
                    true => OsString::new(),
                    false => directory.as_os_str().to_owned(),
                };
                path.push(suffix);
                path.into()
            }
        }
    }

    /// Puts one path of an object into the image; answers the directory where that differs from this machine.
    fn place(
        &mut self,
        object: usize,
        place: &Place,
        name: &OsStr,
        walk: &Walk,
    ) -> Result<Option<RealDirectory>, Fault> {
        match &place.anchor {
            Anchor::Caller => Ok(Some(self.place_in_builtin(object, name))),
            Anchor::Origin { owner, suffix } if self.moved.contains_key(owner) => {
                let from = self.moved[owner].clone();
                self.place_relative(object, &place.spot, Path::new(suffix), from).map(Some)
            }
            Anchor::Origin { .. } | Anchor::Fixed => {
                self.cross(walk);
                self.layout.items.push(Item::File { at: walk.real.clone(), object });
                Ok(None)
            }
        }
    }

    /// Keeps what a path leads through.
    fn cross(&mut self, walk: &Walk) {
        self.layout.items.extend(walk.steps.iter().map(|step| match step.as_ref() {
            Step::Left(directory) => Item::Directory(directory.clone()),
            Step::Link { at, target } => Item::Link { at: at.clone(), target: target.clone() },
        }));
    }

    fn place_in_builtin(&mut self, object: usize, name: &OsStr) -> RealDirectory {
        let directory = match self.files.walker(World::Root).directory(&self.builtin) {
            Ok(walk) => {
                self.cross(&walk);
                walk.real
            }
            Err(_) => self.builtin.clone(),
        };
        self.layout.items.push(Item::File { at: directory.join(name), object });
        directory
    }

    /// Walks the same way in both trees at once. A link to a neighbour, as libraries have them, is kept; others lead
    /// to places that mean nothing in the image, and what they lead to is put where they stand.
    fn place_relative(
        &mut self,
        object: usize,
        spot: &Spot,
        suffix: &Path,
        mut image: RealDirectory,
    ) -> Result<RealDirectory, Fault> {
        let walker = self.files.walker(spot.world);
        let mut real = walker.directory(&origin_of(spot, suffix))?.real;
        let components: Vec<Component<'_>> = suffix.components().collect();
        let Some((Component::Normal(name), directories)) = components.split_last() else {
            return Err(Fault::Directory);
        };
        for component in directories {
            match component {
                Component::Normal(name) => {
                    real = walker.directory(&real.join(name))?.real;
                    image.push(name);
                }
                Component::ParentDir => {
                    self.layout.items.push(Item::Directory(image.clone()));
                    real.pop();
                    image.pop();
                }
                _ => {}
            }
        }
        let mut name = name.to_os_string();
        while let Some(target) = neighbour(&walker.walk(&real.join(&name))?, &real.join(&name)) {
            let link = Item::Link { at: image.join(&name), target: target.clone() };
            self.layout.items.push(link);
            name = target.into_os_string();
        }
        self.layout.items.push(Item::File { at: image.join(name), object });
        Ok(image)
    }
}

/// What `$ORIGIN` was in a path that consists of it and `suffix`.
fn origin_of(spot: &Spot, suffix: &Path) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    let path = spot.path.as_os_str().as_bytes();
    let origin = path.strip_suffix(suffix.as_os_str().as_bytes()).unwrap_or(path);
    if origin.is_empty() { PathBuf::from("/") } else { PathBuf::from(OsStr::from_bytes(origin)) }
}

/// The target of the link at `path` where it is a name in the same directory.
fn neighbour(walk: &Walk, path: &Path) -> Option<PathBuf> {
    match walk.steps.first()?.as_ref() {
        Step::Link { at, target } if at == path && is_one_name(target) => Some(target.clone()),
        _ => None,
    }
}

fn is_one_name(target: &Path) -> bool {
    matches!(target.components().collect::<Vec<_>>().as_slice(), [Component::Normal(_)])
}

/// The lowest and the last depth on the way from a directory at depth `from` to the directory of `path`.
fn climb(from: i64, path: &Path) -> (i64, i64) {
    let directories = path.parent().unwrap_or(path).components();
    directories.fold((from.min(0), from), |(lowest, depth), component| {
        let depth = match component {
            Component::ParentDir => depth - 1,
            Component::Normal(_) => depth + 1,
            _ => depth,
        };
        (lowest.min(depth), depth)
    })
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}
