//! `gconv-modules`: which module converts what (`read_conf_file` in glibc's iconv/gconv_conf.c).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// What every set is converted to and from.
pub(super) const INTERNAL: &str = "INTERNAL";

/// Lines of all lists that say something. glibc's own have 1,400.
pub(super) const MAX_LINES: usize = 20_000;
/// Bytes of a name. The longest known has 30.
const MAX_NAME: usize = 128;
/// Aliases of aliases. glibc has none.
const MAX_ALIASES: usize = 8;
/// Names that a message gives.
const MAX_NEAR: usize = 6;
/// Letters at the start by which names are near one another.
const NEAR: usize = 3;

/// A conversion, and the module that does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Module {
    pub(super) from: String,
    pub(super) to: String,
    /// A file name in the directory of the list.
    pub(super) file: String,
    pub(super) cost: u32,
}

/// What the lists say.
#[derive(Debug, Default)]
pub(super) struct Config {
    /// What names stand for.
    pub(super) aliases: BTreeMap<String, String>,
    modules: BTreeMap<(String, String), Module>,
    lines: usize,
}

/// A set that is built into glibc, and the two conversions by the names that a cache gives them (`gconv_builtin.h`).
pub(super) struct Builtin {
    pub(super) set: &'static str,
    pub(super) to_internal: &'static str,
    pub(super) from_internal: &'static str,
    pub(super) aliases: &'static [&'static str],
}

pub(super) const BUILTIN: [Builtin; 6] = [
    Builtin {
        set: "ISO-10646/UCS4/",
        to_internal: "=ucs4->INTERNAL",
        from_internal: "=INTERNAL->ucs4",
        aliases: &[
            "UCS4//",
            "UCS-4//",
            "UCS-4BE//",
            "CSUCS4//",
            "ISO-10646//",
            "10646-1:1993//",
            "10646-1:1993/UCS4/",
            "OSF00010104//",
            "OSF00010105//",
            "OSF00010106//",
        ],
    },
    Builtin { set: "UCS-4LE//", to_internal: "=ucs4le->INTERNAL", from_internal: "=INTERNAL->ucs4le", aliases: &[] },
    Builtin {
        set: "ISO-10646/UTF8/",
        to_internal: "=utf8->INTERNAL",
        from_internal: "=INTERNAL->utf8",
        aliases: &["UTF8//", "UTF-8//", "ISO-IR-193//", "OSF05010001//", "ISO-10646/UTF-8/"],
    },
    Builtin {
        set: "ISO-10646/UCS2/",
        to_internal: "=ucs2->INTERNAL",
        from_internal: "=INTERNAL->ucs2",
        aliases: &["UCS2//", "UCS-2//", "OSF00010100//", "OSF00010101//", "OSF00010102//"],
    },
    Builtin {
        set: "ANSI_X3.4-1968//",
        to_internal: "=ascii->INTERNAL",
        from_internal: "=INTERNAL->ascii",
        aliases: &[
            "ANSI_X3.4//",
            "ISO-IR-6//",
            "ANSI_X3.4-1986//",
            "ISO_646.IRV:1991//",
            "ASCII//",
            "ISO646-US//",
            "US-ASCII//",
            "US//",
            "IBM367//",
            "CP367//",
            "CSASCII//",
            "OSF00010020//",
        ],
    },
    // Which of the two byte orders this is depends on the machine: `REVERSED`.
    Builtin { set: "", to_internal: "=ucs2reverse->INTERNAL", from_internal: "=INTERNAL->ucs2reverse", aliases: &[] },
];

/// UCS-2 of one byte order is the machine's own, and that of the other is built in as well.
pub(super) const LITTLE: [&str; 2] = ["UNICODELITTLE//", "UCS-2LE//"];
pub(super) const BIG: [&str; 2] = ["UNICODEBIG//", "UCS-2BE//"];
pub(super) const WIDE: &str = "WCHAR_T//";

/// Whether glibc converts a set without any module.
pub(in crate::collect::data) fn is_builtin(name: &str) -> bool {
    let set = set_named(name);
    let others = [WIDE, INTERNAL].into_iter().chain(LITTLE).chain(BIG);
    let sets = BUILTIN.iter().flat_map(|builtin| builtin.aliases.iter().copied().chain([builtin.set]));
    others.chain(sets).any(|known| known == set)
}

/// The set that a caller of iconv_open(3) means, as lists write it: in upper case, with two slashes, and without what
/// tells how to convert (`//TRANSLIT`).
pub(super) fn set_named(name: &str) -> String {
    let mut parts = name.trim().split('/');
    let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    format!("{first}/{second}/").to_ascii_uppercase()
}

impl Config {
    /// Adds what a list says; what was said before stands.
    pub(super) fn add(&mut self, text: &[u8]) {
        for line in text.split(|&byte| byte == b'\n') {
            let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
            let Ok(line) = std::str::from_utf8(line) else { continue };
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            match words[..] {
                _ if self.is_too_long() || words.iter().any(|word| !is_name(word)) => {}
                ["alias", alias, set, ..] => self.add_alias(alias, set),
                ["module", from, to, file, ..] => self.add_module(from, to, file, words.get(4).copied()),
                _ => {}
            }
        }
    }

    /// Whether there were more lines than are believed.
    pub(super) fn is_too_long(&self) -> bool {
        self.lines > MAX_LINES
    }

    fn add_alias(&mut self, alias: &str, set: &str) {
        self.lines += 1;
        self.aliases.entry(alias.to_ascii_uppercase()).or_insert_with(|| set.to_ascii_uppercase());
    }

    fn add_module(&mut self, from: &str, to: &str, file: &str, cost: Option<&str>) {
        // A path would lead out of the directory.
        if file.contains('/') {
            return;
        }
        self.lines += 1;
        let file = if file.ends_with(".so") { file.to_owned() } else { format!("{file}.so") };
        let cost = cost.and_then(|cost| cost.parse().ok()).filter(|&cost| cost > 0).unwrap_or(1);
        self.keep(&Module { from: from.to_ascii_uppercase(), to: to.to_ascii_uppercase(), file, cost });
    }

    /// Adds a conversion, unless there is one already that costs no more.
    pub(super) fn keep(&mut self, module: &Module) {
        let key = (module.from.clone(), module.to.clone());
        if self.modules.get(&key).is_none_or(|known| known.cost > module.cost) {
            self.modules.insert(key, module.clone());
        }
    }

    pub(super) fn module(&self, from: &str, to: &str) -> Option<&Module> {
        self.modules.get(&(from.to_owned(), to.to_owned()))
    }

    pub(super) fn modules(&self) -> impl Iterator<Item = &Module> {
        self.modules.values()
    }

    /// The same without the modules that are not wanted.
    pub(super) fn with_modules(&self, is_wanted: impl Fn(&Module) -> bool) -> Config {
        let mut config = Config { aliases: self.aliases.clone(), ..Config::default() };
        self.modules().filter(|module| is_wanted(module)).for_each(|module| config.keep(module));
        config
    }

    /// Takes over the other names of the sets that it has.
    pub(super) fn keep_aliases_of(&mut self, other: &Config) {
        let sets: BTreeSet<String> = self.sets().map(str::to_owned).collect();
        for alias in other.aliases.keys() {
            let set = other.canonical(alias);
            if sets.contains(&set) {
                self.aliases.insert(alias.clone(), set);
            }
        }
    }

    /// All sets but the one that the others are converted to, some more than once.
    pub(super) fn sets(&self) -> impl Iterator<Item = &str> {
        self.modules().flat_map(|module| [module.from.as_str(), module.to.as_str()]).filter(|set| *set != INTERNAL)
    }

    /// The set that a name stands for.
    pub(super) fn canonical(&self, name: &str) -> String {
        let steps = std::iter::successors(Some(name), |name| self.aliases.get(*name).map(String::as_str));
        steps.take(MAX_ALIASES).last().unwrap_or(name).to_owned()
    }

    /// Names that somebody may have meant by `set`.
    pub(super) fn near(&self, set: &str) -> Vec<String> {
        let wanted = letters(set);
        let names = self.sets().chain(self.aliases.keys().map(String::as_str));
        let near = names.filter_map(|name| Some((distance(&wanted, &letters(name))?, name.trim_end_matches('/'))));
        let near: BTreeSet<_> = near.collect();
        near.into_iter().take(MAX_NEAR).map(|(_, name)| name.to_owned()).collect()
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        for (alias, set) in &self.aliases {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "alias\t{alias}\t{set}");
        }
        for Module { from, to, file, cost } in self.modules() {
            let _ = writeln!(text, "module\t{from}\t{to}\t{}\t{cost}", file.strip_suffix(".so").unwrap_or(file));
        }
        text
    }
}

fn is_name(word: &str) -> bool {
    word.len() <= MAX_NAME && word.bytes().all(|byte| byte.is_ascii_graphic())
}

fn letters(name: &str) -> Vec<u8> {
    name.bytes().filter(u8::is_ascii_alphanumeric).collect()
}

/// How far a name is from another: whether more than one letter differs, how many are the same at the start, and how
/// many there are more or fewer. `None` where it is not near at all.
fn distance(one: &[u8], other: &[u8]) -> Option<(bool, Reverse<usize>, usize)> {
    let longer = one.len().max(other.len());
    let start = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let ends = one[start..].iter().rev().zip(other[start..].iter().rev());
    let differing = longer - start - ends.take_while(|(one, other)| one == other).count();
    let is_near = one.len() >= NEAR && (start >= NEAR || differing <= 1);
    is_near.then_some((differing > 1, Reverse(start), one.len().abs_diff(other.len())))
}

#[cfg(test)]
mod tests {
    use super::Config;

    fn near(name: &str) -> Vec<String> {
        let mut config = Config::default();
        for set in ["KOI8-R", "KOI8-U", "NO", "ISO-8859-1", "ISO-8859-15", "ISO-2022-KR", "BIG5"] {
            config.add(format!("module {set}// INTERNAL {set}\n").as_bytes());
        }
        config.near(&format!("{name}//"))
    }

    #[test]
    fn names_are_near_that_start_alike_or_differ_in_one_letter() {
        assert_eq!(near("KOI8"), ["KOI8-R", "KOI8-U"]);
        assert_eq!(near("SO-8859-1"), ["ISO-8859-1"]);
        assert_eq!(near("B1G5"), ["BIG5"]);
        assert_eq!(near("ISO-8859-16"), ["ISO-8859-15", "ISO-8859-1", "ISO-2022-KR"]);
    }

    #[test]
    fn a_name_of_other_letters_is_not_near() {
        for name in ["NOPE", "ON", "", "BG", "XKOI", "8859-15X"] {
            assert!(near(name).is_empty(), "{name}: {:?}", near(name));
        }
    }
}
