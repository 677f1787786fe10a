//! Archives, layouts and root directories: complete or absent.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use scratchpack::{Compression, ErrorKind, Image};
use serde_json::{Value, json};

use crate::elf::{library, program};
use crate::layers::large;
use crate::root::{Root, tree};
use crate::verify::{self, verified};

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_and_a_pipe_get_the_same_bytes() {
    let root = large();
    let image = root.image("/app");
    let out = tempfile::tempdir().unwrap();
    let file = image.write_archive(out.path().join("app.tar")).unwrap();
    let mut bytes = Vec::new();
    let piped = image.write_archive_to(&mut bytes).unwrap();
    assert_eq!(file, piped);
    assert_eq!(file.size(), bytes.len() as u64);
    assert!(fs::read(out.path().join("app.tar")).unwrap() == bytes);
}

/// The names and contents of an archive's members, in its order.
fn in_order(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(bytes);
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().display().to_string(), content)
    };
    archive.entries().unwrap().map(read).collect()
}

#[test]
fn a_docker_archive_has_its_layer_first_uncompressed_and_its_manifest_last() {
    let root = large().bytes("/odd", &[7; 513]);
    let deep = format!("/{}/{}", "d".repeat(120), "e".repeat(120));
    let mut builder = root.builder("/app");
    builder.file(root.on_machine("/odd"), &deep).symlink("f".repeat(150), "/link").directory("/tmp", Some(0o1777));
    let image = builder.compression(Compression::ZSTD).build().map(verified).unwrap();
    let mut bytes = Vec::new();
    let written = image.write_docker_archive_to(&mut bytes).unwrap();
    verify::docker_archive(&bytes).unwrap();
    assert_eq!(written.size(), bytes.len() as u64);
    let members = in_order(&bytes);
    let config = format!("{}.json", written.config_digest().strip_prefix("sha256:").unwrap());
    let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["layer.tar", &config, "manifest.json"]);
    let plain = builder.compression(Compression::None).build().map(verified).unwrap();
    let mut layer = Vec::new();
    assert_eq!(written.layer_digest(), plain.write_layer_to(&mut layer).unwrap().layer_digest());
    assert!(members[0].1 == layer);
    let manifest: Value = serde_json::from_slice(&members[2].1).unwrap();
    let expected = json!([{ "Config": config, "RepoTags": ["docker.io/library/app:latest"], "Layers": ["layer.tar"] }]);
    assert_eq!(manifest, expected);
    assert!(bytes[bytes.len() - 1024..].iter().all(|&byte| byte == 0));
}

/// Counts what comes, and is full at some point.
struct Pipe(usize);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_docker_archive_that_breaks_off_is_an_error_with_the_systems_own() {
    let root = large();
    let image = root.image("/app");
    let error = image.write_docker_archive_to(Pipe(5 << 20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    let source = std::error::Error::source(&error).unwrap().downcast_ref::<std::io::Error>().unwrap();
    assert_eq!(source.kind(), std::io::ErrorKind::BrokenPipe);
    fs::write(root.on_machine("/lib/libx.so.1.0"), b"changed").unwrap();
    assert_eq!(image.write_docker_archive_to(Pipe(usize::MAX)).unwrap_err().kind(), ErrorKind::Changed);
}

#[test]
fn the_digests_of_a_docker_archive_are_those_of_the_image_uncompressed() {
    let root = large();
    let docker = root.image("/app").write_docker_archive_to(std::io::sink()).unwrap();
    let archive = |compression| {
        let image = root.builder("/app").compression(compression).build().map(verified).unwrap();
        image.write_archive_to(std::io::sink()).unwrap()
    };
    let plain = archive(Compression::None);
    assert_eq!((docker.digest(), docker.config_digest()), (plain.digest(), plain.config_digest()));
    // A configuration knows its layer by the tar inside.
    assert_eq!(docker.config_digest(), archive(Compression::GZIP).config_digest());
}

#[test]
fn an_error_leaves_the_old_output_and_no_other_file() {
    let root = large();
    let image = root.image("/app");
    fs::write(root.on_machine("/lib/libx.so.1.0"), b"changed").unwrap();
    let out = tempfile::tempdir().unwrap();
    let archive = out.path().join("app.tar");
    fs::write(&archive, b"old").unwrap();
    assert_eq!(image.write_archive(&archive).unwrap_err().kind(), ErrorKind::Changed);
    assert_eq!(fs::read(&archive).unwrap(), b"old");
    assert_eq!(image.write_layer(&archive).unwrap_err().kind(), ErrorKind::Changed);
    assert_eq!(image.write_rootfs(out.path().join("rootfs")).unwrap_err().kind(), ErrorKind::Changed);
    assert_eq!(names(out.path()), ["app.tar"]);
    assert_eq!(image.write_layout(out.path().join("layout")).unwrap_err().kind(), ErrorKind::Changed);
    assert_eq!(names(&out.path().join("layout/blobs/sha256")), [""; 0]);
}

#[test]
fn an_archive_replaces_a_file_but_nothing_else() {
    let root = large();
    let image = root.image("/app");
    let out = tempfile::tempdir().unwrap();
    let pipe = out.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    for path in [&pipe, out.path()] {
        assert_eq!(image.write_archive(path).unwrap_err().kind(), ErrorKind::OutputRefused);
    }
    let missing = image.write_archive(out.path().join("no/such/app.tar")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert_eq!(names(out.path()), ["pipe"]);
}

#[test]
fn a_symlink_to_an_archive_stays_a_symlink() {
    let root = large();
    let out = tempfile::tempdir().unwrap();
    fs::write(out.path().join("real.tar"), b"old").unwrap();
    symlink("real.tar", out.path().join("link.tar")).unwrap();
    root.image("/app").write_archive(out.path().join("link.tar")).unwrap();
    assert_eq!(fs::read_link(out.path().join("link.tar")).unwrap(), Path::new("real.tar"));
    assert!(fs::metadata(out.path().join("real.tar")).unwrap().len() > 1000);
}

fn index(layout: &Path) -> Vec<String> {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let name = |manifest: &Value| manifest["annotations"]["io.containerd.image.name"].as_str().unwrap().to_owned();
    index["manifests"].as_array().unwrap().iter().map(name).collect()
}

#[test]
fn a_layout_keeps_the_images_of_other_names() {
    let root = large();
    let out = tempfile::tempdir().unwrap();
    let layout = out.path().join("layout");
    let write = |tag: &str, created| {
        root.builder("/app").tag(tag).created(created).build().map(verified).unwrap().write_layout(&layout).unwrap()
    };
    write("a:1", 0);
    write("b", 0);
    write("a:1", 5);
    verify::layout(&layout).unwrap();
    assert_eq!(index(&layout), ["docker.io/library/b:latest", "docker.io/library/a:1"]);
    assert_eq!(names(&layout), ["blobs", "index.json", "oci-layout"]);
}

#[test]
fn a_directory_that_holds_other_things_is_no_layout() {
    let root = large();
    let out = tempfile::tempdir().unwrap();
    fs::write(out.path().join("precious"), b"x").unwrap();
    let error = root.image("/app").write_layout(out.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutputRefused);
    assert_eq!(names(out.path()), ["precious"]);
}

#[test]
fn a_root_directory_holds_the_tree() {
    let root = large();
    let image = root.builder("/app").created(7).build().map(verified).unwrap();
    let out = tempfile::tempdir().unwrap();
    let rootfs = out.path().join("rootfs");
    image.write_rootfs(&rootfs).unwrap();
    for entry in image.entries() {
        let path = rootfs.join(entry.path().strip_prefix("/").unwrap());
        let metadata = fs::symlink_metadata(&path).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, entry.mode(), "{}", path.display());
        assert_eq!(metadata.mtime(), 7, "{}", path.display());
    }
    assert!(fs::read(rootfs.join("app")).unwrap() == fs::read(root.on_machine("/app")).unwrap());
    let error = image.write_rootfs(&rootfs).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutputRefused);
    assert_eq!(names(out.path()), ["rootfs"]);
}

#[test]
fn hard_links_are_hard_links_in_a_root_directory() {
    let root = Root::debian()
        .file("/app", &program(&["liba.so", "libb.so"]))
        .file("/lib/liba.so", &library("x"))
        .hard_link("/lib/libb.so", "/lib/liba.so");
    let out = tempfile::tempdir().unwrap();
    let rootfs = out.path().join("r");
    root.image("/app").write_rootfs(&rootfs).unwrap();
    let inode = |name: &str| fs::metadata(rootfs.join(name)).unwrap().ino();
    assert_eq!(inode("lib/liba.so"), inode("lib/libb.so"));
}

#[test]
fn an_image_can_be_looked_at_before_it_is_written() {
    let root = large();
    let image: Image = root.image("/app");
    assert_eq!(tree(&image).last().unwrap(), "/app");
    assert!(image.entries().all(|entry| !entry.reason().is_empty()));
}

#[test]
fn an_output_never_replaces_what_goes_into_it() {
    let root = large();
    let image = root.image("/app");
    for path in ["/app", "/lib/libx.so.1"] {
        let before = fs::read(root.on_machine(path)).unwrap();
        for error in [image.write_archive(root.on_machine(path)), image.write_layer(root.on_machine(path))] {
            assert_eq!(error.unwrap_err().kind(), ErrorKind::OutputRefused);
        }
        assert!(fs::read(root.on_machine(path)).unwrap() == before);
    }
}

#[test]
fn a_layout_keeps_what_another_tool_put_there_under_the_same_tag() {
    let root = large();
    let out = tempfile::tempdir().unwrap();
    let image = root.image("/app");
    image.write_layout(out.path()).unwrap();
    let path = out.path().join("index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    index["manifests"][0]["annotations"] = serde_json::json!({ "org.opencontainers.image.ref.name": "latest" });
    fs::write(&path, index.to_string()).unwrap();
    image.write_layout(out.path()).unwrap();
    let index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
}

#[test]
fn a_link_to_an_empty_directory_gets_the_tree_where_it_leads() {
    let root = large();
    let out = tempfile::tempdir().unwrap();
    fs::create_dir(out.path().join("real")).unwrap();
    symlink("real", out.path().join("link")).unwrap();
    root.image("/app").write_rootfs(out.path().join("link")).unwrap();
    assert!(out.path().join("real/app").exists());
}

#[test]
fn a_file_name_that_ends_in_a_slash_is_refused_before_anything_is_written() {
    let out = tempfile::tempdir().unwrap();
    let error = large().image("/app").write_archive(out.path().join("new/")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutputRefused);
    assert_eq!(names(out.path()), [""; 0]);
}

#[test]
fn a_link_that_leads_nowhere_stays_a_link() {
    let out = tempfile::tempdir().unwrap();
    symlink("later.tar", out.path().join("link.tar")).unwrap();
    large().image("/app").write_archive(out.path().join("link.tar")).unwrap();
    assert_eq!(names(out.path()), ["later.tar", "link.tar"]);
    assert!(out.path().join("link.tar").is_symlink());
}
