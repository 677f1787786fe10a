//! Where things lie in the image.

use scratchpack::ErrorKind;

use crate::elf::{LOADER, NEEDED, RPATH, RUNPATH, library, program, static_program};
use crate::root::{Root, cache, tree};
use crate::verify::verified;

#[test]
fn a_program_lies_at_its_file_name() {
    let root = Root::debian().file("/deep/down/app", &program(&[]));
    assert_eq!(tree(&root.image("/deep/down/app")), ["/lib64/", LOADER, "/app"]);
}

#[test]
fn a_static_program_is_all_there_is() {
    let root = Root::empty().file("/x/app", &static_program());
    assert_eq!(tree(&root.image("/x/app")), ["/app"]);
}

#[test]
fn a_program_lies_where_install_says() {
    let root = Root::debian().file("/app", &static_program());
    assert_eq!(
        tree(&root.builder("/app").install("/usr/bin/tool").build().map(verified).unwrap()),
        ["/usr/", "/usr/bin/", "/usr/bin/tool"]
    );
}

#[test]
fn symlinks_crossed_are_kept_and_a_file_is_there_once() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so.1"]))
        .file("/usr/lib/x86_64-linux-gnu/libx.so.1.2", &library("libx.so.1"))
        .link("/usr/lib/x86_64-linux-gnu/libx.so.1", "libx.so.1.2")
        .link("/lib", "usr/lib");
    assert_eq!(
        tree(&root.image("/app")),
        [
            "/lib -> usr/lib",
            "/lib64/",
            "/usr/",
            "/usr/lib/",
            "/usr/lib/x86_64-linux-gnu/",
            "/usr/lib/x86_64-linux-gnu/libx.so.1 -> libx.so.1.2",
            LOADER,
            "/usr/lib/x86_64-linux-gnu/libx.so.1.2",
            "/app",
        ]
    );
}

#[test]
fn what_origin_reaches_keeps_its_place_below_opt() {
    let root = Root::debian()
        .file("/home/me/build/bin/app", &program(&["libx.so"]).with(RUNPATH, "$ORIGIN/../lib"))
        .file("/home/me/build/lib/libx.so.1", &library("libx.so").needs("liby.so").with(RUNPATH, "$ORIGIN/sub"))
        .link("/home/me/build/lib/libx.so", "libx.so.1")
        .file("/home/me/build/lib/sub/liby.so", &library("liby.so"));
    let image = root.image("/home/me/build/bin/app");
    assert_eq!(
        tree(&image),
        [
            "/lib64/",
            "/opt/",
            "/opt/app/",
            "/opt/app/bin/",
            "/opt/app/lib/",
            "/opt/app/lib/libx.so -> libx.so.1",
            "/opt/app/lib/sub/",
            LOADER,
            "/opt/app/lib/libx.so.1",
            "/opt/app/lib/sub/liby.so",
            "/opt/app/bin/app",
        ]
    );
    let paths: Vec<_> = image.closure().objects().iter().skip(1).map(|o| o.path().to_str().unwrap()).collect();
    assert_eq!(paths, ["/opt/app/bin/../lib/libx.so", "/opt/app/bin/../lib/sub/liby.so"]);
    assert!(image.findings().is_empty(), "{:?}", image.findings());
}

#[test]
fn a_library_beside_the_program_needs_no_directory_above() {
    let root = Root::debian()
        .file("/b/app", &program(&["libx.so"]).with(RPATH, "${ORIGIN}"))
        .file("/b/libx.so", &library("libx.so"));
    assert_eq!(tree(&root.image("/b/app"))[1..], ["/opt/", "/opt/app/", LOADER, "/opt/app/libx.so", "/opt/app/app"]);
}

#[test]
fn a_link_out_of_the_origin_is_replaced_by_what_it_leads_to() {
    let root = Root::debian()
        .file("/b/app", &program(&["libx.so"]).with(RUNPATH, "$ORIGIN/lib"))
        .link("/b/lib", "/elsewhere/lib")
        .link("/elsewhere/lib/libx.so", "../../third/libx.so.1")
        .file("/third/libx.so.1", &library("libx.so"));
    let tree = tree(&root.image("/b/app"));
    assert!(tree.contains(&"/opt/app/lib/libx.so".to_owned()), "{tree:?}");
    assert!(!tree.iter().any(|line| line.contains("elsewhere") || line.contains("third")), "{tree:?}");
}

#[test]
fn origin_that_finds_nothing_moves_nothing() {
    let root = Root::debian()
        .file("/b/app", &program(&["libx.so"]).with(RUNPATH, "$ORIGIN/../lib"))
        .file("/lib/x86_64-linux-gnu/libx.so", &library("libx.so"));
    assert!(tree(&root.image("/b/app")).contains(&"/app".to_owned()));
}

#[test]
fn what_the_library_path_finds_goes_into_a_builtin_directory_under_its_needed_name() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so.1"]))
        .file("/mine/libx.so.1.2.3", &library("libx.so.1").needs("liby.so").with(RUNPATH, "$ORIGIN/../more"))
        .link("/mine/libx.so.1", "libx.so.1.2.3")
        .file("/more/liby.so", &library("liby.so"));
    let image = root.builder("/app").library_path(root.on_machine("/mine")).build().map(verified).unwrap();
    assert_eq!(
        tree(&image),
        [
            "/lib/",
            "/lib/more/",
            "/lib/x86_64-linux-gnu/",
            "/lib64/",
            "/lib/more/liby.so",
            "/lib/x86_64-linux-gnu/libx.so.1",
            LOADER,
            "/app",
        ]
    );
}

#[test]
fn two_files_for_one_path_are_an_error_that_names_both() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so", "/lib/x86_64-linux-gnu/libx.so"]))
        .file("/mine/libx.so", &library("one"))
        .file("/lib/x86_64-linux-gnu/libx.so", &library("two"));
    let error = root.builder("/app").library_path(root.on_machine("/mine")).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("/mine/libx.so"), "{error}");
}

#[test]
fn names_of_one_inode_become_hard_links_to_the_bytewise_first() {
    let root = Root::debian()
        .file("/app", &program(&["libb.so", "liba.so"]))
        .file("/lib/libb.so", &library("x"))
        .hard_link("/lib/liba.so", "/lib/libb.so");
    let tree = tree(&root.image("/app"));
    assert_eq!(tree[2..4], ["/lib/liba.so", "/lib/libb.so = /lib/liba.so"]);
}

#[test]
fn equal_bytes_under_two_inodes_stay_two_files() {
    let root = Root::debian()
        .file("/app", &program(&["liba.so", "libb.so"]))
        .file("/lib/liba.so", &library("x"))
        .file("/lib/libb.so", &library("x"));
    assert_eq!(tree(&root.image("/app"))[2..4], ["/lib/liba.so", "/lib/libb.so"]);
}

#[test]
fn a_directory_that_dots_lead_out_of_is_kept() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]).with(RUNPATH, "/opt/a/../b"))
        .directory("/opt/a")
        .file("/opt/b/libx.so", &library("libx.so"));
    assert!(tree(&root.image("/app")).contains(&"/opt/a/".to_owned()));
}

#[test]
fn the_cache_holds_just_what_it_alone_reaches() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so", "liby.so"]))
        .file("/opt/x/libx.so", &library("libx.so"))
        .file("/lib/liby.so", &library("liby.so"))
        .bytes("/etc/ld.so.cache", &cache("libx.so", "/opt/x/libx.so"));
    let image = root.image("/app");
    assert!(tree(&image).contains(&"/etc/ld.so.cache".to_owned()));
    let size = image.entries().find(|entry| entry.path().ends_with("ld.so.cache")).unwrap().size();
    assert_eq!(size, 48 + 24 + 8 + 15);
    assert!(image.findings().is_empty());
}

#[test]
fn there_is_no_cache_where_the_builtin_directories_do() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]))
        .file("/lib/libx.so", &library("libx.so"))
        .bytes("/etc/ld.so.cache", &cache("libx.so", "/lib/libx.so"))
        .bytes("/etc/ld.so.conf", b"/opt/x\n")
        .bytes("/etc/ld.so.preload", b"/lib/libx.so\n");
    assert!(!tree(&root.image("/app")).iter().any(|line| line.contains("/etc")));
}

#[test]
fn an_absolute_runpath_into_a_build_tree_is_told() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]).with(RUNPATH, "/home/me/build"))
        .file("/home/me/build/libx.so", &library("libx.so"));
    let image = root.image("/app");
    assert_eq!(image.findings()[0].code(), "build-path");
    assert!(tree(&image).contains(&"/home/me/build/libx.so".to_owned()));
}

#[test]
fn several_programs_share_what_they_need() {
    let root = Root::debian()
        .file("/a/server", &program(&["libx.so"]))
        .file("/b/migrate", &program(&["libx.so"]))
        .file("/lib/libx.so", &library("libx.so"));
    let image = root.builder("/a/server").binary(root.on_machine("/b/migrate")).build().map(verified).unwrap();
    assert_eq!(tree(&image), ["/lib/", "/lib64/", "/lib/libx.so", LOADER, "/migrate", "/server"]);
}

#[test]
fn nothing_from_outside_the_sysroot_is_found() {
    let outside = Root::empty().file("/libx.so", &library("libx.so"));
    let target = outside.on_machine("/libx.so");
    let up = format!("{}{}", "../".repeat(40), target.strip_prefix("/").unwrap().display());
    for link in [target.display().to_string(), up] {
        let root = Root::debian().file("/app", &program(&["libx.so"])).link("/lib/libx.so", &link);
        assert_eq!(crate::root::missing(&root.closure("/app")), ["libx.so"]);
    }
}

#[test]
fn an_absolute_link_in_a_sysroot_starts_at_the_sysroot() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]))
        .file("/opt/libx.so", &library("libx.so"))
        .link("/lib/libx.so", "/opt/../../opt/libx.so");
    assert!(tree(&root.image("/app")).contains(&"/opt/libx.so".to_owned()));
}

#[test]
fn forty_links_are_crossed_and_the_next_is_a_loop() {
    for (links, found) in [(40, true), (41, false)] {
        let mut root = Root::debian().file("/app", &program(&["libx.so"])).file("/lib/l0", &library("libx.so"));
        for number in 1..links {
            root = root.link(&format!("/lib/l{number}"), &format!("l{}", number - 1));
        }
        let root = root.link("/lib/libx.so", &format!("l{}", links - 1));
        assert_eq!(crate::root::missing(&root.closure("/app")).is_empty(), found);
    }
}

#[test]
fn names_that_are_not_utf_8_are_packed_as_they_are() {
    use std::os::unix::ffi::OsStrExt;
    let mut app = program(&[]);
    app.strings.push((NEEDED, b"lib\xff\n.so".to_vec()));
    let root = Root::debian().file("/app", &app).directory("/lib");
    let name = std::ffi::OsStr::from_bytes(b"lib\xff\n.so");
    std::fs::write(root.on_machine("/lib").join(name), library("x").bytes()).unwrap();
    let image = root.image("/app");
    assert!(image.entries().any(|entry| entry.path().as_os_str().as_bytes() == b"/lib/lib\xff\n.so"));
}

#[test]
fn a_directory_whose_name_goes_on_from_the_origins_is_beside_it() {
    let root = Root::debian()
        .file("/b/bin/app", &program(&["libx.so"]).with(RUNPATH, "$ORIGIN-libs"))
        .file("/b/bin-libs/libx.so", &library("libx.so"));
    let tree = tree(&root.image("/b/bin/app"));
    assert!(tree.contains(&"/opt/app/bin-libs/libx.so".to_owned()), "{tree:?}");
    assert_eq!(tree.last().unwrap(), "/opt/app/bin/app");
}

#[test]
fn what_climbs_out_of_the_root_stays_below_opt() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]).with(RUNPATH, "$ORIGIN/../y"))
        .file("/y/libx.so", &library("libx.so"));
    let tree = tree(&root.image("/app"));
    assert!(tree.contains(&"/opt/app/y/libx.so".to_owned()), "{tree:?}");
}

#[test]
fn an_install_path_through_a_link_of_the_image_is_where_the_link_leads() {
    let root = Root::empty()
        .file("/usr/lib64/ld-linux-x86-64.so.2", &crate::elf::loader(&crate::root::BUILTIN))
        .link("/lib64", "usr/lib64")
        .file("/b/bin/app", &program(&["libx.so"]).with(RUNPATH, "$ORIGIN/../y"))
        .file("/b/y/libx.so", &library("libx.so"));
    let image = root.builder("/b/bin/app").install("/lib64/./app").build().map(verified).unwrap();
    let tree = tree(&image);
    assert!(tree.contains(&"/usr/y/libx.so".to_owned()), "{tree:?}");
    assert_eq!(image.closure().program().path(), std::path::Path::new("/lib64/app"));
}

#[test]
fn a_link_in_a_sysroot_that_is_given_as_program_means_something_in_there() {
    let root = Root::empty().file("/usr/bin/real", &static_program()).link("/usr/bin/env", "/usr/bin/real");
    assert_eq!(tree(&root.image("/usr/bin/env")), ["/env"]);
    let source = root.closure("/usr/bin/env").program().source();
    assert_eq!(source, std::fs::canonicalize(root.path()).unwrap().join("usr/bin/real"));
}

#[test]
fn every_path_outside_the_systems_directories_is_told() {
    let mut app = program(&["libx.so"]);
    app.interpreter = Some(b"/build/ld-linux.so.2\0".to_vec());
    let root = Root::empty()
        .file("/build/ld-linux.so.2", &crate::elf::loader(&crate::root::BUILTIN))
        .file("/app", &app)
        .file("/home/me/libx.so", &library("libx.so"))
        .bytes("/etc/ld.so.cache", &cache("libx.so", "/home/me/libx.so"));
    let codes: Vec<_> = root.image("/app").findings().iter().map(|finding| finding.code()).collect();
    assert_eq!(codes, ["build-path", "build-path"]);
}
