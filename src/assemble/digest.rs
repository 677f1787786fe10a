//! SHA-256 digests, written as OCI descriptors write them (OCI image spec, descriptor, "Digests").

use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest as _, Sha256};

use crate::text::hex;

/// Hashes what is fed to it, and counts it.
#[derive(Clone, Default)]
pub(crate) struct Hasher {
    state: Sha256,
    bytes: u64,
}

/// A hasher at rest: its state, and the count of bytes, from which it can go on.
pub(crate) type Saved = [u8; STATE + 8];

/// Eight words, the count of blocks, and the block that is not full yet.
const STATE: usize = 104;

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

    pub(crate) fn save(&self) -> Saved {
        let mut saved = [0; STATE + 8];
        let (state, bytes) = saved.split_at_mut(STATE);
        state.copy_from_slice(&self.state.serialize());
        bytes.copy_from_slice(&self.bytes.to_le_bytes());
        saved
    }

    /// Goes on from where another one was; `None` where that is no state of a hasher.
    pub(crate) fn resumed(saved: &Saved) -> Option<Hasher> {
        let (state, bytes) = saved.split_at(STATE);
        let state = SerializedState::<Sha256>::try_from(state).ok()?;
        let bytes = u64::from_le_bytes(bytes.try_into().ok()?);
        Some(Hasher { state: Sha256::deserialize(&state).ok()?, bytes })
    }

    pub(crate) fn finish(self) -> Hashed {
        Hashed { hex: hex(&self.state.finalize()), size: self.bytes }
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

#[cfg(test)]
mod tests {
    use super::{Hashed, Hasher};

    #[test]
    fn a_hasher_goes_on_from_wherever_another_was() {
        let bytes: Vec<u8> = (0..1000u32).map(|byte| (byte % 251) as u8).collect();
        for at in [0, 1, 63, 64, 65, 512, 1000] {
            let mut first = Hasher::default();
            first.update(&bytes[..at]);
            let mut second = Hasher::resumed(&first.save()).unwrap();
            second.update(&bytes[at..]);
            assert_eq!(second.finish(), Hashed::of(&bytes));
        }
    }

    #[test]
    fn what_is_no_state_of_a_hasher_is_refused() {
        assert!(Hasher::resumed(&[0xff; _]).is_none());
    }
}
