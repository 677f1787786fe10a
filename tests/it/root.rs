//! A directory that stands for `/`, made in a few words.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use scratchpack::{Closure, Collector, Entry, EntryKind, Image, ImageBuilder};
use tempfile::TempDir;

use crate::elf::{Fixture, LOADER, loader};
use crate::verify::verified;

/// A root that is removed with the value.
pub struct Root {
    directory: TempDir,
}

/// What a Debian loader has built in.
pub const BUILTIN: [&str; 4] = ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib"];

impl Root {
    pub fn empty() -> Self {
        Root { directory: tempfile::tempdir().unwrap() }
    }

    /// A root with a loader that has Debian's directories built in.
    pub fn debian() -> Self {
        Root::empty().file(LOADER, &loader(&BUILTIN))
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn on_machine(&self, path: &str) -> PathBuf {
        self.path().join(path.trim_start_matches('/'))
    }

    pub fn file(self, path: &str, fixture: &Fixture) -> Self {
        self.bytes(path, &fixture.bytes())
    }

    pub fn bytes(self, path: &str, bytes: &[u8]) -> Self {
        let path = self.on_machine(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    pub fn directory(self, path: &str) -> Self {
        fs::create_dir_all(self.on_machine(path)).unwrap();
        self
    }

    pub fn link(self, path: &str, target: &str) -> Self {
        let path = self.on_machine(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
        self
    }

    pub fn hard_link(self, path: &str, to: &str) -> Self {
        let path = self.on_machine(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::hard_link(self.on_machine(to), path).unwrap();
        self
    }

    pub fn closure(&self, program: &str) -> Closure {
        Collector::new().sysroot(self.path()).collect(self.on_machine(program)).unwrap()
    }

    pub fn builder(&self, program: &str) -> ImageBuilder {
        let mut builder = Image::builder();
        builder.sysroot(self.path()).binary(self.on_machine(program));
        builder
    }

    pub fn image(&self, program: &str) -> Image {
        self.builder(program).build().map(verified).unwrap()
    }
}

/// The paths as opened, in load order, the interpreter left out.
pub fn opened(closure: &Closure) -> Vec<String> {
    closure.objects().iter().skip(1).map(|object| object.opened().display().to_string()).collect()
}

/// The rules by which they were found.
pub fn rules(closure: &Closure) -> Vec<&'static str> {
    closure.objects().iter().skip(1).map(|object| object.found_by().code()).collect()
}

/// The names of what is missing.
pub fn missing(closure: &Closure) -> Vec<String> {
    closure.missing().iter().map(|missing| missing.name().display().to_string()).collect()
}

/// A tree as lines: `path/`, `path`, `path -> target`, `path = first name`.
pub fn tree(image: &Image) -> Vec<String> {
    image.entries().map(line).collect()
}

fn line(entry: &Entry) -> String {
    let path = entry.path().display();
    match entry.kind() {
        EntryKind::Directory => format!("{path}/"),
        EntryKind::Symlink(target) => format!("{path} -> {}", target.display()),
        EntryKind::HardLink(target) => format!("{path} = {}", target.display()),
        _ => path.to_string(),
    }
}

/// A cache with one library, as ldconfig writes it for x86-64.
pub fn cache(name: &str, path: &str) -> Vec<u8> {
    let mut cache = b"glibc-ld.so.cache1.1".to_vec();
    let strings = [name.as_bytes(), b"\0", path.as_bytes(), b"\0"].concat();
    let word = |value: usize| u32::try_from(value).unwrap().to_le_bytes();
    cache.extend(word(1));
    cache.extend(word(strings.len()));
    cache.resize(48, 0);
    for value in [0x303, 72, 72 + name.len() + 1, 0, 0, 0] {
        cache.extend(word(value));
    }
    cache.extend(strings);
    cache
}
