//! Closures beside what the real loader lists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use scratchpack::Closure;

use crate::compare::{self, missing, same};
use crate::fixtures::Fixtures;
use crate::loader::{self, Dynamic, Listing};
use crate::parallel::in_parallel;
use crate::tools;

const FEWEST: usize = 20;

#[test]
fn every_program_of_the_machine_has_the_closure_that_its_loader_lists() {
    let (programs, others): (Vec<_>, Vec<_>) = loader::programs().into_iter().partition(Dynamic::is_of_glibc);
    let differences = in_parallel(&programs, difference);
    tools::say(&format!(
        "{} programs compared with their loader, {} of other loaders skipped",
        programs.len(),
        others.len()
    ));
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    tools::is_available(&format!("{FEWEST} programs of glibc"), programs.len() >= FEWEST);
}

#[test]
fn a_library_that_the_loader_does_not_find_is_missing() {
    if !tools::are_here(&["cc"]) {
        return;
    }
    let fixtures = Fixtures::compile();
    let app = loader::dynamic(fixtures.path().join("bin/app")).unwrap();
    assert_eq!(difference(&app), None);
    fs::remove_file(fixtures.path().join("lib/libgreet.so")).unwrap();
    assert_eq!(difference(&app), None);
    assert_eq!(missing(&Closure::of(&app.path).unwrap()), BTreeSet::from(["libgreet.so".to_owned()]));
}

fn difference(program: &Dynamic) -> Option<String> {
    let compared = compare_one(program);
    compared.err().map(|difference| format!("{}: {difference}", program.path.display()))
}

fn compare_one(program: &Dynamic) -> Result<(), String> {
    let closure = Closure::of(&program.path).map_err(|error| format!("{error:?}"))?;
    if !Path::new(&program.interpreter).exists() {
        return same("missing", &missing(&closure), &BTreeSet::from([program.interpreter.clone()]));
    }
    compare::compare(&closure, &list(program)?, &program.interpreter)
}

fn list(program: &Dynamic) -> Result<Listing, String> {
    let real = fs::canonicalize(&program.path).map_err(|error| error.to_string())?;
    loader::list_all(&program.interpreter, |setting| {
        let mut command = Command::new(&program.interpreter);
        command.env_clear().envs(setting);
        (command, real.clone())
    })
}
