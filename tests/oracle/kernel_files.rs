//! Files of the kernel and devices, mounted over files of a root: what reads them may wait, or change something.

use std::fs;
use std::process::Output;

use crate::elf::{LOADER, RUNPATH, library, program};
use crate::fixtures::scratch;
use crate::root::{Root, cache};
use crate::tools;

const MOUNTED: [&str; 5] = ["/proc/kmsg", "/proc/self/status", "/proc/sys/kernel/hostname", "/dev/zero", "/dev/tty"];

/// Over each of them something is mounted; `may_pass` where a loader, or nobody, reads it.
const PLACES: [(&str, bool); 11] = [
    ("/bin/app", false),
    (LOADER, false),
    ("/lib/libx.so", false),
    ("/opt/run/libr.so", false),
    ("/opt/given/libg.so", false),
    ("/opt/cached/libc1.so", false),
    ("/etc/ld.so.cache", false),
    ("/etc/ld.so.preload", true),
    ("/etc/ssl/certs/ca-certificates.crt", false),
    ("/etc/services", false),
    ("/my/file", false),
];

/// The mount is in a namespace of its own, so that it goes with the process.
const MOUNT: &str = r#"mount --bind "$0" "$1" && shift && exec timeout 20 "$@""#;

fn root() -> Root {
    let app = program(&["libx.so", "libr.so", "/opt/given/libg.so", "libc1.so"]).with(RUNPATH, "/opt/run");
    Root::debian()
        .file("/bin/app", &app)
        .file("/lib/libx.so", &library("libx.so"))
        .file("/opt/run/libr.so", &library("libr.so"))
        .file("/opt/given/libg.so", &library("libg.so"))
        .file("/opt/cached/libc1.so", &library("libc1.so"))
        .bytes("/etc/ld.so.cache", &cache("libc1.so", "/opt/cached/libc1.so"))
        .bytes("/etc/ld.so.preload", b"")
        .bytes("/etc/ssl/certs/ca-certificates.crt", b"-----BEGIN CERTIFICATE-----\n")
        .bytes("/etc/services", b"ssh 22/tcp\n")
        .bytes("/my/file", b"mine")
}

fn build(root: &Root, mounted: &str, over: &str, out: &str) -> Output {
    let own = |path: &str| root.on_machine(path).display().to_string();
    let mut command = tools::command("unshare");
    command.args(["--mount", "sh", "-c", MOUNT, mounted, &own(over), env!("CARGO_BIN_EXE_scratchpack")]);
    command.args(["build", &own("/bin/app"), "--sysroot", &own("/"), "-o", out, "--type", "layer"]);
    command.args(["--with", "ca-certificates", "--with", "services", "--file", &format!("{}:/mine", own("/my/file"))]);
    command.output().unwrap()
}

#[test]
fn what_is_mounted_over_a_file_is_a_typed_error_wherever_the_file_is_read() {
    if !tools::is_root() || !tools::are_here(&["unshare", "mount", "timeout"]) {
        return;
    }
    let (root, out) = (root(), scratch());
    let layer = out.path().join("layer");
    let whole = build(&root, root.on_machine("/my/file").to_str().unwrap(), "/my/file", layer.to_str().unwrap());
    assert!(whole.status.success(), "{}", tools::text_of(&whole));
    for mounted in MOUNTED {
        for (over, may_pass) in PLACES {
            fs::remove_file(&layer).ok();
            let output = build(&root, mounted, over, layer.to_str().unwrap());
            let said = tools::text_of(&output);
            match output.status.code() {
                Some(0) => assert!(may_pass, "{mounted} over {over}: {said}"),
                Some(1 | 2) => {
                    assert!(said.contains("scratchpack: error: ") && !layer.exists(), "{mounted} over {over}: {said}");
                }
                other => panic!("{mounted} over {over}: {other:?}: {said}"),
            }
        }
    }
}
