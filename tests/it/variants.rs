//! What depends on the CPU: subdirectories of glibc-hwcaps and older ones, and `$PLATFORM`.

use scratchpack::{Closure, Collector, ErrorKind};

use crate::elf::{LOADER, RUNPATH, library, newer_loader, program};
use crate::root::{BUILTIN, Root, missing, opened, tree};
use crate::verify::verified;

const V2: &str = "/opt/l/glibc-hwcaps/x86-64-v2/libx.so";
const V3: &str = "/opt/l/glibc-hwcaps/x86-64-v3/libx.so";

fn root() -> Root {
    Root::empty().file(LOADER, &newer_loader(&BUILTIN)).file("/app", &program(&["libx.so"]).with(RUNPATH, "/opt/l"))
}

fn with(paths: &[&str]) -> Root {
    paths.iter().fold(root(), |root, path| root.file(path, &library("libx.so")))
}

fn for_level(root: &Root, level: &str) -> Closure {
    Collector::new().sysroot(root.path()).hwcaps(level).collect(root.on_machine("/app")).unwrap()
}

fn codes(closure: &Closure) -> Vec<&'static str> {
    closure.findings().iter().map(scratchpack::Finding::code).filter(|code| *code != "build-path").collect()
}

#[test]
fn the_file_for_every_cpu_is_taken_and_its_variants_are_left() {
    let root = with(&["/opt/l/libx.so", V2, V3]);
    let closure = root.closure("/app");
    assert_eq!(opened(&closure), ["/opt/l/libx.so"]);
    assert_eq!(codes(&closure), [""; 0]);
}

#[test]
fn variants_come_on_request_up_to_a_level() {
    let root = with(&["/opt/l/libx.so", V2, V3]);
    assert_eq!(opened(&for_level(&root, "x86-64-v2")), ["/opt/l/libx.so", V2]);
    assert_eq!(opened(&for_level(&root, "x86-64-v3")), ["/opt/l/libx.so", V2, V3]);
    assert_eq!(opened(&for_level(&root, "all")), ["/opt/l/libx.so", V2, V3]);
}

#[test]
fn an_image_with_variants_is_proved_for_each_level() {
    let root = with(&["/opt/l/libx.so", V2])
        .file(V3, &library("libx.so").needs("liby.so"))
        .file("/lib/liby.so", &library("liby.so"));
    let image = root.builder("/app").hwcaps("all").build().map(verified).unwrap();
    let tree = tree(&image);
    assert!(
        ["/opt/l/libx.so", V2, V3, "/lib/liby.so"].iter().all(|path| tree.contains(&(*path).to_owned())),
        "{tree:?}"
    );
}

#[test]
fn what_a_variant_needs_must_be_there() {
    let root = with(&["/opt/l/libx.so"]).file(V3, &library("libx.so").needs("liby.so"));
    assert_eq!(missing(&root.closure("/app")), [""; 0]);
    assert_eq!(missing(&for_level(&root, "all")), ["liby.so"]);
}

#[test]
fn where_there_is_only_a_variant_the_lowest_is_taken_and_a_warning_names_its_level() {
    let root = with(&[V2, V3]);
    let closure = root.closure("/app");
    assert_eq!(opened(&closure), [V2]);
    assert_eq!(codes(&closure), ["cpu-level"]);
    let finding = closure.findings().iter().find(|finding| finding.code() == "cpu-level").unwrap();
    assert!(finding.message().contains("for CPUs of level x86-64-v2 only"), "{finding}");
    assert!(with(&[V2, V3]).builder("/app").build().is_ok());
}

#[test]
fn a_level_of_another_machine_is_an_error_that_names_those_there_are() {
    let root = with(&["/opt/l/libx.so"]);
    let error = Collector::new().sysroot(root.path()).hwcaps("z13").collect(root.on_machine("/app")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
    assert!(error.to_string().contains("x86-64-v4, x86-64-v3, x86-64-v2, all"), "{error}");
}

#[test]
fn older_loaders_have_other_subdirectories() {
    let root = Root::debian().file("/app", &program(&["libx.so"])).file("/lib/haswell/libx.so", &library("libx.so"));
    let closure = root.closure("/app");
    assert_eq!(opened(&closure), ["/lib/haswell/libx.so"]);
    assert_eq!(codes(&closure), ["cpu-level"]);
    let newer = Root::empty()
        .file(LOADER, &newer_loader(&BUILTIN))
        .file("/app", &program(&["libx.so"]))
        .file("/lib/haswell/libx.so", &library("libx.so"));
    assert_eq!(missing(&newer.closure("/app")), ["libx.so"]);
}

#[test]
fn what_the_platform_leads_to_is_there_for_every_cpu_that_it_is_there_for() {
    let app = program(&["libx.so"]).with(RUNPATH, "/opt/$PLATFORM");
    let root = |platforms: &[&str]| {
        let root = Root::debian().file("/app", &app);
        platforms.iter().fold(root, |root, name| root.file(&format!("/opt/{name}/libx.so"), &library("libx.so")))
    };
    let both = root(&["x86_64", "haswell"]);
    let closure = both.closure("/app");
    assert_eq!(opened(&closure), ["/opt/x86_64/libx.so", "/opt/haswell/libx.so"]);
    assert!(closure.findings()[0].message().contains("was found for x86_64, haswell"), "{}", closure.findings()[0]);
    assert!(both.builder("/app").build().is_ok());
    assert_eq!(opened(&root(&["haswell"]).closure("/app")), ["/opt/haswell/libx.so"]);
    assert_eq!(missing(&root(&[]).closure("/app")), ["libx.so"]);
}

#[test]
fn an_image_for_some_cpus_only_is_fine_for_whoever_checks_it() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]).with(RUNPATH, "/opt/$PLATFORM"))
        .file("/opt/haswell/libx.so", &library("libx.so"));
    let archive = root.on_machine("/app.tar");
    root.image("/app").write_archive(&archive).unwrap();
    assert!(scratchpack::check(&archive).unwrap().is_fine());
}
