//! Compressed layers: known by how they begin, and used up to their last byte.

use std::io::Read;

use super::{Result, expect};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    None,
    Gzip,
    Zstd,
}

impl Codec {
    /// OCI image spec, media types of layers.
    pub fn media_type(self) -> &'static str {
        match self {
            Codec::None => "application/vnd.oci.image.layer.v1.tar",
            Codec::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Codec::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

pub fn decompress(bytes: &[u8]) -> Result<(Codec, Vec<u8>)> {
    match bytes {
        [0x1f, 0x8b, ..] => gzip(bytes).map(|tar| (Codec::Gzip, tar)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd(bytes).map(|tar| (Codec::Zstd, tar)),
        _ => Ok((Codec::None, bytes.to_vec())),
    }
}

/// Member by member, so that nothing behind the last one is passed over.
fn gzip(mut bytes: &[u8]) -> Result<Vec<u8>> {
    let mut tar = Vec::new();
    while !bytes.is_empty() {
        expect(bytes.starts_with(&[0x1f, 0x8b]), || format!("{} bytes are behind the gzip", bytes.len()))?;
        // From a slice it takes just what belongs to the member.
        flate2::bufread::GzDecoder::new(&mut bytes).read_to_end(&mut tar).map_err(|error| format!("gzip: {error}"))?;
    }
    Ok(tar)
}

fn zstd(mut bytes: &[u8]) -> Result<Vec<u8>> {
    let mut tar = Vec::new();
    while !bytes.is_empty() {
        let frame = zstd::Decoder::with_buffer(&mut bytes).map_err(|error| format!("zstd: {error}"))?;
        frame.single_frame().read_to_end(&mut tar).map_err(|error| format!("zstd: {error}"))?;
    }
    Ok(tar)
}
