//! glibc: which names are the same object, in which order objects are loaded, which entries count.

use crate::bench::Bench;
use crate::link::{needs, plain};
use crate::loader;
use crate::patch::{
    DT_DEPAUDIT, DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_SONAME, first_dynamic_is_empty, note_is_interpreter, retag,
    retag_as_empty,
};

#[test]
fn libraries_are_loaded_breadth_first() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so", "libb.so"]).rpath("@/l"))
        .library("l/liba.so", needs(&["libd.so"]))
        .library("l/libb.so", needs(&["libe.so", "libd.so"]))
        .library("l/libd.so", plain())
        .library("l/libe.so", plain())
        .loads(&["l/liba.so", "l/libb.so", "l/libd.so", "l/libe.so"]);
}

#[test]
fn a_filter_comes_before_the_object_that_names_it_and_is_processed_next() {
    for filter in [plain().filter("libf.so"), plain().auxiliary("libf.so")] {
        let Some(bench) = Bench::of_glibc() else { return };
        bench
            .program(needs(&["liba.so", "libb.so"]).rpath("@/l"))
            .library("l/liba.so", filter)
            .library("l/libb.so", plain())
            .library("l/libf.so", needs(&["libg.so"]))
            .library("l/libg.so", plain())
            .loads(&["l/libf.so", "l/liba.so", "l/libb.so", "l/libg.so"]);
    }
}

#[test]
fn a_filter_that_stands_behind_the_object_is_moved_before_it() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so", "libb.so", "libf.so"]).rpath("@/l"))
        .library("l/liba.so", plain())
        .library("l/libb.so", plain().filter("libf.so"))
        .library("l/libf.so", plain())
        .loads(&["l/liba.so", "l/libf.so", "l/libb.so"]);
}

#[test]
fn a_filter_that_stands_before_the_object_stays_there() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["libf.so", "liba.so", "libb.so"]).rpath("@/l"))
        .library("l/liba.so", plain())
        .library("l/libb.so", plain().filter("libf.so"))
        .library("l/libf.so", plain())
        .loads(&["l/libf.so", "l/liba.so", "l/libb.so"]);
}

#[test]
fn filters_of_filters_nest() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so"]).rpath("@/l"))
        .library("l/liba.so", needs(&["libn.so"]).filter("libf.so").auxiliary("libh.so"))
        .library("l/libf.so", plain().auxiliary("libg.so"))
        .library("l/libg.so", needs(&["libh.so"]))
        .library("l/libh.so", plain())
        .library("l/libn.so", plain())
        .loads(&["l/libg.so", "l/libf.so", "l/libh.so", "l/liba.so", "l/libn.so"]);
}

#[test]
fn a_missing_filter_is_fatal() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so"]).rpath("@/l"))
        .library("l/liba.so", plain().filter("libf.so"))
        .misses(&["libf.so"]);
}

/// The loader lists one as not found, and starts the program all the same.
#[test]
fn a_missing_auxiliary_is_ignored() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so"]).rpath("@/l"))
        .library("l/liba.so", plain().auxiliary("libf.so"))
        .starts_with(&["l/liba.so"]);
}

#[test]
fn an_auxiliary_that_does_not_open_as_a_library_is_ignored() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so"]).rpath("@/l"))
        .library("l/liba.so", plain().auxiliary("libf.so"))
        .text("l/libf.so", "INPUT(libc.so.6)")
        .starts_with(&["l/liba.so"]);
}

#[test]
fn an_auxiliary_that_itself_lacks_a_library_is_fatal() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so"]).rpath("@/l"))
        .library("l/liba.so", plain().auxiliary("libf.so"))
        .library("l/libf.so", needs(&["libg.so"]))
        .misses(&["libg.so"]);
}

#[test]
fn tokens_count_in_needed_filter_and_auxiliary() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["$ORIGIN/../l/liba.so"]))
        .library("l/liba.so", plain().filter("${ORIGIN}/libb.so").auxiliary("$ORIGIN/libc.so"))
        .library("l/libb.so", plain())
        .library("l/libc.so", plain())
        .loads(&["bin/../l/libb.so", "bin/../l/libc.so", "bin/../l/liba.so"]);
}

#[test]
fn a_loaded_object_answers_to_its_soname_whatever_the_directory() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so", "libb.so"]).runpath("@/l"))
        .library("l/liba.so", plain().soname("libshared.so.1"))
        .library("l/libb.so", needs(&["libshared.so.1"]).runpath("@/m"))
        .library("m/libshared.so.1", plain().soname("libshared.so.1"))
        .loads(&["l/liba.so", "l/libb.so"]);
}

#[test]
fn a_soname_that_nobody_asked_for_finds_nothing_by_itself() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["libb.so.1"]).runpath("@/l"))
        .library("l/libb.so", plain().soname("libb.so.1"))
        .misses(&["libb.so.1"]);
}

#[test]
fn a_loaded_object_answers_to_the_path_by_which_it_was_opened() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["libx.so", "@/l/libx.so"]).runpath("@/l"))
        .library("l/libx.so", plain().soname("other"))
        .loads(&["l/libx.so"]);
}

#[test]
fn a_loaded_object_answers_to_every_name_by_which_it_was_requested() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so", "libb.so", "libc.so"]).runpath("@/l"))
        .library("l/liba.so", plain())
        .link("l/libb.so", "liba.so")
        .library("l/libc.so", needs(&["libb.so", "liba.so"]).runpath("@/m"))
        .library("m/liba.so", plain())
        .library("m/libb.so", plain())
        .loads(&["l/liba.so", "l/libc.so"]);
}

#[test]
fn the_loader_answers_to_its_path() {
    let Some(bench) = Bench::of_glibc() else { return };
    let interpreter = loader::dynamic("/proc/self/exe".into()).unwrap().interpreter;
    bench.program(needs(&[&interpreter])).loads(&[]);
}

#[test]
fn symlinks_and_hard_links_to_a_file_are_one_object() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so", "libb.so", "libc.so"]).runpath("@/l"))
        .library("l/liba.so", plain())
        .link("l/libb.so", "liba.so")
        .hard_link("l/libc.so", "l/liba.so")
        .loads(&["l/liba.so"]);
}

#[test]
fn copies_of_a_file_are_two_objects() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so", "libb.so"]).runpath("@/l"))
        .library("l/liba.so", plain().soname("libx.so"))
        .copy("l/liba.so", "l/libb.so")
        .loads(&["l/liba.so", "l/libb.so"]);
}

#[test]
fn the_program_is_no_answer_to_its_own_file_name() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench.program(needs(&["app"]).runpath("@/l")).library("l/app", plain()).loads(&["l/app"]);
}

#[test]
fn of_two_runpaths_the_last_counts() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["libx.so"]).runpath("@/a").spare("@/b"))
        .patch("bin/app", |bytes| retag(bytes, DT_DEPAUDIT, DT_RUNPATH))
        .library("a/libx.so", plain())
        .library("b/libx.so", plain())
        .loads(&["b/libx.so"]);
}

#[test]
fn of_two_rpaths_the_last_counts() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["libx.so"]).rpath("@/a").spare("@/b"))
        .patch("bin/app", |bytes| retag(bytes, DT_DEPAUDIT, DT_RPATH))
        .library("a/libx.so", plain())
        .library("b/libx.so", plain())
        .loads(&["b/libx.so"]);
}

#[test]
fn of_two_sonames_the_last_counts() {
    for (name, missing) in [("libfirst.so", &["libfirst.so"][..]), ("liblast.so", &[])] {
        let Some(bench) = Bench::of_glibc() else { return };
        let bench = bench
            .program(needs(&["libx.so", name]).runpath("@/l"))
            .library("l/libx.so", plain().soname("libfirst.so").spare("liblast.so"))
            .patch("l/libx.so", |bytes| retag(bytes, DT_DEPAUDIT, DT_SONAME));
        if missing.is_empty() { bench.loads(&["l/libx.so"]) } else { bench.misses(missing) }
    }
}

#[test]
fn of_two_dynamic_segments_the_last_counts() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so"]).rpath("@/l"))
        .library("l/liba.so", needs(&["libb.so"]).flags(&["-z", "noexecstack"]))
        .library("l/libb.so", plain())
        .patch("bin/app", first_dynamic_is_empty)
        .patch("l/liba.so", first_dynamic_is_empty)
        .loads(&["l/liba.so", "l/libb.so"]);
}

#[test]
fn the_program_answers_to_its_soname() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench.program(needs(&["libx.so"]).soname("libx.so").runpath("@/l")).library("l/libx.so", plain()).loads(&[]);
}

#[test]
fn libraries_may_need_each_other_and_themselves() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["liba.so"]).rpath("@/l"))
        .library("l/liba.so", needs(&["libb.so", "liba.so"]))
        .library("l/libb.so", needs(&["liba.so"]))
        .loads(&["l/liba.so", "l/libb.so"]);
}

/// The kernel starts the program under no name.
#[test]
fn an_empty_name_is_the_program() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(plain().spare("-"))
        .patch("bin/app", |bytes| retag_as_empty(bytes, DT_DEPAUDIT, DT_NEEDED))
        .agrees_with_run();
}

/// The loader takes the last for its own name, so what it lists is nothing to compare with.
#[test]
fn of_two_interpreters_the_first_counts() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench.program(plain()).patch("bin/app", note_is_interpreter).starts_with(&[]);
}

#[test]
fn what_is_missing_for_one_may_be_found_for_another() {
    let Some(bench) = Bench::of_glibc() else { return };
    bench
        .program(needs(&["@/l/liba.so", "@/l/libb.so", "@/l/libd.so"]))
        .library("l/liba.so", needs(&["libx.so"]))
        .library("l/libb.so", needs(&["libx.so"]).runpath("@/m"))
        .library("l/libd.so", needs(&["libx.so"]))
        .library("m/libx.so", plain())
        .misses(&["libx.so"]);
}

#[test]
fn a_name_is_a_string_of_bytes() {
    let Some(bench) = Bench::of_glibc() else { return };
    let name = "lib \u{fc}\u{1}\\;:%s.so";
    bench.program(needs(&[name]).runpath("@/l")).library(&format!("l/{name}"), plain()).loads(&[&format!("l/{name}")]);
}
