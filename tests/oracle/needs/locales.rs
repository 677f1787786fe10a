//! Locales: directories or an archive of glibc's.

use std::fs;

use super::case::{Case, program};
use super::workshop::Workshop;
use crate::tools::{self, command, run};

const SOURCE: &str = r#"
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
int main(void) {
    if (!setlocale(LC_ALL, NAME)) return puts("no such locale") < 0;
    return printf("%s %s\n", nl_langinfo(CODESET), localeconv()->decimal_point) < 0;
}
"#;
const UNKNOWN: &str = "no such locale\n";
const UTF_8: &str = "UTF-8 .\n";
const GERMAN: &str = "UTF-8 ,\n";
const SOURCES: &str = "/usr/share/i18n/locales/de_DE";

fn asks_for(name: &str, words: &'static str) -> Case {
    program("locale", SOURCE.replace("NAME", &format!("{name:?}")), words)
}

#[test]
fn the_locale_c_utf_8_is_there() {
    let case = asks_for("C.UTF-8", UTF_8).notes("locales", "setlocale").otherwise(UNKNOWN);
    case.with(&["locales", "locale:C.UTF-8", "locale:C.utf8"]).holds();
}

#[test]
fn a_locale_that_only_the_environment_names_is_there() {
    let case = asks_for("", UTF_8).env("LANG", "C.UTF-8").notes("locales", "setlocale").otherwise(UNKNOWN);
    case.with(&["locales", "locale:C.UTF-8"]).holds();
}

#[test]
fn where_the_environment_names_none_the_program_runs_without() {
    asks_for("", "ANSI_X3.4-1968 .\n").holds();
}

/// Every static program of glibc has setlocale in it, so nothing tells whether one uses it.
#[test]
fn a_static_program_has_the_locale_that_is_asked_for() {
    let Some(workshop) = Workshop::open(&["cc"]) else { return };
    workshop.compile("cc", "locale", &SOURCE.replace("NAME", "\"C.UTF-8\""), &["-static"]);
    for need in ["locales", "locale:C.UTF-8"] {
        workshop.pack("locale", &["--with", need]).says("/locale", UTF_8);
    }
}

#[test]
fn programs_of_musl_have_their_locale_in_themselves() {
    let case = program("locale", SOURCE.replace("NAME", "\"C.UTF-8\""), UTF_8).compiler("musl-gcc");
    let Some(workshop) = case.workshop() else { return };
    case.holds_in(&workshop);
    workshop.pack("locale", &[]).is_silent();
}

/// A root that has what the program needs to start, and a German locale.
fn with_german(how: &[&str]) -> Option<(Case, Workshop)> {
    let case = asks_for("de_DE.UTF-8", GERMAN).notes("locales", "setlocale").otherwise(UNKNOWN);
    if !tools::is_available(SOURCES, fs::exists(SOURCES).unwrap()) {
        return None;
    }
    let workshop = Workshop::open(&["cc", "localedef"])?;
    workshop.compile("cc", "locale", &SOURCE.replace("NAME", "\"de_DE.UTF-8\""), &[]);
    workshop.sysroot("locale");
    fs::create_dir_all(workshop.path("sysroot/usr/lib/locale")).unwrap();
    let prefix = format!("--prefix={}", workshop.path("sysroot").display());
    run(command("localedef").args(how).args([&prefix, "-i", "de_DE", "-f", "UTF-8", "de_DE.UTF-8"]));
    Some((case.option("--sysroot", "@/sysroot"), workshop))
}

#[test]
fn a_locale_in_a_directory_of_its_own_is_there() {
    let Some((case, workshop)) = with_german(&["--no-archive"]) else { return };
    case.with(&["locales", "locale:de_DE.UTF-8", "locale:de_DE.utf8"]).holds_in(&workshop);
}

#[test]
fn a_locale_in_an_archive_is_there() {
    let Some((case, workshop)) = with_german(&[]) else { return };
    case.with(&["locales", "locale:de_DE.UTF-8"]).holds_in(&workshop);
}
