//! The documents of an image (OCI image spec; docker's manifest.json), and whether they agree.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::codec::decompress;
use super::entries::of_layer;
use super::store::{Store, digest};
use super::{Result, expect};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// An image of which every byte is as it should be.
#[derive(Debug, PartialEq, Eq)]
pub struct Verified {
    /// In full, where it has one.
    pub name: Option<String>,
    pub digest: String,
    pub config_digest: String,
    pub layer_digest: String,
    pub diff_id: String,
}

/// Every image of a layout.
pub fn layout(store: &Store) -> Result<Vec<Verified>> {
    expect(store.json("oci-layout")? == json!({ "imageLayoutVersion": "1.0.0" }), || {
        "oci-layout is no mark".to_owned()
    })?;
    let index = store.json("index.json")?;
    expect(index["schemaVersion"] == 2 && index["mediaType"] == INDEX, || "index.json is no index".to_owned())?;
    let descriptors = index["manifests"].as_array().filter(|list| !list.is_empty()).ok_or("the index is empty")?;
    descriptors.iter().map(|descriptor| image(store, descriptor)).collect()
}

fn image(store: &Store, descriptor: &Value) -> Result<Verified> {
    let (name, manifest) = store.described(descriptor, MANIFEST)?;
    let digest_of_manifest = digest(manifest);
    let manifest = store.json(&name)?;
    let is_manifest = manifest["schemaVersion"] == 2 && manifest["mediaType"] == MANIFEST;
    expect(is_manifest, || format!("{name} is no manifest"))?;
    let layers = manifest["layers"].as_array().ok_or("a manifest has no layers")?;
    let [layer] = layers.as_slice() else { return Err(format!("an image has {} layers", layers.len())) };
    let (config_name, config_blob) = store.described(&manifest["config"], CONFIG)?;
    let config_digest = digest(config_blob);
    let (layer_digest, diff_id) = verify_layer(store, layer)?;
    config(&store.json(&config_name)?, &diff_id)?;
    Ok(Verified { name: full_name(descriptor)?, digest: digest_of_manifest, config_digest, layer_digest, diff_id })
}

fn verify_layer(store: &Store, descriptor: &Value) -> Result<(String, String)> {
    let media_type = descriptor["mediaType"].as_str().ok_or("a layer has no media type")?;
    let (name, blob) = store.described(descriptor, media_type)?;
    let (codec, tar) = decompress(blob).map_err(|error| format!("{name}: {error}"))?;
    let is_of_codec = media_type == codec.media_type();
    expect(is_of_codec, || format!("{name} is {codec:?}, and its media type is {media_type}"))?;
    of_layer(&tar).map_err(|error| format!("{name}: {error}"))?;
    Ok((digest(blob), digest(&tar)))
}

fn config(config: &Value, diff_id: &str) -> Result {
    let rootfs = json!({ "type": "layers", "diff_ids": [diff_id] });
    expect(config["rootfs"] == rootfs, || format!("the configuration's layers are {}", config["rootfs"]))?;
    expect(config["os"] == "linux", || "the system is not linux".to_owned())?;
    let has_architecture = config["architecture"].as_str().is_some_and(|name| !name.is_empty());
    expect(has_architecture, || "there is no architecture".to_owned())?;
    let history = config["history"].as_array().ok_or("there is no history")?;
    let is_layer = |entry: &&Value| entry["empty_layer"] != true;
    let layers = history.iter().filter(is_layer).count();
    expect(layers == 1 && is_layer(&&history[0]), || format!("the history tells of {layers} layers"))
}

/// The pair of annotations by which every tool knows the name, or none at all.
fn full_name(descriptor: &Value) -> Result<Option<String>> {
    let annotation = |name: &str| descriptor["annotations"][name].as_str();
    match (annotation("io.containerd.image.name"), annotation("org.opencontainers.image.ref.name")) {
        (Some(full), Some(tag)) if full.rsplit_once(':').is_some_and(|(_, last)| last == tag) => {
            Ok(Some(full.to_owned()))
        }
        (None, None) => Ok(None),
        // Another tool's.
        (None, Some(tag)) => Ok(Some(tag.to_owned())),
        names => Err(format!("the annotations contradict: {names:?}")),
    }
}

/// The same image once more, for docker.
pub fn docker_manifest(store: &Store, images: &[Verified]) -> Result {
    let list = store.json("manifest.json")?;
    let first = &images[0];
    let is_one = images.iter().all(|image| image.digest == first.digest);
    expect(is_one, || "an archive holds several images".to_owned())?;
    let blob = |digest: &str| digest.replace("sha256:", "blobs/sha256/");
    let tags: Vec<String> = images.iter().filter_map(|image| image.name.as_deref().map(familiar)).collect();
    let (config, layer) = (blob(&first.config_digest), blob(&first.layer_digest));
    let expected = json!([{ "Config": config, "RepoTags": tags, "Layers": [layer] }]);
    expect(list == expected, || format!("manifest.json is {list}, not {expected}"))
}

/// As docker shows a name: without the registry and the account that it assumes.
fn familiar(name: &str) -> String {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name).to_owned()
}

/// An archive has no blob that nothing refers to.
pub fn expect_no_more(store: &Store, images: &[Verified]) -> Result {
    let digests = images.iter().flat_map(|image| [&image.digest, &image.config_digest, &image.layer_digest]);
    let known: BTreeSet<String> = digests.map(|digest| digest.replace("sha256:", "blobs/sha256/")).collect();
    let mut blobs = store.files.keys().filter(|name| name.starts_with("blobs/"));
    blobs.try_for_each(|name| expect(known.contains(name), || format!("nothing refers to {name}")))
}

/// An archive that docker alone reads: `layer.tar`, a configuration by its digest, and the list of both.
pub fn docker_archive(store: &Store) -> Result {
    let list = store.json("manifest.json")?;
    let name = list[0]["Config"].as_str().ok_or("there is no configuration")?;
    let expected = json!([{ "Config": name, "RepoTags": list[0]["RepoTags"], "Layers": ["layer.tar"] }]);
    expect(list == expected && list[0]["RepoTags"].is_array(), || format!("manifest.json is {list}"))?;
    let is_named = digest(store.file(name)?) == format!("sha256:{}", name.trim_end_matches(".json"));
    expect(is_named, || format!("{name} has another digest"))?;
    let layer = store.file("layer.tar")?;
    of_layer(layer)?;
    expect(store.files.len() == 3, || "there is more than an image in it".to_owned())?;
    config(&store.json(name)?, &digest(layer))
}
