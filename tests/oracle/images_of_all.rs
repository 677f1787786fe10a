//! An image of every program of the machine: closure, tree and proof.

use std::collections::BTreeMap;
use std::time::Instant;

use scratchpack::{Finding, Image};

use crate::loader::{self, Dynamic};
use crate::parallel::in_parallel;
use crate::tools;
use crate::verify::verified;

#[test]
fn every_program_of_the_machine_has_an_image_that_is_proved() {
    let programs = loader::programs();
    let start = Instant::now();
    let results = in_parallel(&programs, |program| Some(codes_of_image(program)));
    let seconds = start.elapsed().as_secs_f64();
    let (images, errors): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    let images: Vec<Vec<String>> = images.into_iter().flatten().collect();
    tools::say(&format!("{} programs packed and proved in {seconds:.1} s; {}", images.len(), counted(&images)));
    let errors: Vec<String> = errors.into_iter().filter_map(Result::err).collect();
    assert!(errors.is_empty(), "{} have none:\n{}", errors.len(), errors.join("\n"));
}

/// Compressing all of them would take longer than all other tests.
#[test]
fn one_program_in_thirty_is_written_and_whole() {
    let programs: Vec<Dynamic> = loader::programs().into_iter().step_by(30).collect();
    let results = in_parallel(&programs, |program| Some(verified(Image::from_binary(&program.path).unwrap())));
    tools::say(&format!("{} programs packed, verified and unpacked", results.len()));
}

fn codes_of_image(program: &Dynamic) -> Result<Vec<String>, String> {
    let image = Image::from_binary(&program.path).map_err(|error| format!("{}: {error}", program.path.display()))?;
    Ok(image.findings().iter().map(Finding::code).map(str::to_owned).collect())
}

/// How many findings of each code there are.
fn counted(images: &[Vec<String>]) -> String {
    let mut counts = BTreeMap::new();
    for code in images.iter().flatten() {
        *counts.entry(code).or_insert(0) += 1;
    }
    let counts: Vec<String> = counts.iter().map(|(code, count)| format!("{count} {code}")).collect();
    if counts.is_empty() { "no findings".to_owned() } else { counts.join(", ") }
}
