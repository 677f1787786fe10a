//! The layer's bytes.

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use scratchpack::{Compression, ErrorKind, Image};

use crate::elf::{Fixture, library, program, static_program};
use crate::random::Random;
use crate::root::Root;
use crate::verify::verified;

const CODECS: [Compression; 3] = [Compression::None, Compression::GZIP, Compression::ZSTD];

/// A root with a program of a few pieces, so that threads have something to disagree on.
pub fn large() -> Root {
    let mut random = Random(1);
    let mut data = Vec::new();
    while data.len() < 9 << 20 {
        let noise = random.next();
        data.extend(if noise >> 63 == 0 { *b"abcdefgh" } else { noise.to_le_bytes() });
    }
    Root::debian()
        .file("/app", &Fixture { data, ..program(&["libx.so.1"]) })
        .file("/lib/libx.so.1.0", &library("libx.so.1"))
        .link("/lib/libx.so.1", "libx.so.1.0")
}

fn layer(image: &Image) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.write_layer_to(&mut bytes).unwrap();
    bytes
}

fn plain(root: &Root, program: &str) -> Vec<u8> {
    layer(&root.builder(program).compression(Compression::None).build().map(verified).unwrap())
}

#[test]
fn threads_change_no_byte() {
    let root = large();
    for codec in CODECS {
        let with = |threads| {
            let threads = NonZeroUsize::new(threads).unwrap();
            layer(&root.builder("/app").compression(codec).threads(threads).build().map(verified).unwrap())
        };
        let alone = with(1);
        for threads in [2, 3, 8] {
            assert!(with(threads) == alone, "{codec} with {threads} threads");
        }
    }
}

#[test]
fn the_diff_id_is_the_same_whatever_the_codec() {
    let root = large();
    let diff_ids: Vec<String> = CODECS
        .iter()
        .map(|&codec| {
            let image = root.builder("/app").compression(codec).build().map(verified).unwrap();
            image.write_layer_to(std::io::sink()).unwrap().diff_id().to_owned()
        })
        .collect();
    assert_eq!(diff_ids[0], diff_ids[1]);
    assert_eq!(diff_ids[0], diff_ids[2]);
}

#[test]
fn what_is_compressed_is_the_tar() {
    let root = large();
    let plain = plain(&root, "/app");
    let gzip = layer(&root.builder("/app").build().map(verified).unwrap());
    assert!(gzip.len() < plain.len());
    assert!(decompress("gzip", &gzip).is_none_or(|bytes| bytes == plain));
    let zstd = layer(&root.builder("/app").compression(Compression::ZSTD).build().map(verified).unwrap());
    assert!(zstd::decode_all(zstd.as_slice()).unwrap() == plain);
}

/// What the real tool makes of it, where it is installed.
fn decompress(tool: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let input = tempfile::NamedTempFile::new().unwrap();
    fs::write(input.path(), bytes).unwrap();
    let output = Command::new(tool)
        .arg("-dc")
        .stdin(fs::File::open(input.path()).unwrap())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    assert!(output.status.success());
    Some(output.stdout)
}

#[test]
fn headers_tell_nothing_of_this_machine() {
    let root = large();
    let bytes = plain(&root, "/app");
    let mut archive = tar::Archive::new(bytes.as_slice());
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (0, 0, 0));
        assert_eq!((header.username().unwrap(), header.groupname().unwrap()), (Some(""), Some("")));
        assert!(entry.path().unwrap().is_relative());
    }
}

#[test]
fn the_tar_ends_with_two_blocks_of_zeros_and_no_more() {
    let root = Root::debian().file("/app", &static_program());
    let bytes = plain(&root, "/app");
    assert_eq!(bytes.len() % 512, 0);
    assert_eq!(
        bytes.len(),
        512 + root.image("/app").entries().next().unwrap().size().next_multiple_of(512) as usize + 1024
    );
    assert!(bytes[bytes.len() - 1024..].iter().all(|&byte| byte == 0));
}

#[test]
fn parents_come_before_children_and_programs_last() {
    let root = large();
    let paths: Vec<String> = root.image("/app").entries().map(|entry| entry.path().display().to_string()).collect();
    for (number, path) in paths.iter().enumerate() {
        let parent = std::path::Path::new(path).parent().unwrap();
        let known = parent == std::path::Path::new("/") || paths[..number].iter().any(|p| p.as_str() == parent);
        assert!(known, "{path} comes before its directory");
    }
    assert_eq!(paths.last().unwrap(), "/app");
}

#[test]
fn modes_are_those_of_executables_whatever_they_were() {
    let root = large();
    for (path, mode) in [("/app", 0o4700), ("/lib/libx.so.1.0", 0o600)] {
        fs::set_permissions(root.on_machine(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let image = root.image("/app");
    assert!(image.entries().filter(|e| e.size() > 0).all(|entry| entry.mode() == 0o755));
    assert_eq!(image.findings()[0].code(), "special-mode");
}

#[test]
fn long_names_are_kept_whole() {
    let deep = format!("/{}/{}", "d".repeat(200), "e".repeat(200));
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]).with(crate::elf::RUNPATH, &deep))
        .file(&format!("{deep}/{}", "f".repeat(250)), &library("libx.so"))
        .link(&format!("{deep}/libx.so"), &"f".repeat(250));
    let bytes = plain(&root, "/app");
    let mut archive = tar::Archive::new(bytes.as_slice());
    let names: Vec<_> = archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().into_owned()).collect();
    assert!(names.iter().any(|name| name.ends_with("f".repeat(250))));
    let mut archive = tar::Archive::new(bytes.as_slice());
    let mut links = archive.entries().unwrap().filter_map(|e| e.unwrap().link_name().unwrap().map(|l| l.into_owned()));
    assert_eq!(links.next().unwrap().as_os_str().len(), 250);
}

#[test]
fn a_file_that_changed_since_it_was_analyzed_is_an_error() {
    let root = large();
    let image = root.image("/app");
    fs::write(root.on_machine("/lib/libx.so.1.0"), library("other").bytes()).unwrap();
    let error = image.write_layer_to(std::io::sink()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed);
    assert!(error.path().unwrap().ends_with("lib/libx.so.1.0"));
}

#[test]
fn a_writer_that_fails_ends_the_work() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for threads in [1, 4] {
        let root = large();
        let image = root.builder("/app").threads(NonZeroUsize::new(threads).unwrap()).build().map(verified).unwrap();
        assert_eq!(image.write_layer_to(Full(100_000)).unwrap_err().kind(), ErrorKind::Io);
    }
}

#[test]
fn a_writer_that_fails_only_when_it_is_flushed_is_an_error() {
    struct Lazy;
    impl std::io::Write for Lazy {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
    }
    let root = Root::debian().file("/app", &static_program());
    assert_eq!(root.image("/app").write_layer_to(Lazy).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(root.image("/app").write_archive_to(Lazy).unwrap_err().kind(), ErrorKind::Io);
}

#[test]
fn more_threads_than_the_machine_has_are_no_error() {
    let root = large();
    let image = root.builder("/app").threads(NonZeroUsize::MAX).build().map(verified).unwrap();
    assert!(image.write_layer_to(std::io::sink()).is_ok());
}
