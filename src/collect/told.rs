//! What the objects of a process tell of its needs: which symbols tell of what, and how much it matters.

use std::collections::BTreeSet;

use super::hidden::is_glibc;
use super::members::Members;
use super::named::Constants;
use super::process::PROGRAM;
use crate::analyze::Elf;
use crate::finding::Level;
use crate::need::{Clue, Hint, Known, Need};

/// A need, and what in which object tells of it.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) need: Need,
    pub(super) level: Level,
    /// Objects of the process by their numbers, what weighs most first.
    pub(super) clues: Vec<(usize, Clue)>,
    /// What of it the program names among its constants: character sets, locales.
    pub(super) named: Vec<Need>,
}

/// What a hint tells. A library's import weighs less than the program's own: nobody knows whether it is ever reached.
struct Weight {
    hint: Hint,
    need: Need,
    /// In the program itself, in a library that it names itself, and in others.
    levels: [Level; 3],
    /// Whether only glibc has that need.
    is_of_glibc: bool,
}

const fn weight(hint: Hint, need: Need, levels: [Level; 3]) -> Weight {
    Weight { hint, need, levels, is_of_glibc: false }
}

const fn of_glibc(hint: Hint, need: Need, levels: [Level; 3]) -> Weight {
    Weight { hint, need, levels, is_of_glibc: true }
}

/// It runs, but may differ.
const DIFFERS: [Level; 3] = [Level::Note; 3];
/// It is likely to fail where the program does it itself.
const FAILS: [Level; 3] = [Level::Warning, Level::Note, Level::Note];
/// It is likely to fail also where the program has a library do it, as it has libcurl fetch something.
const FAILS_ALSO_BELOW: [Level; 3] = [Level::Warning, Level::Warning, Level::Note];

static WEIGHTS: [Weight; 14] = [
    weight(Hint::Users, Need::Users, DIFFERS),
    of_glibc(Hint::Names, Need::Nsswitch, DIFFERS),
    weight(Hint::Names, Need::Services, DIFFERS),
    weight(Hint::Services, Need::Services, DIFFERS),
    weight(Hint::Certificates, Need::CaCertificates, FAILS_ALSO_BELOW),
    weight(Hint::Zones, Need::TimeZones, DIFFERS),
    of_glibc(Hint::Locales, Need::Locales, DIFFERS),
    of_glibc(Hint::Charsets, Need::Gconv, FAILS),
    weight(Hint::TemporaryFile, Need::Tmp, FAILS),
    weight(Hint::TemporaryName, Need::Tmp, DIFFERS),
    weight(Hint::Providers, Need::OpenSsl, FAILS),
    weight(Hint::OpenSslConfig, Need::OpenSsl, DIFFERS),
    weight(Hint::Screen, Need::Terminfo, FAILS),
    weight(Hint::Terminal, Need::Terminfo, DIFFERS),
];

/// How the sonames of those libraries begin whose own imports tell nothing: C libraries, language runtimes, and those
/// that serve a need, for whoever asks them imports a symbol that tells.
const SILENT: [&str; 24] = [
    "ld-linux",
    "ld64.so",
    "ld.so",
    "libanl.so",
    "libc++.so",
    "libc++abi.so",
    "libc.",
    "libcrypto.so",
    "libdl.so",
    "libgcc_s.so",
    "libgfortran.so",
    "libgnutls.so",
    "libgomp.so",
    "libm.so",
    "libncurses.so",
    "libncursesw.so",
    "libnsl.so",
    "libpthread.so",
    "libresolv.so",
    "librt.so",
    "libssl.so",
    "libstdc++.so",
    "libtinfo.so",
    "libutil.so",
];

/// Whether what an object imports tells of the program.
pub(super) fn counts(object: usize, elf: &Elf) -> bool {
    let soname = elf.soname().map(|soname| soname.as_encoded_bytes()).unwrap_or_default();
    object == PROGRAM || !SILENT.iter().any(|silent| soname.starts_with(silent.as_bytes()))
}

/// What the objects of a process tell, each need once.
pub(super) fn tell(members: &Members<'_>, constants: &Constants) -> Vec<Told> {
    let is_glibc = is_of_glibc(members);
    let mut all: Vec<Told> = Vec::new();
    for (object, member) in members.all.iter().enumerate() {
        if !counts(object, member.elf) {
            continue;
        }
        let distance = distance(members, object);
        for symbol in member.hints().symbols() {
            let weights = WEIGHTS.iter().filter(|weight| weight.hint == symbol.hint);
            for weight in weights.filter(|weight| is_glibc || !weight.is_of_glibc) {
                // Whoever only converts to what the locale has is fine with UTF-8.
                let differs = weight.hint == Hint::Charsets && constants.charsets.is_empty();
                let level = if differs { Level::Note } else { weight.levels[distance] };
                note(&mut all, &weight.need, level, (object, clue(symbol)));
            }
        }
    }
    tell_by_constants(&mut all, constants, members.all[PROGRAM].hints().has_glibc_inside());
    for told in &mut all {
        told.named = match told.need {
            Need::Gconv => constants.charsets.iter().cloned().map(Need::Charset).collect(),
            Need::Locales => constants.locales.iter().cloned().map(Need::Locale).collect(),
            _ => Vec::new(),
        };
    }
    all.sort_by(|one, other| one.need.cmp(&other.need));
    all
}

/// What no symbol tells of. Every static program of glibc has setlocale, and without symbols nothing tells of iconv.
fn tell_by_constants(all: &mut Vec<Told>, constants: &Constants, is_static_glibc: bool) {
    let first = |names: &BTreeSet<String>| names.first().filter(|_| is_static_glibc).cloned();
    let told = [
        (Need::CaCertificates, Level::Warning, constants.bundle.map(str::to_owned)),
        (Need::Locales, Level::Note, first(&constants.locales)),
        (Need::Gconv, Level::Warning, first(&constants.charsets)),
    ];
    for (need, level, name) in told {
        let is_new = all.iter().all(|told| told.need != need || told.level < level);
        if let Some(name) = name.filter(|_| is_new) {
            note(all, &need, level, (PROGRAM, Clue::Text(name.into())));
        }
    }
}

fn clue(known: &Known) -> Clue {
    match (known.is_text(), known.hint) {
        // A pattern that nobody knows, of the function that everybody knows.
        (true, Hint::TemporaryFile) => Clue::Symbol("tmpfile"),
        (true, _) => Clue::Text(known.name.into()),
        (false, _) => Clue::Symbol(known.name),
    }
}

/// 0 for the program, 1 for a library that it names, 2 for any other.
fn distance(members: &Members<'_>, object: usize) -> usize {
    match object {
        PROGRAM => 0,
        _ if members.all[PROGRAM].asks.iter().any(|ask| ask.object == Some(object)) => 1,
        _ => 2,
    }
}

/// Takes a clue down, what weighs most first.
fn note(all: &mut Vec<Told>, need: &Need, level: Level, clue: (usize, Clue)) {
    match all.iter_mut().find(|told| told.need == *need) {
        Some(told) if level > told.level => {
            told.level = level;
            told.clues.insert(0, clue);
        }
        Some(told) => told.clues.push(clue),
        None => all.push(Told { need: need.clone(), level, clues: vec![clue], named: Vec::new() }),
    }
}

/// Whether glibc runs the process, or is inside the program.
fn is_of_glibc(members: &Members<'_>) -> bool {
    members.all.iter().any(|member| is_glibc(member.elf)) || members.all[PROGRAM].hints().has_glibc_inside()
}
