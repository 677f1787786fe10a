//! Time zones, temporary files, and descriptions of terminals.

use super::case::{Case, program};

const TIME: &str = r#"
#include <stdio.h>
#include <time.h>
int main(void) {
    time_t then = 1700000000;
    char text[99];
    strftime(text, sizeof text, "%F %T", localtime(&then));
    return puts(text) < 0;
}
"#;
const IN_BERLIN: &str = "2023-11-14 23:13:20\n";
const IN_GREENWICH: &str = "2023-11-14 22:13:20\n";

const TEMPORARY: &str = r#"
#include <stdio.h>
int main(void) { FILE *file = tmpfile(); return puts(file ? "made" : "not made") < 0; }
"#;

const TERMINAL: &str = r#"
#include <curses.h>
#include <term.h>
int main(void) {
    int error;
    if (setupterm("xterm", 1, &error) != OK) return puts("unknown") < 0;
    return printf("%d\n", tigetnum("cols")) < 0;
}
"#;

fn in_berlin() -> Case {
    program("time", TIME, IN_BERLIN).env("TZ", "Europe/Berlin")
}

#[test]
fn a_time_zone_is_there() {
    in_berlin().notes("time-zones", "localtime").otherwise(IN_GREENWICH).with(&["time-zones"]).holds();
}

#[test]
fn a_static_program_needs_its_time_zone_as_well() {
    let case = in_berlin().flags(&["-static"]).notes("time-zones", "/time");
    case.otherwise(IN_GREENWICH).with(&["time-zones"]).holds();
}

#[test]
fn a_program_of_musl_needs_its_time_zone_as_well() {
    let case = in_berlin().compiler("musl-gcc").notes("time-zones", "localtime");
    case.otherwise(IN_GREENWICH).with(&["time-zones"]).holds();
}

#[test]
fn a_temporary_file_is_made() {
    let case = program("temporary", TEMPORARY, "made\n").warns("tmp", "tmpfile");
    case.otherwise("not made\n").with(&["tmp"]).holds();
}

#[test]
fn a_terminal_is_known() {
    let case = program("terminal", TERMINAL, "80\n").header("/usr/include/term.h").flags(&["-lncurses", "-ltinfo"]);
    let case = case.warns("terminfo", "setupterm").otherwise("unknown\n");
    case.with(&["terminfo", "terminfo:xterm"]).holds();
}
