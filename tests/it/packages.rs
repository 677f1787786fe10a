//! Which packages files came from, and what an image tells scanners of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use scratchpack::limits::{
    MAX_PACKAGE_BYTES, MAX_PACKAGE_FILE, MAX_PACKAGE_NAMES, MAX_PACKAGE_PATHS, MAX_PACKAGE_RECORD,
};
use scratchpack::{Error, ErrorKind, Image, Package};

use crate::documents::members;
use crate::elf::{Fixture, LOADER, library, loader, program, static_program};
use crate::limits::expect;
use crate::root::{BUILTIN, Root, tree};
use crate::rpmdb::rpmdb;
use crate::verify::verified;

/// A program and a library of a merged `/usr`, and the distribution.
pub fn merged() -> Root {
    Root::empty()
        .directory("/usr/lib64")
        .link("/lib", "usr/lib")
        .link("/lib64", "usr/lib64")
        .file(LOADER, &loader(&BUILTIN))
        .file("/app", &program(&["libx.so.1"]))
        .file("/usr/lib/x86_64-linux-gnu/libx.so.1.2", &library("libx.so.1"))
        .link("/usr/lib/x86_64-linux-gnu/libx.so.1", "libx.so.1.2")
        .bytes("/usr/lib/os-release", b"PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n")
        .link("/etc/os-release", "../usr/lib/os-release")
        .bytes("/etc/debian_version", b"12.9\n")
}

/// dpkg's paragraph of a package.
fn paragraph(name: &str, more: &str) -> String {
    format!("Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:2-3+b1\n{more}")
}

/// A package of dpkg by its name in `info`, with these files.
pub fn dpkg(root: Root, key: &str, files: &[&str]) -> Root {
    let status = fs::read_to_string(root.on_machine("/var/lib/dpkg/status")).unwrap_or_default();
    let status = status + &paragraph(key.split(':').next().unwrap(), "") + "\n";
    let list: String = files.iter().map(|file| format!("{file}\n")).collect();
    root.bytes("/var/lib/dpkg/status", status.as_bytes())
        .bytes(&format!("/var/lib/dpkg/info/{key}.list"), format!("/.\n/usr\n{list}").as_bytes())
}

fn image(root: &Root) -> Image {
    root.image("/app")
}

/// `name: file file`
fn lines(packages: &[Package]) -> Vec<String> {
    let files =
        |package: &Package| package.files().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" ");
    packages.iter().map(|package| format!("{}: {}", package.name(), files(package))).collect()
}

fn packages(root: &Root) -> Vec<String> {
    lines(image(root).packages().unwrap())
}

fn failure(root: &Root) -> Error {
    image(root).packages().unwrap_err()
}

pub const X: &str = "/usr/lib/x86_64-linux-gnu/libx.so.1.2";

#[test]
fn a_file_is_known_by_either_of_its_two_paths() {
    for path in ["/lib/x86_64-linux-gnu/libx.so.1.2", X] {
        assert_eq!(packages(&dpkg(merged(), "libx1:amd64", &[path])), [format!("libx1: {X}")], "{path}");
    }
    // The other way around: what lies in /lib is registered in /usr/lib.
    let root = Root::debian()
        .file("/app", &program(&["libx.so.1"]))
        .file("/lib/x86_64-linux-gnu/libx.so.1", &library("libx.so.1"))
        .link("/usr/lib", "../lib");
    let root = dpkg(root, "libx1", &["/lib/x86_64-linux-gnu/libx.so.1"]);
    let root = dpkg(root, "libx2", &["/usr/lib/x86_64-linux-gnu/libx.so.1"]);
    let lines = ["libx1: /lib/x86_64-linux-gnu/libx.so.1", "libx2: /lib/x86_64-linux-gnu/libx.so.1"];
    assert_eq!(packages(&root), lines);
}

#[test]
fn a_file_of_the_same_name_elsewhere_is_another_one() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so.1"]))
        .file("/lib/libx.so.1", &library("libx.so.1"))
        .file("/usr/lib/libx.so.1", &library("libx.so.1"));
    assert!(packages(&dpkg(root, "other", &["/usr/lib/libx.so.1", "/opt/libx.so.1", "/lib/libx.so.1.0"])).is_empty());
    // A link of another package to the file does not make it that package's.
    let linked = merged().directory("/usr/lib/other").link("/usr/lib/other/libx.so.1.2", X);
    assert!(packages(&dpkg(linked, "other", &["/usr/lib/other/libx.so.1.2"])).is_empty());
}

#[test]
fn all_that_dpkg_says_of_a_package_is_told() {
    let more = "Source: xsource (2-3)\nMaintainer: Some One <one@example.org>\nDescription: short\n long\n .\n more\n";
    let root = merged()
        .bytes("/var/lib/dpkg/status", format!("{}\n{}", paragraph("other", ""), paragraph("libx1", more)).as_bytes())
        .bytes("/var/lib/dpkg/info/libx1:amd64.list", format!("{X}\n").as_bytes())
        .bytes("/usr/share/doc/libx1/copyright", b"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-2+ or Expat\n");
    let image = image(&root);
    let [package] = image.packages().unwrap() else { panic!() };
    assert_eq!((package.kind(), package.name(), package.version()), ("deb", "libx1", "1:2-3+b1"));
    assert_eq!((package.architecture(), package.source()), (Some("amd64"), Some(("xsource", "2-3"))));
    assert_eq!(package.maintainer(), Some("Some One <one@example.org>"));
    assert_eq!(package.license(), Some("GPL-2.0-or-later OR MIT"));
    assert_eq!(package.purl(), "pkg:deb/debian/libx1@1:2-3%2Bb1?arch=amd64&distro=debian-12&upstream=xsource%402-3");
    assert_eq!(package.database(), Some(root.on_machine("/var/lib/dpkg/status").as_path()));
    let distribution = package.distribution().unwrap();
    assert_eq!((distribution.id(), distribution.version()), ("debian", Some("12")));
    assert_eq!(distribution.name(), "Debian GNU/Linux 12 (bookworm)");
    assert_eq!(image.distribution().unwrap(), Some(distribution));
}

#[test]
fn a_package_of_two_architectures_is_the_one_whose_file_it_is() {
    let foreign = paragraph("libx1", "").replace("amd64", "i386");
    let root = dpkg(merged(), "libx1:amd64", &[X]);
    let status = fs::read_to_string(root.on_machine("/var/lib/dpkg/status")).unwrap();
    let root = root
        .bytes("/var/lib/dpkg/status", format!("{foreign}\n{status}").as_bytes())
        .bytes("/var/lib/dpkg/info/libx1:i386.list", b"/usr/lib/i386-linux-gnu/libx.so.1.2\n");
    let image = image(&root);
    let architectures: Vec<_> = image.packages().unwrap().iter().map(Package::architecture).collect();
    assert_eq!(architectures, [Some("amd64")]);
}

#[test]
fn two_packages_that_share_a_file_are_both_told() {
    let root = dpkg(dpkg(merged(), "one", &[X]), "two", &["/lib/x86_64-linux-gnu/libx.so.1.2"]);
    assert_eq!(packages(&root), [format!("one: {X}"), format!("two: {X}")]);
}

#[test]
fn a_diverted_file_belongs_to_the_package_that_made_room_for_nobody() {
    let diversions = |to: &str, by: &str| format!("{X}\n{to}\n{by}\n");
    let both = || dpkg(dpkg(merged(), "libx1", &[X]), "own", &[X]);
    // The file of libx1 is elsewhere, and the one of the package that diverts it is here.
    let root = both().bytes("/var/lib/dpkg/diversions", diversions(&format!("{X}.distrib"), "own").as_bytes());
    assert_eq!(packages(&root), [format!("own: {X}")]);
    // What the administrator put there is of no package.
    let root = both().bytes("/var/lib/dpkg/diversions", diversions(&format!("{X}.distrib"), ":").as_bytes());
    assert!(packages(&root).is_empty());
    // A file that was put aside under the name that is in the image.
    let aside = format!("/usr/lib/elsewhere.so\n{X}\nown\n");
    let root = dpkg(merged(), "libx1", &["/usr/lib/elsewhere.so"]).bytes("/var/lib/dpkg/diversions", aside.as_bytes());
    assert_eq!(packages(&root), [format!("libx1: {X}")]);
}

#[test]
fn a_package_without_a_list_is_known_by_its_digests() {
    let root = merged()
        .bytes("/var/lib/dpkg/status", paragraph("libx1", "").as_bytes())
        .bytes("/var/lib/dpkg/info/libx1.md5sums", format!("{}  {}\n", "0".repeat(32), &X[1..]).as_bytes());
    assert_eq!(packages(&root), [format!("libx1: {X}")]);
}

#[test]
fn a_package_that_is_not_installed_or_of_no_name_is_none() {
    for (key, paragraph) in [
        ("gone", "Package: gone\nStatus: purge ok not-installed\nVersion: 1\n"),
        ("other", "Package: unlisted\nVersion: 1\n"),
        ("plain", "Package: plain\n"),
        ("..", "Package: ..\nVersion: 1\n"),
    ] {
        let root = dpkg(merged(), key, &[X]).bytes("/var/lib/dpkg/status", paragraph.as_bytes());
        assert!(packages(&root).is_empty(), "{key}");
    }
    let root = merged()
        .bytes("/var/lib/dpkg/status", b"Package: a/../../b\nVersion: 1\n")
        .bytes("/var/lib/dpkg/info/a.list", format!("{X}\n").as_bytes());
    assert!(packages(&root).is_empty());
}

#[test]
fn packages_of_an_image_without_dpkg_are_known() {
    let root = merged()
        .bytes("/var/lib/dpkg/status.d/libx1", paragraph("libx1", "").as_bytes())
        .bytes("/var/lib/dpkg/status.d/libx1.md5sums", format!("{}  {}\n", "a".repeat(32), &X[1..]).as_bytes())
        .bytes("/var/lib/dpkg/status.d/nothing.md5sums", b"\nshort\n");
    assert_eq!(packages(&root), [format!("libx1: {X}")]);
}

#[test]
fn what_was_packed_with_its_packages_tells_the_same_when_it_is_packed_again() {
    let root = dpkg(dpkg(merged(), "libx1:amd64", &["/lib/x86_64-linux-gnu/libx.so.1.2"]), "app", &["/app"])
        .bytes("/var/lib/dpkg/info/app.md5sums", format!("{}  app\n", "b".repeat(32)).as_bytes())
        .bytes(
            "/var/lib/dpkg/info/libx1:amd64.md5sums",
            format!("{}  lib/x86_64-linux-gnu/libx.so.1.2\n", "a".repeat(32)).as_bytes(),
        );
    let first = root.builder("/app").package_db(true).build().map(verified).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("copy");
    first.write_rootfs(&copy).unwrap();
    let again =
        Image::builder().sysroot(&copy).binary(copy.join("app")).package_db(true).build().map(verified).unwrap();
    assert_eq!(lines(again.packages().unwrap()), lines(first.packages().unwrap()));
    assert_eq!(lines(first.packages().unwrap()), ["app: /app".to_owned(), format!("libx1: {X}")]);
    assert_eq!(tree(&again), tree(&first));
}

pub const APK: &str = "C:Q1x=\nP:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\no:musl-src\nm:Some One <one@example.org>\nt:1\nF:lib\n\
                   R:other\nZ:Q1o=\nR:libx.so.1\na:0:0:755\nZ:Q1y=\nF:etc\nM:0:0:755\n\nC:Q1z=\nP:app\nV:1-r0\nA:x86_64\n\
                   L:GPL-2.0-or-later AND custom\nF:\nR:app\nZ:Q1w=\n\n";

fn alpine() -> Root {
    Root::debian()
        .file("/app", &program(&["libx.so.1"]))
        .file("/lib/libx.so.1", &library("libx.so.1"))
        .bytes("/etc/os-release", b"ID=alpine\nVERSION_ID=3.18.4\nPRETTY_NAME='Alpine Linux v3.18'\n")
        .bytes("/etc/alpine-release", b"3.18.4\n")
}

#[test]
fn packages_of_apk_are_known() {
    for path in ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"] {
        let root = alpine().bytes(path, APK.as_bytes());
        let image = image(&root);
        let known = image.packages().unwrap();
        assert_eq!(lines(known), ["app: /app", "musl: /lib/libx.so.1"]);
        assert_eq!((known[1].kind(), known[1].license()), ("apk", Some("MIT")));
        assert_eq!(known[0].license(), Some("GPL-2.0-or-later AND LicenseRef-custom"));
        assert_eq!(known[1].purl(), "pkg:apk/alpine/musl@1.2.4-r2?arch=x86_64&distro=alpine-3.18.4&upstream=musl-src");
    }
}

/// Bytes that are generated for the image, by their paths.
fn generated(image: &Image) -> Vec<(String, String)> {
    let mut layer = Vec::new();
    image.write_layer_to(&mut layer).unwrap();
    let known = members(&gunzip(&layer))
        .into_iter()
        .filter(|(path, _)| ["etc/", "var/", "lib/apk"].iter().any(|start| path.starts_with(start)));
    known
        .filter(|(_, bytes)| !bytes.is_empty())
        .map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap()))
        .collect()
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(bytes), &mut plain).unwrap();
    plain
}

#[test]
fn scanners_are_told_of_packages_of_dpkg_as_images_without_dpkg_have_them() {
    let sums = format!("{}  lib/x86_64-linux-gnu/libx.so.1.2\n{}  usr/share/doc/x\n", "a".repeat(32), "b".repeat(32));
    let root = dpkg(merged(), "libx1:amd64", &["/lib/x86_64-linux-gnu/libx.so.1.2", "/usr/share/doc/x"])
        .bytes("/var/lib/dpkg/info/libx1:amd64.md5sums", sums.as_bytes());
    let image = root.builder("/app").package_db(true).build().map(verified).unwrap();
    let release = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n";
    let expected = [
        ("etc/debian_version", "12.9\n".to_owned()),
        ("etc/os-release", release.to_owned()),
        ("var/lib/dpkg/status.d/libx1", paragraph("libx1", "")),
        ("var/lib/dpkg/status.d/libx1.md5sums", format!("{}  {}\n", "a".repeat(32), &X[1..])),
    ];
    assert_eq!(generated(&image), expected.map(|(path, text)| (path.to_owned(), text)));
    let reasons: Vec<_> =
        image.entries().map(scratchpack::Entry::reason).filter(|reason| reason.ends_with("for scanners")).collect();
    assert_eq!(
        reasons,
        [
            "the distribution, for scanners",
            "the distribution, for scanners",
            "what dpkg knows of the package libx1, for scanners",
            "the files of the package libx1, for scanners"
        ]
    );
    let inputs: Vec<_> = image.inputs().collect();
    for path in [
        "/etc",
        "/etc/os-release",
        "/etc/debian_version",
        "/var/lib/dpkg/status",
        "/var/lib/dpkg/info/libx1:amd64.list",
        "/var/lib/dpkg/info/libx1:amd64.md5sums",
    ] {
        assert!(inputs.contains(&root.on_machine(path)), "{path}: {inputs:?}");
    }
    assert!(image.findings().is_empty(), "{:?}", image.findings());
}

#[test]
fn scanners_are_told_of_packages_of_apk() {
    let root = alpine().bytes("/lib/apk/db/installed", APK.as_bytes());
    let image = root.builder("/app").package_db(true).build().map(verified).unwrap();
    let expected = [
        ("etc/alpine-release", "3.18.4\n"),
        ("etc/os-release", "ID=alpine\nVERSION_ID=3.18.4\nPRETTY_NAME='Alpine Linux v3.18'\n"),
        (
            "lib/apk/db/installed",
            "C:Q1z=\nP:app\nV:1-r0\nA:x86_64\nL:GPL-2.0-or-later AND custom\nF:\nR:app\nZ:Q1w=\n\n\
             C:Q1x=\nP:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\no:musl-src\nm:Some One <one@example.org>\nt:1\n\
             F:lib\nR:libx.so.1\na:0:0:755\nZ:Q1y=\n\n",
        ),
    ];
    assert_eq!(generated(&image), expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
}

#[test]
fn nothing_is_told_without_being_asked_for() {
    let root = dpkg(merged(), "libx1:amd64", &[X]);
    assert!(generated(&image(&root)).is_empty());
    assert!(!image(&root).inputs().any(|input| input.starts_with(root.on_machine("/var"))));
}

#[test]
fn the_caller_has_the_last_word_on_what_scanners_are_told() {
    let root = dpkg(merged(), "libx1:amd64", &[X]).bytes("/mine", b"ID=mine\n");
    let image = root.builder("/app").package_db(true).file(root.on_machine("/mine"), "/etc/os-release").build();
    let told = generated(&image.map(verified).unwrap());
    assert!(told.contains(&("etc/os-release".to_owned(), "ID=mine\n".to_owned())), "{told:?}");
}

#[test]
fn that_there_is_nothing_to_tell_scanners_is_a_warning() {
    let root = merged();
    let image = root.builder("/app").package_db(true).build().map(verified).unwrap();
    let findings: Vec<_> = image.findings().iter().map(|finding| (finding.level().name(), finding.code())).collect();
    assert_eq!(findings, [("warning", "package-db")]);
    assert!(generated(&image).iter().any(|(path, _)| path == "etc/os-release"));
}

#[test]
fn a_database_that_no_one_reads_is_named_where_packages_are_asked_for() {
    let root = merged().bytes("/var/lib/rpm/Packages", b"of Berkeley");
    let finding = |program: &str, early: bool| {
        let image = root.builder(program).read_packages(early).build().map(verified).unwrap();
        image.findings().first().map(|finding| (finding.code().to_owned(), finding.message().to_owned()))
    };
    let (code, message) = finding("/app", true).unwrap();
    assert_eq!(code, "package-db");
    assert!(
        message.contains("/var/lib/rpm/Packages has an older form") && message.contains("--rebuilddb"),
        "{message}"
    );
    assert_eq!(finding("/app", false), None);
    // A program that needs nothing of the system is the caller's own.
    let root = merged().file("/static", &static_program());
    let image = root.builder("/static").read_packages(true).build().map(verified).unwrap();
    assert!(image.findings().is_empty());
}

#[test]
fn what_packages_were_read_from_is_an_input_when_they_are_read_early() {
    let root = dpkg(merged(), "libx1:amd64", &[X]);
    let status = root.on_machine("/var/lib/dpkg/status");
    let has_status = |early: bool| {
        let image = root.builder("/app").read_packages(early).build().map(verified).unwrap();
        image.inputs().any(|input| input == status)
    };
    assert!(has_status(true) && !has_status(false));
}

#[test]
fn a_hard_link_that_another_package_registered_is_that_packages() {
    let further = "/usr/lib/x86_64-linux-gnu/libz.so.1";
    let root = dpkg(dpkg(merged(), "libx1", &[X]), "libz1", &[further]).hard_link(further, X);
    let mut builder = root.builder("/app");
    builder.file(root.on_machine(further), "/z").file(root.on_machine(X), "/x");
    let image = builder.build().map(verified).unwrap();
    assert_eq!(lines(image.packages().unwrap()), [format!("libx1: {X} /x"), "libz1: /z".to_owned()]);
}

#[test]
fn a_name_of_two_lines_forges_no_package() {
    let root = alpine().bytes("/lib/apk/db/installed", APK.as_bytes());
    let mut builder = root.builder("/app");
    builder.file(root.on_machine("/lib/libx.so.1"), "/x/a\nP:evil\nV:0").package_db(true);
    let image = builder.build().map(verified).unwrap();
    let written = generated(&image);
    assert!(written.iter().any(|(_, text)| text.contains("P:")), "{written:?}");
    assert!(written.iter().all(|(_, text)| !text.contains("evil")), "{written:?}");
}

#[test]
fn a_statement_of_licences_that_is_no_file_states_nothing() {
    let root = dpkg(merged(), "libx1", &[X]).directory("/usr/share/doc/libx1/copyright");
    assert_eq!(image(&root).packages().unwrap()[0].license(), None);
}

#[test]
fn with_a_sysroot_this_machine_is_asked_nothing() {
    // A file from outside is of no package, whatever the machine's own database says of it.
    let root = dpkg(merged(), "libx1:amd64", &[X]);
    let image = root.builder("/app").file("/bin/sh", "/sh").package_db(true).build().map(verified).unwrap();
    assert_eq!(lines(image.packages().unwrap()), [format!("libx1: {X}")]);
    // One from inside, given by its path on this machine, is of its package.
    let root = dpkg(root, "data", &["/usr/share/data"]).bytes("/usr/share/data", b"x");
    let image = root.builder("/app").file(root.on_machine("/usr/share/data"), "/data").build().map(verified).unwrap();
    assert_eq!(lines(image.packages().unwrap()), ["data: /data".to_owned(), format!("libx1: {X}")]);
}

#[test]
fn every_name_of_a_file_came_from_its_package() {
    let root = dpkg(merged().hard_link("/usr/lib/twice", X), "libx1", &[X]);
    let image = root.builder("/app").file(root.on_machine("/usr/lib/twice"), "/a").build().map(verified).unwrap();
    assert_eq!(lines(image.packages().unwrap()), [format!("libx1: /a {X}")]);
}

/// A note of the package that a file was built for.
fn with_note(fixture: Fixture, json: &str) -> Fixture {
    let content = [json.as_bytes(), b"\0"].concat();
    let words = [4, u32::try_from(content.len()).unwrap(), 0xcafe_1a7e, u32::from_le_bytes(*b"FDO\0")];
    let mut note: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    note.extend(content);
    Fixture { more: Some((4, note)), ..fixture }
}

#[test]
fn a_file_that_no_database_knows_is_known_by_its_note() {
    let json =
        r#"{"type":"rpm","os":"fedora","osVersion":"39","name":"x","version":"1:2-3.fc39","architecture":"x86_64"}"#;
    let root = merged().file(X, &with_note(library("libx.so.1"), json));
    let image = image(&root);
    let [package] = image.packages().unwrap() else { panic!() };
    assert_eq!(package.purl(), "pkg:rpm/fedora/x@2-3.fc39?arch=x86_64&distro=fedora-39&epoch=1");
    assert_eq!((package.database(), package.files().count()), (None, 1));
    // A database knows it better.
    assert_eq!(packages(&dpkg(root, "libx1", &[X])), [format!("libx1: {X}")]);
}

#[test]
fn a_note_that_names_nothing_tells_nothing() {
    for json in [
        "",
        "{",
        "[]",
        r#"{"name":"x"}"#,
        r#"{"name":1,"version":"1"}"#,
        r#"{"name":"","version":"1"}"#,
        &"[".repeat(1000),
    ] {
        assert!(packages(&merged().file(X, &with_note(library("libx.so.1"), json))).is_empty(), "{json:.40}");
    }
    let plain = merged().file(X, &with_note(library("libx.so.1"), r#"{"name":"x y","version":"1"}"#));
    assert_eq!(image(&plain).packages().unwrap()[0].purl(), "pkg:generic/x%20y@1");
}

#[test]
fn a_database_that_is_no_file_is_a_typed_error() {
    for path in ["/var/lib/dpkg/status", "/var/lib/dpkg/info/a.list", "/var/lib/dpkg/diversions", "/etc/debian_version"]
    {
        let root = dpkg(merged(), "libx1", &[X]);
        let _ = fs::remove_file(root.on_machine(path));
        assert!(Command::new("mkfifo").arg(root.on_machine(path)).status().unwrap().success());
        let error = failure(&root);
        assert!(error.kind() == ErrorKind::Malformed && error.to_string().contains("no regular file"), "{error}");
        assert_eq!(error.path(), Some(root.on_machine(path).as_path()));
    }
    let directory = dpkg(merged(), "libx1", &[X]).directory("/etc/alpine-release");
    assert_eq!(failure(&directory).kind(), ErrorKind::Malformed);
    let looped = dpkg(merged(), "libx1", &[X]).link("/var/lib/dpkg/info/b.list", "b.list");
    assert_eq!(failure(&looped).kind(), ErrorKind::Malformed);
}

#[test]
fn no_link_of_a_database_leads_out_of_the_root() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("status"), paragraph("outside", "")).unwrap();
    let root = merged()
        .bytes("/var/lib/dpkg/info/outside.list", format!("{X}\n").as_bytes())
        .link("/var/lib/dpkg/status", outside.path().join("status").to_str().unwrap());
    assert!(packages(&root).is_empty());
}

fn sparse(path: &Path, size: u64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::File::create(path).unwrap().set_len(size).unwrap();
}

#[test]
fn a_database_at_a_limit_is_read_and_one_beyond_it_is_told_the_limit() {
    let large = |size: u64| {
        let root = dpkg(merged(), "libx1", &[X]);
        sparse(&root.on_machine("/var/lib/dpkg/info/large.list"), size);
        root
    };
    assert_eq!(packages(&large(MAX_PACKAGE_FILE)), [format!("libx1: {X}")]);
    expect(&failure(&large(MAX_PACKAGE_FILE + 1)), ErrorKind::Malformed, MAX_PACKAGE_FILE);
    let many = dpkg(merged(), "libx1", &[X]);
    for number in 0..MAX_PACKAGE_BYTES / MAX_PACKAGE_FILE {
        sparse(&many.on_machine(&format!("/var/lib/dpkg/info/{number}.list")), MAX_PACKAGE_FILE);
    }
    expect(&failure(&many), ErrorKind::Malformed, MAX_PACKAGE_BYTES);
    let paths = |count: usize| {
        let list: String = (0..count).map(|number| format!("/{number}/libx.so.1.2\n")).collect();
        dpkg(merged(), "libx1", &[X]).bytes("/var/lib/dpkg/info/paths.list", list.as_bytes())
    };
    assert_eq!(packages(&paths(MAX_PACKAGE_PATHS)), [format!("libx1: {X}")]);
    expect(&failure(&paths(MAX_PACKAGE_PATHS + 1)), ErrorKind::Malformed, MAX_PACKAGE_PATHS);
    let record = |size: usize| {
        let short = paragraph("libx1", "");
        let long = paragraph("libx1", &format!("X: {}\n", "x".repeat(size - short.len() - 4)));
        assert_eq!(long.len(), size);
        dpkg(merged(), "libx1", &[X]).bytes("/var/lib/dpkg/status", long.as_bytes())
    };
    assert_eq!(packages(&record(MAX_PACKAGE_RECORD)), [format!("libx1: {X}")]);
    expect(&failure(&record(MAX_PACKAGE_RECORD + 1)), ErrorKind::Malformed, MAX_PACKAGE_RECORD);
}

#[test]
fn a_directory_with_more_files_than_any_database_has_is_told_the_limit() {
    let root = dpkg(merged(), "libx1", &[X]);
    let first = root.on_machine("/var/lib/dpkg/info/x");
    fs::write(&first, "").unwrap();
    for number in 0..MAX_PACKAGE_NAMES {
        // A file system may allow no more names of one file.
        if number % 30_000 == 0 {
            fs::remove_file(&first).unwrap();
            fs::write(&first, "").unwrap();
        }
        fs::hard_link(&first, root.on_machine(&format!("/var/lib/dpkg/info/{number}"))).unwrap();
    }
    expect(&failure(&root), ErrorKind::Malformed, MAX_PACKAGE_NAMES);
}

#[test]
fn a_package_of_rpm_is_known_by_the_index_of_names() {
    let root = Root::empty().file("/app", &static_program()).bytes("/var/lib/rpm/rpmdb.sqlite", &rpmdb());
    let image = image(&root);
    let [package] = image.packages().unwrap() else { panic!("one package") };
    assert_eq!((package.kind(), package.name(), package.version()), ("rpm", "app", "2-3"));
    assert_eq!((package.license(), package.source()), (Some("MIT"), Some(("a", "2-3"))));
}

#[test]
fn harmed_databases_are_an_answer_or_a_typed_error() {
    let whole = dpkg(alpine(), "libx1:amd64", &["/lib/libx.so.1"]).bytes("/lib/apk/db/installed", APK.as_bytes());
    let whole = whole.bytes("/var/lib/rpm/rpmdb.sqlite", &rpmdb());
    let mut state = 1u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let files = [
        "/var/lib/dpkg/status",
        "/var/lib/dpkg/info/libx1:amd64.list",
        "/lib/apk/db/installed",
        "/var/lib/rpm/rpmdb.sqlite",
        "/etc/os-release",
    ];
    let originals = files.map(|file| fs::read(whole.on_machine(file)).unwrap());
    for _ in 0..100 {
        for (file, original) in files.iter().zip(&originals) {
            let mut bytes = original.clone();
            for _ in 0..random(4) {
                let at = random(bytes.len());
                match random(4) {
                    0 => bytes[at] = b"\n: \0\xff/\"'\\"[random(9)],
                    1 => bytes.truncate(at + 1),
                    2 => bytes.extend_from_within(at..),
                    _ => drop(bytes.splice(at..at, *b"\n\n")),
                }
            }
            fs::write(whole.on_machine(file), bytes).unwrap();
        }
        let image = whole.builder("/app").package_db(true).build();
        if let Ok(image) = image.as_ref() {
            image.packages().unwrap();
        }
    }
}
