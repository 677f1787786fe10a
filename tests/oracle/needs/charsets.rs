//! Character sets, which glibc loads as modules.

use super::case::{Case, program};
use super::container::Lack;
use super::workshop::Workshop;

const SOURCE: &str = r#"
#include <iconv.h>
#include <stdio.h>
#include <string.h>
int main(void) {
    char text[] = TEXT, converted[9], *in = text, *out = converted;
    size_t in_left = strlen(text), out_left = sizeof converted;
    iconv_t conversion = iconv_open(TO, "UTF-8");
    if (conversion == (iconv_t)-1) return puts("no such set") < 0;
    if (iconv(conversion, &in, &in_left, &out, &out_left) == (size_t)-1) return puts("no such character") < 0;
    for (char *byte = converted; byte < out; byte++) printf("%02x", (unsigned char)*byte);
    return puts("") < 0;
}
"#;
const UNKNOWN: &str = "no such set\n";
const E_ACUTE: &str = r#""\xc3\xa9""#;
const HIRAGANA_A: &str = r#""\xe3\x81\x82""#;

fn source(text: &str, to: &str) -> String {
    SOURCE.replace("TEXT", text).replace("TO", &format!("{to:?}"))
}

fn converts(name: &'static str, text: &str, to: &str, words: &'static str) -> Case {
    program(name, source(text, to), words)
}

fn shift_jis() -> Case {
    converts("shift-jis", HIRAGANA_A, "SHIFT_JIS", "82a0\n")
}

#[test]
fn a_set_of_several_bytes_is_there() {
    let case = shift_jis().warns("gconv", "iconv_open").otherwise(UNKNOWN);
    case.with(&["gconv", "gconv:SHIFT_JIS", "gconv:SJIS", "gconv:shift_jis"]).holds();
}

#[test]
fn a_set_of_one_byte_is_there() {
    let case = converts("latin-9", E_ACUTE, "ISO-8859-15", "e9\n").warns("gconv", "iconv_open");
    case.otherwise(UNKNOWN).with(&["gconv", "gconv:ISO-8859-15", "gconv:LATIN-9"]).holds();
}

#[test]
fn a_module_comes_with_the_libraries_that_it_needs() {
    let case = converts("euc-jp", HIRAGANA_A, "EUC-JP", "a4a2\n").warns("gconv", "iconv_open");
    case.otherwise(UNKNOWN).with(&["gconv", "gconv:EUC-JP"]).holds();
}

#[test]
fn a_set_that_the_c_library_has_in_itself_needs_no_module() {
    converts("ucs-4", E_ACUTE, "UCS-4", "000000e9\n").holds();
}

#[test]
fn one_set_comes_without_the_others() {
    let Some(workshop) = Workshop::open(&["cc"]) else { return };
    workshop.compile("cc", "latin-9", &source(E_ACUTE, "ISO-8859-1"), &[]);
    let container = workshop.pack("latin-9", &["--with", "gconv:SHIFT_JIS"]);
    container.says("/latin-9", UNKNOWN);
}

/// A static program can load modules only beside the very C library that it was linked with.
#[test]
fn a_static_program_is_never_without_a_warning() {
    let Some(workshop) = Workshop::open(&["cc"]) else { return };
    workshop.compile("cc", "shift-jis", &source(HIRAGANA_A, "SHIFT_JIS"), &["-static"]);
    for options in [&[][..], &["--auto"]] {
        let container = workshop.pack("shift-jis", options);
        container.reports(Lack { level: "warning", code: "gconv", evidence: "iconv_open" });
        container.says("/shift-jis", UNKNOWN);
    }
}

/// Without its symbols, the name of the set among its constants tells.
#[test]
fn a_stripped_static_program_is_never_without_a_warning() {
    let Some(workshop) = Workshop::open(&["cc"]) else { return };
    workshop.compile("cc", "shift-jis", &source(HIRAGANA_A, "SHIFT_JIS"), &["-static", "-s"]);
    let container = workshop.pack("shift-jis", &[]);
    container.reports(Lack { level: "warning", code: "gconv", evidence: "`SHIFT_JIS` in /shift-jis" });
    container.says("/shift-jis", UNKNOWN);
}

#[test]
fn programs_of_musl_have_their_sets_in_themselves() {
    let case = shift_jis().compiler("musl-gcc");
    let Some(workshop) = case.workshop() else { return };
    case.holds_in(&workshop);
    workshop.pack("shift-jis", &[]).is_silent();
}
