//! Where each object of a process lies in the image, and what must stand there for the loader to find it.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::files::{Files, Spot, World};
use super::process::Loaded;
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
    let depths = depths_below_program(objects);
    let layout = Layout { paths: vec![PathBuf::new(); objects.len()], items: Vec::new() };
    let mut planner = Planner { files, objects, builtin, layout, moved: HashMap::new() };
    // Where the program lies can depend on the links that the others cross, but not the other way round.
    let (own, others): (Vec<usize>, Vec<usize>) = (1..objects.len()).partition(|index| depths.contains_key(index));
    others.into_iter().try_for_each(|index| planner.place_object(index))?;
    planner.place_program(program, &depths);
    own.into_iter().try_for_each(|index| planner.place_object(index))?;
    Ok(planner.layout)
}

/// Of each object that is reached by the program's `$ORIGIN`: how far below the program's directory its own is, and the
/// highest point on the way. Negative is above.
fn depths_below_program(objects: &[Loaded]) -> HashMap<usize, Depth> {
    let mut depths: HashMap<usize, Depth> = HashMap::from([(0, Depth { end: 0, highest: 0 })]);
    for (index, object) in objects.iter().enumerate().skip(1) {
        let aliases = object.aliases.iter().map(|alias| &alias.place);
        for place in std::iter::once(&object.place).chain(aliases) {
            let Anchor::Origin { owner, suffix } = &place.anchor else { continue };
            let Some(from) = depths.get(owner).map(|depth| depth.end) else { continue };
            let depth = climb(from, suffix);
            let known = depths.entry(index).or_insert(depth);
            known.highest = known.highest.min(depth.highest);
        }
    }
    depths
}

#[derive(Clone, Copy)]
struct Depth {
    end: i64,
    highest: i64,
}

impl Planner<'_, '_> {
    fn place_program(&mut self, program: &ProgramPlace<'_>, depths: &HashMap<usize, Depth>) {
        let path = match program.install {
            Some(install) => install.to_owned(),
            None => self.default_directory(program.name, depths).join(program.name),
        };
        let directory = self.through_links(parent(&path));
        let at = directory.join(path.file_name().unwrap_or(program.name));
        self.moved.insert(0, directory);
        self.layout.items.push(Item::File { at, object: 0 });
        self.layout.paths[0] = path;
    }

    /// `/`, or below `/opt/<name>` as many of its own directories as what it reaches by `$ORIGIN` climbs out of.
    fn default_directory(&self, name: &OsStr, depths: &HashMap<usize, Depth>) -> PathBuf {
        if depths.len() == 1 {
            return PathBuf::from("/");
        }
        let highest = depths.values().map(|depth| depth.highest).min().unwrap_or(0);
        let levels = usize::try_from(-highest).unwrap_or(0);
        let own: Vec<Component<'_>> = parent(&self.objects[0].opened.walk.real).components().skip(1).collect();
        // Above its root there is nothing but the root again; in the image there must be something to climb out of.
        let missing = std::iter::repeat_n(Component::Normal(OsStr::new("root")), levels.saturating_sub(own.len()));
        let kept = &own[own.len().saturating_sub(levels)..];
        Path::new("/opt").join(name).join(missing.chain(kept.iter().copied()).collect::<PathBuf>())
    }

    /// Where a directory is, if one of its parents is a link in the image.
    fn through_links(&self, directory: &Path) -> PathBuf {
        let crosses =
            |prefix: &Path| self.layout.items.iter().any(|item| matches!(item, Item::Link { at, .. } if at == prefix));
        match directory.ancestors().any(crosses) {
            true => self.files.walker(World::Root).directory(directory).map_or(directory.to_owned(), |walk| walk.real),
            false => directory.to_owned(),
        }
    }

    fn place_object(&mut self, index: usize) -> Result<(), Fault> {
        let object = &self.objects[index];
        self.layout.paths[index] = self.image_path(&object.place);
        if let Some(directory) = self.place(index, &object.place, &object.opened.walk)? {
            self.moved.insert(index, directory);
        }
        for alias in &object.aliases {
            self.place(index, &alias.place, &alias.opened.walk)?;
        }
        Ok(())
    }

    /// The path by which the image's loader opens it.
    fn image_path(&self, place: &Place) -> PathBuf {
        match &place.anchor {
            Anchor::Fixed => place.spot.path.clone(),
            Anchor::Caller { below } => self.builtin.join(below),
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
    fn place(&mut self, object: usize, place: &Place, walk: &Walk) -> Result<Option<RealDirectory>, Fault> {
        match &place.anchor {
            Anchor::Caller { below } => Ok(Some(self.place_in_builtin(object, Path::new(below)))),
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

    fn place_in_builtin(&mut self, object: usize, below: &Path) -> RealDirectory {
        let directory = match self.files.walker(World::Root).directory(&self.builtin) {
            Ok(walk) => {
                self.cross(&walk);
                walk.real
            }
            Err(_) => self.builtin.clone(),
        };
        let at = directory.join(below);
        let directory = parent(&at).to_owned();
        self.layout.items.push(Item::File { at, object });
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
        let origin = origin_of(spot, suffix);
        let mut real = walker.directory(&origin)?.real;
        let first = glued(suffix);
        if !first.is_empty() {
            // `$ORIGIN-plugins` is not below the origin, but beside it.
            real = walker.directory(&with_name_ending(&origin, first))?.real;
            image = with_name_ending(&image, first);
        }
        let suffix = Path::new(OsStr::from_bytes(&suffix.as_os_str().as_bytes()[first.len()..]));
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

/// The part of a suffix that belongs to the origin's own name: all before its first slash.
fn glued(suffix: &Path) -> &OsStr {
    let bytes = suffix.as_os_str().as_bytes();
    OsStr::from_bytes(&bytes[..memchr::memchr(b'/', bytes).unwrap_or(bytes.len())])
}

fn with_name_ending(path: &Path, ending: &OsStr) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// Where the way from a directory at depth `from` to the directory of a file ends, and its highest point.
fn climb(from: i64, suffix: &OsStr) -> Depth {
    let path = Path::new(suffix);
    // A name that goes on from the origin's own is beside it.
    let from_above = if glued(path).is_empty() { from } else { from - 1 };
    let start = Depth { end: from_above, highest: from_above.min(0) };
    parent(path).components().fold(start, |depth, component| {
        let end = match component {
            Component::ParentDir => depth.end - 1,
            Component::Normal(_) => depth.end + 1,
            _ => depth.end,
        };
        Depth { end, highest: depth.highest.min(end) }
    })
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}
