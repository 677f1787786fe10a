//! Names and search paths of an object, with their tokens replaced (`fillin_rpath` and `_dl_dst_substitute` in glibc).

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::files::Spot;
use super::loader::GlibcBuild;
use super::search::{Anchor, Place};
use super::tokens::{self, Piece};
use crate::analyze::{Machine, glibc};

/// Replaces tokens as the loader of one process does.
pub(crate) struct Expander<'b> {
    pub(crate) build: &'b GlibcBuild,
    pub(crate) machine: Machine,
}

/// A requested name, its tokens replaced.
pub(crate) struct Name {
    pub(crate) text: OsString,
    /// What follows where the name begins with `$ORIGIN`.
    pub(crate) after_origin: Option<OsString>,
    /// Whether each of its tokens has a value.
    has_value: bool,
}

/// A search path, its tokens replaced.
pub(crate) struct PathList {
    pub(crate) places: Rc<[Place]>,
    /// Its elements that mean the working directory.
    pub(crate) relative: Vec<OsString>,
}

/// Why a name with a slash that is not absolute cannot be resolved, whichever libc's loader asks for it.
pub(crate) const RELATIVE_NAME: &str = "a path relative to the working directory, which an image does not fix; \
                                        link with a plain name or an absolute path";

impl Name {
    pub(crate) fn has_slash(&self) -> bool {
        self.text.as_bytes().contains(&b'/')
    }

    /// Why no search can be made for it.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        if !self.has_value {
            Some("a name with a token that has no value on this machine")
        } else if self.text.is_empty() {
            Some("an empty name")
        } else if self.has_slash() && !self.text.as_bytes().starts_with(b"/") {
            Some(RELATIVE_NAME)
        } else {
            None
        }
    }
}

impl Expander<'_> {
    /// A name in a dynamic section. Where a token has several values the first counts.
    pub(crate) fn name(&self, origins: &[Spot], name: &OsStr) -> Name {
        let pieces = tokens::split(name.as_bytes());
        let origin = origins.first().map(|spot| spot.path.as_path());
        let Some(platform) = self.platforms(&pieces).first() else {
            return Name { text: name.to_owned(), after_origin: None, has_value: false };
        };
        let expand = |pieces: &[Piece<'_>]| OsString::from_vec(self.text(pieces, origin, platform));
        let leads = pieces.first() == Some(&Piece::Origin);
        Name { text: expand(&pieces), after_origin: leads.then(|| expand(&pieces[1..])), has_value: true }
    }

    /// The directories of a list, each once; a list of nothing is no list.
    pub(crate) fn list(&self, origins: &[Spot], owner: usize, list: &OsStr) -> PathList {
        let mut places: Vec<Place> = Vec::new();
        let mut relative = Vec::new();
        let mut known = HashSet::new();
        let elements = list.as_bytes().split(|&byte| byte == b':').filter(|_| !list.is_empty());
        for element in elements {
            for place in self.element(origins, owner, element) {
                if !place.spot.path.is_absolute() {
                    relative.push(OsString::from_vec(element.to_vec()));
                } else if known.insert(place.spot.clone()) {
                    places.push(place);
                }
            }
        }
        PathList { places: places.into(), relative }
    }

    /// All that an element can stand for: `$PLATFORM` depends on the CPU, and the `$ORIGIN` of a program from outside
    /// a sysroot is in two places. Nothing, where a token has no value.
    fn element(&self, origins: &[Spot], owner: usize, element: &[u8]) -> Vec<Place> {
        let pieces = tokens::split(element);
        let origins: Vec<Option<&Spot>> = match pieces.contains(&Piece::Origin) {
            true => origins.iter().map(Some).collect(),
            false => vec![None],
        };
        let platforms = self.platforms(&pieces);
        let pairs = origins.iter().flat_map(|&origin| platforms.iter().map(move |platform| (origin, platform)));
        pairs.map(|(origin, platform)| self.place(&pieces, origin, platform, owner)).collect()
    }

    /// An element with its tokens replaced, hanging on its owner where it begins with `$ORIGIN`.
    fn place(&self, pieces: &[Piece<'_>], origin: Option<&Spot>, platform: &str, owner: usize) -> Place {
        let text = self.text(pieces, origin.map(|spot| spot.path.as_path()), platform);
        let path = PathBuf::from(OsString::from_vec(without_slashes_at_end(&text).to_vec()));
        match (origin, pieces) {
            (Some(spot), [Piece::Origin, rest @ ..]) => {
                let rest = self.text(rest, Some(&spot.path), platform);
                let suffix = OsString::from_vec(trim_end_slashes(&rest).to_vec());
                Place { spot: Spot { world: spot.world, path }, anchor: Anchor::Origin { owner, suffix } }
            }
            _ => Place::fixed(path),
        }
    }

    fn platforms(&self, pieces: &[Piece<'_>]) -> &'static [&'static str] {
        if pieces.contains(&Piece::Platform) { glibc::platforms(self.machine) } else { &[""] }
    }

    fn text(&self, pieces: &[Piece<'_>], origin: Option<&Path>, platform: &str) -> Vec<u8> {
        let values = pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Origin => origin.map(|path| path.as_os_str().as_bytes()).unwrap_or_default(),
            Piece::Lib => self.build.lib.as_slice(),
            Piece::Platform => platform.as_bytes(),
        });
        values.collect::<Vec<_>>().concat()
    }
}

/// What `suffix` leads to from each of the owner's origins.
pub(crate) fn places_at(origins: &[Spot], owner: usize, suffix: &OsStr) -> Vec<Place> {
    let place = |origin: &Spot| {
        let mut path = origin.path.clone().into_os_string();
        path.push(suffix);
        let spot = Spot { world: origin.world, path: path.into() };
        Place { spot, anchor: Anchor::Origin { owner, suffix: suffix.to_owned() } }
    };
    origins.iter().map(place).collect()
}

fn trim_end_slashes(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    &text[..end]
}

fn without_slashes_at_end(text: &[u8]) -> &[u8] {
    match trim_end_slashes(text) {
        [] if !text.is_empty() => b"/",
        trimmed => trimmed,
    }
}
