//! What packing costs as inputs and machines grow: `cargo bench --features cli --bench scale`.
//!
//! Layers of made-up size go to nowhere, so that no disk has a say: a program that holds nothing, and beside it files with
//! the bytes of real libraries, shuffled. Groups can be chosen by name: `bytes`, `files`, `threads`; a run of all draws
//! `benches/scale.svg`.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::expect_used)]

mod support;

#[path = "scale/inputs.rs"]
mod inputs;
#[path = "scale/plot.rs"]
mod plot;

use std::process::Command;

use inputs::Inputs;
use plot::{Line, Panel};
use support::measure::cost_of;
use support::samples::{Samples, Way, in_turn, once};
use support::table::Table;

const MIB: u64 = 1 << 20;
const CODECS: [&str; 3] = ["none", "zstd", "gzip"];
const SIZES: [u64; 7] = [1, 4, 16, 64, 256, 1024, 2048];
const COUNTS: [u64; 5] = [1, 10, 100, 1000, 5000];
const THREADS: [u64; 5] = [1, 2, 4, 8, 16];
/// What the others are compared with.
const USUAL_SIZE: u64 = 64;
/// Of all files together, where their number is what changes.
const SIZE_OF_FILES: u64 = 64;
const SIZE_FOR_THREADS: u64 = 128;

/// What changes, and what then is measured and drawn.
type Group = (&'static str, fn(&Inputs) -> Vec<Panel>);

fn main() {
    if !support::is_wanted() {
        return;
    }
    let Some(inputs) = Inputs::new() else { return };
    let groups: [Group; 3] = [("bytes", bytes), ("files", files), ("threads", threads)];
    let chosen = groups.iter().filter(|(name, _)| support::is_chosen(name));
    let panels: Vec<Panel> = chosen.flat_map(|(_, measure)| measure(&inputs)).collect();
    if groups.iter().all(|(name, _)| support::is_chosen(name)) {
        plot::draw(&panels);
    }
}

/// One codec on all values of what changes.
struct Series {
    codec: &'static str,
    values: Vec<(u64, Samples)>,
}

impl Series {
    fn elapsed(&self, value: u64) -> f64 {
        self.values.iter().find(|(other, _)| *other == value).map_or(f64::NAN, |(_, samples)| samples.elapsed().least)
    }

    fn line(&self, y: impl Fn(u64, &Samples) -> f64) -> Line {
        let points = self.values.iter().map(|(value, samples)| (*value as f64, y(*value, samples))).collect();
        Line { name: self.codec, points }
    }
}

/// A command for each codec and value, those of one value in turn.
fn measure(
    values: &[u64],
    codecs: &[&'static str],
    rounds: impl Fn(u64) -> usize,
    command: impl Fn(u64) -> Command,
) -> Vec<Series> {
    let mut all: Vec<Series> = codecs.iter().map(|&codec| Series { codec, values: Vec::new() }).collect();
    for &value in values {
        let way = |codec: &&'static str| {
            let mut command = command(value);
            command.args(["--type", "layer", "--output", "-", "--compression", codec]);
            Way::new(format!("{value}, {codec}"), move || cost_of(&command))
        };
        let ways = codecs.iter().map(way).collect();
        let samples = match rounds(value) {
            1 => once(ways),
            rounds => in_turn(rounds, ways),
        };
        for (series, samples) in all.iter_mut().zip(samples) {
            series.values.push((value, samples));
        }
    }
    all
}

fn bytes(inputs: &Inputs) -> Vec<Panel> {
    eprintln!("\nMiB");
    // What takes long varies less, and is read from memory all the same.
    let rounds = |size| if size > 256 { 1 } else { support::rounds(if size > 64 { 2 } else { 5 }) };
    let all = measure(&SIZES, &CODECS, rounds, |size| inputs.command(&inputs.of_size(size * MIB)));
    let each = |series: &Series, size: u64| {
        series.elapsed(size) / size as f64 * USUAL_SIZE as f64 / series.elapsed(USUAL_SIZE)
    };
    let mut table = Table::new(head("MiB", &all, &["time for each byte", "peak memory"]));
    for &size in &SIZES {
        row(&mut table, size, &all, |series, samples| vec![ratio(each(series, size)), mebibytes(samples)]);
    }
    table.print(&format!("Bytes: elapsed time for each byte over that of {USUAL_SIZE} MiB, and peak memory"));
    vec![
        Panel {
            title: "time for each byte, over that of 64 MiB, by MiB",
            lines: all.iter().map(|series| series.line(|size, _| each(series, size))).collect(),
        },
        Panel {
            title: "peak memory in MiB, by MiB",
            lines: all.iter().map(|series| series.line(|_, samples| samples.peak() as f64 / MIB as f64)).collect(),
        },
    ]
}

fn files(inputs: &Inputs) -> Vec<Panel> {
    eprintln!("\nfiles");
    let command = |count| inputs.command(&inputs.of_count(count, SIZE_OF_FILES * MIB));
    let all = measure(&COUNTS, &CODECS, |_| support::rounds(3), command);
    let mut table = Table::new(head("files", &all, &["elapsed", "peak memory"]));
    for &count in &COUNTS {
        row(&mut table, count, &all, |series, samples| {
            vec![ratio(series.elapsed(count) / series.elapsed(1)), mebibytes(samples)]
        });
    }
    table.print(&format!("Files: {SIZE_OF_FILES} MiB in so many files, elapsed time over that of one file"));
    vec![Panel {
        title: "elapsed over one file, by files",
        lines: all.iter().map(|series| series.line(|count, _| series.elapsed(count) / series.elapsed(1))).collect(),
    }]
}

fn threads(inputs: &Inputs) -> Vec<Panel> {
    eprintln!("\nthreads");
    let files = inputs.of_size(SIZE_FOR_THREADS * MIB);
    let command = |threads: u64| {
        let mut command = inputs.command(&files);
        command.args(["--jobs", &threads.to_string()]);
        command
    };
    let all = measure(&THREADS, &CODECS, |_| support::rounds(2), command);
    let mut table = Table::new(head("`--jobs`", &all, &["speed", "peak memory"]));
    for &threads in &THREADS {
        row(&mut table, threads, &all, |series, samples| {
            vec![ratio(series.elapsed(1) / series.elapsed(threads)), mebibytes(samples)]
        });
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    table.print(&format!("Threads, on {cores} cores: speed over that of one, with {SIZE_FOR_THREADS} MiB"));
    vec![Panel {
        title: "speed over one thread, by threads",
        lines: all.iter().map(|series| series.line(|threads, _| series.elapsed(1) / series.elapsed(threads))).collect(),
    }]
}

fn head(value: &str, all: &[Series], columns: &[&str]) -> Vec<String> {
    let of = |series: &Series| columns.iter().map(|column| format!("{}: {column}", series.codec)).collect::<Vec<_>>();
    [value.to_owned()].into_iter().chain(all.iter().flat_map(of)).collect()
}

fn row(table: &mut Table, value: u64, all: &[Series], cells: impl Fn(&Series, &Samples) -> Vec<String>) {
    let of = |series: &Series| {
        let samples = series.values.iter().find(|(other, _)| *other == value);
        samples.map(|(_, samples)| cells(series, samples)).unwrap_or_default()
    };
    let cells = all.iter().flat_map(of);
    table.row([value.to_string()].into_iter().chain(cells));
}

fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

fn mebibytes(samples: &Samples) -> String {
    format!("{:.0} MiB", samples.peak() as f64 / MIB as f64)
}
