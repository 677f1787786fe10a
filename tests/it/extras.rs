//! Files, symlinks and directories of the caller, several programs in one image, and rights that files give.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use scratchpack::{Compression, Entry, EntryKind, ErrorKind, Finding, Image, ImageBuilder, Need};

use crate::elf::{LOADER, RPATH, RUNPATH, library, program, static_program};
use crate::root::{Root, tree};
use crate::verify::verified;

fn root() -> Root {
    Root::debian()
        .file("/app", &program(&["libx.so"]))
        .file("/lib/libx.so", &library("libx.so"))
        .bytes("/my/app.conf", b"key = value\n")
}

fn conflict(builder: &ImageBuilder) -> String {
    let error = builder.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    error.to_string()
}

fn entry<'i>(image: &'i Image, path: &str) -> &'i Entry {
    image.entries().find(|entry| entry.path() == Path::new(path)).unwrap()
}

fn codes(image: &Image) -> Vec<&'static str> {
    image.findings().iter().map(Finding::code).collect()
}

#[test]
fn files_links_and_directories_of_the_caller_stand_where_they_are_told_to() {
    let root = root();
    fs::set_permissions(root.on_machine("/my/app.conf"), fs::Permissions::from_mode(0o640)).unwrap();
    let mut builder = root.builder("/app");
    builder.file(root.on_machine("/my/app.conf"), "/etc/my.conf").symlink("my.conf", "/etc/link");
    let image = builder.directory("/tmp", 0o1777).directory("/var/lib/", None).build().map(verified).unwrap();
    assert_eq!(
        tree(&image),
        [
            "/etc/",
            "/etc/link -> my.conf",
            "/lib/",
            "/lib64/",
            "/tmp/",
            "/var/",
            "/var/lib/",
            "/lib/libx.so",
            LOADER,
            "/etc/my.conf",
            "/app"
        ]
    );
    let modes = ["/etc/my.conf", "/tmp", "/var/lib"].map(|path| entry(&image, path).mode());
    assert_eq!(modes, [0o644, 0o1777, 0o755]);
    assert_eq!(entry(&image, "/etc/my.conf").reason(), "given by the caller");
    assert_eq!(codes(&image), [""; 0]);
}

#[test]
fn a_directory_as_destination_keeps_the_name_of_the_file() {
    let root = root();
    let image = root.builder("/app").file(root.on_machine("/my/app.conf"), "/etc//x/").build().map(verified).unwrap();
    assert_eq!(entry(&image, "/etc/x/app.conf").size(), 12);
}

#[test]
fn a_file_is_read_through_symlinks_and_what_may_run_is_executable() {
    let root =
        root().link("/my/link", "app.conf").bytes("/my/script", b"#!/bin/sh\n").file("/my/libz.so", &library("z"));
    fs::set_permissions(root.on_machine("/my/script"), fs::Permissions::from_mode(0o700)).unwrap();
    let mut builder = root.builder("/app");
    for name in ["link", "script", "libz.so"] {
        builder.file(root.on_machine("/my").join(name), "/d/");
    }
    let image = builder.build().map(verified).unwrap();
    let modes = ["/d/link", "/d/script", "/d/libz.so"].map(|path| entry(&image, path).mode());
    assert_eq!(modes, [0o644, 0o755, 0o755]);
    let source = fs::canonicalize(root.on_machine("/my/app.conf")).unwrap();
    assert_eq!(entry(&image, "/d/link").kind(), EntryKind::File(source.clone()));
    assert!(image.inputs().any(|input| input == source));
}

#[test]
fn what_is_no_regular_file_is_refused_with_what_to_do() {
    let root = root();
    for (source, words) in [("/my", "give its files one by one"), ("/none", "no such file")] {
        let error = root.builder("/app").file(root.on_machine(source), "/x").build().unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    let error = root.builder("/app").file("/dev/null", "/x").build().unwrap_err();
    assert!(error.to_string().contains("give a regular file"), "{error}");
}

#[test]
fn paths_that_name_nothing_in_an_image_are_all_told_at_once() {
    let root = root();
    let mut builder = root.builder("/app");
    builder.file("/my/app.conf", "etc/x").file("/my/app.conf", "/etc/../x").file("/my/app.conf", "/x\0y");
    builder.symlink("a", "/").symlink("", "/a").symlink("busybox", "/bin/").directory("/d", 0o10000);
    builder.directory(format!("/{}", "x".repeat(4096)), None);
    let error = builder.build().unwrap_err();
    assert_eq!((error.kind(), error.to_string().lines().count()), (ErrorKind::InvalidOption, 8), "{error}");
}

#[test]
fn two_things_at_one_path_are_an_error_that_names_both() {
    let root = root().bytes("/my/other", b"");
    let mut builder = root.builder("/app");
    builder.file(root.on_machine("/my/app.conf"), "/x").file(root.on_machine("/my/other"), "/x");
    builder.file(root.on_machine("/my/other"), "/lib/libx.so").directory("/d", 0o700).directory("/d", 0o755);
    builder.symlink("a", "/l").symlink("b", "/l").symlink("x", "/app");
    let error = conflict(&builder);
    for words in [
        "/my/app.conf (given by the caller), and",
        "libx.so needed by /app, found by default",
        "a directory of mode 0700",
        "a symlink to b",
        "at /app: a symlink to x",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
    assert_eq!(error.lines().count(), 5, "{error}");
    assert!(error.contains("give one of them another path"), "{error}");
}

#[test]
fn the_same_twice_is_there_once() {
    let root = root();
    let mut builder = root.builder("/app");
    for _ in 0..2 {
        builder.file(root.on_machine("/my/app.conf"), "/x").symlink("x", "/l").directory("/d", 0o700);
    }
    builder.file(root.on_machine("/lib/libx.so"), "/lib/libx.so").file(root.on_machine("/app"), "/app");
    let image = builder.build().map(verified).unwrap();
    assert_eq!(image.entries().count(), 8);
    assert_eq!(tree(&image).last().unwrap(), "/app");
}

#[test]
fn a_file_below_a_file_is_an_error_that_names_both() {
    let root = root();
    let mut builder = root.builder("/app");
    builder.file(root.on_machine("/my/app.conf"), "/x").symlink("a", "/x/y/z").symlink("/loop", "/loop");
    let error = conflict(builder.directory("/loop/d", None).directory("/app/d", None));
    assert!(error.contains("/x/y/z (given by the caller) would lie below /x"), "{error}");
    assert!(error.contains("would lie below /app, which is no directory"), "{error}");
    assert!(error.contains("/loop"), "{error}");
    assert_eq!(error.lines().count(), 3, "{error}");
}

#[test]
fn what_lies_below_a_link_of_the_caller_goes_where_it_leads() {
    let root = root();
    let mut builder = root.builder("/app");
    builder.symlink("usr/bin", "/bin").symlink("app", "/bin/tool").symlink("usr/lib", "/lib").install("/bin/app");
    let image = builder.file(root.on_machine("/my/app.conf"), "/bin/x/conf").build().map(verified).unwrap();
    let tree = tree(&image);
    for line in ["/bin -> usr/bin", "/usr/bin/tool -> app", "/usr/bin/x/conf", "/usr/bin/app", "/usr/lib/libx.so"] {
        assert!(tree.contains(&line.to_owned()), "{line}: {tree:?}");
    }
    assert!(!tree.contains(&"/bin/".to_owned()), "{tree:?}");
}

#[test]
fn an_extra_file_that_changed_is_an_error_and_is_never_replaced() {
    let root = root();
    let image = root.builder("/app").file(root.on_machine("/my/app.conf"), "/x").build().map(verified).unwrap();
    let refused = image.write_archive(root.on_machine("/my/app.conf")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::OutputRefused);
    fs::write(root.on_machine("/my/app.conf"), "changed").unwrap();
    assert_eq!(image.write_layer_to(std::io::sink()).unwrap_err().kind(), ErrorKind::Changed);
}

#[test]
fn the_index_of_a_layout_that_goes_into_the_image_is_not_replaced() {
    let root = root();
    let layout = root.on_machine("/layout");
    root.image("/app").write_layout(&layout).unwrap();
    let image = root.builder("/app").file(layout.join("index.json"), "/x").build().map(verified).unwrap();
    assert_eq!(image.write_layout(&layout).unwrap_err().kind(), ErrorKind::OutputRefused);
}

#[test]
fn a_library_that_is_given_as_file_can_be_preloaded() {
    let root = root().file("/my/libp.so", &library("libp.so"));
    let mut builder = root.builder("/app");
    let image = builder
        .file(root.on_machine("/my/libp.so"), "/opt/")
        .env("LD_PRELOAD", "/opt/libp.so")
        .build()
        .map(verified)
        .unwrap();
    assert_eq!(codes(&image), [""; 0]);
    let list = root.bytes("/my/preload", b"/opt/none.so\n");
    let image =
        list.builder("/app").file(list.on_machine("/my/preload"), "/etc/ld.so.preload").build().map(verified).unwrap();
    assert_eq!(codes(&image), ["not-loaded"]);
}

#[test]
fn a_program_that_is_given_as_file_and_would_not_start_is_told() {
    let root = root().file("/tool", &program(&["libx.so", "liby.so"])).file("/lib/liby.so", &library("liby.so"));
    let image = root.builder("/app").file(root.on_machine("/tool"), "/tool").build().map(verified).unwrap();
    assert_eq!(codes(&image), ["file-program"]);
    assert!(image.findings()[0].message().contains("the image lacks liby.so"), "{}", image.findings()[0]);
    let alone = Root::empty().file("/s", &static_program());
    let image = alone.builder("/s").file(root.on_machine("/tool"), "/tool").build().map(verified).unwrap();
    assert!(image.findings()[0].message().contains("is not in the image"), "{}", image.findings()[0]);
    let complete = root.builder("/app").file(root.on_machine("/app"), "/tool").build().map(verified).unwrap();
    assert_eq!(codes(&complete), [""; 0]);
}

#[test]
fn what_is_excluded_is_not_missed_in_a_program_that_is_given_as_file() {
    let root = root().file("/tool", &program(&["libx.so", "libz.so.1"]));
    let mut builder = root.builder("/app");
    let image = builder.exclude("libz.so.1").file(root.on_machine("/tool"), "/tool").build().map(verified).unwrap();
    assert_eq!(codes(&image), [""; 0]);
}

#[test]
fn a_pattern_that_excludes_nothing_of_any_program_is_told() {
    let root = root()
        .file("/other", &program(&["libz.so.1"]))
        .file("/loads", &program(&[]).imports(&["dlopen"]).data(b"\0libcuda.so.1\0"))
        .file("/lib/libcuda.so.1", &library("libcuda.so.1"));
    let mut builder = root.builder("/app");
    builder.binary(root.on_machine("/other")).binary(root.on_machine("/loads"));
    builder.exclude("libz.*").exclude("libcuda.*").exclude("libnone*").exclude("lib/libx.so");
    let image = builder.build().map(verified).unwrap();
    let unused = image.findings().iter().filter(|finding| finding.code() == "unused-exclude");
    assert_eq!(unused.map(Finding::evidence).collect::<Vec<_>>(), ["libnone*", "lib/libx.so"]);
    let excluded = image.closures().iter().flat_map(|closure| closure.excluded()).map(|excluded| excluded.name());
    assert_eq!(excluded.collect::<Vec<_>>(), ["libz.so.1", "libcuda.so.1"]);
}

#[test]
fn programs_that_need_different_character_sets_share_all_of_them() {
    let lists = "module SJIS// INTERNAL SJIS 1\nmodule INTERNAL SJIS// SJIS 1\nalias SHIFT_JIS// SJIS//\n\
                 module KOI8-R// INTERNAL KOI8-R 1\nmodule INTERNAL KOI8-R// KOI8-R 1\n";
    let root = Root::debian()
        .file("/lib/libc.so.6", &library("libc.so.6").defines(&["GLIBC_2.34"]))
        .file("/converts", &program(&["libc.so.6"]).imports(&["iconv_open"]))
        .file("/hello", &program(&["libc.so.6"]))
        .bytes("/usr/lib/gconv/gconv-modules", lists.as_bytes())
        .file("/usr/lib/gconv/SJIS.so", &library("SJIS.so"))
        .file("/usr/lib/gconv/KOI8-R.so", &library("KOI8-R.so"));
    for [first, second] in [["/converts", "/hello"], ["/hello", "/converts"]] {
        let mut builder = root.builder(first);
        builder.binary(root.on_machine(second)).with(Need::Charset("SHIFT_JIS".into())).auto();
        let image = builder.build().map(verified).unwrap();
        let tree = tree(&image);
        for path in ["gconv-modules", "KOI8-R.so", "SJIS.so"] {
            assert!(tree.contains(&format!("/usr/lib/gconv/{path}")), "{tree:?}");
        }
    }
}

#[test]
fn directories_without_rights_are_written_to_a_root_directory_with_what_is_in_them() {
    let root = root();
    let mut builder = root.builder("/app");
    let image =
        builder.directory("/d", 0o000).file(root.on_machine("/my/app.conf"), "/d/x").build().map(verified).unwrap();
    let out = tempfile::tempdir().unwrap();
    image.write_rootfs(out.path().join("r")).unwrap();
    let metadata = fs::metadata(out.path().join("r/d")).unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.mtime()), (0, 0));
}

#[test]
fn two_programs_of_one_name_are_an_error_that_says_what_to_do() {
    let root = Root::empty().file("/a/app", &static_program()).file("/b/app", &static_program());
    let error = conflict(root.builder("/a/app").binary(root.on_machine("/b/app")));
    assert!(error.contains("/a/app (the program)") && error.contains("/b/app (the program)"), "{error}");
    assert!(error.contains("a symlink of another name"), "{error}");
    symlink("/b/app", root.on_machine("/b/other")).unwrap();
    let image = root.builder("/a/app").binary(root.on_machine("/b/other")).build().map(verified).unwrap();
    assert_eq!(tree(&image), ["/app", "/other"]);
}

#[test]
fn the_same_program_twice_is_there_once() {
    let root = root();
    let image = root.builder("/app").binary(root.on_machine("/app")).build().map(verified).unwrap();
    assert_eq!(tree(&image), tree(&root.image("/app")));
    let config = crate::documents::Archive::of(&image).config();
    assert_eq!(config["history"][0]["created_by"], "COPY app /");
}

#[test]
fn programs_that_are_names_of_one_file_are_names_of_one_file_in_the_image() {
    let root = Root::empty()
        .file("/bin/busybox", &static_program())
        .hard_link("/bin/ls", "/bin/busybox")
        .link("/bin/sh", "busybox");
    let mut builder = root.builder("/bin/busybox");
    let image =
        builder.binary(root.on_machine("/bin/ls")).binary(root.on_machine("/bin/sh")).build().map(verified).unwrap();
    assert_eq!(tree(&image), ["/busybox", "/ls = /busybox", "/sh = /busybox"]);
    assert!(image.entries().all(|entry| entry.mode() == 0o755));
}

#[test]
fn a_program_that_is_a_library_of_another_stays_a_program() {
    let root =
        Root::debian().file("/one", &program(&["/two"])).file("/two", &program(&[])).file("/three", &static_program());
    let mut builder = root.builder("/one");
    let image =
        builder.binary(root.on_machine("/two")).binary(root.on_machine("/three")).build().map(verified).unwrap();
    assert_eq!(tree(&image), ["/lib64/", LOADER, "/one", "/three", "/two"]);
    assert_eq!(entry(&image, "/two").reason(), "the program");
}

#[test]
fn programs_that_use_their_origin_keep_apart() {
    let app = program(&["libx.so"]).with(RUNPATH, "$ORIGIN/../lib");
    let root = Root::debian()
        .file("/a/bin/server", &app)
        .file("/a/lib/libx.so", &library("one"))
        .file("/b/bin/migrate", &app)
        .file("/b/lib/libx.so", &library("two"));
    let image = root.builder("/a/bin/server").binary(root.on_machine("/b/bin/migrate")).build().map(verified).unwrap();
    let tree = tree(&image);
    for path in ["/opt/server/lib/libx.so", "/opt/migrate/lib/libx.so", "/opt/server/bin/server"] {
        assert!(tree.contains(&path.to_owned()), "{tree:?}");
    }
}

#[test]
fn static_glibc_and_musl_programs_share_an_image() {
    const MUSL: &str = "/lib/ld-musl-x86_64.so.1";
    let mut app = program(&["libm.so", "liby.so"]);
    app.interpreter = Some([MUSL.as_bytes(), b"\0"].concat());
    let data = b"\0%.*s/etc/ld-musl-x86_64.path\0".to_vec();
    let root = root()
        .file(MUSL, &crate::elf::Fixture { data, ..library("libc.musl-x86_64.so.1") })
        .file("/static", &static_program())
        .file("/alpine", &app)
        .file("/usr/lib/liby.so", &library("liby.so"));
    let mut builder = root.builder("/app");
    let image =
        builder.binary(root.on_machine("/alpine")).binary(root.on_machine("/static")).build().map(verified).unwrap();
    let tree = tree(&image);
    assert_eq!(tree[tree.len() - 3..], ["/alpine", "/app", "/static"]);
    assert!(tree.contains(&MUSL.to_owned()) && tree.contains(&LOADER.to_owned()), "{tree:?}");
}

#[test]
fn two_files_that_two_programs_find_for_one_path_are_an_error_that_names_both() {
    let root = Root::debian()
        .file("/one", &program(&["libx.so"]))
        .file("/two", &program(&["libx.so"]).with(RPATH, "/lib/x86_64-linux-gnu"))
        .file("/mine/libx.so", &library("libx.so"))
        .file("/lib/x86_64-linux-gnu/libx.so", &library("libx.so"));
    let mut builder = root.builder("/one");
    let error = conflict(builder.binary(root.on_machine("/two")).library_path(root.on_machine("/mine")));
    assert!(error.contains("/mine/libx.so") && error.contains("/lib/x86_64-linux-gnu/libx.so"), "{error}");
}

#[test]
fn setuid_and_setgid_bits_are_kept_when_asked() {
    let root = root().file("/my/tool", &static_program()).bytes("/my/data", b"");
    for (path, mode) in [("/app", 0o4711), ("/my/tool", 0o2755), ("/my/data", 0o6644)] {
        fs::set_permissions(root.on_machine(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut builder = root.builder("/app");
    builder.file(root.on_machine("/my/tool"), "/tool").file(root.on_machine("/my/data"), "/data");
    let modes = |image: &Image| ["/app", "/tool", "/data"].map(|path| entry(image, path).mode());
    let dropped = builder.build().map(verified).unwrap();
    assert_eq!((modes(&dropped), codes(&dropped)), ([0o755, 0o755, 0o644], vec!["special-mode"; 3]));
    let kept = builder.keep_setuid(true).build().map(verified).unwrap();
    assert_eq!((modes(&kept), codes(&kept)), ([0o4755, 0o2755, 0o644], vec!["special-mode"]));
    let out = tempfile::tempdir().unwrap();
    kept.write_rootfs(out.path().join("r")).unwrap();
    assert_eq!(fs::metadata(out.path().join("r/app")).unwrap().mode() & 0o7777, 0o4755);
}

#[test]
fn what_a_setuid_program_finds_it_finds_with_and_without_its_rights() {
    // Plain, the variable of the image's environment leads to another file than the one that was found.
    let root = root().file("/opt/l/libx.so", &library("libx.so"));
    fs::set_permissions(root.on_machine("/app"), fs::Permissions::from_mode(0o4755)).unwrap();
    let mut builder = root.builder("/app");
    assert!(builder.keep_setuid(true).build().is_ok());
    builder.file(root.on_machine("/opt/l/libx.so"), "/opt/l/").env("LD_LIBRARY_PATH", "/opt/l");
    assert_eq!(builder.build().unwrap_err().kind(), ErrorKind::Unprovable);
    // An image that relies on the variable does not start with the program's rights.
    let root = Root::debian()
        .file("/bin/app", &program(&["libx.so"]).with(RUNPATH, "/opt/l"))
        .file("/opt/l/libx.so", &library("libx.so"));
    fs::set_permissions(root.on_machine("/bin/app"), fs::Permissions::from_mode(0o4755)).unwrap();
    assert!(root.builder("/bin/app").keep_setuid(true).env("LD_LIBRARY_PATH", "/none").build().is_ok());
}

/// CAP_NET_BIND_SERVICE, permitted and effective, as setcap(8) stores it.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Whether the file has capabilities now: only root may give them, and not every file system takes them.
pub fn give_capability(path: &Path) -> bool {
    let name = "security.capability";
    rustix::fs::setxattr(path, name, &CAPABILITY, rustix::fs::XattrFlags::empty()).is_ok()
}

fn capability(path: &Path) -> Vec<u8> {
    let mut value = [0; 64];
    let size = rustix::fs::getxattr(path, "security.capability", &mut value).unwrap();
    value[..size].to_vec()
}

/// The paths of a layer whose members have the capability.
fn with_capability(image: &Image) -> Vec<String> {
    let mut bytes = Vec::new();
    image.write_layer_to(&mut bytes).unwrap();
    let mut names = Vec::new();
    for member in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
        let mut member = member.unwrap();
        let name = member.path().unwrap().display().to_string();
        let Some(mut records) = member.pax_extensions().unwrap() else { continue };
        let record = records.next().unwrap().unwrap();
        assert_eq!(
            (record.key().unwrap(), record.value_bytes()),
            ("SCHILY.xattr.security.capability", &CAPABILITY[..])
        );
        names.push(name);
    }
    names
}

#[test]
fn file_capabilities_are_kept_when_asked() {
    let root = root().file("/my/tool", &static_program());
    root.builder("/app").build().map(verified).unwrap();
    fs::hard_link(root.on_machine("/app"), root.on_machine("/other")).unwrap();
    if !give_capability(&root.on_machine("/app")) || !give_capability(&root.on_machine("/my/tool")) {
        return;
    }
    let long = format!("/{}/tool", "d".repeat(120));
    let mut builder = root.builder("/app");
    builder.binary(root.on_machine("/other")).file(root.on_machine("/my/tool"), &long).compression(Compression::None);
    let dropped = builder.build().map(verified).unwrap();
    assert_eq!((codes(&dropped), with_capability(&dropped).len()), (vec!["file-capabilities"; 3], 0));
    let kept = builder.file_capabilities(true).build().map(verified).unwrap();
    assert_eq!(codes(&kept), [""; 0]);
    assert_eq!(entry(&kept, "/other").capabilities(), Some(&CAPABILITY[..]));
    assert_eq!(with_capability(&kept), [&long[1..], "app", "other"]);

    let out = tempfile::tempdir().unwrap();
    kept.write_rootfs(out.path().join("r")).unwrap();
    for name in [&long[1..], "app", "other"] {
        assert_eq!(capability(&out.path().join("r").join(name)), CAPABILITY);
    }
    let archive = out.path().join("x.tar");
    kept.write_archive(&archive).unwrap();
    let check = scratchpack::check(&archive).unwrap();
    assert!(check.problems().is_empty(), "{:?}", check.problems());
}
