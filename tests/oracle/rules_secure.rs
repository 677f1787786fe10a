//! Programs that gain rights by being run, and are run by another user: `$ORIGIN` and the environment count less.

use rustix::fs::{StatVfsMountFlags, statvfs};

use crate::bench::Bench;
use crate::link::{Link, needs, plain};
use crate::tools;

const SETUID: u32 = 0o4755;
const SETGID: u32 = 0o2755;
/// Setgid without the group's x means something else.
const NO_SETGID: u32 = 0o2745;

pub(crate) fn gains_rights_here() -> bool {
    let flags = statvfs(env!("CARGO_TARGET_TMPDIR")).unwrap().f_flag;
    tools::is_available("a mount without nosuid", !flags.contains(StatVfsMountFlags::NOSUID))
}

/// A program in `bin` that gains rights.
fn secure(link: Link) -> Option<Bench> {
    secure_at("bin/app", link)
}

/// The same at another path in the root.
fn secure_at(path: &str, link: Link) -> Option<Bench> {
    if !gains_rights_here() {
        return None;
    }
    let bench = Bench::in_chroot()?.program(link).by_nobody();
    let bench = if path == "bin/app" { bench } else { bench.copy("bin/app", path).started_as(path) };
    Some(bench.mode(path, SETUID))
}

#[test]
fn the_origin_of_a_program_does_not_count() {
    for link in [needs(&["libx.so"]).runpath("$ORIGIN/l"), needs(&["libx.so"]).rpath("$ORIGIN/l")] {
        let Some(bench) = secure(link) else { return };
        bench.library("bin/l/libx.so", plain()).lacks_library("libx.so");
    }
}

#[test]
fn without_more_rights_the_origin_counts() {
    let Some(bench) = secure(needs(&["libx.so"]).runpath("$ORIGIN/l")) else { return };
    bench.library("bin/l/libx.so", plain()).mode("bin/app", 0o755).has(&["bin/l/libx.so"]);
}

#[test]
fn the_origin_of_a_program_counts_where_it_leads_to_a_builtin_directory() {
    for (element, path) in [
        ("$ORIGIN", "usr/lib/app/libx.so"),
        ("${ORIGIN}", "usr/lib/app/libx.so"),
        ("$ORIGIN/l", "usr/lib/app/l/libx.so"),
    ] {
        let Some(bench) = secure_at("usr/lib/app/app", needs(&["libx.so"]).runpath(element)) else { return };
        bench.library(path, plain()).has(&[path]);
    }
}

#[test]
fn the_origin_of_a_program_counts_where_dots_lead_it_to_a_builtin_directory() {
    let Some(bench) = secure(needs(&["libx.so"]).runpath("$ORIGIN/../usr/lib/l")) else { return };
    bench.library("usr/lib/l/libx.so", plain()).has(&["bin/../usr/lib/l/libx.so"]);
}

#[test]
fn the_origin_of_a_program_does_not_count_where_dots_lead_it_out_of_a_builtin_directory() {
    let Some(bench) = secure_at("usr/lib/app/app", needs(&["libx.so"]).runpath("$ORIGIN/../../../opt")) else {
        return;
    };
    bench.library("opt/libx.so", plain()).lacks_library("libx.so");
}

#[test]
fn a_directory_that_only_begins_like_a_builtin_one_is_none() {
    let Some(bench) = secure_at("usr/library/app", needs(&["libx.so"]).runpath("$ORIGIN/l")) else { return };
    bench.library("usr/library/l/libx.so", plain()).lacks_library("libx.so");
}

#[test]
fn an_origin_that_does_not_begin_an_element_does_not_count() {
    for element in
        ["/$ORIGIN", "//$ORIGIN", "/usr/lib/$ORIGIN", "$ORIGIN/$ORIGIN", "$ORIGINAL", "$ORIGIN.d", "$LIB/$ORIGIN"]
    {
        let Some(bench) = secure_at("usr/lib/app/app", needs(&["libx.so"]).runpath(element)) else { return };
        let paths = ["usr/lib/app", "usr/lib/usr/lib/app", "usr/lib/app/usr/lib/app", "usr/lib/app.d"];
        let add = |bench: Bench, path: &&str| bench.library(&format!("{path}/libx.so"), plain());
        paths.iter().fold(bench, add).agrees_about_libraries();
    }
}

#[test]
fn the_other_elements_count() {
    let Some(bench) = secure(needs(&["libx.so"]).runpath("$ORIGIN/l:/opt/l")) else { return };
    bench.library("bin/l/libx.so", plain()).library("opt/l/libx.so", plain()).has(&["opt/l/libx.so"]);
}

#[test]
fn relative_elements_count() {
    for list in ["l", "./l", ":/no", "../w/l", "/no::"] {
        let Some(bench) = secure(needs(&["libx.so"]).runpath(list)) else { return };
        let bench = bench.folder("w").workdir("w").library("w/libx.so", plain()).library("w/l/libx.so", plain());
        bench.assert_starts(true);
        bench.agrees_about_libraries();
    }
}

#[test]
fn a_relative_name_counts() {
    let Some(bench) = secure(needs(&["l/libx.so"])) else { return };
    bench.folder("w").workdir("w").library("w/l/libx.so", plain()).has(&["w/l/libx.so"]);
}

#[test]
fn other_tokens_count() {
    let Some(bench) = secure(needs(&["libx.so"]).runpath("/opt/$LIB")) else { return };
    let directories = ["lib", "lib64", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu"];
    let add = |bench: Bench, lib: &&str| bench.library(&format!("opt/{lib}/libx.so"), plain());
    directories.iter().fold(bench, add).agrees_about_libraries();
}

#[test]
fn the_origin_of_a_library_counts() {
    let Some(bench) = secure(needs(&["/opt/l/liba.so"])) else { return };
    bench
        .library("opt/l/liba.so", needs(&["libx.so"]).runpath("$ORIGIN/m"))
        .library("opt/l/m/libx.so", plain())
        .has(&["opt/l/liba.so", "opt/l/m/libx.so"]);
}

#[test]
fn the_origin_of_a_library_counts_only_where_it_begins_an_element() {
    let Some(bench) = secure(needs(&["/opt/l/liba.so"])) else { return };
    bench
        .library("opt/l/liba.so", needs(&["libx.so"]).runpath("/$ORIGIN"))
        .library("opt/l/libx.so", plain())
        .lacks_library("libx.so");
}

#[test]
fn the_origin_in_a_name_is_fatal() {
    let Some(bench) = secure(needs(&["$ORIGIN/libx.so"])) else { return };
    bench.library("bin/libx.so", plain()).agrees_with_run();
}

/// It says that tokens are not allowed in such programs.
#[test]
fn a_token_in_a_name_is_fatal_wherever_it_leads() {
    let links = [needs(&["$ORIGIN/libx.so"]), needs(&["/usr/$LIB/libx.so"])];
    for bench in links.map(|link| secure_at("usr/lib/app/app", link)) {
        let Some(bench) = bench else { return };
        let directories = ["app", "", "x86_64-linux-gnu"];
        let add = |bench: Bench, path: &&str| bench.library(&format!("usr/lib/{path}/libx.so"), plain());
        let bench = directories.iter().fold(bench, add);
        bench.assert_starts(false);
        assert!(!bench.closure().missing().is_empty());
    }
}

#[test]
fn a_token_in_a_librarys_name_is_fatal_as_well() {
    for link in [needs(&["$ORIGIN/libx.so"]), plain().filter("$ORIGIN/libx.so"), plain().auxiliary("$ORIGIN/libx.so")] {
        let Some(bench) = secure(needs(&["/opt/l/liba.so"])) else { return };
        let bench = bench.library("opt/l/liba.so", link).library("opt/l/libx.so", plain());
        bench.assert_starts(false);
        assert!(!bench.closure().missing().is_empty());
    }
}

#[test]
fn the_library_path_does_not_count() {
    let Some(bench) = secure(needs(&["libx.so"])) else { return };
    let bench = bench.library("opt/l/libx.so", plain()).env("LD_LIBRARY_PATH", "/opt/l");
    bench.lacks_library("libx.so");
}

#[test]
fn absolute_paths_and_builtin_directories_count() {
    let Some(bench) = secure(needs(&["libx.so", "liby.so"]).runpath("/opt/l")) else { return };
    bench
        .library("opt/l/libx.so", plain())
        .library("usr/lib/liby.so", plain())
        .has(&["opt/l/libx.so", "usr/lib/liby.so"]);
}

#[test]
fn setgid_is_as_good_as_setuid() {
    let Some(bench) = secure(needs(&["libx.so"]).runpath("$ORIGIN/l")) else { return };
    bench.library("bin/l/libx.so", plain()).mode("bin/app", SETGID).lacks_library("libx.so");
}

#[test]
fn setgid_that_the_group_cannot_run_is_none() {
    let Some(bench) = secure(needs(&["libx.so"]).runpath("$ORIGIN/l")) else { return };
    bench.library("bin/l/libx.so", plain()).mode("bin/app", NO_SETGID).has(&["bin/l/libx.so"]);
}

#[test]
fn capabilities_of_the_file_are_as_good_as_setuid() {
    for capabilities in ["cap_net_raw+ep", "cap_net_raw+p", "cap_net_raw+ei"] {
        let Some(bench) = with_capabilities(capabilities) else { return };
        bench.lacks_library("libx.so");
    }
}

/// They are only what the program may keep of those of its caller.
#[test]
fn capabilities_to_inherit_give_no_rights() {
    let Some(bench) = with_capabilities("cap_net_raw+i") else { return };
    bench.has(&["bin/l/libx.so"]);
}

/// A program with a library below its `$ORIGIN`.
fn with_capabilities(capabilities: &str) -> Option<Bench> {
    if !tools::are_here(&["setcap"]) {
        return None;
    }
    let bench = secure(needs(&["libx.so"]).runpath("$ORIGIN/l"))?.library("bin/l/libx.so", plain());
    Some(bench.mode("bin/app", 0o755).capabilities("bin/app", capabilities))
}

#[test]
fn of_a_symlink_the_file_counts() {
    let Some(bench) = secure(needs(&["libx.so"]).runpath("$ORIGIN/l")) else { return };
    bench.library("bin/l/libx.so", plain()).link("bin/other", "app").started_as("bin/other").lacks_library("libx.so");
}

/// Bits of a directory or of a library are no matter.
#[test]
fn the_rights_of_libraries_do_not_count() {
    let Some(bench) = secure(needs(&["libx.so"]).runpath("$ORIGIN/l")) else { return };
    let bench = bench.library("bin/l/libx.so", plain()).mode("bin/app", 0o755).mode("bin/l/libx.so", SETUID);
    bench.has(&["bin/l/libx.so"]);
}

/// An image has no such program: its loader looks at all of the path.
#[test]
fn a_packed_program_has_no_more_rights() {
    let Some(bench) = secure_at("usr/lib/app/app", needs(&["libx.so"]).runpath("$ORIGIN/l")) else { return };
    let Some(packed) = bench.library("usr/lib/app/l/libx.so", plain()).pack() else { return };
    packed.loads_its_closure();
}

fn secure_with_musl(link: Link) -> Option<Bench> {
    if !gains_rights_here() {
        return None;
    }
    Some(Bench::in_chroot_of_musl()?.program(link).by_nobody().mode("bin/app", SETUID))
}

#[test]
fn with_musl_a_path_with_the_origin_of_the_program_does_not_count_at_all() {
    for list in ["$ORIGIN/l", "/opt/l:$ORIGIN/l", "${ORIGIN}/l:/opt/l"] {
        let Some(bench) = secure_with_musl(needs(&["libx.so"]).runpath(list)) else { return };
        bench.library("bin/l/libx.so", plain()).library("opt/l/libx.so", plain()).lacks_library("libx.so");
    }
}

#[test]
fn with_musl_a_path_without_tokens_counts() {
    let Some(bench) = secure_with_musl(needs(&["libx.so"]).runpath("/opt/l")) else { return };
    bench.library("opt/l/libx.so", plain()).has(&["opt/l/libx.so"]);
}

#[test]
fn with_musl_the_origin_of_a_library_counts() {
    let Some(bench) = secure_with_musl(needs(&["/opt/l/liba.so"])) else { return };
    bench
        .library("opt/l/liba.so", needs(&["libx.so"]).runpath("$ORIGIN/m"))
        .library("opt/l/m/libx.so", plain())
        .has(&["opt/l/liba.so", "opt/l/m/libx.so"]);
}

#[test]
fn with_musl_the_origin_of_a_program_without_more_rights_counts() {
    let Some(bench) = secure_with_musl(needs(&["libx.so"]).runpath("$ORIGIN/l")) else { return };
    bench.library("bin/l/libx.so", plain()).mode("bin/app", 0o755).has(&["bin/l/libx.so"]);
}
