//! What a program needs beside the libraries that it names: told when somebody asks, for it takes longer than to find
//! those.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use super::cache::Cache;
use super::closure::{Closure, Object};
use super::data::{Kept, Neighbour};
use super::files::{Files, Opened, Parsed, Spot, World};
use super::loader::LoaderBuild;
use super::members::Members;
use super::named::Constants;
use super::process::{Loaded, Names, Unloaded};
use super::requirements::Process;
use super::search::{Found, Place};
use super::setting::{Cpu, Setting};
use super::told;
use super::wanted::Met;
use super::work::Work;
use super::{findings, glibc, musl};
use crate::finding::Finding;
use crate::limits::MAX_NAMED;
use crate::need::Requirement;
use crate::root::Walk;
use crate::text::printable;

/// What it takes to tell of the needs of a closure.
#[derive(Debug)]
pub(super) struct Late {
    pub(super) work: Work,
    /// What the program's loader ran under.
    pub(super) setting: Setting,
    /// Where the program is.
    pub(super) place: Place,
    /// Where its `$ORIGIN` is.
    pub(super) origins: Vec<Spot>,
    pub(super) met: Met,
    /// Set from the start where needs are to be met.
    pub(super) known: OnceLock<Known>,
    pub(super) unloaded: Vec<Unloaded>,
    /// Names for which nothing would be loaded, because it is there already.
    pub(super) names: Names,
}

/// What a program has among its constants.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) constants: Constants,
    /// Names among them that it could load by itself, and how many bytes each file has.
    pub(super) loadable: Vec<(OsString, u64)>,
}

/// What is told of the needs of a closure.
#[derive(Debug, Default)]
pub(super) struct Needs {
    pub(super) requirements: Vec<Requirement>,
    pub(super) findings: Vec<Finding>,
}

impl Late {
    pub(super) fn needs(&self, closure: &Closure) -> Needs {
        // What does not get as far as its interpreter needs that first.
        if closure.program().elf().interpreter().is_some() && closure.loader().is_none() {
            return Needs::default();
        }
        let members = Members::of_closure(closure);
        let Known { constants, loadable } = self.known.get_or_init(|| self.read(closure));
        let told = told::tell(&members, constants);
        let process = Process {
            members: &members,
            paths: closure.all().map(Object::path).collect(),
            around: Arc::new(self.around(closure)),
            wanted: &self.work.wanted,
            met: &self.met,
            constants,
            loadable,
            unloaded: &self.unloaded,
        };
        let (requirements, mut findings) = (process.requirements(&told), process.findings(&told));
        findings.extend(constants.is_cut.then(|| too_many_names(closure.program())));
        findings.extend(self.faults(closure));
        Needs { requirements, findings }
    }

    /// What could not be read of what tells of needs, where no object is told of that lost all.
    fn faults(&self, closure: &Closure) -> Vec<Finding> {
        let lost = closure.all().filter_map(|object| object.hints().loss());
        let lost: Vec<PathBuf> = lost.map(|(source, _)| source.on_machine()).collect();
        let faults = [&self.work.root, &self.work.machine].into_iter().flat_map(|root| root.take_faults());
        let others = faults.filter(|fault| !lost.iter().any(|path| fault.path() == Some(path)));
        others.map(|fault| findings::unread(&fault)).collect()
    }

    /// Nothing, where the program is not any more what it was: its hints say so.
    fn read(&self, closure: &Closure) -> Known {
        let program = closure.program();
        let Ok(file) = program.file_source().open_unchanged() else { return Known::default() };
        let constants = self.work.constants(program.elf(), program.hints().get(), &file);
        let (Some(loader), Some(interpreter)) = (closure.loader(), closure.interpreter()) else {
            return Known { constants, loadable: Vec::new() };
        };
        let files = Files::new(&self.work.root, &self.work.machine);
        let cache = match &loader.build {
            LoaderBuild::Glibc(build) if !constants.libraries.is_empty() => {
                self.work.cache(&files, build, program.elf().machine()).unwrap_or_default()
            }
            _ => None,
        };
        let search = Search {
            files: &files,
            build: &loader.build,
            cache: cache.as_ref(),
            setting: &self.setting,
            cpus: &loader.cpus,
        };
        let interpreter = loaded(interpreter, Place::fixed(interpreter.opened().to_owned()), Vec::new());
        search.known(&self.names, [loaded(program, self.place.clone(), self.origins.clone()), interpreter], constants)
    }

    fn around(&self, closure: &Closure) -> Kept {
        let is_of_root = |object: &Object| Arc::ptr_eq(&object.file_source().root, &self.work.root);
        let world = |object: &Object| if is_of_root(object) { World::Root } else { World::Machine };
        let neighbour = |object: &Object| Neighbour {
            name: object.name().to_owned(),
            spot: Spot { world: world(object), path: object.opened().to_owned() },
            elf: object.shared_elf().clone(),
        };
        self.work.around(closure.all().map(neighbour).collect(), closure.loader().map(|loader| &loader.build))
    }
}

fn too_many_names(program: &Object) -> Finding {
    let path = printable(program.path()).to_string();
    Finding::warning(
        "dlopen",
        format!(
            "the constants of {path} hold more than {MAX_NAMED} names of libraries, locales and character sets, which is \
             the limit; the others were not looked for: name what it needs of them"
        ),
        &path,
    )
}

/// An object as its loader had it.
fn loaded(object: &Object, place: Place, origins: Vec<Spot>) -> Loaded {
    let walk = Walk::to(object.file_source().real.clone());
    let opened = Opened { walk, parsed: Rc::new(Parsed::of_object(object)) };
    let found = Found::plain(place, object.found_by(), opened);
    Loaded::new(object.name().to_owned(), found, object.shared_elf().clone(), origins)
}

/// A search as the program starts it while it runs.
pub(super) struct Search<'s> {
    pub(super) files: &'s Files<'s>,
    pub(super) build: &'s LoaderBuild,
    pub(super) cache: Option<&'s Cache<'s>>,
    pub(super) setting: &'s Setting,
    /// On which it starts.
    pub(super) cpus: &'s [Cpu],
}

impl Search<'_> {
    /// What a program has among its constants, where of the libraries that they name those count that are found and not
    /// loaded already.
    pub(super) fn known(&self, loaded: &Names, program: [Loaded; 2], constants: Constants) -> Known {
        let libraries = constants.libraries.iter().map(OsString::as_os_str);
        let wanted = libraries.filter(|&name| !loaded.contains_key(name) && !self.setting.excludes(name));
        let wanted: Vec<&OsStr> = wanted.collect();
        let mut loadable: Vec<(OsString, u64)> = Vec::new();
        for cpu in self.cpus.iter().filter(|_| !wanted.is_empty()) {
            for (name, found) in self.find(cpu, program.clone(), &wanted) {
                if loadable.iter().all(|(known, _)| known != name) {
                    loadable.push((name.to_owned(), found.opened.parsed.stamp.size));
                }
            }
        }
        Known { constants, loadable }
    }

    fn find<'n>(&self, cpu: &Cpu, [program, interpreter]: [Loaded; 2], names: &[&'n OsStr]) -> Vec<(&'n OsStr, Found)> {
        let (tree, setting, names) = (self.files, &self.setting.on(cpu), names.iter().copied());
        match self.build {
            LoaderBuild::Glibc(build) => {
                glibc::find(&glibc::Start { tree, build, cache: self.cache, setting }, program, interpreter, names)
            }
            LoaderBuild::Musl(build) => {
                let start = musl::Start { tree, directories: &build.directories, setting };
                musl::find(&start, program, interpreter, names)
            }
        }
    }
}
