//! The runs of a loader that a closure is made of: one for each kind of CPU that makes a difference.

use super::merge::merge;
use super::process::Loading;
use super::setting::{Cpu, Setting};
use crate::analyze::{Machine, glibc};

/// What all runs together load, and for which kinds of CPU that is.
pub(super) struct Runs {
    pub(super) loading: Loading,
    pub(super) cpus: Vec<Cpu>,
    /// All kinds of CPU for which `$PLATFORM` differs, where it is used.
    pub(super) platforms: Vec<Cpu>,
}

impl Runs {
    /// Runs a loader as `setting` says, and on CPUs of these glibc-hwcaps levels, the best first, as well.
    pub(super) fn all(
        setting: &Setting,
        machine: Machine,
        levels: &'static [&'static str],
        load: impl Fn(&Setting) -> Loading,
    ) -> Runs {
        let cpu = setting.cpu.clone();
        let mut runs = Runs { loading: load(setting), cpus: vec![cpu], platforms: Vec::new() };
        if runs.loading.uses_platform {
            runs.on_each_platform(setting, machine, &load);
        }
        for cpu in runs.cpus.clone() {
            runs.on_each_level(setting, &cpu, levels, &load);
        }
        runs
    }

    /// Keeps the platforms on which everything is found. Where there is none, the first run tells what is missing.
    fn on_each_platform(&mut self, setting: &Setting, machine: Machine, load: &impl Fn(&Setting) -> Loading) {
        let platforms = glibc::platforms(machine).iter();
        self.platforms = platforms.map(|&name| Cpu { platform: Some(name), levels: &[] }).collect();
        let tried = self.platforms.iter().map(|cpu| (cpu.clone(), load(&setting.on(cpu))));
        let good: Vec<(Cpu, Loading)> = tried.filter(|(_, loading)| loading.not_found.is_empty()).collect();
        let mut good = good.into_iter();
        if let Some((cpu, loading)) = good.next() {
            (self.loading, self.cpus) = (loading, vec![cpu]);
            for (cpu, loading) in good {
                self.add(loading, cpu);
            }
        }
    }

    fn add(&mut self, loading: Loading, cpu: Cpu) {
        self.loading.names.retain(|name, _| loading.names.contains_key(name));
        merge(&mut self.loading, loading);
        self.cpus.push(cpu);
    }

    /// A CPU of a level has the lower ones as well.
    fn on_each_level(
        &mut self,
        setting: &Setting,
        cpu: &Cpu,
        levels: &'static [&'static str],
        load: &impl Fn(&Setting) -> Loading,
    ) {
        for best in (0..levels.len()).rev() {
            let cpu = Cpu { levels: &levels[best..], ..cpu.clone() };
            self.add(load(&setting.on(&cpu)), cpu);
        }
    }
}
