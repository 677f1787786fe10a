//! What the real loader lists, and which programs of the machine can be asked for.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use scratchpack::Elf;

use crate::tools::text_of;

const PROGRAM_DIRECTORIES: [&str; 2] = ["usr/bin", "usr/sbin"];

/// One object: the name by which it was asked for, and the path at which it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) path: String,
}

/// The answer of `--list`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// In load order, without the vDSO and the interpreter.
    pub(crate) objects: Vec<Listed>,
    pub(crate) missing: BTreeSet<String>,
    pub(crate) has_interpreter: bool,
    pub(crate) is_static: bool,
}

/// A dynamic program, and the interpreter that it names.
#[derive(Clone, Debug)]
pub(crate) struct Dynamic {
    pub(crate) path: PathBuf,
    pub(crate) interpreter: String,
}

impl Dynamic {
    /// By the name alone, so that the crate cannot talk itself out of a comparison.
    pub(crate) fn is_of_glibc(&self) -> bool {
        let name = Path::new(&self.interpreter).file_name().unwrap().to_str().unwrap();
        ["ld-linux", "ld64.so", "ld.so", "ld-2."].iter().any(|start| name.starts_with(start))
    }
}

/// The dynamic programs of the machine, in the order of their paths.
pub(crate) fn programs() -> Vec<Dynamic> {
    programs_in(Path::new("/"))
}

/// The dynamic programs of a root directory, in the order of their paths; a symlink that means another file outside of it
/// is none.
pub(crate) fn programs_in(root: &Path) -> Vec<Dynamic> {
    paths_in(root).into_iter().filter_map(dynamic).collect()
}

fn paths_in(root: &Path) -> Vec<PathBuf> {
    let root = fs::canonicalize(root).unwrap();
    let directories = PROGRAM_DIRECTORIES.iter().filter_map(|directory| fs::read_dir(root.join(directory)).ok());
    let mut paths: Vec<PathBuf> = directories.flatten().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| fs::canonicalize(path).is_ok_and(|real| real.starts_with(&root)));
    paths.sort();
    paths
}

/// Everything of the machine that can be run and is an ELF file, with an interpreter or without, in the order of the paths.
pub(crate) fn executables() -> Vec<PathBuf> {
    let is_program = |path: &PathBuf| path.is_file() && Elf::read(path).is_ok();
    paths_in(Path::new("/")).into_iter().filter(is_program).collect()
}

/// The program at `path`, if it has an interpreter.
pub(crate) fn dynamic(path: PathBuf) -> Option<Dynamic> {
    if !path.is_file() {
        return None;
    }
    let interpreter = Elf::read(&path).ok()?.interpreter()?.to_str().unwrap().to_owned();
    Some(Dynamic { path, interpreter })
}

/// Runs `command`, which must end in `INTERPRETER --list PROGRAM`, and reads what it says.
pub(crate) fn list(command: &mut Command, interpreter: &str) -> Result<Listing, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match parse(&text, interpreter).map(|listing| listing.with_errors(&String::from_utf8_lossy(&output.stderr))) {
        Some(listing) if output.status.success() || !listing.missing.is_empty() => Ok(listing),
        _ => Err(format!("{command:?}: {}\n{}", output.status, text_of(&output))),
    }
}

/// `--list` stops at the first library that is not found; what ldd does lists them all. `command` makes of a variable for
/// the program what begins a command for its loader, and the program as the loader shall open it.
pub(crate) fn list_all(
    interpreter: &str,
    command: impl Fn(Option<(&'static str, &'static str)>) -> (Command, PathBuf),
) -> Result<Listing, String> {
    let (mut loader, program) = command(None);
    list(loader.arg("--list").arg(program), interpreter).or_else(|_| {
        let (mut loader, program) = command(Some(("LD_TRACE_LOADED_OBJECTS", "1")));
        list(loader.arg(program), interpreter)
    })
}

fn parse(text: &str, interpreter: &str) -> Option<Listing> {
    let mut listing = Listing::default();
    for line in text.lines() {
        listing.add(line.strip_prefix('\t')?, interpreter)?;
    }
    (listing != Listing::default()).then_some(listing)
}

impl Listing {
    /// musl's loader says on standard error what it does not find.
    fn with_errors(mut self, errors: &str) -> Listing {
        let names =
            errors.lines().filter_map(|line| line.strip_prefix("Error loading shared library ")?.split_once(": "));
        self.missing.extend(names.map(|(name, _)| name.to_owned()));
        self
    }

    fn add(&mut self, line: &str, interpreter: &str) -> Option<()> {
        if line == "statically linked" {
            self.is_static = true;
            return Some(());
        }
        if let Some(name) = line.strip_suffix(" => not found") {
            self.missing.insert(name.to_owned());
            return Some(());
        }
        let (file, _) = line.rsplit_once(" (0x")?;
        let (name, path) = file.split_once(" => ").unwrap_or((file, file));
        if path == interpreter {
            self.has_interpreter = true;
        } else if !is_of_kernel(path) {
            self.objects.push(Listed { name: name.to_owned(), path: path.to_owned() });
        }
        Some(())
    }
}

/// The vDSO has no file, and that of qemu has no name.
pub(crate) fn is_of_kernel(path: &str) -> bool {
    path.is_empty() || ["linux-vdso", "linux-gate"].iter().any(|start| path.starts_with(start))
}
