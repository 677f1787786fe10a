//! The archive that docker has read from its first days on. Its layer has a plain name, no digest, and may come first: so
//! it is written in one pass, with nothing kept and nothing made twice.

use std::io::Write;

use super::archive::{Archive, unwritable};
use super::compress::Compression;
use super::documents::{self, Description};
use super::members::{TRAILER, file_header, layer_header, padding};
use super::{Image, Written};
use crate::error::{Cause, Result};
use crate::tree::Entry;

const LAYER: &str = "layer.tar";

/// Writes to anything, uncompressed, because only then is the layer's size known before its bytes are.
pub(crate) fn write(image: &Image, out: &mut dyn Write) -> Result<Written> {
    let description = Description { compression: Compression::None, ..image.description().clone() };
    let plan = image.layer_plan(Compression::None);
    let size = size_of_tar(plan.entries, plan.mtime);
    let mut archive = Archive::new(image, out);
    archive.bytes(&file_header(LAYER, size, plan.mtime))?;
    let layer = archive.layer(&mut plan.begin())?;
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

/// The bytes of the layer's tar, which no file need be read for.
fn size_of_tar(entries: &[Entry], mtime: u64) -> u64 {
    let header = |entry: &Entry| layer_header(entry, mtime).len() as u64;
    let data = |entry: &Entry| entry.size() + padding(entry.size()).len() as u64;
    entries.iter().map(|entry| header(entry) + data(entry)).sum::<u64>() + TRAILER.len() as u64
}
