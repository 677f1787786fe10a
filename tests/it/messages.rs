//! Whatever names there are, no message does anything to a terminal: no control character, nothing that turns text around.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use scratchpack::{Closure, Collector, Compression, Elf, Error, Finding, Image, ImageBuilder, Need, check};

use crate::elf::{Fixture, NEEDED, RUNPATH, SONAME, library, loader, program};
use crate::root::{BUILTIN, Root};
use crate::verify::verified;

/// Every control character but NUL, all marks of direction, the ends of lines and paragraphs, and bytes of no character.
fn nasty() -> Vec<u8> {
    let marks = "\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
    let late: String = ('\u{80}'..='\u{9f}').collect();
    [b"n", (1..32).collect::<Vec<u8>>().as_slice(), b"\x7f", late.as_bytes(), marks.as_bytes(), b"\xff\xfe\\"].concat()
}

/// The same in text.
fn nasty_text() -> String {
    let name = nasty();
    String::from_utf8(name[..name.len() - 3].to_vec()).unwrap()
}

fn path(directory: &str, name: &[u8]) -> PathBuf {
    Path::new(directory).join(OsStr::from_bytes(name))
}

/// What must not be in what is printed; an end of a line may be.
fn is_unfit(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[track_caller]
fn expect_fit(printed: &[u8], what: &str) {
    let text = std::str::from_utf8(printed);
    let text = text.unwrap_or_else(|_| panic!("{what}: no text: {}", printed.escape_ascii()));
    assert!(!text.chars().any(is_unfit), "{what}: {text:?}");
    // It names something all the same, and ends no line by a name.
    assert!(!text.contains("\n\u{b}") && !text.contains("\t\n"), "{what}: {text:?}");
}

fn raw(mut fixture: Fixture, tag: u64, bytes: &[u8]) -> Fixture {
    fixture.strings.push((tag, bytes.to_vec()));
    fixture
}

fn put(root: &Root, path: &Path, bytes: &[u8]) {
    let path = root.path().join(path.strip_prefix("/").unwrap());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A program whose every name is nasty.
fn app() -> Fixture {
    let name = nasty();
    let by_path = path("/opt", &name).into_os_string().into_vec();
    let mut app = raw(raw(program(&[]), NEEDED, &[b"lib", name.as_slice()].concat()), NEEDED, &by_path);
    app = raw(app, RUNPATH, path("/run", &name).as_os_str().as_bytes());
    app.interpreter = Some([path("/lib64", &name).as_os_str().as_bytes(), b"\0"].concat());
    let text: String = nasty_text().chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    let note = |soname: &str, priority| {
        format!(r#"{{"soname":["{soname}"],"feature":"{text}","description":"{text}","priority":"{priority}"}}"#)
    };
    let json = format!("[{},{}]", note(&format!("a{text}"), "recommended"), note(&format!("b{text}"), "suggested"));
    app.imports(&["dlopen", "setlocale", "iconv_open", "system"]).loads(&json)
}

/// With nothing of what the program needs.
fn incomplete() -> (Root, PathBuf) {
    let root = Root::empty();
    put(&root, &path("/bin", &nasty()), &app().bytes());
    let at = root.path().join("bin").join(OsStr::from_bytes(&nasty()));
    fs::set_permissions(&at, fs::Permissions::from_mode(0o755)).unwrap();
    (root, at)
}

fn complete() -> (Root, PathBuf) {
    let (root, at) = incomplete();
    let name = nasty();
    let lib = [b"lib", name.as_slice()].concat();
    let loader = raw(loader(&BUILTIN), SONAME, &name);
    put(&root, &path("/lib64", &name), &loader.bytes());
    put(&root, &path("/run", &name).join(OsStr::from_bytes(&lib)), &raw(library("x"), SONAME, &lib).bytes());
    put(&root, &path("/opt", &name), &library("y").bytes());
    put(&root, Path::new("/etc/ld.so.preload"), &[b"/opt/", name.as_slice()].concat());
    put(&root, &path("/my", &name), b"mine");
    (root, at)
}

fn collector(root: &Root) -> Collector {
    let mut collector = Collector::new();
    collector.sysroot(root.path());
    collector
}

fn expect_fit_findings(findings: &[Finding]) {
    for finding in findings {
        for text in [finding.to_string(), finding.evidence().to_owned(), format!("{finding:?}")] {
            expect_fit(text.as_bytes(), finding.code());
        }
    }
}

fn expect_fit_closure(closure: &Closure) {
    expect_fit_findings(closure.findings());
    for missing in closure.missing() {
        expect_fit(missing.to_string().as_bytes(), "missing");
        for text in missing.tried().iter().filter_map(|attempt| attempt.detail()).chain(missing.note()) {
            expect_fit(text.as_bytes(), "a detail");
        }
    }
    for object in closure.objects() {
        for explanation in closure.explain(object.name()) {
            expect_fit(explanation.to_string().as_bytes(), "an explanation");
        }
    }
    for requirement in closure.requirements() {
        expect_fit(requirement.need().to_string().as_bytes(), "a need");
        for evidence in requirement.evidence() {
            expect_fit(evidence.to_string().as_bytes(), "an evidence");
        }
    }
}

#[test]
fn findings_explanations_and_reasons_are_fit_for_a_terminal() {
    let (root, at) = complete();
    let closure = collector(&root).collect(&at).unwrap();
    assert_eq!((closure.objects().len(), closure.missing().len()), (3, 0));
    expect_fit_closure(&closure);
    let mut builder = Image::builder();
    builder.collector(collector(&root)).binary(&at).install("/app").entrypoint([nasty_text()]).exclude(nasty_text());
    builder.file(root.path().join("my").join(OsStr::from_bytes(&nasty())), path("/etc", &nasty()));
    let image = builder.symlink(OsStr::from_bytes(&nasty()), path("/l", &nasty())).build().map(verified).unwrap();
    let codes: Vec<&str> = image.findings().iter().map(Finding::code).collect();
    for code in ["build-path", "system-preload", "dlopen", "unused-exclude"] {
        assert!(codes.contains(&code), "{code}: {codes:?}");
    }
    expect_fit_findings(image.findings());
    image.entries().for_each(|entry| expect_fit(entry.reason().as_bytes(), "a reason"));
    let (root, at) = incomplete();
    expect_fit_closure(&collector(&root).collect(&at).unwrap());
    let loader = path("/lib64", &nasty());
    put(&root, &loader, &crate::elf::loader(&BUILTIN).bytes());
    put(&root, &path("/opt", &nasty()), b"no library");
    let closure = collector(&root).collect(&at).unwrap();
    assert_eq!(closure.missing().len(), 2);
    expect_fit_closure(&closure);
}

#[test]
fn errors_are_fit_for_a_terminal_in_both_of_their_forms() {
    let (root, at) = complete();
    let (name, text) = (nasty(), nasty_text());
    let mine = root.path().join("my").join(OsStr::from_bytes(&name));
    let (lost, lost_at) = incomplete();
    let mut errors: Vec<Error> = Vec::new();
    let mut refused = |change: &dyn Fn(&mut ImageBuilder) -> &mut ImageBuilder| {
        let mut builder = Image::builder();
        builder.collector(collector(&root)).binary(&at).install("/app");
        match change(&mut builder).build() {
            Ok(_) => panic!("{builder:?}"),
            Err(error) => errors.push(error),
        }
    };
    let nasty_path = |directory: &str| path(directory, &name);
    refused(&|builder| builder.file(&mine, OsStr::from_bytes(&name)));
    refused(&|builder| builder.file(nasty_path("/none"), "/x"));
    refused(&|builder| builder.file(&mine, nasty_path("/x/..")));
    refused(&|builder| builder.file(&mine, nasty_path("/x").join(".wh.x")));
    refused(&|builder| builder.file(root.path(), nasty_path("/x")));
    refused(&|builder| builder.file(&mine, nasty_path("/x")).symlink(OsStr::from_bytes(&name), nasty_path("/x")));
    refused(&|builder| builder.file(&mine, nasty_path("/run")));
    refused(&|builder| builder.directory(nasty_path("/d"), 0o777_777));
    refused(&|builder| builder.install(OsStr::from_bytes(&name)));
    refused(&|builder| builder.install(nasty_path("/")));
    refused(&|builder| builder.sysroot(nasty_path("/none")));
    refused(&|builder| builder.library_path(nasty_path("/none")));
    refused(&|builder| builder.binary(nasty_path("/none")));
    refused(&|builder| builder.binary(&mine));
    refused(&|builder| builder.library(OsStr::from_bytes(&[b"q", name.as_slice()].concat())));
    refused(&|builder| builder.with(Need::Locale(text.clone())));
    refused(&|builder| builder.with(Need::Charset(text.clone())));
    refused(&|builder| builder.with(Need::Terminal(text.clone())));
    refused(&|builder| builder.hwcaps(&text));
    refused(&|builder| builder.tag(&text));
    refused(&|builder| builder.env(format!("{text}="), &text));
    refused(&|builder| builder.expose(&text));
    refused(&|builder| builder.stop_signal(&text));
    refused(&|builder| builder.workdir(&text));
    errors.push(lost_error(&lost, &lost_at));
    errors.push(Elf::read(nasty_path("/none")).unwrap_err());
    errors.push(Elf::read(&mine).unwrap_err());
    errors.push(check(&mine).unwrap_err());
    errors.push(check(nasty_path("/none")).unwrap_err());
    let image = Image::builder().collector(collector(&root)).binary(&at).install("/app").build().map(verified).unwrap();
    errors.push(image.write_archive(nasty_path("/none").join("x")).map(drop).unwrap_err());
    errors.push(image.write_layout(&mine).map(drop).unwrap_err());
    fs::write(root.path().join("opt").join(OsStr::from_bytes(&name)), b"changed").unwrap();
    errors.push(image.write_layer_to(std::io::sink()).map(drop).unwrap_err());
    errors.push(text.parse::<Compression>().map(drop).map_err(|_| lost_error(&lost, &lost_at)).unwrap_err());
    for error in &errors {
        expect_fit(error.to_string().as_bytes(), "an error");
        expect_fit(format!("{error:?}").as_bytes(), "an error");
    }
}

fn lost_error(root: &Root, at: &Path) -> Error {
    Image::builder().collector(collector(root)).binary(at).build().map(drop).unwrap_err()
}

#[test]
fn problems_of_a_check_are_fit_for_a_terminal() {
    let (root, at) = complete();
    let mut builder = Image::builder();
    builder.collector(collector(&root)).binary(&at).install(path("/bin", &nasty())).entrypoint(["x"]);
    let out = tempfile::tempdir().unwrap();
    builder.build().map(verified).unwrap().write_rootfs(out.path().join("r")).unwrap();
    assert!(check(out.path().join("r")).unwrap().is_fine());
    fs::remove_file(out.path().join("r/opt").join(OsStr::from_bytes(&nasty()))).unwrap();
    let check = check(out.path().join("r")).unwrap();
    assert_eq!(check.problems().len(), 1);
    check.problems().iter().for_each(|problem| expect_fit(problem.to_string().as_bytes(), "a problem"));
}

#[cfg(feature = "cli")]
mod of_the_command {
    use std::process::{Command, Output};

    use serde_json::Value;

    use super::*;

    fn scratchpack<S: AsRef<OsStr>>(root: &Root, arguments: &[S]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scratchpack"));
        command.args(arguments).current_dir(root.path()).output().unwrap()
    }

    #[track_caller]
    fn expect_fit_output<S: AsRef<OsStr>>(root: &Root, arguments: &[S], status: i32) -> Output {
        let output = scratchpack(root, arguments);
        let words: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).collect();
        let what = format!("{words:?}");
        assert_eq!(output.status.code(), Some(status), "{what}: {}", String::from_utf8_lossy(&output.stderr));
        expect_fit(&output.stdout, &what);
        expect_fit(&output.stderr, &what);
        output
    }

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn every_subcommand_prints_what_is_fit_for_a_terminal_in_every_format() {
        let (root, at) = complete();
        let (lost, lost_at) = incomplete();
        let app = at.strip_prefix(root.path()).unwrap().as_os_str();
        assert_eq!(app, lost_at.strip_prefix(lost.path()).unwrap());
        for format in ["tree", "list", "json"] {
            let arguments = [words(&format!("inspect --sysroot . --format {format}")), vec![app.to_owned()]].concat();
            expect_fit_output(&root, &arguments, 0);
            expect_fit_output(&lost, &arguments, 1);
        }
        let library = OsString::from_vec([b"lib", nasty().as_slice()].concat());
        for format in ["text", "json"] {
            for (name, status) in [(library.clone(), 0), (app.to_owned(), 1), ("/lib64".into(), 0)] {
                let mut arguments = words(&format!("explain --sysroot . --install /app --format {format}"));
                arguments.extend([app.to_owned(), name]);
                expect_fit_output(&root, &arguments, status);
                expect_fit_output(&lost, &arguments, 1);
            }
        }
        let out = format!("o{}", nasty_text());
        for format in ["text", "json"] {
            let mut arguments = words(&format!("build --sysroot . --install /app --auto --format {format} -o"));
            arguments.extend([out.clone().into(), app.to_owned()]);
            expect_fit_output(&root, &arguments, 0);
            expect_fit_output(&lost, &arguments, 1);
            let check: Vec<OsString> = [words(&format!("check --format {format}")), vec![out.clone().into()]].concat();
            expect_fit_output(&root, &check, 0);
            expect_fit_output(&lost, &check, 1);
            expect_fit_output(&lost, &[words(&format!("check --format {format} ."))].concat(), 1);
        }
    }

    #[test]
    fn arguments_that_make_no_sense_are_told_as_what_is_seen() {
        let (root, _) = complete();
        let text = nasty_text();
        let build =
            |option: &str, value: &str| [words("build my -o x.tar"), vec![option.into(), value.into()]].concat();
        let of_options = [
            "--type",
            "--with",
            "--dlopen",
            "--hwcaps",
            "--file",
            "--symlink",
            "--dir",
            "--env",
            "--user",
            "--label",
            "--expose",
            "--stop-signal",
            "--compression",
            "--jobs",
            "--created",
            "--format",
            "--tag",
            "--workdir",
            "--install",
            "--sysroot",
            "--library-path",
        ];
        for option in of_options {
            let output = scratchpack(&root, &build(option, &text));
            assert!(matches!(output.status.code(), Some(1 | 2)), "{option}");
            expect_fit(&output.stderr, option);
        }
        let with_mode = format!("/d{text}:9");
        let not_text = OsString::from_vec(nasty());
        for arguments in [
            vec![OsString::from(&text)],
            vec![not_text.clone()],
            vec!["inspect".into(), "x".into(), text.clone().into()],
            vec!["inspect".into(), "x".into(), not_text.clone()],
            vec!["build".into(), format!("--{text}").into()],
            vec!["build".into(), format!("--file{text}").into()],
            vec!["build".into(), format!("--quiet={text}").into()],
            vec!["build".into(), format!("-{text}").into()],
            vec!["inspect".into(), "--format".into(), not_text.clone(), "x".into()],
            vec!["help".into(), text.clone().into()],
            build("--dir", &with_mode),
            build("--env", ""),
            [words("build x -o x --env"), vec![not_text]].concat(),
        ] {
            let output = expect_fit_output(&root, &arguments, 2);
            assert!(!output.stderr.is_empty());
        }
    }

    #[test]
    fn help_under_another_name_is_help_for_the_command() {
        let directory = tempfile::tempdir().unwrap();
        let other = directory.path().join(OsStr::from_bytes(&nasty()));
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_scratchpack"), &other).unwrap();
        for arguments in [&["--help"][..], &["build", "--help"], &["build"], &[]] {
            let output = Command::new(&other).args(arguments).output().unwrap();
            expect_fit(&[output.stdout, output.stderr].concat(), "help");
        }
    }

    #[test]
    fn a_name_that_ends_a_line_is_one_line_of_a_list_and_the_same_in_json() {
        let root = Root::debian().file("/app", &program(&["lib\n/etc/shadow"]));
        let app = program(&["libx\n.so", "liby\u{202e}.so"]);
        let root =
            root.file("/app", &app).file("/lib/libx\n.so", &library("x")).file("/lib/liby\u{202e}.so", &library("y"));
        let list = expect_fit_output(&root, &words("inspect --sysroot . --format list app"), 0);
        let list = String::from_utf8(list.stdout).unwrap();
        let lines: Vec<&str> = list.lines().collect();
        assert_eq!(lines.len(), 4, "{list}");
        assert!(lines[2].ends_with("/lib/libx\\x0a.so") && lines[3].ends_with("/lib/liby\\xe2\\x80\\xae.so"), "{list}");
        let json = expect_fit_output(&root, &words("inspect --sysroot . --format json app"), 0);
        let json: Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!([&json["objects"][1]["name"], &json["objects"][2]["name"]], ["libx\n.so", "liby\u{202e}.so"]);
    }
}
