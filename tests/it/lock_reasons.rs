//! What a comparison says of why something came or went, and what a lock holds a build to.

use std::fs;
use std::path::Path;

use rustix::fs::{CWD, Mode, mkfifoat};
use scratchpack::{Change, ErrorKind, Image, Lock};

use crate::elf::{Fixture, RUNPATH, library, program};
use crate::extras::give_capability;
use crate::locking::{differences, lines, outputs};
use crate::root::Root;
use crate::verify::verified;

/// `/app` needs libbar, and libfoo lies behind a link.
fn root(bar: &Fixture) -> Root {
    Root::debian()
        .file("/app", &program(&["libbar.so.1"]))
        .file("/lib/libbar.so.1", bar)
        .file("/lib/libfoo.so.3.0", &library("libfoo.so.3"))
        .link("/lib/libfoo.so.3", "libfoo.so.3.0")
}

fn bar() -> Fixture {
    library("libbar.so.1")
}

fn without_foo(root: &Root) -> Image {
    let mut builder = root.builder("/app");
    builder.exclude("libfoo*").build().map(verified).unwrap()
}

/// An image does not differ from itself, whatever form each side has.
#[track_caller]
fn expect_the_same_in_all_forms(root: &Root, image: &Image) {
    let paths = outputs(image, &root.on_machine("/o"));
    for before in &paths {
        for after in &paths {
            assert_eq!(differences(before, after), [""; 0], "{} {}", before.display(), after.display());
        }
    }
}

#[test]
fn what_was_left_out_before_is_not_said_to_be_newly_needed() {
    let old = root(&bar().needs("libfoo.so.3"));
    let new = root(&bar().needs("libfoo.so.3").with(RUNPATH, "/x"));
    let (without, with) = (without_foo(&old), new.image("/app"));
    let changed = "/lib/libbar.so.1 changed: sha256:… → sha256:… (app needs it)";
    let link = "/lib/libfoo.so.3 added with libfoo.so.3.0";
    without.write_lock(old.on_machine("/app.lock")).unwrap();
    let told = lines(&new.image("/app").compare_with_lock(old.on_machine("/app.lock")).unwrap());
    let added = "/lib/libfoo.so.3.0 added: libbar.so.1 needs it (app → libbar.so.1 → libfoo.so.3.0)";
    assert_eq!(told[1], added);
    assert!(told[2].starts_with(link), "{told:?}");
    let archives = [(&old, &without), (&new, &with)].map(|(root, image)| outputs(image, &root.on_machine("/o")));
    for before in &archives[0] {
        for after in &archives[1] {
            assert_eq!(differences(before, after)[..2], [changed, added], "{} {}", before.display(), after.display());
            let back = "/lib/libfoo.so.3.0 gone: libbar.so.1 needed it (app → libbar.so.1 → libfoo.so.3.0)";
            assert_eq!(differences(after, before)[..2], [changed, back], "{} {}", after.display(), before.display());
        }
    }
}

#[test]
fn what_is_newly_needed_by_the_name_of_a_link_is_said_to_be() {
    let (old, new) = (root(&bar()), root(&bar().needs("libfoo.so.3")));
    let (before, after) = (old.image("/app"), new.image("/app"));
    let changed = "/lib/libbar.so.1 changed: sha256:… → sha256:… (app needs it)";
    let told = |what: &str| format!("/lib/libfoo.so.3.0 {what} (app → libbar.so.1 → libfoo.so.3.0)");
    let before = outputs(&before, &old.on_machine("/o"));
    let after = outputs(&after, &new.on_machine("/o"));
    for one in &before {
        for other in &after {
            assert_eq!(differences(one, other)[..2], [changed, &told("added: libbar.so.1 now needs it")]);
            assert_eq!(differences(other, one)[..2], [changed, &told("gone: libbar.so.1 no longer needs it")]);
        }
    }
}

#[test]
fn a_library_that_a_program_newly_needs_is_told_though_the_program_itself_does_not_count() {
    let root = Root::debian().file("/app", &program(&[])).file("/lib/libfoo.so.3", &library("libfoo.so.3"));
    root.image("/app").write_lock(root.on_machine("/app.lock")).unwrap();
    let root = root.file("/app", &program(&["libfoo.so.3"]));
    let changes = root.image("/app").compare_with_lock(root.on_machine("/app.lock")).unwrap();
    assert_eq!(lines(&changes)[..1], ["/lib/libfoo.so.3 added: app now needs it"]);
}

#[test]
fn a_file_that_was_no_object_before_is_not_said_to_need_anything_now() {
    let root = root(&bar().needs("libfoo.so.3"));
    let plain = Root::debian().file("/app", &program(&[])).file("/bar", &bar());
    let mut builder = plain.builder("/app");
    builder.file(plain.on_machine("/bar"), "/lib/libbar.so.1");
    builder.build().map(verified).unwrap().write_lock(plain.on_machine("/app.lock")).unwrap();
    let changes = root.image("/app").compare_with_lock(plain.on_machine("/app.lock")).unwrap();
    let added = "/lib/libfoo.so.3.0 added: libbar.so.1 needs it (app → libbar.so.1 → libfoo.so.3.0)";
    assert!(lines(&changes).contains(&added.to_owned()), "{:?}", lines(&changes));
}

#[test]
fn names_that_hold_what_separates_names_come_back_exactly() {
    let names = ["-", "a,b", "c d", "e\\x2c"];
    for needed in [&names[..], &names[..1]] {
        let root = Root::debian().file("/app", &program(needed));
        let root = needed.iter().fold(root, |root, name| root.file(&format!("/lib/{name}"), &library(name)));
        let image = root.image("/app");
        image.write_lock(root.on_machine("/app.lock")).unwrap();
        let lock = Lock::read(root.on_machine("/app.lock")).unwrap();
        assert_eq!(lock, image.lock().unwrap());
        assert_eq!(lock.entry("/app").unwrap().needs().unwrap()[1..], *needed);
    }
}

#[test]
fn a_chain_is_told_as_far_as_it_helps() {
    let root = Root::empty();
    let read = |text: String| {
        fs::write(root.on_machine("/x.lock"), format!("# scratchpack lock 1\n{text}")).unwrap();
        Lock::read(root.on_machine("/x.lock")).unwrap()
    };
    let chain = |name: &dyn Fn(usize) -> String| {
        let line = |at: usize| format!("{} directory 0755 - {} - x\n", name(at), name(at + 1));
        let changes = Lock::default().changes(&read((0..40).map(line).collect()));
        let longest = changes.iter().max_by_key(|change| change.chain().len()).unwrap().clone();
        assert_eq!(longest.chain().last(), Some(&longest.path()));
        longest.chain().len()
    };
    assert_eq!(chain(&|at| format!("/{at:02}")), 16);
    assert_eq!(chain(&|at| format!("/{}{at:02}", "x".repeat(1000))), 4);
    assert_eq!(chain(&|at| format!("/{}{at:02}", "x".repeat(9000))), 2);
}

/// The changes since the lock of the image that `before` makes.
fn since(root: &Root, build: &dyn Fn(&Root) -> Image, change: impl FnOnce(&Root)) -> Vec<Change> {
    let lock = root.on_machine("/app.lock");
    build(root).write_lock(&lock).unwrap();
    change(root);
    build(root).compare_with_lock(&lock).unwrap()
}

/// A file of its own, whatever other names the old one has.
fn replace(root: &Root, path: &str, fixture: &Fixture) {
    fs::remove_file(root.on_machine(path)).unwrap();
    fs::write(root.on_machine(path), fixture.bytes()).unwrap();
}

fn made_anew() -> Fixture {
    program(&["libbar.so.1"]).with(RUNPATH, "/nowhere")
}

#[test]
fn programs_that_were_one_file_and_are_two_are_no_difference() {
    let root = root(&bar()).hard_link("/bpp", "/app");
    let both = |root: &Root| {
        let mut builder = root.builder("/app");
        builder.binary(root.on_machine("/bpp")).build().map(verified).unwrap()
    };
    assert_eq!(lines(&since(&root, &both, |root| replace(root, "/bpp", &made_anew()))), [""; 0]);
    let one_again = |root: &Root| {
        fs::remove_file(root.on_machine("/bpp")).unwrap();
        fs::hard_link(root.on_machine("/app"), root.on_machine("/bpp")).unwrap();
    };
    assert_eq!(lines(&since(&root, &both, one_again)), [""; 0]);
}

#[test]
fn a_program_that_is_given_as_a_file_as_well_counts_as_what_it_is_given_as() {
    for (given, told) in [("/aaa", "/aaa"), ("/zzz", "/app")] {
        let root = root(&bar());
        let build = |root: &Root| {
            let mut builder = root.builder("/app");
            builder.file(root.on_machine("/app"), given).build().map(verified).unwrap()
        };
        let lock = build(&root).lock().unwrap();
        assert_eq!(
            (lock.entry(given).unwrap().found_by(), lock.entry("/app").unwrap().found_by()),
            (None, Some("program"))
        );
        assert_eq!(lock.entry("/lib/libbar.so.1").unwrap().needed_by(), Some(Path::new("/app")));
        let changes = since(&root, &build, |root| replace(root, "/app", &made_anew()));
        assert_eq!(changes.iter().map(Change::path).collect::<Vec<_>>(), [Path::new(told)]);
    }
}

#[test]
fn a_program_of_another_name_is_told_as_what_it_was() {
    let root = root(&bar());
    let old = root.image("/app").lock().unwrap();
    for (fixture, gone, added) in [
        (program(&["libbar.so.1"]), "it is /app2 now", "it was /app before"),
        (made_anew(), "the program, which is /app2 now", "the program, which was /app before"),
    ] {
        let new = self::root(&bar()).file("/app2", &fixture);
        let changes = lines(&old.changes(&new.image("/app2").lock().unwrap()));
        assert_eq!(changes[..2], [format!("/app gone: {gone}"), format!("/app2 added: {added}")], "{changes:?}");
    }
}

#[test]
fn what_a_program_needed_that_stands_elsewhere_now_is_not_said_to_have_lost_it() {
    let root = |program: Fixture| {
        let root = Root::debian().file("/opt/prog/liba.so", &library("liba.so"));
        root.file("/opt/prog/prog", &program.with(RUNPATH, "$ORIGIN")).image("/opt/prog/prog").lock().unwrap()
    };
    let changes = lines(&root(program(&["liba.so"])).changes(&root(program(&[]))));
    assert!(changes.contains(&"/opt/prog/prog gone: it is /prog now".to_owned()), "{changes:?}");
    assert!(changes.contains(&"/opt/prog/liba.so gone: prog needed it".to_owned()), "{changes:?}");
}

#[test]
fn a_library_of_two_names_has_both_in_a_lock() {
    let root = Root::debian()
        .file("/app", &program(&["libone.so", "libtwo.so"]))
        .file("/lib/libone.so", &library("libone.so"))
        .hard_link("/lib/libtwo.so", "/lib/libone.so");
    let image = root.image("/app");
    let text = image.lock().unwrap().to_string();
    assert!(text.contains("\n/lib/libtwo.so hardlink:/lib/libone.so 0755 default /app - lib"), "{text}");
    expect_the_same_in_all_forms(&root, &image);
    let build = |root: &Root| root.image("/app");
    let changes = since(&root, &build, |root| replace(root, "/lib/libtwo.so", &library("libtwo.so")));
    let line = &lines(&changes)[0];
    assert!(line.starts_with("/lib/libtwo.so changed: a hard link to /lib/libone.so → sha256:"), "{line}");
}

#[test]
fn a_lock_has_the_capabilities_that_are_kept() {
    let root = root(&bar());
    if !give_capability(&root.on_machine("/app")) {
        return;
    }
    let build = |root: &Root| {
        let mut builder = root.builder("/app");
        builder.file_capabilities(true).build().map(verified).unwrap()
    };
    let image = build(&root);
    let text = image.lock().unwrap().to_string();
    assert!(text.contains(" 0755+cap:0100000200040000"), "{text}");
    expect_the_same_in_all_forms(&root, &image);
    let changes = since(&root, &build, |root| replace(root, "/app", &made_anew()));
    assert!(lines(&changes)[0].contains("mode 0755+cap:0100000200040000"), "{:?}", lines(&changes));
}

#[test]
fn what_is_no_file_is_told_to_be_no_lock() {
    let root = Root::empty().directory("/directory");
    let pipe = root.on_machine("/pipe");
    mkfifoat(CWD, &pipe, Mode::RUSR).unwrap();
    for (path, why) in [
        (root.on_machine("/directory"), "it is a directory; a lock is a file, which --lock writes"),
        (pipe, "it is no regular file, as a lock is; save it to one first"),
        ("/dev/null".into(), "it is no regular file, as a lock is; save it to one first"),
    ] {
        let error = Lock::read(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
        assert!(error.to_string().ends_with(why), "{error}");
    }
}
