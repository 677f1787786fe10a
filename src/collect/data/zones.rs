//! Time zones: `/usr/share/zoneinfo` as it is in the root (tzset(3), tzfile(5)).

use std::ffi::OsString;
use std::path::{Component, Path};

use rustix::io::Errno;

use super::system::{Kind, extra};
use super::{Supply, Surroundings};
use crate::collect::extra::{Extra, ExtraContent};
use crate::collect::files::World;
use crate::need::Need;
use crate::root::{Fault, ListedKind, Step, Walk, Walker};

/// `TZDIR` of every libc and distribution known; musl has others besides, which are never there.
const DIRECTORY: &str = "/usr/share/zoneinfo";

/// A zone, or a list of them. The largest known, `tzdata.zi`, has 110 KB.
const ZONES: Kind<'_, &str> = Kind { directories: &[DIRECTORY], limit: 4 << 20 };

/// What no name of a zone leads to unless somebody spells it out: copies of all zones, without and with leap seconds,
/// and the zone of this machine.
const LEFT_OUT: [&str; 3] = ["posix", "right", "localtime"];

/// Files, links and directories. The largest known tree has 1,800, with what is left out.
const MAX_ENTRIES: usize = 20_000;
/// Directories below one another: `America/Argentina/Buenos_Aires` is the deepest known.
const MAX_DEPTH: usize = 8;

pub(super) fn supply(around: &Surroundings<'_>) -> Result<Supply, String> {
    let walker = around.files.walker(World::Root);
    let directory = Path::new(DIRECTORY);
    let base = around.files.noting(directory, walker.directory(directory)).map_err(|_| absent())?;
    let mut tree = Tree { around, walker, base, extras: Vec::new(), seen: 0 };
    tree.directory(directory, 0)?;
    match tree.extras.is_empty() {
        true => Err(absent()),
        false => Ok(Supply { extras: tree.extras, modules: Vec::new() }),
    }
}

fn absent() -> String {
    format!("there is nothing in {DIRECTORY}; install the package tzdata")
}

struct Tree<'a, 'r> {
    around: &'a Surroundings<'a>,
    walker: &'a Walker<'r>,
    base: Walk,
    extras: Vec<Extra>,
    seen: usize,
}

impl Tree<'_, '_> {
    fn directory(&mut self, path: &Path, depth: usize) -> Result<(), String> {
        let too_large = || format!("{DIRECTORY} is no tree of time zones: it is too large or too deep");
        if depth > MAX_DEPTH {
            return Err(too_large());
        }
        let mut listed = self.list(path).map_err(|_| too_large())?;
        self.seen += listed.len();
        if self.seen > MAX_ENTRIES {
            return Err(too_large());
        }
        listed.retain(|(name, _)| depth > 0 || !LEFT_OUT.iter().any(|left_out| name == left_out));
        listed.into_iter().try_for_each(|(name, kind)| self.entry(&path.join(name), kind, depth))
    }

    /// What a directory holds, in the order of the bytes of the names; nothing where it is gone.
    fn list(&self, path: &Path) -> Result<Vec<(OsString, ListedKind)>, Fault> {
        let real = self.walker.directory(path).map(|walk| walk.real);
        let listed = match real.and_then(|real| self.around.root.list(&real, MAX_ENTRIES)) {
            Err(fault @ Fault::System(Errno::OVERFLOW)) => return Err(fault),
            listed => self.around.files.noting(path, listed).unwrap_or_default(),
        };
        let mut listed: Vec<_> = listed.into_iter().map(|listed| (listed.name, listed.kind)).collect();
        listed.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(listed)
    }

    fn entry(&mut self, path: &Path, kind: ListedKind, depth: usize) -> Result<(), String> {
        match kind {
            ListedKind::Directory => return self.directory(path, depth + 1),
            ListedKind::Symlink => self.extras.extend(self.link(path)),
            ListedKind::File => self.extras.extend(ZONES.copied(path, &Need::TimeZones, self.around)),
            ListedKind::Special => {}
        }
        Ok(())
    }

    /// A link that is good in the image as well: it stays in the tree, and leads to what is taken.
    fn link(&self, path: &Path) -> Option<Extra> {
        let walk = self.walker.walk(path).ok()?;
        let stays = walk.steps.iter().all(|step| self.base.steps.contains(step) || self.is_inside(place_of(step)));
        if !stays || !self.is_inside(&walk.real) {
            return None;
        }
        // A file, or a directory of the tree; the rest cannot be opened.
        if self.walker.open(path).is_err() && self.walker.directory(path).is_err() {
            return None;
        }
        // Its directory is real below the base, so its own step comes first.
        let Some(Step::Link { target, .. }) = walk.steps.get(self.base.steps.len()).map(AsRef::as_ref) else {
            return None;
        };
        Some(extra(&Need::TimeZones, path, ExtraContent::Link(target.clone())))
    }

    fn is_inside(&self, real: &Path) -> bool {
        let Ok(below) = real.strip_prefix(&self.base.real) else { return false };
        let is_left_out = |first: Component<'_>| LEFT_OUT.iter().any(|left_out| first.as_os_str() == *left_out);
        !below.components().next().is_some_and(is_left_out)
    }
}

fn place_of(step: &Step) -> &Path {
    match step {
        Step::Left(at) | Step::Link { at, .. } => at,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Tree;
    use super::{MAX_DEPTH, supply};

    #[test]
    fn files_and_links_of_the_tree_are_taken_and_copies_of_it_are_not() {
        let tree = Tree::new().files(
            &["Etc/UTC", "Europe/Berlin", "tzdata.zi", "posix/Etc/UTC", "right/Etc/UTC"]
                .map(|name| format!("/usr/share/zoneinfo/{name}")),
        );
        let tree = tree.link("/usr/share/zoneinfo/UTC", "Etc/UTC").link("/usr/share/zoneinfo/Etc/Zulu", "../UTC");
        let tree = tree.link("/usr/share/zoneinfo/Berlin", "/usr/share/zoneinfo/Europe/Berlin");
        let tree = tree.link("/usr/share/zoneinfo/Europa", "Europe");
        let tree = tree.link("/usr/share/zoneinfo/Right", "right/Etc/UTC");
        let tree = tree.link("/usr/share/zoneinfo/localtime", "/etc/localtime");
        assert_eq!(
            tree.supplied(supply),
            [
                "/usr/share/zoneinfo/Berlin -> /usr/share/zoneinfo/Europe/Berlin",
                "/usr/share/zoneinfo/Etc/UTC",
                "/usr/share/zoneinfo/Etc/Zulu -> ../UTC",
                "/usr/share/zoneinfo/Europa -> Europe",
                "/usr/share/zoneinfo/Europe/Berlin",
                "/usr/share/zoneinfo/UTC -> Etc/UTC",
                "/usr/share/zoneinfo/tzdata.zi",
            ]
        );
    }

    #[test]
    fn links_that_leave_the_tree_and_what_is_no_file_are_left_out() {
        let mut tree = Tree::new().files(&["/usr/share/zoneinfo/UTC", "/etc/shadow"]);
        tree = tree.link("/etc/back", "/usr/share/zoneinfo/UTC");
        for (name, target) in [
            ("out", "/etc/shadow"),
            ("up", "../../../etc/shadow"),
            ("back", "/etc/back"),
            ("loop", "loop"),
            ("gone", "nowhere"),
            ("around", "../zoneinfo/../../../etc/back"),
        ] {
            tree = tree.link(&format!("/usr/share/zoneinfo/{name}"), target);
        }
        tree = tree.fifo("/usr/share/zoneinfo/fifo");
        assert_eq!(tree.supplied(supply), ["/usr/share/zoneinfo/UTC"]);
    }

    #[test]
    fn a_tree_behind_a_link_is_taken_as_well() {
        let tree = Tree::new().files(&["/opt/zones/UTC"]).link("/opt/zones/Zulu", "UTC");
        let tree = tree.link("/usr/share/zoneinfo", "/opt/zones");
        assert_eq!(
            tree.supplied(supply),
            ["/usr/share/zoneinfo/UTC = /opt/zones/UTC", "/usr/share/zoneinfo/Zulu -> UTC"]
        );
    }

    #[test]
    fn a_tree_that_is_absent_or_too_deep_is_told_in_words() {
        assert!(Tree::new().refused(supply).contains("install the package tzdata"));
        let deep = format!("/usr/share/zoneinfo/{}UTC", "x/".repeat(MAX_DEPTH + 1));
        assert!(Tree::new().files(&[deep]).refused(supply).contains("too deep"));
    }
}
