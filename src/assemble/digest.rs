//! SHA-256 digests, written as OCI descriptors write them (OCI image spec, descriptor, "Digests").

use std::fmt::Write;

use sha2::{Digest as _, Sha256};

/// Hashes what is fed to it, and counts it.
#[derive(Clone, Default)]
pub(crate) struct Hasher {
    state: Sha256,
    bytes: u64,
}

/// The digest and the size of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hashed {
    /// 64 hexadecimal digits.
    pub(crate) hex: String,
    pub(crate) size: u64,
}

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    pub(crate) fn finish(self) -> Hashed {
        let mut hex = String::with_capacity(64);
        for byte in self.state.finalize() {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        Hashed { hex, size: self.bytes }
    }
}

impl Hashed {
    pub(crate) fn of(bytes: &[u8]) -> Hashed {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// `sha256:...`
    pub(crate) fn digest(&self) -> String {
        format!("sha256:{}", self.hex)
    }

    /// The name of the blob within a layout.
    pub(crate) fn blob(&self) -> String {
        format!("blobs/sha256/{}", self.hex)
    }
}
