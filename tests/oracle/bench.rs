//! One program and its libraries, the way a sentence about the loader needs them; the real loader says what is true.

mod run;
mod verdict;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use scratchpack::Collector;
use tempfile::TempDir;

use crate::fixtures::scratch;
use crate::link::{Link, at};
use crate::start::Start;
use crate::tools::{self, command};

pub(crate) use run::{codes, told_by};

const PROGRAM: &str = "bin/app";
/// Whose loader it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Libc {
    Glibc,
    Musl,
}

/// A directory with a program `bin/app` in it. In all that is put there `@` stands for the directory.
pub(crate) struct Bench {
    directory: TempDir,
    libc: Libc,
    start: Start,
    collector: Collector,
    workdir: Option<String>,
    started_as: PathBuf,
}

impl Bench {
    /// For a program of this machine's glibc.
    pub(crate) fn of_glibc() -> Option<Bench> {
        tools::are_here(&["cc", "as", "ld"]).then(|| Bench::new(Libc::Glibc))
    }

    /// For a program of this machine's musl.
    pub(crate) fn of_musl() -> Option<Bench> {
        tools::are_here(&["musl-gcc", "as", "ld"]).then(|| Bench::new(Libc::Musl))
    }

    /// The directory is `/` to a program of this machine's glibc, and holds the loader and the C library.
    pub(crate) fn in_chroot() -> Option<Bench> {
        if tools::are_here(&["ldconfig"]) { Bench::of_glibc()?.entered() } else { None }
    }

    /// The same for musl.
    pub(crate) fn in_chroot_of_musl() -> Option<Bench> {
        Bench::of_musl()?.entered()
    }

    /// A bench that is a root, with what a program outside needs.
    fn entered(self) -> Option<Bench> {
        if !Start::can_enter_roots() {
            return None;
        }
        let outside = self.program(Link::default());
        let interpreter = outside.interpreter();
        let libraries = outside.listing().unwrap().objects.into_iter().map(|object| object.path);
        let mut bench = Bench::new(outside.libc);
        bench.start = Start::in_root(bench.directory.path());
        bench.collector.sysroot(bench.directory.path());
        Some(libraries.chain([interpreter]).fold(bench, |bench, path| bench.copy(&path, &path[1..])))
    }

    fn new(libc: Libc) -> Bench {
        let directory = scratch();
        let start = Start::in_directory(directory.path());
        let started_as = directory.path().join(PROGRAM);
        Bench { directory, libc, start, collector: Collector::new(), workdir: None, started_as }
    }

    /// Links `bin/app`.
    pub(crate) fn program(self, link: Link) -> Bench {
        let compiler = if self.libc == Libc::Musl { "musl-gcc" } else { "cc" };
        link.program(compiler, &self.make_room(PROGRAM), self.base());
        self
    }

    /// Links a library.
    pub(crate) fn library(self, path: &str, link: Link) -> Bench {
        link.library(&self.make_room(path), self.base());
        self
    }

    pub(crate) fn text(self, path: &str, text: &str) -> Bench {
        fs::write(self.make_room(path), at(self.base(), text)).unwrap();
        self
    }

    pub(crate) fn folder(self, path: &str) -> Bench {
        fs::create_dir_all(self.make_room(path)).unwrap();
        self
    }

    pub(crate) fn link(self, path: &str, target: &str) -> Bench {
        symlink(at(self.base(), target), self.make_room(path)).unwrap();
        self
    }

    pub(crate) fn hard_link(self, path: &str, other: &str) -> Bench {
        fs::hard_link(self.directory.path().join(other), self.make_room(path)).unwrap();
        self
    }

    /// Copies a file, from here or, by an absolute path, from this machine.
    pub(crate) fn copy(self, from: &str, to: &str) -> Bench {
        copy(&self.directory.path().join(from), &self.make_room(to));
        self
    }

    pub(crate) fn remove(self, path: &str) -> Bench {
        fs::remove_file(self.directory.path().join(path)).unwrap();
        self
    }

    /// Changes bytes of a file.
    pub(crate) fn patch(self, path: &str, change: impl FnOnce(&mut [u8])) -> Bench {
        let path = self.directory.path().join(path);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        let changed = self.make_room("changed");
        fs::write(&changed, bytes).unwrap();
        copy(&changed, &path);
        self
    }

    /// What LD_LIBRARY_PATH says.
    pub(crate) fn library_path(mut self, list: &str) -> Bench {
        let list = at(self.base(), list);
        for directory in list.split([':', ';']).filter(|directory| !directory.is_empty()) {
            self.collector.library_path(directory);
        }
        self.env("LD_LIBRARY_PATH", &list)
    }

    /// An environment that the closure does not know of.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Bench {
        let value = at(self.base(), value);
        self.start.env(name, &value);
        self
    }

    /// Tells the closure in which directory of the bench the program is started.
    pub(crate) fn workdir(mut self, path: &str) -> Bench {
        let directory = self.absolute(path);
        self.collector.workdir(&directory);
        Bench { workdir: Some(directory), ..self }.started_in(path)
    }

    /// Starts the program in another directory than the bench, of which the closure is not told.
    pub(crate) fn started_in(mut self, path: &str) -> Bench {
        let path = self.absolute(path);
        self.start.move_to(&path);
        self
    }

    /// Asks for the variants of libraries.
    pub(crate) fn hwcaps(mut self, level: &str) -> Bench {
        self.collector.hwcaps(level);
        self
    }

    /// Starts the program of a bench in a chroot by another user than its owner.
    pub(crate) fn by_nobody(mut self) -> Bench {
        self.start.by_nobody();
        self
    }

    pub(crate) fn mode(self, path: &str, mode: u32) -> Bench {
        fs::set_permissions(self.directory.path().join(path), Permissions::from_mode(mode)).unwrap();
        self
    }

    /// Gives a file capabilities, in the words of `setcap`.
    pub(crate) fn capabilities(self, path: &str, words: &str) -> Bench {
        tools::run(command("setcap").arg(words).arg(self.directory.path().join(path)));
        self
    }

    /// Starts the program by another path.
    pub(crate) fn started_as(self, path: &str) -> Bench {
        Bench { started_as: self.directory.path().join(path), ..self }
    }

    /// Makes the cache of a bench in a chroot, and a symlink of each soname.
    pub(crate) fn ldconfig(self) -> Bench {
        self.ldconfig_with(&[])
    }

    pub(crate) fn ldconfig_with(self, options: &[&str]) -> Bench {
        tools::run(command("ldconfig").args(options).arg("-r").arg(self.directory.path()));
        self
    }

    fn make_room(&self, path: &str) -> PathBuf {
        let path = self.directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// A path of the bench as the program sees it.
    pub(crate) fn absolute(&self, path: &str) -> String {
        format!("{}/{path}", self.base())
    }

    /// The directory as the program sees it.
    fn base(&self) -> &str {
        if self.start.has_root() { "" } else { self.directory.path().to_str().unwrap() }
    }
}

/// In a process of its own: what another thread starts meanwhile would hold a file of this process open for writing, and
/// the kernel starts no such program.
fn copy(from: &Path, to: &Path) {
    tools::run(command("cp").arg(from).arg(to));
}
