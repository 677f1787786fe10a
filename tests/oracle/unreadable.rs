//! The command while the machine fails at reading: with `strace -e inject` at one call after the other. What cannot be
//! read is never taken for what is not there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::elf::{RUNPATH, library, loader, program};
use crate::fixtures::scratch;
use crate::parallel::in_parallel;
use crate::root::{BUILTIN, Root, cache};
use crate::tools;

/// What fails, and how. The libraries of Rust and of this crate ask for the state of a file in three ways.
const FAULTS: [(&str, &str); 12] = [
    ("openat", "EMFILE"),
    ("openat", "EIO"),
    ("newfstatat", "EIO"),
    ("fstat", "ESTALE"),
    ("statx", "EIO"),
    ("pread64", "EIO"),
    ("read", "EIO"),
    ("readlink", "EIO"),
    ("readlinkat", "ENOMEM"),
    ("getdents64", "EIO"),
    ("fgetxattr", "EIO"),
    ("fstatfs", "EIO"),
];

/// Calls of one kind that are made to fail in one run of all; of more, as many spread over all.
const MOST: usize = 100;

const PEM: &[u8] = b"-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";

/// Every kind of file that is read, and each by another rule.
fn everything() -> Root {
    let needs = ["libcached.so", "librun.so", "libbuiltin.so", "liblevel.so", "/opt/given/libpath.so"];
    let app = program(&needs).with(RUNPATH, "/none:/opt/run").imports(&["iconv_open", "setlocale", "tzset"]);
    let gconv = "module SJIS// INTERNAL SJIS 1\nmodule INTERNAL SJIS// SJIS 1\n";
    Root::empty()
        .file("/lib64/ld-linux-x86-64.so.2", &loader(&BUILTIN))
        .file("/bin/app", &app)
        .file("/opt/cached/libcached.so", &library("libcached.so"))
        // Found where there is no cache.
        .file("/usr/lib/libcached.so", &library("libcached.so"))
        .file("/opt/run/librun.so.1", &library("librun.so"))
        .link("/opt/run/librun.so", "librun.so.1")
        .file("/usr/lib/libbuiltin.so", &library("libbuiltin.so"))
        .link("/lib", "usr/lib")
        .file("/usr/lib/liblevel.so", &library("liblevel.so"))
        .file("/usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/liblevel.so", &library("liblevel.so"))
        .file("/opt/given/libpath.so", &library("libpath.so"))
        .bytes("/etc/ld.so.preload", b"/usr/lib/libbuiltin.so\n")
        .bytes("/etc/ssl/certs/ca-certificates.crt", PEM)
        .bytes("/usr/lib/gconv/gconv-modules", gconv.as_bytes())
        .file("/usr/lib/gconv/SJIS.so", &library("SJIS.so"))
        .bytes("/usr/share/zoneinfo/Etc/UTC", b"TZif")
        .link("/usr/share/zoneinfo/UTC", "Etc/UTC")
        .bytes("/usr/share/terminfo/x/xterm", b"\x1a\x01")
        .bytes("/etc/services", b"ssh 22/tcp\n")
        .bytes("/my/file", b"mine")
}

/// With a cache of libraries, and with what one is made of.
fn roots() -> [(&'static str, Root); 2] {
    let built = everything().bytes("/etc/ld.so.cache", &cache("libcached.so", "/opt/cached/libcached.so"));
    let unbuilt = everything()
        .bytes("/etc/ld.so.conf", b"include /etc/ld.so.conf.d/*.conf\n")
        .bytes("/etc/ld.so.conf.d/a.conf", b"/opt/cached\n");
    [("a cache", built), ("no cache", unbuilt)]
}

const NEEDS: [&str; 6] = ["ca-certificates", "time-zones", "gconv:SJIS", "terminfo", "services", "tmp"];

/// The arguments of a build; what it writes goes into `out`.
fn build(root: &Root, out: &Path) -> Vec<String> {
    let mut arguments: Vec<String> =
        ["build", "--compression", "none", "--jobs", "1", "--hwcaps", "all", "--sysroot"].map(str::to_owned).into();
    arguments.push(root.path().display().to_string());
    arguments.extend(NEEDS.iter().flat_map(|need| ["--with".to_owned(), (*need).to_owned()]));
    arguments.extend(["--file".to_owned(), format!("{}:/etc/mine", root.on_machine("/my/file").display())]);
    arguments.extend(["-o".to_owned(), out.join("image.tar").display().to_string()]);
    arguments.push(root.on_machine("/bin/app").display().to_string());
    arguments
}

fn strace(options: &[&str], arguments: &[String]) -> Command {
    let mut command = tools::command("strace");
    command.args(["-f", "-qq"]).args(options).arg(env!("CARGO_BIN_EXE_scratchpack")).args(arguments);
    command
}

/// How often each call is made.
fn calls(arguments: &[String]) -> BTreeMap<String, usize> {
    let directory = scratch();
    let log = directory.path().join("log");
    let output = strace(&["-o", log.to_str().unwrap()], arguments).output().unwrap();
    assert!(output.status.success(), "{}", tools::text_of(&output));
    let mut calls = BTreeMap::new();
    for line in fs::read_to_string(log).unwrap().lines() {
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        if let Some((name, _)) = call.split_once('(') {
            *calls.entry(name.to_owned()).or_default() += 1;
        }
    }
    calls
}

/// One run in which one call fails.
struct Run<'r> {
    root: &'r Root,
    call: &'static str,
    error: &'static str,
    when: usize,
}

impl Run<'_> {
    fn output(&self) -> (TempDir, Output) {
        let out = scratch();
        let log = out.path().join("log");
        let inject = format!("inject={}:error={}:when={}", self.call, self.error, self.when);
        let trace = format!("trace={}", self.call);
        let options = ["-o", log.to_str().unwrap(), "-e", &trace, "-e", &inject];
        let output = strace(&options, &build(self.root, out.path())).output().unwrap();
        (out, output)
    }

    /// What is wrong with its outcome.
    fn problem(&self, whole: &[u8]) -> Option<String> {
        let (out, output) = self.output();
        let said = tools::text_of(&output);
        let image = fs::read(out.path().join("image.tar")).ok();
        let problem = match (output.status.code(), image) {
            (Some(0), Some(image)) if image == whole => return None,
            (Some(0), Some(_)) => "another image",
            (Some(1 | 2), None) if said.contains("scratchpack: error: cannot ") => return None,
            (Some(1 | 2), Some(image)) if image == whole => return None,
            (Some(1 | 2), _) => "no message, or half an image",
            _ => "a crash",
        };
        let log = fs::read_to_string(out.path().join("log")).unwrap_or_default();
        let injected = log.lines().find(|line| line.ends_with("(INJECTED)")).unwrap_or_default().to_owned();
        Some(format!("{problem}: {} {} at {}: {injected}\n{said}", self.call, self.error, self.when))
    }
}

#[test]
fn what_cannot_be_read_is_never_taken_for_what_is_not_there() {
    if !tools::are_here(&["strace"]) {
        return;
    }
    // What the loader of the command itself reads.
    let before = calls(&["--version".to_owned()]);
    let mut count = 0;
    for (what, root) in roots() {
        let out = scratch();
        let all = calls(&build(&root, out.path()));
        let whole = fs::read(out.path().join("image.tar")).unwrap();
        let mut runs = Vec::new();
        for (call, error) in FAULTS {
            let first = before.get(call).copied().unwrap_or_default() + 1;
            let last = all.get(call).copied().unwrap_or_default();
            let step = (last.saturating_sub(first) + 1).div_ceil(MOST).max(1);
            runs.extend((first..=last).step_by(step).map(|when| Run { root: &root, call, error, when }));
        }
        count += runs.len();
        let problems = in_parallel(&runs, |run| run.problem(&whole));
        assert!(problems.is_empty(), "{what}: {} of {}:\n{}", problems.len(), runs.len(), problems.join("\n"));
    }
    tools::say(&format!("{count} faults while reading"));
}

/// Which of all files that are opened the one at `path` in the root is.
fn opened_as(root: &Root, path: &str) -> usize {
    let out = scratch();
    let log = out.path().join("log");
    let output = strace(&["-y", "-e", "trace=openat", "-o", log.to_str().unwrap()], &build(root, out.path())).output();
    assert!(output.unwrap().status.success());
    let path = root.on_machine(path);
    let opened = format!("<{}>, {:?}, O_RDONLY", path.parent().unwrap().display(), path.file_name().unwrap());
    let log = fs::read_to_string(log).unwrap();
    let calls = log.lines().filter(|line| line.contains("openat("));
    calls.map(|call| call.contains(&opened)).position(|is_it| is_it).unwrap() + 1
}

#[test]
fn what_may_not_be_read_is_an_error_unless_the_loader_looks_elsewhere() {
    if !tools::are_here(&["strace"]) {
        return;
    }
    let [(_, root), _] = roots();
    let refused = |path: &str| {
        let run = Run { root: &root, call: "openat", error: "EACCES", when: opened_as(&root, path) };
        let (_, output) = run.output();
        (output.status.code(), tools::text_of(&output))
    };
    for path in [
        "/etc/ld.so.cache",
        "/etc/ssl/certs/ca-certificates.crt",
        "/usr/lib/gconv/gconv-modules",
        "/usr/share/zoneinfo/Etc/UTC",
        "/usr/share/terminfo/x/xterm",
        "/etc/services",
        "/my/file",
    ] {
        let (status, said) = refused(path);
        assert_eq!(status, Some(1), "{path}: {said}");
        // Shown as it was opened: `/lib` is a link.
        assert!(said.contains(path.trim_start_matches("/usr")) && said.contains("Permission denied"), "{path}: {said}");
    }
    let (status, said) = refused("/etc/ld.so.preload");
    assert!(status == Some(0) && said.contains("warning: /etc/ld.so.preload has what nobody may read"), "{said}");
    // Behind the cache, the loader goes on with its own directories.
    let (status, said) = refused("/opt/cached/libcached.so");
    assert_eq!(status, Some(0), "{said}");
}
