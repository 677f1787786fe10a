//! Somebody else's images: made of members in memory, in every form that an image comes in.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use scratchpack::{Check, Image, Result, check};
use serde_json::{Value, json};
use sha2::Digest;
use tar::EntryType;
use tempfile::TempDir;

use crate::documents::members;
use crate::elf::Fixture;

/// A member of a layer or of an archive.
#[derive(Clone)]
pub struct Member {
    pub path: String,
    pub kind: EntryType,
    pub mode: u32,
    pub link: String,
    pub data: Vec<u8>,
}

/// What is compressed with what.
#[derive(Clone, Copy, Debug)]
pub enum Codec {
    None,
    Gzip,
    /// A member or frame for every 700 bytes.
    GzipInParts,
    Zstd,
    ZstdInParts,
}

/// The forms of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Docker,
    /// As docker wrote it before 25: `ID/layer.tar`, and a symlink where two layers are the same.
    OldDocker,
    Oci,
    Layout,
    /// Of images with one layer that is nothing but files, links and directories.
    Root,
}

pub const IMAGES: [Form; 4] = [Form::Docker, Form::OldDocker, Form::Oci, Form::Layout];
pub const ALL: [Form; 5] = [Form::Docker, Form::OldDocker, Form::Oci, Form::Layout, Form::Root];

/// An image, as a list of its layers.
#[derive(Clone)]
pub struct Stranger {
    pub layers: Vec<Vec<Member>>,
    pub config: Value,
    pub codec: Codec,
}

pub fn member(path: &str, kind: EntryType) -> Member {
    Member { path: path.to_owned(), kind, mode: 0o755, link: String::new(), data: Vec::new() }
}

pub fn file(path: &str, fixture: &Fixture) -> Member {
    bytes(path, &fixture.bytes())
}

pub fn bytes(path: &str, data: &[u8]) -> Member {
    Member { data: data.to_vec(), ..member(path, EntryType::Regular) }
}

pub fn link(path: &str, target: &str) -> Member {
    Member { link: target.to_owned(), ..member(path, EntryType::Symlink) }
}

pub fn hard_link(path: &str, target: &str) -> Member {
    Member { link: target.to_owned(), ..member(path, EntryType::Link) }
}

pub fn directory(path: &str) -> Member {
    member(path, EntryType::Directory)
}

impl Stranger {
    /// The image of these layers, in which nothing is set.
    pub fn of(layers: Vec<Vec<Member>>) -> Self {
        Stranger { layers, config: json!({}), codec: Codec::Gzip }
    }

    /// What the crate itself made.
    pub fn made(image: &Image) -> Self {
        let mut archive = Vec::new();
        image.write_archive_to(&mut archive).unwrap();
        let members = members(&archive);
        let docker: Value = serde_json::from_slice(&members["manifest.json"]).unwrap();
        let layer = &members[docker[0]["Layers"][0].as_str().unwrap()];
        let mut plain = Vec::new();
        flate2::read::MultiGzDecoder::new(layer.as_slice()).read_to_end(&mut plain).unwrap();
        let config: Value = serde_json::from_slice(&members[docker[0]["Config"].as_str().unwrap()]).unwrap();
        Stranger { layers: vec![read(&plain)], config: config["config"].clone(), codec: Codec::Gzip }
    }

    /// One more layer.
    pub fn layer(mut self, members: Vec<Member>) -> Self {
        self.layers.push(members);
        self
    }

    /// Without this member of the first layer, which must be there.
    pub fn without(mut self, path: &str) -> Self {
        let before = self.layers[0].len();
        self.layers[0].retain(|member| member.path != path);
        assert_eq!(self.layers[0].len() + 1, before, "{path}");
        self
    }

    /// With this member of the first layer changed.
    pub fn changed(mut self, path: &str, change: impl FnOnce(&mut Member)) -> Self {
        change(self.layers[0].iter_mut().find(|member| member.path == path).unwrap());
        self
    }

    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    pub fn check(&self, form: Form) -> Result<Check> {
        let out = tempfile::tempdir().unwrap();
        check(self.write(form, &out))
    }

    /// The messages of what is wrong, the same in all of `forms`.
    pub fn problems(&self, forms: &[Form]) -> Vec<String> {
        let all: Vec<Vec<String>> = forms.iter().map(|&form| messages(&self.check(form).unwrap())).collect();
        assert!(all.iter().all(|messages| *messages == all[0]), "{all:#?}");
        all[0].clone()
    }

    /// Writes the image into a directory; answers with what is to be checked.
    pub fn write(&self, form: Form, out: &TempDir) -> PathBuf {
        let path = out.path().join("image");
        match form {
            Form::Docker | Form::OldDocker | Form::Oci => fs::write(&path, tar(&self.members(form))).unwrap(),
            Form::Layout | Form::Root => unpack(&path, &self.members(form)),
        }
        path
    }

    /// The members of the archive, or what is in the directory.
    pub fn members(&self, form: Form) -> Vec<Member> {
        match form {
            Form::Root => self.layers.concat(),
            Form::Docker => self.docker(|number, layer| format!("{number}-{}.tar", &sha256(layer)[..8])),
            Form::OldDocker => self.docker(|_, layer| format!("{}/layer.tar", sha256(layer))),
            Form::Oci | Form::Layout => self.oci(),
        }
    }

    pub fn blobs(&self) -> Vec<Vec<u8>> {
        self.layers.iter().map(|layer| compress(self.codec, &tar(layer))).collect()
    }

    fn document(&self) -> Vec<u8> {
        json!({ "architecture": "amd64", "os": "linux", "config": self.config }).to_string().into_bytes()
    }

    fn docker(&self, name: impl Fn(usize, &[u8]) -> String) -> Vec<Member> {
        let mut members: Vec<Member> = Vec::new();
        let mut names = Vec::new();
        for (number, blob) in self.blobs().iter().enumerate() {
            let name = name(number, blob);
            match members.iter().find(|member| member.data == *blob).map(|member| member.path.clone()) {
                // Never the same name: that of the one that is there already, in another directory.
                Some(first) => {
                    names.push(format!("again-{number}/layer.tar"));
                    members.push(link(&names[number], &format!("../{first}")));
                }
                None => {
                    names.push(name.clone());
                    members.push(bytes(&name, blob));
                }
            }
        }
        members.push(bytes("config.json", &self.document()));
        let list = json!([{ "Config": "config.json", "RepoTags": null, "Layers": names }]);
        members.push(bytes("manifest.json", list.to_string().as_bytes()));
        members
    }

    fn oci(&self) -> Vec<Member> {
        let (mut members, manifest) = self.manifest();
        members
            .push(bytes("index.json", json!({ "schemaVersion": 2, "manifests": [manifest] }).to_string().as_bytes()));
        members.push(bytes("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#));
        members
    }

    /// The blobs, and the descriptor of the manifest.
    pub fn manifest(&self) -> (Vec<Member>, Value) {
        let layers = self.blobs();
        let config = self.document();
        let manifest = json!({
            "schemaVersion": 2,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": layers.iter().map(|blob| descriptor("application/vnd.oci.image.layer.v1.tar", blob)).collect::<Vec<_>>(),
        });
        let manifest = manifest.to_string().into_bytes();
        let described = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
        (layers.iter().chain([&config, &manifest]).map(|blob| self::blob(blob)).collect(), described)
    }
}

/// A blob at its place.
pub fn blob(bytes: &[u8]) -> Member {
    self::bytes(&format!("blobs/sha256/{}", sha256(bytes)), bytes)
}

pub fn descriptor(kind: &str, blob: &[u8]) -> Value {
    json!({ "mediaType": kind, "digest": format!("sha256:{}", sha256(blob)), "size": blob.len() })
}

/// What is wrong, in words.
pub fn messages(check: &Check) -> Vec<String> {
    check.problems().iter().map(ToString::to_string).collect()
}

/// A tar of these members; names as they are, whatever they are.
pub fn tar(members: &[Member]) -> Vec<u8> {
    let mut out = Vec::new();
    for member in members {
        append(&mut out, member, member.data.len() as u64);
    }
    out.extend([0; 1024]);
    out
}

/// One member, with this size in its header.
pub fn append(out: &mut Vec<u8>, member: &Member, size: u64) {
    let mut header = tar::Header::new_gnu();
    let gnu = header.as_gnu_mut().unwrap();
    gnu.name[..member.path.len()].copy_from_slice(member.path.as_bytes());
    gnu.linkname[..member.link.len()].copy_from_slice(member.link.as_bytes());
    header.set_entry_type(member.kind);
    header.set_mode(member.mode);
    header.set_size(size);
    header.set_cksum();
    out.extend(header.as_bytes());
    out.extend(&member.data);
    out.resize(out.len().next_multiple_of(512), 0);
}

fn read(tar: &[u8]) -> Vec<Member> {
    let mut archive = tar::Archive::new(tar);
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut data = Vec::new();
        entry.read_to_end(&mut data).unwrap();
        Member {
            path: String::from_utf8(entry.path_bytes().into_owned()).unwrap(),
            kind: entry.header().entry_type(),
            mode: entry.header().mode().unwrap(),
            link: entry.link_name_bytes().map(|link| String::from_utf8(link.into_owned()).unwrap()).unwrap_or_default(),
            data,
        }
    };
    archive.entries().unwrap().map(read).collect()
}

pub fn compress(codec: Codec, tar: &[u8]) -> Vec<u8> {
    let parts = |compress: fn(&[u8]) -> Vec<u8>| tar.chunks(700).flat_map(compress).collect();
    match codec {
        Codec::None => tar.to_vec(),
        Codec::Gzip => gzip(tar),
        Codec::GzipInParts => parts(gzip),
        Codec::Zstd => zstd(tar),
        Codec::ZstdInParts => parts(zstd),
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unpack(root: &Path, members: &[Member]) {
    fs::create_dir_all(root).unwrap();
    for member in members {
        let path = root.join(&member.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match member.kind {
            EntryType::Directory => fs::create_dir_all(&path).unwrap(),
            EntryType::Symlink => symlink(&member.link, &path).unwrap(),
            EntryType::Link => fs::hard_link(root.join(&member.link), &path).unwrap(),
            _ => {
                fs::write(&path, &member.data).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(member.mode)).unwrap();
            }
        }
    }
}
