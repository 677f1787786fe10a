//! The rules of glibc's loader, a sentence each, in roots that hold nothing else.

use crate::elf::{AUXILIARY, FILTER, FLAGS_1, Fixture, RPATH, RUNPATH, S390, library, loader, program};
use crate::root::{Root, missing, opened, rules};

const NODEFLIB: u64 = 0x800;

#[test]
fn libraries_are_loaded_breadth_first() {
    let root = Root::debian()
        .file("/app", &program(&["liba.so", "libb.so"]))
        .file("/lib/liba.so", &library("liba.so").needs("libc.so"))
        .file("/lib/libb.so", &library("libb.so").needs("libc.so"))
        .file("/lib/libc.so", &library("libc.so"));
    assert_eq!(opened(&root.closure("/app")), ["/lib/liba.so", "/lib/libb.so", "/lib/libc.so"]);
}

#[test]
fn the_builtin_directories_are_searched_in_their_order() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]))
        .file("/usr/lib/libx.so", &library("libx.so"))
        .file("/usr/lib/x86_64-linux-gnu/libx.so", &library("libx.so"));
    assert_eq!(opened(&root.closure("/app")), ["/usr/lib/x86_64-linux-gnu/libx.so"]);
}

#[test]
fn runpath_is_not_inherited() {
    let root = Root::debian()
        .file("/app", &program(&["liba.so"]).with(RUNPATH, "/opt/l"))
        .file("/opt/l/liba.so", &library("liba.so").needs("libb.so"))
        .file("/opt/l/libb.so", &library("libb.so"));
    assert_eq!(missing(&root.closure("/app")), ["libb.so"]);
}

#[test]
fn rpath_is_inherited() {
    let root = Root::debian()
        .file("/app", &program(&["liba.so"]).with(RPATH, "/opt/l"))
        .file("/opt/l/liba.so", &library("liba.so").needs("libb.so"))
        .file("/opt/l/libb.so", &library("libb.so"));
    let closure = root.closure("/app");
    assert_eq!(opened(&closure), ["/opt/l/liba.so", "/opt/l/libb.so"]);
    assert_eq!(rules(&closure), ["rpath", "rpath"]);
}

#[test]
fn an_own_runpath_shuts_out_every_rpath() {
    let root = Root::debian()
        .file("/app", &program(&["liba.so"]).with(RPATH, "/opt/l"))
        .file("/opt/l/liba.so", &library("liba.so").needs("libb.so").with(RUNPATH, "/nowhere"))
        .file("/opt/l/libb.so", &library("libb.so"));
    assert_eq!(missing(&root.closure("/app")), ["libb.so"]);
}

#[test]
fn an_ancestor_with_runpath_is_stepped_over() {
    let root = Root::debian()
        .file("/app", &program(&["liba.so"]).with(RPATH, "/opt/l"))
        .file("/opt/l/liba.so", &library("liba.so").needs("libb.so").with(RUNPATH, "/opt/m"))
        .file("/opt/m/libb.so", &library("libb.so").needs("libc.so"))
        .file("/opt/l/libc.so", &library("libc.so"));
    assert_eq!(opened(&root.closure("/app")), ["/opt/l/liba.so", "/opt/m/libb.so", "/opt/l/libc.so"]);
}

#[test]
fn an_empty_runpath_shuts_out_every_rpath_all_the_same() {
    let root = Root::debian()
        .file("/app", &program(&["liba.so"]).with(RPATH, "/opt/l"))
        .file("/opt/l/liba.so", &library("liba.so").needs("libb.so").with(RUNPATH, ""))
        .file("/opt/l/libb.so", &library("libb.so"));
    assert_eq!(missing(&root.closure("/app")), ["libb.so"]);
}

#[test]
fn rpath_comes_before_the_library_path_and_runpath_behind_it() {
    for (tag, found) in [(RPATH, "rpath"), (RUNPATH, "library-path")] {
        let root = Root::debian()
            .file("/app", &program(&["libx.so"]).with(tag, "/opt/l"))
            .file("/opt/l/libx.so", &library("libx.so"))
            .file("/callers/libx.so", &library("libx.so"));
        let mut collector = scratchpack::Collector::new();
        collector.sysroot(root.path()).library_path(root.on_machine("/callers"));
        assert_eq!(rules(&collector.collect(root.on_machine("/app")).unwrap()), [found]);
    }
}

#[test]
fn origin_of_a_program_is_of_its_real_file() {
    let root = Root::debian()
        .file("/opt/app/bin/app", &program(&["libx.so"]).with(RUNPATH, "$ORIGIN/../lib"))
        .link("/usr/bin/app", "/opt/app/bin/app")
        .file("/opt/app/lib/libx.so", &library("libx.so"));
    let closure = scratchpack::Collector::new();
    let closure = { closure }.sysroot(root.path()).collect(root.on_machine("/opt/app/bin/app")).unwrap();
    assert_eq!(opened(&closure), ["/opt/app/bin/../lib/libx.so"]);
}

#[test]
fn origin_of_a_library_is_of_the_path_as_opened() {
    let root = Root::debian()
        .file("/app", &program(&["liba.so"]).with(RUNPATH, "/opt/l"))
        .file("/opt/real/liba.so", &library("liba.so").needs("libb.so").with(RUNPATH, "$ORIGIN"))
        .link("/opt/l/liba.so", "/opt/real/liba.so")
        .file("/opt/real/libb.so", &library("wrong"))
        .file("/opt/l/libb.so", &library("libb.so"));
    assert_eq!(opened(&root.closure("/app")), ["/opt/l/liba.so", "/opt/l/libb.so"]);
}

#[test]
fn lib_is_what_the_loader_was_built_with() {
    for (directories, lib) in
        [(&["/lib/x86_64-linux-gnu", "/lib"][..], "lib/x86_64-linux-gnu"), (&["/lib64", "/usr/lib64"], "lib64")]
    {
        let root = Root::empty()
            .file(crate::elf::LOADER, &loader(directories))
            .file("/app", &program(&["libx.so"]).with(RUNPATH, "/opt/${LIB}"))
            .file(&format!("/opt/{lib}/libx.so"), &library("libx.so"));
        assert_eq!(opened(&root.closure("/app")), [format!("/opt/{lib}/libx.so")]);
    }
}

#[test]
fn platform_is_what_the_kernel_calls_the_machine() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]).with(RUNPATH, "/opt/$PLATFORM"))
        .file("/opt/x86_64/libx.so", &library("libx.so"));
    assert_eq!(opened(&root.closure("/app")), ["/opt/x86_64/libx.so"]);
}

#[test]
fn tokens_are_expanded_in_needed_as_well() {
    let root = Root::debian()
        .file("/opt/app/app", &program(&["$ORIGIN/l/libx.so"]))
        .file("/opt/app/l/libx.so", &library("libx.so"));
    let closure = root.closure("/opt/app/app");
    assert_eq!(opened(&closure), ["/opt/app/l/libx.so"]);
    assert_eq!(rules(&closure), ["path"]);
}

#[test]
fn what_is_no_token_stands_for_itself() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]).with(RUNPATH, "/opt/$ORIGINAL"))
        .file("/opt/$ORIGINAL/libx.so", &library("libx.so"));
    assert_eq!(opened(&root.closure("/app")), ["/opt/$ORIGINAL/libx.so"]);
}

#[test]
fn a_name_with_a_slash_is_opened_as_it_stands() {
    let root = Root::debian().file("/app", &program(&["/x/liby.so"])).file("/x/liby.so", &library("liby.so"));
    assert_eq!(rules(&root.closure("/app")), ["path"]);
}

#[test]
fn a_name_relative_to_the_working_directory_is_refused_in_words() {
    let root = Root::debian().file("/app", &program(&["./libx.so"])).file("/libx.so", &library("libx.so"));
    let error = root.builder("/app").build().unwrap_err().to_string();
    assert!(error.contains("working directory"), "{error}");
}

#[test]
fn an_object_that_is_there_answers_to_its_soname_from_any_directory() {
    let root = Root::debian()
        .file("/app", &program(&["liba.so", "libb.so"]).with(RUNPATH, "/opt/l"))
        .file("/opt/l/liba.so", &library("libshared.so.1"))
        .file("/opt/l/libb.so", &library("libb.so").needs("libshared.so.1"))
        .file("/lib/libshared.so.1", &library("libshared.so.1"));
    assert_eq!(opened(&root.closure("/app")), ["/opt/l/liba.so", "/opt/l/libb.so"]);
}

#[test]
fn a_library_is_known_by_the_path_by_which_it_was_opened() {
    let root =
        Root::debian().file("/app", &program(&["libx.so", "/lib/libx.so"])).file("/lib/libx.so", &library("other"));
    assert_eq!(opened(&root.closure("/app")), ["/lib/libx.so"]);
}

#[test]
fn two_names_of_one_inode_are_one_object() {
    let root = Root::debian()
        .file("/app", &program(&["liba.so", "libb.so"]))
        .file("/lib/liba.so", &library("x"))
        .hard_link("/lib/libb.so", "/lib/liba.so");
    assert_eq!(opened(&root.closure("/app")), ["/lib/liba.so"]);
}

#[test]
fn two_copies_of_a_file_are_two_objects() {
    let root = Root::debian()
        .file("/app", &program(&["liba.so", "libb.so"]))
        .file("/lib/liba.so", &library("x"))
        .file("/lib/libb.so", &library("x"));
    assert_eq!(opened(&root.closure("/app")), ["/lib/liba.so", "/lib/libb.so"]);
}

#[test]
fn the_loader_answers_to_its_soname() {
    let root = Root::debian().file("/app", &program(&["ld-linux-x86-64.so.2"]));
    let closure = root.closure("/app");
    assert_eq!((opened(&closure).len(), missing(&closure).len()), (0, 0));
}

#[test]
fn the_vdso_is_never_a_file() {
    let root = Root::debian().file("/app", &program(&["linux-vdso.so.1"]));
    let closure = root.closure("/app");
    assert_eq!((opened(&closure).len(), missing(&closure).len()), (0, 0));
}

#[test]
fn a_filter_stands_before_the_object_that_names_it() {
    let root = Root::debian()
        .file("/app", &program(&["liba.so", "libb.so"]))
        .file("/lib/liba.so", &library("liba.so").with(FILTER, "libf.so").with(AUXILIARY, "libx.so"))
        .file("/lib/libb.so", &library("libb.so"))
        .file("/lib/libf.so", &library("libf.so").needs("libg.so"))
        .file("/lib/libg.so", &library("libg.so"))
        .file("/lib/libx.so", &library("libx.so"));
    let expected = ["/lib/libf.so", "/lib/libx.so", "/lib/liba.so", "/lib/libb.so", "/lib/libg.so"];
    assert_eq!(opened(&root.closure("/app")), expected);
}

#[test]
fn a_filter_that_stands_behind_is_moved_to_the_front() {
    let root = Root::debian()
        .file("/app", &program(&["liba.so", "libb.so"]))
        .file("/lib/liba.so", &library("liba.so").with(FILTER, "libb.so"))
        .file("/lib/libb.so", &library("libb.so"));
    assert_eq!(opened(&root.closure("/app")), ["/lib/libb.so", "/lib/liba.so"]);
}

#[test]
fn a_missing_auxiliary_is_ignored_and_a_missing_filter_is_not() {
    let root = Root::debian().file("/app", &program(&[]).with(AUXILIARY, "libx.so").with(FILTER, "libf.so"));
    assert_eq!(missing(&root.closure("/app")), ["libf.so"]);
}

#[test]
fn without_default_directories_only_the_own_paths_count() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]).number(FLAGS_1, NODEFLIB))
        .file("/lib/libx.so", &library("libx.so"));
    assert_eq!(missing(&root.closure("/app")), ["libx.so"]);
}

#[test]
fn candidates_for_another_machine_or_class_are_skipped() {
    for wrong in [
        library("libx.so").machine(crate::elf::AARCH64, true, true),
        library("libx.so").machine(crate::elf::X86_64, false, true),
    ] {
        let root = Root::debian()
            .file("/app", &program(&["libx.so"]).with(RUNPATH, "/opt/l"))
            .file("/opt/l/libx.so", &wrong)
            .file("/lib/libx.so", &library("libx.so"));
        assert_eq!(opened(&root.closure("/app")), ["/lib/libx.so"]);
    }
}

#[test]
fn the_other_byte_order_is_skipped_by_debians_loader_alone() {
    for (directories, found) in [(&["/lib/s390x-linux-gnu", "/lib"][..], 1), (&["/lib64", "/lib"], 0)] {
        let big = |fixture: Fixture| fixture.machine(S390, true, false);
        let root = Root::empty()
            .file(crate::elf::LOADER, &big(loader(directories)))
            .file("/app", &big(program(&["libx.so"]).with(RUNPATH, "/opt/l")))
            .file("/opt/l/libx.so", &library("libx.so").machine(S390, true, true))
            .file("/lib/libx.so", &big(library("libx.so")));
        assert_eq!(opened(&root.closure("/app")).len(), found);
    }
}

#[test]
fn what_is_no_library_stops_the_search() {
    let object_file = Fixture { kind: 1, ..library("libx.so") }.bytes();
    let executable = Fixture { kind: 2, ..library("libx.so") }.bytes();
    for (bytes, why) in [
        (b"/* GNU ld script */ INPUT(libx.so.1)".to_vec(), "not-elf"),
        (Vec::new(), "not-elf"),
        (object_file, "not-elf"),
        (executable, "not-elf"),
    ] {
        let root = Root::debian()
            .file("/app", &program(&["libx.so"]).with(RUNPATH, "/opt/l"))
            .bytes("/opt/l/libx.so", &bytes)
            .file("/lib/libx.so", &library("libx.so"));
        let closure = root.closure("/app");
        assert_eq!(closure.missing()[0].tried()[0].why().code(), why);
        assert_eq!(closure.missing()[0].tried().len(), 1);
    }
}

#[test]
fn a_directory_in_the_place_of_a_library_stops_the_search() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]).with(RUNPATH, "/opt/l"))
        .directory("/opt/l/libx.so")
        .file("/lib/libx.so", &library("libx.so"));
    assert_eq!(root.closure("/app").missing()[0].tried()[0].why().code(), "directory");
}

#[test]
fn a_loop_ends_its_own_list_only() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]).with(RUNPATH, "/opt/l:/opt/m"))
        .link("/opt/l/libx.so", "libx.so")
        .file("/opt/m/libx.so", &library("libx.so"))
        .file("/lib/libx.so", &library("libx.so"));
    assert_eq!(opened(&root.closure("/app")), ["/lib/libx.so"]);
}

#[test]
fn a_dangling_link_is_as_good_as_nothing() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]).with(RUNPATH, "/opt/l"))
        .link("/opt/l/libx.so", "gone.so")
        .file("/lib/libx.so", &library("libx.so"));
    assert_eq!(opened(&root.closure("/app")), ["/lib/libx.so"]);
}

#[test]
fn everything_that_is_missing_is_listed_with_every_place_tried() {
    let root = Root::debian()
        .file("/app", &program(&["liba.so", "libgone.so.1", "libc.so"]).with(RUNPATH, "/opt/l"))
        .file("/lib/liba.so", &library("liba.so").needs("libalso.so.2"))
        .file("/lib/libc.so", &library("libc.so"))
        .file("/opt/l/libgone.so.1", &library("x").machine(crate::elf::AARCH64, true, true));
    let closure = root.closure("/app");
    assert_eq!(missing(&closure), ["libgone.so.1", "libalso.so.2"]);
    let error = root.builder("/app").build().unwrap_err();
    assert_eq!(error.missing().len(), 2);
    let expected = "2 files that it needs were not found
app needs libgone.so.1, which was not found
  /opt/l/libgone.so.1                     RUNPATH of app     wrong machine (aarch64)
  /etc/ld.so.cache                        loader cache       no such file (the name is not in it)
  /lib/x86_64-linux-gnu/libgone.so.1      default directory  no such file
  /usr/lib/x86_64-linux-gnu/libgone.so.1  default directory  no such file
  /lib/libgone.so.1                       default directory  no such file
  /usr/lib/libgone.so.1                   default directory  no such file
app needs libalso.so.2 (via liba.so), which was not found
";
    assert!(error.to_string().contains(expected), "{error}");
    assert_eq!(format!("{error}"), format!("{error:?}"));
}

#[test]
fn relative_elements_of_a_search_path_are_told() {
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]).with(RUNPATH, "lib:/opt/l"))
        .file("/opt/l/libx.so", &library("libx.so"));
    let closure = root.closure("/app");
    assert_eq!(opened(&closure), ["/opt/l/libx.so"]);
    assert_eq!(closure.findings()[0].code(), "relative-path");
}

#[test]
fn a_path_that_no_system_opens_is_passed_over() {
    let deep = "/a".repeat(32_000);
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]).with(RUNPATH, &format!("{deep}:/opt")))
        .file("/opt/libx.so", &library("libx.so"));
    assert_eq!(opened(&root.closure("/app")), ["/opt/libx.so"]);
}

#[test]
fn a_name_that_is_asked_for_again_and_again_in_vain_is_looked_for_once() {
    let names = vec!["libgone.so"; 2_000];
    let directories: Vec<String> = (0..4_000).map(|number| format!("/{number}")).collect();
    let root = Root::debian().file("/app", &program(&names).with(RUNPATH, &directories.join(":")));
    assert_eq!(missing(&root.closure("/app")), ["libgone.so"]);
}
