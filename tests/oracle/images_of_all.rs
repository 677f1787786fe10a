//! An image of every program of the machine: closure, tree, proof and layer.

use std::collections::BTreeMap;
use std::time::Instant;

use scratchpack::{Compression, Finding, Image};

use crate::loader::{self, Dynamic};
use crate::parallel::in_parallel;
use crate::{tools, verify};

#[test]
fn every_program_of_the_machine_has_an_image_that_is_proved_and_whole() {
    let programs = loader::programs();
    let start = Instant::now();
    let results = in_parallel(&programs, |program| Some(codes_of_image(program)));
    let seconds = start.elapsed().as_secs_f64();
    let (images, errors): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    let images: Vec<Vec<String>> = images.into_iter().flatten().collect();
    tools::say(&format!(
        "{} programs packed, proved and verified in {seconds:.1} s; {}",
        images.len(),
        counted(&images)
    ));
    let errors: Vec<String> = errors.into_iter().filter_map(Result::err).collect();
    assert!(errors.is_empty(), "{} have none:\n{}", errors.len(), errors.join("\n"));
}

fn codes_of_image(program: &Dynamic) -> Result<Vec<String>, String> {
    let path = program.path.display();
    let image = Image::builder().binary(&program.path).compression(Compression::None).build();
    let image = image.map_err(|error| format!("{path}: {error}"))?;
    let mut layer = Vec::new();
    let written = image.write_layer_to(&mut layer).map_err(|error| format!("{path}: {error}"))?;
    if verify::layer(&layer).map_err(|error| format!("{path}: {error}"))? != written.diff_id() {
        return Err(format!("{path}: its layer has another diff_id"));
    }
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
