//! Databases of packages: the first byte says which file of a root the bytes behind it are.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use scratchpack::Image;

const FILES: [(&str, &[u8]); 7] = [
    ("var/lib/dpkg/status", b"Package: app\nStatus: install ok installed\nVersion: 1\n"),
    ("var/lib/dpkg/info/app.list", b"/app\n"),
    ("var/lib/dpkg/diversions", b""),
    ("usr/share/doc/app/copyright", b""),
    ("lib/apk/db/installed", b""),
    ("var/lib/rpm/rpmdb.sqlite", b""),
    ("etc/os-release", b"ID=debian\n"),
];

/// In which the program of this name belongs to the package `app` of dpkg.
static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = std::env::temp_dir().join(format!("scratchpack-fuzz-{}", std::process::id()));
    for (file, bytes) in FILES {
        let file = root.join(file);
        fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
        fs::write(file, bytes).expect("a file");
    }
    fs::write(root.join("app"), program()).expect("a file");
    assert_eq!(image(&root).expect("an image").packages().expect("packages").len(), 1);
    root
});

fn image(root: &Path) -> scratchpack::Result<Image> {
    Image::builder().sysroot(root).binary(root.join("app")).package_db(true).build()
}

/// A static program that is nothing but its headers.
fn program() -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([2u16, 62].map(u16::to_le_bytes).concat());
    file.extend(1u32.to_le_bytes());
    file.extend([0x40_0078u64, 64, 0].map(u64::to_le_bytes).concat());
    file.extend(0u32.to_le_bytes());
    file.extend([64u16, 56, 1, 0, 0, 0].map(u16::to_le_bytes).concat());
    file.extend([1u32, 5].map(u32::to_le_bytes).concat());
    file.extend([0u64, 0x40_0000, 0x40_0000, 120, 120, 0x1000].map(u64::to_le_bytes).concat());
    file
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let Some((file, whole)) = FILES.get(usize::from(*which)) else { return };
    fs::write(ROOT.join(file), bytes).expect("a file");
    if let Ok(image) = image(&ROOT) {
        for package in image.packages().expect("what was read for the image") {
            assert!(!package.name().is_empty() && package.files().next().is_some());
            assert!(package.purl().starts_with("pkg:"));
        }
    }
    // The next one finds the root as this one did.
    fs::write(ROOT.join(file), whole).expect("a file");
});
