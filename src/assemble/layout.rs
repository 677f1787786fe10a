//! The OCI image layout directory (OCI image spec, image layout).

use std::fs;
use std::io;
use std::path::Path;

use serde_json::Value;

use super::documents::{OCI_LAYOUT, index};
use super::publish::{Draft, Lock, WRITE, create_directory, is_temporary, publish_bytes};
use super::{Image, Written};
use crate::error::{Cause, Result};

/// Adds an image to a layout, which is made if there is none. What refers to blobs is written after them.
pub(crate) fn write(image: &Image, directory: &Path) -> Result<Written> {
    create_directory(directory)?;
    let _lock = Lock::on(directory)?;
    image.expect_no_input(&directory.join("index.json"))?;
    image.expect_no_input(&directory.join("oci-layout"))?;
    expect_layout_or_nothing(directory)?;
    let blobs = directory.join("blobs/sha256");
    create_directory(&directory.join("blobs"))?;
    create_directory(&blobs)?;
    let mut draft = Draft::in_directory(&blobs)?;
    let layer = image.layer_plan().write(draft.file())?;
    let documents = image.description().documents(&layer)?;
    draft.publish_as(&directory.join(layer.blob.blob()))?;
    for document in [&documents.config, &documents.manifest] {
        publish_bytes(&directory.join(document.hashed.blob()), document.text.as_bytes())?;
    }
    publish_bytes(&directory.join("oci-layout"), OCI_LAYOUT.as_bytes())?;
    let manifests = merged(directory, &documents.descriptors)?;
    publish_bytes(&directory.join("index.json"), index(&manifests)?.as_bytes())?;
    let size = layer.blob.size + documents.config.hashed.size + documents.manifest.hashed.size;
    Ok(Written::new(&layer, &documents, size))
}

/// A directory with other things in it is most likely a mistake.
fn expect_layout_or_nothing(directory: &Path) -> Result<()> {
    let mut names = match fs::read_dir(directory) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.file_name())),
        Err(error) => return Err(Cause::Io(error).on(WRITE, directory)),
    };
    // A layout whose writing was cut short has its blobs, and perhaps a file that was not renamed.
    let is_ours = |name: &std::ffi::OsStr| name == "blobs" || is_temporary(name);
    if names.any(|name| !is_ours(&name)) && !directory.join("oci-layout").is_file() {
        let why = "the directory holds other things than an OCI layout; give a new or an empty one";
        return Err(Cause::OutputRefused(why.into()).on(WRITE, directory));
    }
    Ok(())
}

/// The manifests that were there, less those whose names are ours now, and ours.
fn merged(directory: &Path, ours: &[Value]) -> Result<Vec<Value>> {
    let path = directory.join("index.json");
    let known = match fs::read(&path) {
        Ok(bytes) => parse(&bytes).map_err(|why| Cause::OutputRefused(why).on("add to", &path))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(Cause::Io(error).on("read", &path)),
    };
    let others = known.into_iter().filter(|known| !ours.iter().any(|own| is_replaced(known, own)));
    Ok(others.chain(ours.iter().cloned()).collect())
}

fn parse(bytes: &[u8]) -> Result<Vec<Value>, String> {
    let index: Value = serde_json::from_slice(bytes).map_err(|error| format!("it is no valid JSON: {error}"))?;
    match index.get("manifests") {
        Some(Value::Array(manifests)) => Ok(manifests.clone()),
        _ => Err("it is no image index: it has no list of manifests".into()),
    }
}

/// Whether the name of one is the name of the other. A manifest without a full name was put there by another tool, and
/// stays: its tag alone does not tell whose it is.
fn is_replaced(known: &Value, own: &Value) -> bool {
    let name = |value: &Value, key: &str| value["annotations"][key].as_str().map(str::to_owned);
    let full = "io.containerd.image.name";
    match (name(known, full), name(own, full)) {
        (Some(known), Some(own)) => known == own,
        (_, None) if known["annotations"].is_null() => known["digest"] == own["digest"],
        _ => false,
    }
}
