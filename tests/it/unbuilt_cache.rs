//! A sysroot without ld.so.cache: what ldconfig would put there, by ldconfig's own rules.

use scratchpack::{Closure, Image};

use crate::elf::{AARCH64, ARM, FLAGS_1, Fixture, LOADER, SONAME, library, loader, program};
use crate::root::{Root, cache, missing, opened, rules, tree};

/// A root with a program that needs `libx.so.1`, and this ld.so.conf.
fn root(conf: &str) -> Root {
    Root::debian().file("/app", &program(&["libx.so.1"])).bytes("/etc/ld.so.conf", conf.as_bytes())
}

fn codes(closure: &Closure) -> Vec<&'static str> {
    closure.findings().iter().map(|finding| finding.code()).collect()
}

fn has_cache(image: &Image) -> bool {
    tree(image).contains(&"/etc/ld.so.cache".to_owned())
}

#[test]
fn what_ldconfig_would_list_is_found_and_the_image_gets_a_cache_of_it() {
    let root = root("/opt/x/lib/\n").file("/opt/x/lib/libx.so.1", &library("libx.so.1"));
    let image = root.image("/app");
    assert_eq!(opened(image.closure()), ["/opt/x/lib/libx.so.1"]);
    assert_eq!(rules(image.closure()), ["cache"]);
    assert!(has_cache(&image));
    let finding = &image.findings()[0];
    assert_eq!((image.findings().len(), finding.code()), (1, "no-cache"));
    assert!(finding.message().contains("ld.so.conf: libx.so.1. The image has a cache"), "{finding}");
    assert_eq!(finding.evidence(), "/etc/ld.so.conf: libx.so.1");
}

#[test]
fn a_cache_that_its_loader_would_not_read_stays_what_it_is() {
    let root = root("/opt/x\n").file("/opt/x/libx.so.1", &library("libx.so.1")).bytes("/etc/ld.so.cache", b"damaged");
    assert_eq!(missing(&root.closure("/app")), ["libx.so.1"]);
}

#[test]
fn where_there_is_a_cache_the_conf_is_not_read() {
    let root = root("/opt/x\n")
        .file("/opt/x/libx.so.1", &library("libx.so.1"))
        .bytes("/etc/ld.so.cache", &cache("liby.so", "/opt/x/liby.so"));
    assert_eq!(missing(&root.closure("/app")), ["libx.so.1"]);
}

#[test]
fn on_the_machine_itself_nothing_comes_in_the_place_of_a_cache() {
    // The interpreter's own cache lies beside it, and there is none: this machine is no sysroot.
    let root = Root::empty().file("/lib/libx.so.1", &library("libx.so.1"));
    let at = |path: &str| root.on_machine(path).display().to_string();
    let data = format!("\0/nowhere/lib/\0/nowhere/usr/lib/\0\0glibc-ld.so.cache1.1\0{}\0", at("/etc/ld.so.cache"));
    let own_loader = Fixture { data: data.into_bytes(), ..loader(&[]) };
    let app = Fixture { interpreter: Some(format!("{}\0", at("/ld.so")).into_bytes()), ..program(&["libx.so.1"]) };
    let conf = format!("{}\n", at("/lib"));
    let root = root.file("/ld.so", &own_loader).file("/app", &app).bytes("/etc/ld.so.conf", conf.as_bytes());
    assert_eq!(missing(&Closure::of(root.on_machine("/app")).unwrap()), ["libx.so.1"]);
}

#[test]
fn the_conf_lies_beside_the_cache_that_is_built_in() {
    let data =
        b"\0/store/glibc/lib/\0\0/store/glibc/lib/\0glibc-ld.so.cache1.1\0/store/glibc/etc/ld.so.cache\0".to_vec();
    let root = Root::empty()
        .file(LOADER, &Fixture { data, ..loader(&[]) })
        .file("/app", &program(&["libx.so.1"]))
        .bytes("/etc/ld.so.conf", b"/wrong\n")
        .file("/wrong/libx.so.1", &library("libx.so.1"))
        .bytes("/store/glibc/etc/ld.so.conf", b"/opt/x\n")
        .file("/opt/x/libx.so.1", &library("libx.so.1"));
    let image = root.image("/app");
    assert_eq!(opened(image.closure()), ["/opt/x/libx.so.1"]);
    assert!(tree(&image).contains(&"/store/glibc/etc/ld.so.cache".to_owned()));
}

#[test]
fn a_library_in_a_builtin_directory_needs_no_cache_and_no_word() {
    let root = root("/lib\n").file("/lib/libx.so.1", &library("libx.so.1"));
    let image = root.image("/app");
    assert_eq!(rules(image.closure()), ["default"]);
    assert!(!has_cache(&image) && image.findings().is_empty());
}

#[test]
fn a_directory_below_a_builtin_one_needs_the_cache_all_the_same() {
    let root = root("/usr/lib/x\n").file("/usr/lib/x/libx.so.1", &library("libx.so.1"));
    let image = root.image("/app");
    assert_eq!(rules(image.closure()), ["cache"]);
    assert!(has_cache(&image) && image.findings()[0].code() == "no-cache");
}

#[test]
fn a_directory_of_the_conf_comes_before_the_builtin_ones() {
    let root = root("/opt/x\n")
        .file("/opt/x/libx.so.1", &library("libx.so.1"))
        .file("/usr/lib/libx.so.1", &library("libx.so.1"));
    assert_eq!(opened(root.image("/app").closure()), ["/opt/x/libx.so.1"]);
}

#[test]
fn the_first_directory_of_the_conf_counts() {
    let root = root("/opt/b\n/opt/a\n")
        .file("/opt/a/libx.so.1", &library("libx.so.1"))
        .file("/opt/b/libx.so.1", &library("libx.so.1"));
    assert_eq!(opened(&root.closure("/app")), ["/opt/b/libx.so.1"]);
}

#[test]
fn a_library_is_known_by_its_soname_whatever_its_file_is_called() {
    let root = root("/opt/x\n").file("/opt/x/libx-2.5.so", &library("libx.so.1"));
    let image = root.image("/app");
    assert_eq!(opened(image.closure()), ["/opt/x/libx-2.5.so"]);
    assert!(has_cache(&image));
}

#[test]
fn the_link_with_the_soname_is_what_a_cache_names() {
    let root = root("/opt/x\n")
        .file("/opt/x/libx.so.1.4", &library("libx.so.1"))
        .link("/opt/x/libx.so.1", "libx.so.1.4")
        .link("/opt/x/libx.so", "libx.so.1");
    assert_eq!(opened(&root.closure("/app")), ["/opt/x/libx.so.1"]);
}

#[test]
fn a_file_with_another_soname_does_not_answer_to_its_own_name() {
    let root = root("/opt/x\n/opt/y\n")
        .file("/opt/x/libx.so.1", &library("libx.so.2"))
        .file("/opt/y/libx.so.1", &library("libx.so.1"));
    assert_eq!(opened(&root.closure("/app")), ["/opt/y/libx.so.1"]);
}

#[test]
fn a_library_without_soname_is_known_by_its_file_name() {
    let mut nameless = library("");
    nameless.strings.retain(|(tag, _)| *tag != SONAME);
    let root = root("/opt/x\n").file("/opt/x/libx.so.1", &nameless);
    assert_eq!(opened(&root.closure("/app")), ["/opt/x/libx.so.1"]);
}

#[test]
fn files_that_are_not_called_lib_or_ld_are_not_listed() {
    let root = root("/opt/x\n").file("/opt/x/x.so", &library("libx.so.1")).file("/opt/x/libx", &library("libx.so.1"));
    assert_eq!(missing(&root.closure("/app")), ["libx.so.1"]);
}

#[test]
fn libraries_of_another_machine_are_not_listed_for_this_one() {
    let other = library("libx.so.1").machine(AARCH64, true, true);
    let root = root("/opt/x\n/opt/y\n")
        .file("/opt/x/libx.so.1", &other)
        .bytes("/opt/x/liby.so", b"no library")
        .file("/opt/y/libx.so.1", &library("libx.so.1"));
    assert_eq!(opened(&root.closure("/app")), ["/opt/y/libx.so.1"]);
}

#[test]
fn libraries_of_the_other_float_abi_are_not_listed_for_arm() {
    const HARD: u32 = 0x0500_0400;
    const SOFT: u32 = 0x0500_0200;
    let arm = |fixture: Fixture, flags| Fixture { flags, ..fixture.machine(ARM, false, true) };
    for (own, found) in [(HARD, "/opt/hard/libx.so.1"), (SOFT, "/opt/soft/libx.so.1")] {
        let root = Root::empty()
            .file(LOADER, &arm(loader(&["/lib", "/usr/lib"]), own))
            .file("/app", &arm(program(&["libx.so.1"]), own))
            .bytes("/etc/ld.so.conf", b"/opt/soft\n/opt/hard\n")
            .file("/opt/hard/libx.so.1", &arm(library("libx.so.1"), HARD))
            .file("/opt/soft/libx.so.1", &arm(library("libx.so.1"), SOFT));
        assert_eq!(opened(&root.closure("/app")), [found]);
    }
}

#[test]
fn of_several_files_with_one_soname_the_highest_number_counts_and_a_link_for_linkers_least() {
    let root = root("/opt/x\n")
        .file("/opt/x/libx-9.so", &library("libx.so.1"))
        .file("/opt/x/libx-10.so", &library("libx.so.1"))
        .link("/opt/x/libx.so", "libx-9.so");
    assert_eq!(opened(&root.closure("/app")), ["/opt/x/libx-10.so"]);
    let root = root.link("/opt/x/libx-11.so", "libx-9.so");
    assert_eq!(opened(&root.closure("/app")), ["/opt/x/libx-11.so"]);
}

#[test]
fn included_files_are_read_in_the_order_of_their_names() {
    let root = root("include ld.so.conf.d/*.conf\n# /opt/no\nhwcap 1 x\n")
        .bytes("/etc/ld.so.conf.d/20-b.conf", b"/opt/b\n")
        .bytes("/etc/ld.so.conf.d/10-a.conf", b"include ../more.conf\n")
        .bytes("/etc/ld.so.conf.d/00-c.txt", b"/opt/c\n")
        .bytes("/etc/more.conf", b"/opt/a = libc6\n")
        .file("/opt/a/libx.so.1", &library("libx.so.1"))
        .file("/opt/b/libx.so.1", &library("libx.so.1"))
        .file("/opt/c/libx.so.1", &library("libx.so.1"));
    assert_eq!(opened(&root.closure("/app")), ["/opt/a/libx.so.1"]);
}

#[test]
fn a_real_directory_is_listed_once_by_its_first_name() {
    let root =
        root("/opt/link\n/opt/real\n").link("/opt/link", "real").file("/opt/real/libx.so.1", &library("libx.so.1"));
    assert_eq!(opened(&root.closure("/app")), ["/opt/link/libx.so.1"]);
}

#[test]
fn nothing_outside_the_sysroot_is_included_or_listed() {
    let outside = Root::empty().bytes("/more.conf", b"/opt/x\n").file("/lib/libx.so.1", &library("libx.so.1"));
    let away = outside.path().display();
    let up = "../".repeat(30);
    let conf =
        format!("include {away}/*.conf {up}{away}/more.conf linked.d/*.conf\n{away}/lib\n{up}{away}/lib\n/opt/l\n");
    let root = root(&conf)
        .file("/opt/x/libx.so.1", &library("libx.so.1"))
        .link("/etc/linked.d", &away.to_string())
        .link("/opt/l", &format!("{away}/lib"));
    assert_eq!(missing(&root.closure("/app")), ["libx.so.1"]);
}

#[test]
fn a_conf_that_includes_itself_is_told_and_comes_to_an_end() {
    let root = root("/opt/x\ninclude *.conf\n").file("/opt/x/libx.so.1", &library("libx.so.1"));
    let closure = root.closure("/app");
    assert_eq!(codes(&closure), ["no-cache"]);
    assert!(closure.findings()[0].message().contains("/etc/ld.so.conf is one of too many files"), "{closure:?}");
}

#[test]
fn a_file_in_the_place_of_the_conf_that_is_too_large_is_told() {
    let root = root(&"/opt/x\n".repeat(20_000)).file("/lib/libx.so.1", &library("libx.so.1"));
    let closure = root.closure("/app");
    assert!(closure.findings()[0].message().contains("/etc/ld.so.conf is too large"), "{closure:?}");
}

#[test]
fn a_pattern_that_stands_for_too_many_files_is_told() {
    let names: String = (0..1_100).map(|number| format!("/etc/d/{number}.conf\n")).collect();
    let root = names.lines().fold(root("include d/*.conf\n"), |root, path| root.bytes(path, b""));
    let closure = root.closure("/app");
    assert!(closure.findings()[0].message().contains("/etc/d/*.conf stands for too many files"), "{closure:?}");
}

#[test]
fn more_directories_than_anyone_has_are_told() {
    let root = root(&"/opt/x\n".repeat(1_001)).file("/lib/libx.so.1", &library("libx.so.1"));
    let closure = root.closure("/app");
    assert!(closure.findings()[0].message().contains("/opt/x is one of too many directories"), "{closure:?}");
}

#[test]
fn a_directory_that_cannot_be_listed_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let root = root("/opt/x\n").file("/opt/x/libx-1.so", &library("libx.so.1"));
    let mode =
        |mode| std::fs::set_permissions(root.on_machine("/opt/x"), std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o000);
    let closure = root.closure("/app");
    let is_root = std::fs::read_dir(root.on_machine("/opt/x")).is_ok();
    mode(0o755);
    assert_eq!(missing(&closure).is_empty(), is_root);
    let message = closure.findings()[0].message();
    assert!(is_root || message.contains("/opt/x cannot be read; "), "{message}");
}

#[test]
fn without_default_directories_a_cache_may_still_lead_elsewhere() {
    let app = program(&["libx.so.1", "liby.so.1"]).number(FLAGS_1, 0x800);
    let root = Root::debian()
        .file("/app", &app)
        .bytes("/etc/ld.so.conf", b"/opt/x\n/lib\n")
        .file("/opt/x/libx.so.1", &library("libx.so.1"))
        .file("/lib/liby.so.1", &library("liby.so.1"));
    let closure = root.closure("/app");
    assert_eq!((opened(&closure), missing(&closure)), (vec!["/opt/x/libx.so.1".into()], vec!["liby.so.1".into()]));
}

#[test]
fn what_is_missing_lists_the_directories_of_the_conf() {
    let root = root("/opt/x\n").directory("/opt/x");
    let error = root.builder("/app").build().unwrap_err().to_string();
    assert!(error.contains("/opt/x/libx.so.1 "), "{error}");
    assert!(error.contains("no such file (a directory of ld.so.conf)"), "{error}");
}

#[test]
fn names_that_are_not_utf_8_are_followed() {
    use std::os::unix::ffi::OsStrExt;
    let root = root("").file("/opt/x/libx.so.1", &library("libx.so.1"));
    let name = std::ffi::OsStr::from_bytes(b"d\xff");
    std::fs::rename(root.on_machine("/opt/x"), root.on_machine("/opt").join(name)).unwrap();
    std::fs::write(root.on_machine("/etc/ld.so.conf"), b"include c\xfe*\n").unwrap();
    std::fs::write(root.on_machine("/etc").join(std::ffi::OsStr::from_bytes(b"c\xfe\xfd")), b"/opt/d\xff\n").unwrap();
    assert!(root.builder("/app").build().is_ok());
}
