//! Judges each executable of an image: would the kernel and its loader start it?

use std::cell::Cell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::content::Loaders;
use super::limits::{LIST_PER_LOOKUP, MAX_ALL_LOOKUPS, MAX_LOOKUPS, MAX_TOLD};
use super::replay;
use super::report::Problem;
use super::view::{FileNode, Nodes, View, words};
use crate::analyze::{Elf, Machine, glibc};
use crate::collect::{Cpu, Libc, LoaderBuild, LoaderText, PathFile, Replay, SYSTEM_PRELOAD, Setting};
use crate::error::Cause;
use crate::text::printable;
use crate::trace::Missing;

/// An image whose tree is complete.
pub(super) struct Subject<'i> {
    view: View<'static>,
    loaders: Loaders,
    setting: Setting,
    /// What its container starts.
    program: Option<&'i Path>,
    /// Whether there are libraries for some CPUs.
    has_variants: bool,
    /// What reading the largest list costs, in lookups.
    reading: u64,
    /// Lookups that are left for all programs.
    patience: Cell<u64>,
    /// What may still be told of what is missing.
    telling: Cell<usize>,
}

/// What a program is started under, in words where that is not the usual.
struct Circumstance {
    words: String,
    setting: Setting,
}

/// Why a program would not start.
enum Verdict {
    /// It, or its interpreter, cannot be run.
    WouldNotStart(String),
    Unknown(String),
    /// Libraries, under a circumstance.
    Missing(String, Vec<Missing>),
}

impl<'i> Subject<'i> {
    pub(super) fn new(nodes: Nodes<'static>, loaders: Loaders, setting: Setting, program: Option<&'i Path>) -> Self {
        let is_variant = |path: &OsStr| memchr::memmem::find(path.as_encoded_bytes(), b"/glibc-hwcaps/").is_some();
        let has_variants = nodes.keys().any(|path| is_variant(path));
        let view = View::new(nodes);
        let lists = view.files().filter_map(|(_, file)| Some(file.bytes.as_ref()?.len() as u64));
        let reading = lists.max().unwrap_or(0) / LIST_PER_LOOKUP;
        let (patience, telling) = (Cell::new(MAX_ALL_LOOKUPS), Cell::new(MAX_TOLD));
        Subject { view, loaders, setting, program, has_variants, reading, patience, telling }
    }

    /// How many executables there are, and what is wrong with them.
    pub(super) fn judge(&self) -> (usize, Vec<Problem>) {
        let files = self.view.files().filter(|(_, file)| file.mode & 0o111 != 0 && is_program(file));
        let mut programs: Vec<(&Path, &FileNode<'_>)> = files.collect();
        programs.sort_unstable_by_key(|(path, _)| *path);
        let extra = self.program.filter(|path| !self.is_among(path, &programs));
        let problems = programs.iter().filter_map(|(path, file)| self.verdict(path, file).map(|v| v.on(path)));
        let started = extra.and_then(|path| Some(self.verdict_of_start(path)?.on(path)));
        (programs.len() + usize::from(extra.is_some()), started.into_iter().chain(problems).collect())
    }

    fn is_among(&self, path: &Path, programs: &[(&Path, &FileNode<'_>)]) -> bool {
        self.view
            .file(path)
            .is_ok_and(|(real, _)| programs.binary_search_by_key(&real.as_path(), |(path, _)| path).is_ok())
    }

    /// Of what the container starts, where that is none of the executables.
    fn verdict_of_start(&self, path: &Path) -> Option<Verdict> {
        let why = match self.view.file(path) {
            Err(fault) => words(fault).to_owned(),
            Ok((_, file)) if file.mode & 0o111 == 0 => "is not executable".to_owned(),
            // A script, as far as is known here.
            Ok((_, file)) => {
                file.parsed.elf.as_ref().ok()?.check_program().err().map(|cause| format!("is none: {cause}"))?
            }
        };
        Some(Verdict::WouldNotStart(format!("it is what the image starts, and {why}")))
    }

    fn verdict(&self, path: &Path, file: &FileNode<'_>) -> Option<Verdict> {
        match &file.parsed.elf {
            Ok(elf) => self.started(path, file, elf),
            Err(cause) => Some(Verdict::Unknown(cause.to_string())),
        }
    }

    fn started(&self, path: &Path, file: &FileNode<'_>, elf: &Elf) -> Option<Verdict> {
        let interpreter = Path::new(elf.interpreter()?);
        let text = match self.loader(elf, interpreter) {
            Ok(text) => text,
            Err(verdict) => return Some(verdict),
        };
        // The list of musl's loader is read from the image, in a replay.
        let Some(build) = text.build(interpreter, elf.machine(), |_| PathFile::Absent) else {
            let why = format!("its interpreter {} is the loader of neither glibc nor musl", printable(interpreter));
            return Some(Verdict::Unknown(why));
        };
        let circumstances = self.circumstances(elf.machine(), file.gains_rights(), build.libc());
        circumstances.iter().find_map(|circumstance| self.replayed(path, &build, circumstance))
    }

    fn replayed(&self, path: &Path, build: &LoaderBuild, circumstance: &Circumstance) -> Option<Verdict> {
        let replay = match self.replay(path, build, &circumstance.setting) {
            Ok(replay) => replay,
            Err(verdict) => return Some(verdict),
        };
        if let Some(excess) = replay.excess {
            return Some(Verdict::Unknown(format!("{}{excess}", circumstance.words)));
        }
        let mut missing = replay.missing;
        if missing.is_empty() || (replay.uses_platform && self.starts_on_a_platform(path, build, &circumstance.setting))
        {
            return None;
        }
        missing.iter_mut().for_each(|missing| missing.program = path.into());
        Some(self.told(circumstance.words.clone(), missing))
    }

    /// Whether `$PLATFORM` has a value with which nothing is missing: an image may be for such CPUs only.
    fn starts_on_a_platform(&self, path: &Path, build: &LoaderBuild, setting: &Setting) -> bool {
        let machine = self.view.file(path).ok().and_then(|(_, file)| file.parsed.machine);
        let platforms = machine.map(glibc::platforms).unwrap_or_default();
        platforms.iter().any(|&platform| {
            let setting = setting.on(&Cpu { platform: Some(platform), ..setting.cpu.clone() });
            self.replay(path, build, &setting).is_ok_and(|replay| replay.excess.is_none() && replay.missing.is_empty())
        })
    }

    fn replay(&self, path: &Path, build: &LoaderBuild, setting: &Setting) -> Result<Replay, Verdict> {
        let all = self.patience.get();
        let patience = MAX_LOOKUPS.min(all);
        let (replay, left) = self.view.patiently(patience, || replay(&self.view, path, build, setting));
        self.patience.set(all.saturating_sub(patience - left + self.reading));
        match left {
            0 if patience < MAX_LOOKUPS => Err(Verdict::Unknown(format!(
                "all loaders of the image together would look up more than {MAX_ALL_LOOKUPS} names, which is the limit"
            ))),
            0 => Err(Verdict::Unknown(format!(
                "its loader would look up more than {MAX_LOOKUPS} names, which is the limit"
            ))),
            _ => Ok(replay),
        }
    }

    /// What is missing, unless far too much is.
    fn told(&self, words: String, missing: Vec<Missing>) -> Verdict {
        let size = missing.iter().map(|missing| 1 + missing.tried.len()).sum();
        match self.telling.get().checked_sub(size) {
            Some(left) => {
                self.telling.set(left);
                Verdict::Missing(words, missing)
            }
            None => {
                Verdict::WouldNotStart("libraries are missing, and too many in this image to name them all".to_owned())
            }
        }
    }

    /// All that a program must start under: what the image says first, then the CPUs for which it has libraries.
    fn circumstances(&self, machine: Machine, gains_rights: bool, libc: Libc) -> Vec<Circumstance> {
        let preload = self.view.bytes(Path::new(SYSTEM_PRELOAD)).filter(|_| libc == Libc::Glibc);
        let preload = preload.unwrap_or_default();
        let setting = self.setting.with_system_preload(preload);
        let own = Circumstance { words: String::new(), setting: setting.clone() };
        let secure = gains_rights.then(|| Circumstance {
            words: "with the rights that its file gives it, ".to_owned(),
            setting: self.setting.secure().with_system_preload(preload),
        });
        let levels = if self.has_variants { glibc::levels(machine) } else { &[] };
        let on = |at: usize| Circumstance {
            words: format!("on a CPU of level {}, ", levels[at]),
            setting: setting.on(&Cpu { platform: None, levels: &levels[at..] }),
        };
        std::iter::once(own).chain(secure).chain((0..levels.len()).rev().map(on)).collect()
    }

    /// The strings of the loader, if the kernel would run it for the program.
    fn loader(&self, elf: &Elf, interpreter: &Path) -> Result<LoaderText, Verdict> {
        let say = |why: &str| format!("its interpreter {} {why}", printable(interpreter));
        if !interpreter.is_absolute() {
            return Err(Verdict::Unknown(say("is a path relative to the working directory")));
        }
        let (_, file) = self.view.file(interpreter).map_err(|fault| Verdict::WouldNotStart(say(words(fault))))?;
        if file.mode & 0o111 == 0 {
            return Err(Verdict::WouldNotStart(say("is not executable")));
        }
        let loader = file.parsed.elf.as_ref().map_err(|cause| match cause {
            Cause::NotElf(_) | Cause::NotAProgram(_) => Verdict::WouldNotStart(say("is no program")),
            other => Verdict::Unknown(say(&format!("cannot be read: {other}"))),
        })?;
        if let Some(refusal) = elf.machine().mismatch(loader.machine()) {
            let detail = refusal.detail.unwrap_or_default();
            return Err(Verdict::WouldNotStart(say(&format!("is for another machine ({detail})"))));
        }
        let known = self.loaders.get(&file.parsed.stamp.id).cloned();
        Ok(known.unwrap_or_else(|| LoaderText::of(&[])))
    }
}

/// An ELF file that needs an interpreter, or might. Libraries may have an x bit as well.
fn is_program(file: &FileNode<'_>) -> bool {
    match &file.parsed.elf {
        Ok(elf) => elf.interpreter().is_some(),
        Err(Cause::NotElf(_) | Cause::NotAProgram(_)) => false,
        Err(_) => true,
    }
}

impl Verdict {
    fn on(self, path: &Path) -> Problem {
        let program = printable(path).to_string();
        let (message, missing) = match self {
            Verdict::WouldNotStart(why) => (format!("{program} would not start: {why}"), Vec::new()),
            Verdict::Unknown(why) => (format!("{program} cannot be checked: {why}"), Vec::new()),
            Verdict::Missing(under, missing) => {
                let lines: Vec<String> = missing.iter().map(|missing| format!("{under}{missing}")).collect();
                (lines.join("\n"), missing)
            }
        };
        Problem { image: None, program: PathBuf::from(path), message, missing }
    }
}

/// A directory that cannot be read.
pub(super) fn unread(path: &Path, why: Cause) -> Problem {
    Verdict::Unknown(format!("what is in this directory is not known: {why}")).on(path)
}
