//! Locales of glibc (setlocale(3), locale(7)): directories, or parts of an archive.

mod archive;
mod ctype;
mod names;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::system::{Kind, extra};
use super::{Supply, Surroundings, gconv};
use crate::collect::extra::{Extra, ExtraContent};
use crate::collect::files::World;
use crate::collect::loader::Libc;
use crate::need::Need;
use crate::text::printable;
use archive::Archive;
use names::Name;

/// `COMPLOCALEDIR`, the same in every distribution known.
const DIRECTORY: &str = "/usr/lib/locale";
const ARCHIVE: &str = "locale-archive";
const ALIASES: &str = "/usr/share/locale/locale.alias";

/// Bytes of one category. The largest known has 2.7 million.
const MAX_CATEGORY: u64 = 32 << 20;
const IN_DIRECTORIES: Kind<'_, &str> = Kind { directories: &[DIRECTORY], limit: MAX_CATEGORY };

/// All locales of glibc take 230 MB.
const ARCHIVES: Kind<'_, &str> = Kind { directories: &[DIRECTORY], limit: 300 << 20 };

/// Bytes of the list of aliases. The largest known has 3,000.
const MAX_ALIASES: u64 = 1 << 20;
/// Locales of a root. All that glibc knows, in all their sets, are under 1,000.
const MAX_LOCALES: usize = 4_096;

/// The categories in the order of an archive's records (`locale/categories.def` in glibc). The one between
/// `LC_MESSAGES` and `LC_PAPER` is `LC_ALL`, which has no file.
pub(super) const CATEGORIES: [(usize, &str); 12] = [
    (0, "LC_CTYPE"),
    (1, "LC_NUMERIC"),
    (2, "LC_TIME"),
    (3, "LC_COLLATE"),
    (4, "LC_MONETARY"),
    (5, "LC_MESSAGES"),
    (7, "LC_PAPER"),
    (8, "LC_NAME"),
    (9, "LC_ADDRESS"),
    (10, "LC_TELEPHONE"),
    (11, "LC_MEASUREMENT"),
    (12, "LC_IDENTIFICATION"),
];

/// Every locale of the root: the archive as it is, and all directories.
pub(super) fn all(around: &Surroundings<'_>) -> Result<Supply, String> {
    expect_glibc(around)?;
    let directory = Path::new(DIRECTORY);
    let names = around.files.names_there(directory);
    let archive = ARCHIVES.copied(&directory.join(ARCHIVE), &Need::Locales, around);
    if names.len() > MAX_LOCALES {
        return Err(format!("{DIRECTORY} holds more than {MAX_LOCALES} names, which is the limit"));
    }
    let directories = names.iter().flat_map(|name| {
        let directory = directory.join(name);
        CATEGORIES.iter().filter_map(move |(_, category)| file(&directory, category, &Need::Locales, around))
    });
    let extras: Vec<Extra> = archive.into_iter().chain(directories).collect();
    match extras.is_empty() {
        true => Err(format!("there is no locale in {DIRECTORY}; make some with localedef or locale-gen")),
        false => Ok(Supply { extras, modules: Vec::new() }),
    }
}

/// The locale `name`, and the character set that it converts with, if that takes a module.
pub(super) fn one(name: &str, around: &Surroundings<'_>) -> Result<(Supply, Option<String>), String> {
    let Some(found) = Found::find(name, around)? else { return Ok(Default::default()) };
    let charset = Some(found.charset).filter(|charset| !gconv::is_builtin(charset));
    Ok((Supply { extras: found.extras, modules: Vec::new() }, charset))
}

fn expect_glibc(around: &Surroundings<'_>) -> Result<(), String> {
    match around.libc {
        Some(Libc::Musl) => Err("musl needs no locale: its own is UTF-8, and it has no other".to_owned()),
        _ => Ok(()),
    }
}

/// A locale of the root, for an image.
struct Found {
    extras: Vec<Extra>,
    charset: String,
}

impl Found {
    /// As setlocale(3) finds it; nothing where it is built in.
    fn find(name: &str, around: &Surroundings<'_>) -> Result<Option<Found>, String> {
        expect_glibc(around)?;
        if ["C", "POSIX"].contains(&name) {
            return Ok(None);
        }
        let parsed = Name::parse(name).ok_or_else(|| format!("`{}` is no name of a locale", printable(name)))?;
        let need = Need::Locale(name.to_owned());
        let archive = Archive::open(&Path::new(DIRECTORY).join(ARCHIVE), around);
        let alias = expand_alias(name, around);
        // An archive is asked first, and directories only for what it has not (`_nl_find_locale`).
        let wanted = [Some(&parsed), alias.as_ref()];
        let in_archive =
            |archive: &Archive| wanted.into_iter().flatten().find_map(|wanted| archive.read(&wanted.normalized()));
        let found = match archive.as_ref().and_then(in_archive) {
            Some(categories) => Found::of_archive(&parsed.normalized(), categories, &need),
            None => Found::of_directories(&parsed, alias.as_ref(), &need, around),
        };
        found.ok_or_else(|| unknown(name, archive.as_ref(), around)).map(Some)
    }

    fn of_archive(name: &str, categories: archive::Categories, need: &Need) -> Option<Found> {
        let charset = ctype::charset(categories.first()?)?;
        let directory = Path::new(DIRECTORY).join(name);
        let extras = CATEGORIES.iter().zip(categories).map(|((_, category), bytes)| {
            extra(need, directory.join(file_of(category)), ExtraContent::Generated(bytes))
        });
        Some(Found { extras: extras.collect(), charset })
    }

    fn of_directories(name: &Name, alias: Option<&Name>, need: &Need, around: &Surroundings<'_>) -> Option<Found> {
        let directories: Vec<PathBuf> =
            alias.unwrap_or(name).directories().iter().map(|name| Path::new(DIRECTORY).join(name)).collect();
        let find = |(_, category): &(usize, &str)| {
            directories.iter().find_map(|directory| file(directory, category, need, around))
        };
        let mut extras: Vec<Extra> = CATEGORIES.iter().map(find).collect::<Option<_>>()?;
        let ctype = around.files.read_whole(&extras.first()?.at, MAX_CATEGORY).ok()?;
        let charset = ctype::charset(&ctype)?;
        // A locale whose name has a code set is of no other.
        let codeset = alias.unwrap_or(name).codeset();
        if !codeset.is_none_or(|codeset| names::is_same(codeset, &charset) || gconv::is_same(codeset, &charset, around))
        {
            return None;
        }
        // The image has no list of aliases.
        if let Some(alias) = alias {
            let target = PathBuf::from(extras.first()?.at.parent()?.file_name()?);
            let is_other = alias.normalized() != name.normalized();
            let link = extra(need, Path::new(DIRECTORY).join(name.normalized()), ExtraContent::Link(target));
            extras.extend(is_other.then_some(link));
        }
        Some(Found { extras, charset })
    }
}

/// The file of one category in a locale's directory.
fn file(directory: &Path, category: &str, need: &Need, around: &Surroundings<'_>) -> Option<Extra> {
    // It may be a file of that very name as well (`_nl_load_locale`).
    let paths = [directory.join(file_of(category)), directory.join(category)];
    paths.iter().find_map(|path| IN_DIRECTORIES.copied(path, need, around))
}

/// The directory of `LC_MESSAGES` has programs' messages besides.
fn file_of(category: &str) -> PathBuf {
    match category {
        "LC_MESSAGES" => PathBuf::from("LC_MESSAGES/SYS_LC_MESSAGES"),
        other => PathBuf::from(other),
    }
}

/// What the root's list of aliases has for `name` (`_nl_expand_alias`).
fn expand_alias(name: &str, around: &Surroundings<'_>) -> Option<Name> {
    let text = around.files.read_whole(Path::new(ALIASES), MAX_ALIASES).ok()?;
    let lines = text.split(|&byte| byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    let mut words = lines.map(str::split_ascii_whitespace);
    words.find_map(|mut words| {
        let is_alias = words.next().is_some_and(|alias| alias.eq_ignore_ascii_case(name));
        if is_alias { Name::parse(words.next()?) } else { None }
    })
}

fn unknown(name: &str, archive: Option<&Archive>, around: &Surroundings<'_>) -> String {
    const MAX_SHOWN: usize = 8;
    let language = |name: &str| name.split(['_', '.', '@']).next().unwrap_or_default().to_owned();
    let there = names_there(archive, around);
    let near: Vec<String> = there
        .iter()
        .filter(|known| language(known) == language(name))
        .take(MAX_SHOWN)
        .map(|known| printable(known.as_str()).to_string())
        .collect();
    let near = if near.is_empty() { String::new() } else { format!("; there are {}", near.join(", ")) };
    let name = printable(name);
    format!("there is no locale `{name}` in {DIRECTORY}{near}; make it with localedef or locale-gen, or install it")
}

fn names_there(archive: Option<&Archive>, around: &Surroundings<'_>) -> BTreeSet<String> {
    let walker = around.files.walker(World::Root);
    let names = around.files.names_there(Path::new(DIRECTORY));
    let directories = names.iter().filter_map(|name| name.to_str());
    let is_locale = |name: &&str| walker.walk(&Path::new(DIRECTORY).join(name).join("LC_CTYPE")).is_ok();
    let archived = archive.into_iter().flat_map(Archive::names);
    directories.take(MAX_LOCALES).filter(is_locale).map(str::to_owned).chain(archived).collect()
}

/// How numbers stand in a file that begins with `magic`: in the byte order of whoever reads it.
fn byte_order(bytes: &[u8], magic: u32) -> Option<fn([u8; 4]) -> u32> {
    match *bytes.first_chunk()? {
        first if u32::from_le_bytes(first) == magic => Some(u32::from_le_bytes),
        first if u32::from_be_bytes(first) == magic => Some(u32::from_be_bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
