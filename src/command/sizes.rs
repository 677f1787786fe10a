//! What each file of a closure adds to an image.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

use indicatif::DecimalBytes;
use scratchpack::{Closure, Object, Weight};

use super::output::shown;

/// A line for each file: its size, with what only it pulls in, and through what alone it is needed.
pub(super) fn write_sizes(out: &mut impl Write, closure: &Closure) -> io::Result<()> {
    let weights = closure.weights();
    writeln!(out, "{:>10} {:>10}", "size", "whole")?;
    for weight in &weights {
        let through = weight.only_through().map(|object| format!("  only through {}", shown(object.name())));
        let [own, whole] = [weight.own(), weight.whole()].map(in_words);
        let opened = shown(weight.object().opened());
        writeln!(out, "{own:>10} {whole:>10}  {opened}{}", through.unwrap_or_default())?;
    }
    let all = weights.iter().map(Weight::own).sum();
    writeln!(out, "{:>10}             in all", in_words(all))
}

/// The sizes of the objects of a closure, in words.
pub(super) struct Sizes<'c>(HashMap<&'c Path, Weight<'c>>);

impl<'c> Sizes<'c> {
    pub(super) fn of(closure: &'c Closure) -> Self {
        Sizes(closure.weights().into_iter().map(|weight| (weight.object().path(), weight)).collect())
    }

    pub(super) fn of_object(&self, object: &Object) -> String {
        let own = in_words(object.size());
        match self.whole_of(object) {
            whole if whole > object.size() => format!("{own}, {} with what only it pulls in", in_words(whole)),
            _ => own,
        }
    }

    /// With what only it pulls in.
    pub(super) fn whole_of(&self, object: &Object) -> u64 {
        self.0.get(object.path()).map_or(object.size(), Weight::whole)
    }
}

fn in_words(bytes: u64) -> String {
    DecimalBytes(bytes).to_string()
}
