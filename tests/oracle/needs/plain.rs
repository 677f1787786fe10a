//! Programs that need nothing of the kind, and must not be suspected.

use super::workshop::Workshop;
use crate::tools;

const HELLO: &str = r#"
#include <stdio.h>
int main(void) { return puts("hello") < 0; }
"#;
const HELLO_IN_CXX: &str = r#"
#include <iostream>
int main() { std::cout << "hello\n"; }
"#;

/// Nearly every one of its kind asks for users, times and a locale.
const NOTED: [&str; 2] = ["/usr/bin/ls", "/usr/bin/gzip"];

#[test]
fn nothing_is_reported_of_hello() {
    let ways: [(&str, &str, &[&str]); 7] = [
        ("cc", HELLO, &[]),
        ("cc", HELLO, &["-no-pie"]),
        ("cc", HELLO, &["-static"]),
        ("cc", HELLO, &["-static-pie"]),
        ("c++", HELLO_IN_CXX, &[]),
        ("musl-gcc", HELLO, &[]),
        ("musl-gcc", HELLO, &["-static"]),
    ];
    for (compiler, source, flags) in ways {
        let Some(workshop) = Workshop::open(&[compiler]) else { return };
        workshop.compile(compiler, "hello", source, flags);
        let container = workshop.pack("hello", &[]);
        container.is_silent();
        container.says("/hello", "hello\n");
    }
}

#[test]
fn of_ls_and_gzip_there_is_one_line_which_is_a_note() {
    let Some(workshop) = Workshop::open(&["ls", "gzip"]) else { return };
    for path in NOTED {
        let container = workshop.pack(path, &[]);
        tools::say(&format!("{path}: {}", container.messages().trim_end()));
        let lines: Vec<&str> = container.messages().lines().collect();
        assert_eq!(lines.len(), 1, "{}", container.messages());
        assert!(lines[0].contains("note: "), "{}", container.messages());
    }
}

#[test]
fn what_the_note_of_ls_offers_meets_what_it_names() {
    let Some(workshop) = Workshop::open(&["ls"]) else { return };
    let container = workshop.pack("/usr/bin/ls", &["--auto"]);
    for code in ["users", "time-zones", "locales"] {
        container.does_not_report(code);
        assert_eq!(container.meets(code), Some(true));
    }
}
