//! Blobs and documents by their names, wherever they come from.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::tar::members;
use super::{Result, expect};

pub const BLOBS: &str = "blobs/sha256/";

/// The files of a layout, or of a docker archive.
pub struct Store {
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Store {
    pub fn of_archive(bytes: &[u8]) -> Result<Store> {
        let store = Store { files: files(bytes, &["blobs/", BLOBS])? };
        store.expect_names(&["index.json", "manifest.json", "oci-layout"])?;
        Ok(store)
    }

    pub fn of_docker_archive(bytes: &[u8]) -> Result<Store> {
        files(bytes, &[]).map(|files| Store { files })
    }

    pub fn of_directory(directory: &Path) -> Result<Store> {
        Store::of_directory_but_for(directory, |_| false)
    }

    /// The same without the files that have such names.
    pub fn of_directory_but_for(directory: &Path, is_passed: fn(&str) -> bool) -> Result<Store> {
        let mut store = Store { files: BTreeMap::new() };
        store.read(directory, "", &["blobs"])?;
        store.read(&directory.join("blobs"), "blobs/", &["sha256"])?;
        store.read(&directory.join(BLOBS), BLOBS, &[])?;
        store.files.retain(|path, _| !is_passed(path.rsplit('/').next().unwrap_or(path)));
        store.expect_names(&["index.json", "oci-layout"])?;
        Ok(store)
    }

    /// Reads the files of a directory that has just these directories.
    fn read(&mut self, directory: &Path, prefix: &str, directories: &[&str]) -> Result {
        let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
        for entry in fs::read_dir(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().into_string().map_err(|name| format!("{name:?} is no name of a layout"))?;
            let kind = entry.file_type().map_err(failed)?;
            if directories.contains(&name.as_str()) && kind.is_dir() {
                continue;
            }
            expect(kind.is_file(), || format!("{prefix}{name} is no file"))?;
            self.files.insert(format!("{prefix}{name}"), fs::read(entry.path()).map_err(failed)?);
        }
        Ok(())
    }

    /// Nothing but these and blobs, each with the name of its digest.
    fn expect_names(&self, names: &[&str]) -> Result {
        for name in names {
            self.file(name)?;
        }
        for (name, content) in &self.files {
            match name.strip_prefix(BLOBS) {
                Some(hex) => {
                    let is_named = digest(content) == format!("sha256:{hex}");
                    expect(is_named, || format!("{name} has another digest"))
                }
                None => expect(names.contains(&name.as_str()), || format!("{name} is in no image")),
            }?;
        }
        Ok(())
    }

    pub fn file(&self, name: &str) -> Result<&[u8]> {
        self.files.get(name).map(Vec::as_slice).ok_or_else(|| format!("{name} is missing"))
    }

    pub fn json(&self, name: &str) -> Result<Value> {
        serde_json::from_slice(self.file(name)?).map_err(|error| format!("{name}: {error}"))
    }

    /// The blob of a descriptor of this media type, and its name.
    pub fn described(&self, descriptor: &Value, media_type: &str) -> Result<(String, &[u8])> {
        let text = |key: &str| descriptor[key].as_str().ok_or_else(|| format!("a descriptor has no {key}"));
        expect(text("mediaType")? == media_type, || format!("{descriptor} is not of type {media_type}"))?;
        let hex = text("digest")?.strip_prefix("sha256:").ok_or("a digest is no SHA-256")?;
        let name = format!("{BLOBS}{hex}");
        let blob = self.file(&name)?;
        expect(descriptor["size"] == blob.len(), || {
            format!("{name} has {} bytes, not {}", blob.len(), descriptor["size"])
        })?;
        Ok((name, blob))
    }
}

/// The contents of an archive of these directories and of files.
fn files(bytes: &[u8], directories: &[&str]) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut seen = Vec::new();
    for member in members(bytes)? {
        let name = String::from_utf8(member.path.clone()).map_err(|error| error.to_string())?;
        let is_plain = member.link.is_empty() && member.capability.is_none();
        match member.kind {
            b'5' if is_plain && member.data.is_empty() => seen.push(name),
            b'0' if is_plain => {
                let before = files.insert(name.clone(), member.data.to_vec());
                expect(before.is_none(), || format!("{name} is there twice"))?;
            }
            _ => return Err(format!("{name} is neither a file nor a directory")),
        }
    }
    expect(seen == directories, || format!("its directories are {seen:?}"))?;
    Ok(files)
}

/// `sha256:` and 64 digits.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
