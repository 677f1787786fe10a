//! What unwinds stacks has glibc load libgcc_s.so.1 by name.

use super::case::program;
use super::workshop::Workshop;

const CANCEL: &str = r#"
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static void *idle(void *data) { for (;;) pause(); return data; }
int main(void) {
    pthread_t thread;
    void *result;
    if (pthread_create(&thread, 0, idle, 0) || pthread_cancel(thread) || pthread_join(thread, &result)) return 1;
    return puts(result == PTHREAD_CANCELED ? "cancelled" : "ended") < 0;
}
"#;

const EXIT: &str = r#"
#include <pthread.h>
#include <stdio.h>
static void *end(void *data) { pthread_exit(data); }
int main(void) {
    pthread_t thread;
    void *result;
    if (pthread_create(&thread, 0, end, "ended") || pthread_join(thread, &result)) return 1;
    return puts(result) < 0;
}
"#;

const C11: &str = r#"
#include <stdio.h>
#include <threads.h>
static int end(void *data) { thrd_exit(42); }
int main(void) {
    thrd_t thread;
    int result;
    if (thrd_create(&thread, end, 0) != thrd_success || thrd_join(thread, &result) != thrd_success) return 1;
    return printf("%d\n", result) < 0;
}
"#;

const BACKTRACE: &str = r#"
#include <execinfo.h>
#include <stdio.h>
int main(void) { void *frames[9]; return puts(backtrace(frames, 9) > 0 ? "frames" : "no frames") < 0; }
"#;

const PROGRAMS: [(&str, &str, &str); 4] = [
    ("pthread_cancel", CANCEL, "cancelled\n"),
    ("pthread_exit", EXIT, "ended\n"),
    ("thrd_exit", C11, "42\n"),
    ("backtrace", BACKTRACE, "frames\n"),
];

#[test]
fn what_unwinds_stacks_runs() {
    for (name, source, words) in PROGRAMS {
        program(name, source, words).holds();
    }
}

#[test]
fn the_library_that_unwinds_is_there_by_itself_and_says_why() {
    let Some(workshop) = Workshop::open(&["cc"]) else { return };
    for (name, source, _) in PROGRAMS {
        workshop.compile("cc", name, source, &[]);
        let container = workshop.pack(name, &[]);
        assert_eq!(container.hidden("libgcc_s.so.1"), Some("symbol"), "{name}");
        container.is_silent();
    }
}

#[test]
fn a_static_program_unwinds_by_itself() {
    for (name, source, words) in PROGRAMS {
        program(name, source, words).flags(&["-static"]).holds();
    }
}

#[test]
fn programs_of_musl_unwind_by_themselves() {
    let Some(workshop) = Workshop::open(&["musl-gcc"]) else { return };
    for (name, source, words) in &PROGRAMS[..3] {
        workshop.compile("musl-gcc", name, source, &[]);
        let container = workshop.pack(name, &[]);
        container.is_silent();
        assert_eq!(container.hidden("libgcc_s.so.1"), None);
        container.says(&format!("/{name}"), words);
    }
}
