//! The combined archive: one tar that is an OCI layout and a docker archive at once.

use std::io::{self, Write};

use super::documents::{Document, Documents, OCI_LAYOUT, index};
use super::layer::{Layer, LayerWriter};
use super::members::{TRAILER, directory_header, file_header, padding};
use super::publish::{Draft, WRITE};
use super::{Image, Written};
use crate::error::{Cause, Error, Result};

/// Writes to a file. The name and size of the layer stand before it, and are filled in when they are known.
pub(crate) fn write_to_file(image: &Image, layer: &mut LayerWriter<'_>, file: &mut Draft) -> Result<Written> {
    let mut archive = Archive::new(image, file);
    archive.directories()?;
    let at = archive.written;
    archive.bytes(&[0; 512])?;
    let layer = archive.layer(layer)?;
    let header = file_header(&layer.blob.blob(), layer.blob.size, image.mtime());
    let written = archive.rest(&layer)?;
    file.fill_in(&header, at).map_err(unwritable)?;
    Ok(written)
}

/// Writes to anything. What comes first must be known first, so the layer is made twice, unless it is known from before:
/// once to be hashed.
pub(crate) fn write_to_stream(image: &Image, mut writer: LayerWriter<'_>, out: &mut dyn Write) -> Result<Written> {
    let layer = match writer.known() {
        Some(layer) => writer.expect_unchanged().map(|()| layer)?,
        None => writer.write(&mut io::sink())?,
    };
    let mut archive = Archive::new(image, out);
    archive.directories()?;
    archive.bytes(&file_header(&layer.blob.blob(), layer.blob.size, image.mtime()))?;
    if archive.layer(&mut writer)? != layer {
        // Every file was as it was analyzed, both times.
        return Err(Cause::Changed.during("write the layer a second time"));
    }
    let written = archive.rest(&layer)?;
    out.flush().map_err(unwritable)?;
    Ok(written)
}

/// A tar file on its way out.
pub(super) struct Archive<'a> {
    image: &'a Image,
    out: &'a mut dyn Write,
    written: u64,
}

impl<'a> Archive<'a> {
    pub(super) fn new(image: &'a Image, out: &'a mut dyn Write) -> Self {
        Archive { image, out, written: 0 }
    }

    fn directories(&mut self) -> Result<()> {
        let mtime = self.image.mtime();
        ["blobs/", "blobs/sha256/"].iter().try_for_each(|name| self.bytes(&directory_header(name, mtime)))
    }

    /// The layer itself, behind its header.
    pub(super) fn layer(&mut self, writer: &mut LayerWriter<'_>) -> Result<Layer> {
        let layer = writer.write(self.out)?;
        self.written += layer.blob.size;
        self.bytes(padding(layer.blob.size))?;
        Ok(layer)
    }

    /// All that follows the layer.
    fn rest(&mut self, layer: &Layer) -> Result<Written> {
        let documents = self.image.description().documents(layer)?;
        let Documents { config, manifest, descriptors, docker } = &documents;
        for Document { text, hashed } in [config, manifest] {
            self.member(&hashed.blob(), text)?;
        }
        self.member("index.json", &index(descriptors)?)?;
        self.member("manifest.json", docker)?;
        self.member("oci-layout", OCI_LAYOUT)?;
        self.bytes(&TRAILER)?;
        Ok(Written::new(layer, &documents, self.written))
    }

    pub(super) fn member(&mut self, name: &str, text: &str) -> Result<()> {
        let size = text.len() as u64;
        let parts = [&file_header(name, size, self.image.mtime()), text.as_bytes(), padding(size)];
        self.bytes(&parts.concat())
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(unwritable)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// The bytes so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }
}

pub(super) fn unwritable(error: io::Error) -> Error {
    Cause::Io(error).during(WRITE)
}
