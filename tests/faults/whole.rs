//! Whether what stands at a path is an image, whole, and the files that it holds.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::scene::is_temporary;
use crate::verify::{self, Store, Verified};

/// The regular files of a layer, by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The files of the layers of an archive or a layout, all of which must be whole.
pub fn whole(path: &Path) -> Files {
    if !path.is_dir() {
        return archive(&fs::read(path).unwrap());
    }
    // What nobody has finished is not in it.
    let store = Store::of_directory_but_for(path, is_temporary).unwrap();
    files(&store, &verify::images_of(&store).unwrap())
}

/// The same of an archive in memory.
pub fn archive(bytes: &[u8]) -> Files {
    files(&Store::of_archive(bytes).unwrap(), &verify::archive(bytes).unwrap())
}

/// The files of a layer.
pub fn layer(bytes: &[u8]) -> Files {
    verify::files_of_layer(bytes).unwrap()
}

/// The files of an archive in docker's own form.
pub fn docker_archive(bytes: &[u8]) -> Files {
    verify::docker_archive(bytes).unwrap();
    layer(&Store::of_docker_archive(bytes).unwrap().files["layer.tar"])
}

fn files(store: &Store, images: &[Verified]) -> Files {
    let layers = images.iter().map(|image| image.layer_digest.replace("sha256:", "blobs/sha256/"));
    layers.flat_map(|name| layer(&store.files[&name])).collect()
}
