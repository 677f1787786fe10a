//! Several programs in one image, and files, directories and links beside them.

use super::workshop::Workshop;

const SERVER: &str = r#"
#include <stdio.h>
int main(void) { return puts("serves") < 0; }
"#;
const MIGRATE: &str = r#"
#include <pwd.h>
#include <stdio.h>
int main(void) { struct passwd *user = getpwuid(0); return printf("migrates as %s\n", user ? user->pw_name : "?") < 0; }
"#;

/// A program of many names, as busybox is.
const APPLETS: &str = r#"
#include <libgen.h>
#include <stdio.h>
int main(int count, char **arguments) { return puts(basename(arguments[0])) < 0; }
"#;

fn workshop() -> Option<Workshop> {
    let workshop = Workshop::open(&["cc"])?;
    workshop.compile("cc", "server", SERVER, &[]);
    workshop.compile("cc", "migrate", MIGRATE, &[]);
    Some(workshop)
}

#[test]
fn two_programs_run_in_one_image() {
    let Some(workshop) = workshop() else { return };
    let container = workshop.pack_all(&["server", "migrate"], &["--with", "users"]);
    container.says("/server", "serves\n");
    container.says("/migrate", "migrates as root\n");
}

#[test]
fn the_needs_of_every_program_are_reported() {
    let Some(workshop) = workshop() else { return };
    let container = workshop.pack_all(&["server", "migrate"], &[]);
    assert_eq!(container.meets("users"), Some(false));
    assert!(container.messages().contains("/migrate"), "{}", container.messages());
}

#[test]
fn a_program_of_many_names_runs_by_each() {
    let Some(workshop) = workshop() else { return };
    workshop.compile("cc", "applets", APPLETS, &[]);
    let links = ["--symlink", "/applets:/bin/list", "--symlink", "../applets:/bin/move"];
    let container = workshop.pack("applets", &links);
    container.says("/bin/list", "list\n");
    container.says("/bin/move", "move\n");
}

#[test]
fn files_and_directories_are_where_they_are_wanted() {
    let Some(workshop) = workshop() else { return };
    workshop.write("settings", "loud = true\n");
    let container = workshop.pack("server", &["--file", "@/settings:/etc/server/settings", "--dir", "/var/data:0700"]);
    assert_eq!(container.read("/etc/server/settings"), "loud = true\n");
    assert_eq!(container.mode("/var/data"), 0o700);
    assert_eq!(container.mode("/etc/server"), 0o755);
}

#[test]
fn two_things_at_one_path_are_refused_by_name() {
    let Some(workshop) = workshop() else { return };
    workshop.write("settings", "");
    let refusal = workshop.refusal(&["server"], &["--file", "@/settings:/server"]);
    assert!(refusal.contains("/server"), "{refusal}");
}
