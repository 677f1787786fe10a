//! Why a file is in the image.

use scratchpack::{Closure, Explanation, Link};

use crate::elf::{LOADER, RUNPATH, library, program};
use crate::root::Root;

fn diamond() -> Root {
    Root::debian()
        .file("/app", &program(&["liba.so", "libb.so", "libx.so.1"]).with(RUNPATH, "/nowhere:/opt/l"))
        .file("/opt/l/liba.so", &library("liba.so").needs("libx.so.1").needs("libb.so"))
        .file("/opt/l/libb.so", &library("libb.so").needs("libx.so.1").needs("liba.so"))
        .file("/opt/l/libx.so.1.2", &library("libx.so.1"))
        .link("/opt/l/libx.so.1", "libx.so.1.2")
}

fn chains(explanation: &Explanation<'_>) -> Vec<String> {
    let names = |chain: &Vec<Link<'_>>| {
        let names = chain.iter().map(|link| format!("{}:{}", link.name().display(), link.rule().code()));
        names.collect::<Vec<_>>().join(" ")
    };
    explanation.chains().iter().map(names).collect()
}

fn explain<'c>(closure: &'c Closure, name: &str) -> Explanation<'c> {
    let mut explanations = closure.explain(name);
    assert_eq!(explanations.len(), 1, "{name}");
    explanations.remove(0)
}

#[test]
fn every_chain_is_told_the_shortest_first() {
    let closure = diamond().closure("/app");
    let explanation = explain(&closure, "libx.so.1");
    assert_eq!(
        chains(&explanation),
        [
            "libx.so.1:runpath",
            "liba.so:runpath libx.so.1:loaded",
            "libb.so:runpath libx.so.1:loaded",
            "liba.so:runpath libb.so:loaded libx.so.1:loaded",
            "libb.so:runpath liba.so:loaded libx.so.1:loaded",
        ]
    );
    assert!(explanation.is_complete());
}

#[test]
fn the_places_tried_before_are_told() {
    let closure = diamond().closure("/app");
    let explanation = explain(&closure, "liba.so");
    let tried: Vec<_> = explanation.links()[0].tried().iter().map(|attempt| attempt.path().to_str()).collect();
    assert_eq!(tried, [Some("/nowhere/liba.so")]);
    let text = explanation.to_string();
    assert!(text.contains("/nowhere/liba.so  RUNPATH of app  no such file"), "{text}");
}

#[test]
fn a_name_is_what_was_asked_for_a_soname_a_file_name_or_a_path() {
    let root = diamond();
    let closure = root.closure("/app");
    for name in ["libx.so.1", "libx.so.1.2", "/opt/l/libx.so.1"] {
        assert_eq!(explain(&closure, name).object().path().to_str(), Some("/opt/l/libx.so.1"));
    }
    assert_eq!(closure.explain(root.on_machine("/opt/l/libx.so.1.2")).len(), 1);
    assert_eq!(closure.explain("libnone.so").len(), 0);
}

#[test]
fn the_interpreter_is_there_for_the_program() {
    let closure = diamond().closure("/app");
    assert_eq!(chains(&explain(&closure, LOADER)), [format!("{LOADER}:interpreter")]);
    assert_eq!(chains(&explain(&closure, "app")), [""; 0]);
}

#[test]
fn more_chains_than_anyone_reads_are_cut_and_said_to_be() {
    let name = |n: usize| format!("lib{n}.so");
    let all: Vec<String> = (0..12).map(name).collect();
    let needed: Vec<&str> = all.iter().map(String::as_str).collect();
    let mut root = Root::debian().file("/app", &program(&needed));
    for own in &all {
        let library = needed.iter().fold(library(own), |library, name| library.needs(name));
        root = root.file(&format!("/lib/{own}"), &library);
    }
    let closure = root.closure("/app");
    let explanation = explain(&closure, "lib5.so");
    assert_eq!(explanation.chains().len(), 1_000);
    assert!(!explanation.is_complete());
}
