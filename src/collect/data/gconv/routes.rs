//! The cheapest way from a character set to another (`find_derivation` in glibc's iconv/gconv_db.c).

use std::collections::{BTreeMap, BTreeSet};

use super::config::{Config, INTERNAL, Module};

/// The conversions from `set` to what every set is converted to.
pub(super) fn to_internal<'c>(config: &'c Config, set: &str) -> Vec<&'c Module> {
    way(config, set, |module| &module.from, |module| &module.to)
}

/// The conversions back to `set`.
pub(super) fn from_internal<'c>(config: &'c Config, set: &str) -> Vec<&'c Module> {
    way(config, set, |module| &module.to, |module| &module.from)
}

type End = fn(&Module) -> &String;

/// What it costs to reach a set, the set, and the last conversion on the way.
type Open<'c> = (u64, &'c str, Option<(&'c str, &'c str)>);

/// Each set is settled once, the nearest first.
fn way<'c>(config: &'c Config, set: &str, near: End, far: End) -> Vec<&'c Module> {
    let mut steps: BTreeMap<&str, Vec<&'c Module>> = BTreeMap::new();
    config.modules().for_each(|module| steps.entry(near(module)).or_default().push(module));
    let mut reached: BTreeMap<&str, Option<&'c Module>> = BTreeMap::new();
    let mut open: BTreeSet<Open<'_>> = BTreeSet::from([(0, set, None)]);
    while let Some((cost, at, key)) = open.pop_first() {
        if reached.contains_key(at) {
            continue;
        }
        reached.insert(at, key.and_then(|(from, to)| config.module(from, to)));
        if at == INTERNAL {
            return back(&reached, at, near);
        }
        for module in steps.get(at).into_iter().flatten() {
            open.insert((cost + u64::from(module.cost), far(module), Some((&module.from, &module.to))));
        }
    }
    Vec::new()
}

fn back<'c>(reached: &BTreeMap<&str, Option<&'c Module>>, end: &str, near: End) -> Vec<&'c Module> {
    let first = reached.get(end).copied().flatten();
    std::iter::successors(first, |module| reached.get(near(module).as_str()).copied().flatten()).collect()
}
