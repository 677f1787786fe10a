//! glibc: auditing objects, each in a namespace of its own (rtld-audit(7)).

use scratchpack::Closure;

use crate::bench::{Bench, codes};
use crate::link::{Link, needs, plain};
use crate::tools::{self, text_of};
use crate::verify::verified;

/// Says so when it is heard.
const AUDITOR: &str = r#"
#include <unistd.h>
unsigned la_version(unsigned version) { return write(2, "heard\n", 6) == 6 ? version : 0; }
"#;
const TAGS: [&str; 2] = ["--audit", "--depaudit"];

fn auditor() -> Link {
    plain().code(AUDITOR)
}

fn bench() -> Option<Bench> {
    if tools::are_here(&["strace"]) { Bench::of_glibc() } else { None }
}

/// A program that names auditing objects.
fn program(link: Link) -> Option<Bench> {
    Some(bench()?.program(link))
}

fn build_paths_aside(closure: &Closure) -> Vec<&'static str> {
    codes(closure.findings()).into_iter().filter(|&code| code != "build-path").collect()
}

fn assert_heard(bench: &Bench, times: usize) {
    let said = text_of(&bench.output());
    assert_eq!(said.matches("heard\n").count(), times, "{said}");
}

#[test]
fn an_auditing_object_is_found_by_the_programs_own_paths() {
    for tag in TAGS {
        for path in ["@/l", "$ORIGIN/../l"] {
            for link in [plain().rpath(path), plain().runpath(path)] {
                let Some(bench) = program(link.flags(&[tag, "libaud.so"])) else { return };
                let bench = bench.library("l/libaud.so", auditor());
                assert_heard(&bench, 1);
                let opened = if path == "@/l" { "l/libaud.so" } else { "bin/../l/libaud.so" };
                bench.opens(&[opened]);
            }
        }
    }
}

#[test]
fn an_auditing_object_may_have_a_path() {
    for (name, opened) in [("@/l/libaud.so", "l/libaud.so"), ("$ORIGIN/libaud.so", "bin/libaud.so")] {
        let Some(bench) = program(plain().flags(&["--audit", name])) else { return };
        let bench = bench.library(opened, auditor());
        assert_heard(&bench, 1);
        bench.opens(&[opened]);
    }
}

#[test]
fn an_auditing_object_is_found_by_the_library_path() {
    let Some(bench) = program(plain().flags(&["--audit", "libaud.so"])) else { return };
    bench.library("l/libaud.so", auditor()).library_path("@/l").opens(&["l/libaud.so"]);
}

#[test]
fn each_of_a_list_is_loaded() {
    for tag in TAGS {
        let Some(bench) = program(plain().flags(&[tag, "liba.so::libb.so"]).runpath("@/l")) else { return };
        let bench = bench.library("l/liba.so", auditor()).library("l/libb.so", auditor());
        assert_heard(&bench, 2);
        bench.opens(&["l/liba.so", "l/libb.so"]);
    }
}

#[test]
fn both_tags_count() {
    let Some(bench) = program(plain().flags(&["--audit", "liba.so", "--depaudit", "libb.so"]).runpath("@/l")) else {
        return;
    };
    let bench = bench.library("l/liba.so", auditor()).library("l/libb.so", auditor());
    assert_heard(&bench, 2);
    bench.opens(&["l/liba.so", "l/libb.so"]);
}

#[test]
fn what_an_auditing_object_needs_is_found_by_its_own_path() {
    let Some(bench) = program(plain().flags(&["--audit", "libaud.so"]).runpath("@/l")) else { return };
    bench
        .library("l/libaud.so", needs(&["libx.so"]).code(AUDITOR).runpath("$ORIGIN/m"))
        .library("l/m/libx.so", plain())
        .opens(&["l/libaud.so", "l/m/libx.so"]);
}

#[test]
fn what_an_auditing_object_needs_is_found_by_the_programs_rpath() {
    let Some(bench) = program(plain().flags(&["--audit", "libaud.so"]).rpath("@/l")) else { return };
    bench
        .library("l/libaud.so", needs(&["libx.so"]).code(AUDITOR))
        .library("l/libx.so", plain())
        .opens(&["l/libaud.so", "l/libx.so"]);
}

/// For other objects a RUNPATH is of one object alone.
#[test]
fn what_an_auditing_object_needs_is_found_by_the_programs_runpath() {
    let Some(bench) = program(plain().flags(&["--audit", "libaud.so"]).runpath("@/l")) else { return };
    bench
        .library("l/libaud.so", needs(&["libx.so"]).code(AUDITOR))
        .library("l/libx.so", needs(&["liby.so"]))
        .library("l/liby.so", plain())
        .opens(&["l/libaud.so", "l/libx.so", "l/liby.so"]);
}

#[test]
fn an_auditing_object_with_a_runpath_has_no_use_for_the_programs() {
    let Some(bench) = program(plain().flags(&["--audit", "libaud.so"]).runpath("@/l")) else { return };
    let bench = bench.library("l/libaud.so", needs(&["libx.so"]).code(AUDITOR).runpath("@/m"));
    assert_is_ignored(&bench.library("l/libx.so", plain()));
}

#[test]
fn for_an_auditing_object_the_programs_runpath_comes_before_the_library_path() {
    let Some(bench) = program(plain().flags(&["--audit", "libaud.so"]).runpath("@/r")) else { return };
    let bench = bench.library("r/libaud.so", auditor()).library("l/libaud.so", auditor());
    bench.library_path("@/l").opens(&["r/libaud.so"]);
}

#[test]
fn for_what_an_auditing_object_needs_the_programs_runpath_comes_before_the_library_path() {
    let Some(bench) = program(plain().flags(&["--audit", "@/a/libaud.so"]).runpath("@/r")) else { return };
    let bench = bench.library("a/libaud.so", needs(&["libx.so"]).code(AUDITOR));
    let bench = bench.library("r/libx.so", plain()).library("l/libx.so", plain());
    bench.library_path("@/l").opens(&["a/libaud.so", "r/libx.so"]);
}

/// The loader goes without it and says so.
fn assert_is_ignored(bench: &Bench) {
    let said = text_of(&bench.output());
    assert!(said.contains("cannot be loaded as audit interface"), "{said}");
    assert_heard(bench, 0);
    bench.assert_starts(true);
    let closure = bench.closure();
    assert!(closure.missing().is_empty());
    assert_eq!(build_paths_aside(&closure), ["not-loaded"]);
}

#[test]
fn an_auditing_object_that_is_missing_is_ignored() {
    for tag in TAGS {
        for name in ["libaud.so", "@/l/libaud.so", "$ORIGIN/libaud.so"] {
            let Some(bench) = program(plain().flags(&[tag, name]).runpath("@/l")) else { return };
            assert_is_ignored(&bench);
        }
    }
}

#[test]
fn an_auditing_object_that_is_text_is_ignored() {
    let Some(bench) = program(plain().flags(&["--audit", "libaud.so"]).runpath("@/l")) else { return };
    assert_is_ignored(&bench.text("l/libaud.so", "an auditing object"));
}

#[test]
fn an_auditing_object_of_which_something_is_missing_is_ignored() {
    let Some(bench) = program(plain().flags(&["--audit", "libaud.so"]).runpath("@/l")) else { return };
    assert_is_ignored(&bench.library("l/libaud.so", needs(&["libx.so"]).code(AUDITOR)));
}

#[test]
fn an_auditing_object_that_lacks_a_version_is_ignored() {
    let Some(bench) = program(plain().flags(&["--audit", "libaud.so"]).runpath("@/l")) else { return };
    let bench = bench.library("l/libaud.so", plain().uses("libx.so", &["TWO"]).code(AUDITOR).runpath("@/l"));
    assert_is_ignored(&bench.library("l/libx.so", plain().defines(&["ONE"])));
}

#[test]
fn one_of_two_auditing_objects_may_be_missing() {
    let Some(bench) = program(plain().flags(&["--audit", "libno.so:libaud.so"]).runpath("@/l")) else { return };
    let bench = bench.library("l/libaud.so", auditor());
    assert_heard(&bench, 1);
    assert_eq!(build_paths_aside(&bench.opens(&["l/libaud.so"])), ["not-loaded"]);
}

#[test]
fn what_the_program_has_as_well_may_be_another_file_for_an_auditing_object() {
    let Some(bench) = program(needs(&["libx.so"]).flags(&["--audit", "libaud.so"]).runpath("@/l")) else { return };
    bench
        .library("l/libx.so", plain())
        .library("l/libaud.so", needs(&["libx.so"]).code(AUDITOR).runpath("@/m"))
        .library("m/libx.so", plain())
        .opens(&["l/libaud.so", "l/libx.so", "m/libx.so"]);
}

#[test]
fn what_the_program_has_loaded_answers_to_no_name_for_an_auditing_object() {
    let Some(bench) = program(needs(&["libx.so"]).flags(&["--audit", "libaud.so"]).runpath("@/l")) else { return };
    let bench = bench.library("l/libx.so", plain());
    assert_is_ignored(&bench.library("l/libaud.so", needs(&["libx.so"]).code(AUDITOR).runpath("@/m")));
}

#[test]
fn an_auditing_object_may_be_a_library_of_the_program() {
    let Some(bench) = program(needs(&["libaud.so"]).flags(&["--audit", "libaud.so"]).runpath("@/l")) else { return };
    bench.library("l/libaud.so", auditor()).opens(&["l/libaud.so"]);
}

#[test]
fn auditing_objects_that_libraries_name_do_not_count() {
    for tag in TAGS {
        let Some(bench) = program(needs(&["libx.so"]).runpath("@/l")) else { return };
        let bench = bench.library("l/libx.so", plain().flags(&[tag, "libaud.so"]).runpath("@/l"));
        bench.library("l/libaud.so", auditor()).opens(&["l/libx.so"]);
    }
}

#[test]
fn musl_knows_no_auditing_objects() {
    let Some(bench) = Bench::of_musl() else { return };
    let bench = bench.program(plain().flags(&["--audit", "libaud.so"]).runpath("@/l"));
    let bench = bench.library("l/libaud.so", auditor());
    bench.loads(&[]);
    assert_eq!(codes(bench.closure().findings()), Vec::<&str>::new());
}

#[test]
fn an_auditing_object_is_heard_in_the_image() {
    for link in [plain().runpath("@/l"), plain().rpath("$ORIGIN/../l")] {
        let Some(bench) = program(link.flags(&["--audit", "libaud.so"])) else { return };
        let bench = bench
            .library("l/libaud.so", needs(&["libx.so"]).code(AUDITOR).runpath("$ORIGIN/m"))
            .library("l/m/libx.so", plain());
        let Some(packed) = bench.pack() else { return };
        let output = packed.output();
        assert!(output.status.success() && text_of(&output).contains("heard\n"), "{}", text_of(&output));
    }
}

#[test]
fn an_auditing_object_from_the_library_path_is_heard_in_the_image() {
    let Some(bench) = program(plain().flags(&["--audit", "libaud.so"])) else { return };
    let Some(packed) = bench.library("l/libaud.so", auditor()).library_path("@/l").pack() else { return };
    let output = packed.output();
    assert!(output.status.success() && text_of(&output).contains("heard\n"), "{}", text_of(&output));
}

#[test]
fn an_image_without_the_auditing_object_starts_as_well() {
    let Some(bench) = program(plain().flags(&["--audit", "libaud.so"])) else { return };
    let image = bench.image().build().map(verified).unwrap();
    assert_eq!(codes(image.findings()), ["not-loaded"]);
    let Some(packed) = bench.pack() else { return };
    let output = packed.output();
    assert!(output.status.success(), "{}", text_of(&output));
}
