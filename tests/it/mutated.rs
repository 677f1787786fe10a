//! 200,000 files that were good once. Whatever becomes of them, there is an answer or an error.

use std::fs;
use std::path::Path;

use scratchpack::{Collector, Elf};

use crate::random::Random;
use crate::root::Root;
use crate::seeds::{CONF, cache, files, old_cache};

/// Files whose bytes alone are read.
const FILES: usize = 196_000;
/// Roots of which one file is harmed, and all that a program of theirs needs is told.
const ROOTS: usize = 4_000;

/// Numbers at which sums, signs and sizes turn over.
const WORDS: [u64; 16] = [
    0,
    1,
    7,
    0x18,
    0x7f,
    0xfff,
    0x1000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    u64::MAX >> 1,
    1 << 63,
    u64::MAX - 0xfff,
    u64::MAX,
];

/// Harms a file in one to four places, nearly always where numbers are that others are found by.
pub fn mutate(random: &mut Random, original: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            return bytes;
        }
        let near = if random.below(3) == 0 { bytes.len() } else { bytes.len().min(4_096) };
        let at = random.below(near);
        let room = bytes.len() - at;
        match random.below(8) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            2 | 3 => {
                let at = at & !7;
                let (word, size) = (random.pick(&WORDS).to_le_bytes(), random.pick(&[2, 4, 8]).min(bytes.len() - at));
                bytes[at..at + size].copy_from_slice(&word[..size]);
            }
            4 => {
                let word = random.pick(&WORDS).to_be_bytes();
                let size = random.pick(&[2, 4, 8]).min(room);
                bytes[at..at + size].copy_from_slice(&word[8 - size..]);
            }
            5 => {
                let (from, size) = (random.below(near), random.below(64));
                let copied = bytes[from..].iter().copied().take(size.min(room)).collect::<Vec<_>>();
                bytes[at..at + copied.len()].copy_from_slice(&copied);
            }
            6 => {
                let size = random.below(64).min(room);
                bytes[at..at + size].fill(random.pick(&[0, 1, 0x2f, 0xff]));
            }
            _ if random.below(4) == 0 => bytes.truncate(at),
            _ => drop(bytes.splice(at..at, [random.pick(&[0, 0x24, 0xff])])),
        }
    }
    bytes
}

/// The fixtures, and a program that a compiler made: this one's start, with all that is read of it but its constants.
pub fn originals() -> Vec<Vec<u8>> {
    let real = ["/bin/true", "/usr/bin/env", "/bin/busybox"].into_iter().filter_map(|path| fs::read(path).ok());
    files().into_iter().chain(real.filter(|bytes| bytes.len() < 1 << 18)).collect()
}

#[test]
fn whatever_is_done_to_a_file_there_is_an_answer_or_an_error() {
    let (originals, mut random) = (originals(), Random(1));
    let mut good = 0;
    for number in 0..FILES {
        let bytes = mutate(&mut random, &originals[number % originals.len()]);
        good += usize::from(Elf::parse(&bytes).is_ok());
    }
    // Most harm is done to what a loader would not look at either; what is always refused would test nothing.
    assert!((FILES / 10..FILES * 9 / 10).contains(&good), "{good}");
}

fn place(root: &Root, path: &str, bytes: &[u8]) {
    fs::write(root.on_machine(path), bytes).unwrap();
}

#[test]
fn whatever_is_done_to_a_root_there_is_a_closure_or_an_error() {
    let files = files();
    let good: [(&str, Vec<u8>); 6] = [
        ("/app", files[0].clone()),
        ("/lib/liba.so.1", files[1].clone()),
        ("/lib64/ld-linux-x86-64.so.2", files[6].clone()),
        ("/etc/ld.so.cache", old_cache()),
        ("/etc/ld.so.cache", cache()),
        ("/etc/ld.so.conf", CONF.into()),
    ];
    let root = Root::empty().directory("/etc/ld.so.conf.d").directory("/opt/lib");
    let root = good.iter().fold(root, |root, (path, bytes)| root.bytes(path, bytes));
    let root = root.file("/lib/libx.so.1", &crate::elf::library("libx.so.1"));
    let mut random = Random(2);
    let (mut closures, mut is_asked) = (0, false);
    for number in 0..ROOTS {
        let (path, bytes) = &good[number % good.len()];
        place(&root, path, &mutate(&mut random, bytes));
        // Where there is no cache, its configuration is read.
        if path.ends_with("conf") {
            let _ = fs::remove_file(root.on_machine("/etc/ld.so.cache"));
        }
        closures += usize::from(ask(root.path(), &root.on_machine("/app"), is_asked));
        is_asked = !is_asked;
        place(&root, path, bytes);
    }
    assert!(closures > ROOTS / 2, "{closures}");
}

/// Asks for the closure of a program and all that is told of it; where `is_auto`, for what meets its needs as well.
fn ask(root: &Path, app: &Path, is_auto: bool) -> bool {
    let mut collector = Collector::new();
    collector.sysroot(root);
    if is_auto {
        collector.auto();
    }
    let closure = collector.collect(app);
    closure.map(|closure| (closure.findings().len(), closure.requirements().len())).is_ok()
}
