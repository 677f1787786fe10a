//! Character sets of glibc's iconv(3): its modules, and the lists of them that it reads.

mod cache;
mod config;
mod routes;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::constants::Constants;
use super::system::{Kind, extra, refused};
use super::{Supply, Surroundings};
use crate::analyze::ByteOrder;
use crate::collect::extra::{Extra, ExtraContent};
use crate::collect::files::World;
use crate::collect::loader::Libc;
use crate::collect::process::PROGRAM;
use crate::need::Need;
use crate::text::printable;
use config::{Config, MAX_LINES, set_named};

pub(super) use config::is_builtin;

const LIST: &str = "gconv-modules";
const MORE_LISTS: &str = "gconv-modules.d";
const CACHE: &str = "gconv-modules.cache";

/// Bytes of one list. The largest known has 90,000.
const MAX_LIST: u64 = 1 << 20;
/// Lists in `gconv-modules.d`, where there is one.
const MAX_LISTS: usize = 64;

/// What the root has of gconv.
struct Gconv<'a> {
    directory: PathBuf,
    names: BTreeSet<OsString>,
    lists: Vec<PathBuf>,
    config: Config,
    around: &'a Surroundings<'a>,
}

/// Every character set, with the lists as they are.
pub(super) fn all(around: &Surroundings<'_>) -> Result<Supply, String> {
    let gconv = Gconv::read(around)?;
    let files: BTreeSet<&str> = gconv.config.modules().map(|module| module.file.as_str()).collect();
    let modules = files.into_iter().filter(|file| gconv.has(file)).map(|file| gconv.directory.join(file)).collect();
    let kind = Kind { directories: &[&gconv.directory], limit: MAX_LIST };
    let copied = |path: &PathBuf| kind.copied(path, &Need::Gconv, around);
    let is_there = |path: &PathBuf| around.files.walker(World::Root).walk(path).is_ok();
    let mut extras = Vec::new();
    for list in gconv.lists.iter().filter(|list| is_there(list)) {
        extras.push(copied(list).ok_or_else(|| refused(list, "it is no file of this directory, or too large"))?);
    }
    // What the lists say, it only says again.
    extras.extend(copied(&gconv.directory.join(CACHE)));
    Ok(Supply { extras, modules })
}

/// The character sets `names`, and lists of just these, which they share.
pub(super) fn several(names: &[&str], around: &Surroundings<'_>) -> Result<Supply, String> {
    let gconv = match around.libc {
        Some(Libc::Glibc) if names.iter().all(|name| is_builtin(name)) => return Ok(Supply::default()),
        _ => Gconv::read(around)?,
    };
    let kept = gconv.kept(names)?;
    let Some(need) = names.first().map(|name| Need::Charset((*name).to_owned())) else { return Ok(Supply::default()) };
    let files: BTreeSet<&str> = kept.modules().map(|module| module.file.as_str()).collect();
    let modules = files.into_iter().map(|file| gconv.directory.join(file)).collect();
    let extras = gconv.lists_of(&kept, &need);
    Ok(Supply { extras, modules })
}

/// Whether both are names of one character set.
pub(super) fn is_same(one: &str, other: &str, around: &Surroundings<'_>) -> bool {
    let (one, other) = (set_named(one), set_named(other));
    let gconv = Gconv::read(around);
    one == other || gconv.is_ok_and(|gconv| gconv.config.canonical(&one) == gconv.config.canonical(&other))
}

impl<'a> Gconv<'a> {
    fn read(around: &'a Surroundings<'a>) -> Result<Gconv<'a>, String> {
        match around.libc {
            Some(Libc::Glibc) => {}
            Some(Libc::Musl) => return Err("musl has all its character sets built in, and loads none".to_owned()),
            None => {
                return Err("a static program is tied to the very C library it was linked with, \
                                and can load modules of no other; link it dynamically"
                    .to_owned());
            }
        }
        let directory = directory(around).ok_or_else(|| absent(around))?;
        let names = around.files.names_there(&directory).into_iter().collect();
        let mut gconv = Gconv { directory, names, lists: Vec::new(), config: Config::default(), around };
        gconv.lists = gconv.lists_there()?;
        for path in &gconv.lists {
            gconv.config.add(&around.files.read_whole(path, MAX_LIST).unwrap_or_default());
        }
        match gconv.config.is_too_long() {
            true => Err(exceeded(&gconv.directory, MAX_LINES, "lines in its lists of character sets")),
            false => Ok(gconv),
        }
    }

    /// In the order in which glibc reads them (`__gconv_read_conf`).
    fn lists_there(&self) -> Result<Vec<PathBuf>, String> {
        let more = self.directory.join(MORE_LISTS);
        let names = self.around.files.names_there(&more);
        let names = names.iter().filter(|name| name.as_bytes().ends_with(b".conf"));
        let lists: Vec<PathBuf> = names.map(|name| more.join(name)).collect();
        match lists.len() > MAX_LISTS {
            true => Err(exceeded(&more, MAX_LISTS, "lists of character sets")),
            false => Ok(std::iter::once(self.directory.join(LIST)).chain(lists).collect()),
        }
    }

    fn has(&self, file: &str) -> bool {
        self.names.contains(Path::new(file).as_os_str())
    }

    /// What it takes to convert the sets `names` to any other, and back.
    fn kept(&self, names: &[&str]) -> Result<Config, String> {
        let there = self.config.with_modules(|module| self.has(&module.file));
        let mut kept = Config::default();
        for name in names.iter().filter(|name| !is_builtin(name)) {
            let set = there.canonical(&set_named(name));
            if is_builtin(&set) {
                // Under a name that only the lists have.
                kept.aliases.insert(set_named(name), set);
                continue;
            }
            let ways = routes::to_internal(&there, &set).into_iter().chain(routes::from_internal(&there, &set));
            let ways: Vec<_> = ways.collect();
            if ways.is_empty() {
                return Err(self.unknown(name, &set));
            }
            ways.into_iter().for_each(|module| kept.keep(module));
        }
        kept.keep_aliases_of(&there);
        Ok(kept)
    }

    fn unknown(&self, name: &str, set: &str) -> String {
        let name = printable(name);
        if let Some(module) = self.config.modules().find(|module| module.from == set || module.to == set) {
            let file = self.directory.join(&module.file);
            return format!(
                "the module of the character set `{name}`, {}, is not there; \
                 install glibc-gconv-extra, or libc6 in full",
                printable(&file)
            );
        }
        let near = self.config.near(set);
        match near.is_empty() {
            true => format!("glibc has no character set `{name}`; `iconv -l` lists those that it has"),
            false => format!("glibc has no character set `{name}`; near are {}", near.join(", ")),
        }
    }

    /// Both that glibc may read: the cache, and what it was made of, which counts where `GCONV_PATH` is set.
    fn lists_of(&self, kept: &Config, need: &Need) -> Vec<Extra> {
        let byte_order = self.around.objects.get(PROGRAM).map(|program| program.elf.machine().byte_order);
        let cache = cache::write(kept, &self.directory, byte_order.unwrap_or(ByteOrder::Little));
        let made = |name: &str, bytes| extra(need, self.directory.join(name), ExtraContent::Generated(bytes));
        let text = made(LIST, kept.to_text().into_bytes());
        // Too many sets for its 16 bits are none that anybody has, and glibc reads the text then.
        [Some(text), cache.map(|bytes| made(CACHE, bytes))].into_iter().flatten().collect()
    }
}

fn exceeded(directory: &Path, limit: usize, what: &str) -> String {
    format!("{} has more than {limit} {what}, which is the limit", printable(directory))
}

/// The directory that the C library has built in: one below the directories of its loader. Where the library does not
/// tell, the first that is there.
fn directory(around: &Surroundings<'_>) -> Option<PathBuf> {
    let candidates: Vec<PathBuf> = around.directories.iter().map(|directory| directory.join("gconv")).collect();
    let there: Vec<&PathBuf> = candidates.iter().filter(|directory| has_list(directory, around)).collect();
    let libc = around.objects.iter().find(|object| object.name.as_bytes().starts_with(b"libc.so."));
    let constants = libc.map(|libc| Constants::of(libc, around));
    let is_built_in = |directory: &&&PathBuf| {
        constants.as_ref().is_some_and(|constants| constants.hold_string(directory.as_os_str()))
    };
    there.iter().find(is_built_in).or(there.first()).map(|directory| directory.to_path_buf())
}

fn has_list(directory: &Path, around: &Surroundings<'_>) -> bool {
    [LIST, MORE_LISTS].iter().any(|name| around.files.walker(World::Root).walk(&directory.join(name)).is_ok())
}

fn absent(around: &Surroundings<'_>) -> String {
    let directories: Vec<String> =
        around.directories.iter().map(|directory| printable(&directory.join("gconv")).to_string()).collect();
    format!("there is no {LIST} in {}; install the modules of glibc's iconv", directories.join(", "))
}

#[cfg(test)]
mod tests;
