//! What an independent tool unpacks.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::codec::{Codec, decompress};
use super::documents::MANIFEST;
use super::entries::of_layer;
use super::store::{BLOBS, Store, digest};
use super::{Result, expect};

const NAME: &str = "unpacked";

/// Unpacks the first image of an archive with umoci, and compares the files with the members of its layer.
pub fn unpacks(archive: &[u8]) -> Result {
    let store = Store::of_archive(archive)?;
    let index = store.json("index.json")?;
    let (name, _) = store.described(&index["manifests"][0], MANIFEST)?;
    let mut manifest = store.json(&name)?;
    let layer = manifest["layers"][0].clone();
    let (_, blob) = store.described(&layer, layer["mediaType"].as_str().unwrap_or_default())?;
    let (codec, tar) = decompress(blob)?;
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let layout = Layout::at(directory.path().join("layout"));
    let (config, _) =
        store.described(&manifest["config"], manifest["config"]["mediaType"].as_str().unwrap_or_default())?;
    layout.put(store.file(&config)?);
    match codec {
        // Debian's umoci is older than zstd in images.
        Codec::Zstd => manifest["layers"][0] = described(Codec::None.media_type(), &layout.put(&tar), tar.len()),
        Codec::None | Codec::Gzip => drop(layout.put(blob)),
    }
    layout.finish(&manifest);
    let bundle = directory.path().join("bundle");
    let output = Command::new("umoci")
        .args(["raw", "unpack", "--rootless", "--image"])
        .arg(format!("{}:{NAME}", layout.directory.display()))
        .arg(&bundle)
        .output()
        .map_err(|error| format!("umoci: {error}"))?;
    expect(output.status.success(), || format!("umoci: {}", String::from_utf8_lossy(&output.stderr)))?;
    compare(&expected(&tar)?, &found(&bundle))
}

/// A layout in the making.
struct Layout {
    directory: PathBuf,
}

impl Layout {
    fn at(directory: PathBuf) -> Layout {
        fs::create_dir_all(directory.join(BLOBS)).unwrap();
        Layout { directory }
    }

    /// Adds a blob, and gives its digest.
    fn put(&self, blob: &[u8]) -> String {
        let digest = digest(blob);
        fs::write(self.directory.join(digest.replace("sha256:", BLOBS)), blob).unwrap();
        digest
    }

    fn finish(&self, manifest: &Value) {
        let manifest = manifest.to_string();
        let mut descriptor = described(MANIFEST, &self.put(manifest.as_bytes()), manifest.len());
        descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": NAME });
        let index = json!({ "schemaVersion": 2, "manifests": [descriptor] });
        fs::write(self.directory.join("index.json"), index.to_string()).unwrap();
        fs::write(self.directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    }
}

fn described(media_type: &str, digest: &str, size: usize) -> Value {
    json!({ "mediaType": media_type, "digest": digest, "size": size })
}

/// What stands at a path, in words.
type Tree = BTreeMap<Vec<u8>, String>;

fn expected(tar: &[u8]) -> Result<Tree> {
    let mut tree = Tree::new();
    for member in of_layer(tar)? {
        let path = member.path.strip_suffix(b"/").unwrap_or(&member.path).to_vec();
        let node = match member.kind {
            b'5' => directory_of(member.mode),
            b'2' => link_to(&member.link),
            b'1' => tree[&member.link].clone(),
            _ => file_of(member.mode, member.data),
        };
        tree.insert(path, node);
    }
    Ok(tree)
}

fn found(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            let metadata = fs::symlink_metadata(&path).unwrap();
            let mode = u64::from(metadata.permissions().mode() & 0o7777);
            let node = if metadata.is_dir() {
                directories.push(path.clone());
                directory_of(mode)
            } else if metadata.is_symlink() {
                link_to(fs::read_link(&path).unwrap().as_os_str().as_bytes())
            } else {
                file_of(mode, &fs::read(&path).unwrap())
            };
            tree.insert(path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec(), node);
        }
    }
    tree
}

fn directory_of(mode: u64) -> String {
    format!("a directory {mode:o}")
}

fn link_to(target: &[u8]) -> String {
    format!("a link to {}", target.escape_ascii())
}

fn file_of(mode: u64, content: &[u8]) -> String {
    format!("a file {mode:o} of {} bytes, {}", content.len(), digest(content))
}

fn compare(expected: &Tree, found: &Tree) -> Result {
    for path in expected.keys().chain(found.keys()) {
        let name = path.escape_ascii();
        expect(expected.get(path) == found.get(path), || {
            format!("{name} is {:?} in the layer, and umoci makes {:?}", expected.get(path), found.get(path))
        })?;
    }
    Ok(())
}
