//! Packing again what was packed before, with a cache.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use scratchpack::Closure;
use tempfile::TempDir;

use super::codec::{CODECS, Codec};
use crate::support;
use crate::support::measure::{Cost, cost_of};
use crate::support::samples::{Samples, Way, in_turn};
use crate::support::table::Table;
use crate::support::tools::{self, build, build_has};

pub(crate) fn compare(program: &Path) {
    if !build_has("--cache") {
        eprintln!("cache: left out, for want of the option --cache");
        return;
    }
    let mut table = Table::new(["codec"].into_iter().chain(CHANGES.iter().map(|change| change.name)).chain([STANDING]));
    for codec in &CODECS {
        table.row(Again::of(program, codec).row());
    }
    table.print("Packing again with `--cache`, over packing without: least over least (median over median)");
}

/// What changed since the last time.
struct Change {
    name: &'static str,
    make: fn(&Again<'_>),
}

/// The same archive at the same path, which it need not be written to again.
const STANDING: &str = "nothing changed, and the archive is there";

const CHANGES: [Change; 5] = [
    Change { name: "cold", make: |again| drop(fs::remove_dir_all(again.path("cache"))) },
    Change { name: "nothing changed", make: |_| () },
    Change { name: "the program's last bytes", make: |again| again.touch(&again.program, 1) },
    Change { name: "the program's middle", make: |again| again.touch(&again.program, 2) },
    Change { name: "the largest library's middle", make: |again| again.touch(&again.library, 2) },
];

/// Copies of a program and of its largest library, which can be changed.
struct Again<'a> {
    codec: &'a Codec,
    directory: TempDir,
    program: PathBuf,
    library: PathBuf,
    /// How often anything was changed.
    changes: AtomicU64,
}

impl<'a> Again<'a> {
    fn of(program: &Path, codec: &'a Codec) -> Self {
        let directory = support::scratch();
        let closure = Closure::of(program).expect("a closure");
        // The first is the interpreter.
        let libraries = closure.objects().iter().skip(1);
        let largest = libraries.max_by_key(|object| object.size()).expect("a library");
        let copies = directory.path().join("lib");
        fs::create_dir(&copies).expect("room for it");
        let copy = |from: &Path, to: PathBuf| {
            fs::copy(from, &to).expect("room for it");
            to
        };
        let library = copy(&largest.source(), copies.join(largest.name()));
        let program = copy(program, directory.path().join("program"));
        Again { codec, directory, program, library, changes: AtomicU64::new(0) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a few bytes that were never there, the `part`-th part of the file's length before its end.
    fn touch(&self, file: &Path, part: u64) {
        let number = self.changes.fetch_add(1, Ordering::Relaxed) | 1 << 32;
        let size = support::size_of(file);
        let at = if part == 1 { size - 8 } else { size / part };
        let file = OpenOptions::new().write(true).open(file).expect("the copy");
        file.write_all_at(&number.to_le_bytes(), at).expect("its bytes");
    }

    fn row(&self) -> Vec<String> {
        eprintln!("\ncache, {}", self.codec.name);
        let mut ways = vec![Way::new("without a cache", || self.pack(&self.command(false)))];
        ways.extend(CHANGES.iter().map(|change| {
            Way::new(change.name, move || {
                (change.make)(self);
                self.pack(&self.command(true))
            })
        }));
        ways.push(Way::new(STANDING, || {
            tools::run(&mut self.command(true));
            self.pack(&self.command(true))
        }));
        let samples = in_turn(support::rounds(7), ways);
        let without = samples[0].elapsed();
        let ratio = |with: &Samples| with.elapsed().over(without).text();
        [self.codec.name.to_owned()].into_iter().chain(samples[1..].iter().map(ratio)).collect()
    }

    fn pack(&self, command: &Command) -> Cost {
        let cost = cost_of(command);
        fs::remove_file(self.path("archive.tar")).expect("the archive");
        cost
    }

    fn command(&self, has_cache: bool) -> Command {
        let mut command = build(&self.program);
        command.arg("--library-path").arg(self.path("lib"));
        if has_cache {
            command.arg("--cache").arg(self.path("cache"));
        }
        command.args(["--compression", self.codec.option, "--output"]).arg(self.path("archive.tar"));
        command
    }
}
