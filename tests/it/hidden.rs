//! Libraries that are loaded by name while a program runs, a sentence each, in roots that hold nothing else.

use scratchpack::{Collector, Level, Priority, Rule};

use crate::elf::{AUDIT, Fixture, RPATH, RUNPATH, library, program};
use crate::root::{Root, missing, opened, rules, tree};
use crate::verify::verified;

/// A root with a C library of a glibc that has its name service inside.
fn root() -> Root {
    Root::debian().file("/lib/libc.so.6", &libc(&["GLIBC_2.2.5", "GLIBC_2.34"]))
}

fn libc(versions: &[&str]) -> Fixture {
    library("libc.so.6").defines(versions)
}

fn app() -> Fixture {
    program(&["libc.so.6"])
}

fn codes(root: &Root) -> Vec<(Level, String)> {
    let closure = root.closure("/app");
    closure.findings().iter().map(|finding| (finding.level(), finding.code().to_owned())).collect()
}

fn collector(root: &Root) -> Collector {
    let mut collector = Collector::new();
    collector.sysroot(root.path());
    collector
}

#[test]
fn libgcc_is_loaded_for_whoever_unwinds() {
    for symbol in ["pthread_cancel", "pthread_exit", "thrd_exit", "backtrace"] {
        let root = root()
            .file("/app", &app().imports(&["puts", symbol]))
            .file("/lib/libgcc_s.so.1", &library("libgcc_s.so.1").needs("libc.so.6"));
        let closure = root.closure("/app");
        assert_eq!(opened(&closure), ["/lib/libc.so.6", "/lib/libgcc_s.so.1"], "{symbol}");
        let libgcc = closure.objects().last().unwrap();
        assert!(libgcc.is_hidden() && libgcc.found_by() == Rule::Symbol);
        let requirement = &closure.requirements()[0];
        assert_eq!(requirement.need().to_string(), "library:libgcc_s.so.1");
        assert_eq!(requirement.evidence()[0].to_string(), format!("{symbol} in /app"));
        assert!(requirement.is_included() && requirement.bytes() == libgcc.size());
        assert!(tree(&root.image("/app")).contains(&"/lib/libgcc_s.so.1".to_owned()));
    }
}

#[test]
fn a_library_that_unwinds_counts_as_the_program_does() {
    let root = root()
        .file("/app", &app().needs("libx.so"))
        .file("/lib/libx.so", &library("libx.so").imports(&["pthread_exit"]))
        .file("/lib/libgcc_s.so.1", &library("libgcc_s.so.1"));
    assert_eq!(opened(&root.closure("/app")), ["/lib/libc.so.6", "/lib/libx.so", "/lib/libgcc_s.so.1"]);
}

#[test]
fn a_library_that_is_needed_anyway_is_not_hidden() {
    let root = root()
        .file("/app", &app().needs("libgcc_s.so.1").imports(&["backtrace"]))
        .file("/lib/libgcc_s.so.1", &library("libgcc_s.so.1"));
    let closure = root.closure("/app");
    assert_eq!(rules(&closure), ["default", "default"]);
    assert!(closure.objects().iter().all(|object| !object.is_hidden()));
}

#[test]
fn without_libgcc_there_is_a_warning() {
    let root = root().file("/app", &app().imports(&["pthread_cancel"]));
    assert_eq!(codes(&root), [(Level::Warning, "libgcc".to_owned())]);
    root.image("/app");
}

#[test]
fn an_incomplete_library_that_is_not_required_is_left_out_with_a_warning() {
    let root = root()
        .file("/app", &app().imports(&["pthread_cancel"]))
        .file("/lib/libgcc_s.so.1", &library("libgcc_s.so.1").needs("libnowhere.so"));
    assert_eq!(codes(&root), [(Level::Warning, "libgcc".to_owned())]);
    assert_eq!(opened(&root.closure("/app")), ["/lib/libc.so.6"]);
    root.image("/app");
}

#[test]
fn a_library_of_the_wrong_version_that_is_not_required_is_left_out_with_a_warning() {
    let root = root()
        .file("/app", &app().imports(&["pthread_cancel"]))
        .file("/lib/libgcc_s.so.1", &library("libgcc_s.so.1").needs("libc.so.6").needs_version("libc.so.6", "GLIBC_9"));
    assert_eq!(codes(&root), [(Level::Warning, "libgcc".to_owned())]);
    assert!(missing(&root.closure("/app")).is_empty());
}

#[test]
fn before_2_34_the_name_service_has_modules() {
    let old = |symbol: &str| {
        Root::debian()
            .file("/lib/libc.so.6", &libc(&["GLIBC_2.2.5", "GLIBC_2.33"]))
            .file("/app", &app().imports(&[symbol]))
            .file("/lib/libnss_files.so.2", &library("libnss_files.so.2"))
            .file("/lib/libnss_dns.so.2", &library("libnss_dns.so.2").needs("libresolv.so.2"))
            .file("/lib/libresolv.so.2", &library("libresolv.so.2"))
    };
    assert_eq!(opened(&old("getpwuid").closure("/app")), ["/lib/libc.so.6", "/lib/libnss_files.so.2"]);
    let names = old("getaddrinfo").closure("/app");
    assert_eq!(
        opened(&names),
        ["/lib/libc.so.6", "/lib/libnss_files.so.2", "/lib/libnss_dns.so.2", "/lib/libresolv.so.2"]
    );
    assert_eq!(rules(&names), ["default", "symbol", "symbol", "default"]);
    let new = old("getaddrinfo").file("/lib/libc.so.6", &libc(&["GLIBC_2.34"]));
    assert_eq!(opened(&new.closure("/app")), ["/lib/libc.so.6"]);
}

#[test]
fn what_a_note_recommends_is_loaded_and_what_it_suggests_is_on_request() {
    let note =
        r#"[{"soname":["libz.so.2","libz.so.1"],"feature":"zip"},{"soname":["libs.so"],"priority":"suggested"}]"#;
    let root = root()
        .file("/app", &app().loads(note))
        .file("/lib/libz.so.1", &library("libz.so.1").needs("liby.so"))
        .file("/lib/liby.so", &library("liby.so"))
        .file("/lib/libs.so", &library("libs.so"));
    let closure = root.closure("/app");
    assert_eq!(opened(&closure), ["/lib/libc.so.6", "/lib/libz.so.1", "/lib/liby.so"]);
    assert_eq!(rules(&closure), ["default", "note", "default"]);
    assert_eq!(codes(&root), [(Level::Note, "dlopen".to_owned())]);
    let all = collector(&root).dlopen(Priority::Suggested).collect(root.on_machine("/app")).unwrap();
    assert_eq!(opened(&all), ["/lib/libc.so.6", "/lib/libz.so.1", "/lib/liby.so", "/lib/libs.so"]);
    let least = collector(&root).dlopen(Priority::Required).collect(root.on_machine("/app")).unwrap();
    assert_eq!(opened(&least), ["/lib/libc.so.6"]);
}

#[test]
fn what_a_note_requires_must_be_there() {
    let root = root().file("/app", &app().loads(r#"[{"soname":["liba.so","libb.so"],"priority":"required"}]"#));
    let closure = root.closure("/app");
    assert_eq!(missing(&closure), ["liba.so"]);
    let told = closure.missing()[0].to_string();
    assert!(told.contains(".note.dlopen requires") && told.contains("/lib/libb.so"), "{told}");
    assert_eq!(codes(&root.file("/lib/libb.so", &library("libb.so"))), []);
}

#[test]
fn what_a_note_recommends_and_nobody_has_is_a_note() {
    let root = root().file("/app", &app().loads(r#"[{"soname":["liba.so"]}]"#));
    assert_eq!(codes(&root), [(Level::Note, "dlopen".to_owned())]);
    root.image("/app");
}

#[test]
fn a_note_is_searched_for_as_its_object_would() {
    let note = r#"[{"soname":["libp.so"],"priority":"required"}]"#;
    let root = root()
        .file("/app", &app().needs("libx.so").with(RUNPATH, "/opt/app"))
        .file("/lib/libx.so", &library("libx.so").loads(note).with(RUNPATH, "$ORIGIN/plugins"))
        .file("/lib/plugins/libp.so", &library("libp.so"));
    let closure = root.closure("/app");
    assert_eq!(opened(&closure), ["/lib/libc.so.6", "/lib/libx.so", "/lib/plugins/libp.so"]);
    let elsewhere = Root::debian()
        .file("/lib/libc.so.6", &libc(&["GLIBC_2.34"]))
        .file("/app", &app().needs("libx.so").with(RUNPATH, "/opt/app"))
        .file("/lib/libx.so", &library("libx.so").loads(note))
        .file("/opt/app/libp.so", &library("libp.so"));
    assert_eq!(missing(&elsewhere.closure("/app")), ["libp.so"]);
    let inherited = elsewhere.file("/app", &app().needs("libx.so").with(RPATH, "/opt/app"));
    assert!(missing(&inherited.closure("/app")).is_empty());
}

#[test]
fn a_library_that_the_caller_names_comes_with_what_it_needs() {
    let root = root()
        .file("/app", &app())
        .file("/lib/libp.so", &library("libp.so").needs("libq.so").loads(r#"[{"soname":["libr.so"]}]"#))
        .file("/lib/libq.so", &library("libq.so"))
        .file("/lib/libr.so", &library("libr.so"));
    let closure = collector(&root).library("libp.so").collect(root.on_machine("/app")).unwrap();
    assert_eq!(opened(&closure), ["/lib/libc.so.6", "/lib/libp.so", "/lib/libq.so", "/lib/libr.so"]);
    assert_eq!(rules(&closure), ["default", "requested", "default", "note"]);
    let absent = collector(&root).library("libnowhere.so").collect(root.on_machine("/app")).unwrap();
    assert_eq!(missing(&absent), ["libnowhere.so"]);
}

#[test]
fn a_library_by_its_path_lies_where_it_lies_in_the_root() {
    let root = root()
        .file("/app", &app())
        .file("/opt/plugins/p.so", &library("p.so").needs("libq.so").with(RUNPATH, "$ORIGIN"))
        .file("/opt/plugins/libq.so", &library("libq.so"));
    let mut builder = root.builder("/app");
    builder.library(root.on_machine("/opt/plugins/p.so"));
    let image = builder.build().map(verified).unwrap();
    assert_eq!(opened(image.closure()), ["/lib/libc.so.6", "/opt/plugins/p.so", "/opt/plugins/libq.so"]);
}

#[test]
fn a_library_from_outside_the_root_goes_into_a_builtin_directory() {
    let outside = Root::empty().file("/build/p.so", &library("p.so"));
    let root = root().file("/app", &app());
    let mut builder = root.builder("/app");
    builder.library(outside.on_machine("/build/p.so"));
    assert!(tree(&builder.build().map(verified).unwrap()).contains(&"/lib/x86_64-linux-gnu/p.so".to_owned()));
}

#[test]
fn whoever_loads_libraries_and_does_not_say_which_is_warned_of_with_those_among_its_constants() {
    let constants = b"\0libp.so\0libnowhere.so.1\0not a lib.so\0/lib/secret.so\0";
    let root = root()
        .file("/app", &app().imports(&["dlopen"]).data(constants))
        .file("/lib/libp.so", &library("libp.so"))
        .file("/lib/secret.so", &library("secret.so"));
    let closure = root.closure("/app");
    let finding = &closure.findings()[0];
    assert_eq!((finding.level(), finding.code()), (Level::Warning, "dlopen"));
    assert!(finding.message().contains("--library libp.so"), "{finding}");
    assert!(!finding.message().contains("nowhere") && !finding.message().contains("secret"), "{finding}");
    assert_eq!(opened(&closure), ["/lib/libc.so.6"]);
    for with in [collector(&root).auto(), collector(&root).library("libp.so")] {
        let closure = with.collect(root.on_machine("/app")).unwrap();
        assert_eq!(opened(&closure), ["/lib/libc.so.6", "/lib/libp.so"]);
        assert_eq!(closure.findings(), []);
    }
}

#[test]
fn a_name_that_only_an_auditing_object_knows_is_one_that_the_program_could_load() {
    let app = app().imports(&["dlopen"]).data(b"\0libp.so\0").with(AUDIT, "/opt/a/liba.so").with(RUNPATH, "/opt/l");
    let root = root()
        .file("/app", &app)
        .file("/opt/a/liba.so", &library("liba.so").needs("libp.so").with(RUNPATH, "/opt/a"))
        .file("/opt/a/libp.so", &library("libp.so"))
        .file("/opt/l/libp.so", &library("libp.so").needs("libc.so.6"));
    assert!(root.closure("/app").findings()[0].message().contains("--library libp.so"));
    let closure = collector(&root).auto().collect(root.on_machine("/app")).unwrap();
    assert!(opened(&closure).contains(&"/opt/l/libp.so".to_owned()), "{:?}", opened(&closure));
}

#[test]
fn a_name_that_is_known_on_some_cpus_only_is_one_that_the_program_could_load() {
    let v3 = "/opt/l/glibc-hwcaps/x86-64-v3/libx.so";
    let root = root()
        .file("/app", &app().imports(&["dlopen"]).data(b"\0libp.so\0").needs("libx.so").with(RUNPATH, "/opt/l"))
        .file("/opt/l/libx.so", &library("libx.so"))
        .file(v3, &library("libx.so").needs("libp.so").with(RUNPATH, "/opt/p"))
        .file("/opt/p/libp.so", &library("libp.so"))
        .file("/opt/l/libp.so", &library("libp.so").needs("libc.so.6"));
    let closure = collector(&root).auto().hwcaps("all").collect(root.on_machine("/app")).unwrap();
    assert!(opened(&closure).contains(&"/opt/l/libp.so".to_owned()), "{:?}", opened(&closure));
}

#[test]
fn what_is_excluded_is_not_looked_up_nor_what_only_it_needs() {
    let root = root()
        .file("/app", &app().needs("libcuda.so.1").needs_version("libcuda.so.1", "V1"))
        .file("/lib/libcuda.so.1", &library("libcuda.so.1").needs("libnv.so"))
        .file("/lib/libnv.so", &library("libnv.so"));
    for pattern in ["libcuda.so.1", "libcuda*", "lib[c]uda.so.?"] {
        let mut builder = root.builder("/app");
        builder.exclude(pattern);
        let image = builder.build().map(verified).unwrap();
        assert_eq!(opened(image.closure()), ["/lib/libc.so.6"], "{pattern}");
        let excluded = &image.closure().excluded()[0];
        assert_eq!(excluded.name(), "libcuda.so.1");
        assert_eq!(excluded.needed_by(), [std::path::Path::new("/app")]);
    }
    assert_eq!(opened(&root.closure("/app")).len(), 3);
}

#[test]
fn what_is_excluded_and_needed_through_another_stays() {
    let root = root()
        .file("/app", &app().needs("libcuda.so.1").needs("libz.so"))
        .file("/lib/libcuda.so.1", &library("libcuda.so.1").needs("libz.so"))
        .file("/lib/libz.so", &library("libz.so"));
    let closure = collector(&root).exclude("libcuda*").collect(root.on_machine("/app")).unwrap();
    assert_eq!(opened(&closure), ["/lib/libc.so.6", "/lib/libz.so"]);
}

#[test]
fn what_only_might_be_loaded_is_left_out_where_it_is_incomplete() {
    let root = root()
        .file("/app", &app().imports(&["dlopen"]).data(b"\0libp.so\0"))
        .file("/lib/libp.so", &library("libp.so").needs("libnowhere.so"));
    let closure = collector(&root).auto().collect(root.on_machine("/app")).unwrap();
    assert_eq!(opened(&closure), ["/lib/libc.so.6"]);
    assert!(missing(&closure).is_empty());
    let levels: Vec<Level> = closure.findings().iter().map(|finding| finding.level()).collect();
    assert_eq!(levels, [Level::Note, Level::Warning]);
}

#[test]
fn what_is_loaded_while_it_runs_has_needs_of_its_own() {
    let root = root()
        .file("/app", &app().imports(&["dlopen"]).data(b"\0libp.so\0"))
        .file("/lib/libp.so", &library("libp.so").imports(&["getpwuid", "backtrace"]))
        .file("/lib/libgcc_s.so.1", &library("libgcc_s.so.1"));
    let mut builder = root.builder("/app");
    let image = builder.auto().build().map(verified).unwrap();
    assert_eq!(opened(image.closure()), ["/lib/libc.so.6", "/lib/libp.so", "/lib/libgcc_s.so.1"]);
    assert!(tree(&image).contains(&"/etc/passwd".to_owned()));
    assert_eq!(image.findings(), []);
}

#[test]
fn what_is_excluded_is_no_candidate() {
    let root =
        root().file("/app", &app().imports(&["dlopen"]).data(b"\0libp.so\0")).file("/lib/libp.so", &library("libp.so"));
    let closure = collector(&root).exclude("libp*").collect(root.on_machine("/app")).unwrap();
    assert!(!closure.findings()[0].message().contains("libp.so"), "{}", closure.findings()[0]);
}

#[test]
fn of_a_note_with_an_excluded_name_the_next_is_taken() {
    let root = root()
        .file("/app", &app().loads(r#"[{"soname":["liba.so","libb.so"]}]"#))
        .file("/lib/libb.so", &library("libb.so"));
    let closure = collector(&root).exclude("liba.so").collect(root.on_machine("/app")).unwrap();
    assert_eq!(opened(&closure), ["/lib/libc.so.6", "/lib/libb.so"]);
}

#[test]
fn what_is_there_anyway_is_not_excluded() {
    let root = root().file("/app", &app().needs("ld-linux-x86-64.so.2"));
    let closure = collector(&root).exclude("ld-linux*").collect(root.on_machine("/app")).unwrap();
    assert!(closure.interpreter().is_some() && closure.excluded().is_empty());
}

#[test]
fn a_static_program_loads_none_and_says_so() {
    let root = Root::empty().file("/app", &crate::elf::static_program());
    let closure = collector(&root).library("libp.so").collect(root.on_machine("/app")).unwrap();
    assert_eq!(closure.findings()[0].code(), "dlopen");
}
