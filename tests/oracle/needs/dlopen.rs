//! Libraries that a program opens by itself.

use super::container::Lack;
use super::workshop::Workshop;

const HOST: &str = r#"
#include <dlfcn.h>
#include <stdio.h>
int main(void) {
    void *library = dlopen("libplug.so.1", RTLD_NOW);
    if (!library) library = dlopen("libother.so.1", RTLD_NOW);
    if (!library) return puts("no plugin") < 0;
    const char *(*name)(void) = (const char *(*)(void))dlsym(library, "name");
    return puts(name()) < 0;
}
"#;
const PLUG: &str = r#"const char *inner(void); const char *name(void) { return inner(); }"#;
const INNER: &str = r#"const char *inner(void) { return "a plugin"; }"#;
const OTHER: &str = r#"const char *name(void) { return "another plugin"; }"#;
const NONE: &str = "no plugin\n";
const FOUND: &str = "a plugin\n";
const LIBRARIES: [&str; 2] = ["--library-path", "@/lib"];

/// <https://uapi-group.org/specifications/specs/elf_dlopen_metadata/>
const NOTE: &str = r#"
__asm__(".pushsection .note.dlopen, \"a\", @note\n"
        ".balign 4\n"
        ".long 4, 2f - 1f, 0x407c0c0a\n"
        ".asciz \"FDO\"\n"
        "1: .asciz \"JSON\"\n"
        "2: .balign 4\n"
        ".popsection\n");
"#;

/// The source of a note; the names are alternatives.
fn note(names: &[&str], priority: &str) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    let priority = if priority.is_empty() { String::new() } else { format!(r#", "priority": "{priority}""#) };
    let json =
        format!(r#"[{{"soname": [{}], "feature": "plug", "description": "Plugs"{priority}}}]"#, names.join(", "));
    // Through the strings of C and of the assembler.
    NOTE.replace("JSON", &json.replace('"', r#"\\\""#))
}

/// `host`, whose plugin needs a library of its own, and what else is in its source.
fn workshop(more: &str) -> Option<Workshop> {
    let workshop = Workshop::open(&["cc"])?;
    workshop.library("lib/libinner.so.1", INNER, &[]);
    workshop.library("lib/libplug.so.1", PLUG, &["@/lib/libinner.so.1"]);
    workshop.library("lib/libother.so.1", OTHER, &[]);
    workshop.compile("cc", "host", &format!("{more}{HOST}"), &[]);
    Some(workshop)
}

fn options<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&LIBRARIES, more].concat()
}

#[test]
fn without_a_note_there_is_one_warning_that_names_what_is_there() {
    let Some(workshop) = workshop("") else { return };
    let container = workshop.pack("host", &LIBRARIES);
    for evidence in ["/host", "libplug.so.1", "libother.so.1", "--library"] {
        container.reports(Lack { level: "warning", code: "dlopen", evidence });
    }
    assert_eq!(container.codes(), ["dlopen"]);
    container.says("/host", NONE);
}

#[test]
fn without_a_note_a_library_can_be_named() {
    let Some(workshop) = workshop("") else { return };
    let container = workshop.pack("host", &options(&["--library", "libplug.so.1"]));
    assert_eq!(container.hidden("libplug.so.1"), Some("requested"));
    assert_eq!(container.hidden("libinner.so.1"), None);
    container.says("/host", FOUND);
}

#[test]
fn without_a_note_all_that_is_named_among_the_constants_can_be_included() {
    let Some(workshop) = workshop("") else { return };
    let container = workshop.pack("host", &options(&["--auto"]));
    assert!(container.hidden("libother.so.1").is_some());
    container.says("/host", FOUND);
}

#[test]
fn a_library_that_is_opened_by_its_path_is_there() {
    let Some(workshop) = workshop("") else { return };
    let path = workshop.path("lib/libplug.so.1");
    workshop.compile("cc", "host", &HOST.replace("libplug.so.1", path.to_str().unwrap()), &[]);
    workshop.pack("host", &LIBRARIES).says("/host", NONE);
    workshop.pack("host", &options(&["--library", "@/lib/libplug.so.1"])).says("/host", FOUND);
}

#[test]
fn a_library_of_a_note_is_there_with_all_that_it_needs() {
    for priority in ["required", "recommended", ""] {
        let Some(workshop) = workshop(&note(&["libplug.so.1"], priority)) else { return };
        let container = workshop.pack("host", &LIBRARIES);
        container.is_silent();
        assert_eq!(container.hidden("libplug.so.1"), Some("note"));
        container.says("/host", FOUND);
    }
}

#[test]
fn what_a_note_suggests_is_there_on_request() {
    let Some(workshop) = workshop(&note(&["libplug.so.1"], "suggested")) else { return };
    workshop.pack("host", &LIBRARIES).says("/host", NONE);
    workshop.pack("host", &options(&["--dlopen", "suggested"])).says("/host", FOUND);
    workshop.pack("host", &options(&["--library", "libplug.so.1"])).says("/host", FOUND);
}

#[test]
fn what_a_note_recommends_can_be_left_out() {
    let Some(workshop) = workshop(&note(&["libplug.so.1"], "recommended")) else { return };
    workshop.pack("host", &options(&["--dlopen", "required"])).says("/host", NONE);
}

#[test]
fn of_alternatives_the_first_one_that_is_there_is_taken() {
    for names in [["libabsent.so.1", "libplug.so.1"], ["libplug.so.1", "libother.so.1"]] {
        let Some(workshop) = workshop(&note(&names, "required")) else { return };
        let container = workshop.pack("host", &LIBRARIES);
        container.is_silent();
        container.says("/host", FOUND);
        assert_eq!(container.hidden("libother.so.1"), None);
    }
}

#[test]
fn what_a_note_requires_must_be_there() {
    let Some(workshop) = workshop(&note(&["libabsent.so.1", "libgone.so.2"], "required")) else { return };
    let refusal = workshop.refusal(&["host"], &LIBRARIES);
    for word in ["libabsent.so.1", "libgone.so.2", "host"] {
        assert!(refusal.contains(word), "{refusal}");
    }
}

#[test]
fn what_a_note_recommends_may_be_missing_and_that_is_noted() {
    let Some(workshop) = workshop(&note(&["libabsent.so.1"], "recommended")) else { return };
    let container = workshop.pack("host", &LIBRARIES);
    container.reports(Lack { level: "note", code: "dlopen", evidence: "libabsent.so.1" });
    container.says("/host", NONE);
}

#[test]
fn a_library_that_is_opened_is_found_by_the_search_path_of_who_opens_it() {
    let Some(workshop) = workshop("") else { return };
    let source = format!("{}{HOST}", note(&["libplug.so.1"], "required"));
    let flags = ["-Wl,--enable-new-dtags,-rpath,$ORIGIN/../lib"];
    workshop.library("lib/libplug.so.1", PLUG, &["@/lib/libinner.so.1", "-Wl,--enable-new-dtags,-rpath,$ORIGIN"]);
    workshop.compile("cc", "bin/host", &source, &flags);
    let container = workshop.pack("bin/host", &[]);
    container.is_silent();
    container.says("/opt/host/bin/host", FOUND);
}

#[test]
fn a_program_of_musl_has_the_libraries_of_its_note() {
    let Some(workshop) = Workshop::open(&["musl-gcc"]) else { return };
    workshop.compile("musl-gcc", "lib/libplug.so.1", OTHER, &["-shared", "-fPIC", "-Wl,-soname,libplug.so.1"]);
    workshop.compile("musl-gcc", "host", &format!("{}{HOST}", note(&["libplug.so.1"], "required")), &[]);
    let container = workshop.pack("host", &LIBRARIES);
    container.is_silent();
    container.says("/host", "another plugin\n");
}
