//! Locks: what an image holds and why, as text, and what differs between two of them, or between images in any form.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use scratchpack::limits::{MAX_LOCK, MAX_LOCK_ENTRIES, MAX_LOCK_LINE, MAX_LOCK_NAMES};
use scratchpack::{Change, ChangeKind, ErrorKind, Image, ImageBuilder, Lock, LockedKind, Need, diff};
use serde_json::json;

use crate::elf::{RUNPATH, library, program};
use crate::limits::expect;
use crate::odd;
use crate::root::Root;
use crate::stranger::{ALL, Form, IMAGES, Stranger, bytes, directory, file, hard_link, link, member};
use crate::verify::verified;

/// `/app` needs libbar, which lies behind a link and needs these.
fn root(needed: &[&str]) -> Root {
    let bar = needed.iter().fold(library("libbar.so.1"), |bar, name| bar.needs(name));
    Root::debian()
        .file("/app", &program(&["libbar.so.1"]))
        .file("/lib/libbar.so.1.0", &bar)
        .link("/lib/libbar.so.1", "libbar.so.1.0")
        .file("/lib/libfoo.so.3", &library("libfoo.so.3"))
}

fn lock(root: &Root) -> Lock {
    root.image("/app").lock().unwrap()
}

pub fn lines(changes: &[Change]) -> Vec<String> {
    changes.iter().map(ToString::to_string).collect()
}

fn without_digests(line: &str) -> String {
    let mut rest = line.split("sha256:");
    let start = rest.next().unwrap_or_default().to_owned();
    rest.fold(start, |line, part| line + "sha256:" + part.trim_start_matches(|c: char| c.is_ascii_hexdigit()))
}

/// The lines of what differs between two paths, names of images and settings included.
pub fn differences(before: impl AsRef<Path>, after: impl AsRef<Path>) -> Vec<String> {
    let diff = diff(before, after).unwrap();
    let gone = diff.only_before().iter().map(|name| format!("image {name} gone"));
    let added = diff.only_after().iter().map(|name| format!("image {name} added"));
    let images = diff.images().iter().flat_map(|image| {
        let name = image.name().map(|name| format!("{name}: ")).unwrap_or_default();
        let settings = image.settings().iter().map(ToString::to_string);
        lines(image.changes()).into_iter().chain(settings).map(move |line| format!("{name}{line}"))
    });
    let all: Vec<String> = gone.chain(added).chain(images).map(|line| without_digests(&line)).collect();
    assert_eq!(diff.is_empty(), all.is_empty());
    all
}

/// The image as an archive, a layout, a root directory and a lock.
pub fn outputs(image: &Image, directory: &Path) -> [PathBuf; 4] {
    fs::create_dir_all(directory).unwrap();
    let paths = ["image.tar", "layout", "rootfs", "image.lock"].map(|name| directory.join(name));
    image.write_archive(&paths[0]).unwrap();
    image.write_layout(&paths[1]).unwrap();
    image.write_rootfs(&paths[2]).unwrap();
    image.write_lock(&paths[3]).unwrap();
    paths
}

/// Links, hard links, modes, files that are generated, and a name with white space.
fn varied(root: &Root) -> ImageBuilder {
    let mut builder = root.builder("/app");
    builder.with(Need::Users).directory("/tmp", 0o1777).symlink("../lib", "/opt/link");
    builder.file(root.on_machine("/data"), "/var/a file").file(root.on_machine("/data"), "/var/again");
    builder
}

#[test]
fn a_lock_has_a_line_for_each_path_with_its_digest_rule_and_reason() {
    let text = lock(&root(&["libfoo.so.3"])).to_string();
    let lines: Vec<String> = text.lines().skip(1).map(without_digests).collect();
    assert_eq!(
        lines,
        [
            "# path what mode found_by needed_by needs reason",
            "/app sha256: 0755 program - /lib64/ld-linux-x86-64.so.2,libbar.so.1 the program",
            "/lib directory 0755 - - - holds what is in it",
            "/lib/libbar.so.1 symlink:libbar.so.1.0 0777 - - - a symlink on the way to what /app needs",
            "/lib/libbar.so.1.0 sha256: 0755 default /app libfoo.so.3 libbar.so.1 needed by /app, found by default",
            "/lib/libfoo.so.3 sha256: 0755 default /lib/libbar.so.1.0 - libfoo.so.3 needed by /lib/libbar.so.1, found by \
             default",
            "/lib64 directory 0755 - - - holds what is in it",
            "/lib64/ld-linux-x86-64.so.2 sha256: 0755 interpreter /app - the interpreter of /app",
        ]
    );
    assert!(text.starts_with("# scratchpack lock 1: ") && text.ends_with('\n'), "{text}");
}

#[test]
fn a_lock_says_nothing_of_the_machine_and_is_the_same_from_anywhere() {
    let root = root(&[]).bytes("/data", b"x").file("/my/libp.so", &library("libp.so"));
    let make = |root: &Root| {
        let mut builder = varied(root);
        builder.library(root.on_machine("/my/libp.so")).created(1);
        builder.build().map(verified).unwrap().lock().unwrap().to_string()
    };
    let text = make(&root);
    assert!(!text.contains(root.path().to_str().unwrap()), "{text}");
    let other = self::root(&[]).bytes("/data", b"x").file("/my/libp.so", &library("libp.so"));
    assert_eq!(text, make(&other));
}

#[test]
fn an_image_in_any_form_and_the_lock_of_it_do_not_differ() {
    let root = root(&["libfoo.so.3"]).bytes("/data", b"x");
    let image = varied(&root).build().map(verified).unwrap();
    let hard_links =
        image.lock().unwrap().entries().filter(|(_, entry)| matches!(entry.kind(), LockedKind::HardLink(_))).count();
    assert_eq!(hard_links, 1);
    let paths = outputs(&image, &root.on_machine("/out"));
    assert_eq!(Lock::read(&paths[3]).unwrap(), image.lock().unwrap());
    for before in &paths {
        for after in &paths {
            assert_eq!(differences(before, after), [""; 0], "{} {}", before.display(), after.display());
        }
    }
}

#[test]
fn what_changed_is_told_with_its_chain_between_all_forms() {
    let (old, new) = (root(&[]), root(&["libfoo.so.3"]));
    let expected = [
        "/lib/libbar.so.1.0 changed: sha256:… → sha256:… (app needs it)",
        "/lib/libfoo.so.3 added: libbar.so.1.0 now needs it (app → libbar.so.1.0 → libfoo.so.3)",
    ];
    let (before, after) =
        (outputs(&old.image("/app"), &old.on_machine("/o")), outputs(&new.image("/app"), &new.on_machine("/o")));
    for one in &before {
        for other in &after {
            assert_eq!(differences(one, other), expected, "{} {}", one.display(), other.display());
        }
    }
    assert_eq!(
        differences(&after[3], &before[0])[1],
        "/lib/libfoo.so.3 gone: libbar.so.1.0 no longer needs it (app → libbar.so.1.0 → libfoo.so.3)"
    );
}

#[test]
fn a_change_has_its_kind_both_sides_and_its_chain_as_data() {
    let changes = lock(&root(&[])).changes(&lock(&root(&["libfoo.so.3"])));
    let kinds: Vec<ChangeKind> = changes.iter().map(Change::kind).collect();
    assert_eq!(kinds, [ChangeKind::Changed, ChangeKind::Added]);
    let added = &changes[1];
    assert_eq!(added.chain(), ["/app", "/lib/libbar.so.1.0", "/lib/libfoo.so.3"].map(PathBuf::from));
    let now = added.after().unwrap();
    assert_eq!((added.before(), now.mode(), now.found_by()), (None, 0o755, Some("default")));
    assert_eq!(now.needed_by(), Some(Path::new("/lib/libbar.so.1.0")));
}

#[test]
fn links_and_directories_stand_behind_the_file_that_they_come_with() {
    let far = |needed: &[&str]| {
        let root = Root::debian().file("/app", &program(needed).with(RUNPATH, "/opt/z/lib"));
        root.file("/opt/z/lib/libx.so.1.2", &library("libx.so.1")).link("/opt/z/lib/libx.so.1", "libx.so.1.2")
    };
    let changes = lock(&far(&[])).changes(&lock(&far(&["libx.so.1"])));
    assert_eq!(
        lines(&changes)[1..],
        [
            "/opt/z/lib/libx.so.1.2 added: app now needs it",
            "/opt added with libx.so.1.2 (a directory)",
            "/opt/z added with libx.so.1.2 (a directory)",
            "/opt/z/lib added with libx.so.1.2 (a directory)",
            "/opt/z/lib/libx.so.1 added with libx.so.1.2 (a symlink to libx.so.1.2)",
        ]
    );
    assert_eq!(changes[2].with(), Some(Path::new("/opt/z/lib/libx.so.1.2")));
}

#[test]
fn a_library_of_a_new_name_or_in_another_directory_is_told_as_what_it_was() {
    let at = |path: &str, links: &[(&str, &str)]| {
        let root = Root::debian().file("/app", &program(&["libx.so.1"])).file(path, &library("libx.so.1"));
        links.iter().fold(root, |root, (path, target)| root.link(path, target))
    };
    let old = lock(&at("/lib/libx.so.1.1", &[("/lib/libx.so.1", "libx.so.1.1")]));
    let newer = lock(&at("/lib/libx.so.1.2", &[("/lib/libx.so.1", "libx.so.1.2")]));
    assert_eq!(
        lines(&old.changes(&newer)),
        [
            "/lib/libx.so.1.1 gone: it is /lib/libx.so.1.2 now (app needed it)",
            "/lib/libx.so.1.2 added: it was /lib/libx.so.1.1 before (app needs it)",
            "/lib/libx.so.1 changed: a symlink to libx.so.1.1 → a symlink to libx.so.1.2",
        ]
    );
    let (here, there) = (lock(&at("/lib/libx.so.1", &[])), lock(&at("/usr/lib/libx.so.1", &[])));
    let changes = lines(&here.changes(&there));
    assert!(
        changes.contains(&"/usr/lib/libx.so.1 added: it was /lib/libx.so.1 before (app needs it)".to_owned()),
        "{changes:?}"
    );
    assert!(
        changes.contains(&"/lib/libx.so.1 gone: it is /usr/lib/libx.so.1 now (app needed it)".to_owned()),
        "{changes:?}"
    );
}

#[test]
fn another_reason_alone_is_told_between_two_locks() {
    let other = Root::debian()
        .file("/app", &program(&["libfoo.so.3", "libbar.so.1"]))
        .file("/lib/libbar.so.1.0", &library("libbar.so.1").needs("libfoo.so.3"))
        .link("/lib/libbar.so.1", "libbar.so.1.0")
        .file("/lib/libfoo.so.3", &library("libfoo.so.3"));
    let changes = lock(&root(&["libfoo.so.3"])).changes(&lock(&other));
    assert_eq!(changes[1].kind(), ChangeKind::Reason);
    assert_eq!(
        changes[1].to_string(),
        "/lib/libfoo.so.3 is there for another reason: libfoo.so.3 needed by /lib/libbar.so.1, found by default → \
         libfoo.so.3 needed by /app, found by default"
    );
}

#[test]
fn a_lock_holds_a_build_to_all_but_the_content_of_its_programs() {
    let (root, file) = (root(&[]), "/app.lock");
    root.image("/app").write_lock(root.on_machine(file)).unwrap();
    let changes = |root: &Root| root.image("/app").compare_with_lock(root.on_machine(file)).unwrap();
    assert_eq!(changes(&root), []);
    let root = root.file("/app", &program(&["libbar.so.1"]).with(RUNPATH, "/nowhere"));
    assert_eq!(changes(&root), [], "a program that was compiled again");
    let now = root.image("/app").lock().unwrap();
    assert_eq!(Lock::read(root.on_machine(file)).unwrap().changes(&now).len(), 1, "which locks tell all the same");
    let root = root.file("/lib/libbar.so.1.0", &library("libbar.so.1").with(RUNPATH, "/x"));
    assert_eq!(changes(&root)[0].path(), Path::new("/lib/libbar.so.1.0"));
}

#[test]
fn a_lock_that_an_image_was_compared_with_is_an_input_of_it() {
    let root = root(&[]);
    let mut image = root.image("/app");
    image.write_lock(root.on_machine("/app.lock")).unwrap();
    assert!(!image.inputs().any(|input| input.ends_with("app.lock")));
    image.compare_with_lock(root.on_machine("/app.lock")).unwrap();
    assert!(image.inputs().any(|input| input == root.on_machine("/app.lock")));
}

#[test]
fn a_lock_that_says_so_already_is_left_alone_and_an_input_never_replaced() {
    let root = root(&[]);
    let (image, file) = (root.image("/app"), root.on_machine("/app.lock"));
    image.write_lock(&file).unwrap();
    let written = fs::metadata(&file).unwrap().modified().unwrap();
    image.write_lock(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), written);
    let error = image.write_lock(root.on_machine("/app")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutputRefused);
}

#[test]
fn a_file_that_changed_since_is_an_error_and_no_lock() {
    let root = root(&[]);
    let image = root.image("/app");
    fs::write(root.on_machine("/lib/libbar.so.1.0"), b"another").unwrap();
    assert_eq!(image.lock().unwrap_err().kind(), ErrorKind::Changed);
    assert_eq!(image.write_lock(root.on_machine("/l")).unwrap_err().kind(), ErrorKind::Changed);
    assert!(!root.on_machine("/l").exists());
}

#[test]
fn odd_names_come_back_exactly() {
    let root = root(&[]).bytes("/data", b"x");
    let mut builder = root.builder("/app");
    let names = odd::names();
    for name in names.iter().filter(|name| name.len() < 250) {
        let name = std::ffi::OsStr::from_bytes(name);
        builder.file(root.on_machine("/data"), Path::new("/d").join(name));
        builder.symlink(name, Path::new("/l").join(name));
    }
    let image = builder.build().map(verified).unwrap();
    let paths = outputs(&image, &root.on_machine("/out"));
    let text = fs::read_to_string(&paths[3]).unwrap();
    assert_eq!(text.lines().count(), image.entries().count() + 2, "a line each");
    for line in lines(&Lock::default().changes(&image.lock().unwrap())) {
        assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
    }
    assert_eq!(Lock::read(&paths[3]).unwrap(), image.lock().unwrap());
    for path in &paths {
        assert_eq!(differences(&paths[3], path), [""; 0], "{}", path.display());
    }
}

fn refused(root: &Root, text: impl AsRef<[u8]>) -> String {
    fs::write(root.on_machine("/x.lock"), text).unwrap();
    let error = Lock::read(root.on_machine("/x.lock")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
    error.to_string()
}

#[test]
fn what_is_no_lock_is_refused_with_its_line_and_what_to_do() {
    let root = Root::empty();
    let zeros = "0".repeat(64);
    let good = format!("/a sha256:{zeros} 0644 - - - why");
    for (line, why) in [
        ("/a", "line 2: it ends before what stands there"),
        ("/a directory 0755 -", "line 2: it ends before needed_by"),
        ("/a directory 0755 - -", "line 2: it ends before what it needs"),
        ("/a directory 0755 - - -", "line 2: it ends before the reason"),
        ("/a directory 0755 - - a,,b why", "line 2: `a,,b` is no list of names"),
        ("a directory 0755 - - - why", "line 2: `a` is no path"),
        ("/a\\q directory 0755 - - - why", "line 2: `/a\\q` is no path"),
        ("/a sha256:00 0755 - - - why", "line 2: `sha256:00` is no digest, link or directory"),
        ("/a md5:00 0755 - - - why", "line 2: `md5:00` is no digest"),
        ("/a directory 9755 - - - why", "line 2: `9755` is no mode"),
        ("/a directory 0755+cap:0 - - - why", "line 2: `0755+cap:0` is no mode"),
        ("/a directory 0755 - b - why", "line 2: `b` is no path"),
        ("/a directory 0755 - - - \u{1b}[2J", "line 2: it holds a control character"),
        ("<<<<<<< HEAD", "line 2: a merge left its mark"),
        (&format!("{good}\n{good}"), "line 3: /a is there twice"),
    ] {
        let message = refused(&root, format!("# scratchpack lock 1\n{line}\n"));
        assert!(message.contains(why) && message.contains("--lock"), "{message}");
        assert!(!message.contains(|c: char| c.is_control()), "{message:?}");
    }
    assert!(refused(&root, "{}").contains("it is no lock"));
    assert!(refused(&root, "# scratchpack lock 12\n").contains("line 1: it is of version 12"));
    assert!(refused(&root, "# scratchpack lock \n").contains("line 1: it names no version"));
    assert!(
        refused(&root, b"# scratchpack lock 1\n/\xff directory 0755 - - - why\n").contains("line 2: it is not UTF-8")
    );
    let fine = format!("\u{feff}# scratchpack lock 1\r\n\r\n# more\r\n{good}\r\n");
    fs::write(root.on_machine("/x.lock"), fine).unwrap();
    assert_eq!(Lock::read(root.on_machine("/x.lock")).unwrap().entries().count(), 1);
}

#[test]
fn a_lock_that_is_cut_off_or_harmed_anywhere_is_read_or_refused() {
    let root = root(&["libfoo.so.3"]);
    let (text, file) = (lock(&root).to_string().into_bytes(), root.on_machine("/x.lock"));
    let read = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        Lock::read(&file).map_or_else(|error| error.kind() == ErrorKind::Malformed, |lock| lock.entries().count() < 8)
    };
    for at in 0..text.len() {
        assert!(read(&text[..at]), "cut off at {at}");
        let mut harmed = text.clone();
        harmed[at] ^= 1 << (at % 8);
        assert!(read(&harmed), "harmed at {at}");
    }
}

#[test]
fn a_lock_at_a_limit_is_read_and_one_beyond_it_is_told_the_limit() {
    let root = Root::empty();
    let read = |text: String| {
        fs::write(root.on_machine("/x.lock"), format!("# scratchpack lock 1\n{text}")).unwrap();
        Lock::read(root.on_machine("/x.lock"))
    };
    let many = |count: usize| (0..count).map(|n| format!("/{n} directory 0755 - - - x\n")).collect::<String>();
    let long =
        |size: usize| format!("/a directory 0755 - - - {}\n", "x".repeat(size - "/a directory 0755 - - - ".len()));
    assert_eq!(read(many(MAX_LOCK_ENTRIES)).unwrap().entries().count(), MAX_LOCK_ENTRIES);
    expect(&read(many(MAX_LOCK_ENTRIES + 1)).unwrap_err(), ErrorKind::Malformed, MAX_LOCK_ENTRIES);
    assert_eq!(read(long(MAX_LOCK_LINE)).unwrap().entries().count(), 1);
    expect(&read(long(MAX_LOCK_LINE + 1)).unwrap_err(), ErrorKind::Malformed, MAX_LOCK_LINE);
    // In lines of 60,000 each, and one.
    let needing = |count: usize| {
        let lines = (0..count.div_ceil(60_000)).map(|line| {
            let names = vec!["x"; (count - line * 60_000).min(60_000)].join(",");
            format!("/{line} directory 0755 default - {names} x\n")
        });
        lines.collect::<String>()
    };
    assert_eq!(read(needing(MAX_LOCK_NAMES)).unwrap().entries().count(), MAX_LOCK_NAMES.div_ceil(60_000));
    expect(&read(needing(MAX_LOCK_NAMES + 1)).unwrap_err(), ErrorKind::Malformed, MAX_LOCK_NAMES);
    fs::File::create(root.on_machine("/x.lock")).unwrap().set_len(MAX_LOCK + 1).unwrap();
    expect(&Lock::read(root.on_machine("/x.lock")).unwrap_err(), ErrorKind::Malformed, MAX_LOCK);
}

#[test]
fn a_lock_whose_objects_need_one_another_in_a_circle_ends() {
    let root = Root::empty();
    let text =
        "# scratchpack lock 1\n/a directory 0755 - /b - x\n/b directory 0755 - /a - x\n/c directory 0755 - /c - x\n";
    fs::write(root.on_machine("/x.lock"), text).unwrap();
    let changes = Lock::default().changes(&Lock::read(root.on_machine("/x.lock")).unwrap());
    assert_eq!(changes.iter().map(|change| change.chain().len()).collect::<Vec<_>>(), [2, 2, 0]);
}

/// What others make: two layers, of which the second hides and changes something.
fn strangers() -> (Stranger, Stranger) {
    let base = vec![
        directory("etc"),
        bytes("etc/old", b"old"),
        bytes("etc/kept", b"kept"),
        file("lib/libbar.so.1", &library("libbar.so.1")),
        file("bin/app", &program(&["libbar.so.1"])),
        file("lib64/ld-linux-x86-64.so.2", &library("ld-linux-x86-64.so.2")),
    ];
    let above = vec![
        bytes("etc/.wh.old", b""),
        file("lib/libbar.so.1", &library("libbar.so.1").needs("libfoo.so.3")),
        file("lib/libfoo.so.3", &library("libfoo.so.3")),
    ];
    let one = Stranger::of(vec![base]).config(json!({ "Entrypoint": ["/bin/app"], "Cmd": null, "Env": [] }));
    let other = one.clone().layer(above).config(json!({ "Entrypoint": ["/bin/app"], "User": "7", "WorkingDir": "/" }));
    (one, other)
}

#[test]
fn images_of_others_are_compared_by_their_finished_trees_and_settings() {
    let (one, other) = strangers();
    let expected = [
        "/etc/old gone",
        "/lib/libbar.so.1 changed: sha256:… → sha256:… (app needs it)",
        "/lib/libfoo.so.3 added: libbar.so.1 now needs it (app → libbar.so.1 → libfoo.so.3)",
        "User added: \"7\"",
    ];
    let out = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for before in IMAGES {
        let before = one.write(before, &out[0]);
        for after in IMAGES {
            let path = other.write(after, &out[1]);
            assert_eq!(differences(&before, &path), expected, "{after:?}");
            let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        }
        let _ = fs::remove_dir_all(&before).or_else(|_| fs::remove_file(&before));
    }
}

#[test]
fn of_several_files_of_one_name_none_is_said_to_be_needed() {
    let (one, other) = strangers();
    let again = other.layer(vec![file("opt/libfoo.so.3", &library("libfoo.so.3"))]);
    let out = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let found = differences(one.write(Form::Oci, &out[0]), again.write(Form::Oci, &out[1]));
    assert_eq!(found[2..4], ["/lib/libfoo.so.3 added", "/opt/libfoo.so.3 added"], "{found:?}");
}

#[test]
fn kinds_modes_and_hard_links_differ_in_every_form() {
    let of = |members: Vec<_>| Stranger::of(vec![members]);
    let mut private = bytes("b", b"x");
    private.mode = 0o600;
    let mut closed = directory("d");
    closed.mode = 0o700;
    let one = of(vec![bytes("a", b"x"), bytes("b", b"x"), directory("d"), link("k", "a"), bytes("z", b"z")]);
    let other = of(vec![bytes("a", b"x"), private, closed, link("k", "b"), hard_link("z", "a")]);
    for form in ALL.into_iter().filter(|form| *form != Form::Root) {
        let out = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        assert_eq!(
            differences(one.write(form, &out[0]), other.write(form, &out[1])),
            [
                "/b changed: mode 0755 → 0600",
                "/d changed: mode 0755 → 0700",
                "/k changed: a symlink to a → a symlink to b",
                "/z changed: sha256:… → a hard link to /a",
            ],
            "{form:?}"
        );
    }
}

#[test]
fn a_file_that_stands_in_no_image_as_it_is_cannot_be_compared() {
    let out = tempfile::tempdir().unwrap();
    let sparse = Stranger::of(vec![vec![member("hole", tar::EntryType::GNUSparse)]]).write(Form::Docker, &out);
    let error = diff(&sparse, &sparse).unwrap_err();
    assert!(error.to_string().contains("/hole cannot be compared: "), "{error}");
}

#[test]
fn images_of_one_name_are_compared_and_the_others_told() {
    let root = root(&[]).file("/other", &program(&[])).file("/third", &program(&[]).with(RUNPATH, "/x"));
    let layout = |name: &str, images: &[(&str, &str)]| {
        for (program, tag) in images {
            let image = root.builder(program).tag(*tag).build().map(verified).unwrap();
            image.write_layout(root.on_machine(name)).unwrap();
        }
        root.on_machine(name)
    };
    let one = layout("/one", &[("/app", "a:1"), ("/app", "b:1"), ("/third", "c:1")]);
    let other = layout("/two", &[("/app", "a:1"), ("/other", "d:1"), ("/app", "b:1")]);
    let alone = layout("/three", &[("/app", "z:9")]);
    let found = diff(&one, &other).unwrap();
    assert_eq!(found.only_before().len(), 1, "{found:?}");
    assert!(found.only_before()[0].ends_with("c:1") && found.only_after()[0].ends_with("d:1"), "{found:?}");
    assert_eq!(differences(&alone, layout("/four", &[("/app", "y:9")])), [""; 0], "one each, whatever their names");
    root.image("/app").write_lock(root.on_machine("/app.lock")).unwrap();
    let error = diff(&one, root.on_machine("/app.lock")).unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains("several images"), "{error}");
}

#[test]
fn what_cannot_be_read_is_an_error_that_names_it() {
    let root = root(&[]).bytes("/text", b"text");
    root.image("/app").write_lock(root.on_machine("/app.lock")).unwrap();
    let root = root.bytes("/empty", b"");
    for (name, kind) in
        [("/absent", ErrorKind::NotFound), ("/text", ErrorKind::NotAnImage), ("/empty", ErrorKind::NotAnImage)]
    {
        let error = diff(root.on_machine("/app.lock"), root.on_machine(name)).unwrap_err();
        assert_eq!((error.kind(), error.path()), (kind, Some(root.on_machine(name).as_path())), "{error}");
        assert_eq!(error.to_string().contains("nor is it a lock, which begins with"), name != "/absent", "{error}");
    }
}
