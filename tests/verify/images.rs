//! The images that a test makes, verified: each byte of an archive, and what umoci unpacks.

use std::env;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Once;

use scratchpack::{Image, Written};

use super::{Verified, archive, layer, layout, unpacks};

/// The image, where its archive is whole.
pub fn verified(image: Image) -> Image {
    let mut bytes = Vec::new();
    let written = image.write_archive_to(&mut bytes).unwrap();
    let images = archive(&bytes).unwrap();
    assert!(images.iter().map(|image| image.name.clone()).eq(expected_names(&image)), "{images:?}");
    images.iter().for_each(|image| agrees(image, &written));
    assert_eq!(written.size(), bytes.len() as u64);
    if has("umoci") {
        unpacks(&bytes).unwrap();
    }
    image
}

/// An image without a name has one descriptor as well.
fn expected_names(image: &Image) -> Vec<Option<String>> {
    let names: Vec<_> = image.names().map(Some).collect();
    if names.is_empty() { vec![None] } else { names }
}

fn agrees(verified: &Verified, written: &Written) {
    assert_eq!(verified.digest, written.digest());
    assert_eq!(verified.config_digest, written.config_digest());
    assert_eq!(verified.layer_digest, written.layer_digest());
    assert_eq!(verified.diff_id, written.diff_id());
}

/// An output of any kind but a root directory.
pub fn verify_output(path: &Path) {
    if path.is_dir() {
        layout(path).unwrap();
        return;
    }
    let bytes = fs::read(path).unwrap();
    let result = archive(&bytes).map(drop);
    result.or_else(|_| layer(&bytes).map(drop)).unwrap();
}

/// Whether a tool can be asked; where not, that is said once.
pub fn has(tool: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let is_here = env::split_paths(&path).any(|directory| directory.join(tool).is_file());
    static SAID: Once = Once::new();
    if !is_here {
        let is_required = env::var_os("SCRATCHPACK_REQUIRE_TOOLS").is_some_and(|value| value == "1");
        assert!(!is_required, "needs {tool}, and SCRATCHPACK_REQUIRE_TOOLS=1 says that it is there");
        let line = format!("images are verified in part: needs {tool}\n");
        SAID.call_once(|| std::io::stderr().write_all(line.as_bytes()).unwrap());
    }
    is_here
}
