//! Somebody else's image: what would not start is found and named, in every form of an image.

use std::fs;

use scratchpack::{ErrorKind, check};
use serde_json::json;
use tar::EntryType;

use crate::elf::{AARCH64, Fixture, LOADER, RUNPATH, X86_64, library, loader, program, static_program};
use crate::root::{BUILTIN, Root};
use crate::stranger::{
    ALL, Codec, Form, IMAGES, Member, Stranger, append, blob, bytes, descriptor, directory, file, hard_link, link,
    member, messages, tar,
};
use crate::verify::verified;

/// A program that needs a library through a symlink, one that only the cache leads to, and one of the library's.
fn whole() -> Stranger {
    let root = Root::debian()
        .file("/app", &program(&["libx.so.1", "libcached.so"]))
        .file("/usr/lib/libx.so.1.0", &library("libx.so.1").needs("liby.so"))
        .link("/usr/lib/libx.so.1", "libx.so.1.0")
        .file("/lib/liby.so", &library("liby.so"))
        .file("/opt/cached/libcached.so", &library("libcached.so"))
        .bytes("/etc/ld.so.cache", &crate::root::cache("libcached.so", "/opt/cached/libcached.so"));
    Stranger::made(&root.image("/app"))
}

fn debian() -> Vec<Member> {
    vec![file(&LOADER[1..], &loader(&BUILTIN))]
}

/// A loader, and these.
fn with_loader(members: Vec<Member>) -> Stranger {
    Stranger::of(vec![[debian(), members].concat()])
}

#[test]
fn an_intact_image_has_no_problem() {
    for form in ALL {
        let check = whole().check(form).unwrap();
        assert!(check.is_fine(), "{form:?}: {check:?}");
        assert_eq!(check.programs(), 1);
    }
}

#[test]
fn a_library_that_was_removed_is_missing() {
    let image = whole().without("lib/liby.so");
    let problems = image.problems(&ALL);
    assert_eq!(problems.len(), 1);
    let lines: Vec<&str> = problems[0].lines().collect();
    assert_eq!(lines[0], "/app needs liby.so (via libx.so.1), which was not found");
    assert_eq!(lines[2], "  /lib/x86_64-linux-gnu/liby.so      default directory  no such file");
    let check = image.check(Form::Docker).unwrap();
    let problem = &check.problems()[0];
    assert_eq!((problem.image(), problem.program().to_str()), (None, Some("/app")));
    assert_eq!(problem.missing()[0].name(), "liby.so");
    assert_eq!(problem.missing()[0].needed_by(), ["/usr/lib/libx.so.1"].map(std::path::PathBuf::from));
}

#[test]
fn a_library_that_a_later_layer_removes_is_missing() {
    let problems = whole().layer(vec![bytes("lib/.wh.liby.so", b"")]).problems(&IMAGES);
    assert!(problems[0].starts_with("/app needs liby.so"), "{problems:?}");
}

#[test]
fn a_symlink_that_leads_nowhere_is_no_library() {
    let image = whole().changed("usr/lib/libx.so.1", |member| member.link = "libx.so.2".to_owned());
    let problems = image.problems(&ALL);
    assert!(problems[0].starts_with("/app needs libx.so.1, which was not found"), "{problems:?}");
}

#[test]
fn a_loader_that_is_not_executable_starts_nothing() {
    let image = whole().changed(&LOADER[1..], |member| member.mode = 0o644);
    assert_eq!(image.problems(&ALL), [format!("/app would not start: its interpreter {LOADER} is not executable")]);
}

#[test]
fn what_only_the_cache_leads_to_is_missing_without_it() {
    let image = whole().without("etc/ld.so.cache");
    assert!(image.problems(&ALL)[0].starts_with("/app needs libcached.so, which was not found"));
}

#[test]
fn a_version_that_is_too_old_is_missing() {
    let app = program(&["libx.so"]).needs_version("libx.so", "V2");
    let members = vec![file("app", &app), file("lib/libx.so", &library("libx.so").defines(&["V1"]))];
    let problems = with_loader(members).problems(&ALL);
    let expected = "/app needs version V2 of libx.so, which was not found in /lib/libx.so, whose last version is V1";
    assert!(problems[0].starts_with(expected), "{problems:?}");
}

#[test]
fn a_cache_that_a_link_leads_to_is_read() {
    let image = whole()
        .changed("etc/ld.so.cache", |cache| cache.path = "etc/other".to_owned())
        .layer(vec![link("etc/ld.so.cache", "other")]);
    assert_eq!(image.problems(&IMAGES), [""; 0]);
}

#[test]
fn whatever_is_wrong_with_the_interpreter_is_said() {
    let app = || file("app", &program(&[]));
    let arm = loader(&BUILTIN).machine(AARCH64, true, true);
    let of_32_bits = loader(&BUILTIN).machine(X86_64, false, true);
    let other = Fixture { interpreter: Some(b"/lib/ld-other\0".to_vec()), ..program(&[]) };
    let relative = Fixture { interpreter: Some(b"lib/ld\0".to_vec()), ..program(&[]) };
    for (members, why) in [
        (vec![app()], "is not in the image"),
        (vec![app(), directory(&LOADER[1..])], "is a directory"),
        (vec![app(), member(&LOADER[1..], EntryType::Char)], "is no regular file"),
        (vec![app(), link(&LOADER[1..], "ld-linux-x86-64.so.2")], "is behind too many symlinks"),
        (vec![app(), bytes(&LOADER[1..], b"#!/bin/sh\n")], "is no program"),
        (vec![app(), file(&LOADER[1..], &arm)], "is for another machine (aarch64)"),
        (vec![app(), file(&LOADER[1..], &of_32_bits)], "is for another machine (32 bits)"),
    ] {
        let problems = Stranger::of(vec![members]).problems(&[Form::Docker, Form::Layout]);
        assert_eq!(problems, [format!("/app would not start: its interpreter {LOADER} {why}")]);
    }
    for (fixture, why) in [
        (&other, "its interpreter /lib/ld-other is the loader of neither glibc nor musl"),
        (&relative, "its interpreter lib/ld is a path relative to the working directory"),
    ] {
        let members = vec![file("app", fixture), file("lib/ld-other", &library("x"))];
        assert_eq!(Stranger::of(vec![members]).problems(&ALL), [format!("/app cannot be checked: {why}")]);
    }
}

#[test]
fn an_interpreter_behind_links_is_found() {
    let image = Stranger::of(vec![vec![
        link("lib64", "/usr/lib64"),
        link("usr/lib64/ld-linux-x86-64.so.2", "../../../../opt/ld.so"),
        file("opt/ld.so", &loader(&["/opt/lib"])),
        file("app", &program(&["libx.so"])),
        file("opt/lib/libx.so", &library("libx.so")),
    ]]);
    assert_eq!(image.problems(&ALL), [""; 0]);
}

#[test]
fn the_rules_of_musl_are_known_as_well() {
    let data = b"\0%.*s/etc/ld-musl-x86_64.path\0".to_vec();
    let path = "lib/ld-musl-x86_64.so.1";
    let app = Fixture { interpreter: Some(format!("/{path}\0").into_bytes()), ..program(&["libx.so"]) };
    let members = vec![
        file(path, &Fixture { data, ..library("libc.musl-x86_64.so.1") }),
        file("app", &app),
        file("opt/libx.so", &library("libx.so")),
    ];
    let image = Stranger::of(vec![members]);
    assert!(image.problems(&ALL)[0].starts_with("/app needs libx.so, which was not found\n  /lib/libx.so"));
    let with_list = image.layer(vec![bytes("etc/ld-musl-x86_64.path", b"/opt\n")]);
    assert_eq!(with_list.problems(&IMAGES), [""; 0]);
}

#[test]
fn every_executable_is_judged_and_nothing_else() {
    let lost = program(&["libgone.so"]);
    let mut plain = file("usr/share/lost", &lost);
    plain.mode = 0o644;
    let image = with_loader(vec![
        file("usr/bin/b", &lost),
        file("usr/bin/a", &lost),
        hard_link("usr/bin/c", "usr/bin/a"),
        link("usr/bin/d", "a"),
        file("usr/bin/static", &static_program()),
        file("usr/lib/libz.so", &library("libz.so").needs("libgone.so")),
        bytes("usr/bin/script", b"#!/bin/gone\n"),
        plain,
    ]);
    let names: Vec<String> =
        image.problems(&ALL).iter().map(|message| message.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(names, ["/usr/bin/a", "/usr/bin/b", "/usr/bin/c"]);
    assert_eq!(image.check(Form::Docker).unwrap().programs(), 3);
}

#[test]
fn a_damaged_executable_cannot_be_checked() {
    let mut damaged = program(&[]).bytes();
    damaged.truncate(100);
    let problems = with_loader(vec![bytes("app", &damaged)]).problems(&ALL);
    let why = "the file ends within its program headers; it may be damaged or cut off: build or copy it again";
    assert_eq!(problems, [format!("/app cannot be checked: {why}")]);
}

#[test]
fn what_the_image_starts_must_be_there() {
    let mut plain = file("app", &static_program());
    plain.mode = 0o644;
    let script = Member { mode: 0o644, ..bytes("run.sh", b"#!/bin/sh\n") };
    let shared = file("libx.so", &library("libx.so").needs("liby.so"));
    let image = with_loader(vec![plain, script, shared, file("fine", &static_program()), link("also", "fine")]);
    let what = |arguments: &serde_json::Value| {
        let image = image.clone().config(arguments.clone());
        assert_eq!(image.check(Form::Oci).unwrap().programs(), usize::from(arguments[0] != json!("relative")));
        image.problems(&IMAGES)
    };
    let words = |name: &str, why: &str| vec![format!("{name} would not start: it is what the image starts, and {why}")];
    assert_eq!(what(&json!({ "Entrypoint": ["/gone", "x"] })), words("/gone", "is not in the image"));
    assert_eq!(what(&json!({ "Cmd": ["/gone"] })), words("/gone", "is not in the image"));
    assert_eq!(what(&json!({ "Entrypoint": null, "Cmd": ["/app"] })), words("/app", "is not executable"));
    assert_eq!(what(&json!({ "Entrypoint": ["/run.sh"] })), words("/run.sh", "is not executable"));
    assert_eq!(what(&json!({ "Entrypoint": ["/lib64"] })), words("/lib64", "is a directory"));
    assert_eq!(what(&json!({ "Entrypoint": ["/fine"], "Cmd": ["/gone"] })), [""; 0]);
    assert_eq!(what(&json!({ "Entrypoint": ["/also"] })), [""; 0]);
    let library = what(&json!({ "Entrypoint": ["/libx.so"] }));
    assert!(library[0].contains("it is a shared library"), "{library:?}");
}

#[test]
fn the_environment_of_the_image_counts() {
    let image = with_loader(vec![file("app", &program(&["libx.so"])), file("opt/libx.so", &library("libx.so"))]);
    assert_eq!(image.problems(&ALL).len(), 1);
    let config = json!({ "Env": ["A=b", "LD_LIBRARY_PATH=/opt"], "Entrypoint": ["/app"] });
    assert_eq!(image.config(config).problems(&IMAGES), [""; 0]);
}

#[test]
fn layers_are_read_whatever_they_are_compressed_with() {
    for codec in [Codec::None, Codec::Gzip, Codec::GzipInParts, Codec::Zstd, Codec::ZstdInParts] {
        assert_eq!(whole().codec(codec).problems(&IMAGES), [""; 0], "{codec:?}");
        assert_eq!(whole().without("lib/liby.so").codec(codec).problems(&IMAGES).len(), 1, "{codec:?}");
    }
}

#[test]
fn xz_is_refused_by_name() {
    let (mut members, _) = whole().manifest();
    members[0].data = b"\xfd7zXZ\0\0\0".to_vec();
    let list = json!([{ "Config": members[1].path, "Layers": [members[0].path] }]);
    members.push(bytes("manifest.json", list.to_string().as_bytes()));
    let error = check_bytes(&tar(&members)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("compressed with xz"), "{error}");
}

/// The names of what the image has of `libs`, by which of these libraries are not missing.
fn found(layers: Vec<Vec<Member>>, names: &[&str]) -> Vec<String> {
    let app = [debian(), vec![file("app", &program(names).with(RUNPATH, "/opt/l"))]].concat();
    let image = Stranger::of([vec![app], layers].concat());
    let check = image.check(Form::Oci).unwrap();
    let missing: Vec<_> = check.problems().iter().flat_map(|problem| problem.missing()).collect();
    let is_there = |name: &&&str| missing.iter().all(|missing| missing.name() != **name);
    names.iter().filter(is_there).map(ToString::to_string).collect()
}

fn lib(path: &str) -> Member {
    file(path, &library(path.rsplit('/').next().unwrap()))
}

#[test]
fn an_opaque_directory_hides_all_that_is_below_and_nothing_of_its_own_layer() {
    let lower = || vec![lib("opt/l/a.so"), lib("opt/l/glibc-hwcaps/x/b.so"), lib("opt/lx/c.so")];
    let upper = [lib("opt/l/d.so"), bytes("opt/l/.wh..wh..opq", b"")];
    let reversed: Vec<Member> = upper.iter().rev().cloned().collect();
    for upper in [upper.to_vec(), reversed] {
        assert_eq!(found(vec![lower(), upper.clone()], &["a.so", "d.so"]), ["d.so"]);
        assert_eq!(found(vec![upper, lower()], &["a.so", "d.so"]), ["a.so", "d.so"]);
    }
}

#[test]
fn a_whiteout_hides_what_is_below_it_and_nothing_of_its_own_layer() {
    let lower = || vec![lib("opt/l/a.so"), lib("opt/l/b.so")];
    let hidden = |layer| found(vec![lower(), layer], &["a.so", "b.so"]);
    assert_eq!(hidden(vec![bytes("opt/l/.wh.a.so", b"")]), ["b.so"]);
    assert_eq!(hidden(vec![bytes("opt/l/.wh.gone.so", b""), bytes("no/such/.wh.x", b"")]), ["a.so", "b.so"]);
    assert_eq!(hidden(vec![lib("opt/l/a.so"), bytes("opt/l/.wh.a.so", b"")]), ["a.so", "b.so"]);
    assert_eq!(hidden(vec![bytes("opt/l/.wh.a.so", b""), lib("opt/l/a.so")]), ["a.so", "b.so"]);
    assert_eq!(hidden(vec![bytes("opt/.wh.l", b"")]), [""; 0]);
    assert_eq!(hidden(vec![bytes(".wh.opt", b""), lib("opt/l/b.so")]), ["b.so"]);
}

#[test]
fn other_names_of_aufs_mean_nothing() {
    let upper = vec![bytes(".wh..wh.aufs", b""), directory(".wh..wh.plnk/"), bytes("opt/l/.wh..wh.a.so", b"")];
    let more = vec![bytes("opt/l/.wh.", b""), bytes("opt/l/.wh...", b"")];
    assert_eq!(found(vec![vec![lib("opt/l/a.so")], upper, more], &["a.so"]), ["a.so"]);
}

#[test]
fn a_file_replaces_a_directory_and_a_directory_a_file() {
    let lower = || vec![lib("opt/l/a.so")];
    assert_eq!(found(vec![lower(), vec![bytes("opt/l", b"")]], &["a.so"]), [""; 0]);
    assert_eq!(found(vec![lower(), vec![bytes("opt/l", b""), directory("opt/l/")], lower()], &["a.so"]), ["a.so"]);
    // A directory that is there already keeps what is in it.
    assert_eq!(found(vec![lower(), vec![directory("opt/l/"), directory("./")]], &["a.so"]), ["a.so"]);
    // A link to a directory is no directory.
    let linked = vec![link("opt/l", "other"), lib("opt/other/a.so")];
    assert_eq!(found(vec![linked.clone()], &["a.so"]), ["a.so"]);
    assert_eq!(found(vec![linked, vec![directory("opt/l/")]], &["a.so"]), [""; 0]);
}

#[test]
fn a_member_lands_where_the_links_of_lower_layers_lead() {
    let lower = vec![link("opt", "/../srv"), directory("srv/x"), link("srv/l", "x/../y")];
    let upper = vec![lib("opt/l/a.so"), lib("srv/y/b.so")];
    assert_eq!(found(vec![lower.clone(), upper.clone()], &["a.so", "b.so"]), ["a.so", "b.so"]);
    let hidden = vec![bytes("opt/l/.wh.a.so", b"")];
    assert_eq!(found(vec![lower.clone(), upper.clone(), hidden], &["a.so", "b.so"]), ["b.so"]);
    let opaque = vec![bytes("opt/l/.wh..wh..opq", b"")];
    assert_eq!(found(vec![lower, upper, opaque], &["a.so", "b.so"]), [""; 0]);
}

#[test]
fn hard_links_are_one_file_also_over_layers() {
    let lower = vec![lib("data/a.so"), hard_link("opt/l/a.so", "data/a.so")];
    let upper = vec![hard_link("opt/l/b.so", "./data/a.so"), bytes("data/.wh.c.so", b"")];
    assert_eq!(found(vec![lower, upper], &["a.so", "b.so"]), ["a.so", "b.so"]);
    let error = Stranger::of(vec![vec![hard_link("a", "gone")]]).check(Form::Docker).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    assert!(error.to_string().contains("/a is a hard link to /gone, where no file is"), "{error}");
}

#[test]
fn long_names_are_read_in_both_formats() {
    let long = format!("opt/{}/l", "d".repeat(150));
    let lib = lib("x/a.so");
    let mut gnu = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(lib.data.len() as u64);
    header.set_mode(0o644);
    gnu.append_data(&mut header.clone(), format!("{long}/a.so"), lib.data.as_slice()).unwrap();
    let path = format!("{long}/b.so");
    let mut pax = tar::Builder::new(Vec::new());
    let value: &[u8] = b"1\n2\0=";
    pax.append_pax_extensions([("path", path.as_bytes()), ("SCHILY.xattr.user.x", value)]).unwrap();
    header.set_path("short").unwrap();
    header.set_cksum();
    pax.append(&header, lib.data.as_slice()).unwrap();
    let app = file("app", &program(&["a.so", "b.so"]).with(RUNPATH, &format!("/{long}")));
    let layers = [tar(&[debian(), vec![app]].concat()), gnu.into_inner().unwrap(), pax.into_inner().unwrap()];
    let check = check_bytes(&docker(&layers)).unwrap();
    assert!(check.is_fine(), "{check:?}");
}

/// A docker archive of these layers.
fn docker(layers: &[Vec<u8>]) -> Vec<u8> {
    let names: Vec<String> = (0..layers.len()).map(|number| format!("{number}/layer.tar")).collect();
    let list = json!([{ "Config": "c.json", "RepoTags": null, "Layers": names }]);
    let mut members: Vec<Member> = names.iter().zip(layers).map(|(name, layer)| bytes(name, layer)).collect();
    members.extend([bytes("c.json", b"{}"), bytes("manifest.json", list.to_string().as_bytes())]);
    tar(&members)
}

fn check_bytes(archive: &[u8]) -> scratchpack::Result<scratchpack::Check> {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("image.tar");
    fs::write(&path, archive).unwrap();
    check(path)
}

#[test]
fn every_image_of_an_archive_is_checked_under_its_name() {
    let (broken, intact) = (with_loader(vec![file("app", &program(&["libx.so"]))]), whole());
    let [(one, mut first), (two, mut second)] = [broken.manifest(), intact.manifest()];
    first["annotations"] = json!({ "org.opencontainers.image.ref.name": "1.0" });
    second["annotations"] = json!({ "io.containerd.image.name": "example.org/fine:1" });
    let mut members = [one, two].concat();
    // A second name of the first image, and an index of an index.
    let mut again = first.clone();
    again["platform"] = json!({ "os": "linux", "architecture": "amd64" });
    let inner = json!({ "manifests": [again, second] }).to_string().into_bytes();
    members.push(blob(&inner));
    let outer = json!({ "manifests": [first, descriptor("index", &inner)] });
    members.push(bytes("index.json", outer.to_string().as_bytes()));
    let check = check_bytes(&tar(&members)).unwrap();
    assert_eq!((check.programs(), check.problems().len()), (2, 1));
    assert_eq!(check.problems()[0].image(), Some("1.0"));
}

#[test]
fn images_without_names_are_called_by_their_digests() {
    let images = ["a.so", "b.so"].map(|name| with_loader(vec![file("app", &program(&[name]))]).manifest());
    let index = json!({ "manifests": images.iter().map(|(_, manifest)| manifest).collect::<Vec<_>>() });
    let mut members = images.clone().map(|(members, _)| members).concat();
    members.push(bytes("index.json", index.to_string().as_bytes()));
    let check = check_bytes(&tar(&members)).unwrap();
    let names: Vec<_> = check.problems().iter().map(|problem| problem.image().unwrap().to_owned()).collect();
    assert_eq!(names, images.map(|(_, manifest)| manifest["digest"].as_str().unwrap().to_owned()));
}

#[test]
fn of_an_image_for_many_machines_those_are_checked_that_are_there() {
    let (mut members, mut here) = with_loader(vec![file("app", &program(&["libx.so"]))]).manifest();
    here["platform"] = json!({ "os": "linux", "architecture": "arm64", "variant": "v8" });
    let absent = descriptor("manifest", b"of another machine");
    let mut attestation = descriptor("manifest", b"in-toto");
    attestation["annotations"] = json!({ "vnd.docker.reference.type": "attestation-manifest" });
    let archive = |members: &mut Vec<Member>, manifests: serde_json::Value| {
        let inner = json!({ "manifests": manifests }).to_string().into_bytes();
        let mut outer = descriptor("index", &inner);
        outer["annotations"] = json!({ "org.opencontainers.image.ref.name": "many" });
        members.push(blob(&inner));
        members.push(bytes("index.json", json!({ "manifests": [outer] }).to_string().as_bytes()));
        tar(members)
    };
    let check = check_bytes(&archive(&mut members.clone(), json!([here, absent, attestation]))).unwrap();
    assert_eq!(check.problems()[0].image(), Some("many (linux/arm64/v8)"));
    let error = check_bytes(&archive(&mut members, json!([absent]))).unwrap_err();
    assert!(error.to_string().contains("is not in it, so the image is not whole"), "{error}");
}

#[test]
fn an_archive_that_is_both_is_checked_once() {
    let root = Root::debian().file("/app", &program(&["libx.so"])).file("/lib/libx.so", &library("libx.so"));
    let out = tempfile::tempdir().unwrap();
    let image = root.builder("/app").tag("a:1").tag("b:1").build().map(verified).unwrap();
    image.write_archive(out.path().join("a.tar")).unwrap();
    image.write_layout(out.path().join("l")).unwrap();
    image.write_rootfs(out.path().join("r")).unwrap();
    for name in ["a.tar", "l", "r"] {
        let check = check(out.path().join(name)).unwrap();
        assert_eq!((check.programs(), check.is_fine()), (1, true), "{name}");
    }
}

#[test]
fn artifacts_are_no_images() {
    let config = b"{}";
    let manifest = json!({ "config": descriptor("application/vnd.example", config), "layers": [] }).to_string();
    let index = json!({ "manifests": [descriptor("manifest", manifest.as_bytes())] }).to_string();
    let members = [blob(config), blob(manifest.as_bytes()), bytes("index.json", index.as_bytes())];
    let error = check_bytes(&tar(&members)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAnImage);
    assert!(error.to_string().contains("it holds no image"), "{error}");
}

#[test]
fn of_a_running_systems_root_the_kernels_directories_are_left_out() {
    let broken = file("app", &program(&["libx.so"]));
    let members = ["proc/app", "sys/app", "dev/app", "srv/proc/app"]
        .map(|path| Member { path: path.to_owned(), ..broken.clone() });
    let out = tempfile::tempdir().unwrap();
    let problems = messages(&check(with_loader(members.to_vec()).write(Form::Root, &out)).unwrap());
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("/srv/proc/app needs"), "{problems:?}");
}

#[test]
fn a_large_file_is_checked_without_being_held() {
    // Its strings and its dynamic section stand before 70 MiB of something else.
    let data = vec![b'x'; 70 << 20];
    let large = |needed: &str| file("app", &Fixture { data: data.clone(), ..program(&[needed]) });
    let members = |needed| vec![large(needed), lib("lib/libx.so")];
    assert_eq!(with_loader(members("libx.so")).codec(Codec::Zstd).problems(&[Form::Docker]), [""; 0]);
    let problems = with_loader(members("libgone.so")).codec(Codec::Zstd).problems(&[Form::Docker]);
    assert!(problems[0].starts_with("/app needs libgone.so"), "{problems:?}");
}

#[test]
fn what_lies_too_far_apart_in_a_large_file_cannot_be_checked() {
    let mut app = program(&["libx.so"]).bytes();
    // The dynamic section stays where it is; the strings move behind more than is held.
    let strings = 100 << 20;
    let at = app.windows(8).position(|window| window == 5u64.to_le_bytes()).unwrap();
    app[at + 8..at + 16].copy_from_slice(&(strings as u64).to_le_bytes());
    app.resize(strings + 4096, 0);
    for field in [96, 104] {
        app[field..field + 8].copy_from_slice(&(strings as u64 + 4096).to_le_bytes());
    }
    let image = with_loader(vec![bytes("app", &app)]).codec(Codec::Zstd);
    let problems = image.problems(&[Form::Docker]);
    let expected = "/app cannot be checked: it is too large, and what must be read of it lies too far apart";
    assert_eq!(problems, [expected]);
}

#[test]
fn a_sparse_program_cannot_be_checked() {
    let app = Member { kind: EntryType::GNUSparse, ..file("app", &program(&[])) };
    let problems = with_loader(vec![app]).problems(&[Form::Oci]);
    assert!(problems[0].starts_with("/app cannot be checked: it is stored without its holes"), "{problems:?}");
}

/// `cap_net_raw` permitted and effective, as engines store it.
const CAPABILITY: &[u8] = b"57 SCHILY.xattr.security.capability=\
    \x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\n";

#[test]
fn a_program_that_gains_rights_must_start_without_the_environment() {
    let mut app = file("app", &program(&["libx.so"]));
    app.mode = 0o4755;
    let capability = Member { kind: EntryType::XHeader, ..bytes("pax", CAPABILITY) };
    let capable = vec![capability, file("app", &program(&["libx.so"]))];
    for app in [vec![app], capable] {
        let image = with_loader([app, vec![file("opt/libx.so", &library("libx.so"))]].concat());
        let problems = image.config(json!({ "Env": ["LD_LIBRARY_PATH=/opt"] })).problems(&IMAGES);
        let expected = "with the rights that its file gives it, /app needs libx.so, which was not found";
        assert!(problems[0].starts_with(expected), "{problems:?}");
    }
}

#[test]
fn a_program_must_start_on_every_cpu_that_there_are_libraries_for() {
    let mut loader = loader(&BUILTIN);
    loader.data.extend(b"glibc-hwcaps/\0Subdirectories of glibc-hwcaps directories\0");
    let variant = library("libx.so").needs("libgone.so");
    let members = vec![
        file(&LOADER[1..], &loader),
        file("app", &program(&["libx.so"])),
        file("lib/libx.so", &library("libx.so")),
        file("lib/glibc-hwcaps/x86-64-v3/libx.so", &variant),
    ];
    let problems = Stranger::of(vec![members]).problems(&ALL);
    let expected = "on a CPU of level x86-64-v3, /app needs libgone.so (via libx.so), which was not found";
    assert!(problems.len() == 1 && problems[0].starts_with(expected), "{problems:?}");
}

#[test]
fn what_the_image_starts_may_be_relative_to_its_working_directory() {
    let image = with_loader(vec![file("srv/app", &static_program())]);
    let config = |start: &str| json!({ "WorkingDir": "/srv", "Entrypoint": [start] });
    assert_eq!(image.clone().config(config("./app")).problems(&IMAGES), [""; 0]);
    let expected = "/srv/./gone would not start: it is what the image starts, and is not in the image";
    assert_eq!(image.config(config("./gone")).problems(&IMAGES), [expected]);
}

#[test]
fn what_the_images_system_preloads_must_be_complete() {
    let members = |preloaded: &Fixture| {
        let list = bytes("etc/ld.so.preload", b"# ours\n/lib/libpre.so\n");
        with_loader(vec![file("app", &program(&[])), file("lib/libpre.so", preloaded), list])
    };
    assert_eq!(members(&library("libpre.so")).problems(&ALL), [""; 0]);
    let problems = members(&library("libpre.so").needs("libgone.so")).problems(&ALL);
    assert!(problems[0].starts_with("/app needs libgone.so (via /lib/libpre.so)"), "{problems:?}");
}

#[test]
fn of_a_variable_that_stands_twice_the_last_counts() {
    let image = with_loader(vec![file("app", &program(&["libx.so"])), file("opt/libx.so", &library("libx.so"))]);
    let env = |paths: [&str; 2]| json!({ "Env": paths.map(|path| format!("LD_LIBRARY_PATH={path}")) });
    assert_eq!(image.clone().config(env(["/none", "/opt"])).problems(&IMAGES), [""; 0]);
    assert_eq!(image.config(env(["/opt", "/none"])).problems(&IMAGES).len(), 1);
}

#[test]
fn a_link_with_a_slash_at_its_end_leads_to_directories_only() {
    let members = vec![file("app", &program(&["libx.so"])), file("lib/real.so", &library("libx.so"))];
    let with = |target: &str| with_loader([members.clone(), vec![link("lib/libx.so", target)]].concat());
    assert_eq!(with("real.so").problems(&IMAGES), [""; 0]);
    assert_eq!(with("real.so/").problems(&IMAGES).len(), 1);
}

#[test]
fn no_data_follows_a_special_file_whatever_its_size_says() {
    let hidden = file("app", &program(&["libgone.so"]));
    let size = tar(std::slice::from_ref(&hidden)).len() as u64;
    let fifo = Member { kind: EntryType::Fifo, ..bytes("fifo", b"") };
    let mut layer = Vec::new();
    append(&mut layer, &fifo, size);
    layer.truncate(512);
    let layer = [layer, tar(&[debian(), vec![hidden]].concat())].concat();
    let problems = messages(&check_bytes(&docker(&[layer])).unwrap());
    assert!(problems[0].starts_with("/app needs libgone.so"), "{problems:?}");
}
