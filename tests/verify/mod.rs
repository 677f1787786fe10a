//! Whether an image is whole: every byte of it, by rules that are written down here a second time.
//!
//! It shares no code with the crate, believes no tool, and is stricter than they are: tools pass over most damage that
//! lies outside of what they look at.

#![allow(dead_code, unused_imports)]

mod codec;
mod documents;
mod entries;
mod images;
mod store;
mod tar;
mod umoci;

use std::collections::BTreeMap;
use std::path::Path;

pub use documents::Verified;
pub use images::{has, verified, verify_output};
pub use store::{Store, digest};
pub use umoci::unpacks;

/// What is wrong, in words.
pub type Result<T = ()> = std::result::Result<T, String>;

/// An archive that is an OCI layout and a docker archive at once.
pub fn archive(bytes: &[u8]) -> Result<Vec<Verified>> {
    let store = Store::of_archive(bytes)?;
    let images = documents::layout(&store)?;
    documents::docker_manifest(&store, &images)?;
    documents::expect_no_more(&store, &images)?;
    Ok(images)
}

/// A layout directory. Blobs that nothing refers to are those of images that were replaced, and must be whole as well.
pub fn layout(directory: &Path) -> Result<Vec<Verified>> {
    images_of(&Store::of_directory(directory)?)
}

/// Every image of what was read from a layout directory.
pub fn images_of(store: &Store) -> Result<Vec<Verified>> {
    documents::layout(store)
}

/// The regular files of a layer that keeps the rules, compressed or not.
pub fn files_of_layer(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>> {
    let (_, tar) = codec::decompress(bytes)?;
    let members = entries::of_layer(&tar)?.into_iter().filter(|member| member.kind == b'0');
    Ok(members.map(|member| (member.name(), member.data.to_vec())).collect())
}

/// An archive in docker's own form.
pub fn docker_archive(bytes: &[u8]) -> Result {
    documents::docker_archive(&Store::of_docker_archive(bytes)?)
}

/// A layer, compressed or not; gives its diff_id.
pub fn layer(bytes: &[u8]) -> Result<String> {
    let (_, tar) = codec::decompress(bytes)?;
    entries::of_layer(&tar)?;
    Ok(store::digest(&tar))
}

/// An error where something is not so.
fn expect(is_so: bool, otherwise: impl FnOnce() -> String) -> Result {
    if is_so { Ok(()) } else { Err(otherwise()) }
}
