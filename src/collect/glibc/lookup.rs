//! Where the loader looks for one name, in its order (`_dl_map_object` in glibc).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::{Process, hwcaps_subdirectory, owner};
use crate::analyze::glibc;
use crate::collect::cache::Cache;
use crate::collect::expand::{Name, PathList, places_at};
use crate::collect::process::{Loaded, PROGRAM, RelativeElement};
use crate::collect::search::{Ended, FileTree, Found, List, Place, Variants};
use crate::text::printable;
use crate::trace::{Attempt, Refusal, Rule, Why};

impl<T: FileTree> Process<'_, T> {
    /// What the caller names, and `LD_LIBRARY_PATH`, in which semicolons part as well as colons, and `$ORIGIN` is the
    /// program's (`_dl_init_paths` in glibc).
    pub(super) fn whole_library_path(&self) -> Arc<[Place]> {
        let setting = self.start.setting;
        if setting.environment_path.is_empty() {
            return setting.library_path.clone();
        }
        let list = setting.environment_path.as_bytes().iter();
        let list: Vec<u8> = list.map(|&byte| if byte == b';' { b':' } else { byte }).collect();
        let expanded = self.expander.list(owner(&self.loading, PROGRAM), OsStr::from_bytes(&list));
        setting.library_path.iter().chain(expanded.places.iter()).cloned().collect()
    }

    pub(super) fn why_not_found(&self, object: usize, name: &Name) -> Option<String> {
        let owner = &self.loading.objects[object];
        let relative = self.loading.relative.iter().find(|relative| relative.owner == object);
        match relative.filter(|_| !name.has_slash()) {
            _ if owner.elf.no_default_lib() => Some(no_default_lib(&owner.name)),
            Some(relative) => Some(relative_element(&relative.element)),
            None if self.start.setting.is_secure && has_origin(owner) => Some(no_origin(&owner.name)),
            None => None,
        }
    }

    /// A name with a slash is opened as it stands.
    pub(super) fn open_path(&self, object: usize, name: &Name, tried: &mut Vec<Attempt>) -> Option<Found> {
        let places = match &name.after_origin {
            Some(suffix) => places_at(&self.loading.objects[object].origins, object, suffix),
            None => vec![Place::fixed(name.path())],
        };
        for place in places {
            match self.prober.try_path(place, Rule::Path, tried) {
                Ended::Found(found) => return Some(found),
                Ended::GoOn => {}
                Ended::Stop => break,
            }
        }
        None
    }

    /// What is only in subdirectories for some CPUs is found where nothing is that suits them all.
    pub(super) fn find(&mut self, object: usize, name: &OsStr, tried: &mut Vec<Attempt>) -> Option<Found> {
        let lists = self.lists_before_cache(object);
        match self.search(object, &lists, name, &self.variants, tried) {
            Ended::Found(found) => Some(found),
            Ended::GoOn => {
                let variants = Variants { subdirectories: self.all_subdirectories(), plain: false };
                match self.search(object, &lists, name, &variants, &mut Vec::new()) {
                    Ended::Found(found) => Some(Found { is_only_variant: true, ..found }),
                    Ended::GoOn | Ended::Stop => None,
                }
            }
            Ended::Stop => None,
        }
    }

    /// `_dl_map_object` in glibc, for a name without a slash.
    pub(super) fn search(
        &self,
        object: usize,
        lists: &[List],
        name: &OsStr,
        variants: &Variants,
        tried: &mut Vec<Attempt>,
    ) -> Ended {
        let no_default_lib = !self.is_nobody(object) && self.loading.objects[object].elf.no_default_lib();
        for list in lists {
            match self.prober.try_list(list, name, variants, tried) {
                Ended::GoOn => {}
                end => return end,
            }
        }
        match self.try_cache(name, variants, no_default_lib, tried) {
            Ended::GoOn if !no_default_lib => self.prober.try_list(&self.builtin_list(), name, variants, tried),
            end => end,
        }
    }

    pub(super) fn lists_before_cache(&mut self, object: usize) -> Vec<List> {
        let mut lists = Vec::new();
        let runpath = if self.is_nobody(object) { None } else { self.path_list(object, Rule::Runpath) };
        if runpath.is_none() {
            let chain = std::iter::successors(Some(object), |&at| self.loading.objects[at].loader);
            let chain: Vec<usize> = chain.collect();
            lists.extend(chain.into_iter().filter_map(|at| self.path_list(at, Rule::Rpath)));
            // Auditing objects have the program's RUNPATH as if it were an RPATH.
            lists.extend(self.is_audit.then(|| self.path_list(PROGRAM, Rule::Runpath)).flatten());
        }
        if !self.library_path.is_empty() {
            let places = self.library_path.clone();
            lists.push(List { rule: Rule::LibraryPath, owner: None, places });
        }
        lists.extend(runpath);
        lists
    }

    /// An auditing object itself is asked for in the program's name, but by nobody who has a RUNPATH or flags.
    fn is_nobody(&self, object: usize) -> bool {
        self.is_audit && object == PROGRAM
    }

    fn builtin_list(&self) -> List {
        let directories = self.start.build.directories.iter().cloned();
        List { rule: Rule::Default, owner: None, places: directories.map(Place::fixed).collect() }
    }

    /// Every subdirectory that some CPU of this machine searches, what more of them have first.
    fn all_subdirectories(&self) -> Vec<String> {
        let build = self.start.build;
        let levels = glibc::levels(self.machine).iter().rev().filter(|_| build.has_hwcaps);
        let levels = levels.map(|level| hwcaps_subdirectory(level));
        let legacy = if build.has_legacy_hwcaps { glibc::legacy_subdirectories(self.machine) } else { Vec::new() };
        levels.chain(legacy).collect()
    }

    fn try_cache(&self, name: &OsStr, variants: &Variants, no_default_lib: bool, tried: &mut Vec<Attempt>) -> Ended {
        let hit = self.start.cache.and_then(|cache| cache.lookup(name, self.machine, variants));
        match hit {
            Some((path, _)) if no_default_lib && self.is_under_builtin(&path) => Ended::GoOn,
            Some((path, variant)) if path.is_absolute() => {
                let rule = self.rule_of_hit(&path);
                match self.prober.try_path(Place::fixed(path), rule, tried) {
                    Ended::Found(found) => Ended::Found(Found { variant, ..found }),
                    end => end,
                }
            }
            _ => {
                self.note_not_cached(name, tried);
                Ended::GoOn
            }
        }
    }

    /// What a cache that nobody made would only say again, a builtin directory says.
    fn rule_of_hit(&self, path: &Path) -> Rule {
        let is_unbuilt = self.start.cache.is_some_and(|cache| cache.as_unbuilt().is_some());
        let is_builtin = self.start.build.directories.iter().any(|directory| path.parent() == Some(directory));
        if is_unbuilt && is_builtin { Rule::Default } else { Rule::Cache }
    }

    fn note_not_cached(&self, name: &OsStr, tried: &mut Vec<Attempt>) {
        let directories = self.start.cache.map(Cache::directories).unwrap_or_default();
        for directory in directories {
            let refusal = Refusal::with(Why::Absent, "a directory of ld.so.conf");
            let path = directory.join(name);
            self.prober.notes.add(tried, Attempt { path, rule: Rule::Cache, owner: None, refusal });
        }
        let refusal = Refusal::with(Why::Absent, "the name is not in it");
        let path = self.start.build.cache.clone();
        self.prober.notes.add(tried, Attempt { path, rule: Rule::Cache, owner: None, refusal });
    }

    /// The loader compares the text alone, so a directory below counts as well.
    fn is_under_builtin(&self, path: &Path) -> bool {
        self.start.build.directories.iter().any(|directory| {
            let rest = path.as_os_str().as_bytes().strip_prefix(directory.as_os_str().as_bytes());
            rest.is_some_and(|rest| rest.starts_with(b"/"))
        })
    }

    /// RPATH or RUNPATH of an object, its tokens expanded; `None` where there is none.
    fn path_list(&mut self, object: usize, rule: Rule) -> Option<List> {
        let loaded = &self.loading.objects[object];
        let elf = loaded.elf.clone();
        let (text, cell) = match rule {
            Rule::Rpath => (elf.rpath()?, &loaded.rpath),
            _ => (elf.runpath()?, &loaded.runpath),
        };
        // An object with an empty RUNPATH has one all the same: its RPATH chain is skipped.
        let places = match cell.get() {
            Some(places) => places.clone(),
            None => {
                let expanded = self.expanded(object, text);
                let loaded = &self.loading.objects[object];
                let cell = if rule == Rule::Rpath { &loaded.rpath } else { &loaded.runpath };
                let _ = cell.set(expanded.places.clone());
                let note = |element| RelativeElement { owner: object, rule, element };
                self.loading.relative.extend(expanded.relative.into_iter().map(note));
                self.loading.uses_platform |= expanded.uses_platform;
                expanded.places
            }
        };
        let owner = self.loading.objects[object].name.clone();
        Some(List { rule, owner: Some(owner), places })
    }

    /// A search path with its tokens replaced. Only what has tokens can mean something else to everybody who has it.
    fn expanded(&mut self, object: usize, list: &OsStr) -> PathList {
        if let Some(known) = self.path_lists.get(list) {
            return known.clone();
        }
        let expanded = self.expander.list(owner(&self.loading, object), list);
        if !list.as_bytes().contains(&b'$') {
            self.path_lists.insert(list.to_owned(), expanded.clone());
        }
        expanded
    }
}

fn has_origin(owner: &Loaded) -> bool {
    let lists = [owner.elf.rpath(), owner.elf.runpath()];
    lists.into_iter().flatten().any(|list| memchr::memmem::find(list.as_bytes(), b"ORIGIN").is_some())
}

fn no_origin(owner: &OsStr) -> String {
    format!(
        "which was not found; whoever runs the program gets rights by that (setuid, setgid or file capabilities), so \
         $ORIGIN of {} counts for builtin directories only: pack a copy without those bits, which the image drops as well, \
         or install the library in a builtin directory",
        printable(owner)
    )
}

fn no_default_lib(owner: &OsStr) -> String {
    format!(
        "which was not found; {} was linked with -z nodefaultlib, so the loader's builtin directories, in which an image \
         has what a library path finds, do not count for it",
        printable(owner)
    )
}

fn relative_element(element: &OsStr) -> String {
    format!(
        "which was not found; the search path element `{}` means the working directory, which is not known: give the \
         image a working directory, or link with absolute directories or $ORIGIN",
        printable(element)
    )
}
