//! What differs between two images, whatever form each has.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};
use std::path::Path;

use super::change::Change;
use super::{Lock, text};
use crate::check::{Compared, Held, Images};
use crate::error::{Cause, Result};
use crate::root::{Input, Root, Walker};
use crate::text::printable;

/// What differs between two archives, layouts, root directories or locks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    images: Vec<ImageDiff>,
    only_before: Vec<String>,
    only_after: Vec<String>,
}

/// What differs between two images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageDiff {
    name: Option<String>,
    changes: Vec<Change>,
    settings: Vec<SettingChange>,
}

/// A setting of an image's configuration that differs: `Entrypoint`, `Env`, `User`, `architecture`, ...
///
/// `Display` is a line: `Entrypoint changed: ["/hello"] → ["/bin/hello"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingChange {
    name: String,
    before: Option<String>,
    after: Option<String>,
}

/// What differs between what two paths hold: docker archives, OCI archives, OCI layouts, root directories, and locks, in any
/// pair. `before` is what the changes are told from.
///
/// Images are compared by the finished trees of their files, whatever their layers: path, kind, content, mode, and the
/// capabilities that files have of their own; not by owners, times and other attributes. Where both hold one image, these are
/// compared; otherwise those of one name, and what only one side has is told. Of images that others made, who needs a file is
/// told by the names in dynamic sections, and why something is there is not. Nothing is executed, nothing unpacked,
/// and what is believed of either is bounded as for [`check`](crate::check()).
///
/// ```no_run
/// let diff = scratchpack::diff("yesterday.tar", "today.tar")?;
/// for change in diff.images().iter().flat_map(|image| image.changes()) {
///     println!("{change}");
/// }
/// # Ok::<(), scratchpack::Error>(())
/// ```
///
/// # Errors
/// Those of [`check`](crate::check()) and [`Lock::read`]; [`Unsupported`](crate::ErrorKind::Unsupported) where one side
/// holds several images, and the other is a lock or a directory.
pub fn diff(before: impl AsRef<Path>, after: impl AsRef<Path>) -> Result<Diff> {
    let (before, after) = (Side::open(before.as_ref())?, Side::open(after.as_ref())?);
    match (before.images(), after.images()) {
        (Some(one), Some(other)) if one.names().count() + other.names().count() > 2 => {
            several(&before, &after, one, other)
        }
        _ => {
            before.expect_one()?;
            after.expect_one()?;
            Ok(Diff { images: vec![ImageDiff::of(None, &before.tree(0)?, &after.tree(0)?)], ..Diff::default() })
        }
    }
}

/// As an index of several platforms has them: each is compared with each.
const MOST_OF_ONE_NAME: usize = 4;

/// Each image of one side is compared with those of the other side that have a name of it.
fn several(before: &Side<'_>, after: &Side<'_>, one: &Images, other: &Images) -> Result<Diff> {
    let others: Vec<Vec<&str>> = other.names().map(|names| names.into_iter().map(familiar).collect()).collect();
    let mut diff = Diff::default();
    let mut met = BTreeSet::new();
    let most = MOST_OF_ONE_NAME * (one.names().count() + others.len());
    for (number, names) in one.names().enumerate() {
        let shared =
            others.iter().map(|others| names.iter().map(|name| familiar(name)).find(|name| others.contains(name)));
        let same: Vec<(usize, &str)> = shared.enumerate().filter_map(|(same, name)| Some((same, name?))).collect();
        if same.is_empty() {
            diff.only_before.extend(names.first().map(|name| (*name).to_owned()));
        }
        for (same, name) in same {
            met.insert(same);
            if diff.images.len() == most {
                let why = format!("too many of its images have one name, {}; give each a name", printable(name));
                return Err(Cause::Unsupported(why).on("compare", before.path));
            }
            diff.images.push(ImageDiff::of(Some(name), &before.tree(number)?, &after.tree(same)?));
        }
    }
    let unmet = other.names().enumerate().filter(|(number, _)| !met.contains(number));
    diff.only_after = unmet.filter_map(|(_, names)| names.first().map(|name| (*name).to_owned())).collect();
    Ok(diff)
}

/// As docker shows a name.
fn familiar(name: &str) -> &str {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name)
}

impl Diff {
    /// Each pair of images that was compared, with what differs.
    pub fn images(&self) -> &[ImageDiff] {
        &self.images
    }

    /// The images that are in the first alone, by name.
    pub fn only_before(&self) -> &[String] {
        &self.only_before
    }

    /// The images that are in the second alone, by name.
    pub fn only_after(&self) -> &[String] {
        &self.only_after
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        let differs = |image: &ImageDiff| !image.changes.is_empty() || !image.settings.is_empty();
        self.only_before.is_empty() && self.only_after.is_empty() && !self.images.iter().any(differs)
    }
}

impl ImageDiff {
    fn of(name: Option<&str>, before: &Tree<'_>, after: &Tree<'_>) -> Self {
        let changes = before.lock.changes(&after.lock);
        let both = before.settings.as_ref().zip(after.settings.as_ref());
        let settings = both.map(|(before, after)| SettingChange::all(before, after)).unwrap_or_default();
        ImageDiff { name: name.map(str::to_owned), changes, settings }
    }

    /// What both are called, where there are several images.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What is otherwise in the tree of files, as [`Lock::changes`] has it.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// What is otherwise in the configuration; nothing, where one of the two has none.
    pub fn settings(&self) -> &[SettingChange] {
        &self.settings
    }
}

impl SettingChange {
    fn all(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<SettingChange> {
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let differing = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
        let change = |name: &String| SettingChange {
            name: name.clone(),
            before: before.get(name).cloned(),
            after: after.get(name).cloned(),
        };
        differing.map(change).collect()
    }

    /// As the configuration calls it (OCI image spec, "Image Configuration").
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it was, as JSON; `None` where it was not set.
    pub fn before(&self) -> Option<&str> {
        self.before.as_deref()
    }

    /// What it is, as JSON; `None` where it is not set.
    pub fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }
}

impl Display for SettingChange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, "{name} changed: {} → {}", json(before), json(after)),
            (None, Some(after)) => write!(f, "{name} added: {}", json(after)),
            (Some(before), None) => write!(f, "{name} gone: {}", json(before)),
            (None, None) => Ok(()),
        }
    }
}

/// JSON escapes what no terminal should get, but for some of it.
fn json(text: &str) -> String {
    super::escape::on_a_line(text)
}

/// One of the two.
struct Side<'p> {
    path: &'p Path,
    what: What,
}

enum What {
    Lock(Lock),
    Held(Held),
}

/// What is compared.
struct Tree<'l> {
    lock: Cow<'l, Lock>,
    settings: Option<BTreeMap<String, String>>,
}

impl<'p> Side<'p> {
    fn open(path: &'p Path) -> Result<Self> {
        let machine = Root::host()?;
        let open = || {
            let opened = Walker::new(&machine).open(&std::path::absolute(path)?).map(|(_, input)| input);
            match opened {
                Ok(input) if is_lock(&input)? => Lock::of_input(&input).map(What::Lock),
                opened => Held::of(opened, path).map(What::Held).map_err(or_no_lock),
            }
        };
        open().map(|what| Side { path, what }).map_err(|cause| cause.on("compare", path))
    }

    fn images(&self) -> Option<&Images> {
        match &self.what {
            What::Held(Held::Images(images)) => Some(images),
            What::Lock(_) | What::Held(Held::Directory(_)) => None,
        }
    }

    fn expect_one(&self) -> Result<()> {
        let Some(images) = self.images().filter(|images| images.names().count() > 1) else { return Ok(()) };
        let names: Vec<String> =
            images.names().map(|names| printable(names.first().unwrap_or(&"")).to_string()).collect();
        let why =
            format!("it holds several images, and the other side is one; compare one of them: {}", names.join(", "));
        Err(Cause::Unsupported(why).on("compare", self.path))
    }

    /// The image of this number.
    fn tree(&self, number: usize) -> Result<Tree<'_>> {
        let read = || match &self.what {
            What::Lock(lock) => Ok(Tree { lock: Cow::Borrowed(lock), settings: None }),
            What::Held(Held::Directory(root)) => Compared::of_directory(root).and_then(Tree::of),
            What::Held(Held::Images(images)) => images.compared(number).and_then(Tree::of),
        };
        read().map_err(|cause| cause.on("compare", self.path))
    }
}

/// What is no image might have been meant for a lock.
fn or_no_lock(cause: Cause) -> Cause {
    match cause {
        Cause::NotAnImage(why) => Cause::NotAnImage(format!("{why}; nor is it a lock, {}", text::HOW)),
        cause => cause,
    }
}

fn is_lock(input: &Input) -> Result<bool, Cause> {
    let mut start = [0; text::START];
    let filled = crate::analyze::ReadAt::read_at(input, &mut start, 0)?;
    Ok(text::is_lock(&start[..filled]))
}

impl Tree<'_> {
    fn of(compared: Compared) -> Result<Self, Cause> {
        Ok(Tree { lock: Cow::Owned(Lock::of_tree(&compared.nodes)?), settings: compared.settings })
    }
}
