//! Configuration, manifest, index, names and history.

use std::collections::BTreeMap;

use scratchpack::{Compression, Image};
use serde_json::{Value, json};

use crate::elf::{ARM, arm_attributes, program, static_program, with_arm_attributes};
use crate::root::Root;
use crate::verify::verified;

/// The members of an archive by their names.
pub fn members(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(bytes);
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        (entry.path().unwrap().display().to_string(), content)
    };
    archive.entries().unwrap().map(read).collect()
}

pub struct Archive {
    members: BTreeMap<String, Vec<u8>>,
}

impl Archive {
    pub fn of(image: &Image) -> Self {
        let mut bytes = Vec::new();
        image.write_archive_to(&mut bytes).unwrap();
        Archive { members: members(&bytes) }
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&self.members[name]).unwrap()
    }

    fn blob(&self, digest: &Value) -> Value {
        self.json(&format!("blobs/sha256/{}", digest.as_str().unwrap().strip_prefix("sha256:").unwrap()))
    }

    fn manifest(&self) -> Value {
        self.blob(&self.json("index.json")["manifests"][0]["digest"])
    }

    pub fn config(&self) -> Value {
        self.blob(&self.manifest()["config"]["digest"])
    }
}

#[test]
fn one_layer_and_its_history_as_a_dockerfile_would_leave_it() {
    let root = Root::empty().file("/hello", &static_program());
    let config = Archive::of(&root.image("/hello")).config();
    assert_eq!(config["architecture"], "amd64");
    assert_eq!(config["os"], "linux");
    assert_eq!(config["created"], "1970-01-01T00:00:00Z");
    assert_eq!(config["config"], json!({ "Entrypoint": ["/hello"] }));
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 1);
    let history = config["history"].as_array().unwrap();
    assert_eq!(history.len(), 2);
    assert_eq!(history[0]["created_by"], "COPY hello /");
    assert_eq!(history[0].get("empty_layer"), None);
    assert_eq!(history[1]["created_by"], r#"ENTRYPOINT ["/hello"]"#);
    assert_eq!(history[1]["empty_layer"], true);
}

#[test]
fn everything_that_was_asked_for_is_in_the_configuration() {
    let root = Root::empty().file("/app", &static_program());
    let image = root
        .builder("/app")
        .cmd(["--verbose", "x y"])
        .env("B", "2")
        .env("A", "1")
        .env("B", "3")
        .user(65532, 65532)
        .workdir("/data")
        .label("z", "1")
        .label("a", "2")
        .expose("80")
        .expose("53/udp")
        .stop_signal("SIGINT")
        .created(1_700_000_000)
        .build()
        .map(verified)
        .unwrap();
    let config = Archive::of(&image).config();
    assert_eq!(config["created"], "2023-11-14T22:13:20Z");
    assert_eq!(
        config["config"],
        json!({
            "Cmd": ["--verbose", "x y"],
            "Entrypoint": ["/app"],
            "Env": ["A=1", "B=3"],
            "ExposedPorts": { "53/udp": {}, "80/tcp": {} },
            "Labels": { "a": "2", "z": "1" },
            "StopSignal": "SIGINT",
            "User": "65532:65532",
            "WorkingDir": "/data",
        })
    );
    let history = config["history"].as_array().unwrap();
    assert_eq!(history.iter().filter(|entry| entry.get("empty_layer").is_none()).count(), 1);
}

#[test]
fn keys_are_sorted_in_every_document() {
    let root = Root::empty().file("/app", &static_program());
    let mut builder = root.builder("/app");
    for label in ["q", "b", "x", "a", "m", "c"] {
        builder.label(label, "1");
    }
    let archive = Archive::of(&builder.build().map(verified).unwrap());
    let config = archive.manifest()["config"]["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
    let text = String::from_utf8(archive.members[&config].clone()).unwrap();
    assert!(text.contains(r#""Labels":{"a":"1","b":"1","c":"1","m":"1","q":"1","x":"1"}"#), "{text}");
}

#[test]
fn an_image_is_called_after_its_program() {
    let root = Root::empty().file("/Hello-World", &static_program());
    let archive = Archive::of(&root.image("/Hello-World"));
    let annotations = &archive.json("index.json")["manifests"][0]["annotations"];
    assert_eq!(annotations["org.opencontainers.image.ref.name"], "latest");
    assert_eq!(annotations["io.containerd.image.name"], "docker.io/library/hello-world:latest");
    assert_eq!(archive.json("manifest.json")[0]["RepoTags"], json!(["hello-world:latest"]));
}

#[test]
fn a_program_whose_name_is_no_image_name_makes_an_untagged_image() {
    let root = Root::empty().file("/-+-", &static_program());
    let image = root.image("/-+-");
    assert_eq!(image.findings()[0].code(), "untagged");
    let archive = Archive::of(&image);
    assert_eq!(archive.json("index.json")["manifests"][0].get("annotations"), None);
    assert_eq!(archive.json("manifest.json")[0]["RepoTags"], json!([]));
}

#[test]
fn several_names_are_several_descriptors_of_one_manifest() {
    let root = Root::empty().file("/app", &static_program());
    let image = root.builder("/app").tag("a:1").tag("b").tag("a:1").build().map(verified).unwrap();
    assert_eq!(image.names().collect::<Vec<_>>(), ["docker.io/library/a:1", "docker.io/library/b:latest"]);
    let manifests = Archive::of(&image).json("index.json")["manifests"].clone();
    assert_eq!(manifests.as_array().unwrap().len(), 2);
    assert_eq!(manifests[0]["digest"], manifests[1]["digest"]);
}

#[test]
fn media_types_are_ocis_and_digests_those_of_the_blobs() {
    let root = Root::debian().file("/app", &program(&[]));
    for (codec, suffix) in [(Compression::None, ""), (Compression::GZIP, "+gzip"), (Compression::ZSTD, "+zstd")] {
        let archive = Archive::of(&root.builder("/app").compression(codec).build().map(verified).unwrap());
        let layer = archive.manifest()["layers"][0].clone();
        assert_eq!(layer["mediaType"], format!("application/vnd.oci.image.layer.v1.tar{suffix}"));
        for (name, content) in archive.members.iter().filter(|(name, _)| name.len() > 60) {
            assert_eq!(name.strip_prefix("blobs/sha256/").unwrap(), sha256(content));
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_layer_of_manifest_json_is_that_of_the_manifest() {
    let root = Root::empty().file("/app", &static_program());
    let archive = Archive::of(&root.image("/app"));
    let docker = archive.json("manifest.json");
    let digest = archive.manifest()["layers"][0]["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
    assert_eq!(docker[0]["Layers"], json!([digest]));
    assert!(archive.members.contains_key(&digest));
}

#[test]
fn the_variant_of_arm_is_the_highest_that_a_file_needs() {
    let app = static_program().machine(ARM, false, true).bytes();
    let of = |cpu_archs: &[Option<u8>]| {
        let root = cpu_archs.iter().zip(["/a", "/b"]).fold(Root::empty(), |root, (cpu_arch, path)| match cpu_arch {
            Some(cpu_arch) => root.bytes(path, &with_arm_attributes(app.clone(), &arm_attributes(*cpu_arch))),
            None => root.bytes(path, &app),
        });
        let mut builder = root.builder("/a");
        if cpu_archs.len() > 1 {
            builder.binary(root.on_machine("/b"));
        }
        let config = Archive::of(&builder.build().map(verified).unwrap()).config();
        (config["architecture"].clone(), config.get("variant").cloned())
    };
    assert_eq!(of(&[None]), (json!("arm"), None));
    assert_eq!(of(&[Some(6), Some(10)]), (json!("arm"), Some(json!("v7"))));
    assert_eq!(of(&[Some(10), None]), (json!("arm"), Some(json!("v7"))));
}
