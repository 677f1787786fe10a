//! Every machine, class and byte order, from a sysroot to an image whose cache its own loader reads.

use std::fs;
use std::path::PathBuf;

use scratchpack::{Closure, Collector, ErrorKind, Image};
use serde_json::json;

use crate::documents::Archive;
use crate::elf::{
    AARCH64, ARM, Fixture, S390, SONAME, X86_64, arm_attributes, library, loader, program, with_arm_attributes,
};
use crate::root::{Root, opened, rules};

/// A machine, and where Debian's port to it has its files.
struct Port {
    machine: u16,
    is_64: bool,
    is_little: bool,
    flags: u32,
    triplet: &'static str,
    interpreter: &'static str,
    /// Of the entries of its ld.so.cache.
    cached: u32,
    architecture: &'static str,
    /// `Tag_CPU_arch`, and what comes of it.
    variant: Option<(u8, &'static str)>,
}

const BASE: Port = Port {
    machine: X86_64,
    is_64: true,
    is_little: true,
    flags: 0,
    triplet: "x86_64-linux-gnu",
    interpreter: "/lib64/ld-linux-x86-64.so.2",
    cached: 0x303,
    architecture: "amd64",
    variant: None,
};

const PORTS: [Port; 10] = [
    BASE,
    Port {
        machine: 3,
        is_64: false,
        triplet: "i386-linux-gnu",
        interpreter: "/lib/ld-linux.so.2",
        cached: 3,
        architecture: "386",
        ..BASE
    },
    Port {
        is_64: false,
        triplet: "x86_64-linux-gnux32",
        interpreter: "/libx32/ld-linux-x32.so.2",
        cached: 0x803,
        ..BASE
    },
    Port {
        machine: AARCH64,
        triplet: "aarch64-linux-gnu",
        interpreter: "/lib/ld-linux-aarch64.so.1",
        cached: 0xa03,
        architecture: "arm64",
        ..BASE
    },
    Port {
        machine: ARM,
        is_64: false,
        flags: 0x0500_0400,
        triplet: "arm-linux-gnueabihf",
        interpreter: "/lib/ld-linux-armhf.so.3",
        cached: 0x903,
        architecture: "arm",
        variant: Some((10, "v7")),
        ..BASE
    },
    Port {
        machine: ARM,
        is_64: false,
        flags: 0x0500_0200,
        triplet: "arm-linux-gnueabi",
        interpreter: "/lib/ld-linux.so.3",
        cached: 0xb03,
        architecture: "arm",
        variant: Some((4, "v5")),
        ..BASE
    },
    Port {
        machine: S390,
        is_little: false,
        triplet: "s390x-linux-gnu",
        interpreter: "/lib/ld64.so.1",
        cached: 0x403,
        architecture: "s390x",
        ..BASE
    },
    Port {
        machine: 21,
        flags: 2,
        triplet: "powerpc64le-linux-gnu",
        interpreter: "/lib64/ld64.so.2",
        cached: 0x503,
        architecture: "ppc64le",
        ..BASE
    },
    Port {
        machine: 243,
        flags: 5,
        triplet: "riscv64-linux-gnu",
        interpreter: "/lib/ld-linux-riscv64-lp64d.so.1",
        cached: 0x1003,
        architecture: "riscv64",
        ..BASE
    },
    Port {
        machine: 258,
        flags: 0x43,
        triplet: "loongarch64-linux-gnu",
        interpreter: "/lib64/ld-linux-loongarch-lp64d.so.1",
        cached: 0x1203,
        architecture: "loong64",
        ..BASE
    },
];

/// An entry of a cache: flags, name, path.
type Cached<'a> = (u32, &'a str, &'a str);

impl Port {
    fn fixture(&self, fixture: Fixture) -> Fixture {
        Fixture { flags: self.flags, ..fixture.machine(self.machine, self.is_64, self.is_little) }
    }

    fn loader(&self) -> Fixture {
        let builtin = [self.builtin(), format!("/usr{}", self.builtin()), "/lib".into(), "/usr/lib".into()];
        let mut loader = loader(&builtin.each_ref().map(String::as_str));
        loader.strings = vec![(SONAME, self.interpreter.rsplit('/').next().unwrap().as_bytes().to_vec())];
        self.fixture(loader)
    }

    fn builtin(&self) -> String {
        format!("/lib/{}", self.triplet)
    }

    fn program(&self) -> Vec<u8> {
        let program = program(&["libin.so.1", "libout.so.1"]);
        let interpreter = Some([self.interpreter.as_bytes(), b"\0"].concat());
        let bytes = self.fixture(Fixture { interpreter, ..program }).bytes();
        match self.variant {
            Some((cpu_arch, _)) => with_arm_attributes(bytes, &arm_attributes(cpu_arch)),
            None => bytes,
        }
    }

    /// A system with a library in a builtin directory and one elsewhere, with nothing that leads to it.
    fn root(&self) -> Root {
        Root::empty()
            .file(self.interpreter, &self.loader())
            .bytes("/usr/bin/app", &self.program())
            .file(&self.inside(), &self.fixture(library("libin.so.1")))
            .file(OUTSIDE, &self.fixture(library("libout.so.1")))
    }

    fn inside(&self) -> String {
        format!("{}/libin.so.1", self.builtin())
    }

    /// An ld.so.cache of this machine; of two entries with one name, the one with the wrong flags comes first.
    fn cache(&self, entries: &[Cached<'_>]) -> Vec<u8> {
        let word = |value: usize| {
            let value = u32::try_from(value).unwrap();
            if self.is_little { value.to_le_bytes() } else { value.to_be_bytes() }
        };
        let (mut table, mut strings) = (Vec::new(), Vec::new());
        for (flags, name, path) in entries {
            let key = 48 + entries.len() * 24 + strings.len();
            for value in [*flags as usize, key, key + name.len() + 1, 0, 0, 0] {
                table.extend(word(value));
            }
            strings.extend([name.as_bytes(), b"\0", path.as_bytes(), b"\0"].concat());
        }
        let mut cache = [b"glibc-ld.so.cache1.1", &word(entries.len())[..], &word(strings.len())].concat();
        cache.push(if self.is_little { 2 } else { 3 });
        cache.resize(48, 0);
        [cache, table, strings].concat()
    }

    /// Packs the program of a root in which something leads to the library outside.
    fn check(&self, root: &Root) {
        let image = root.image("/usr/bin/app");
        self.check_closure(image.closure());
        let config = Archive::of(&image).config();
        assert_eq!(config["architecture"], self.architecture);
        assert_eq!(config.get("variant"), self.variant.map(|(_, variant)| json!(variant)).as_ref());
        self.check_rootfs(&image);
    }

    fn check_closure(&self, closure: &Closure) {
        assert_eq!(opened(closure), [self.inside(), OUTSIDE.to_owned()], "{}", self.triplet);
        assert_eq!(rules(closure), ["default", "cache"], "{}", self.triplet);
        assert_eq!(closure.interpreter().unwrap().path(), self.interpreter);
        assert_eq!(closure.program().elf().machine().architecture(), Some(self.architecture));
    }

    /// What stands in the image is a system as good as that which it was made from, and its cache just what is needed.
    fn check_rootfs(&self, image: &Image) {
        let rootfs = Root::empty();
        image.write_rootfs(rootfs.on_machine("/image")).unwrap();
        let path = |path: &str| -> PathBuf { rootfs.on_machine(&format!("/image{path}")) };
        let closure = Collector::new().sysroot(path("/")).collect(path("/app")).unwrap();
        self.check_closure(&closure);
        assert!(closure.findings().is_empty(), "{:?}", closure.findings());
        let cache = fs::read(path("/etc/ld.so.cache")).unwrap();
        assert_eq!(cache, self.cache(&[(self.cached, "libout.so.1", OUTSIDE)]), "{}", self.triplet);
    }
}

const OUTSIDE: &str = "/opt/out/libout.so.1";

#[test]
fn a_program_of_every_machine_is_packed_with_a_cache_that_its_loader_reads() {
    for port in &PORTS {
        let other = if port.cached == 0x303 { 0xa03 } else { 0x303 };
        let cache = port.cache(&[(other, "libout.so.1", "/other/libout.so.1"), (port.cached, "libout.so.1", OUTSIDE)]);
        port.check(&port.root().bytes("/etc/ld.so.cache", &cache));
    }
}

#[test]
fn a_sysroot_of_every_machine_does_without_a_cache() {
    for port in &PORTS {
        port.check(&port.root().bytes("/etc/ld.so.conf", b"/opt/out\n"));
    }
}

#[test]
fn a_cache_of_the_other_byte_order_is_none() {
    for port in &PORTS {
        let other = Port { is_little: !port.is_little, ..*port };
        let cache = other.cache(&[(port.cached, "libout.so.1", OUTSIDE)]);
        let closure = port.root().bytes("/etc/ld.so.cache", &cache).closure("/usr/bin/app");
        assert_eq!(crate::root::missing(&closure), ["libout.so.1"], "{}", port.triplet);
    }
}

#[test]
fn libraries_of_every_other_machine_are_passed_over() {
    for port in &PORTS {
        for other in PORTS.iter().filter(|other| other.architecture != port.architecture) {
            let app = port.root().file("/lib/libwrong.so", &other.fixture(library("libwrong.so")));
            let program = port.fixture(program(&["libwrong.so"]));
            let interpreter = Some([port.interpreter.as_bytes(), b"\0"].concat());
            // Debian's loader skips what upstream's dies of.
            let root = app.file("/app", &Fixture { interpreter, ..program });
            let closure = root.closure("/app");
            let last = closure.missing()[0]
                .tried()
                .iter()
                .rev()
                .find(|attempt| attempt.path().starts_with("/lib/libwrong.so"));
            let why = last.unwrap().why().code();
            assert!(["wrong-class", "wrong-machine", "wrong-byte-order"].contains(&why), "{} {why}", port.triplet);
        }
    }
}

#[test]
fn a_foreign_program_without_its_system_asks_for_a_sysroot() {
    for port in PORTS.iter().filter(|port| !is_at_home(port)) {
        // A path that no machine has, whatever ports of Debian are installed beside its own.
        let interpreter = Some(b"/nowhere/ld.so.1\0".to_vec());
        let app = port.fixture(Fixture { interpreter, ..program(&["libc.so.6"]) });
        let root = Root::empty().file("/app", &app);
        let error = Image::from_binary(root.on_machine("/app")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Foreign, "{error}");
        let name = Closure::of(root.on_machine("/app")).unwrap().program().elf().machine().name();
        assert!(error.to_string().contains(&format!("the program is for {name}; give the root directory")), "{error}");
        assert!(error.to_string().contains("sysroot"), "{error}");
    }
}

/// Whether programs of the port run on the machine that this test runs on.
fn is_at_home(port: &Port) -> bool {
    match std::env::consts::ARCH {
        "x86_64" | "x86" => ["amd64", "386"].contains(&port.architecture),
        "aarch64" | "arm" => ["arm64", "arm"].contains(&port.architecture),
        "powerpc64" => port.machine == 21,
        "loongarch64" => port.machine == 258,
        here => port.architecture == here,
    }
}
