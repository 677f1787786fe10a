//! Several ways to do a thing, run in turn: what drifts on a machine then drifts for all of them.

use std::time::Duration;

use super::measure::Cost;

/// A way to do it.
pub(crate) struct Way<'a> {
    name: String,
    run: Box<dyn FnMut() -> Cost + 'a>,
}

impl<'a> Way<'a> {
    pub(crate) fn new(name: impl Into<String>, run: impl FnMut() -> Cost + 'a) -> Self {
        Way { name: name.into(), run: Box::new(run) }
    }
}

/// What it took, each time.
pub(crate) struct Samples {
    pub(crate) name: String,
    costs: Vec<Cost>,
}

/// Runs all of them once unmeasured, and then in turn.
pub(crate) fn in_turn(rounds: usize, mut ways: Vec<Way<'_>>) -> Vec<Samples> {
    for way in &mut ways {
        (way.run)();
    }
    measured(rounds, ways)
}

/// Runs each of them once, for what takes so long that little is left to chance.
pub(crate) fn once(ways: Vec<Way<'_>>) -> Vec<Samples> {
    measured(1, ways)
}

fn measured(rounds: usize, mut ways: Vec<Way<'_>>) -> Vec<Samples> {
    let samples = |way: &Way<'_>| Samples { name: way.name.clone(), costs: Vec::new() };
    let mut all: Vec<Samples> = ways.iter().map(samples).collect();
    for _ in 0..rounds {
        for (way, samples) in ways.iter_mut().zip(&mut all) {
            samples.costs.push((way.run)());
        }
    }
    all.iter().for_each(Samples::say);
    all
}

impl Samples {
    /// Least and median.
    pub(crate) fn elapsed(&self) -> Figures {
        Figures::of(self.costs.iter().map(|cost| cost.elapsed))
    }

    pub(crate) fn cpu(&self) -> Figures {
        Figures::of(self.costs.iter().map(|cost| cost.cpu))
    }

    /// The most memory of all rounds, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.costs.iter().map(|cost| cost.peak).max().unwrap_or(0)
    }

    /// For whoever waits. Times of one machine say little to others, so they go to standard error.
    fn say(&self) {
        let (elapsed, cpu) = (self.elapsed(), self.cpu());
        eprintln!(
            "{:>9.1} ms least {:>9.1} ms median {:>9.1} ms CPU  {}",
            elapsed.least * 1e3,
            elapsed.median * 1e3,
            cpu.least * 1e3,
            self.name
        );
    }
}

/// Seconds of several runs.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) least: f64,
    pub(crate) median: f64,
}

impl Figures {
    fn of(durations: impl Iterator<Item = Duration>) -> Figures {
        let mut seconds: Vec<f64> = durations.map(|duration| duration.as_secs_f64()).collect();
        seconds.sort_by(f64::total_cmp);
        let median = seconds.get(seconds.len() / 2).copied().unwrap_or_default();
        Figures { least: seconds.first().copied().unwrap_or_default(), median }
    }

    /// Least over least, and median over median.
    pub(crate) fn over(self, other: Figures) -> Figures {
        Figures { least: self.least / other.least, median: self.median / other.median }
    }

    /// `0.61 (0.64)`: least, and median.
    pub(crate) fn text(self) -> String {
        format!("{:.2} ({:.2})", self.least, self.median)
    }
}
