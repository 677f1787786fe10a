//! Disks that are full.

use std::ffi::CString;
use std::fs;
use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use scratchpack::ErrorKind;
use tempfile::TempDir;

use crate::scene::{KINDS, Kind, Scene, leftovers};
use crate::tools::is_root;

/// A small file system in memory, gone with the value.
pub struct Tmpfs(TempDir);

impl Tmpfs {
    pub fn new(kib: u64) -> Tmpfs {
        let place = TempDir::new().unwrap();
        let size = CString::new(format!("size={kib}k")).unwrap();
        mount("tmpfs", place.path(), "tmpfs", MountFlags::empty(), Some(size.as_c_str())).unwrap();
        Tmpfs(place)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn allow_writing(&self, is_allowed: bool) {
        let flags = if is_allowed { MountFlags::empty() } else { MountFlags::RDONLY };
        mount_remount(self.path(), flags, "").unwrap();
    }

    fn resize(&self, kib: u64) {
        mount_remount(self.path(), MountFlags::empty(), format!("size={kib}k")).unwrap();
    }

    fn used(&self) -> u64 {
        let status = rustix::fs::statvfs(self.path()).unwrap();
        (status.f_blocks - status.f_bfree) * status.f_frsize / 1024
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        unmount(self.path(), UnmountFlags::DETACH).ok();
    }
}

const LARGE: u64 = 64 << 10;
const SIZES: u64 = 30;

#[test]
fn a_full_disk_leaves_the_old_output_whole_at_every_size() {
    if !is_root() {
        return;
    }
    for kind in KINDS {
        let scene = Scene::of(kind);
        let (disk, probe) = (Tmpfs::new(LARGE), Tmpfs::new(LARGE));
        kind.write(&scene.new_image(), &probe.path().join("out")).unwrap();
        // Two sizes have room for all.
        let step = probe.used().div_ceil(SIZES - 3).next_multiple_of(4);
        let out = disk.path().join("out");
        let mut failed = 0;
        for number in 0..SIZES {
            disk.resize(LARGE);
            scene.restore(&out);
            // A size of 0 is none.
            disk.resize((disk.used() + number * step).max(4));
            let result = kind.write(&scene.builder("new").build().unwrap(), &out);
            let what = format!("{kind:?} with {} KiB free", number * step);
            match result {
                Ok(()) => assert!(scene.is_new(&out), "{what}"),
                Err(error) => {
                    failed += 1;
                    assert_eq!(error.kind(), ErrorKind::Io, "{what}: {error}");
                    let source = std::error::Error::source(&error).unwrap().downcast_ref::<io::Error>().unwrap();
                    assert_eq!(source.kind(), io::ErrorKind::StorageFull, "{what}: {error}");
                    assert!(error.to_string().contains("; make room") && error.path().is_some(), "{what}: {error}");
                    assert!(scene.is_old(&out), "{what}");
                }
            }
            assert_eq!(leftovers(disk.path()), [""; 0], "{what}");
        }
        assert!(failed > SIZES / 2 && failed < SIZES, "{kind:?}: {failed} of {SIZES} had no room");
    }
}

#[test]
fn a_full_cache_fails_no_build_whose_output_has_room() {
    if !is_root() {
        return;
    }
    for kind in [Kind::Archive, Kind::Layout] {
        let scene = Scene::of(kind);
        let (disk, place) = (Tmpfs::new(LARGE), TempDir::new().unwrap());
        let (cache, out) = (disk.path().join("cache"), place.path().join("out"));
        // Compressed, because frames take most of the room.
        let builder = |version: &str| {
            let mut builder = scene.builder(version);
            builder.compression(scratchpack::Compression::Gzip(1)).durable(false);
            builder
        };
        let plain = place.path().join("plain");
        kind.write(&builder("new").build().unwrap(), &plain).unwrap();
        for number in 0..SIZES {
            disk.resize(LARGE);
            fs::remove_dir_all(&cache).ok();
            disk.resize(disk.used().max(4) + number * 8);
            for round in ["cold", "warm"] {
                crate::scene::remove(&out);
                kind.write(&builder("new").cache_dir(&cache).build().unwrap(), &out).unwrap();
                let is_same = crate::scene::is_same(&out, &plain);
                assert!(is_same, "{kind:?} with {} KiB for the cache, {round}", number * 8);
                assert_eq!(leftovers(disk.path()), [""; 0]);
            }
            // What was stored while there was no room is no reason to trust it later.
            disk.resize(LARGE);
            crate::scene::remove(&out);
            let image = builder("new").cache_dir(&cache).build().unwrap();
            assert!(image.findings().is_empty(), "{:?}", image.findings());
            kind.write(&image, &out).unwrap();
            assert!(crate::scene::is_same(&out, &plain));
        }
    }
}
