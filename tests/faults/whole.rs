//! Whether what stands at a path is an image, whole: every digest and size, and the ends of its tar files.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use serde_json::Value;
use sha2::Digest;

use crate::scene::is_temporary;

/// The regular files of a tar, by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The files of the layer of an archive or a layout, all of which must be whole.
pub fn whole(path: &Path) -> Files {
    let blobs = if path.is_dir() { directory(path) } else { members(&fs::read(path).unwrap()) };
    image(&blobs)
}

/// The same of an archive in memory.
pub fn archive(bytes: &[u8]) -> Files {
    image(&members(bytes))
}

/// The files of a layer.
pub fn layer(bytes: &[u8]) -> Files {
    members(&plain(bytes))
}

fn image(files: &Files) -> Files {
    let json = |bytes: &[u8]| -> Value { serde_json::from_slice(bytes).unwrap() };
    for (name, bytes) in files.iter().filter(|(name, _)| name.starts_with("blobs/")) {
        assert_eq!(*name, format!("blobs/sha256/{}", sha256(bytes)));
    }
    assert!(files.contains_key("oci-layout"));
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let bytes = &files[&format!("blobs/sha256/{digest}")];
        assert_eq!(descriptor["size"].as_u64().unwrap(), bytes.len() as u64);
        bytes
    };
    let index = json(&files["index.json"]);
    let mut found = Files::new();
    for manifest in index["manifests"].as_array().unwrap() {
        let manifest = json(blob(manifest));
        let config = json(blob(&manifest["config"]));
        let [layer] = manifest["layers"].as_array().unwrap().as_slice() else { panic!("{manifest}") };
        let tar = plain(blob(layer));
        assert_eq!(config["rootfs"]["diff_ids"][0].as_str().unwrap(), format!("sha256:{}", sha256(&tar)));
        found.extend(members(&tar));
    }
    if let Some(docker) = files.get("manifest.json") {
        let docker = json(docker);
        let names = docker[0]["Layers"].as_array().unwrap().iter().chain([&docker[0]["Config"]]);
        assert!(names.into_iter().all(|name| files.contains_key(name.as_str().unwrap())), "{docker}");
    }
    found
}

/// The files of a layout, but for what nobody has finished.
fn directory(path: &Path) -> Files {
    let mut files = Files::new();
    for directory in ["", "blobs/sha256/"] {
        for entry in fs::read_dir(path.join(directory)).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_file() && !is_temporary(&name) {
                files.insert(format!("{directory}{name}"), fs::read(entry.path()).unwrap());
            }
        }
    }
    files
}

fn plain(blob: &[u8]) -> Vec<u8> {
    match blob {
        [0x1f, 0x8b, ..] => {
            let mut plain = Vec::new();
            flate2::read::MultiGzDecoder::new(blob).read_to_end(&mut plain).unwrap();
            plain
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd::decode_all(blob).unwrap(),
        _ => blob.to_vec(),
    }
}

/// The regular files of a tar, which ends with two blocks of zeros, and there.
fn members(tar: &[u8]) -> Files {
    let mut archive = tar::Archive::new(tar);
    let mut files = Files::new();
    let mut end = 0;
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, entry.size());
        end = (entry.raw_file_position() as usize + bytes.len()).next_multiple_of(512);
        if entry.header().entry_type().is_file() {
            files.insert(entry.path().unwrap().to_str().unwrap().to_owned(), bytes);
        }
    }
    assert!(tar[end..] == [0; 1024], "{} bytes behind the last member", tar.len() - end);
    files
}

fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
