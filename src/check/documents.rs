//! Which images there are, and what of their documents matters here: the layers, and what a container starts (OCI image
//! spec, "Image Layout", "Image Index", "Image Manifest", "Image Configuration"; docker image spec v1.2, "Combined Image
//! JSON + Filesystem Changeset Format").

use std::collections::BTreeMap;

use serde_json::Value;

use super::blob::Blob;
use super::limits::{Budget, MAX_IMAGES, MAX_LAYERS, MAX_NESTING};
use super::store::Store;
use crate::error::Cause;
use crate::json::canonical;
use crate::text::printable;

/// What a configuration says of the machine, beside what it says of the program (OCI image spec, "Image Configuration").
const MACHINE: [&str; 3] = ["architecture", "os", "variant"];

/// What it says of how a container runs; the last three are docker's own.
const SETTINGS: [&str; 12] = [
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "Healthcheck",
    "Shell",
    "OnBuild",
];

/// An image, by what it is made of.
#[derive(Debug)]
pub(super) struct Parts {
    /// As its index calls it.
    pub(super) name: Option<String>,
    /// What else lists call it.
    others: Vec<String>,
    /// What it is called where it has no name.
    pub(super) digest: String,
    config: Part,
    pub(super) layers: Vec<Part>,
}

/// A document or layer, by its name in the store.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: String,
    /// As its descriptor has it.
    size: Option<u64>,
    /// Of its digest, where it has one, and of that kind.
    sha256: Option<String>,
}

/// How a container of the image runs.
#[derive(Debug, Default)]
pub(super) struct Config {
    /// `NAME=VALUE` each.
    pub(super) env: Vec<String>,
    pub(super) working_directory: Option<String>,
    /// The program that it starts.
    pub(super) program: Option<String>,
}

/// All images of a store, each once.
pub(super) fn images(store: &Store) -> Result<Vec<Parts>, Cause> {
    let mut list = List { store, images: Vec::new(), descriptors: Budget::new("descriptors in its indexes", 1 << 14) };
    let is_known = list.oci()? | list.docker()?;
    if !is_known {
        return Err(Cause::NotAnImage(format!("it has neither index.json nor manifest.json; {}", super::FORMS)));
    }
    if list.images.is_empty() {
        return Err(Cause::NotAnImage(
            "it holds no image: its index lists none that a container could be made of".into(),
        ));
    }
    Ok(list.images)
}

impl Parts {
    /// All that it is called.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.name.iter().chain(&self.others).map(String::as_str)
    }

    /// What its configuration says of how it runs, and on which machine: each setting that is set, as JSON.
    pub(super) fn settings(&self, store: &Store) -> Result<BTreeMap<String, String>, Cause> {
        let document = self.config.json(store)?;
        let of_machine = MACHINE.iter().map(|key| (*key, &document[*key]));
        let all = of_machine.chain(SETTINGS.iter().map(|key| (*key, &document["config"][*key])));
        let set = all.filter(|(key, value)| !is_unset(key, value));
        Ok(set.map(|(key, value)| (key.to_owned(), canonical(value))).collect())
    }

    pub(super) fn config(&self, store: &Store) -> Result<Config, Cause> {
        let document = self.config.json(store)?;
        let config = &document["config"];
        let arguments = [&config["Entrypoint"], &config["Cmd"]].into_iter().find_map(first);
        let working_directory = config["WorkingDir"].as_str().filter(|directory| directory.starts_with('/'));
        Ok(Config {
            env: strings(&config["Env"]),
            working_directory: working_directory.map(str::to_owned),
            program: arguments,
        })
    }
}

impl Part {
    /// The blob, if it is the one that its descriptor means.
    pub(super) fn blob(&self, store: &Store) -> Result<Blob, Cause> {
        let blob = store.get(&self.name)?;
        if let Some(size) = self.size.filter(|&size| size != blob.size()) {
            return Err(self.other(format!("has {} bytes, and its descriptor says {size}", blob.size())));
        }
        match &self.sha256 {
            Some(sha256) if *sha256 != blob.sha256()? => Err(self.other("does not have the digest of its name".into())),
            _ => Ok(blob),
        }
    }

    fn other(&self, why: String) -> Cause {
        Cause::malformed(format!("{} {why}; get the image again", printable(&self.name)))
    }

    fn json(&self, store: &Store) -> Result<Value, Cause> {
        let read = || json(&self.blob(store)?.document()?);
        read().map_err(|cause| cause.within(printable(&self.name)))
    }

    /// What a descriptor is of.
    fn of(descriptor: &Value) -> Result<Part, Cause> {
        let digest = descriptor["digest"].as_str().unwrap_or_default();
        let name = blob_name(digest);
        let name =
            name.ok_or_else(|| Cause::malformed(format!("a descriptor has no digest, but `{}`", printable(digest))))?;
        let sha256 = digest.strip_prefix("sha256:").map(str::to_owned);
        Ok(Part { name, size: descriptor["size"].as_u64(), sha256 })
    }

    fn named(name: &Value) -> Result<Part, Cause> {
        let name = name.as_str().ok_or_else(|| Cause::malformed("manifest.json has a name that is no string"))?;
        Ok(Part { name: name.to_owned(), size: None, sha256: None })
    }
}

/// The images found so far.
struct List<'s> {
    store: &'s Store,
    images: Vec<Parts>,
    descriptors: Budget,
}

impl List<'_> {
    /// Those of index.json. Whether there is one.
    fn oci(&mut self) -> Result<bool, Cause> {
        let Some(blob) = self.store.find("index.json")? else { return Ok(false) };
        let index = json(&blob.document()?);
        index.and_then(|index| self.index(&index, None, 0)).map_err(|cause| cause.within("index.json")).map(|()| true)
    }

    fn index(&mut self, index: &Value, name: Option<&str>, depth: usize) -> Result<(), Cause> {
        if depth > MAX_NESTING {
            return Err(Cause::malformed(format!("more than {MAX_NESTING} indexes are in one another")));
        }
        let list = index["manifests"].as_array();
        let list = list.ok_or_else(|| Cause::malformed("an image index has no list of manifests"))?;
        // The image of a machine that nobody asked for is left out of an archive, but not of the index in it.
        let (mut present, mut absent) = (0, None);
        for descriptor in list.iter().filter(|descriptor| !is_attestation(descriptor)) {
            self.descriptors.spend(1)?;
            let part = Part::of(descriptor)?;
            match depth > 0 && self.store.find(&part.name)?.is_none() {
                true => absent = Some(part),
                false => {
                    present += 1;
                    self.descriptor(descriptor, &part, name, depth)?;
                }
            }
        }
        match absent {
            Some(part) if present == 0 => part.blob(self.store).map(|_| ()),
            _ => Ok(()),
        }
    }

    fn descriptor(&mut self, descriptor: &Value, part: &Part, name: Option<&str>, depth: usize) -> Result<(), Cause> {
        let document = part.json(self.store)?;
        let own = name_of(descriptor);
        let name = own.as_deref().or(name);
        if document["manifests"].is_array() {
            return self.index(&document, name, depth + 1);
        }
        if is_artifact(&document) {
            return Ok(());
        }
        let platform = platform(descriptor).filter(|_| depth > 0);
        let name =
            name.map(|name| platform.iter().fold(name.to_owned(), |name, platform| format!("{name} ({platform})")));
        let layers = document["layers"].as_array();
        let layers =
            layers.ok_or_else(|| Cause::malformed(format!("{} is no image manifest", printable(&part.name))))?;
        let digest = descriptor["digest"].as_str().unwrap_or_default().to_owned();
        let layers = layers.iter().map(Part::of).collect::<Result<_, _>>()?;
        self.add(Parts { name, others: Vec::new(), digest, config: Part::of(&document["config"])?, layers })
    }

    /// Those of manifest.json. Whether there is one.
    fn docker(&mut self) -> Result<bool, Cause> {
        let Store::Archive(_) = self.store else { return Ok(false) };
        let Some(blob) = self.store.find("manifest.json")? else { return Ok(false) };
        let add_all = || {
            let list = json(&blob.document()?)?;
            let list = list.as_array().ok_or_else(|| Cause::malformed("it is no list of images"))?;
            list.iter().try_for_each(|image| self.add(docker_image(image)?))
        };
        add_all().map_err(|cause| cause.within("manifest.json")).map(|()| true)
    }

    /// An image that has several names, or stands in both lists, is one.
    fn add(&mut self, image: Parts) -> Result<(), Cause> {
        if image.layers.len() > MAX_LAYERS {
            return Err(Cause::malformed(format!("an image has more than {MAX_LAYERS} layers, which is the limit")));
        }
        if let Some(known) = self.images.iter_mut().find(|known| known.is_same(&image)) {
            known.others.extend(image.name.into_iter().chain(image.others));
            return Ok(());
        }
        if self.images.len() == MAX_IMAGES {
            return Err(Cause::malformed(format!("there are more than {MAX_IMAGES} images, which is the limit")));
        }
        self.images.push(image);
        Ok(())
    }
}

impl Parts {
    fn is_same(&self, other: &Parts) -> bool {
        let names = |parts: &Parts| parts.layers.iter().map(|part| part.name.clone()).collect::<Vec<_>>();
        self.config.name == other.config.name && names(self) == names(other)
    }
}

fn docker_image(image: &Value) -> Result<Parts, Cause> {
    let layers = image["Layers"].as_array().ok_or_else(|| Cause::malformed("an image has no list of layers"))?;
    let config = Part::named(&image["Config"])?;
    Ok(Parts {
        name: first(&image["RepoTags"]),
        others: strings(&image["RepoTags"]).into_iter().skip(1).collect(),
        digest: config.name.clone(),
        layers: layers.iter().map(Part::named).collect::<Result<_, _>>()?,
        config,
    })
}

fn json(bytes: &[u8]) -> Result<Value, Cause> {
    serde_json::from_slice(bytes).map_err(|error| Cause::malformed(format!("it is no valid JSON: {error}")))
}

/// `blobs/sha256/<hex>`; `None` where the digest is none, and might lead elsewhere.
fn blob_name(digest: &str) -> Option<String> {
    let (algorithm, encoded) = digest.split_once(':')?;
    let is_fine = |part: &str, more: &[u8]| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    (is_fine(algorithm, b"+_-") && is_fine(encoded, b"=_-")).then(|| format!("blobs/{algorithm}/{encoded}"))
}

/// The full name that containerd writes; else what the layout calls it.
fn name_of(descriptor: &Value) -> Option<String> {
    let names = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
    names.iter().find_map(|key| descriptor["annotations"][key].as_str().map(str::to_owned))
}

fn platform(descriptor: &Value) -> Option<String> {
    let platform = &descriptor["platform"];
    let words = ["os", "architecture", "variant"].iter().filter_map(|key| platform[key].as_str());
    Some(words.collect::<Vec<_>>().join("/")).filter(|platform| !platform.is_empty())
}

/// What BuildKit says of how an image was built is stored as if it were one.
fn is_attestation(descriptor: &Value) -> bool {
    descriptor["annotations"]["vnd.docker.reference.type"] == "attestation-manifest"
}

/// Whatever else is stored as a manifest: its configuration is not an image's.
fn is_artifact(manifest: &Value) -> bool {
    const CONFIGS: [&str; 2] =
        ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
    manifest["config"]["mediaType"].as_str().is_some_and(|kind| !CONFIGS.contains(&kind))
}

/// The first string of a list.
fn first(list: &Value) -> Option<String> {
    list[0].as_str().map(str::to_owned)
}

/// What means the same as if it were absent.
fn is_unset(key: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty() || (key == "WorkingDir" && text == "/"),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn strings(list: &Value) -> Vec<String> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
