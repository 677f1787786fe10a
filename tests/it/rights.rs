//! Programs that gain rights by being run, auditing and preloaded objects, and the working directory.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use scratchpack::{Closure, Collector, ErrorKind};

use crate::elf::{AUDIT, Fixture, LOADER, RPATH, RUNPATH, library, program};
use crate::root::{Root, missing, opened, rules};
use crate::verify::verified;

fn with_mode(root: Root, mode: u32) -> Root {
    fs::set_permissions(root.on_machine("/bin/app"), fs::Permissions::from_mode(mode)).unwrap();
    root
}

fn app(run_path: &str) -> Root {
    Root::debian()
        .file("/bin/app", &program(&["libx.so"]).with(RUNPATH, run_path))
        .file("/l/libx.so", &library("libx.so"))
        .file("/lib/own/libx.so", &library("libx.so"))
}

fn codes(closure: &Closure) -> Vec<&'static str> {
    closure.findings().iter().map(scratchpack::Finding::code).collect()
}

#[test]
fn origin_of_a_setuid_program_leads_to_builtin_directories_only() {
    for mode in [0o4755, 0o2755, 0o6755] {
        assert_eq!(missing(&with_mode(app("$ORIGIN/../l"), mode).closure("/bin/app")), ["libx.so"]);
        assert_eq!(
            opened(&with_mode(app("$ORIGIN/../lib/own"), mode).closure("/bin/app")),
            ["/bin/../lib/own/libx.so"]
        );
    }
    assert_eq!(opened(&with_mode(app("$ORIGIN/../l"), 0o2745).closure("/bin/app")), ["/bin/../l/libx.so"]);
}

#[test]
fn origin_of_a_setuid_program_counts_at_the_start_only() {
    let root = app("/lib/own/../../$ORIGIN/../lib/own");
    assert_eq!(missing(&with_mode(root, 0o4755).closure("/bin/app")), ["libx.so"]);
}

#[test]
fn a_library_of_a_setuid_program_knows_where_it_is() {
    let root = Root::debian()
        .file("/bin/app", &program(&["/opt/a/liba.so"]))
        .file("/opt/a/liba.so", &library("liba.so").needs("libx.so").with(RUNPATH, "$ORIGIN"))
        .file("/opt/a/libx.so", &library("libx.so"));
    assert_eq!(missing(&with_mode(root, 0o4755).closure("/bin/app")), [""; 0]);
}

fn audited() -> Root {
    Root::debian()
        .file("/app", &program(&["libc.so"]).with(AUDIT, "liba.so").with(RPATH, "/opt/a"))
        .file("/lib/libc.so", &library("libc.so"))
        .file("/opt/a/liba.so", &library("liba.so").needs("libb.so").needs("libc.so"))
        .file("/opt/a/libb.so", &library("libb.so"))
}

#[test]
fn auditing_objects_come_with_what_they_need() {
    let closure = audited().closure("/app");
    assert_eq!(opened(&closure), ["/lib/libc.so", "/opt/a/liba.so", "/opt/a/libb.so"]);
    assert_eq!(rules(&closure), ["default", "audit", "rpath"]);
    assert!(audited().builder("/app").build().is_ok());
}

#[test]
fn an_auditing_object_that_is_incomplete_is_left_out_and_told() {
    let root = audited();
    fs::remove_file(root.on_machine("/opt/a/libb.so")).unwrap();
    let closure = root.closure("/app");
    assert_eq!(opened(&closure), ["/lib/libc.so"]);
    assert_eq!((missing(&closure).len(), codes(&closure)), (0, vec!["not-loaded"]));
    let message = closure.findings()[0].message();
    assert!(message.contains("DT_AUDIT") && message.contains("libb.so was not found"), "{message}");
}

#[test]
fn what_the_image_preloads_and_does_not_hold_is_told() {
    let root = Root::debian().file("/app", &program(&[]));
    let image = root.builder("/app").env("LD_PRELOAD", "libp.so /opt/q.so").build().map(verified).unwrap();
    let messages: Vec<&str> = image.findings().iter().map(scratchpack::Finding::message).collect();
    assert!(messages[0].starts_with("LD_PRELOAD names libp.so for /app"), "{messages:?}");
    assert!(messages[1].starts_with("LD_PRELOAD names /opt/q.so for /app"), "{messages:?}");
}

#[test]
fn a_preloaded_object_that_answers_to_the_name_of_another_fails_the_build() {
    let root = Root::debian()
        .file("/one", &program(&["libx.so"]))
        .file("/two", &program(&["libx.so"]).with(RUNPATH, "/opt/two"))
        .file("/lib/libx.so", &library("libx.so"))
        .file("/opt/two/libx.so", &library("libx.so"));
    let mut builder = root.builder("/one");
    let error = builder.binary(root.on_machine("/two")).env("LD_PRELOAD", "/opt/two/libx.so").build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unprovable);
    assert!(builder.env("LD_PRELOAD", "/lib/ld-none.so").build().is_ok());
}

#[test]
fn what_the_system_preloads_is_told_and_not_shipped() {
    let root = Root::debian().file("/app", &program(&[])).bytes("/etc/ld.so.preload", b"# none\n/opt/p.so liba.so\n");
    let closure = root.closure("/app");
    assert_eq!(codes(&closure), ["system-preload"]);
    assert!(closure.findings()[0].message().contains("/opt/p.so, liba.so"));
    assert_eq!(root.image("/app").entries().filter(|entry| entry.path().ends_with("ld.so.preload")).count(), 0);
    let comments = Root::debian().file("/app", &program(&[])).bytes("/etc/ld.so.preload", b"# none\n\n");
    assert_eq!(codes(&comments.closure("/app")), [""; 0]);
}

fn relative(program: Fixture) -> Root {
    Root::debian().file("/app", &program).file("/work/lib/libx.so", &library("libx.so"))
}

#[test]
fn relative_names_and_elements_mean_the_working_directory_of_the_image() {
    for program in [
        program(&["lib/libx.so"]),
        program(&["./lib//libx.so"]),
        program(&["libx.so"]).with(RUNPATH, "lib"),
        program(&["libx.so"]).with(RPATH, "/nowhere:./lib/"),
    ] {
        let root = relative(program);
        assert_eq!(missing(&root.closure("/app")).len(), 1);
        let error = root.builder("/app").build().unwrap_err().to_string();
        assert!(error.contains("the working directory, which is not known"), "{error}");
        let image = root.builder("/app").workdir("/work").build().map(verified).unwrap();
        assert!(image.entries().any(|entry| entry.path().to_str() == Some("/work/lib/libx.so")));
    }
}

#[test]
fn an_empty_element_is_the_working_directory_itself() {
    for list in [":/nowhere", "/nowhere:", "/nowhere::/none"] {
        let root = relative(program(&["libx.so"]).with(RUNPATH, list));
        let closure =
            Collector::new().sysroot(root.path()).workdir("/work/lib").collect(root.on_machine("/app")).unwrap();
        assert_eq!(opened(&closure), ["/work/lib/libx.so"]);
    }
}

#[test]
fn the_working_directory_must_be_absolute() {
    let root = relative(program(&[]));
    let error = Collector::new().sysroot(root.path()).workdir("work").collect(root.on_machine("/app")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
}

#[test]
fn the_old_format_of_the_cache_is_read() {
    let mut cache = b"ld.so-1.7.0\0\x01\0\0\0".to_vec();
    for word in [0x303_u32, 0, 8] {
        cache.extend(word.to_le_bytes());
    }
    cache.extend(b"libx.so\0/opt/x.so\0");
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]))
        .file("/opt/x.so", &library("libx.so"))
        .bytes("/etc/ld.so.cache", &cache);
    assert_eq!(opened(&root.closure("/app")), ["/opt/x.so"]);
    assert!(root.builder("/app").build().is_ok(), "{LOADER}");
}

#[test]
fn why_origin_does_not_count_is_told() {
    let message = with_mode(app("$ORIGIN/../l"), 0o4755).closure("/bin/app").missing()[0].to_string();
    assert!(message.contains("setuid, setgid or file capabilities"), "{message}");
}
