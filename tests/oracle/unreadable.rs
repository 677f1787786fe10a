//! The command while the machine fails at reading: with `strace -e inject` at one call after the other. What cannot be
//! read is never taken for what is not there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::elf::{Fixture, RUNPATH, library, loader, program};
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

/// What file systems of a network or of a program give up for a signal, though nobody handles one.
const INTERRUPTED: [&str; 11] = [
    "openat",
    "newfstatat",
    "fstat",
    "statx",
    "pread64",
    "read",
    "readlink",
    "readlinkat",
    "getdents64",
    "fgetxattr",
    "fstatfs",
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

/// A root, and what is packed from it.
struct Subject {
    what: &'static str,
    root: Root,
    options: &'static [&'static str],
}

const NEEDS: [&str; 13] = [
    "--with",
    "ca-certificates",
    "--with",
    "time-zones",
    "--with",
    "gconv:SJIS",
    "--with",
    "terminfo",
    "--with",
    "services",
    "--auto",
    "--hwcaps",
    "all",
];

/// Gives a program the capabilities to bind to low ports (`struct vfs_cap_data` in linux/capability.h).
fn with_capabilities(root: Root) -> Root {
    let value = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for path in ["/bin/app", "/my/file"] {
        let file = fs::File::open(root.on_machine(path)).unwrap();
        let set = rustix::fs::fsetxattr(file, "security.capability", &value, rustix::fs::XattrFlags::empty());
        tools::is_available("a file system for capabilities, and the right to give some", set.is_ok());
    }
    root
}

/// With a cache of libraries, with what one is made of, and with the list of directories of another C library.
fn subjects() -> [Subject; 3] {
    let built = everything().bytes("/etc/ld.so.cache", &cache("libcached.so", "/opt/cached/libcached.so"));
    let unbuilt = everything()
        .bytes("/etc/ld.so.conf", b"include /etc/ld.so.conf.d/*.conf\n")
        .bytes("/etc/ld.so.conf.d/a.conf", b"/opt/cached\n");
    let (loader, data) = ("/lib/ld-musl-x86_64.so.1", b"\0%.*s/etc/ld-musl-x86_64.path\0".to_vec());
    let app = Fixture { interpreter: Some([loader.as_bytes(), b"\0"].concat()), ..program(&["liba.so", "libb.so"]) };
    let musl = Root::empty()
        .file("/bin/app", &app)
        .file(loader, &Fixture { data, ..library("libc.musl-x86_64.so.1") })
        .bytes("/etc/ld-musl-x86_64.path", b"/opt/a:/lib\n")
        .file("/opt/a/liba.so", &library("liba.so"))
        .file("/lib/liba.so", &library("liba.so"))
        .file("/lib/libb.so", &library("libb.so"))
        .bytes("/my/file", b"mine");
    [
        Subject { what: "a cache", root: built, options: &NEEDS },
        Subject { what: "no cache", root: unbuilt, options: &NEEDS },
        Subject { what: "musl", root: with_capabilities(musl), options: &["--file-capabilities"] },
    ]
}

impl Subject {
    /// The arguments of a build; what it writes goes into `out`.
    fn build(&self, out: &Path) -> Vec<String> {
        let own = |path: &str| self.root.on_machine(path).display().to_string();
        let image = out.join("image.tar").display().to_string();
        let mut arguments = vec!["build".to_owned(), own("/bin/app"), "-o".to_owned(), image];
        arguments.extend(["--compression", "none", "--jobs", "1", "--sysroot"].map(str::to_owned));
        arguments.extend([own("/"), "--file".to_owned(), format!("{}:/etc/mine", own("/my/file"))]);
        arguments.extend(self.options.iter().map(ToString::to_string));
        arguments
    }
}

fn strace(options: &[&str], arguments: &[String]) -> Command {
    let mut command = tools::command("strace");
    command.args(["-f", "-qq"]).args(options).arg(env!("CARGO_BIN_EXE_scratchpack")).args(arguments);
    command
}

/// How often each call is made by a command that ends with this status.
fn calls(arguments: &[String], status: i32) -> BTreeMap<String, usize> {
    let directory = scratch();
    let log = directory.path().join("log");
    let output = strace(&["-o", log.to_str().unwrap()], arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(status), "{}", tools::text_of(&output));
    let mut calls = BTreeMap::new();
    for line in fs::read_to_string(log).unwrap().lines() {
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        if let Some((name, _)) = call.split_once('(') {
            *calls.entry(name.to_owned()).or_default() += 1;
        }
    }
    calls
}

/// A call that fails: the how-manieth of its kind, and how.
#[derive(Debug)]
struct Fault {
    call: &'static str,
    error: &'static str,
    when: usize,
}

impl Fault {
    /// All of these that there can be in a command that ends with this status.
    fn all(kinds: &[(&'static str, &'static str)], arguments: &[String], status: i32) -> Vec<Fault> {
        // What the loader of the command itself reads comes first.
        let (before, all) = (calls(&["--version".to_owned()], 0), calls(arguments, status));
        let of_call = |(call, error): (&'static str, &'static str)| {
            let first = before.get(call).copied().unwrap_or_default() + 1;
            let last = all.get(call).copied().unwrap_or_default();
            let step = (last.saturating_sub(first) + 1).div_ceil(MOST).max(1);
            (first..=last).step_by(step).map(move |when| Fault { call, error, when })
        };
        kinds.iter().copied().flat_map(of_call).collect()
    }

    /// What a command does then, and the call as strace tells it.
    fn in_command(&self, arguments: &[String]) -> (Output, String) {
        let directory = scratch();
        let log = directory.path().join("log");
        let inject = format!("inject={}:error={}:when={}", self.call, self.error, self.when);
        let trace = format!("trace={}", self.call);
        let options = ["-o", log.to_str().unwrap(), "-e", &trace, "-e", &inject];
        let output = strace(&options, arguments).output().unwrap();
        let log = fs::read_to_string(log).unwrap_or_default();
        let injected = log.lines().find(|line| line.ends_with("(INJECTED)")).unwrap_or_default().to_owned();
        (output, injected)
    }

    /// What is wrong with the outcome of a build.
    fn problem(&self, subject: &Subject, whole: &[u8]) -> Option<String> {
        let out = scratch();
        let (output, injected) = self.in_command(&subject.build(out.path()));
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
        Some(format!("{problem}: {self:?}: {injected}\n{said}"))
    }
}

#[test]
fn what_cannot_be_read_is_never_taken_for_what_is_not_there() {
    if !tools::are_here(&["strace"]) {
        return;
    }
    let mut count = 0;
    for subject in subjects() {
        let out = scratch();
        let faults = Fault::all(&FAULTS, &subject.build(out.path()), 0);
        let whole = fs::read(out.path().join("image.tar")).unwrap();
        let problems = in_parallel(&faults, |fault| fault.problem(&subject, &whole));
        let (what, bad, all) = (subject.what, problems.len(), faults.len());
        assert!(problems.is_empty(), "{what}: {bad} of {all}:\n{}", problems.join("\n"));
        count += all;
    }
    tools::say(&format!("{count} faults while reading"));
}

#[test]
fn a_call_that_a_signal_interrupts_is_made_again() {
    if !tools::are_here(&["strace"]) {
        return;
    }
    for subject in subjects() {
        let out = scratch();
        let faults = Fault::all(&INTERRUPTED.map(|call| (call, "EINTR")), &subject.build(out.path()), 0);
        let whole = fs::read(out.path().join("image.tar")).unwrap();
        let problems = in_parallel(&faults, |fault| {
            let out = scratch();
            let (output, injected) = fault.in_command(&subject.build(out.path()));
            let is_done = output.status.success() && fs::read(out.path().join("image.tar")).ok() == Some(whole.clone());
            (!is_done).then(|| format!("{fault:?}: {injected}\n{}", tools::text_of(&output)))
        });
        let (bad, all) = (problems.len(), faults.len());
        assert!(problems.is_empty(), "{}: {bad} of {all}:\n{}", subject.what, problems.join("\n"));
    }
}

#[test]
fn a_check_finds_nothing_fine_that_it_could_not_read() {
    if !tools::are_here(&["strace"]) {
        return;
    }
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]))
        .file("/lib/libx.so", &library("libx.so").needs("libgone.so"));
    let image = root.builder("/app").exclude("libgone.so").build().unwrap();
    let out = scratch();
    let [archive, layout, rootfs] = ["archive", "layout", "rootfs"].map(|name| out.path().join(name));
    image.write_archive(&archive).unwrap();
    image.write_layout(&layout).unwrap();
    image.write_rootfs(&rootfs).unwrap();
    let mut count = 0;
    for path in [archive, layout, rootfs] {
        let arguments = ["check".to_owned(), path.display().to_string()];
        let faults = Fault::all(&FAULTS, &arguments, 1);
        let problems = in_parallel(&faults, |fault| {
            let (output, injected) = fault.in_command(&arguments);
            let said = tools::text_of(&output);
            let is_told =
                said.contains("libgone.so") || said.contains("cannot be checked") || said.contains("error: cannot");
            let is_right = output.status.code() == Some(1) && is_told;
            (!is_right).then(|| format!("{fault:?}: {injected}\n{said}"))
        });
        assert!(
            problems.is_empty(),
            "{}: {} of {}:\n{}",
            path.display(),
            problems.len(),
            faults.len(),
            problems.join("\n")
        );
        count += faults.len();
    }
    tools::say(&format!("{count} faults while checking"));
}

/// Which of all files that are opened the one at `path` in the root is.
fn opened_as(subject: &Subject, path: &str) -> usize {
    let out = scratch();
    let log = out.path().join("log");
    let options = ["-y", "-e", "trace=openat", "-o", log.to_str().unwrap()];
    assert!(strace(&options, &subject.build(out.path())).output().unwrap().status.success());
    let path = subject.root.on_machine(path);
    let opened = format!("<{}>, {:?}, O_RDONLY", path.parent().unwrap().display(), path.file_name().unwrap());
    let log = fs::read_to_string(log).unwrap();
    let mut calls = log.lines().filter(|line| line.contains("openat("));
    calls.position(|call| call.contains(&opened)).unwrap() + 1
}

#[test]
fn what_may_not_be_read_is_an_error_unless_the_loader_looks_elsewhere() {
    if !tools::are_here(&["strace"]) {
        return;
    }
    let [subject, _, musl] = subjects();
    let refused_of = |subject: &Subject, path: &str| {
        let fault = Fault { call: "openat", error: "EACCES", when: opened_as(subject, path) };
        let out = scratch();
        let (output, _) = fault.in_command(&subject.build(out.path()));
        (output.status.code(), tools::text_of(&output))
    };
    let refused = |path: &str| refused_of(&subject, path);
    let (status, said) = refused_of(&musl, "/etc/ld-musl-x86_64.path");
    assert!(status == Some(1) && said.contains("ld-musl-x86_64.path: Permission denied"), "{said}");
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
