//! Debian for other machines: the closures of its programs beside what its own loader lists under qemu, and its programs
//! packed and run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use scratchpack::{Closure, Collector, Finding, Image, Level};
use tempfile::TempDir;

use crate::bench::codes;
use crate::compare::{compare, objects};
use crate::debian;
use crate::fixtures::scratch;
use crate::loader::{self, Dynamic, Listed, Listing};
use crate::parallel::in_parallel;
use crate::tools::{self, command, run};
use crate::verify::{verified, verify_output};

const FEWEST: usize = 150;
const CACHE: &str = "etc/ld.so.cache";
const QEMU: &str = "/qemu";
const PACKED: &str = "usr/bin/ls";
/// What the packed program needs, and where only the cache of its loader finds it.
const MOVED: &str = "libselinux.so.1";
const MOVED_TO: &str = "opt/lib";

#[test]
fn programs_of_arm64_have_the_closures_that_their_loader_lists_and_run_when_packed() {
    let Some(root) = Foreign::unpack("arm64", "qemu-aarch64-static") else { return };
    root.check();
}

/// Its byte order is another one.
#[test]
fn programs_of_s390x_have_the_closures_that_their_loader_lists_and_run_when_packed() {
    let Some(root) = Foreign::unpack("s390x", "qemu-s390x-static") else { return };
    root.check();
}

/// The root directory of a system for another machine, and what runs its programs.
struct Foreign {
    directory: TempDir,
    architecture: &'static str,
    qemu: &'static str,
}

impl Foreign {
    /// Needs the network.
    fn unpack(architecture: &'static str, qemu: &'static str) -> Option<Foreign> {
        if !tools::is_root() || !tools::are_here(&["debootstrap", "chroot", qemu]) {
            return None;
        }
        let directory = debian::unpack("bookworm", architecture)?;
        install_qemu(qemu, directory.path());
        Some(Foreign { directory, architecture, qemu })
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A root that nobody has configured has no cache, so that all is found in the builtin directories.
    fn check(&self) {
        assert!(!self.path().join(CACHE).exists());
        self.check_closures("without a cache");
        self.move_library();
        let expected = self.without_a_cache();
        run(self.qemu().arg("/sbin/ldconfig"));
        assert!(self.path().join(CACHE).exists());
        assert_eq!(expected, objects(&self.closure(&self.path().join(PACKED)).unwrap()));
        self.check_closures("with a cache");
        self.check_image();
    }

    fn move_library(&self) {
        let closure = self.closure(&self.path().join(PACKED)).unwrap();
        let library = closure.objects().iter().find(|object| object.name() == MOVED).unwrap();
        let directory = self.path().join(MOVED_TO);
        fs::create_dir_all(&directory).unwrap();
        fs::rename(library.source(), directory.join(MOVED)).unwrap();
        fs::write(self.path().join("etc/ld.so.conf.d/moved.conf"), format!("/{MOVED_TO}\n")).unwrap();
    }

    /// The loader does not find it; the closure has it where a cache would, and says so.
    fn without_a_cache(&self) -> Vec<Listed> {
        let program = loader::dynamic(self.path().join(PACKED)).unwrap();
        let listing = self.list(&program).unwrap();
        assert_eq!(listing.missing, BTreeSet::from([MOVED.to_owned()]));
        let closure = self.closure(&program.path).unwrap();
        let warnings: Vec<Finding> =
            closure.findings().iter().filter(|finding| finding.level() == Level::Warning).cloned().collect();
        assert_eq!(codes(&warnings), ["no-cache"]);
        objects(&closure)
    }

    fn check_closures(&self, what: &str) {
        let programs = loader::programs_in(self.path());
        let differences = in_parallel(&programs, |program| self.difference(program));
        let (count, architecture) = (programs.len(), self.architecture);
        tools::say(&format!("{count} programs of {architecture} compared with their loader, {what}"));
        assert!(differences.is_empty(), "{what}, {} differ:\n{}", differences.len(), differences.join("\n"));
        assert!(count >= FEWEST, "{architecture} has no more than {count} programs");
    }

    fn difference(&self, program: &Dynamic) -> Option<String> {
        let compared = self.compare_one(program);
        compared.err().map(|difference| format!("{}: {difference}", program.path.display()))
    }

    fn compare_one(&self, program: &Dynamic) -> Result<(), String> {
        let closure = self.closure(&program.path).map_err(|error| format!("{error:?}"))?;
        compare(&closure, &self.list(program)?, &program.interpreter)
    }

    fn closure(&self, program: &Path) -> scratchpack::Result<Closure> {
        Collector::new().sysroot(self.path()).collect(program)
    }

    fn list(&self, program: &Dynamic) -> Result<Listing, String> {
        let inside = Path::new("/").join(program.path.strip_prefix(self.path()).unwrap());
        loader::list_all(&program.interpreter, |setting| {
            let mut command = self.qemu();
            if let Some((name, value)) = setting {
                command.arg("-E").arg(format!("{name}={value}"));
            }
            command.arg(&program.interpreter);
            (command, inside.clone())
        })
    }

    /// Runs what follows in the root.
    fn qemu(&self) -> Command {
        qemu_in(self.path())
    }

    fn check_image(&self) {
        let program = self.path().join(PACKED);
        let image = Image::builder().binary(program).sysroot(self.path()).build().map(verified).unwrap();
        assert_eq!(architecture_of(&image), self.architecture);
        let rootfs = scratch();
        image.write_rootfs(rootfs.path()).unwrap();
        assert!(rootfs.path().join(CACHE).exists());
        install_qemu(self.qemu, rootfs.path());
        let mut ls = qemu_in(rootfs.path());
        assert_eq!(run(ls.arg(image.closure().program().path()).arg("/opt")), "lib\n");
    }
}

fn qemu_in(root: &Path) -> Command {
    let mut command = command("chroot");
    command.arg(root).arg(QEMU);
    command
}

/// A static qemu needs nothing of the root.
fn install_qemu(name: &str, root: &Path) {
    run(command("cp").arg(tools::find(name).unwrap()).arg(root.join(&QEMU[1..])));
}

fn architecture_of(image: &Image) -> String {
    let layout = scratch();
    let written = image.write_layout(layout.path()).unwrap();
    verify_output(layout.path());
    let config = fs::read(blob(layout.path(), written.config_digest())).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    config["architecture"].as_str().unwrap().to_owned()
}

fn blob(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replace(':', "/"))
}
