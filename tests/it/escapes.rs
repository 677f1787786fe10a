//! A root that is a trap: links out of it by every kind of path, what is no regular file wherever a file is read, and links
//! without an end.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, RenameFlags, mkfifoat, mknodat, renameat_with};
use scratchpack::{Compression, Error, ErrorKind, Image, ImageBuilder, Need, check};

use crate::elf::{Fixture, LOADER, RUNPATH, library, loader, program};
use crate::root::{BUILTIN, Root, cache};
use crate::verify::{self, verified};

/// What stands in files outside of the root, and never in an image.
const CANARY: &[u8] = b"a canary that sings outside of the root";
/// What stands in the files of the same paths inside of it.
const INSIDE: &[u8] = b"what lies inside of the root is welcome";

const MUSL: &str = "/lib/ld-musl-x86_64.so.1";

/// Nothing may take longer, by far.
const PATIENCE: Duration = Duration::from_secs(10);

fn marked(fixture: Fixture, mark: &[u8]) -> Vec<u8> {
    let data = [fixture.data.as_slice(), b"\0", mark, b"\0"].concat();
    Fixture { data, ..fixture }.bytes()
}

/// What lies outside of the root, and in a copy inside: a file of every kind that anything looks for.
fn outside(mark: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let text = |text: &[u8]| [text, mark, b"\n"].concat();
    let gconv = b"module SJIS// INTERNAL SJIS 1\nmodule INTERNAL SJIS// SJIS 1\n# ";
    let musl = Fixture { data: b"\0%.*s/etc/ld-musl-x86_64.path\0".to_vec(), ..library("libc.musl-x86_64.so.1") };
    vec![
        ("libx.so", marked(library("libx.so"), mark)),
        ("ld.so", marked(loader(&BUILTIN), mark)),
        ("ld-linux-x86-64.so.2", marked(loader(&BUILTIN), mark)),
        ("ld-musl-x86_64.so.1", marked(musl, mark)),
        ("ld.so.cache", cache("libx.so", "/hidden/libx.so")),
        ("ld.so.conf", b"/hidden\n".to_vec()),
        ("x.conf", b"/hidden\n".to_vec()),
        ("ld-musl-x86_64.path", b"/hidden\n".to_vec()),
        ("ca-certificates.crt", text(b"-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n")),
        ("services", text(b"ssh 22/tcp\n# ")),
        ("protocols", text(b"tcp 6 TCP\n# ")),
        ("gconv-modules", text(gconv)),
        ("SJIS.so", marked(library("SJIS.so"), mark)),
        ("Etc/UTC", text(b"TZif")),
        ("x/xterm", text(b"\x1a\x01")),
        ("openssl.cnf", text(b"[default]\n# ")),
        ("legacy.so", marked(library("legacy.so"), mark)),
        ("de_DE/LC_CTYPE", text(b"")),
        ("locale-archive", text(b"")),
        ("preload", b"/hidden/libx.so\n".to_vec()),
    ]
}

/// A place in a root where something is read, and who reads it.
struct Place {
    /// A link that stands there leads to `target` outside of the root.
    at: &'static str,
    target: &'static str,
    set: fn(&mut ImageBuilder),
    root: fn() -> Root,
}

fn place(at: &'static str, target: &'static str, set: fn(&mut ImageBuilder), root: fn() -> Root) -> Place {
    Place { at, target, set, root }
}

fn nothing(_: &mut ImageBuilder) {}

fn app(fixture: &Fixture) -> Root {
    Root::debian().file("/app", fixture)
}

fn plain() -> Root {
    app(&program(&["libx.so"]))
}

fn with_slash() -> Root {
    app(&program(&["/opt/x/libx.so"]))
}

fn with_runpath() -> Root {
    app(&program(&["libx.so"]).with(RUNPATH, "/opt/x"))
}

fn cached() -> Root {
    plain().bytes("/etc/ld.so.cache", &cache("libx.so", "/opt/x/libx.so"))
}

fn including() -> Root {
    plain()
        .bytes("/etc/ld.so.conf", b"include /etc/ld.so.conf.d/*.conf /etc/more.conf\n")
        .directory("/etc/ld.so.conf.d")
}

fn alone() -> Root {
    app(&program(&[]))
}

fn without_loader() -> Root {
    Root::empty().file("/app", &program(&[]))
}

fn glibc() -> Root {
    app(&program(&["libc.so.6"])).file("/lib/libc.so.6", &library("libc.so.6").defines(&["GLIBC_2.34"]))
}

fn with_openssl() -> Root {
    let data = b"\0OPENSSLDIR: \"/usr/lib/ssl\"\0MODULESDIR: \"/usr/lib/ossl-modules\"\0".to_vec();
    app(&program(&["libcrypto.so.3"])).file("/lib/libcrypto.so.3", &Fixture { data, ..library("libcrypto.so.3") })
}

fn with_gconv() -> Root {
    let list = b"module SJIS// INTERNAL SJIS 1\nmodule INTERNAL SJIS// SJIS 1\n";
    glibc().bytes("/usr/lib/gconv/gconv-modules", list)
}

fn with_module() -> Root {
    glibc().bytes("/usr/lib/gconv/SJIS.so", &marked(library("SJIS.so"), INSIDE))
}

fn musl_app(needed: &[&str]) -> Root {
    Root::empty().file("/app", &Fixture { interpreter: Some([MUSL.as_bytes(), b"\0"].concat()), ..program(needed) })
}

fn musl() -> Root {
    let data = b"\0%.*s/etc/ld-musl-x86_64.path\0".to_vec();
    musl_app(&["libx.so"]).file(MUSL, &Fixture { data, ..library("libc.musl-x86_64.so.1") })
}

fn with(need: Need) -> impl Fn(&mut ImageBuilder) {
    move |builder| {
        builder.with(need.clone());
    }
}

fn sjis() -> Need {
    Need::Charset("SJIS".into())
}

/// Every kind of path by which a file of a root is read.
fn places() -> Vec<Place> {
    vec![
        place(LOADER, "ld.so", nothing, without_loader),
        place("/lib64", "", nothing, without_loader),
        place("/lib/libx.so", "libx.so", nothing, plain),
        place("/lib/x86_64-linux-gnu", "", nothing, plain),
        place("/opt/x/libx.so", "libx.so", nothing, with_slash),
        place("/opt/x", "", nothing, with_slash),
        place("/opt/x/libx.so", "libx.so", nothing, with_runpath),
        place("/opt/x", "", nothing, with_runpath),
        place("/opt/x/libx.so", "libx.so", nothing, cached),
        place("/opt/x", "", nothing, cached),
        place("/etc/ld.so.cache", "ld.so.cache", nothing, plain),
        place("/etc/ld.so.conf", "ld.so.conf", nothing, plain),
        place("/etc/ld.so.conf.d/a.conf", "x.conf", nothing, including),
        place("/etc/more.conf", "x.conf", nothing, including),
        place(MUSL, "ld-musl-x86_64.so.1", nothing, || musl_app(&[])),
        place("/lib/libx.so", "libx.so", nothing, musl),
        place("/etc/ld-musl-x86_64.path", "ld-musl-x86_64.path", nothing, musl),
        place("/etc/ssl/certs/ca-certificates.crt", "ca-certificates.crt", |b| with(Need::CaCertificates)(b), alone),
        place("/etc/ssl/certs", "", |b| with(Need::CaCertificates)(b), alone),
        place("/etc/services", "services", |b| with(Need::Services)(b), alone),
        place("/usr/lib/gconv/gconv-modules", "gconv-modules", |b| with(sjis())(b), with_module),
        place("/usr/lib/gconv/SJIS.so", "SJIS.so", |b| with(sjis())(b), with_gconv),
        place("/usr/share/zoneinfo", "", |b| with(Need::TimeZones)(b), alone),
        place("/usr/share/terminfo", "", |b| with(Need::Terminfo)(b), alone),
        place("/usr/lib/ssl/openssl.cnf", "openssl.cnf", |b| with(Need::OpenSsl)(b), with_openssl),
        place("/usr/lib/ossl-modules/legacy.so", "legacy.so", |b| with(Need::OpenSsl)(b), with_openssl),
        place("/usr/lib/locale", "", |b| with(Need::Locales)(b), glibc),
    ]
}

/// The bytes of the layer, with no codec.
fn layer(builder: &mut ImageBuilder) -> Result<Vec<u8>, Error> {
    let mut layer = Vec::new();
    builder.compression(Compression::None).build()?.write_layer_to(&mut layer)?;
    verify::layer(&layer).unwrap();
    Ok(layer)
}

fn holds(bytes: &[u8], mark: &[u8]) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark)
}

fn write(directory: &Path, files: &[(&str, Vec<u8>)]) {
    for (name, bytes) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// The ways to write a target that lies outside.
fn ways_out(target: &Path) -> [PathBuf; 3] {
    let below = target.strip_prefix("/").unwrap();
    let up: PathBuf = ["../"; 40].concat().into();
    // The tar crate's own check looks at the first hundred bytes.
    let later: PathBuf = format!("{}{}", "./".repeat(60), "../".repeat(40)).into();
    [target.to_owned(), up.join(below), later.join(below)]
}

#[test]
fn no_link_by_any_kind_of_path_leads_out_of_a_root_and_all_lead_on_inside() {
    let trap = tempfile::tempdir().unwrap();
    let trap = fs::canonicalize(trap.path()).unwrap();
    write(&trap, &outside(CANARY));
    for Place { at, target, set, root } in places() {
        for way in ways_out(&trap.join(target)) {
            let root = root().link(at, way.to_str().unwrap());
            let what = format!("{at} -> {}", way.display());
            let started = Instant::now();
            let mut builder = root.builder("/app");
            set(&mut builder);
            match layer(&mut builder) {
                Ok(layer) => assert!(!holds(&layer, CANARY), "{what}"),
                Err(error) => assert!(is_typed(&error), "{what}: {error}"),
            }
            // The same path in the root is where it leads.
            write(&root.on_machine(trap.to_str().unwrap()), &outside(INSIDE));
            let root = root.bytes("/hidden/libx.so", &marked(library("libx.so"), INSIDE));
            let mut builder = root.builder("/app");
            set(&mut builder);
            let layer = layer(&mut builder).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(holds(&layer, INSIDE) && !holds(&layer, CANARY), "{what}");
            assert!(started.elapsed() < PATIENCE, "{what}");
        }
    }
    fs::remove_dir_all(trap).unwrap();
}

fn is_typed(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unresolved
            | ErrorKind::Unmet
            | ErrorKind::Unsupported
            | ErrorKind::Io
            | ErrorKind::NotElf
            | ErrorKind::Malformed
            | ErrorKind::InvalidOption
    )
}

#[test]
fn names_that_climb_out_of_a_root_by_themselves_stay_inside() {
    let trap = tempfile::tempdir().unwrap();
    let trap = fs::canonicalize(trap.path()).unwrap();
    write(&trap, &outside(CANARY));
    let out = |name: &str| format!("/{}{}/{name}", "../".repeat(40), trap.strip_prefix("/").unwrap().display());
    let directory = out("").trim_end_matches('/').to_owned();
    let interpreted = Fixture { interpreter: Some([out("ld.so").as_bytes(), b"\0"].concat()), ..program(&[]) };
    let roots = [
        app(&program(&[&out("libx.so")])),
        app(&program(&["libx.so"]).with(RUNPATH, &directory)),
        app(&program(&["libx.so"]).with(RUNPATH, &format!("$ORIGIN{directory}"))),
        app(&program(&[&format!("$ORIGIN{}", out("libx.so"))])),
        plain().bytes("/etc/ld.so.cache", &cache("libx.so", &out("libx.so"))),
        plain().bytes("/etc/ld.so.conf", directory.as_bytes()),
        plain().bytes("/etc/ld.so.conf", format!("include {}", out("*.conf")).as_bytes()),
        app(&interpreted),
    ];
    for (number, root) in roots.into_iter().enumerate() {
        match layer(&mut root.builder("/app")) {
            Ok(layer) => assert!(!holds(&layer, CANARY), "{number}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unresolved, "{number}: {error}"),
        }
        write(&root.on_machine(trap.to_str().unwrap()), &outside(INSIDE));
        let root = root.bytes("/hidden/libx.so", &marked(library("libx.so"), INSIDE));
        let layer = layer(&mut root.builder("/app")).unwrap_or_else(|error| panic!("{number}: {error}"));
        assert!(holds(&layer, INSIDE) && !holds(&layer, CANARY), "{number}");
    }
    fs::remove_dir_all(trap).unwrap();
}

#[test]
fn what_is_put_below_a_link_of_the_image_is_written_in_the_image_alone() {
    let trap = tempfile::tempdir().unwrap();
    let root = plain().file("/lib/libx.so", &library("libx.so")).bytes("/my/file", INSIDE);
    for way in ways_out(trap.path()) {
        let mut builder = root.builder("/app");
        builder.symlink(&way, "/etc").file(root.on_machine("/my/file"), "/etc/file").directory("/etc/d", None);
        let out = tempfile::tempdir().unwrap();
        builder.build().map(verified).unwrap().write_rootfs(out.path().join("r")).unwrap();
        assert_eq!(fs::read_dir(trap.path()).unwrap().count(), 0);
        let below = trap.path().strip_prefix("/").unwrap();
        assert_eq!(fs::read(out.path().join("r").join(below).join("file")).unwrap(), INSIDE);
    }
}

/// What is no file that could be read, or not as a whole.
const ODD: [&str; 8] = ["FIFO", "socket", "directory", "loop", "41 links", "1 TiB", "device", "no rights"];

/// Puts something odd at `path`; false where this process may not.
fn put_odd(what: &str, path: &Path) -> bool {
    let _ = fs::remove_file(path);
    let _ = fs::remove_dir_all(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match what {
        "FIFO" => mkfifoat(CWD, path, Mode::RUSR).is_ok(),
        // The path of a socket has at most 107 bytes.
        "socket" => {
            let short = tempfile::tempdir().unwrap();
            drop(UnixListener::bind(short.path().join("s")).unwrap());
            fs::rename(short.path().join("s"), path).is_ok()
        }
        "directory" => fs::create_dir(path).is_ok(),
        "loop" => symlink(path.file_name().unwrap(), path).is_ok(),
        "41 links" => {
            let link = |number: usize| path.with_file_name(format!("l{number}"));
            let all = (1..41).all(|number| symlink(link(number + 1).file_name().unwrap(), link(number)).is_ok());
            all && symlink("/lib", link(41)).is_ok() && symlink("l1", path).is_ok()
        }
        "1 TiB" => fs::File::create(path).and_then(|file| file.set_len(1 << 40)).is_ok(),
        // That of /dev/zero.
        "device" => mknodat(CWD, path, FileType::CharacterDevice, Mode::RUSR, rustix::fs::makedev(1, 5)).is_ok(),
        _ => fs::write(path, b"").and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o000))).is_ok(),
    }
}

#[test]
fn what_is_no_regular_file_is_a_typed_error_wherever_a_file_is_read_or_passed_over() {
    let places = places();
    for Place { at, set, root, .. } in &places {
        for what in ODD {
            let root = root();
            write(&root.on_machine("/"), &[("usr/lib/libx.so", marked(library("libx.so"), INSIDE))]);
            if !put_odd(what, &root.on_machine(at)) {
                continue;
            }
            let started = Instant::now();
            let mut builder = root.builder("/app");
            set(&mut builder);
            match layer(&mut builder) {
                Ok(layer) => assert!(layer.len() < 1 << 20, "{what} at {at}: {} bytes", layer.len()),
                Err(error) => assert!(is_typed(&error), "{what} at {at}: {error}"),
            }
            assert!(started.elapsed() < PATIENCE, "{what} at {at}: {:?}", started.elapsed());
        }
    }
}

#[test]
fn what_is_no_regular_file_is_no_program_and_no_file_of_the_caller() {
    let root = plain().file("/lib/libx.so", &library("libx.so"));
    for what in ODD {
        if what == "no rights" || !put_odd(what, &root.on_machine("/odd/x")) {
            continue;
        }
        let odd = root.on_machine("/odd/x");
        let started = Instant::now();
        let program = Image::builder().sysroot(root.path()).binary(&odd).build().map(drop).unwrap_err();
        let file = root.builder("/app").file(&odd, "/x").build().map(drop).unwrap_err();
        for error in [program, file] {
            assert!(is_typed(&error) || error.kind() == ErrorKind::NotFound, "{what}: {error}");
            assert!(error.path().is_some(), "{what}: {error}");
        }
        assert!(started.elapsed() < PATIENCE, "{what}");
        fs::remove_dir_all(root.on_machine("/odd")).unwrap();
    }
}

#[test]
fn files_of_the_kernel_are_no_files_wherever_they_are_read() {
    let kernel = ["/proc/self/status", "/proc/kmsg", "/proc/self/mem", "/sys/kernel/uevent_seqnum", "/dev/zero"];
    for target in kernel.into_iter().filter(|path| Path::new(path).exists()) {
        let root = plain().bytes("/lib/libx.so", &library("libx.so").bytes());
        let refused = |error: Error, what: &str| assert!(is_typed(&error), "{what} {target}: {error}");
        let mut builder = root.builder("/app");
        refused(builder.file(target, "/x").build().map(drop).unwrap_err(), "file");
        refused(Image::from_binary(target).map(drop).unwrap_err(), "program");
        // On this machine: a library and an interpreter.
        let out = root.on_machine("/m");
        let app = program(&["libodd.so"]).with(RUNPATH, out.to_str().unwrap());
        let interpreter = [out.join("libodd.so").as_os_str().as_bytes(), b"\0"].concat();
        let root = root
            .link("/m/libodd.so", target)
            .file("/m/app", &app)
            .file("/m/odd", &Fixture { interpreter: Some(interpreter), ..program(&[]) });
        refused(Image::from_binary(root.on_machine("/m/app")).map(drop).unwrap_err(), "library");
        refused(Image::from_binary(root.on_machine("/m/odd")).map(drop).unwrap_err(), "interpreter");
    }
}

#[test]
fn who_gives_a_file_of_the_kernel_is_told_to_copy_it_and_who_gives_a_device_is_not() {
    let root = plain().file("/lib/libx.so", &library("libx.so"));
    let file = |path: &str| root.builder("/app").file(path, "/x").build().map(drop).unwrap_err();
    let (kernel, device) = (file("/proc/self/status"), file("/dev/null"));
    assert_eq!((kernel.kind(), device.kind()), (ErrorKind::InvalidOption, ErrorKind::InvalidOption));
    assert!(kernel.to_string().contains("of the kernel's own, with no size of its own; copy it first"), "{kernel}");
    assert!(device.to_string().contains("it is a device, a FIFO or a socket"), "{device}");
    let others = [Image::from_binary("/proc/self/status").map(drop), check("/proc/self/status").map(drop)];
    for error in others.map(Result::unwrap_err) {
        assert!(error.to_string().contains("copy it first"), "{error}");
    }
}

#[test]
fn forty_links_are_crossed_by_every_kind_of_path_and_no_more() {
    for (links, is_found) in [(40, true), (41, false)] {
        for Place { at, target, set, root } in places().into_iter().filter(|place| !place.target.is_empty()) {
            let mut root =
                root().bytes("/far/file", &outside(INSIDE).iter().find(|(name, _)| *name == target).unwrap().1);
            root = root.bytes("/hidden/libx.so", &marked(library("libx.so"), INSIDE));
            for number in 1..links {
                let next = if number == 1 { "/far/file".to_owned() } else { format!("/links/{}", number - 1) };
                root = root.link(&format!("/links/{number}"), &next);
            }
            let root = root.link(at, &format!("/links/{}", links - 1));
            let mut builder = root.builder("/app");
            set(&mut builder);
            let found = layer(&mut builder).is_ok_and(|layer| holds(&layer, INSIDE));
            assert_eq!(found, is_found, "{at} behind {links} links");
        }
    }
}

/// Exchanges a directory and a link to the outside until told to stop.
fn swap(root: &Path, stop: &AtomicBool, swaps: &AtomicUsize) {
    while !stop.load(Ordering::Relaxed) {
        for (one, other) in [("opt/x", "opt/y"), ("usr/share/zoneinfo/Etc", "usr/share/zoneinfo/x")] {
            renameat_with(CWD, root.join(one), CWD, root.join(other), RenameFlags::EXCHANGE).unwrap();
        }
        swaps.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn nothing_from_outside_is_packed_while_directories_and_links_are_exchanged() {
    const ROUNDS: usize = 300;
    let trap = tempfile::tempdir().unwrap();
    write(trap.path(), &outside(CANARY));
    write(trap.path(), &[("UTC", CANARY.to_vec())]);
    let trap = trap.path().to_str().unwrap();
    let root = with_runpath()
        .bytes("/opt/x/libx.so", &marked(library("libx.so"), INSIDE))
        .link("/opt/y", trap)
        .bytes("/usr/share/zoneinfo/Etc/UTC", INSIDE)
        .link("/usr/share/zoneinfo/x", &format!("{}{trap}", "../".repeat(40)))
        .bytes("/usr/share/zoneinfo/Zulu", b"TZif");
    let (stop, swaps) = (AtomicBool::new(false), AtomicUsize::new(0));
    let packed = std::thread::scope(|scope| {
        let _stop = OnDrop(&stop);
        scope.spawn(|| swap(root.path(), &stop, &swaps));
        let pack = |_: &usize| {
            let mut builder = root.builder("/app");
            match layer(builder.with(Need::TimeZones)) {
                Ok(layer) => {
                    assert!(!holds(&layer, CANARY));
                    holds(&layer, INSIDE)
                }
                Err(_) => false,
            }
        };
        (0..ROUNDS).filter(pack).count()
    });
    assert!(0 < packed && swaps.into_inner() > 0, "{packed} packed");
}

struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn an_absolute_target_with_odd_bytes_starts_at_the_root_as_well() {
    let root = with_slash().bytes("/q/libx.so", &marked(library("libx.so"), INSIDE));
    let odd = root.on_machine("/").join(OsStr::from_bytes(b"\xff\n "));
    fs::create_dir_all(&odd).unwrap();
    symlink("/q/../q/./libx.so", odd.join("l")).unwrap();
    let root = root.link("/opt/x/dummy", "x");
    symlink(OsStr::from_bytes(b"//\xff\n /l"), root.on_machine("/opt/x/libx.so")).unwrap();
    assert!(holds(&layer(&mut root.builder("/app")).unwrap(), INSIDE));
}
