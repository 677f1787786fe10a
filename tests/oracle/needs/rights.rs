//! Programs that gain rights by being run.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::container::Lack;
use super::workshop::Workshop;
use crate::rules_secure::gains_rights_here;
use crate::tools::{command, run};

const NOBODY: u32 = 65534;
/// Says what it may do, and as whom.
const SOURCE: &str = r#"
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(void) {
    char line[99];
    FILE *status = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, status))
        if (!strncmp(line, "CapEff:", 7)) break;
    return printf("%d %s", (int)geteuid(), line + 8) < 0;
}
"#;
const NOTHING: &str = "65534 0000000000000000\n";

fn workshop() -> Option<Workshop> {
    let workshop = Workshop::open(&["cc", "setcap", "getcap"])?;
    if !gains_rights_here() {
        return None;
    }
    workshop.compile("cc", "rights", SOURCE, &[]);
    Some(workshop)
}

/// With the capability to change a file's owner.
fn capable() -> Option<Workshop> {
    let workshop = workshop()?;
    run(command("setcap").arg("cap_chown+ep").arg(workshop.path("rights")));
    Some(workshop)
}

/// With setuid.
fn setuid() -> Option<Workshop> {
    let workshop = workshop()?;
    fs::set_permissions(workshop.path("rights"), Permissions::from_mode(0o4755)).unwrap();
    Some(workshop)
}

#[test]
fn capabilities_are_dropped_with_a_warning() {
    let Some(workshop) = capable() else { return };
    let container = workshop.pack("rights", &[]).by_user(NOBODY);
    container.reports(Lack { level: "warning", code: "file-capabilities", evidence: "rights" });
    container.says("/rights", NOTHING);
}

#[test]
fn capabilities_are_kept_on_request() {
    let Some(workshop) = capable() else { return };
    let container = workshop.pack("rights", &["--file-capabilities"]).by_user(NOBODY);
    container.is_silent();
    let said = run(command("getcap").arg(container.path("/rights")));
    assert!(said.ends_with("cap_chown=ep\n"), "{said}");
    container.says("/rights", "65534 0000000000000001\n");
}

#[test]
fn setuid_is_dropped_with_a_warning() {
    let Some(workshop) = setuid() else { return };
    let container = workshop.pack("rights", &[]).by_user(NOBODY);
    container.reports(Lack { level: "warning", code: "special-mode", evidence: "rights" });
    container.says("/rights", NOTHING);
}

#[test]
fn setuid_is_kept_on_request() {
    let Some(workshop) = setuid() else { return };
    let container = workshop.pack("rights", &["--keep-setuid"]).by_user(NOBODY);
    container.is_silent();
    assert_eq!(container.mode("/rights"), 0o4755);
    let said = container.run("/rights", &[]);
    assert!(said.starts_with("0 "), "{said}");
}
