//! What was found of a program's needs, for whoever asks: what tells of it, whether it is in the image, and what to do.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;

use super::data::Kept;
use super::members::{Ask, Members};
use super::named::Constants;
use super::process::{Asked, PROGRAM, Unloaded};
use super::told::Told;
use super::wanted::{Met, Wanted};
use crate::analyze::DlopenNote;
use crate::need::{Clue, Evidence, Hint, Need, Requirement, Size};

/// A process, and where its objects lie in the image.
pub(super) struct Process<'a> {
    pub(super) members: &'a Members<'a>,
    pub(super) paths: Vec<&'a Path>,
    pub(super) around: Arc<Kept>,
    pub(super) wanted: &'a Wanted,
    pub(super) met: &'a Met,
    pub(super) constants: &'a Constants,
    /// Names among the constants that the program could load by itself, and how many bytes each file has.
    pub(super) loadable: &'a [(OsString, u64)],
    /// What could not be loaded of that which is loaded while it runs.
    pub(super) unloaded: &'a [Unloaded],
}

impl Process<'_> {
    /// All needs: what it loads while it runs, then what it opens.
    pub(super) fn requirements(&self, told: &[Told]) -> Vec<Requirement> {
        let mut requirements = self.libraries();
        requirements.extend(self.loadable());
        requirements.extend(self.lacking_libraries());
        requirements.extend(told.iter().map(|told| self.requirement(told)));
        for (need, _) in &self.met.supplies {
            if !requirements.iter().any(|known| need.is_part_of(&known.need)) {
                let (need, size) = (need.clone(), self.size(need));
                requirements.push(Requirement { need, evidence: Vec::new(), size, is_included: true });
            }
        }
        requirements
    }

    fn requirement(&self, told: &Told) -> Requirement {
        Requirement {
            need: told.need.clone(),
            evidence: told.clues.iter().map(|(object, clue)| self.evidence(*object, clue.clone())).collect(),
            size: self.size(&told.need),
            is_included: self.met.meets(told) || self.wanted.provides(&told.need),
        }
    }

    fn size(&self, need: &Need) -> Size {
        let (around, need) = (self.around.clone(), need.clone());
        Size::worked_out(move || around.bytes(&need))
    }

    pub(super) fn evidence(&self, object: usize, clue: Clue) -> Evidence {
        Evidence::new(self.paths[object], clue)
    }

    /// What is loaded while it runs because a symbol or a note says so.
    fn libraries(&self) -> Vec<Requirement> {
        let mut libraries: BTreeMap<&OsStr, (u64, Vec<Evidence>)> = BTreeMap::new();
        for (index, member) in self.members.all.iter().enumerate() {
            for ask in &member.asks {
                if let Some((clue, target)) = self.clue(index, ask).zip(ask.object) {
                    let size = self.members.all[target].size;
                    let known = libraries.entry(ask.name).or_insert((size, Vec::new()));
                    known.1.push(self.evidence(index, clue));
                }
            }
        }
        let requirement = |(name, (bytes, evidence)): (&OsStr, _)| Requirement {
            need: Need::Library(name.to_owned()),
            evidence,
            size: Size::known(bytes),
            is_included: true,
        };
        libraries.into_iter().map(requirement).collect()
    }

    fn clue(&self, object: usize, ask: &Ask<'_>) -> Option<Clue> {
        self.clue_of(object, ask.asked, ask.name)
    }

    fn clue_of(&self, object: usize, asked: Asked, name: &OsStr) -> Option<Clue> {
        let member = &self.members.all[object];
        let symbol = |wanted: &[Hint]| member.hints().symbol_for(wanted).map(|symbol| Clue::Symbol(symbol.name));
        match asked {
            Asked::Symbol(0) => symbol(&[Hint::Unwind]),
            Asked::Symbol(_) => symbol(&[Hint::Names, Hint::Users, Hint::Services]),
            Asked::Note(number) => {
                let feature = member.elf.dlopen_notes().get(number).and_then(DlopenNote::feature);
                Some(Clue::Note(feature.unwrap_or_default().to_owned()))
            }
            Asked::Caller(_) if self.constants.libraries.contains(name) => Some(Clue::Text(name.to_owned())),
            Asked::Dependency(_) | Asked::Audit(_) | Asked::Environment(_) | Asked::Caller(_) => None,
        }
    }

    /// Names among the program's constants that it could load.
    fn loadable(&self) -> impl Iterator<Item = Requirement> {
        self.loadable.iter().map(|(name, bytes)| Requirement {
            need: Need::Library(name.clone()),
            evidence: vec![self.evidence(PROGRAM, Clue::Text(name.clone()))],
            size: Size::known(*bytes),
            is_included: false,
        })
    }

    /// What is loaded while it runs, where it is there.
    fn lacking_libraries(&self) -> impl Iterator<Item = Requirement> {
        let files = self.members.files();
        self.unloaded.iter().filter_map(move |unloaded| {
            let object = *files.get(&unloaded.by)?;
            let clue = self.clue_of(object, unloaded.asked, &unloaded.name)?;
            Some(Requirement {
                need: Need::Library(unloaded.name.clone()),
                evidence: vec![self.evidence(object, clue)],
                size: Size::known(0),
                is_included: false,
            })
        })
    }
}
