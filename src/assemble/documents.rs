//! The JSON documents of an image: configuration, manifest and index (OCI image spec), and docker's manifest.json.

use std::collections::{BTreeMap, HashMap};

use oci_spec::image::{
    ConfigBuilder, Descriptor, DescriptorBuilder, Digest, History, HistoryBuilder, ImageConfigurationBuilder,
    ImageIndexBuilder, ImageManifestBuilder, MediaType, RootFsBuilder,
};
use serde_json::{Value, json};

use super::compress::Compression;
use super::digest::Hashed;
use super::layer::Layer;
use super::reference::Reference;
use super::timestamp;
use crate::error::{Cause, Result};
use crate::json::canonical;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// The file that marks an OCI layout (OCI image spec, image layout).
pub(crate) const OCI_LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// How the image's container runs: what a Dockerfile says after its COPY.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runtime {
    pub(crate) entrypoint: Vec<String>,
    pub(crate) cmd: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) user: Option<String>,
    pub(crate) workdir: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) ports: Vec<String>,
    pub(crate) stop_signal: Option<String>,
}

/// All that the documents say, but for the layer.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub(crate) architecture: &'static str,
    /// Of the architecture, where it has any and the files tell it.
    pub(crate) variant: Option<&'static str>,
    pub(crate) runtime: Runtime,
    /// The COPY of a Dockerfile that would make the layer.
    pub(crate) copy: String,
    /// Seconds since 1970.
    pub(crate) created: u64,
    pub(crate) names: Vec<Reference>,
    pub(crate) compression: Compression,
}

/// A document, and what others call it by.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) text: String,
    pub(crate) hashed: Hashed,
}

/// The documents of an image whose layer is known.
#[derive(Clone, Debug)]
pub(crate) struct Documents {
    pub(crate) config: Document,
    pub(crate) manifest: Document,
    /// The descriptors of index.json: one for each name.
    pub(crate) descriptors: Vec<Value>,
    /// docker's manifest.json.
    pub(crate) docker: String,
}

impl Document {
    fn of(value: &impl serde::Serialize) -> Result<Document> {
        let text = canonical(&to_value(value)?);
        Ok(Document { hashed: Hashed::of(text.as_bytes()), text })
    }
}

impl Description {
    pub(crate) fn documents(&self, layer: &Layer) -> Result<Documents> {
        let config = self.config(layer)?;
        let manifest = self.manifest(&config, layer)?;
        let descriptors = self.descriptors(&manifest)?;
        let names = self.names.iter().map(Reference::familiar);
        let docker = docker(&config.hashed.blob(), names, &layer.blob.blob());
        Ok(Documents { config, manifest, descriptors, docker })
    }

    fn config(&self, layer: &Layer) -> Result<Document> {
        let rootfs = RootFsBuilder::default().typ("layers").diff_ids(vec![layer.diff_id.digest()]).build();
        let mut configuration = ImageConfigurationBuilder::default();
        if let Some(variant) = self.variant {
            configuration = configuration.variant(variant);
        }
        let configuration = configuration
            .created(timestamp::rfc3339(self.created))
            .architecture(self.architecture)
            .os("linux")
            .config(self.runtime.config()?)
            .rootfs(rootfs.map_err(unwritable)?)
            .history(self.history()?)
            .build();
        Document::of(&configuration.map_err(unwritable)?)
    }

    /// What a Dockerfile would leave: an entry for the layer, and an empty one for each further line.
    fn history(&self) -> Result<Vec<History>> {
        let created = timestamp::rfc3339(self.created);
        let entry = |created_by: &str| HistoryBuilder::default().created(created.clone()).created_by(created_by);
        let lines = self.runtime.dockerfile();
        let layer = entry(&self.copy).build();
        let empty = lines.iter().map(|line| entry(line).empty_layer(true).build());
        std::iter::once(layer).chain(empty).collect::<Result<_, _>>().map_err(unwritable)
    }

    fn manifest(&self, config: &Document, layer: &Layer) -> Result<Document> {
        let manifest = ImageManifestBuilder::default()
            .schema_version(2u32)
            .media_type(MediaType::from(OCI_MANIFEST))
            .config(descriptor(OCI_CONFIG, &config.hashed, HashMap::new())?)
            .layers(vec![descriptor(self.compression.media_type(), &layer.blob, HashMap::new())?])
            .build();
        Document::of(&manifest.map_err(unwritable)?)
    }

    /// Both annotations are needed for every tool to know the name: the tag alone, and the full name.
    fn descriptors(&self, manifest: &Document) -> Result<Vec<Value>> {
        let named = |name: &Reference| {
            let annotations = HashMap::from([
                ("org.opencontainers.image.ref.name".to_owned(), name.tag().to_owned()),
                ("io.containerd.image.name".to_owned(), name.to_string()),
            ]);
            to_value(&descriptor(OCI_MANIFEST, &manifest.hashed, annotations)?)
        };
        match self.names.as_slice() {
            [] => Ok(vec![to_value(&descriptor(OCI_MANIFEST, &manifest.hashed, HashMap::new())?)?]),
            names => names.iter().map(named).collect(),
        }
    }
}

/// docker's manifest.json, for a configuration and a layer that have these names in the archive.
pub(crate) fn docker(config: &str, names: impl Iterator<Item = String>, layer: &str) -> String {
    canonical(&json!([{ "Config": config, "RepoTags": names.collect::<Vec<_>>(), "Layers": [layer] }]))
}

/// An index.json of these descriptors.
pub(crate) fn index(descriptors: &[Value]) -> Result<String> {
    let empty = ImageIndexBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::from(OCI_INDEX))
        .manifests(Vec::new())
        .build();
    let mut index = to_value(&empty.map_err(unwritable)?)?;
    index["manifests"] = Value::from(descriptors);
    Ok(canonical(&index))
}

fn descriptor(media_type: &str, hashed: &Hashed, annotations: HashMap<String, String>) -> Result<Descriptor> {
    let digest: Digest = hashed.digest().parse().map_err(unwritable)?;
    let builder = DescriptorBuilder::default().media_type(MediaType::from(media_type)).digest(digest).size(hashed.size);
    let builder = if annotations.is_empty() { builder } else { builder.annotations(annotations) };
    builder.build().map_err(unwritable)
}

impl Runtime {
    fn config(&self) -> Result<oci_spec::image::Config> {
        let mut config = ConfigBuilder::default();
        if !self.entrypoint.is_empty() {
            config = config.entrypoint(self.entrypoint.clone());
        }
        if !self.cmd.is_empty() {
            config = config.cmd(self.cmd.clone());
        }
        if !self.env.is_empty() {
            config = config.env(self.env.clone());
        }
        if !self.labels.is_empty() {
            config = config.labels(self.labels.clone().into_iter().collect::<HashMap<_, _>>());
        }
        if !self.ports.is_empty() {
            config = config.exposed_ports(self.ports.clone());
        }
        if let Some(user) = &self.user {
            config = config.user(user.clone());
        }
        if let Some(workdir) = &self.workdir {
            config = config.working_dir(workdir.clone());
        }
        if let Some(signal) = &self.stop_signal {
            config = config.stop_signal(signal.clone());
        }
        config.build().map_err(unwritable)
    }

    /// The lines of a Dockerfile that set the same.
    fn dockerfile(&self) -> Vec<String> {
        let list = |word: &str, arguments: &[String]| {
            (!arguments.is_empty()).then(|| format!("{word} {}", canonical(&json!(arguments))))
        };
        let word = |word: &str, value: &Option<String>| value.as_ref().map(|value| format!("{word} {value}"));
        let env = self.env.iter().map(|pair| format!("ENV {pair}"));
        let labels = self.labels.iter().map(|(key, value)| format!("LABEL {key}={value}"));
        let ports = self.ports.iter().map(|port| format!("EXPOSE {port}"));
        env.chain(labels)
            .chain(ports)
            .chain(word("WORKDIR", &self.workdir))
            .chain(word("USER", &self.user))
            .chain(word("STOPSIGNAL", &self.stop_signal))
            .chain(list("ENTRYPOINT", &self.entrypoint))
            .chain(list("CMD", &self.cmd))
            .collect()
    }
}

fn to_value(value: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(unwritable)
}

fn unwritable(error: impl std::fmt::Display) -> crate::error::Error {
    Cause::Unsupported(error.to_string()).during("write the image's documents")
}
