//! Names and search paths of an object, with their tokens replaced (`fillin_rpath` and `_dl_dst_substitute` in glibc).

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::files::Spot;
use super::loader::GlibcBuild;
use super::process::PROGRAM;
use super::search::{Anchor, Place};
use super::setting::Setting;
use super::tokens::{self, Piece};
use crate::analyze::{Machine, glibc};
use crate::root::PATH_MAX;

/// Replaces tokens as the loader of one process does.
pub(crate) struct Expander<'b> {
    pub(crate) build: &'b GlibcBuild,
    pub(crate) machine: Machine,
    pub(crate) setting: &'b Setting,
}

/// Who a string belongs to.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'o> {
    pub(crate) object: usize,
    /// Where its `$ORIGIN` is.
    pub(crate) origins: &'o [Spot],
}

/// A requested name, its tokens replaced.
pub(crate) struct Name {
    pub(crate) text: OsString,
    /// What follows where the name begins with `$ORIGIN`.
    pub(crate) after_origin: Option<OsString>,
    /// Where it is, if it is a path relative to a working directory that is known.
    pub(crate) absolute: Option<PathBuf>,
    /// Whether each of its tokens has a value.
    has_value: bool,
    /// Whether it has tokens, and the program gains rights: the loader allows none then.
    pub(crate) is_forbidden: bool,
    pub(crate) uses_platform: bool,
}

/// A search path, its tokens replaced.
#[derive(Clone)]
pub(crate) struct PathList {
    pub(crate) places: Arc<[Place]>,
    /// Its elements that mean a working directory that is not known.
    pub(crate) relative: Vec<OsString>,
    pub(crate) uses_platform: bool,
}

/// Why a name with a slash that is not absolute cannot be resolved, whichever libc's loader asks for it.
pub(crate) const RELATIVE_NAME: &str = "a path relative to the working directory, which is not known; give the \
                                        image a working directory, or link with a plain name or an absolute path";

impl Name {
    /// One that stands for itself.
    fn plain(name: &OsStr) -> Name {
        let text = name.to_owned();
        Name { text, after_origin: None, absolute: None, has_value: true, is_forbidden: false, uses_platform: false }
    }

    pub(crate) fn has_slash(&self) -> bool {
        self.text.as_bytes().contains(&b'/')
    }

    fn is_relative(&self) -> bool {
        self.has_slash() && !self.text.as_bytes().starts_with(b"/")
    }

    /// Why no search can be made for it.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        if self.is_forbidden {
            Some(
                "a name with a token such as $ORIGIN, which the loader does not allow where a program gains rights by being \
                  run (setuid, setgid or file capabilities); link with a plain name",
            )
        } else if !self.has_value {
            Some("a name with a token that has no value for this program")
        } else if self.text.is_empty() {
            Some("an empty name")
        } else if self.is_relative() && self.absolute.is_none() {
            Some(RELATIVE_NAME)
        } else {
            None
        }
    }

    /// The path of a name with a slash.
    pub(crate) fn path(&self) -> PathBuf {
        self.absolute.clone().unwrap_or_else(|| PathBuf::from(&self.text))
    }
}

impl Expander<'_> {
    /// A name in a dynamic section.
    pub(crate) fn name(&self, owner: Owner<'_>, name: &OsStr) -> Name {
        let is_plain = memchr::memchr2(b'$', b'/', name.as_bytes()).is_none();
        if is_plain { Name::plain(name) } else { self.expanded_name(owner, name) }
    }

    fn expanded_name(&self, owner: Owner<'_>, name: &OsStr) -> Name {
        let pieces = tokens::split(name.as_bytes());
        let uses_platform = pieces.contains(&Piece::Platform);
        let has_tokens = pieces.iter().any(|piece| !matches!(piece, Piece::Text(_)));
        let is_forbidden = self.setting.is_secure && has_tokens;
        let origin = owner.origins.first().map(|spot| spot.path.as_path());
        let Some(text) = self.text(&pieces, origin) else {
            return Name {
                text: name.to_owned(),
                after_origin: None,
                absolute: None,
                has_value: false,
                is_forbidden,
                uses_platform,
            };
        };
        let text = OsString::from_vec(text);
        let after_origin = match pieces.as_slice() {
            [Piece::Origin, rest @ ..] => self.text(rest, origin).map(OsString::from_vec),
            _ => None,
        };
        let mut name = Name { text, after_origin, absolute: None, has_value: true, is_forbidden, uses_platform };
        if name.is_relative() {
            name.absolute = self.setting.absolute(&name.text);
        }
        name
    }

    /// The directories of a list, each once; a list of nothing is no list.
    pub(crate) fn list(&self, owner: Owner<'_>, list: &OsStr) -> PathList {
        let mut places: Vec<Place> = Vec::new();
        let mut relative = Vec::new();
        let mut known = HashSet::new();
        let mut uses_platform = false;
        let elements = list.as_bytes().split(|&byte| byte == b':').filter(|_| !list.is_empty());
        for element in elements {
            let pieces = tokens::split(element);
            uses_platform |= pieces.contains(&Piece::Platform);
            for place in self.element(owner, &pieces) {
                match self.absolute(place) {
                    Some(place) if known.insert(place.spot.clone()) => places.push(place),
                    Some(_) => {}
                    None => relative.push(OsString::from_vec(element.to_vec())),
                }
            }
        }
        PathList { places: places.into(), relative, uses_platform }
    }

    fn absolute(&self, place: Place) -> Option<Place> {
        match place.spot.path.is_absolute() {
            true => Some(place),
            false => self.setting.absolute(place.spot.path.as_os_str()).map(Place::fixed),
        }
    }

    /// All that an element can stand for: the `$ORIGIN` of a program from outside a sysroot is in two places. Nothing,
    /// where a token has no value.
    fn element(&self, owner: Owner<'_>, pieces: &[Piece<'_>]) -> Vec<Place> {
        if !self.may_use_origin(owner, pieces) {
            return Vec::new();
        }
        match pieces.contains(&Piece::Origin) {
            true => owner.origins.iter().filter_map(|origin| self.place(owner, pieces, Some(origin))).collect(),
            false => self.place(owner, pieces, None).into_iter().collect(),
        }
    }

    /// An element with its tokens replaced, hanging on its owner where it begins with `$ORIGIN`.
    fn place(&self, owner: Owner<'_>, pieces: &[Piece<'_>], origin: Option<&Spot>) -> Option<Place> {
        let text = self.text(pieces, origin.map(|spot| spot.path.as_path()))?;
        let path = PathBuf::from(OsString::from_vec(without_slashes_at_end(&text).to_vec()));
        match (origin, pieces) {
            (Some(spot), [Piece::Origin, rest @ ..]) => {
                let rest = self.text(rest, Some(&spot.path))?;
                let suffix = OsString::from_vec(trim_end_slashes(&rest).to_vec());
                let anchor = Anchor::Origin { owner: owner.object, suffix };
                Some(Place { spot: Spot { world: spot.world, path }, anchor })
            }
            _ => Some(Place::fixed(path)),
        }
    }

    /// In a program that gains rights, `$ORIGIN` counts only at the start of a string; and the program's own only where
    /// the string leads to a builtin directory or below one (`_dl_dst_substitute` in glibc).
    fn may_use_origin(&self, owner: Owner<'_>, pieces: &[Piece<'_>]) -> bool {
        if !self.setting.is_secure || !pieces.contains(&Piece::Origin) {
            return true;
        }
        let at_start = match pieces {
            [Piece::Origin] => true,
            [Piece::Origin, rest @ ..] => {
                matches!(rest[0], Piece::Text(text) if text.starts_with(b"/")) && !rest.contains(&Piece::Origin)
            }
            _ => false,
        };
        at_start && (owner.object != PROGRAM || owner.origins.iter().any(|origin| self.is_trusted(pieces, origin)))
    }

    fn is_trusted(&self, pieces: &[Piece<'_>], origin: &Spot) -> bool {
        let Some(text) = self.text(pieces, Some(&origin.path)) else { return false };
        let path = normalized(Path::new(OsStr::from_bytes(&text)));
        self.build.directories.iter().any(|directory| path.starts_with(directory))
    }

    /// `None` where a token has no value, or no path is as long.
    fn text(&self, pieces: &[Piece<'_>], origin: Option<&Path>) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        for piece in pieces {
            text.extend_from_slice(match piece {
                Piece::Text(text) => text,
                Piece::Origin => origin.map(|path| path.as_os_str().as_bytes()).unwrap_or_default(),
                Piece::Lib => self.build.lib.as_slice(),
                Piece::Platform => self.platform()?.as_bytes(),
            });
            // No such path can be opened, and with enough tokens it would fill the memory.
            if text.len() > PATH_MAX {
                return None;
            }
        }
        Some(text)
    }

    fn platform(&self) -> Option<&'static str> {
        self.setting.cpu.platform.or_else(|| glibc::platforms(self.machine).first().copied())
    }
}

/// Without `.` and `..`, by the text alone (`is_trusted_path_normalize` in glibc).
fn normalized(path: &Path) -> PathBuf {
    let mut normalized = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => normalized.push(name),
            Component::ParentDir => {
                normalized.pop();
            }
            _ => {}
        }
    }
    normalized
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
