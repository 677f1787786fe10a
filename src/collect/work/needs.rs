//! What a run does about the needs of its program.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::{Run, Work};
use crate::analyze::{Elf, Hints};
use crate::collect::data::{Kept, Neighbour};
use crate::collect::files::{Files, Spot, World};
use crate::collect::findings;
use crate::collect::late::Known;
use crate::collect::loader::LoaderBuild;
use crate::collect::members::Members;
use crate::collect::named::{self, Constants, Sets, Sought};
use crate::collect::process::{Loaded, Loading};
use crate::collect::search::{Anchor, Place};
use crate::collect::setting::{Library, Setting};
use crate::collect::told;
use crate::collect::wanted::Met;
use crate::error::Cause;
use crate::need::{Hint, Need};
use crate::root::{Fault, Input};

impl Work {
    /// A program without a loader has needs all the same.
    pub(super) fn static_run(&self, files: &Files<'_>, program: Loaded, file: &Input) -> Result<Run, Cause> {
        let constants = self.asks_for_needs().then(|| self.constants(&program.elf, program.hints(), file));
        let run = Run::without_loader(program);
        let Some(constants) = constants else { return Ok(run) };
        let met = self.meet(files, &run.loading, None, &constants)?;
        Ok(Run { known: Some(Known { constants, loadable: Vec::new() }), met, ..run })
    }

    /// Whether what the program needs beside libraries makes a difference to what the closure holds.
    pub(super) fn asks_for_needs(&self) -> bool {
        self.wanted.has_any() || !self.exclude.is_empty()
    }

    /// The constants of a program that could name what it opens by itself, where anything is made of them.
    pub(in crate::collect) fn constants(&self, elf: &Elf, hints: &Hints, file: &Input) -> Constants {
        let has = |hint: Hint| hints.symbol_for(&[hint]).is_some();
        let libraries = has(Hint::Dlopen) && elf.dlopen_notes().is_empty();
        let is_static_glibc = hints.has_glibc_inside();
        let is_wanted =
            libraries || has(Hint::Charsets) || is_static_glibc || (self.wanted.is_auto && has(Hint::Locales));
        let sets = match is_wanted {
            false => Sets::None,
            true if is_static_glibc || self.wanted.has_any() => Sets::All,
            true => Sets::AnyCharset,
        };
        Constants::read(file, Sought { libraries, sets, bundle: !has(Hint::Certificates) })
    }

    /// What the caller says that the program loads. A path on this machine stays what it is in a sysroot, below a
    /// directory of the system, and where the program names it; from elsewhere a library is found by its file name.
    pub(super) fn named_libraries(&self, files: &Files<'_>, program: &Input) -> Result<Vec<Library>, Cause> {
        let library = |given: &PathBuf| {
            let bytes = given.as_os_str().as_encoded_bytes();
            if !bytes.contains(&b'/') {
                return Ok(Library::of_name(given.as_os_str()));
            }
            let path = std::path::absolute(given)?;
            let name = path.file_name().ok_or_else(|| Fault::Directory.into_cause())?.to_owned();
            let in_root = self.path_in_root(files, &path, &name)?;
            let stays = |path: &PathBuf| {
                !self.root.is_host()
                    || findings::is_of_system(path)
                    || named::holds(program, path.as_os_str().as_encoded_bytes())
            };
            Ok(match in_root.filter(stays) {
                Some(path) => Library::of_name(path.as_os_str()),
                None => {
                    let spot = Spot { world: World::Machine, path };
                    let place = Place { spot, anchor: Anchor::Caller { below: name.clone() } };
                    Library { name, place: Some(place), is_required: true }
                }
            })
        };
        self.libraries.iter().map(library).collect()
    }

    pub(super) fn meet(
        &self,
        files: &Files<'_>,
        loading: &Loading,
        build: Option<&LoaderBuild>,
        constants: &Constants,
    ) -> Result<Met, Cause> {
        let told = told::tell(&Members::of_loading(loading), constants);
        let supplies = |needs: &[Need]| match needs {
            [] => Vec::new(),
            needs => {
                let objects = loading.objects.iter().map(Neighbour::of).collect();
                self.around(objects, build).supplies(needs, files)
            }
        };
        self.wanted.meet(&told, build.map(LoaderBuild::libc), supplies).map_err(Cause::Unmet)
    }

    pub(in crate::collect) fn around(&self, objects: Vec<Neighbour>, build: Option<&LoaderBuild>) -> Kept {
        Kept {
            root: self.root.clone(),
            machine: self.machine.clone(),
            directories: build.map(LoaderBuild::directories).unwrap_or_default().to_vec(),
            objects,
            libc: build.map(LoaderBuild::libc),
            user: self.wanted.image.user,
            environment: self.wanted.image.environment.clone(),
        }
    }

    /// What must be loaded so that needs are met: modules, and what is among the program's constants.
    pub(super) fn libraries_of<'k>(
        &self,
        met: &Met,
        loadable: impl Iterator<Item = &'k (OsString, u64)>,
        setting: &Setting,
    ) -> Vec<Library> {
        let is_known = |name: &OsStr| setting.by_itself.libraries.iter().any(|known| known.name == name);
        let modules = met.supplies.iter().flat_map(|(_, supply)| &supply.modules).map(|path| path.as_os_str());
        let named = loadable.filter(|_| self.wanted.is_auto).map(|(name, _)| name.as_os_str());
        modules.chain(named).filter(|name| !is_known(name)).map(Library::optional).collect()
    }
}
