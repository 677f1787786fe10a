//! What a program opens by itself: how much each thing that tells of it weighs, and what a caller can say.

use scratchpack::{Closure, Collector, ErrorKind, Level, Need};

use crate::elf::{Fixture, library, program};
use crate::root::{Root, tree};
use crate::verify::verified;

/// A root with a C library of glibc.
fn root() -> Root {
    Root::debian().file("/lib/libc.so.6", &library("libc.so.6").defines(&["GLIBC_2.34"]))
}

fn app() -> Fixture {
    program(&["libc.so.6"])
}

fn collector(root: &Root) -> Collector {
    let mut collector = Collector::new();
    collector.sysroot(root.path());
    collector
}

fn findings(closure: &Closure) -> Vec<(Level, &str)> {
    closure.findings().iter().map(|finding| (finding.level(), finding.code())).collect()
}

fn of(root: &Root) -> Vec<(Level, String)> {
    let closure = root.closure("/app");
    findings(&closure).into_iter().map(|(level, code)| (level, code.to_owned())).collect()
}

#[test]
fn what_differs_is_a_note_and_what_is_likely_to_fail_a_warning() {
    for (symbol, level, code) in [
        ("getpwuid", Level::Note, "users"),
        ("localtime_r", Level::Note, "time-zones"),
        ("setlocale", Level::Note, "locales"),
        ("getservbyname", Level::Note, "services"),
        ("mkstemp", Level::Note, "tmp"),
        ("tmpfile", Level::Warning, "tmp"),
        ("iconv_open", Level::Note, "gconv"),
        ("setupterm", Level::Warning, "terminfo"),
        ("tgetent", Level::Note, "terminfo"),
        ("OSSL_PROVIDER_load", Level::Warning, "openssl"),
        ("SSL_CTX_set_default_verify_paths", Level::Warning, "ca-certificates"),
        ("system", Level::Note, "shell"),
    ] {
        let root = root().file("/app", &app().imports(&["puts", symbol]));
        assert_eq!(of(&root), [(level, code.to_owned())], "{symbol}");
        let closure = root.closure("/app");
        assert_eq!(closure.findings()[0].evidence(), format!("{symbol} in /app"));
    }
    assert_eq!(of(&root().file("/app", &app().imports(&["puts", "malloc"]))), []);
}

#[test]
fn needs_are_read_when_somebody_asks_and_of_a_file_that_has_changed_by_then_nobody_knows_any() {
    let root = root()
        .file("/app", &app().needs("libx.so").needs("libgcc_s.so.1").imports(&["getpwuid"]))
        .file("/lib/libgcc_s.so.1", &library("libgcc_s.so.1"))
        .file("/lib/libx.so", &library("libx.so").imports(&["mktime"]));
    let (asked_late, asked_early) = (root.closure("/app"), root.closure("/app"));
    assert_eq!(findings(&asked_early), [(Level::Note, "users"), (Level::Note, "time-zones")]);
    let root = root.file("/lib/libx.so", &library("libx.so").imports(&["localtime"]).data(&[0; 9_999]));
    assert_eq!(findings(&asked_early), [(Level::Note, "users"), (Level::Note, "time-zones")]);
    assert_eq!(findings(&asked_late), [(Level::Warning, "unread"), (Level::Note, "users")]);
    assert_eq!(asked_late.findings()[0].evidence(), "/lib/libx.so");
    assert_eq!(asked_late.requirements().len(), 1);
    assert_eq!(findings(&root.closure("/app"))[1], (Level::Note, "time-zones"));
}

#[test]
fn without_its_interpreter_nothing_is_said_of_what_a_program_needs_besides() {
    let root = Root::empty().file("/app", &app().imports(&["getpwuid", "tmpfile"]));
    let closure = root.closure("/app");
    assert_eq!(closure.missing().len(), 1);
    assert_eq!((findings(&closure), closure.requirements().len()), (vec![], 0));
}

#[test]
fn what_the_search_finds_out_is_known_without_asking_for_needs() {
    let root = root().file("/app", &app().imports(&["pthread_exit", "getpwuid"]));
    let closure = root.closure("/app");
    assert_eq!(closure.search_findings().iter().map(|finding| finding.code()).collect::<Vec<_>>(), ["libgcc"]);
    assert_eq!(findings(&closure), [(Level::Warning, "libgcc"), (Level::Note, "users")]);
}

#[test]
fn a_closure_can_be_shared_among_threads() {
    let root = root().file("/app", &app().imports(&["getpwuid"]));
    let closure = root.closure("/app");
    std::thread::scope(|scope| {
        let ask = || findings(&closure).len();
        let threads = [scope.spawn(ask), scope.spawn(ask)];
        assert_eq!(threads.map(|thread| thread.join().unwrap()), [1, 1]);
    });
}

#[test]
fn who_converts_to_a_set_that_it_names_is_likely_to_fail() {
    let root = root().file("/app", &app().imports(&["iconv_open"]).data(b"\0SHIFT_JIS\0"));
    assert_eq!(of(&root), [(Level::Warning, "gconv".to_owned())]);
}

#[test]
fn what_a_library_imports_weighs_less_and_that_of_a_runtime_nothing() {
    let with = |soname: &str, symbol: &str| {
        let root = root().file("/app", &app().needs(soname));
        of(&root.file(&format!("/lib/{soname}"), &library(soname).imports(&[symbol])))
    };
    assert_eq!(with("libx.so", "tmpfile"), [(Level::Note, "tmp".to_owned())]);
    assert_eq!(with("libx.so", "SSL_CTX_load_verify_file"), [(Level::Warning, "ca-certificates".to_owned())]);
    assert_eq!(with("libstdc++.so.6", "iconv_open"), []);
    assert_eq!(with("libcrypto.so.3", "getaddrinfo"), []);
    let deeper = root()
        .file("/app", &app().needs("libx.so"))
        .file("/lib/libx.so", &library("libx.so").needs("libcurl.so.4"))
        .file("/lib/libcurl.so.4", &library("libcurl.so.4").imports(&["SSL_CTX_load_verify_file"]));
    assert_eq!(of(&deeper), [(Level::Note, "ca-certificates".to_owned())]);
}

#[test]
fn a_bundle_among_the_constants_tells_of_tls_within_the_program() {
    let go = b"xx/etc/ssl/certs/ca-certificates.crt/etc/pki/tls/certs/ca-bundle.crtxx";
    assert_eq!(of(&root().file("/app", &app().data(go))), [(Level::Warning, "ca-certificates".to_owned())]);
}

#[test]
fn musl_has_locales_and_character_sets_within_itself() {
    let musl = library("libc.musl-x86_64.so.1").data(b"\0/etc/ld-musl-x86_64.path\0");
    let app = Fixture { interpreter: Some(b"/lib/ld-musl-x86_64.so.1\0".to_vec()), ..program(&[]) };
    let root = Root::empty()
        .file("/lib/ld-musl-x86_64.so.1", &musl)
        .file("/app", &app.imports(&["iconv_open", "setlocale", "pthread_cancel", "getpwuid", "getaddrinfo"]));
    assert_eq!(of(&root), [(Level::Note, "users".to_owned()), (Level::Note, "services".to_owned())]);
}

#[test]
fn a_need_that_the_caller_names_is_met_or_an_error_that_says_what_to_do() {
    let root = root().file("/app", &app());
    let mut builder = root.builder("/app");
    assert!(tree(&builder.with(Need::Users).build().map(verified).unwrap()).contains(&"/etc/passwd".to_owned()));
    let error = collector(&root).with(Need::CaCertificates).collect(root.on_machine("/app")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unmet);
    assert!(error.to_string().contains("ca-certificates cannot be met"), "{error}");
}

#[test]
fn what_the_files_tell_of_is_met_as_far_as_the_root_goes() {
    let root = root().file("/app", &app().imports(&["getpwuid", "localtime", "tmpfile"]));
    let mut builder = root.builder("/app");
    let image = builder.auto().build().map(verified).unwrap();
    assert!(tree(&image).contains(&"/tmp/".to_owned()));
    assert_eq!(findings(image.closure()), [(Level::Note, "time-zones")]);
    let included: Vec<(String, bool)> = image
        .closure()
        .requirements()
        .iter()
        .map(|requirement| (requirement.need().to_string(), requirement.is_included()))
        .collect();
    let expected = [("users", true), ("time-zones", false), ("tmp", true)];
    assert_eq!(included, expected.map(|(name, is_included)| (name.to_owned(), is_included)));
}

#[test]
fn only_what_the_caller_puts_at_the_very_path_counts_for_a_need() {
    let root = root().file("/app", &app().imports(&["tmpfile", "SSL_CTX_load_verify_file"])).bytes("/x", b"x");
    let codes = |path: &str| {
        let mut builder = root.builder("/app");
        let image = builder.file(root.on_machine("/x"), path).build().map(verified).unwrap();
        image.findings().iter().map(|finding| finding.code().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(codes("/tmp/x"), ["ca-certificates", "tmp"]);
    assert_eq!(codes("/app.d/cert.pem"), ["ca-certificates", "tmp"]);
    assert_eq!(codes("/etc/ssl/certs/ca-certificates.crt"), ["tmp"]);
}

#[test]
fn a_packed_program_is_never_without_a_word() {
    let mut packed = crate::elf::static_program().bytes();
    packed[8..11].copy_from_slice(b"AI\x02");
    let root = Root::empty().bytes("/app", &packed);
    assert_eq!(of(&root), [(Level::Warning, "self-extracting".to_owned())]);
}

#[test]
fn the_modules_of_a_need_say_nothing_of_what_else_is_loaded() {
    let lists = b"module SJIS// INTERNAL SJIS 1\nmodule INTERNAL SJIS// SJIS 1\n";
    let root = root()
        .file("/app", &app().imports(&["iconv_open", "dlopen"]))
        .bytes("/lib/gconv/gconv-modules", lists)
        .file("/lib/gconv/SJIS.so", &library("SJIS.so"));
    let closure = collector(&root).with(Need::Gconv).collect(root.on_machine("/app")).unwrap();
    assert!(closure.object_at("/lib/gconv/SJIS.so".as_ref()).is_some_and(|module| module.is_hidden()));
    assert_eq!(findings(&closure), [(Level::Warning, "dlopen")]);
}
