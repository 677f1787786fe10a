//! One program and its libraries, the way a sentence about the loader needs them; the real loader says what is true.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use scratchpack::{Closure, Collector, Finding, Image, ImageBuilder};
use tempfile::TempDir;

use crate::compare::{compare, missing};
use crate::fixtures::scratch;
use crate::link::{Link, at};
use crate::loader::{self, Listing};
use crate::packed::Packed;
use crate::start::Start;
use crate::tools::{self, command, text_of};

const PROGRAM: &str = "bin/app";
/// Of a program that its loader gives up.
const DOES_NOT_START: i32 = 127;

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

/// What a bench is for.
impl Bench {
    /// The program starts, and closure and loader have opened these files of the bench.
    pub(crate) fn loads(&self, opened: &[&str]) {
        let closure = self.agrees();
        assert_eq!(self.opened(&closure), opened);
        assert_eq!(missing(&closure), BTreeSet::new());
        self.assert_starts(true);
    }

    /// The program does not start, and closure and loader name these libraries as the missing ones.
    pub(crate) fn misses(&self, names: &[&str]) {
        assert_eq!(Vec::from_iter(missing(&self.agrees())), names);
        self.assert_starts(false);
    }

    /// The loader gives up before it could list anything, and the closure has this to say.
    pub(crate) fn dies_of(&self, name: &str) {
        self.assert_starts(false);
        assert!(self.listing().is_err(), "the loader does not give up: {:?}", self.listing());
        assert_eq!(Vec::from_iter(missing(&self.closure())), [name]);
    }

    /// The loader finds all libraries, but not this version in this one of them, and so says the closure.
    pub(crate) fn lacks(&self, library: &str, version: &str) {
        let output = self.output();
        let says_so = !output.status.success() && text_of(&output).contains(version);
        assert!(says_so, "{}\n{}", output.status, text_of(&output));
        assert_eq!(self.missing_versions(), [(library.to_owned(), version.to_owned())]);
    }

    /// The program starts, and has these libraries of the bench besides its C library, whatever its loader would list.
    pub(crate) fn has(&self, libraries: &[&str]) {
        let loaded = self.loaded();
        let loaded: Vec<&String> = loaded.iter().filter(|path| !path.ends_with("/libc.so.6")).collect();
        assert_eq!(loaded, libraries);
        self.starts_with(libraries);
    }

    /// The program does not start, and the closure has this library as the only one that is missing.
    pub(crate) fn lacks_library(&self, name: &str) {
        self.assert_starts(false);
        assert_eq!(Vec::from_iter(missing(&self.closure())), [name]);
    }

    /// The program starts, and all that is opened for it in the bench is this, in the order of the paths, in the closure
    /// and to the kernel.
    pub(crate) fn opens(&self, files: &[&str]) -> Closure {
        let closure = self.closure();
        let mut opened = self.opened(&closure);
        opened.sort();
        assert_eq!(opened, files);
        assert_eq!(self.opened_by_kernel(), files);
        self.assert_starts(true);
        assert_eq!(missing(&closure), BTreeSet::new());
        closure
    }

    /// What the closure says is missing, each a version of a library.
    pub(crate) fn missing_versions(&self) -> Vec<(String, String)> {
        let text = |text: &OsStr| text.to_str().unwrap().to_owned();
        let closure = self.closure();
        let missing = closure.missing().iter();
        missing.map(|missing| (text(missing.name()), text(missing.version().unwrap()))).collect()
    }

    /// The program starts, whatever its loader lists, and the closure has opened these files of the bench.
    pub(crate) fn starts_with(&self, opened: &[&str]) {
        let closure = self.closure();
        assert_eq!(self.opened(&closure), opened);
        assert_eq!(missing(&closure), BTreeSet::new());
        self.assert_starts(true);
    }

    /// The kernel does not start the program, and the closure names its interpreter as missing.
    pub(crate) fn has_no_interpreter(&self) {
        let output = self.command(&self.seen(&self.started_as)).output();
        assert!(!output.is_ok_and(|output| output.status.success()), "the program starts");
        assert_eq!(Vec::from_iter(missing(&self.closure())), [self.interpreter()]);
    }

    /// The closure is complete just where the program starts.
    pub(crate) fn agrees_with_run(&self) {
        self.assert_starts(self.closure().missing().is_empty());
    }

    /// The closure of the program is complete just where it starts, and then has the libraries that it has.
    pub(crate) fn agrees_about_libraries(&self) {
        self.agrees_with_run();
        if self.output().status.success() {
            let closure = self.closure();
            self.has(&self.opened(&closure).iter().map(String::as_str).collect::<Vec<_>>());
        }
    }

    pub(crate) fn closure(&self) -> Closure {
        self.collector.collect(&self.started_as).unwrap()
    }

    /// An image of the program.
    pub(crate) fn image(&self) -> ImageBuilder {
        let mut builder = Image::builder();
        builder.collector(self.collector.clone()).binary(&self.started_as);
        if let Some(directory) = &self.workdir {
            builder.workdir(directory);
        }
        builder
    }

    pub(crate) fn pack(&self) -> Option<Packed> {
        let packed = Packed::of(self.image().build().unwrap())?;
        Some(match &self.workdir {
            Some(directory) => packed.in_directory(directory),
            None => packed,
        })
    }

    pub(crate) fn assert_starts(&self, starts: bool) {
        let output = self.output();
        let expected = if starts { 0 } else { DOES_NOT_START };
        assert_eq!(output.status.code(), Some(expected), "{}", text_of(&output));
    }

    pub(crate) fn output(&self) -> Output {
        self.command(&self.seen(&self.started_as)).output().unwrap()
    }

    /// Lets the loader start the program, with options.
    pub(crate) fn output_of_loader(&self, options: &[&str]) -> Output {
        let mut loader = self.command(Path::new(&self.interpreter()));
        loader.args(options).arg(self.seen(&self.started_as)).output().unwrap()
    }

    /// The files of the bench that are libraries of the program when it runs.
    pub(crate) fn loaded(&self) -> Vec<String> {
        let told = told_by(&self.output(), self.interpreter().as_ref());
        self.in_bench(told.iter().map(|path| self.start.absolute(path)).collect())
    }

    /// Closure and loader say the same.
    pub(crate) fn agrees(&self) -> Closure {
        let closure = self.closure();
        compare(&closure, &self.listing().unwrap(), &self.interpreter()).unwrap_or_else(|words| panic!("{words}"));
        closure
    }

    pub(crate) fn listing(&self) -> Result<Listing, String> {
        let program = self.seen(&self.started_as);
        let interpreter = self.interpreter();
        match self.libc {
            Libc::Glibc => loader::list(&mut self.tracing().command(&program), &interpreter),
            Libc::Musl => loader::list(self.command(Path::new(&interpreter)).arg("--list").arg(program), &interpreter),
        }
    }

    /// That of the program.
    pub(crate) fn interpreter(&self) -> String {
        loader::dynamic(self.started_as.clone()).unwrap().interpreter
    }

    /// A path as the program sees it.
    fn seen(&self, path: &Path) -> PathBuf {
        let inside = path.strip_prefix(self.directory.path()).unwrap();
        Path::new(if self.start.has_root() { "/" } else { self.base() }).join(inside)
    }

    fn command(&self, program: &Path) -> Command {
        self.start.command(program)
    }

    /// The files of the bench that a process of the program opens, in the order of their paths.
    fn opened_by_kernel(&self) -> Vec<String> {
        let log = self.make_room("log");
        let mut strace = self.command(&tools::find("strace").unwrap());
        strace.args(["-e", "trace=openat", "-o"]).arg(&log).arg(&self.started_as).output().unwrap();
        let log = fs::read_to_string(log).unwrap();
        let opened = log.lines().filter(|line| !line.contains(" = -1 ")).filter_map(|line| line.split('"').nth(1));
        let opened: BTreeSet<String> = opened.map(str::to_owned).collect();
        self.in_bench(opened.into_iter().collect())
    }

    /// Lets the loader list what it loads.
    fn tracing(&self) -> Start {
        let mut start = self.start.clone();
        start.env("LD_TRACE_LOADED_OBJECTS", "1");
        start
    }

    /// Without what every program has.
    fn opened(&self, closure: &Closure) -> Vec<String> {
        let ours = closure.objects().iter().skip(1).filter(|object| object.name() != "libc.so.6");
        self.in_bench(ours.map(|object| object.opened().to_str().unwrap().to_owned()).collect())
    }

    /// Those of these paths that are in the bench.
    fn in_bench(&self, paths: Vec<String>) -> Vec<String> {
        let inside = paths.iter().filter_map(|path| path.strip_prefix(self.base())?.strip_prefix('/'));
        inside.map(str::to_owned).collect()
    }
}

/// The codes of what is to be said of a closure.
pub(crate) fn codes(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(Finding::code).collect()
}

/// The libraries that a program says it has; it says so of its loader and of the vDSO as well.
pub(crate) fn told_by(output: &Output, interpreter: &Path) -> Vec<String> {
    assert!(output.status.success(), "{}", text_of(output));
    // The program itself is the first, with or without a name.
    let lines = std::str::from_utf8(&output.stdout).unwrap().lines().skip(1).map(str::to_owned);
    lines.filter(|line| !loader::is_of_kernel(line) && Path::new(line) != interpreter).collect()
}

/// In a process of its own: what another thread starts meanwhile would hold a file of this process open for writing, and
/// the kernel starts no such program.
fn copy(from: &Path, to: &Path) {
    tools::run(command("cp").arg(from).arg(to));
}
