//! Certificates of those whom others trust: the root's bundle, where the TLS libraries of a program look for it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::constants::{Constants, plain};
use super::openssl::{self, BUNDLE};
use super::system::{Text, extra, listed, refused};
use super::{Supply, Surroundings};
use crate::collect::extra::{Extra, ExtraContent};
use crate::collect::source::Source;
use crate::need::Need;

/// Bytes of a bundle. Mozilla's has 250 KiB.
const MAX_SIZE: u64 = 16 << 20;

const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Where systems have it: first the places that Go's crypto/x509 knows (root_linux.go), in its order.
const BUNDLES: [&str; 10] = [
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Arch, Alpine, Gentoo, NixOS
    "/etc/pki/tls/certs/ca-bundle.crt",   // Fedora
    "/etc/ssl/ca-bundle.pem",             // openSUSE
    "/etc/pki/tls/cacert.pem",            // OpenELEC
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora from 42 on, RHEL
    "/etc/ssl/cert.pem",                  // Alpine
    "/etc/ssl/certs/ca-bundle.crt",       // NixOS
    "/etc/ca-certificates/extracted/tls-ca-bundle.pem", // Arch
    "/var/lib/ca-certificates/ca-bundle.pem", // openSUSE
    "/etc/pki/tls/cert.pem",              // Fedora before 42
];

/// Where OpenSSL is told to look instead (SSL_CTX_set_default_verify_paths(3)).
const VARIABLE: &str = "SSL_CERT_FILE=";

pub(super) fn supply(around: &Surroundings<'_>) -> Result<Supply, String> {
    let (bundle, source) = find(around)?;
    let file = extra(&Need::CaCertificates, bundle, ExtraContent::File(source));
    let extras = std::iter::once(file).chain(links(bundle, around)).collect();
    Ok(Supply { extras, modules: Vec::new() })
}

/// The first that there is. If that is no good then no other is taken for it, because it is what programs use here.
fn find(around: &Surroundings<'_>) -> Result<(&'static str, Source), String> {
    for place in BUNDLES {
        if let Some(text) = Text::read(Path::new(place), MAX_SIZE, around)? {
            return match text.holds(CERTIFICATE) {
                true => Ok((place, text.source)),
                false => Err(refused(Path::new(place), "it holds no certificate")),
            };
        }
    }
    Err(format!(
        "the root has no bundle of CA certificates; install ca-certificates in it, which makes one of {}",
        listed(&BUNDLES)
    ))
}

/// The other places where something of the program looks for a bundle, in bytewise order.
fn links(bundle: &str, around: &Surroundings<'_>) -> impl Iterator<Item = Extra> {
    let mut places: BTreeSet<PathBuf> = variables(around).collect();
    for object in around.objects {
        places.extend(looked_at(&Constants::of(object, around), bundle));
    }
    // Below the bundle there is no place for anything.
    places.retain(|place| !place.starts_with(bundle));
    let target = PathBuf::from(bundle);
    places.into_iter().map(move |at| extra(&Need::CaCertificates, at, ExtraContent::Link(target.clone())))
}

fn variables(around: &Surroundings<'_>) -> impl Iterator<Item = PathBuf> {
    around.environment.iter().filter_map(|variable| plain(Path::new(variable.strip_prefix(VARIABLE)?)))
}

/// What OpenSSL was built to look for, and, of an object that does not know this bundle, the others that it knows.
fn looked_at(constants: &Constants, bundle: &str) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = constants.told("OPENSSLDIR").iter().map(|told| told.join(BUNDLE)).collect();
    places.extend(openssl::bundles_inside(constants));
    if !constants.hold(bundle) {
        places.extend(BUNDLES.iter().filter(|place| constants.hold(place)).map(PathBuf::from));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::super::testing::Tree;
    use super::{MAX_SIZE, supply};
    use crate::collect::loader::Libc;

    const DEBIAN: &str = "/etc/ssl/certs/ca-certificates.crt";
    const PEM: &str = "# CA\n-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";

    fn debian() -> Tree {
        Tree::new().file(DEBIAN, PEM)
    }

    #[test]
    fn the_bundle_stands_where_it_was_found() {
        assert_eq!(debian().supplied(supply), [DEBIAN]);
    }

    #[test]
    fn a_bundle_behind_a_symlink_is_followed_inside_the_root() {
        let tree = Tree::new().file("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", PEM);
        let tree = tree.link(
            "/etc/pki/tls/certs/ca-bundle.crt",
            "../../../../../../etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        );
        assert_eq!(
            tree.supplied(supply),
            ["/etc/pki/tls/certs/ca-bundle.crt = /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"]
        );
    }

    #[test]
    fn openssl_finds_it_in_its_own_directory() {
        let tree = debian().object("/lib/libcrypto.so.3", "\0OPENSSLDIR: \"/usr/lib/ssl\"\0");
        assert_eq!(tree.supplied(supply), [DEBIAN, "/usr/lib/ssl/cert.pem -> /etc/ssl/certs/ca-certificates.crt"]);
    }

    #[test]
    fn openssl_inside_a_program_finds_it_where_it_was_built_to_look() {
        let inside = "\0/usr/lib/ssl\0/usr/lib/ssl/certs\0/usr/lib/ssl/cert.pem\0SSL_CERT_FILE\0";
        let link = "/usr/lib/ssl/cert.pem -> /etc/ssl/certs/ca-certificates.crt";
        for libc in [None, Some(Libc::Glibc)] {
            assert_eq!(debian().libc(libc).object("/app", inside).supplied(supply), [DEBIAN, link]);
        }
        let own = debian().file("/usr/lib/ssl/cert.pem", &format!("{PEM}{PEM}"));
        assert_eq!(own.object("/app", &format!("{inside}{DEBIAN}\0")).supplied(supply), [DEBIAN, link]);
    }

    #[test]
    fn what_is_in_no_known_directory_or_part_of_a_text_is_no_place_of_openssl() {
        let other = "\0/root/cert.pem\0see /usr/lib/ssl/cert.pem\0/usr/lib/ssl/cert.pem.bak\0/usr/ssl/certs\0";
        assert_eq!(debian().object("/app", other).supplied(supply), [DEBIAN]);
        // Go knows many places, of which one is there.
        let go = format!("{DEBIAN}/etc/ssl/cert.pem/etc/pki/tls/cert.pem");
        assert_eq!(debian().object("/app", &go).supplied(supply), [DEBIAN]);
    }

    #[test]
    fn a_library_of_another_system_finds_it_where_it_looks() {
        let fedora = "\0/etc/pki/tls/certs/ca-bundle.crt\0";
        let tree = debian().object("/lib/libcurl.so.4", fedora);
        let link = "/etc/pki/tls/certs/ca-bundle.crt -> /etc/ssl/certs/ca-certificates.crt";
        assert_eq!(tree.supplied(supply), [DEBIAN, link]);
        let both = debian().object("/lib/libgo.so", &format!("{fedora}{DEBIAN}"));
        assert_eq!(both.supplied(supply), [DEBIAN]);
    }

    #[test]
    fn the_variable_of_the_image_is_a_place_as_well() {
        let tree = debian().variable("SSL_CERT_FILE=/app/ca.pem").variable("SSL_CERT_FILE=../ca.pem");
        assert_eq!(tree.supplied(supply), [DEBIAN, "/app/ca.pem -> /etc/ssl/certs/ca-certificates.crt"]);
    }

    #[test]
    fn what_a_hostile_library_tells_chooses_nothing_that_is_copied() {
        let told = "\0OPENSSLDIR: \"/etc/../root/.ssh\"\0OPENSSLDIR: \"/root/.ssh\"\0OPENSSLDIR: \"root\"\0";
        let below = format!("OPENSSLDIR: \"{DEBIAN}\"");
        let tree = debian().file("/root/.ssh/cert.pem", PEM).file("/root/.ssh/id_rsa", "secret");
        let tree = tree.object("/lib/libevil.so", &format!("{told}{below}"));
        assert_eq!(tree.supplied(supply), [DEBIAN, "/root/.ssh/cert.pem -> /etc/ssl/certs/ca-certificates.crt"]);
    }

    #[test]
    fn a_link_out_of_the_root_stays_inside() {
        let outside = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(outside.path(), PEM).unwrap();
        let tree = Tree::new().link(DEBIAN, outside.path().to_str().unwrap());
        assert!(tree.refused(supply).contains("no bundle of CA certificates"));
    }

    #[test]
    fn a_private_key_is_never_taken_for_a_bundle() {
        for key in ["PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY"] {
            let tree = Tree::new().file(DEBIAN, &format!("{PEM}-----BEGIN {key}-----\nMA==\n"));
            assert_eq!(tree.refused(supply), format!("{DEBIAN} is not put into an image: it holds a private key"));
        }
    }

    #[test]
    fn what_is_no_bundle_is_told() {
        let told = |tree: Tree, why: &str| {
            let refused = tree.refused(supply);
            assert!(refused.contains(DEBIAN) && refused.contains(why), "{refused}");
        };
        told(Tree::new().file(DEBIAN, "nothing"), "it holds no certificate");
        told(Tree::new().directory(DEBIAN), "it is a directory");
        told(Tree::new().fifo(DEBIAN), "it is not a regular file");
        told(Tree::new().link(DEBIAN, DEBIAN), "40 others");
        told(Tree::new().sparse(DEBIAN, MAX_SIZE + 1), "no such file has more than 16777216");
        told(Tree::new(), "install ca-certificates");
    }
}
