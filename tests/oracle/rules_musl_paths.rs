//! musl: the directories searched last, and the file that lists them.

use std::path::Path;

use crate::bench::Bench;
use crate::link::{Link, needs, plain};

/// A program of a copy of the loader in the bench, which has a path file of its own there; and the path of that file.
fn with_own_loader(link: Link) -> Option<(Bench, String)> {
    let loader = Bench::of_musl()?.program(plain()).interpreter();
    let name = Path::new(&loader).file_name()?.to_str()?;
    let bench = Bench::of_musl()?.copy(&loader, &format!("lib/{name}"));
    let path_file = format!("etc/{}.path", name.strip_suffix(".so.1")?);
    Some((bench.program(link.interpreter(&format!("@/lib/{name}"))), path_file))
}

#[test]
fn a_path_file_lists_directories_at_colons_and_lines() {
    let Some((bench, path_file)) = with_own_loader(needs(&["liba.so", "libb.so", "libd.so"])) else { return };
    bench
        .text(&path_file, "@/a:@/b\n\n@/d\n")
        .library("a/liba.so", plain())
        .library("b/libb.so", plain())
        .library("d/libd.so", plain())
        .library("d/liba.so", plain())
        .loads(&["a/liba.so", "b/libb.so", "d/libd.so"]);
}

#[test]
fn a_runpath_comes_before_the_path_file() {
    let Some((bench, path_file)) = with_own_loader(needs(&["libx.so"]).runpath("@/r")) else { return };
    bench.text(&path_file, "@/l").library("l/libx.so", plain()).library("r/libx.so", plain()).loads(&["r/libx.so"]);
}

#[test]
fn without_a_path_file_there_are_no_directories_of_the_prefix() {
    let Some((bench, _)) = with_own_loader(needs(&["libx.so"])) else { return };
    bench.library("lib/libx.so", plain()).library("usr/lib/libx.so", plain()).misses(&["libx.so"]);
}

/// The system's own loader lies in a default directory, under a name that is not reserved.
#[test]
fn without_a_path_file_the_default_directories_count() {
    let Some(name) = file_name_of_loader() else { return };
    let Some((bench, _)) = with_own_loader(needs(&[&name])) else { return };
    bench.agrees_with_run();
    assert!(bench.closure().missing().is_empty());
}

#[test]
fn an_empty_path_file_replaces_the_default_directories() {
    let Some(name) = file_name_of_loader() else { return };
    let Some((bench, path_file)) = with_own_loader(needs(&[&name])) else { return };
    bench.text(&path_file, "").misses(&[&name]);
}

fn file_name_of_loader() -> Option<String> {
    let loader = Bench::of_musl()?.program(plain()).interpreter();
    Some(Path::new(&loader).file_name()?.to_str()?.to_owned())
}

#[test]
fn a_directory_in_place_of_the_path_file_counts_as_an_empty_one() {
    let Some(name) = file_name_of_loader() else { return };
    let Some((bench, path_file)) = with_own_loader(needs(&[&name])) else { return };
    bench.folder(&path_file).misses(&[&name]);
}
