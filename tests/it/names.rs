//! Names that files and directories of an image can have, and those that are refused.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use scratchpack::{Compression, Error, ErrorKind, Image, ImageBuilder};

use crate::elf::{NEEDED, RUNPATH, library, program, static_program};
use crate::odd::names;
use crate::root::Root;
use crate::verify::{self, verified};

fn refused(builder: &ImageBuilder) -> Error {
    builder.build().map(drop).unwrap_err()
}

#[test]
fn whiteouts_are_refused_by_whichever_way_they_would_come_in() {
    let library = library("x");
    let root = Root::debian()
        .file("/app", &static_program())
        .file("/.wh.app", &static_program())
        .file("/named", &program(&[".wh.libx.so"]))
        .file("/pathed", &program(&["/opt/.wh.d/libx.so"]))
        .file("/running", &program(&["libx.so"]).with(RUNPATH, "/opt/.wh.d"))
        .file("/linked", &program(&["libl.so"]))
        .file("/beside", &program(&["libx.so"]).with(RUNPATH, "$ORIGIN/opt/.wh.d"))
        .file("/lib/.wh.libx.so", &library)
        .file("/opt/.wh.d/libx.so", &library)
        .link("/lib/libl.so", ".wh.libx.so");
    for name in [".wh.app", "named", "pathed", "running", "linked", "beside"] {
        let error = refused(&root.builder(name));
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}: {error}");
        let words = error.to_string();
        assert!(words.contains(".wh.") && words.contains("whiteout") && words.contains("another name"), "{words}");
    }
    // A link that leads away from such a name leaves nothing of it.
    let image = root.link("/other", ".wh.app").image("/other");
    assert_eq!(crate::root::tree(&image), ["/other"]);
}

#[test]
fn whiteouts_of_the_caller_are_told_with_everything_else_that_is_wrong() {
    let root = Root::empty().file("/app", &static_program()).bytes("/.wh.x", b"");
    let own = root.on_machine("/.wh.x");
    let mut builder = root.builder("/app");
    builder.file(&own, "/.wh.y").file(&own, "/d/").file(&own, "/.wh.d/x").file(&own, "/a/.wh..wh..opq");
    let error = refused(builder.symlink("x", "/.wh.l").directory("/.wh.d", None));
    assert_eq!((error.kind(), error.to_string().matches("whiteout").count()), (ErrorKind::InvalidOption, 6), "{error}");
    let error = refused(root.builder("/app").install("/bin/.wh.app"));
    assert_eq!(error.kind(), ErrorKind::InvalidOption, "{error}");
    // Where a link leads is its own business.
    assert!(root.builder("/app").symlink(".wh.x", "/l").build().is_ok());
}

#[test]
fn paths_that_linux_cannot_open_or_that_climb_are_refused() {
    let root = Root::empty().file("/app", &static_program()).bytes("/x", b"");
    let own = root.on_machine("/x");
    let late = format!("/{}../x", "d/".repeat(60));
    for path in ["x", "", "/..", "/a/../x", "/x\0y", &format!("/{}", "x".repeat(256)), &late, &format!("{late}/..")] {
        let errors = [
            refused(root.builder("/app").file(&own, path)),
            refused(root.builder("/app").symlink("t", path)),
            refused(root.builder("/app").directory(path, None)),
            refused(root.builder("/app").install(path)),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::InvalidOption, "{path:?}: {error}");
        }
    }
    for target in ["", "x\0y", &"x".repeat(4_096)] {
        let error = refused(root.builder("/app").symlink(target, "/l"));
        assert_eq!(error.kind(), ErrorKind::InvalidOption, "{error}");
    }
    for at in ["/l/", "/l/.", "/"] {
        assert_eq!(refused(root.builder("/app").symlink("t", at)).kind(), ErrorKind::InvalidOption, "{at}");
    }
}

#[test]
fn a_path_in_the_image_that_gets_too_long_on_the_way_is_refused() {
    let root = Root::empty().file("/app", &static_program()).bytes("/x", b"");
    let deep = format!("/{}", "d/".repeat(2_000));
    let mut builder = root.builder("/app");
    builder.symlink(&deep, "/l").file(root.on_machine("/x"), format!("/l/{}", "e/".repeat(100)));
    let error = refused(&builder);
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("4,095"), "{error}");
}

#[test]
fn dots_and_slashes_that_mean_nothing_are_taken_out() {
    let root = Root::empty().file("/app", &static_program()).bytes("/x", b"");
    let own = root.on_machine("/x");
    let mut builder = root.builder("/app");
    builder.file(&own, "//a/.//b").file(&own, "/c/./").file(&own, "/d/.").directory("/e//./f/", None);
    let image = builder.symlink("t//./u/", "/.//l").install("//bin/./app").build().map(verified).unwrap();
    let tree = crate::root::tree(&image);
    for line in ["/a/b", "/c/x = /a/b", "/d/x = /a/b", "/e/f/", "/l -> t//./u/", "/bin/app"] {
        assert!(tree.contains(&line.to_owned()), "{line}: {tree:?}");
    }
}

/// Of each member of a layer: path, link target, size, as bytes.
fn members(image: &Image) -> Vec<(Vec<u8>, Option<Vec<u8>>, u64)> {
    let mut layer = Vec::new();
    image.write_layer_to(&mut layer).unwrap();
    verify::layer(&layer).unwrap();
    let mut archive = tar::Archive::new(layer.as_slice());
    let member = |entry: tar::Entry<'_, &[u8]>| {
        let link = entry.link_name_bytes().map(|link| link.into_owned());
        (entry.path_bytes().into_owned(), link, entry.size())
    };
    archive.entries().unwrap().map(|entry| member(entry.unwrap())).collect()
}

#[test]
fn every_name_is_exact_in_the_layer() {
    let root = Root::empty().file("/app", &static_program()).bytes("/x", b"12345");
    let mut builder = root.builder("/app");
    builder.compression(Compression::None);
    let mut expected: Vec<(Vec<u8>, Option<Vec<u8>>, u64)> = Vec::new();
    for name in names() {
        let at = |directory: &str| Path::new(directory).join(OsStr::from_bytes(&name));
        builder
            .file(root.on_machine("/x"), at("/f"))
            .directory(at("/d"), None)
            .symlink(OsStr::from_bytes(&name), at("/l"));
        let member = |directory: &[u8], end: &[u8]| [directory, name.as_slice(), end].concat();
        expected.push((member(b"d/", b"/"), None, 0));
        expected.push((member(b"l/", b""), Some(name.clone()), 0));
    }
    // The longest path, and the longest target; umoci takes minutes for two thousand directories in one another.
    let long = format!("/{}ee", "p/".repeat(2_046));
    assert_eq!(long.len(), 4_095);
    let target = format!("{}../t", "x/".repeat(2_045));
    builder.symlink(&target, "/long").directory(&long, None);
    expected.push((b"long".to_vec(), Some(target.into_bytes()), 0));
    expected.push(([&long.as_bytes()[1..], b"/"].concat(), None, 0));
    let image = builder.build().map(verified).unwrap();
    let members = members(&image);
    for expected in expected {
        assert!(members.contains(&expected), "{expected:?}");
    }
    // All files are names of one.
    let (mut files, mut links) = (Vec::new(), Vec::new());
    for (path, link, size) in members.iter().filter(|(path, ..)| path.starts_with(b"f/") && path.len() > 2) {
        assert!(link.is_some() == (*size == 0));
        if link.is_some() { links.push(path.clone()) } else { files.push(path.clone()) }
    }
    assert_eq!((files.len(), links.len()), (1, names().len() - 1));
}

#[test]
fn programs_libraries_and_directories_may_have_any_name() {
    // A colon ends a directory of a search path.
    for name in names().into_iter().filter(|name| !name.contains(&b':')) {
        let file = OsStr::from_bytes(&name);
        let mut app = program(&[]);
        // A `$` would be a token of nothing, which stays as it is.
        app.strings.push((NEEDED, name.clone()));
        app.strings.push((RUNPATH, [b"/run/", name.as_slice()].concat()));
        let root = Root::debian().file("/app", &program(&[])).directory("/bin");
        fs::write(root.on_machine("/bin").join(file), app.bytes()).unwrap();
        fs::create_dir_all(root.on_machine("/run").join(file)).unwrap();
        let real = OsString::from_vec([b"r", &name[1..]].concat());
        fs::write(root.on_machine("/run").join(file).join(&real), library("x").bytes()).unwrap();
        if real != file {
            symlink(&real, root.on_machine("/run").join(file).join(file)).unwrap();
        }
        let mut builder = Image::builder();
        builder.sysroot(root.path()).binary(root.on_machine("/bin").join(file));
        let image = builder.entrypoint(["x"]).compression(Compression::None).build().map(verified).unwrap();
        let members = members(&image);
        let expected = [[b"run/", name.as_slice(), b"/", real.as_bytes()].concat(), name.clone()];
        for path in expected {
            assert!(members.iter().any(|(known, ..)| *known == path), "{}", path.escape_ascii());
        }
        let out = tempfile::tempdir().unwrap();
        image.write_rootfs(out.path().join("r")).unwrap();
        assert!(out.path().join("r").join(file).is_file());
        assert!(scratchpack::check(out.path().join("r")).unwrap().is_fine(), "{}", name.escape_ascii());
        image.write_archive(out.path().join("a")).unwrap();
        let check = scratchpack::check(out.path().join("a")).unwrap();
        assert!(check.is_fine() && check.programs() == 1, "{}: {:?}", name.escape_ascii(), check.problems());
    }
}

/// Makes the directories of a path, however long it is, and a file at its end.
fn write_deep(root: &Path, path: &str, bytes: &[u8]) {
    let open = |at: &std::os::fd::OwnedFd, name: &OsStr| {
        rustix::fs::openat(at, name, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap()
    };
    let path = Path::new(path.strip_prefix('/').unwrap());
    let mut at = open(&fs::File::open(root).unwrap().into(), OsStr::new("."));
    for name in path.parent().unwrap() {
        rustix::fs::mkdirat(&at, name, Mode::RWXU).unwrap();
        at = open(&at, name);
    }
    let flags = OFlags::WRONLY | OFlags::CREATE;
    let file = rustix::fs::openat(&at, path.file_name().unwrap(), flags, Mode::RWXU).unwrap();
    fs::File::from(file).write_all(bytes).unwrap();
}

#[test]
fn a_library_may_lie_at_the_longest_path_that_linux_opens_and_at_no_longer_one() {
    for (size, is_found) in [(4_095, true), (4_096, false)] {
        let deep = format!("/{}", format!("{}/", "d".repeat(250)).repeat(16));
        let path = format!("{deep}{}", "l".repeat(size - deep.len()));
        let root = Root::debian().file("/app", &program(&[&path]));
        write_deep(root.path(), &path, &library("x").bytes());
        let mut builder = root.builder("/app");
        match builder.compression(Compression::None).build() {
            Ok(image) => {
                assert!(is_found);
                assert!(members(&image).iter().any(|(known, ..)| *known == path.as_bytes()[1..]));
            }
            Err(error) => assert!(!is_found && error.kind() == ErrorKind::Unresolved, "{error}"),
        }
    }
}
