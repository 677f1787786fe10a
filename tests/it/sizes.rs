//! What the files of an image weigh, and images that would weigh too much.

use scratchpack::{ErrorKind, Image};

use crate::elf::{library, program};
use crate::root::Root;
use crate::verify::verified;

/// Most of it is there because of liba.so alone.
fn heavy() -> Root {
    Root::debian()
        .file("/app", &program(&["liba.so", "libb.so"]))
        .file("/lib/liba.so", &library("liba.so").needs("libmiddle.so"))
        .file("/lib/libmiddle.so", &library("libmiddle.so").needs("libdata.so"))
        .file("/lib/libdata.so.1", &library("libdata.so").data(&[1; 30_000]))
        .link("/lib/libdata.so", "libdata.so.1")
        .file("/lib/libb.so", &library("libb.so").data(&[1; 10_000]))
}

fn bytes_of(image: &Image) -> u64 {
    image.entries().map(|entry| entry.size()).sum()
}

#[test]
fn an_image_may_have_as_many_bytes_as_are_allowed_and_not_one_more() {
    let root = heavy();
    let bytes = bytes_of(&root.image("/app"));
    let built = |most| root.builder("/app").max_size(most).build().map(verified);
    assert_eq!(bytes_of(&built(bytes).unwrap()), bytes);
    assert_eq!(built(bytes - 1).unwrap_err().kind(), ErrorKind::TooLarge);
}

#[test]
fn what_makes_an_image_too_large_is_named_with_its_chain_the_largest_first() {
    let error = heavy().builder("/app").max_size(20_000).build().unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert!(lines[0].contains("and 20.00 kB (20000 bytes) are allowed"), "{error}");
    assert!(lines[1].contains("/lib/libdata.so.1  app -> liba.so -> libmiddle.so -> libdata.so ("), "{error}");
    assert!(lines[1].ends_with(" kB only through liba.so)"), "{error}");
    assert!(lines[2].ends_with("/lib/libb.so  app -> libb.so"), "{error}");
    assert_eq!(lines.len(), 7, "five files and what to do: {error}");
}

#[test]
fn a_file_that_the_caller_gives_counts_and_is_named_with_its_reason() {
    let root = heavy().bytes("/table", &[7; 50_000]);
    let mut builder = root.builder("/app");
    builder.file(root.on_machine("/table"), "/usr/share/table").max_size(60_000);
    let error = builder.build().unwrap_err().to_string();
    assert!(error.lines().nth(1).unwrap().contains("50.00 kB  /usr/share/table  "), "{error}");
}

#[test]
fn a_library_that_the_caller_names_and_its_own_needs_alone_name_has_a_chain_from_the_program() {
    let root = heavy()
        .file("/lib/libp.so", &library("libp.so").needs("libq.so").data(&[1; 90_000]))
        .file("/lib/libq.so", &library("libq.so").needs("libp.so"));
    let error = root.builder("/app").library("libp.so").max_size(1).build().unwrap_err().to_string();
    let line = error.lines().nth(1).unwrap();
    assert!(line.contains("/lib/libp.so  app -> ") && line.contains("libp.so"), "{error}");
}

#[cfg(feature = "cli")]
mod of_the_command {
    use serde_json::{Value, json};

    use super::heavy;
    use crate::command::{err, out, scratchpack};
    use crate::elf::{library, program};

    #[test]
    fn sizes_are_told_by_file_and_with_what_only_it_pulls_in() {
        let root = heavy();
        let inspect = |more: &[&str]| {
            let output = scratchpack(&root, &[&["inspect", "app", "--sysroot", ".", "--sort", "size"], more].concat());
            assert_eq!(output.status.code(), Some(0), "{}", err(&output));
            out(&output)
        };
        let table = inspect(&[]);
        let files: Vec<&str> = table.lines().map(|line| line.split_whitespace().nth(4).unwrap_or_default()).collect();
        assert_eq!(files[1..5], ["/app", "/lib/liba.so", "/lib/libmiddle.so", "/lib/libdata.so"], "{table}");
        assert!(table.contains("/lib/libdata.so  only through libmiddle.so\n"), "{table}");
        let list = inspect(&["--format", "list"]);
        assert!(list.lines().nth(1).unwrap().ends_with("/lib/liba.so"), "{list}");
        let report: Value = serde_json::from_str(&inspect(&["--format", "json"])).unwrap();
        let objects = [0, 1, 2].map(|number| report["objects"][number].clone());
        let size = |object: &Value, key: &str| object[key].as_u64().unwrap();
        assert_eq!(size(&objects[0], "whole_size"), objects.iter().map(|object| size(object, "size")).sum::<u64>());
        let through = objects.map(|object| object["only_through"].clone());
        assert_eq!(through, [Value::Null, json!("/lib/liba.so"), json!("/lib/libmiddle.so")]);
    }

    #[test]
    fn a_tree_has_the_size_of_each_file() {
        let tree = out(&scratchpack(&heavy(), &["inspect", "app", "--sysroot", "."]));
        let line = |name: &str| tree.lines().find(|line| line.contains(name)).unwrap();
        assert!(line("liba.so =>").ends_with(" kB with what only it pulls in"), "{tree}");
        assert!(line("libdata.so =>").ends_with(" kB"), "{tree}");
    }

    #[test]
    fn a_tree_by_size_has_the_largest_first_of_what_a_file_needs() {
        let root = heavy();
        let app = program(&["libgone.so", "libsmall.so", "liba.so"]);
        let root = root.file("/app", &app).file("/lib/libsmall.so", &library("libsmall.so"));
        let tree = |more: &[&str]| {
            let output = scratchpack(&root, &[&["inspect", "app", "--sysroot", "."], more].concat());
            out(&output)
        };
        let order = |tree: &str| {
            let line = |name: &str| tree.lines().position(|line| line.contains(name)).unwrap();
            let mut names = ["libgone.so", "libsmall.so =>", "liba.so =>"];
            names.sort_by_key(|name| line(name));
            names
        };
        let plain = tree(&[]);
        assert_eq!(order(&plain), ["libgone.so", "libsmall.so =>", "liba.so =>"], "{plain}");
        assert_eq!(tree(&["--format", "tree"]), plain);
        let sorted = tree(&["--sort", "size", "--format", "tree"]);
        assert_eq!(order(&sorted), ["liba.so =>", "libsmall.so =>", "libgone.so"], "{sorted}");
        assert!(sorted.lines().last().unwrap().starts_with("└── libgone.so"), "{sorted}");
        assert_eq!(sorted.lines().count(), plain.lines().count());
    }

    #[test]
    fn a_build_says_sizes_on_standard_error_when_asked() {
        let root = heavy();
        let build =
            |more: &[&str]| scratchpack(&root, &[&["build", "app", "--sysroot", ".", "-o", "app.tar"], more].concat());
        let output = build(&["--sort", "size"]);
        assert!(
            out(&output).starts_with("sha256:") && err(&output).contains("only through liba.so\n"),
            "{}",
            err(&output)
        );
        assert_eq!(err(&build(&[])), "");
        let report: Value = serde_json::from_slice(&build(&["--sort", "size", "--format", "json"]).stdout).unwrap();
        assert_eq!(report["objects"][0]["path"], "/lib/liba.so");
    }

    #[test]
    fn an_image_that_would_be_too_large_is_not_written() {
        let root = heavy();
        let build =
            |size: &str| scratchpack(&root, &["build", "app", "--sysroot", ".", "-o", "app.tar", "--max-size", size]);
        for (size, status) in [("20kB", 1), ("0", 1), ("x", 2), ("-1", 2), ("1MB", 0), ("1MiB", 0), ("1.5 GB", 0)] {
            let output = build(size);
            assert_eq!(output.status.code(), Some(status), "{size}: {}", err(&output));
            assert_eq!(root.on_machine("/app.tar").exists(), status == 0, "{size}");
        }
        assert!(err(&build("20kB")).contains("app -> liba.so -> libmiddle.so -> libdata.so"));
        assert!(err(&build("20kib")).contains("20480 bytes"));
    }
}
