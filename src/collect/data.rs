//! What a need puts into an image: fixed files of the system, found in the root, or made for the image.
//!
//! What an ELF file says never chooses a file or a directory tree to copy: every path that is looked at is known here,
//! and what a file says can only choose among them.

mod certificates;
mod constants;
mod gconv;
mod locales;
mod nsswitch;
mod openssl;
mod services;
mod system;
mod terminfo;
#[cfg(test)]
mod testing;
mod tmp;
mod users;
mod zones;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use super::extra::{Extra, ExtraContent};
use super::files::{Files, Spot, World};
use super::loader::Libc;
use super::process::Loaded;
use crate::analyze::Elf;
use crate::need::Need;
use crate::root::Root;

/// What is around a program whose needs are met.
pub(super) struct Surroundings<'a> {
    /// Reads the root: [`World::Root`](super::files::World).
    pub(super) files: &'a Files<'a>,
    pub(super) root: &'a Arc<Root>,
    /// The directories in which the program's loader looks for libraries.
    pub(super) directories: &'a [PathBuf],
    /// The program, and all that is loaded with it.
    pub(super) objects: &'a [Neighbour],
    /// `None` for a static program.
    pub(super) libc: Option<Libc>,
    /// Who the image runs as: user and group.
    pub(super) user: Option<(u32, Option<u32>)>,
    /// The environment of the image: `NAME=VALUE`.
    pub(super) environment: &'a [String],
}

/// An object of the process whose needs are met.
#[derive(Clone, Debug)]
pub(super) struct Neighbour {
    /// The name by which it was asked for.
    pub(super) name: OsString,
    pub(super) spot: Spot,
    pub(super) elf: Arc<Elf>,
}

impl Neighbour {
    pub(super) fn of(object: &Loaded) -> Neighbour {
        Neighbour { name: object.name.clone(), spot: object.place.spot.clone(), elf: object.elf.clone() }
    }
}

/// All that is around a program, kept for whoever asks later what its needs would take.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) root: Arc<Root>,
    pub(super) machine: Arc<Root>,
    pub(super) directories: Vec<PathBuf>,
    pub(super) objects: Vec<Neighbour>,
    pub(super) libc: Option<Libc>,
    pub(super) user: Option<(u32, Option<u32>)>,
    pub(super) environment: Vec<String>,
}

impl Kept {
    /// The bytes of the files that meet a need; 0 where nothing does.
    pub(super) fn bytes(&self, need: &Need) -> u64 {
        let files = Files::new(&self.root, &self.machine);
        let supplies = self.supplies(std::slice::from_ref(need), &files).into_iter().flatten();
        supplies.map(|supply| supply.bytes(&files)).sum()
    }

    /// What meets these needs, in their order.
    pub(super) fn supplies(&self, needs: &[Need], files: &Files<'_>) -> Vec<Result<Supply, String>> {
        let around = Surroundings {
            files,
            root: &self.root,
            directories: &self.directories,
            objects: &self.objects,
            libc: self.libc,
            user: self.user,
            environment: &self.environment,
        };
        supplies(needs, &around)
    }
}

/// What meets a need.
#[derive(Debug, Default)]
pub(super) struct Supply {
    pub(super) extras: Vec<Extra>,
    /// Loadable code by its paths in the root, as the library that loads it opens it. Its own closure belongs to it.
    pub(super) modules: Vec<PathBuf>,
}

impl Supply {
    fn and(mut self, other: Supply) -> Supply {
        self.extras.extend(other.extras);
        self.modules.extend(other.modules);
        self
    }

    /// Whether a list that was made for the image has a character set of this name.
    pub(super) fn lists_charset(&self, name: &str) -> bool {
        let name = name.split("//").next().unwrap_or(name).to_ascii_uppercase();
        let text = format!("{name}//");
        let lists = self.extras.iter().filter_map(|extra| match &extra.content {
            ExtraContent::Generated(bytes) => Some(bytes),
            _ => None,
        });
        lists.into_iter().any(|bytes| memchr::memmem::find(bytes, text.as_bytes()).is_some())
    }

    fn bytes(&self, files: &Files<'_>) -> u64 {
        let modules = self.modules.iter().map(|path| Spot { world: World::Root, path: path.clone() });
        let modules = modules.filter_map(|spot| files.input(&spot).ok()).map(|module| module.stamp.size);
        self.extras.iter().map(|extra| extra.content.size()).chain(modules).sum()
    }
}

/// What meets each of these needs; in words why nothing in the root does, and what to do about it.
fn supplies(needs: &[Need], around: &Surroundings<'_>) -> Vec<Result<Supply, String>> {
    let mut charsets: Vec<String> = Vec::new();
    let mut supplies: Vec<_> = needs.iter().map(|need| supply(need, &mut charsets, around)).collect();
    charsets.sort_unstable();
    charsets.dedup();
    // All of them have one list, which comes with the first that is there.
    if !charsets.is_empty() && !needs.contains(&Need::Gconv) {
        let names: Vec<&str> = charsets.iter().map(String::as_str).collect();
        let mut both = needs.iter().zip(&supplies);
        let first =
            both.position(|(need, supply)| supply.is_ok() && matches!(need, Need::Charset(_) | Need::Locale(_)));
        if let Some(first) = first.and_then(|first| supplies.get_mut(first)) {
            let supply = std::mem::replace(first, Ok(Supply::default()));
            *first = supply.and_then(|supply| Ok(supply.and(gconv::several(&names, around)?)));
        }
    }
    supplies
}

fn supply(need: &Need, charsets: &mut Vec<String>, around: &Surroundings<'_>) -> Result<Supply, String> {
    match need {
        Need::Users => Ok(users::supply(around)),
        Need::Nsswitch => Ok(nsswitch::supply()),
        Need::Services => services::supply(around),
        Need::CaCertificates => certificates::supply(around),
        Need::TimeZones => zones::supply(around),
        Need::Locales => locales::all(around),
        Need::Locale(name) => locales::one(name, around).and_then(|(supply, charset)| {
            // What its list needs is looked at with those of the others.
            charset.iter().try_for_each(|charset| gconv::several(&[charset], around).map(drop))?;
            charsets.extend(charset);
            Ok(supply)
        }),
        Need::Gconv => gconv::all(around),
        Need::Charset(name) => gconv::several(&[name], around).map(|_| {
            charsets.push(name.clone());
            Supply::default()
        }),
        Need::Tmp => Ok(tmp::supply()),
        Need::OpenSsl => openssl::supply(around),
        Need::Terminfo => terminfo::common(around),
        Need::Terminal(name) => terminfo::one(name, around),
        // Found by the loader, not among files.
        Need::Library(_) => Ok(Supply::default()),
    }
}

#[cfg(test)]
mod tests;
