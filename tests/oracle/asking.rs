//! The manual page and the completions, as the tools that read them find them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::tools::{are_here, command, run};

/// What a subcommand prints, in a file.
fn printed(directory: &TempDir, arguments: &[&str]) -> PathBuf {
    let path = directory.path().join(arguments.concat());
    fs::write(&path, run(Command::new(env!("CARGO_BIN_EXE_scratchpack")).args(arguments))).unwrap();
    path
}

#[test]
fn the_manual_page_is_read_without_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let page = printed(&directory, &["man"]);
    if are_here(&["groff"]) {
        let output = command("groff").args(["-man", "-ww", "-Tutf8"]).arg(&page).output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout);
        assert_eq!((output.status.success(), String::from_utf8_lossy(&output.stderr).as_ref()), (true, ""));
        assert!(shown.contains("one or more programs.") && shown.contains("something failed."), "{shown}");
    }
    if are_here(&["mandoc"]) {
        // Of the level of style are lines that are long in the source alone.
        let output = command("mandoc").args(["-Tlint", "-Wwarning"]).arg(&page).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        // The same version has the same page, so it has no date.
        let said: Vec<&str> = said.lines().filter(|line| !line.contains("missing date")).collect();
        assert_eq!(said, Vec::<&str>::new());
    }
}

/// What bash would complete the last word to.
fn completed(script: &PathBuf, words: &[&str]) -> Vec<String> {
    const ASK: &str = r#"
        source "$1" || exit 9
        shift
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        COMPREPLY=()
        _scratchpack "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}" || exit 8
        printf '%s\n' "${COMPREPLY[@]}"
        complete -p scratchpack
    "#;
    let mut bash = command("bash");
    let said = run(bash.args(["--norc", "-c", ASK, "bash"]).arg(script).args(words));
    let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
    assert!(lines.pop().unwrap().contains("-F _scratchpack"), "{said}");
    lines
}

#[test]
fn bash_completes_commands_options_and_what_they_can_be() {
    if !are_here(&["bash"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let script = printed(&directory, &["completions", "bash"]);
    run(command("bash").arg("-n").arg(&script));
    assert_eq!(completed(&script, &["scratchpack", "build", "--comp"]), ["--compression"]);
    assert_eq!(completed(&script, &["scratchpack", "ins"]), ["inspect"]);
    assert_eq!(completed(&script, &["scratchpack", "build", "--type", ""]), ["archive", "layout", "rootfs", "layer"]);
    fs::write(directory.path().join("a program"), "").unwrap();
    let begun = directory.path().join("a pr").display().to_string();
    let whole = directory.path().join("a program").display().to_string();
    assert_eq!(completed(&script, &["scratchpack", "build", "--iidfile", &begun]).join(" "), whole);
}

#[test]
fn other_shells_read_their_scripts() {
    let directory = tempfile::tempdir().unwrap();
    for shell in ["zsh", "fish"] {
        let script = printed(&directory, &["completions", shell]);
        if are_here(&[shell]) {
            run(command(shell).arg("-n").arg(&script));
        }
    }
}
