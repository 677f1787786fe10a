//! The OCI image layout directory (OCI image spec, image layout).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::cache::Standing;
use super::documents::{OCI_LAYOUT, index};
use super::layer::Layer;
use super::publish::{Draft, Durability, Lock, Published, WRITE, create_directory, publish_bytes, sweep_in};
use super::temporary::is_temporary;
use super::{Image, Written};
use crate::error::{Cause, Result};
use crate::root::uninterrupted;

/// Adds an image to a layout, which is made if there is none. What refers to blobs is written after them.
pub(crate) fn write(image: &Image, directory: &Path) -> Result<Written> {
    let durability = image.making.durability;
    create_directory(directory, durability)?;
    let _lock = Lock::on(directory)?;
    image.expect_no_input(&directory.join("index.json"))?;
    image.expect_no_input(&directory.join("oci-layout"))?;
    expect_layout_or_nothing(directory)?;
    create_directory(&directory.join("blobs"), durability)?;
    create_directory(&directory.join("blobs/sha256"), durability)?;
    sweep_in(directory);
    sweep_in(&directory.join("blobs/sha256"));
    let resolved = fs::canonicalize(directory).map_err(|error| Cause::Io(error).on(WRITE, directory))?;
    let layout = Layout { image, directory: resolved, durability };
    let layer = layout.put_layer()?;
    let documents = image.description().documents(&layer)?;
    for document in [&documents.config, &documents.manifest] {
        layout.put(&document.hashed.blob(), document.text.as_bytes())?;
    }
    layout.put("oci-layout", OCI_LAYOUT.as_bytes())?;
    let manifests = merged(directory, &documents.descriptors)?;
    layout.put("index.json", index(&manifests)?.as_bytes())?;
    let size = layer.blob.size + documents.config.hashed.size + documents.manifest.hashed.size;
    Ok(Written::new(&layer, &documents, size))
}

/// A layout that is written into.
struct Layout<'a> {
    image: &'a Image,
    directory: PathBuf,
    durability: Durability,
}

impl Layout<'_> {
    /// Writes the layer, unless it is there already.
    fn put_layer(&self) -> Result<Layer> {
        let mut writer = self.image.chosen_layer_writer();
        if let Some(layer) = writer.known()
            && self.standing(&layer.blob.blob(), layer.blob.hex.as_bytes()).is_some_and(|blob| blob.find().is_some())
        {
            return writer.expect_unchanged().map(|()| layer);
        }
        let mut draft = Draft::in_directory(&self.directory.join("blobs/sha256"), self.durability)?;
        let layer = writer.write(&mut draft)?;
        let name = layer.blob.blob();
        let file = draft.publish_as(&self.directory.join(&name), &self.image.making.reporter)?;
        self.remember(&name, layer.blob.hex.as_bytes(), &file);
        Ok(layer)
    }

    /// Writes a small file, unless it is there already.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        if self.standing(name, bytes).is_some_and(|file| file.find().is_some()) {
            return Ok(());
        }
        let file = publish_bytes(&self.directory.join(name), bytes, self.durability)?;
        self.remember(name, bytes, &file);
        Ok(())
    }

    fn standing(&self, name: &str, content: &[u8]) -> Option<Standing<'_>> {
        self.image.standing(&self.directory.join(name), &[content])
    }

    fn remember(&self, name: &str, content: &[u8], file: &Published) {
        if let Some(standing) = self.standing(name, content) {
            standing.remember(file);
        }
    }
}

/// A directory with other things in it is most likely a mistake.
fn expect_layout_or_nothing(directory: &Path) -> Result<()> {
    let mut names = match uninterrupted(|| fs::read_dir(directory)) {
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
