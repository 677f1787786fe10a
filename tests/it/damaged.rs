//! The verifier that every image of this suite passes: what it would find.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::elf::{library, program};
use crate::root::Root;

use crate::verify::{self, Store, digest, has, verified};

/// What an image is made of, before anything has a digest.
struct Parts {
    tar: Vec<u8>,
    /// Done to the compressed layer, while its digest is still unknown.
    pack: fn(&[u8]) -> Vec<u8>,
    config: Value,
    layer_type: &'static str,
    /// Added to the size in the layer's descriptor.
    excess: usize,
}

/// The files of a layout by their names.
type Files = BTreeMap<String, Vec<u8>>;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

impl Parts {
    fn whole() -> Parts {
        let root = Root::debian().file("/app", &program(&["libx.so"])).file("/lib/libx.so", &library("libx.so"));
        let mut builder = root.builder("/app");
        let image = builder.compression(scratchpack::Compression::None).build().map(verified).unwrap();
        let mut tar = Vec::new();
        image.write_layer_to(&mut tar).unwrap();
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": { "Entrypoint": ["/app"] },
            "rootfs": { "type": "layers", "diff_ids": [digest(&tar)] },
            "history": [{ "created_by": "COPY" }, { "created_by": "ENTRYPOINT", "empty_layer": true }],
        });
        Parts { tar, pack: gzip, config, layer_type: LAYER, excess: 0 }
    }

    /// With another tar, of which the configuration knows.
    fn with_tar(mut self, tar: Vec<u8>) -> Parts {
        self.config["rootfs"]["diff_ids"] = json!([digest(&tar)]);
        Parts { tar, ..self }
    }

    /// A layout in which all digests are right.
    fn files(self) -> Files {
        let mut files = Files::new();
        let layer = (self.pack)(&self.tar);
        let mut layer = put(&mut files, self.layer_type, layer);
        layer["size"] = json!(layer["size"].as_u64().unwrap() + self.excess as u64);
        let config = put(&mut files, CONFIG, self.config.to_string().into());
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
        let mut manifest = put(&mut files, MANIFEST, manifest.to_string().into());
        manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": "latest" });
        let index_type = "application/vnd.oci.image.index.v1+json";
        let index = json!({ "schemaVersion": 2, "mediaType": index_type, "manifests": [manifest] });
        files.insert("index.json".into(), index.to_string().into());
        files.insert("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.into());
        files
    }
}

/// Adds a blob, and gives its descriptor.
fn put(files: &mut Files, media_type: &str, blob: Vec<u8>) -> Value {
    let digest = digest(&blob);
    let descriptor = json!({ "mediaType": media_type, "digest": digest, "size": blob.len() });
    files.insert(digest.replace("sha256:", "blobs/sha256/"), blob);
    descriptor
}

fn gzip(tar: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(tar).unwrap();
    encoder.finish().unwrap()
}

/// The layer's blob in a layout: the only one that is no document.
fn layer(files: &mut Files) -> (String, &mut Vec<u8>) {
    let (name, blob) = files.iter_mut().find(|(_, blob)| blob.starts_with(&[0x1f, 0x8b])).unwrap();
    (name.clone(), blob)
}

/// A tar with a header of this name, type and owner before the trailer.
fn with_member(tar: &[u8], name: &str, kind: u8, uid: u8) -> Vec<u8> {
    let mut header: [u8; 512] = tar[..512].try_into().unwrap();
    header[..100].fill(0);
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[114] = b'0' + uid;
    header[124..135].fill(b'0');
    header[156] = kind;
    seal(&mut header);
    [&tar[..tar.len() - 1024], &header, &[0; 1024]].concat()
}

fn seal(header: &mut [u8; 512]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

type Damage = (&'static str, fn(Parts) -> Files);

/// What is done to a layout, and words of what the verifier says of it.
const DAMAGES: [Damage; 24] = [
    ("has another digest", |parts| on_layer(parts, |blob| blob[20] ^= 1)),
    ("has another digest", |parts| on_layer(parts, |blob| blob.truncate(blob.len() / 2))),
    ("has another digest", |parts| on_layer(parts, |blob| blob.push(0))),
    ("is missing", |parts| {
        let mut files = parts.files();
        let name = layer(&mut files).0;
        files.remove(&name);
        files
    }),
    ("bytes, not", |parts| Parts { excess: 1, ..parts }.files()),
    ("the configuration's layers", |mut parts| {
        parts.config["rootfs"]["diff_ids"] = json!([digest(b"another")]);
        parts.files()
    }),
    ("gzip: ", |parts| Parts { pack: |tar| gzip(tar)[..300].to_vec(), ..parts }.files()),
    ("bytes are behind the gzip", |parts| Parts { pack: |tar| [gzip(tar), vec![0; 7]].concat(), ..parts }.files()),
    ("gzip: ", |parts| Parts { pack: with_wrong_checksum, ..parts }.files()),
    ("without a trailer", |parts| on_tar(parts, |tar| tar[..tar.len() - 1024].to_vec())),
    ("are no trailer", |parts| on_tar(parts, |tar| tar[..tar.len() - 512].to_vec())),
    ("are no trailer", |parts| on_tar(parts, |tar| [tar, &[0; 8192]].concat())),
    ("it is there twice", |parts| on_tar(parts, |tar| with_member(tar, "app", b'0', 0))),
    ("not made of names alone", |parts| on_tar(parts, |tar| with_member(tar, "lib/../../x", b'0', 0))),
    ("not made of names alone", |parts| on_tar(parts, |tar| with_member(tar, "/x", b'0', 0))),
    ("before its directory", |parts| on_tar(parts, |tar| with_member(tar, "no/such/x", b'0', 0))),
    ("would remove something", |parts| on_tar(parts, |tar| with_member(tar, ".wh.app", b'0', 0))),
    ("not for images", |parts| on_tar(parts, |tar| with_member(tar, "x", b'3', 0))),
    ("uid is not 0", |parts| on_tar(parts, |tar| with_member(tar, "x", b'0', 7))),
    ("its checksum is wrong", |parts| on_tar(parts, |tar| [&[tar[0] ^ 1], &tar[1..]].concat())),
    ("and its media type is", |parts| {
        Parts { layer_type: "application/vnd.oci.image.layer.v1.tar+zstd", ..parts }.files()
    }),
    ("the history tells of 2 layers", |mut parts| {
        parts.config["history"] = json!([{}, {}]);
        parts.files()
    }),
    ("there is no architecture", |mut parts| {
        parts.config["architecture"] = json!("");
        parts.files()
    }),
    ("is in no image", |parts| {
        let mut files = parts.files();
        files.insert("index.json.tmp".into(), Vec::new());
        files
    }),
];

fn on_layer(parts: Parts, damage: fn(&mut Vec<u8>)) -> Files {
    let mut files = parts.files();
    damage(layer(&mut files).1);
    files
}

fn on_tar(parts: Parts, damage: fn(&[u8]) -> Vec<u8>) -> Files {
    let tar = damage(&parts.tar);
    parts.with_tar(tar).files()
}

/// Of what was compressed (RFC 1952, CRC32).
fn with_wrong_checksum(tar: &[u8]) -> Vec<u8> {
    let mut packed = gzip(tar);
    let at = packed.len() - 8;
    packed[at] ^= 1;
    packed
}

fn write(files: &Files) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("blobs/sha256")).unwrap();
    files.iter().for_each(|(name, content)| fs::write(directory.path().join(name), content).unwrap());
    directory
}

#[test]
fn a_layout_that_is_whole_is_found_to_be() {
    let layout = write(&Parts::whole().files());
    assert_eq!(verify::layout(layout.path()).unwrap().len(), 1);
}

#[test]
fn every_kind_of_damage_is_found_and_most_pass_skopeo_inspect() {
    let mut passed = Vec::new();
    for (number, (words, damage)) in DAMAGES.iter().enumerate() {
        let layout = write(&damage(Parts::whole()));
        let found = verify::layout(layout.path()).unwrap_err();
        assert!(found.contains(words), "{number}: {found}, not {words}");
        if has("skopeo") && skopeo_inspects(layout.path()) {
            passed.push(*words);
        }
    }
    assert!(!has("skopeo") || passed.len() >= 13, "{passed:?}");
}

fn skopeo_inspects(layout: &Path) -> bool {
    let image = format!("oci:{}:latest", layout.display());
    Command::new("skopeo").args(["inspect", &image]).output().unwrap().status.success()
}

fn archive() -> Vec<u8> {
    let root = Root::debian().file("/app", &program(&[]));
    let mut bytes = Vec::new();
    root.image("/app").write_archive_to(&mut bytes).unwrap();
    bytes
}

#[test]
fn no_byte_of_an_archive_can_change_without_being_found() {
    let whole = archive();
    verify::archive(&whole).unwrap();
    for at in 0..whole.len() {
        let mut harmed = whole.clone();
        harmed[at] ^= 1;
        assert!(verify::archive(&harmed).is_err(), "{at}");
    }
}

#[test]
fn an_archive_that_is_cut_off_or_goes_on_is_found() {
    let whole = archive();
    for end in (0..whole.len()).step_by(97).chain([whole.len() - 1, whole.len() - 512]) {
        assert!(verify::archive(&whole[..end]).is_err(), "{end}");
    }
    for more in [1, 512, 1024] {
        assert!(verify::archive(&[&whole[..], &vec![0; more]].concat()).is_err(), "{more}");
    }
}

#[test]
fn an_archive_whose_documents_contradict_is_found() {
    let whole = Store::of_archive(&archive()).unwrap();
    for (name, from, to) in [
        ("manifest.json", "app:latest", "other:latest"),
        ("manifest.json", "blobs/sha256/", "blobs/sha257/"),
        ("index.json", "\"latest\"", "\"newest\""),
        ("index.json", "sha256:", "sha512:"),
        ("oci-layout", "1.0.0", "1.0.1"),
    ] {
        let mut files = whole.files.clone();
        let text = String::from_utf8(files[name].clone()).unwrap();
        assert!(text.contains(from), "{text}");
        files.insert(name.to_owned(), text.replace(from, to).into());
        assert!(verify::archive(&tar_of(&files)).is_err(), "{name}: {to}");
    }
    verify::archive(&tar_of(&whole.files)).unwrap();
    let mut more = whole.files.clone();
    put(&mut more, LAYER, b"nobody's".to_vec());
    assert!(verify::archive(&tar_of(&more)).unwrap_err().contains("nothing refers to"));
}

fn tar_of(files: &Files) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |name: &str, kind, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        tar.append_data(&mut header, name, content).unwrap();
    };
    add("blobs/", tar::EntryType::Directory, b"");
    add("blobs/sha256/", tar::EntryType::Directory, b"");
    files.iter().for_each(|(name, content)| add(name, tar::EntryType::Regular, content));
    tar.into_inner().unwrap()
}
