//! The archive that docker has read from its first days on. Its layer has a plain name, no digest, and may come first: so
//! it is written in one pass, with nothing kept and nothing made twice.

use std::io::Write;

use super::archive::{Archive, unwritable};
use super::compress::Compression;
use super::documents::{self, Description};
use super::members::{TRAILER, file_header};
use super::{Image, Written};
use crate::error::{Cause, Result};

const LAYER: &str = "layer.tar";

/// Writes to anything, uncompressed, because only then is the layer's size known before its bytes are.
pub(crate) fn write(image: &Image, out: &mut dyn Write) -> Result<Written> {
    let description = Description { compression: Compression::None, ..image.description().clone() };
    let mut writer = image.layer_writer(Compression::None);
    let size = writer.size();
    let mut archive = Archive::new(image, out);
    archive.bytes(&file_header(LAYER, size, image.mtime()))?;
    let layer = archive.layer(&mut writer)?;
    if layer.blob.size != size {
        // Every file was as it was analyzed.
        return Err(Cause::Changed.during("write the layer in the size that was announced"));
    }
    let documents = description.documents(&layer)?;
    let config = format!("{}.json", documents.config.hashed.hex);
    archive.member(&config, &documents.config.text)?;
    // In full: podman takes a short one in such an archive for one of this machine, `localhost/hello`.
    let names = description.names.iter().map(ToString::to_string);
    // Last, so that an archive that breaks off is no image.
    archive.member("manifest.json", &documents::docker(&config, names, LAYER))?;
    archive.bytes(&TRAILER)?;
    let written = archive.written();
    out.flush().map_err(unwritable)?;
    Ok(Written::new(&layer, &documents, written))
}
