//! The command beside what a user would type instead, as whole processes: `cargo bench --features cli --bench packing`.
//!
//! The shell's lines get the finished tree as a directory; the command finds it first. Groups can be chosen by name:
//! `none`, `zstd`, `gzip`, `cache`.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::expect_used)]

mod support;

#[path = "packing/again.rs"]
mod again;
#[path = "packing/codec.rs"]
mod codec;
#[path = "packing/parts.rs"]
mod parts;

use std::path::{Path, PathBuf};

use codec::{CODECS, Codec};
use support::measure::{Cost, cost_of};
use support::samples::{Samples, Way, in_turn};
use support::table::{Table, code, megabytes};
use support::tools::{self, bash, build, build_has};
use tempfile::TempDir;

fn main() {
    if !support::is_wanted() {
        return;
    }
    let Some(program) = support::program_if_there() else { return };
    let bench = Bench::of(&program);
    let mut cpu =
        Table::new(["codec", "CPU time over its parts'", "of the parts: compressing", "hashing", "reading", "writing"]);
    let mut sizes = Table::new(["codec", "layer over the shell's file"]);
    for codec in CODECS.iter().filter(|codec| support::is_chosen(codec.name)) {
        if tools::are_here(codec.name, &[&["bash", "tar", "sha256sum"], codec.tools].concat()) {
            bench.compare(codec, &mut cpu, &mut sizes);
        }
    }
    cpu.print("CPU time of the command, over the sum of what its parts take one after another in one thread");
    sizes.print("Sizes");
    if support::is_chosen("cache") {
        again::compare(&program);
    }
}

/// A program, and its tree.
struct Bench<'a> {
    program: &'a Path,
    directory: TempDir,
    /// Whether the command can leave out syncing.
    has_no_sync: bool,
}

impl<'a> Bench<'a> {
    fn of(program: &'a Path) -> Self {
        let bench = Bench { program, directory: support::scratch(), has_no_sync: build_has("--no-sync") };
        tools::run(build(program).args(["--type", "rootfs", "--output"]).arg(bench.rootfs()));
        bench
    }

    fn rootfs(&self) -> PathBuf {
        self.directory.path().join("rootfs")
    }

    fn archive(&self) -> PathBuf {
        self.directory.path().join("archive.tar")
    }

    /// The shell's file.
    fn file(&self) -> PathBuf {
        self.directory.path().join("layer")
    }

    fn compare(&self, codec: &Codec, cpu: &mut Table, sizes: &mut Table) {
        let lines = codec.lines(&self.rootfs(), &self.file());
        let parts = parts::Parts::of(self.program, codec, self.directory.path());
        let mut ways = vec![Way::new("scratchpack build", || self.pack(codec, &[]))];
        if self.has_no_sync {
            ways.push(Way::new("scratchpack build --no-sync", || self.pack(codec, &["--no-sync"])));
        }
        let ours = ways.len();
        ways.extend(lines.iter().map(|line| Way::new(&line.shown, || self.type_in(&line.text))));
        ways.extend(parts.ways());
        eprintln!("\n{}, {} of a tar", codec.name, megabytes(parts.raw_size()));
        let samples = in_turn(support::rounds(7), ways);
        let (ours, rest) = samples.split_at(ours);
        let (theirs, parts) = rest.split_at(lines.len());
        print_elapsed(codec, ours, theirs);
        let best = &ours[ours.len() - 1];
        cpu.row(parts::row(codec, best, parts));
        sizes.row([codec.name.to_owned(), self.sizes(codec, &lines[1].text)]);
    }

    /// A file that is still to be written to the disk would be written while the next one is measured; one that is gone
    /// is not.
    fn pack(&self, codec: &Codec, options: &[&str]) -> Cost {
        let archive = self.archive();
        let mut command = build(self.program);
        command.args(options).args(["--compression", codec.option, "--output"]).arg(&archive);
        let cost = cost_of(&command);
        std::fs::remove_file(archive).expect("the archive");
        cost
    }

    fn type_in(&self, line: &str) -> Cost {
        let cost = cost_of(&bash(line));
        // Not every line writes it.
        let _ = std::fs::remove_file(self.file());
        cost
    }

    fn sizes(&self, codec: &Codec, line: &str) -> String {
        let layer = self.archive();
        let mut command = build(self.program);
        tools::run(command.args(["--type", "layer", "--compression", codec.option, "--output"]).arg(&layer));
        tools::run(&mut bash(line));
        let (ours, theirs) = (support::size_of(&layer), support::size_of(&self.file()));
        format!("{:.3} ({} over {})", ours as f64 / theirs as f64, megabytes(ours), megabytes(theirs))
    }
}

fn print_elapsed(codec: &Codec, ours: &[Samples], theirs: &[Samples]) {
    let elapsed = ours.iter().map(|ours| format!("{}: elapsed", code(&ours.name)));
    let mut table = Table::new(["over".to_owned()].into_iter().chain(elapsed).chain(["CPU time".to_owned()]));
    for line in theirs {
        let ratios = ours.iter().map(|ours| ours.elapsed().over(line.elapsed()).text());
        // What runs in `>(...)` is no child that the shell waits for, so the system does not count it.
        let is_counted = !line.name.contains(">(");
        let cpu = is_counted.then(|| ours[ours.len() - 1].cpu().over(line.cpu()).text()).unwrap_or_default();
        table.row([code(&line.name)].into_iter().chain(ratios).chain([cpu]));
    }
    table.print(&format!("With {}: least over least (median over median)", codec.name));
}
