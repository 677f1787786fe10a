//! What the command tells whoever asks it how it is used, or uses it wrongly: help, manual page, completions, colours, and
//! the next step.

use std::fs;
use std::process::{Command, Output};

use crate::command::{err, on_a_terminal, out};
use crate::elf::{library, program};
use crate::root::Root;

fn scratchpack(root: &Root, arguments: &[&str]) -> Output {
    scratchpack_with(&[], root, arguments)
}

fn scratchpack_with(variables: &[(&str, &str)], root: &Root, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_scratchpack"))
        .args(arguments)
        .current_dir(root.path())
        .env_remove("SOURCE_DATE_EPOCH")
        .envs(variables.iter().copied())
        .env("COLUMNS", "80")
        .output()
        .unwrap()
}

const COMMANDS: [&str; 6] = ["build", "inspect", "explain", "check", "completions", "man"];

fn help(arguments: &[&str]) -> String {
    let output = scratchpack(&Root::empty(), arguments);
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""), "{arguments:?}");
    out(&output)
}

/// `--option` of a line of help that begins with one.
fn option_of(line: &str) -> Option<&str> {
    let words = line.trim_start().split([' ', ',']).find(|word| word.starts_with("--"));
    words.filter(|_| line.starts_with("  ") && line.trim_start().starts_with('-'))
}

/// The options of a help below each of its headings.
fn groups(help: &str) -> Vec<(&str, Vec<&str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in help.lines() {
        match (line.strip_suffix(':').filter(|line| !line.starts_with(' ')), option_of(line)) {
            (Some(heading), _) => groups.push((heading, Vec::new())),
            (None, Some(option)) => groups.last_mut().unwrap().1.push(option),
            _ => {}
        }
    }
    groups
}

#[test]
fn without_arguments_two_lines_are_an_example() {
    let output = scratchpack(&Root::empty(), &[]);
    assert_eq!((output.status.code(), out(&output).as_str()), (Some(2), ""));
    let said = err(&output);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines[..2],
        ["scratchpack build hello -o hello.tar", "docker load -i hello.tar && docker run --rm hello"]
    );
    assert_eq!(lines[2..], ["", "`scratchpack --help` tells the rest."]);
}

#[test]
fn help_of_a_build_is_by_what_goes_in_how_it_runs_how_it_is_made_and_what_comes_back() {
    let expected: [(&str, &[&str]); 5] = [
        ("Options", &["--output", "--tag", "--type", "--help"]),
        (
            "What goes in",
            &[
                "--sysroot",
                "--library-path",
                "--library",
                "--install",
                "--file",
                "--symlink",
                "--dir",
                "--with",
                "--auto",
                "--dlopen",
                "--hwcaps",
                "--exclude",
                "--file-capabilities",
                "--keep-setuid",
            ],
        ),
        (
            "How it runs",
            &["--entrypoint", "--cmd", "--env", "--user", "--workdir", "--label", "--expose", "--stop-signal"],
        ),
        ("How it is made", &["--compression", "--cache", "--jobs", "--created", "--no-sync", "--strict", "--quiet"]),
        ("What comes back", &["--load", "--iidfile", "--depfile", "--format"]),
    ];
    for form in ["-h", "--help"] {
        let help = help(&["build", form]);
        let groups: Vec<_> = groups(&help).into_iter().filter(|(heading, _)| *heading != "Arguments").collect();
        assert_eq!(groups.len(), expected.len(), "{help}");
        for ((heading, options), (expected_heading, expected)) in groups.iter().zip(expected) {
            let known: Vec<&str> = options.iter().copied().filter(|option| expected.contains(option)).collect();
            assert_eq!((*heading, known.as_slice()), (expected_heading, expected));
        }
        assert_eq!(groups[0].1.len(), 4, "an option without a group: {help}");
    }
}

#[test]
fn help_is_short_or_long_and_fits_eighty_columns() {
    for command in COMMANDS {
        let (short, long) = (help(&[command, "-h"]), help(&[command, "--help"]));
        for line in short.lines().chain(long.lines()) {
            assert!(line.chars().count() <= 80, "{command}: {line}");
        }
        let options =
            |help: &str| groups(help).into_iter().flat_map(|(_, options)| options).map(str::to_owned).collect();
        let (of_short, of_long): (Vec<String>, Vec<String>) = (options(&short), options(&long));
        assert_eq!(of_short, of_long);
        // What is a sentence here has more to it there.
        let has_more = ["build", "inspect", "explain"].contains(&command);
        assert_eq!(long.split_whitespace().count() > short.split_whitespace().count() + 10, has_more, "{command}");
    }
}

#[test]
fn the_manual_page_has_every_command_and_option_and_what_only_words_tell() {
    let page = help(&["man"]);
    for command in COMMANDS {
        assert!(page.contains(&format!(".SS \"scratchpack {command}\"")), "{command}: {page}");
        let help = help(&[command, "--help"]);
        for option in groups(&help).into_iter().flat_map(|(_, options)| options).filter(|option| *option != "--help") {
            assert!(page.contains(&option.replace('-', "\\-")), "{command} {option}");
        }
    }
    for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "EXIT STATUS", "ENVIRONMENT", "EXAMPLES", "SEE ALSO"]
    {
        assert!(page.lines().any(|line| line.trim_start_matches(".SH ").trim_matches('"') == section), "{section}");
    }
    for variable in ["SOURCE_DATE_EPOCH", "NO_COLOR", "DOCKER_HOST"] {
        assert!(page.contains(variable), "{variable}");
    }
    assert_eq!(page, help(&["man"]));
}

#[test]
fn each_shell_has_a_script_of_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = help(&["completions", shell]);
        assert!(script.contains("compression") && script.contains("inspect"), "{shell}: {script}");
    }
    let unknown = scratchpack(&Root::empty(), &["completions", "tcsh"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(err(&unknown).contains("bash, elvish, fish, powershell, zsh"), "{}", err(&unknown));
}

/// A program with a library whose name moves a terminal's cursor, and is not there.
fn hostile() -> Root {
    Root::debian().file("/app", &program(&["lib\x1b[2J\x1b[31m.so"]).imports(&["getpwuid", "dlopen"]))
}

#[test]
fn colours_are_for_terminals_that_have_them_and_never_with_no_color() {
    let root = hostile();
    let inspect = ["inspect", "app", "--sysroot", "."];
    for arguments in [&inspect[..], &["build", "app", "--sysroot", ".", "-o", "x.tar"], &["build"]] {
        let said = |variables: &[(&str, &str)]| on_a_terminal(&root, arguments, variables).1;
        let colored = said(&[]);
        assert!(colored.contains("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m"), "{colored:?}");
        assert_eq!(said(&[("NO_COLOR", "")]), colored);
        // What CI sets is no terminal's matter.
        let dumb = said(&[("TERM", "dumb"), ("CI", "true"), ("CLICOLOR_FORCE", "1")]);
        for plain in [said(&[("NO_COLOR", "1"), ("CI", "true"), ("CLICOLOR_FORCE", "1")]), dumb] {
            assert!(plain.contains("error: ") && !plain.contains('\u{1b}'), "{plain:?}");
        }
        let forced = [("TERM", "xterm"), ("CI", "true"), ("CLICOLOR_FORCE", "1")];
        let forced = err(&scratchpack_with(&forced, &root, arguments));
        assert!(forced.contains("error: ") && !forced.contains('\u{1b}'), "{forced:?}");
    }
    let (_, said) = on_a_terminal(&root, &inspect, &[]);
    assert!(said.contains("\u{1b}[33mwarning:") && said.contains("\u{1b}[36mnote:"), "{said:?}");
}

#[test]
fn what_a_name_contributes_to_a_terminal_is_escaped_among_colours_as_well() {
    let (status, said) = on_a_terminal(&hostile(), &["inspect", "app", "--sysroot", "."], &[]);
    assert_eq!(status, Some(1));
    assert!(said.contains("lib\\x1b[2J\\x1b[31m.so"), "{said:?}");
    let ours = ["\u{1b}[1m", "\u{1b}[31m", "\u{1b}[33m", "\u{1b}[36m", "\u{1b}[0m"];
    let rest = ours.iter().fold(said, |said, sequence| said.replace(sequence, ""));
    assert!(!rest.contains('\u{1b}'), "{rest:?}");
}

#[test]
fn what_an_argument_contributes_to_a_hint_is_escaped_as_well() {
    let root = Root::empty();
    for arguments in [
        &["check", "a", "--x\x1b[2J\x1b[31m"][..],
        &["check", "a", "--x\x1b]0;a\x07"],
        &["build", "--compression", "\x1b[2Jx", "a", "-o", "b"],
        &["a\x1b[2J"],
    ] {
        let piped = err(&scratchpack(&root, arguments));
        let (status, said) = on_a_terminal(&root, arguments, &[]);
        assert_eq!(status, Some(2));
        assert!(said.starts_with("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m "), "{said:?}");
        let plain = said.replacen("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m", "error:", 1).replace("\r\n", "\n");
        assert_eq!(plain, piped);
        assert!(!piped.contains(['\u{1b}', '\u{7}']) && !piped.contains("x[2J"), "{piped:?}");
        assert!(piped.matches("\\x1b").count() >= 1, "{piped:?}");
    }
    assert_eq!(err(&scratchpack(&root, &["check", "a", "--x\x1b[2J"])).matches("--x\\x1b[2J").count(), 3);
}

#[test]
fn an_error_says_what_to_do_next() {
    let object = [b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\x3e\0\x01\0\0\0".as_slice(), &[0; 40]].concat();
    let mut cut = program(&[]).bytes();
    cut.truncate(100);
    let mut wrong = program(&[]).bytes();
    wrong[4] = 3;
    let root = Root::debian()
        .file("/app", &program(&["libgone.so"]))
        .bytes("/cut", &cut)
        .bytes("/wrong", &wrong)
        .bytes("/full/other", b"")
        .file("/fine", &program(&["libx.so.1"]))
        .file("/lib/libx.so.1", &library("libx.so.1"))
        .file("/other/libx.so.1", &library("libx.so.1"))
        .bytes("/object.o", &object)
        .bytes("/text", b"text")
        .bytes("/none", b"")
        .directory("/bare");
    let fine = ["build", "fine", "--sysroot", ".", "-o", "x.tar"];
    for (arguments, status, next) in [
        (vec!["build", "object.o", "-o", "x.tar"], 1, "it is an object file; link it"),
        (vec!["build", "none", "-o", "x.tar"], 1, "it is empty, not an ELF executable; build it again"),
        (vec!["build", "app", "--sysroot", ".", "-o", "x.tar"], 1, "\ninstall what has it, or give the directory"),
        (vec!["inspect", "app", "--sysroot", "."], 1, "note: install what has it, or give the directory"),
        (
            vec!["build", "fine", "--sysroot", "bare", "-o", "x.tar"],
            1,
            "which the sysroot does not have; give the root",
        ),
        (vec!["build", "fine", "--sysroot", "text", "-o", "x.tar"], 2, "no directory of this machine; give the root"),
        ([&fine[..], &["--library-path", "text"]].concat(), 2, "no directory of this machine; give one"),
        ([&fine[..], &["--jobs", "0"]].concat(), 2, "give a number, 1 or more"),
        ([&fine[..], &["--created", "now"]].concat(), 2, "give seconds since 1970"),
        ([&fine[..], &["--iidfile", "bare"]].concat(), 1, "it is a directory; give a file name"),
        ([&fine[..], &["--iidfile", "no/id"]].concat(), 1, "make it first"),
        (vec!["build", "fine", "--sysroot", ".", "-o", "-", "--type", "rootfs"], 2, "give -o the name of a directory"),
        (vec!["explain", "fine", "libx", "--sysroot", "."], 1, "did you mean libx.so.1? `scratchpack inspect`"),
        (vec!["explain", "fine", "libxx.so.1", "--sysroot", "."], 1, "did you mean libx.so.1? "),
        (vec!["explain", "fine", "zebra", "--sysroot", "."], 1, "in the image of fine; `scratchpack inspect`"),
        (vec!["fine"], 2, "to pack it: scratchpack build fine -o OUT"),
        (
            vec!["build", "cut", "-o", "x.tar"],
            1,
            "program headers; it may be damaged or cut off: build or copy it again",
        ),
        (
            vec!["inspect", "wrong"],
            1,
            "EI_CLASS is 3; it must be 1 or 2; it may be damaged or cut off: build or copy it",
        ),
        (
            [&fine[..], &["--file", "other/libx.so.1:/opt/x/", "--env", "LD_LIBRARY_PATH=/opt/x"]].concat(),
            1,
            "
leave out what else was given and leads its loader elsewhere (a variable, a file",
        ),
        (vec!["check", "bare"], 0, "there is no dynamic executable in bare to check; if there should be one, give the"),
        (
            vec!["build", "fine", "--sysroot", ".", "-o", "no/x.tar"],
            1,
            "cannot write no/x.tar: there is no such directory",
        ),
        (vec!["build", "fine", "--sysroot", ".", "-o", "full", "--type", "rootfs"], 1, "remove it, or give a new name"),
        ([&fine[..], &["--locked", "no.lock"]].concat(), 1, "there is no lock no.lock; write it with --lock first"),
        (vec!["check", "fine"], 1, "but an ELF file itself; what can be read is"),
    ] {
        let output = scratchpack(&root, &arguments);
        let said = err(&output);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        assert!(said.contains(next), "{arguments:?}: {said}");
    }
    assert!(fs::metadata(root.on_machine("/x.tar")).is_err());
}

#[test]
fn a_file_to_which_a_stream_goes_is_no_output() {
    let root = Root::debian().file("/app", &program(&[]));
    let (log, place) = (root.on_machine("/log"), root.on_machine("/other"));
    for (words, status, expected) in [
        (&["-o", "/dev/stdout"][..], 2, "/dev/stdout would be replaced, and standard output goes there; -o - writes"),
        (&["-o", "log"], 2, "log would be replaced"),
        (
            &["-o", "x.tar", "--iidfile", "/dev/fd/1"],
            2,
            "/dev/fd/1 would be replaced, and standard output goes there; give",
        ),
        (&["-o", "x.tar", "--depfile", "./log"], 2, "./log would be replaced"),
        (&["-o", "/dev/stderr"], 2, "and standard error goes there; give another name"),
        (&["-o", "-"], 0, ""),
    ] {
        let streams = [&log, &place].map(|path| fs::File::create(path).unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_scratchpack"));
        command.args(["build", "app", "--sysroot", "."]).args(words).current_dir(root.path());
        let [stdout, stderr] = streams;
        let ended = command.stdout(stdout).stderr(stderr).status().unwrap();
        let said = fs::read_to_string(&place).unwrap();
        assert_eq!(ended.code(), Some(status), "{words:?}: {said}");
        assert!(said.contains(expected), "{words:?}: {said}");
        assert_eq!(fs::metadata(&log).unwrap().len() > 0, status == 0, "{words:?}");
        assert!(!root.on_machine("/x.tar").exists());
    }
}

#[test]
fn before_a_build_all_is_told_that_its_programs_cannot_change() {
    let root = Root::debian()
        .file("/fine", &program(&["libx.so.1"]))
        .file("/lib/libx.so.1", &library("libx.so.1"))
        .file("/out/old", &program(&["libgone.so"]))
        .bytes("/text", b"text");
    for (words, status, expected) in [
        // What is below the directory may be made, and made anew.
        (&["out/new"][..], 0, ""),
        (&["out/old", "fine"], 0, ""),
        (&["out/new", "--file", "out/a.conf:/a", "--library-path", "out/lib", "--iidfile", "out/ids/a"], 0, ""),
        (&["out/new", "--locked", "./out/../out/a.lock", "--lock", "out/b/b.lock"], 0, ""),
        (&["out/new", "--file", "a.conf:/a"], 1, "a.conf: no such file"),
        (&["out/new", "--library-path", "lib64/no"], 2, "cannot search the library path lib64/no"),
        (&["out/new", "--iidfile", "out/../ids/a"], 1, "cannot write out/../ids/a: there is no such directory"),
        (&["out/new", "--iidfile", "outer/a"], 1, "cannot write outer/a: there is no such directory"),
        (&["out/new", "--locked", "a.lock"], 1, "there is no lock a.lock"),
        (&["out/new", "--locked", "text"], 1, "text"),
        (&["out/new", "text"], 1, "cannot analyze text"),
        (&["out/new", "gone"], 1, "cannot analyze gone"),
        (&["out/new", "fine", "--install", "/a"], 2, "an install path is for one program"),
        (&["fine"], 0, ""),
    ] {
        let build = ["build", "--before-build", "out", "--sysroot", ".", "-o", "x.tar"];
        let output = scratchpack(&root, &[&build, words].concat());
        assert_eq!(output.status.code(), Some(status), "{words:?}: {}", err(&output));
        assert!(err(&output).contains(expected) && out(&output).is_empty(), "{words:?}: {}", err(&output));
        assert_eq!(err(&output).is_empty(), status == 0, "{words:?}: {}", err(&output));
        assert!(!root.on_machine("/x.tar").exists() && !root.on_machine("/out/ids").exists(), "{words:?}");
    }
    let root = root.directory("/full/of").link("/one", "two").link("/two", "one");
    for (words, expected) in [
        (&["-o", "/dev/null"][..], "/dev/null: it is no regular file"),
        (&["-o", "full", "--type", "archive"], "full: it is a directory; give a file name"),
        (&["-o", "x.tar/", "--type", "archive"], "x.tar/: it is no file name"),
        (&["-o", "one"], "one: its symlinks lead nowhere but to each other"),
        (&["-o", "one", "--type", "layout"], "one: its symlinks lead nowhere but to each other"),
        (&["-o", "text", "--type", "rootfs"], "text: it is no directory"),
        (&["-o", "text", "--type", "layout"], "text: it is no directory"),
        (&["-o", "full", "--type", "rootfs"], "full: the directory is not empty"),
        (&["-o", "x.tar", "--lock", "full/"], "full/: it is a directory"),
        (&["-o", "x.tar", "--lock", "new/"], "new/: it is no file name"),
        (&["-o", "x.tar", "--iidfile", "one"], "one: its symlinks lead nowhere but to each other"),
    ] {
        for before in [&["out/new", "--before-build", "out"][..], &["fine"]] {
            let output = scratchpack(&root, &[&["build", "--sysroot", "."], before, words].concat());
            assert_eq!(output.status.code(), Some(1), "{words:?}: {}", err(&output));
            assert!(err(&output).contains(&format!("cannot write {expected}")), "{words:?}: {}", err(&output));
            assert!(!root.on_machine("/x.tar").exists(), "{words:?}");
        }
    }
    // With what else is not there yet, no other program can be looked at.
    let words = ["build", "out/new", "fine", "--before-build", "out", "--sysroot", "out/root", "-o", "x.tar"];
    assert_eq!(scratchpack(&root, &words).status.code(), Some(0));
}
