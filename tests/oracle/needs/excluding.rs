//! What the runtime provides, and the image must not have.

use std::fs;

use super::container::Container;
use super::workshop::Workshop;

const INNER: &str = "int answer(void) { return 42; }";
const OUTER: &str = "int answer(void); int ask(void) { return answer(); }";
const PROGRAM: &str = r#"
#include <stdio.h>
int ask(void);
int main(void) { return printf("%d\n", ask()) < 0; }
"#;

/// `app` needs libouter.so.1, and that one libinner.so.1.
fn packed(exclude: &str) -> Option<(Workshop, Container)> {
    let workshop = Workshop::open(&["cc"])?;
    workshop.library("lib/libinner.so.1", INNER, &[]);
    workshop.library("lib/libouter.so.1", OUTER, &["@/lib/libinner.so.1"]);
    workshop.compile("cc", "app", PROGRAM, &["@/lib/libouter.so.1", "-Wl,-rpath-link,@/lib"]);
    let container = workshop.pack("app", &["--library-path", "@/lib", "--exclude", exclude]);
    Some((workshop, container))
}

#[test]
fn what_is_excluded_is_not_there_nor_what_only_it_needs() {
    for exclude in ["libouter.so.1", "libouter.so.*", "libo*"] {
        let Some((_workshop, container)) = packed(exclude) else { return };
        assert_eq!(container.excluded(), ["libouter.so.1"], "{exclude}");
        assert_eq!(container.paths_with(&["libouter", "libinner"]), Vec::<String>::new());
    }
}

#[test]
fn what_the_runtime_provides_makes_the_program_run() {
    let Some((workshop, container)) = packed("libouter.so.1") else { return };
    assert!(container.run("/app", &[]).contains("libouter.so.1"));
    for name in ["libouter.so.1", "libinner.so.1"] {
        fs::create_dir_all(container.path("/usr/lib")).unwrap();
        fs::copy(workshop.path("lib").join(name), container.path("/usr/lib").join(name)).unwrap();
    }
    container.says("/app", "42\n");
}

#[test]
fn what_somebody_else_needs_as_well_stays() {
    let Some((workshop, _)) = packed("libouter.so.1") else { return };
    let source = format!("int answer(void); int also(void) {{ return answer(); }}{PROGRAM}");
    let flags = ["@/lib/libouter.so.1", "@/lib/libinner.so.1", "-Wl,--no-as-needed"];
    workshop.compile("cc", "both", &source, &flags);
    let container = workshop.pack("both", &["--library-path", "@/lib", "--exclude", "libouter.so.1"]);
    assert_eq!(container.paths_with(&["libouter"]), Vec::<String>::new());
    assert_eq!(container.paths_with(&["libinner"]).len(), 1);
}
