//! One run of a collector: from a program's path to its closure.

mod needs;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::cache::Cache;
use super::closure::{self, Closure};
use super::files::{Files, Opened, Spot, World};
use super::late::{Known, Late, Search};
use super::loader::{GlibcBuild, Libc, LoaderBuild, LoaderText};
use super::musl::PathFile;
use super::named::Constants;
use super::place::{self, ProgramPlace};
use super::process::{Loaded, Loading, NotFound, PROGRAM};
use super::runs::Runs;
use super::search::{Anchor, Found, Place};
use super::setting::{ByItself, Cpu, Library, SYSTEM_PRELOAD, Setting, preloaded};
use super::wanted::{Met, Wanted};
use super::{findings, load, refusal_of};
use rustix::io::Errno;

use crate::analyze::{Machine, Priority, glibc};
use crate::error::{Cause, Result};
use crate::finding::Finding;
use crate::root::{Fault, Input, Root};
use crate::text::printable;
use crate::trace::{Attempt, Missing, Refusal, Rule, Why};

/// Bytes of an ld.so.cache that are believed; one of 10,000 libraries has about 1 MiB.
const MAX_CACHE: u64 = 32 << 20;

/// Bytes of an ld.so.preload that are looked at.
const MAX_PRELOAD: u64 = 64 << 10;

/// One run of a collector.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) root: Arc<Root>,
    pub(super) machine: Arc<Root>,
    pub(super) library_path: Vec<Place>,
    pub(super) install: Option<PathBuf>,
    pub(super) working_directory: Option<PathBuf>,
    pub(super) hwcaps: Option<String>,
    pub(super) wanted: Wanted,
    /// The least priority of dlopen notes that count.
    pub(super) least: Priority,
    /// Names, or paths on this machine, of libraries that the program loads by itself.
    pub(super) libraries: Vec<PathBuf>,
    pub(super) exclude: Arc<[Vec<u8>]>,
}

impl Work {
    pub(super) fn collect(self, path: &Path) -> Result<Closure> {
        let roots = [self.root.clone(), self.machine.clone()];
        let collected = self.collect_believing(path, &roots);
        // What could not be read says nothing of what is there, and so there is nothing to conclude.
        match roots.iter().flat_map(|root| root.take_faults()).next() {
            Some(fault) => Err(fault),
            None => collected,
        }
    }

    /// The same, where everything could be read.
    fn collect_believing(self, path: &Path, [root, machine]: &[Arc<Root>; 2]) -> Result<Closure> {
        let files = Files::new(root, machine);
        let fail = |cause: Cause| match cause {
            unmet @ Cause::Unmet(_) => unmet.on("meet the needs of", path),
            cause => cause.on("analyze", path),
        };
        let (name, run) = self.search(&files, path).map_err(fail)?;
        expect_read(&run.loading)?;
        if let Some(excess) = &run.loading.excess {
            return Err(fail(Cause::malformed(excess)));
        }
        self.finish(&files, &name, run).map_err(fail)
    }

    /// The name of the program at `path`, and what its loader makes of it.
    fn search(&self, files: &Files<'_>, path: &Path) -> Result<(OsString, Run), Cause> {
        let absolute = std::path::absolute(path)?;
        let name = absolute.file_name().ok_or_else(|| Fault::Directory.into_cause())?.to_owned();
        let (program, input) = self.open_program(files, absolute, &name)?;
        let capabilities = input.capabilities()?;
        let gains_rights = capabilities.as_ref().is_some_and(|capabilities| capabilities.grant_rights);
        let run = match program.elf.interpreter().map(OsStr::to_owned) {
            Some(interpreter) => self.run(files, program, &input, interpreter, gains_rights)?,
            None => self.static_run(files, program, &input)?,
        };
        Ok((name, Run { has_capabilities: capabilities.is_some(), ..run }))
    }

    /// The program, by its path in the root where it lies in there; and its file, to be read further.
    fn open_program(&self, files: &Files<'_>, path: PathBuf, name: &OsStr) -> Result<(Loaded, Input), Cause> {
        let place = match self.path_in_root(files, &path, name)? {
            Some(path) => Place::fixed(path),
            None => Place { spot: Spot { world: World::Machine, path }, anchor: Anchor::Fixed },
        };
        let (opened, input) = files.open_to_read(&place.spot).map_err(Fault::into_cause)?;
        let elf = opened.parsed.elf.as_ref().map_err(Cause::restated)?.clone();
        elf.check_program()?;
        let origins = self.origins(&place.spot, &opened.walk.real);
        Ok((Loaded::new(name.to_owned(), Found::plain(place, Rule::Requested, opened), elf, origins), input))
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
                let installed = self.install.as_deref().map_or_else(|| PathBuf::from("/"), directory);
                vec![beside, Spot { world: World::Root, path: installed }]
            }
        }
    }

    fn run<'f>(
        &self,
        files: &'f Files<'f>,
        program: Loaded,
        program_file: &Input,
        interpreter: OsString,
        gains_rights: bool,
    ) -> Result<Run, Cause> {
        let place = Place::fixed(PathBuf::from(&interpreter));
        if !place.spot.path.is_absolute() {
            return Err(Cause::Unsupported(
                "its interpreter is a path relative to the working directory; link it with an absolute one".into(),
            ));
        }
        let (found, loader_file) = match self.open_interpreter(files, &place, &program) {
            Ok((opened, input)) => (Found::plain(place, Rule::Interpreter, opened), input),
            Err(refusal) => return Ok(self.without_interpreter(program, place, refusal)),
        };
        let build = loader_at(files, &found.place.spot, &loader_file, program.elf.machine())?;
        // An interpreter that could not be read was refused before.
        let elf = found.opened.parsed.elf.as_ref().map_or_else(|_| program.elf.clone(), Arc::clone);
        let interpreter = Loaded::new(interpreter, found, elf, Vec::new());
        let gains_rights = gains_rights || program.opened.parsed.stamp.gains_rights();
        let setting = self.setting(gains_rights, self.named_libraries(files, program_file)?);
        let constants = self.asks_for_needs().then(|| self.constants(&program.elf, program.hints(), program_file));
        self.run_of(files, build, [program, interpreter], constants, setting)
    }

    /// Runs the loader until what it loads meets its own needs.
    fn run_of<'f>(
        &self,
        files: &'f Files<'f>,
        build: LoaderBuild,
        [program, interpreter]: [Loaded; 2],
        constants: Option<Constants>,
        mut setting: Setting,
    ) -> Result<Run, Cause> {
        let machine = program.elf.machine();
        let cache = match &build {
            LoaderBuild::Glibc(build) => self.cache(files, build, machine)?,
            LoaderBuild::Musl(_) => None,
        };
        let levels = self.levels(machine)?;
        loop {
            let runs = Runs::all(&setting, machine, levels, |setting| {
                load(files, &build, cache.as_ref(), setting, program.clone(), interpreter.clone())
            });
            let known = constants.clone().map(|constants| {
                let program = [program.clone(), interpreter.clone()];
                let search =
                    Search { files, build: &build, cache: cache.as_ref(), setting: &setting, cpus: &runs.cpus };
                search.known(&runs.loading.names, program, constants)
            });
            let met = match &known {
                Some(known) => self.meet(files, &runs.loading, Some(&build), &known.constants)?,
                None => Met::default(),
            };
            let loadable = known.iter().flat_map(|known| &known.loadable);
            let more = self.libraries_of(&met, loadable, &setting);
            if more.is_empty() {
                let no_cache = cache.as_ref().and_then(Cache::as_unbuilt);
                let no_cache = no_cache.and_then(|cache| findings::no_cache(&runs.loading, cache));
                return Ok(Run { build: Some(build), no_cache, known, met, setting, ..Run::of(runs) });
            }
            Arc::make_mut(&mut setting.by_itself).libraries.extend(more);
        }
    }

    /// The loader's cache. A sysroot may come without one, as packages leave it; this machine itself is as it is.
    pub(super) fn cache<'f>(
        &self,
        files: &'f Files<'f>,
        build: &GlibcBuild,
        machine: Machine,
    ) -> Result<Option<Cache<'f>>, Cause> {
        match files.read_whole(&build.cache, MAX_CACHE) {
            Ok(bytes) => Ok(Cache::of_file(bytes, machine.byte_order)),
            Err(fault) if fault.is_absence() && !self.root.is_host() => {
                Ok(Some(Cache::unbuilt(files, &build.cache.with_file_name("ld.so.conf"), machine)))
            }
            Err(fault) if fault.is_absence() => Ok(None),
            Err(fault) => Err(unusable(&self.root.on_machine(&build.cache), fault)),
        }
    }

    fn setting(&self, is_secure: bool, libraries: Vec<Library>) -> Setting {
        let least = Some(self.least);
        Setting {
            by_itself: Arc::new(ByItself { least, libraries, without: Vec::new() }),
            exclude: self.exclude.clone(),
            library_path: self.library_path.as_slice().into(),
            working_directory: self.working_directory.clone(),
            is_secure,
            ..Setting::default()
        }
    }

    /// The glibc-hwcaps levels for which variants are wanted: the one that was named, and those below it.
    fn levels(&self, machine: Machine) -> Result<&'static [&'static str], Cause> {
        let known = glibc::levels(machine);
        match self.hwcaps.as_deref() {
            None => Ok(&[]),
            Some("all") => Ok(known),
            Some(level) => match known.iter().position(|known| *known == level) {
                Some(at) => Ok(&known[at..]),
                None => Err(Cause::InvalidOption(vec![format!(
                    "`{}` is no glibc-hwcaps level of {}; give {}all",
                    printable(level),
                    machine.name(),
                    known.iter().map(|level| format!("{level}, ")).collect::<String>()
                )])),
            },
        }
    }

    fn open_interpreter(&self, files: &Files<'_>, place: &Place, program: &Loaded) -> Result<(Opened, Input), Refusal> {
        let (opened, input) = files.open_to_read(&place.spot).map_err(refusal_of)?;
        let own = program.elf.machine();
        match (opened.parsed.machine.and_then(|other| own.mismatch(other)), &opened.parsed.elf) {
            (Some(refusal), _) => Err(refusal),
            (None, Err(cause)) => Err(Refusal::with(Why::NotElf, cause.to_string())),
            (None, Ok(_)) => Ok((opened, input)),
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
        if refusal.why != Why::Absent {
            "its interpreter (PT_INTERP), which cannot be used".to_owned()
        } else if !self.root.is_host() {
            "its interpreter (PT_INTERP), which the sysroot does not have; give the root directory of the system that it \
             was linked for, with its C library, as sysroot"
                .to_owned()
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

    fn finish(self, files: &Files<'_>, name: &OsStr, run: Run) -> Result<Closure, Cause> {
        let Run { mut loading, build, cpus, platforms, no_cache, has_capabilities, known, met, setting } = run;
        let program = ProgramPlace { name, install: self.install.as_deref() };
        let builtin = build.as_ref().and_then(|build| build.directories().first().cloned());
        let builtin = builtin.unwrap_or_else(|| PathBuf::from("/lib"));
        let layout = place::lay_out(files, &loading.objects, &program, builtin).map_err(Fault::into_cause)?;
        // On what is read from here on nothing but findings hangs.
        let looked_at = files.looked_at();
        let mut findings = findings::of(&loading, &layout, build.as_ref(), self.least);
        if !platforms.is_empty() && loading.not_found.is_empty() {
            findings.push(findings::platform(&layout.paths[PROGRAM], &cpus, &platforms));
        }
        findings.extend(no_cache);
        findings.extend(build.as_ref().and_then(|build| self.system_preload(files, build.libc())));
        if build.is_none() && loading.not_found.is_empty() && !self.libraries.is_empty() {
            findings.push(findings::static_program(&layout.paths[PROGRAM], &self.libraries));
        }
        let told = |missing: &NotFound| missing.told(name, &loading.objects, |object| layout.paths[object].clone());
        let missing: Vec<Missing> = loading.not_found.iter().map(told).collect();
        let is_foreign = loading.objects.len() == 1
            && self.root.is_host()
            && !loading.objects[PROGRAM].elf.machine().is_this_machine()
            && !missing.is_empty();
        if let Some(known) = &known {
            let excluded = known.constants.libraries.iter().filter(|name| setting.excludes(name));
            loading.excluded.extend(excluded.map(|name| (PROGRAM, name.clone())));
        }
        let known = known.map_or_else(OnceLock::new, OnceLock::from);
        let program = &loading.objects[PROGRAM];
        let (place, origins) = (program.place.clone(), program.origins.clone());
        let (unloaded, names) = (loading.unloaded.clone(), std::mem::take(&mut loading.names));
        let root_of = [self.root.clone(), self.machine.clone()];
        Ok(closure::assemble(closure::Parts {
            has_capabilities,
            loading,
            layout,
            missing,
            findings,
            is_foreign,
            build,
            cpus,
            looked_at,
            late: Late { work: self, setting, place, origins, met, known, unloaded, names },
            root_of,
        }))
    }

    /// What glibc's loader is told to load into every program (ld.so(8)).
    fn system_preload(&self, files: &Files<'_>, libc: Libc) -> Option<Finding> {
        if libc != Libc::Glibc {
            return None;
        }
        match files.read(Path::new(SYSTEM_PRELOAD), MAX_PRELOAD + 1) {
            Ok(list) if list.len() as u64 > MAX_PRELOAD => {
                Some(findings::system_preload(&format!("more than {MAX_PRELOAD} bytes of names")))
            }
            Ok(list) => {
                let names: Vec<String> = preloaded(&list).iter().map(|name| printable(name).to_string()).collect();
                (!names.is_empty()).then(|| findings::system_preload(&names.join(", ")))
            }
            Err(Fault::System(Errno::ACCESS | Errno::PERM)) => Some(findings::system_preload("what nobody may read")),
            Err(_) => None,
        }
    }
}

/// Where what tells of needs decided on what is loaded, it must have been read: nothing is not what a file says that cannot
/// be read.
fn expect_read(loading: &Loading) -> Result<()> {
    let mut losses = loading.objects.iter().filter_map(|object| object.opened.parsed.hints.loss());
    match losses.next() {
        Some((source, why)) => Err(why.restated().on("analyze", source.on_machine())),
        None => Ok(()),
    }
}

/// A cache that is there, and of which nobody knows what is in it. The loader goes on without one where it is none, but
/// then it has been put there by mistake.
fn unusable(cache: &Path, fault: Fault) -> Cause {
    let what = match fault {
        Fault::Directory => "it is a directory",
        Fault::Special => "it is not a regular file",
        Fault::OfKernel => "it is a file of the kernel's own",
        Fault::Loop => "it is behind too many symlinks",
        Fault::System(_) => return fault.into_cause().within(format_args!("the loader's cache {}", printable(cache))),
    };
    Cause::Unsupported(format!(
        "the loader's cache {} cannot be read: {what}; remove it, and run ldconfig (with -r DIR for a sysroot)",
        printable(cache)
    ))
}

/// What the loader at `spot` is built to do.
fn loader_at(files: &Files<'_>, spot: &Spot, input: &Input, machine: Machine) -> Result<LoaderBuild, Cause> {
    let text = LoaderText::read(input, input.stamp.size)?;
    let build = text.build(&spot.path, machine, |path| PathFile::read(files, path));
    build.ok_or_else(|| {
        let interpreter = printable(&spot.path);
        Cause::Unsupported(format!("its interpreter {interpreter} is the loader of neither glibc nor musl"))
    })
}

/// What a loader made of a program, and the loader's own facts.
struct Run {
    loading: Loading,
    build: Option<LoaderBuild>,
    cpus: Vec<Cpu>,
    platforms: Vec<Cpu>,
    no_cache: Option<Finding>,
    has_capabilities: bool,
    known: Option<Known>,
    met: Met,
    setting: Setting,
}

impl Run {
    fn of(runs: Runs) -> Run {
        let Runs { loading, cpus, platforms } = runs;
        Run {
            loading,
            build: None,
            cpus,
            platforms,
            no_cache: None,
            has_capabilities: false,
            known: None,
            met: Met::default(),
            setting: Setting::default(),
        }
    }

    fn without_loader(program: Loaded) -> Run {
        let loading = Loading { objects: vec![program], order: vec![PROGRAM], ..Loading::default() };
        Run::of(Runs { loading, cpus: Vec::new(), platforms: Vec::new() })
    }
}
