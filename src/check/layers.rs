//! The layers of an image, applied in order (OCI image spec, "Image Layer Filesystem Changeset").

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::blob::Blob;
use super::codec::{self, Layer};
use super::content::{Contents, Reading};
use super::limits::{Budget, MAX_STEPS, PathBudget};
use super::members::{Kind, Member, Members};
use super::names::{expect_possible, inside};
use super::view::{FileNode, Node, Nodes};
use crate::error::Cause;
use crate::root::{MAX_LINKS, steps_to_walk};
use crate::text::printable;

/// How the name of a whiteout begins.
const WHITEOUT: &[u8] = b".wh.";
/// How the names of AUFS begin, which stand for no file.
const META: &[u8] = b".wh..wh.";
/// The name that hides all that lower layers have in a directory.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The mode of a directory that no member is, and that one lies in, as engines make it.
const IMPLIED: u32 = 0o755;

/// The file tree of an image, as far as it was put together.
pub(super) struct Layers {
    /// By path, so that what is below a directory stands together.
    nodes: BTreeMap<OsString, Node<'static>>,
    contents: Contents,
    decompressed: Budget,
    paths: PathBudget,
    /// The directory that the last path was in, and where it leads.
    last: Option<(PathBuf, PathBuf)>,
}

/// What one layer changes.
#[derive(Default)]
struct Changes {
    removed: Vec<Removed>,
    put: Vec<(PathBuf, Put)>,
}

enum Removed {
    Path(PathBuf),
    /// All that is in a directory.
    Below(PathBuf),
}

enum Put {
    Node(Node<'static>),
    /// A further name of the file at this path.
    HardLink(PathBuf),
}

impl Layers {
    pub(super) fn new(reading: Reading) -> Self {
        Layers {
            nodes: BTreeMap::new(),
            contents: Contents::new(reading),
            decompressed: codec::budget(),
            paths: PathBudget::of_image(),
            last: None,
        }
    }

    pub(super) fn finish(self) -> (Nodes<'static>, Contents) {
        (self.nodes.into_iter().map(|(path, node)| (path.into(), node)).collect(), self.contents)
    }

    /// Whiteouts hide what lower layers have, and nothing of their own layer, wherever in it they stand.
    pub(super) fn apply(&mut self, blob: Blob) -> Result<(), Cause> {
        let Changes { removed, put } = self.read(blob)?;
        removed.iter().try_for_each(|removed| self.hide(removed))?;
        put.into_iter().try_for_each(|(path, put)| self.put(&path, put))
    }

    fn read(&mut self, blob: Blob) -> Result<Changes, Cause> {
        let Layers { contents, decompressed, paths, .. } = self;
        let mut members = Members::of(Layer::open(blob, decompressed)?);
        let mut changes = Changes::default();
        while let Some(member) = members.next()? {
            let path = inside(Path::new("/"), &member.path)?;
            paths.spend(&path)?;
            match Marker::of(&path) {
                Some(Marker::Removes(removed)) => changes.removed.push(removed),
                Some(Marker::MeansNothing) => {}
                None => changes.put.push((path.clone(), read_member(&path, member, &mut members, contents, paths)?)),
            }
        }
        members.into_source().finish()?;
        Ok(changes)
    }

    fn hide(&mut self, removed: &Removed) -> Result<(), Cause> {
        match removed {
            Removed::Path(path) => {
                let Some(real) = self.find(path)? else { return Ok(()) };
                self.nodes.remove(real.as_os_str());
                self.remove_below(&real);
            }
            Removed::Below(path) => {
                let Some(real) = self.enter(path, Absent::Stays)? else { return Ok(()) };
                self.remove_below(&real);
            }
        }
        Ok(())
    }

    fn put(&mut self, path: &Path, put: Put) -> Result<(), Cause> {
        let Some(real) = self.place(path)? else { return Ok(()) };
        if real != path {
            // Links can make a short path a long one.
            self.paths.spend_target(&real)?;
        }
        let node = match put {
            Put::Node(node) => node,
            Put::HardLink(target) => self.linked(path, &target)?,
        };
        let is_directory = matches!(node, Node::Directory(_));
        match self.nodes.insert(real.clone().into_os_string(), node) {
            // Its content is that of both.
            Some(Node::Directory(_)) if is_directory => return Ok(()),
            Some(Node::Directory(_)) => self.remove_below(&real),
            Some(_) => {}
            None => return Ok(()),
        }
        self.last = None;
        Ok(())
    }

    /// What a hard link is one more name of; the last name of its path is not followed.
    fn linked(&mut self, path: &Path, target: &Path) -> Result<Node<'static>, Cause> {
        let real = self.find(target)?;
        match real.and_then(|real| self.nodes.get(real.as_os_str())) {
            Some(Node::Directory(_)) | None => Err(Cause::malformed(format!(
                "{} is a hard link to {}, where no file is",
                printable(path),
                printable(target)
            ))),
            Some(node) => Ok(node.clone()),
        }
    }

    /// Where the member at `path` lands: what leads there is followed inside the image, and made where it is absent.
    /// `None` for the root itself.
    fn place(&mut self, path: &Path) -> Result<Option<PathBuf>, Cause> {
        let Some((parent, name)) = path.parent().zip(path.file_name()) else { return Ok(None) };
        if let Some((_, real)) = self.last.as_ref().filter(|(last, _)| last == parent) {
            return Ok(Some(real.join(name)));
        }
        let real = self.enter(parent, Absent::IsMade)?.ok_or_else(|| in_no_directory(path))?;
        self.last = Some((parent.to_owned(), real.clone()));
        Ok(Some(real.join(name)))
    }

    /// Where `path` is, its last name not followed; `None` where its directory is absent.
    fn find(&mut self, path: &Path) -> Result<Option<PathBuf>, Cause> {
        let Some((parent, name)) = path.parent().zip(path.file_name()) else { return Ok(None) };
        Ok(self.enter(parent, Absent::Stays)?.map(|parent| parent.join(name)))
    }

    /// Where the directory at `path` is; `None` where there is none.
    fn enter(&mut self, path: &Path, absent: Absent) -> Result<Option<PathBuf>, Cause> {
        let mut rest: Vec<OsString> = steps_to_walk(path).map(OsStr::to_owned).collect();
        let mut real = PathBuf::from("/");
        let (mut links, mut steps) = (0, 0);
        while let Some(name) = rest.pop() {
            steps += 1;
            if name == ".." {
                real.pop();
                continue;
            }
            real.push(name);
            match self.nodes.get(real.as_os_str()) {
                Some(Node::Directory(_)) => {}
                Some(Node::Link(target)) => {
                    links += 1;
                    real = if target.is_absolute() { PathBuf::from("/") } else { parent_of(&real) };
                    rest.extend(steps_to_walk(target).map(OsStr::to_owned));
                }
                None if absent == Absent::IsMade => self.make_directory(&real)?,
                Some(_) | None => return Ok(None),
            }
            if links > MAX_LINKS || steps > MAX_STEPS {
                return Err(Cause::malformed(format!("{} leads through too many symlinks", printable(path))));
            }
        }
        Ok(Some(real))
    }

    fn make_directory(&mut self, real: &Path) -> Result<(), Cause> {
        expect_possible(real)?;
        self.paths.spend(real)?;
        self.nodes.insert(real.as_os_str().to_owned(), Node::Directory(IMPLIED));
        Ok(())
    }

    fn remove_below(&mut self, directory: &Path) {
        self.last = None;
        let end = |last: u8| {
            let mut path = directory.as_os_str().as_bytes().to_vec();
            path.truncate(if path == b"/" { 0 } else { path.len() });
            path.push(last);
            OsString::from_vec(path)
        };
        // What is below begins with a slash, and `0` is the byte behind that.
        let below: Vec<OsString> = self.nodes.range(end(b'/')..end(b'0')).map(|(path, _)| path.clone()).collect();
        below.iter().for_each(|path| drop(self.nodes.remove(path)));
    }
}

/// What becomes of a directory that a path leads through, and that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absent {
    Stays,
    IsMade,
}

fn parent_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}

fn in_no_directory(path: &Path) -> Cause {
    Cause::malformed(format!("{} would be in what is no directory", printable(path)))
}

/// A name that stands for no file.
enum Marker {
    Removes(Removed),
    MeansNothing,
}

impl Marker {
    fn of(path: &Path) -> Option<Marker> {
        let name = path.file_name()?.as_bytes();
        let directory = parent_of(path);
        if name == OPAQUE {
            return Some(Marker::Removes(Removed::Below(directory)));
        }
        if path.iter().any(|name| name.as_bytes().starts_with(META)) {
            return Some(Marker::MeansNothing);
        }
        match name.strip_prefix(WHITEOUT)? {
            b"" | b"." | b".." => Some(Marker::MeansNothing),
            name => Some(Marker::Removes(Removed::Path(directory.join(OsStr::from_bytes(name))))),
        }
    }
}

fn read_member(
    path: &Path,
    member: Member,
    members: &mut Members<Layer<'_>>,
    contents: &mut Contents,
    paths: &mut PathBudget,
) -> Result<Put, Cause> {
    Ok(Put::Node(match member.kind {
        Kind::File => {
            let name = path.file_name().unwrap_or_default();
            let mut data = if contents.compares() { members.hashed_data() } else { members.data() };
            let file = contents.passing(name, member.mode, member.size, &mut data)?;
            let content = data.finish()?.map(|sha256| contents.identify(sha256));
            Node::File(FileNode { capabilities: member.capabilities, content, ..file })
        }
        Kind::Sparse => {
            let why = Cause::Unsupported("it is stored without its holes, in a form that is not read here".into());
            Node::File(contents.unknown(member.mode, why))
        }
        Kind::Directory => Node::Directory(member.mode),
        Kind::Symlink(target) => {
            expect_possible(&target)?;
            paths.spend_target(&target)?;
            Node::Link(target.into())
        }
        Kind::HardLink(target) => {
            let target = inside(Path::new("/"), &target)?;
            paths.spend_target(&target)?;
            return Ok(Put::HardLink(target));
        }
        Kind::Special => Node::Special,
    }))
}
