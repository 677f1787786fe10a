//! What an image hangs on: its inputs, and the depfile and the id by which build tools know when to make it again.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, SystemTime};

use scratchpack::{Collector, Image, Need};

use crate::elf::{Fixture, LOADER, RUNPATH, library, program};
use crate::root::{Root, cache};
use crate::verify::verified;

/// The inputs by their paths in the root.
fn inputs(root: &Root, image: &Image) -> BTreeSet<String> {
    let in_root = |input: std::path::PathBuf| format!("/{}", input.strip_prefix(root.path()).unwrap().display());
    image.inputs().map(in_root).collect()
}

fn named(inputs: &[&str]) -> BTreeSet<String> {
    inputs.iter().map(|&input| input.to_owned()).collect()
}

#[test]
fn files_are_inputs_by_their_own_paths_and_by_those_that_were_opened() {
    let root = Root::debian()
        .file("/bin/app", &program(&["libx.so.1"]))
        .file("/opt/c/libx.so.1.0", &library("libx.so.1"))
        .link("/opt/c/libx.so.1", "libx.so.1.0")
        .bytes("/etc/ld.so.cache", &cache("libx.so.1", "/opt/c/libx.so.1"))
        .bytes("/opt/data", b"data");
    let image = root.builder("/bin/app").file(root.on_machine("/opt/data"), "/data").build().map(verified).unwrap();
    let expected = ["/bin/app", LOADER, "/opt/c/libx.so.1", "/opt/c/libx.so.1.0", "/etc/ld.so.cache", "/opt/data"];
    assert_eq!(inputs(&root, &image), named(&expected));
}

#[test]
fn directories_in_which_a_new_file_would_be_found_instead_are_inputs() {
    let app = program(&["libx.so"]).with(RUNPATH, "/opt/there:/opt/not/there:/opt/found:/opt/behind");
    let root = Root::debian()
        .file("/bin/app", &app)
        .directory("/opt/there")
        .directory("/opt/behind")
        .file("/opt/found/libx.so", &library("libx.so"))
        .bytes("/etc/ld.so.cache", b"");
    let image = root.image("/bin/app");
    assert_eq!(
        inputs(&root, &image),
        named(&["/bin/app", LOADER, "/opt", "/opt/found/libx.so", "/opt/there", "/etc/ld.so.cache"])
    );
}

#[test]
fn a_library_that_the_loader_passed_over_is_an_input() {
    let other = Fixture { machine: 183, ..library("libx.so") };
    let root = Root::debian()
        .file("/bin/app", &program(&["libx.so"]).with(RUNPATH, "/opt/other:/opt/own"))
        .file("/opt/other/libx.so", &other)
        .file("/opt/own/libx.so", &library("libx.so"));
    assert!(inputs(&root, &root.image("/bin/app")).contains("/opt/other/libx.so"));
}

#[test]
fn a_root_without_a_loaders_cache_hangs_on_what_would_be_in_one() {
    let root = Root::debian()
        .file("/bin/app", &program(&["libx.so"]))
        .bytes("/etc/ld.so.conf", b"include conf.d/*.conf\n")
        .bytes("/etc/conf.d/a.conf", b"/opt/c\n")
        .file("/opt/c/libx.so", &library("libx.so"));
    let inputs = inputs(&root, &root.image("/bin/app"));
    let expected = ["/etc", "/etc/conf.d", "/etc/conf.d/a.conf", "/etc/ld.so.conf", "/opt/c/libx.so"];
    assert!(inputs.is_superset(&named(&expected)), "{inputs:?}");
}

#[test]
fn what_met_a_need_is_an_input() {
    let certificates = "/etc/ssl/certs/ca-certificates.crt";
    let root = Root::debian().file("/app", &program(&[])).bytes(certificates, b"-----BEGIN CERTIFICATE-----\n");
    let image = root.builder("/app").with(Need::CaCertificates).build().map(verified).unwrap();
    assert!(inputs(&root, &image).contains(certificates));
    assert!(!inputs(&root, &root.image("/app")).contains(certificates));
}

/// Outside of the root, an absolute link leads somewhere else.
#[test]
fn a_link_that_means_something_else_on_this_machine_is_watched_by_its_directory() {
    let root = Root::debian()
        .file("/bin/app", &program(&["libx.so"]).with(RUNPATH, "/opt/l"))
        .file("/far/libx.so", &library("libx.so"))
        .link("/opt/l/libx.so", "/far/libx.so");
    let inputs = inputs(&root, &root.image("/bin/app"));
    assert!(inputs.contains("/opt/l") && inputs.contains("/far/libx.so"), "{inputs:?}");
    assert!(!inputs.contains("/opt/l/libx.so"));
}

#[test]
fn a_closure_has_the_inputs_of_its_image() {
    let root = Root::debian().file("/app", &program(&["libx.so"])).file("/lib/libx.so", &library("libx.so"));
    let closure = Collector::new().sysroot(root.path()).collect(root.on_machine("/app")).unwrap();
    assert!(closure.inputs().eq(root.image("/app").inputs()));
}

#[test]
fn a_depfile_names_inputs_as_the_build_tool_does() {
    let root = Root::debian()
        .file("/w/app", &program(&["libx.so"]).with(RUNPATH, "$ORIGIN:$ORIGIN/out:$ORIGIN/l"))
        .file("/w/l/libx.so", &library("libx.so"))
        .directory("/w/out")
        .bytes("/etc/ld.so.cache", b"");
    let depfile = root.on_machine("/w/out/app.d");
    let base = root.on_machine("/w");
    root.image("/w/app").write_depfile(&depfile, "out/app.tar", &base).unwrap();
    let text = fs::read_to_string(depfile).unwrap();
    let (rule, rest) = text.split_once("\n\n").unwrap();
    let own = |path: &str| root.on_machine(path).display().to_string();
    let inputs = [own("/etc/ld.so.cache"), own(LOADER), own("/w"), "app".into(), "l/libx.so".into()];
    // Not the directory of the depfile itself.
    let expected: Vec<String> = inputs.iter().map(|input| format!(" \\\n {input}")).collect();
    assert_eq!(rule, format!("out/app.tar:{}", expected.concat()));
    assert!(inputs.iter().all(|input| format!("\n{rest}").contains(&format!("\n{input}:\n"))), "{rest}");
}

#[test]
fn a_path_with_a_line_end_is_in_no_depfile() {
    let root = Root::debian().file("/a\nb", &program(&[]));
    let error = root.image("/a\nb").write_depfile(root.on_machine("/d"), "a.tar", root.path()).unwrap_err();
    assert!(error.to_string().contains("a line ends in it") && !root.on_machine("/d").exists(), "{error}");
}

#[test]
fn an_id_file_changes_with_the_image_alone() {
    let root = Root::debian().file("/app", &program(&[]));
    let written = root.image("/app").write_archive(root.on_machine("/app.tar")).unwrap();
    let file = root.on_machine("/app.id");
    written.write_id(&file).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), written.config_digest());
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    fs::File::options().write(true).open(&file).unwrap().set_modified(old).unwrap();
    written.write_id(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), old);
    let root = root.file("/app", &program(&[]).data(b"new"));
    root.image("/app").write_archive(root.on_machine("/app.tar")).unwrap().write_id(&file).unwrap();
    assert_ne!(fs::read_to_string(&file).unwrap(), written.config_digest());
    assert!(fs::metadata(&file).unwrap().modified().unwrap() > old);
}
