//! The closure of a program: the objects that the dynamic loader would load for it, and from where.

mod cache;
mod closure;
mod expand;
mod explain;
mod files;
mod findings;
mod glibc;
mod glob;
mod ld_cache;
mod ld_conf;
mod loader;
mod merge;
mod musl;
mod place;
mod process;
mod replay;
mod runs;
mod search;
mod setting;
mod tokens;
mod versions;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::analyze::Machine;
use crate::analyze::glibc as facts;
use crate::error::{Cause, Result};
use crate::finding::Finding;
use crate::root::{Fault, Root};
use crate::trace::{Attempt, Missing, Refusal, Rule, Why};
use cache::Cache;
use files::Files;
use loader::GlibcBuild;
use musl::PathFile;
use place::{Layout, ProgramPlace};
use process::{Loaded, Loading, NotFound, PROGRAM};
use runs::Runs;
use search::{Anchor, Found, Place};

pub use closure::{Closure, Object, Request};
pub(crate) use closure::{InSystem, LoaderFacts, Source};
pub use explain::{Explanation, Link};
pub(crate) use files::{Opened, Parsed, Spot, World};
pub(crate) use ld_cache::{Listed, write as write_ld_cache};
pub use loader::Libc;
pub(crate) use loader::{LoaderBuild, LoaderText};
pub(crate) use musl::BUILTIN as MUSL_BUILTIN;
pub(crate) use place::Item;
pub(crate) use replay::{Answered, Replay, ReplayStart, replay};
pub(crate) use search::FileTree;
pub(crate) use setting::{Cpu, Setting};

/// Bytes of an ld.so.cache that are believed; one of 10,000 libraries has about 1 MiB.
const MAX_CACHE: u64 = 64 << 20;

/// Bytes of an ld.so.preload that are looked at.
const MAX_PRELOAD: u64 = 64 << 10;

/// Finds the closure of a program. [`Closure::of`] is the short way.
///
/// ```no_run
/// let closure = scratchpack::Collector::new().library_path("build/lib").collect("build/app")?;
/// for object in closure.objects() {
///     println!("{}", object.source().display());
/// }
/// # Ok::<(), scratchpack::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Collector {
    sysroot: Option<PathBuf>,
    library_path: Vec<PathBuf>,
    install: Option<PathBuf>,
    working_directory: Option<PathBuf>,
    hwcaps: Option<String>,
}

impl Collector {
    /// A collector for this machine's own file tree.
    pub fn new() -> Self {
        Collector::default()
    }

    /// Takes `dir` for `/`: the interpreter, the libraries, the loader's cache and all symlinks are looked up in it.
    ///
    /// Where it has no `ld.so.cache`, its `ld.so.conf` tells what ldconfig would put there, and a finding says so.
    pub fn sysroot(&mut self, dir: impl Into<PathBuf>) -> &mut Self {
        self.sysroot = Some(dir.into());
        self
    }

    /// Adds a directory of this machine that is searched as one in `LD_LIBRARY_PATH` would be (ld.so(8)).
    ///
    /// What is found there goes into the loader's first builtin directory in the image.
    pub fn library_path(&mut self, dir: impl Into<PathBuf>) -> &mut Self {
        self.library_path.push(dir.into());
        self
    }

    /// The program's path in the image; `/<file name>` by default, or below `/opt/<file name>/` where its closure uses
    /// its `$ORIGIN`.
    pub fn install(&mut self, path: impl Into<PathBuf>) -> &mut Self {
        self.install = Some(path.into());
        self
    }

    /// The absolute path in the image of the working directory of its processes. Names and search paths that are
    /// relative mean it (ld.so(8)); without one they are refused.
    pub fn workdir(&mut self, path: impl Into<PathBuf>) -> &mut Self {
        self.working_directory = Some(path.into());
        self
    }

    /// Adds the variants of libraries for CPUs up to this glibc-hwcaps level (ld.so(8), "Hardware capabilities"):
    /// `x86-64-v3`, or `all`. By default only what runs on every CPU of the machine is taken.
    pub fn hwcaps(&mut self, level: impl Into<String>) -> &mut Self {
        self.hwcaps = Some(level.into());
        self
    }

    /// Whether an install path was given, which only one program can have.
    pub(crate) fn installs(&self) -> bool {
        self.install.is_some()
    }

    /// Finds the closure of the program at `path`, a path on this machine.
    ///
    /// Libraries that are not found are no error here: [`Closure::missing`] lists them.
    ///
    /// # Errors
    /// What is wrong with the program itself ([`NotFound`](crate::ErrorKind::NotFound),
    /// [`NotElf`](crate::ErrorKind::NotElf), [`Malformed`](crate::ErrorKind::Malformed),
    /// [`NotAProgram`](crate::ErrorKind::NotAProgram)), a loader of an unknown C library
    /// ([`Unsupported`](crate::ErrorKind::Unsupported)), a root or an `install` path that is none.
    pub fn collect(&self, path: impl AsRef<Path>) -> Result<Closure> {
        let path = path.as_ref();
        let machine = Arc::new(Root::host()?);
        let root = match &self.sysroot {
            Some(dir) => Arc::new(Root::at(dir)?),
            None => machine.clone(),
        };
        let install = self.checked_install()?;
        let library_path = self.places_of_library_path()?;
        let working_directory = self.checked_working_directory()?;
        let hwcaps = self.hwcaps.as_deref();
        let work = Work { root, machine, library_path, install: install.as_deref(), working_directory, hwcaps };
        work.collect(path).map_err(|cause| cause.on("analyze", path))
    }

    /// The install path with its `.` and doubled slashes taken out.
    fn checked_install(&self) -> Result<Option<PathBuf>> {
        let is_plain = |path: &Path| {
            path.is_absolute()
                && path.file_name().is_some()
                && !path.as_os_str().as_encoded_bytes().ends_with(b"/")
                && path.components().all(|component| component != std::path::Component::ParentDir)
        };
        match self.install.as_deref() {
            Some(path) if !is_plain(path) => Err(Cause::InvalidOption(vec![
                "the program's path in the image must be absolute, end in a file name, and have no `..`".into(),
            ])
            .on("install the program as", path)),
            other => Ok(other.map(|path| path.components().collect())),
        }
    }

    fn checked_working_directory(&self) -> Result<Option<&Path>> {
        match self.working_directory.as_deref() {
            Some(path) if !path.is_absolute() => {
                Err(Cause::InvalidOption(vec!["it must be absolute".into()]).on("use as working directory", path))
            }
            other => Ok(other),
        }
    }

    fn places_of_library_path(&self) -> Result<Vec<Place>> {
        let place = |dir: &PathBuf| {
            let path = std::path::absolute(dir).map_err(|error| Cause::from(error).on("search", dir))?;
            if !path.is_dir() {
                let cause = Cause::InvalidOption(vec!["it is no directory of this machine".into()]);
                return Err(cause.on("search the library path", dir));
            }
            Ok(Place { spot: Spot { world: World::Machine, path }, anchor: Anchor::Caller { below: OsString::new() } })
        };
        self.library_path.iter().map(place).collect()
    }
}

/// One run of a collector.
struct Work<'a> {
    root: Arc<Root>,
    machine: Arc<Root>,
    library_path: Vec<Place>,
    install: Option<&'a Path>,
    working_directory: Option<&'a Path>,
    hwcaps: Option<&'a str>,
}

impl FileTree for Files<'_> {
    fn open(&self, spot: &Spot) -> Result<Opened, Fault> {
        Files::open(self, spot)
    }

    fn is_directory(&self, world: World, path: &Path) -> bool {
        self.walker(world).directory(path).is_ok()
    }
}

impl Work<'_> {
    fn collect(&self, path: &Path) -> Result<Closure, Cause> {
        let files = Files::new(&self.root, &self.machine);
        let absolute = std::path::absolute(path)?;
        let name = absolute.file_name().ok_or_else(|| Fault::Directory.into_cause())?.to_owned();
        let program = self.open_program(&files, absolute, &name)?;
        let has_capabilities = files.has_capabilities(&program.place.spot);
        let run = match program.elf.interpreter().map(OsStr::to_owned) {
            Some(interpreter) => self.run(&files, program, interpreter, has_capabilities)?,
            None => Run::without_loader(program),
        };
        self.finish(&files, &name, Run { has_capabilities, ..run })
    }

    /// The program, by its path in the root where it lies in there.
    fn open_program(&self, files: &Files<'_>, path: PathBuf, name: &OsStr) -> Result<Loaded, Cause> {
        let place = match self.path_in_root(files, &path, name)? {
            Some(path) => Place::fixed(path),
            None => Place { spot: Spot { world: World::Machine, path }, anchor: Anchor::Fixed },
        };
        let opened = files.open(&place.spot).map_err(Fault::into_cause)?;
        let elf = opened.parsed.elf.as_ref().map_err(Cause::restated)?.clone();
        elf.check_program()?;
        let origins = self.origins(&place.spot, &opened.walk.real);
        Ok(Loaded::new(name.to_owned(), Found::plain(place, Rule::Requested, opened), elf, origins))
    }

    /// The path in the root of a path of this machine, if it lies in there. Only its directory is resolved on this
    /// machine: the file itself may be a symlink, which means something in the root.
    fn path_in_root(&self, files: &Files<'_>, path: &Path, name: &OsStr) -> Result<Option<PathBuf>, Cause> {
        if self.root.is_host() {
            return Ok(Some(path.to_owned()));
        }
        let directory = files.walker(World::Machine).directory(path.parent().unwrap_or(path));
        let real = directory.map_err(Fault::into_cause)?.real;
        let rest = real.strip_prefix(self.root.real_directory()).ok();
        Ok(rest.map(|rest| Path::new("/").join(rest).join(name)))
    }

    /// `$ORIGIN` is of the real file (ld.so(8)). A program from outside the root has its libraries beside it, or in
    /// the root where it will be installed.
    fn origins(&self, spot: &Spot, real: &Path) -> Vec<Spot> {
        let directory = |path: &Path| path.parent().unwrap_or(path).to_owned();
        let beside = Spot { world: spot.world, path: directory(real) };
        match spot.world {
            World::Root => vec![beside],
            World::Machine => {
                let installed = self.install.map_or_else(|| PathBuf::from("/"), directory);
                vec![beside, Spot { world: World::Root, path: installed }]
            }
        }
    }

    fn run<'f>(
        &self,
        files: &'f Files<'f>,
        program: Loaded,
        interpreter: OsString,
        has_capabilities: bool,
    ) -> Result<Run, Cause> {
        let place = Place::fixed(PathBuf::from(&interpreter));
        if !place.spot.path.is_absolute() {
            return Err(Cause::Unsupported(
                "its interpreter is a path relative to the working directory; link it with an absolute one".into(),
            ));
        }
        let found = match self.open_interpreter(files, &place, &program) {
            Ok(opened) => Found::plain(place, Rule::Interpreter, opened),
            Err(refusal) => return Ok(self.without_interpreter(program, place, refusal)),
        };
        let text = LoaderText::of(&loader::parts(files, &found.place.spot).map_err(Fault::into_cause)?);
        let machine = program.elf.machine();
        let Some(build) = text.build(&found.place.spot.path, machine, |path| PathFile::read(files, path)) else {
            return Err(Cause::Unsupported(format!(
                "its interpreter {} is the loader of neither glibc nor musl",
                crate::text::printable(&interpreter)
            )));
        };
        // An interpreter that could not be read was refused before.
        let elf = found.opened.parsed.elf.as_ref().map_or_else(|_| program.elf.clone(), Arc::clone);
        let interpreter = Loaded::new(interpreter, found, elf, Vec::new());
        let cache = match &build {
            LoaderBuild::Glibc(build) => self.cache(files, build, machine),
            LoaderBuild::Musl(_) => None,
        };
        let setting = self.setting(has_capabilities || program.opened.parsed.stamp.gains_rights());
        let levels = self.levels(machine)?;
        let runs = Runs::all(&setting, machine, levels, |setting| {
            load(files, &build, cache.as_ref(), setting, program.clone(), interpreter.clone())
        });
        let no_cache = cache.as_ref().and_then(Cache::as_unbuilt);
        let no_cache = no_cache.and_then(|cache| findings::no_cache(&runs.loading, cache));
        Ok(Run { build: Some(build), no_cache, ..Run::of(runs) })
    }

    /// The loader's cache. A sysroot may come without one, as packages leave it; this machine itself is as it is.
    fn cache<'f>(&self, files: &'f Files<'f>, build: &GlibcBuild, machine: Machine) -> Option<Cache<'f>> {
        match files.read(&build.cache, MAX_CACHE) {
            Ok(bytes) => Cache::of_file(bytes, machine.byte_order),
            Err(fault) if fault.is_absence() && !self.root.is_host() => {
                Some(Cache::unbuilt(files, &build.cache.with_file_name("ld.so.conf"), machine))
            }
            Err(_) => None,
        }
    }

    fn setting(&self, is_secure: bool) -> Setting {
        Setting {
            library_path: self.library_path.as_slice().into(),
            working_directory: self.working_directory.map(Path::to_owned),
            is_secure,
            ..Setting::default()
        }
    }

    /// The glibc-hwcaps levels for which variants are wanted: the one that was named, and those below it.
    fn levels(&self, machine: Machine) -> Result<&'static [&'static str], Cause> {
        let known = facts::levels(machine);
        match self.hwcaps {
            None => Ok(&[]),
            Some("all") => Ok(known),
            Some(level) => match known.iter().position(|known| *known == level) {
                Some(at) => Ok(&known[at..]),
                None => Err(Cause::InvalidOption(vec![format!(
                    "`{}` is no glibc-hwcaps level of {}; give {}all",
                    level.escape_debug(),
                    machine.name(),
                    known.iter().map(|level| format!("{level}, ")).collect::<String>()
                )])),
            },
        }
    }

    fn open_interpreter(&self, files: &Files<'_>, place: &Place, program: &Loaded) -> Result<Opened, Refusal> {
        let opened = files.open(&place.spot).map_err(refusal_of)?;
        let own = program.elf.machine();
        match (opened.parsed.machine.and_then(|other| own.mismatch(other)), &opened.parsed.elf) {
            (Some(refusal), _) => Err(refusal),
            (None, Err(cause)) => Err(Refusal::with(Why::NotElf, cause.to_string())),
            (None, Ok(_)) => Ok(opened),
        }
    }

    fn without_interpreter(&self, program: Loaded, place: Place, refusal: Refusal) -> Run {
        let note = self.how_to_get_interpreter(&program, &refusal);
        let name = place.spot.path.clone().into_os_string();
        let attempt = Attempt { path: place.spot.path, rule: Rule::Interpreter, owner: None, refusal };
        let not_found =
            NotFound { name, version: None, needed_by: vec![PROGRAM], tried: vec![attempt], note: Some(note) };
        let mut run = Run::without_loader(program);
        run.loading.not_found.push(not_found);
        run
    }

    fn how_to_get_interpreter(&self, program: &Loaded, refusal: &Refusal) -> String {
        let machine = program.elf.machine();
        if refusal.why != Why::Absent || !self.root.is_host() {
            "its interpreter (PT_INTERP), which cannot be used".to_owned()
        } else if machine.is_this_machine() {
            "its interpreter (PT_INTERP), which this machine does not have; install the C library that it was linked \
             with, or give the root directory of a system that has it as sysroot"
                .to_owned()
        } else {
            format!(
                "its interpreter (PT_INTERP), which this machine does not have: the program is for {}; give the root \
                 directory of such a system as sysroot",
                machine.name()
            )
        }
    }

    fn finish(&self, files: &Files<'_>, name: &OsStr, run: Run) -> Result<Closure, Cause> {
        let Run { loading, build, cpus, platforms, no_cache, has_capabilities } = run;
        let program = ProgramPlace { name, install: self.install };
        let builtin = build.as_ref().and_then(|build| build.directories().first().cloned());
        let builtin = builtin.unwrap_or_else(|| PathBuf::from("/lib"));
        let layout = place::lay_out(files, &loading.objects, &program, builtin).map_err(Fault::into_cause)?;
        let mut findings = findings::of(&loading, &layout, build.as_ref());
        let has_missing = !loading.not_found.is_empty();
        if !platforms.is_empty() && !has_missing {
            findings.push(findings::platform(&layout.paths[PROGRAM], &cpus, &platforms));
        }
        findings.extend(no_cache);
        findings.extend(build.as_ref().and_then(|build| self.system_preload(files, build.libc())));
        let missing = missing(&loading, &layout, name);
        let is_foreign = loading.objects.len() == 1
            && self.root.is_host()
            && !loading.objects[PROGRAM].elf.machine().is_this_machine()
            && !missing.is_empty();
        Ok(closure::assemble(closure::Parts {
            has_capabilities,
            loading,
            layout,
            missing,
            findings,
            is_foreign,
            build,
            cpus,
            root_of: [self.root.clone(), self.machine.clone()],
        }))
    }

    /// What glibc's loader is told to load into every program (ld.so(8)).
    fn system_preload(&self, files: &Files<'_>, libc: Libc) -> Option<Finding> {
        if libc != Libc::Glibc {
            return None;
        }
        let list = files.read(Path::new("/etc/ld.so.preload"), MAX_PRELOAD).ok()?;
        let list = String::from_utf8_lossy(&list);
        let lines = list.lines().map(|line| line.split('#').next().unwrap_or_default());
        let names = lines.flat_map(|line| line.split([' ', '\t', ':'])).filter(|name| !name.is_empty());
        let names: Vec<&str> = names.collect();
        (!names.is_empty()).then(|| findings::system_preload(&names.join(", ")))
    }
}

/// What a loader made of a program, and the loader's own facts.
struct Run {
    loading: Loading,
    build: Option<LoaderBuild>,
    cpus: Vec<Cpu>,
    platforms: Vec<Cpu>,
    no_cache: Option<Finding>,
    has_capabilities: bool,
}

impl Run {
    fn of(runs: Runs) -> Run {
        let Runs { loading, cpus, platforms } = runs;
        Run { loading, build: None, cpus, platforms, no_cache: None, has_capabilities: false }
    }

    fn without_loader(program: Loaded) -> Run {
        let loading = Loading { objects: vec![program], order: vec![PROGRAM], ..Loading::default() };
        Run::of(Runs { loading, cpus: Vec::new(), platforms: Vec::new() })
    }
}

/// Runs the rules of the program's own libc over a file tree.
fn load<T: FileTree>(
    tree: &T,
    build: &LoaderBuild,
    cache: Option<&Cache<'_>>,
    setting: &Setting,
    program: Loaded,
    interpreter: Loaded,
) -> Loading {
    match build {
        LoaderBuild::Glibc(build) => glibc::load(&glibc::Start { tree, build, cache, setting }, program, interpreter),
        LoaderBuild::Musl(build) => {
            musl::load(&musl::Start { tree, directories: &build.directories, setting }, program, interpreter)
        }
    }
}

fn refusal_of(fault: Fault) -> Refusal {
    match fault {
        Fault::Directory => Refusal::new(Why::Directory),
        Fault::Special => Refusal::with(Why::NotElf, "not a regular file"),
        Fault::Loop => Refusal::new(Why::Loop),
        fault if fault.is_absence() => Refusal::new(Why::Absent),
        Fault::System(errno) => Refusal::with(Why::Unreadable, std::io::Error::from(errno).to_string()),
    }
}

fn missing(loading: &Loading, layout: &Layout, program: &OsStr) -> Vec<Missing> {
    let missing = |not_found: &NotFound| Missing {
        name: not_found.name.clone(),
        version: not_found.version.clone(),
        program: program.to_owned(),
        needed_by: not_found.needed_by.iter().map(|&object| layout.paths[object].clone()).collect(),
        via: not_found
            .needed_by
            .iter()
            .all(|&object| object != PROGRAM)
            .then(|| loading.objects[not_found.needed_by[0]].name.clone()),
        tried: not_found.tried.clone(),
        note: not_found.note.clone(),
    };
    loading.not_found.iter().map(missing).collect()
}
