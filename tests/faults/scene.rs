//! Two versions of a program, the outputs of both, and whether a place holds the one or the other.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use scratchpack::{Compression, Image, ImageBuilder, Result};
use tempfile::TempDir;

use crate::elf::{Fixture, library, program};
use crate::random::Random;
use crate::root::Root;
use crate::tools;
use crate::whole::whole;

pub const SCRATCHPACK: &str = env!("CARGO_BIN_EXE_scratchpack");

/// The forms of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Archive,
    Layout,
    Rootfs,
    Layer,
}

pub const KINDS: [Kind; 4] = [Kind::Archive, Kind::Layout, Kind::Rootfs, Kind::Layer];

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Archive => "archive",
            Kind::Layout => "layout",
            Kind::Rootfs => "rootfs",
            Kind::Layer => "layer",
        }
    }

    pub fn write(self, image: &Image, path: &Path) -> Result<()> {
        match self {
            Kind::Archive => image.write_archive(path).map(drop),
            Kind::Layout => image.write_layout(path).map(drop),
            Kind::Rootfs => image.write_rootfs(path),
            Kind::Layer => image.write_layer(path).map(drop),
        }
    }
}

/// A program in an old and a new version, and what becomes of both.
pub struct Scene {
    pub root: Root,
    pub kind: Kind,
    /// What stands at the output before and after.
    old: State,
    new: State,
    kept: TempDir,
}

/// Everything at a path: names, modes, and bytes or targets.
pub type State = BTreeMap<PathBuf, (u32, Vec<u8>)>;

const SIZE: usize = 150_000;

impl Scene {
    pub fn of(kind: Kind) -> Scene {
        Scene::sized(kind, SIZE)
    }

    /// Of a program of so many bytes that cannot be compressed.
    pub fn sized(kind: Kind, size: usize) -> Scene {
        let fixture = |seed| Fixture { data: noise(seed, size), ..program(&["libx.so.1"]) };
        let root = Root::debian()
            .file("/old/app", &fixture(1))
            .file("/new/app", &fixture(2))
            .file("/lib/libx.so.1.0", &library("libx.so.1"))
            .link("/lib/libx.so.1", "libx.so.1.0");
        let kept = tempfile::tempdir().unwrap();
        let mut scene = Scene { root, kind, old: State::new(), new: State::new(), kept };
        let old = scene.kept.path().join("old");
        scene.write_old(&old);
        scene.old = state(&old);
        let new = scene.kept.path().join("new");
        scene.write_old(&new);
        kind.write(&scene.new_image(), &new).unwrap();
        scene.new = state(&new);
        assert!(scene.old != scene.new);
        scene
    }

    pub fn builder(&self, version: &str) -> ImageBuilder {
        let mut builder = self.root.builder(&format!("/{version}/app"));
        builder.compression(Compression::None).install("/app").tag("app:1");
        builder
    }

    pub fn new_image(&self) -> Image {
        self.builder("new").durable(false).build().unwrap()
    }

    /// Puts the old output at a path; the old root directory is an empty one.
    pub fn write_old(&self, path: &Path) {
        match self.kind {
            Kind::Rootfs => fs::create_dir(path).unwrap(),
            kind => kind.write(&self.builder("old").durable(false).build().unwrap(), path).unwrap(),
        }
    }

    /// Puts the old output there again, and nothing else: quickly, as a copy.
    pub fn restore(&self, path: &Path) {
        remove(path);
        put(path, &self.old);
    }

    /// The arguments of the command for the new output.
    pub fn arguments(&self, output: &Path, more: &[&str]) -> Vec<String> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let program = self.root.on_machine("/new/app");
        let mut arguments: Vec<String> =
            ["build", &text(&program), "--sysroot", &text(self.root.path())].map(str::to_owned).to_vec();
        arguments.extend(["--install", "/app", "-t", "app:1"].map(str::to_owned));
        if !more.contains(&"--compression") {
            arguments.extend(["--compression", "none"].map(str::to_owned));
        }
        arguments.extend(["--type", self.kind.name(), "-o", &text(output)].map(str::to_owned));
        arguments.extend(more.iter().map(ToString::to_string));
        arguments
    }

    pub fn command(&self, output: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(SCRATCHPACK);
        command.args(self.arguments(output, more)).env_remove("SOURCE_DATE_EPOCH");
        command
    }

    pub fn is_old(&self, path: &Path) -> bool {
        let now = state(path);
        // Blobs to which nothing refers are no part of an image.
        now == self.old || (self.kind == Kind::Layout && self.is_layout_of(&now, &self.old, path))
    }

    pub fn is_new(&self, path: &Path) -> bool {
        let now = state(path);
        now == self.new || (self.kind == Kind::Layout && self.is_layout_of(&now, &self.new, path))
    }

    fn is_layout_of(&self, now: &State, then: &State, path: &Path) -> bool {
        let is_same = then.iter().all(|(name, there)| now.get(name) == Some(there));
        is_same && !whole(path).is_empty()
    }

    /// Fails unless the output is the old one or the new one, whole; says whether it is new.
    #[track_caller]
    pub fn expect_whole(&self, path: &Path, what: &str) -> bool {
        let is_new = self.is_new(path);
        assert!(
            is_new || self.is_old(path),
            "{what}: {} at {} is neither old nor new",
            self.kind.name(),
            path.display()
        );
        is_new
    }
}

/// Noise that no codec makes smaller.
pub fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut random = Random(seed);
    std::iter::repeat_with(|| random.next() as u8).take(size).collect()
}

/// Calls to the system for strace, which passes over those that this machine does not have: newer ones have no `open`, no
/// `rename` and no `mkdir`.
pub fn calls_there(names: &str) -> String {
    let names: Vec<String> = names.split(',').map(|name| format!("?{name}")).collect();
    names.join(",")
}

pub fn is_temporary(name: &str) -> bool {
    name.starts_with(".scratchpack-") && name.ends_with(".tmp")
}

/// What is left over at or below a directory.
pub fn leftovers(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().map(Result::unwrap) {
        if is_temporary(&entry.file_name().to_string_lossy()) {
            found.push(entry.path().display().to_string());
        } else if entry.file_type().unwrap().is_dir() {
            found.extend(leftovers(&entry.path()));
        }
    }
    found
}

/// All that is at a path, but for what is left over.
fn state(path: &Path) -> State {
    let mut state = State::new();
    look(path, Path::new(""), &mut state);
    state
}

fn look(path: &Path, name: &Path, state: &mut State) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    if is_temporary(&path.file_name().unwrap().to_string_lossy()) {
        return;
    }
    let kind = metadata.file_type();
    let content = if kind.is_symlink() {
        fs::read_link(path).unwrap().into_os_string().into_encoded_bytes()
    } else if kind.is_dir() {
        Vec::new()
    } else {
        fs::read(path).unwrap()
    };
    state.insert(name.to_owned(), (metadata.permissions().mode(), content));
    if kind.is_dir() {
        for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
            look(&entry.path(), &name.join(entry.file_name()), state);
        }
    }
}

const S_IFMT: u32 = 0o170_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFLNK: u32 = 0o120_000;

fn put(path: &Path, state: &State) {
    for (name, (mode, content)) in state {
        let at = if name.as_os_str().is_empty() { path.to_owned() } else { path.join(name) };
        match mode & S_IFMT {
            S_IFDIR => fs::create_dir(&at).unwrap(),
            S_IFLNK => std::os::unix::fs::symlink(std::str::from_utf8(content).unwrap(), &at).unwrap(),
            _ => fs::write(&at, content).unwrap(),
        }
        if mode & S_IFMT != S_IFLNK {
            fs::set_permissions(&at, fs::Permissions::from_mode(mode & 0o7777)).unwrap();
        }
    }
}

pub fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// A command that fails as it should: with its status, and a message.
#[track_caller]
pub fn expect_message(output: &Output, what: &str) -> String {
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{what}: {}\n{message}", output.status);
    assert!(message.starts_with("scratchpack: error: cannot "), "{what}: {message}");
    assert!(output.stdout.is_empty(), "{what}");
    message
}

impl Scene {
    /// Opens all to everybody, for a command that runs as somebody else.
    pub fn readable_by_all(&self) {
        for path in [self.root.path(), self.kept.path()] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        // By another process: one that is forked here meanwhile would keep it open for writing, and nobody could run it
        // (ETXTBSY, execve(2)).
        tools::run(tools::command("cp").arg(SCRATCHPACK).arg(self.nobodys_command()));
    }

    /// The command where everybody finds it: directories above the target directory may not let others through.
    pub fn nobodys_command(&self) -> PathBuf {
        self.kept.path().join("scratchpack")
    }
}

/// Whether two paths hold the same.
pub fn is_same(one: &Path, other: &Path) -> bool {
    state(one) == state(other)
}
