//! The closure of a program: the objects that the dynamic loader would load for it, and from where.

mod cache;
mod closure;
mod data;
mod expand;
mod explain;
mod extra;
mod files;
mod findings;
#[cfg(fuzzing)]
pub mod fuzzing;
mod glibc;
mod glob;
mod hidden;
mod image_path;
mod lacks;
mod late;
mod ld_cache;
mod ld_conf;
mod loader;
mod members;
mod merge;
mod musl;
mod named;
mod place;
mod process;
mod replay;
mod requirements;
mod runs;
mod search;
mod setting;
mod source;
mod tokens;
mod told;
mod versions;
mod wanted;
mod weight;
mod work;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::analyze::Priority;
use crate::error::{Cause, Result};
use crate::limits::MAX_PATH_ELEMENTS;
use crate::need::Need;
use crate::root::{Fault, Root};
use crate::trace::{Refusal, Why};
use cache::Cache;
pub(crate) use process::{Asked, Unloaded};
use process::{Loaded, Loading};
use search::{Anchor, Place};
use wanted::Wanted;
use work::Work;

pub use closure::{Closure, Object, Request};
pub(crate) use closure::{InSystem, LoaderFacts};
pub use explain::{Explanation, Link};
pub(crate) use extra::{Extra, ExtraContent, Origin};
pub(crate) use files::{Opened, Parsed, Spot, World};
pub(crate) use image_path::{impossible, unopenable};
pub(crate) use ld_cache::{Listed, write as write_ld_cache};
pub use loader::Libc;
pub(crate) use loader::{LoaderBuild, LoaderText};
pub(crate) use musl::BUILTIN as MUSL_BUILTIN;
pub(crate) use musl::PathFile;
pub(crate) use place::Item;
pub(crate) use replay::{Answered, Replay, ReplayStart, replay};
pub(crate) use search::FileTree;
pub(crate) use setting::{Cpu, SYSTEM_PRELOAD, Setting, excludes};
pub(crate) use source::Source;
pub use weight::Weight;

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
    needs: Vec<Need>,
    is_auto: bool,
    dlopen: Priority,
    libraries: Vec<PathBuf>,
    exclude: Vec<String>,
    image: ImageFacts,
}

/// What of an image matters to what its programs need.
#[derive(Clone, Debug, Default)]
pub(crate) struct ImageFacts {
    /// Who it runs as: user and group.
    pub(crate) user: Option<(u32, Option<u32>)>,
    /// Its environment: `NAME=VALUE`.
    pub(crate) environment: Vec<String>,
    /// The paths at which the caller puts something.
    pub(crate) provided: Vec<PathBuf>,
    /// What is met for others of its programs, and has one list for all of them.
    pub(crate) shared: Vec<Need>,
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

    /// Meets a need, found or not: `with(Need::CaCertificates)`.
    ///
    /// It is an error of [`Collector::collect`] if the root has nothing that meets it
    /// ([`Unmet`](crate::ErrorKind::Unmet)).
    pub fn with(&mut self, need: Need) -> &mut Self {
        match need {
            Need::Library(name) => self.libraries.push(name.into()),
            need => self.needs.push(need),
        }
        self
    }

    /// Meets every need that the program's files tell of, as far as the root has what it takes.
    pub fn auto(&mut self) -> &mut Self {
        self.is_auto = true;
        self
    }

    /// Includes the libraries that objects say they load by themselves, from this priority on; `Recommended` by default
    /// (UAPI group, "ELF dlopen metadata").
    pub fn dlopen(&mut self, least: Priority) -> &mut Self {
        self.dlopen = least;
        self
    }

    /// Adds a library that the program loads by itself (dlopen(3)), with its closure: a name to search for as the
    /// program's loader would, or a path on this machine.
    ///
    /// A path stays what it is in a sysroot, below a directory of the system, and where the program names it; from elsewhere
    /// the library goes into the loader's first builtin directory, under its file name. A static program loads none.
    pub fn library(&mut self, name: impl Into<PathBuf>) -> &mut Self {
        self.libraries.push(name.into());
        self
    }

    /// Leaves out libraries whose name matches a pattern (glob(7)), and what only they need: whoever runs the image
    /// provides them. `libcuda.so.1`, `libnvidia-*`.
    pub fn exclude(&mut self, pattern: impl Into<String>) -> &mut Self {
        self.exclude.push(pattern.into());
        self
    }

    pub(crate) fn in_image(&mut self, image: ImageFacts) -> &mut Self {
        self.image = image;
        self
    }

    /// Whether an install path was given, which only one program can have.
    pub(crate) fn installs(&self) -> bool {
        self.install.is_some()
    }

    /// The patterns of what is left out.
    pub(crate) fn excluding(&self) -> &[String] {
        &self.exclude
    }

    /// Finds the closure of the program at `path`, a path on this machine.
    ///
    /// Libraries that are not found are no error here: [`Closure::missing`] lists them.
    ///
    /// # Errors
    /// What is wrong with the program itself ([`NotFound`](crate::ErrorKind::NotFound),
    /// [`NotElf`](crate::ErrorKind::NotElf), [`Malformed`](crate::ErrorKind::Malformed),
    /// [`NotAProgram`](crate::ErrorKind::NotAProgram)), a loader of an unknown C library
    /// ([`Unsupported`](crate::ErrorKind::Unsupported)), needs that nothing meets ([`Unmet`](crate::ErrorKind::Unmet)), a root
    /// or an `install` path that is none.
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
        let work = Work {
            root,
            machine,
            library_path,
            install,
            working_directory: working_directory.map(Path::to_owned),
            hwcaps: self.hwcaps.clone(),
            wanted: Wanted { needs: self.needs.clone(), is_auto: self.is_auto, image: self.image.clone() },
            least: self.dlopen,
            libraries: self.libraries.clone(),
            exclude: self.exclude.iter().map(|pattern| pattern.clone().into_bytes()).collect(),
        };
        work.collect(path)
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
            .on(INSTALL, path)),
            Some(path) => match impossible(path) {
                Some(why) => Err(Cause::InvalidOption(vec![why.into()]).on(INSTALL, path)),
                None => Ok(Some(path.components().collect())),
            },
            None => Ok(None),
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
        if let Some(dir) = self.library_path.get(MAX_PATH_ELEMENTS) {
            let why = format!("it is one of more than {MAX_PATH_ELEMENTS} directories, which is the limit");
            return Err(Cause::InvalidOption(vec![why]).on("search the library path", dir));
        }
        let place = |dir: &PathBuf| {
            let path = std::path::absolute(dir).map_err(|error| Cause::from(error).on("search", dir))?;
            let cause = match std::fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => None,
                Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    Some(Cause::Io(error))
                }
                _ => Some(Cause::InvalidOption(vec![
                    "it is no directory of this machine; give one that has libraries".into(),
                ])),
            };
            if let Some(cause) = cause {
                return Err(cause.on("search the library path", dir));
            }
            Ok(Place { spot: Spot { world: World::Machine, path }, anchor: Anchor::Caller { below: OsString::new() } })
        };
        self.library_path.iter().map(place).collect()
    }
}

const INSTALL: &str = "install the program as";

/// Runs the rules of the program's own libc over a file tree. What is loaded while the program runs, and lacks something,
/// is left out where the program gets on without.
fn load<T: FileTree>(
    tree: &T,
    build: &LoaderBuild,
    cache: Option<&Cache<'_>>,
    setting: &Setting,
    program: Loaded,
    interpreter: Loaded,
) -> Loading {
    let once = |setting: &Setting, program, interpreter| match build {
        LoaderBuild::Glibc(build) => glibc::load(&glibc::Start { tree, build, cache, setting }, program, interpreter),
        LoaderBuild::Musl(build) => {
            musl::load(&musl::Start { tree, directories: &build.directories, setting }, program, interpreter)
        }
    };
    let mut setting = setting.clone();
    let mut given_up: Vec<Unloaded> = Vec::new();
    loop {
        let mut loading = once(&setting, program.clone(), interpreter.clone());
        let incomplete = loading.unloaded.iter().filter(|unloaded| unloaded.is_incomplete).cloned();
        let incomplete: Vec<Unloaded> = incomplete.collect();
        if incomplete.is_empty() {
            loading.unloaded.extend(given_up);
            return loading;
        }
        let without = incomplete.iter().map(|unloaded| (unloaded.by, unloaded.asked));
        Arc::make_mut(&mut setting.by_itself).without.extend(without);
        given_up.extend(incomplete);
    }
}

fn refusal_of(fault: Fault) -> Refusal {
    match fault {
        Fault::Directory => Refusal::new(Why::Directory),
        Fault::Special => Refusal::with(Why::NotElf, "not a regular file"),
        Fault::OfKernel => Refusal::with(Why::NotElf, "a file of the kernel's own"),
        Fault::Loop => Refusal::new(Why::Loop),
        fault if fault.is_absence() => Refusal::new(Why::Absent),
        Fault::System(errno) => Refusal::with(Why::Unreadable, std::io::Error::from(errno).to_string()),
    }
}
