//! OpenSSL's configuration, and the modules that come with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::constants::Constants;
use super::system::{Text, extra};
use super::{Supply, Surroundings};
use crate::collect::extra::ExtraContent;
use crate::collect::source::Source;
use crate::need::Need;
use crate::text::printable;

/// Bytes of a configuration. The one that comes with OpenSSL has 12 KiB.
const MAX_SIZE: u64 = 1 << 20;

/// Where systems have the configuration, and nothing else is believed to be such a place.
const DIRECTORIES: [&str; 10] = [
    "/usr/lib/ssl", // Debian
    "/etc/ssl",     // Alpine, Arch, openSUSE
    "/etc/pki/tls", // Fedora
    "/etc/ssl1.1",  // Alpine, for the version before
    "/etc/openssl",
    "/usr/local/ssl", // OpenSSL's own default
    "/usr/local/openssl",
    "/usr/share/ssl",
    "/usr/ssl",
    "/var/ssl",
];

/// What stands there: the configuration, and what distributions and `openssl fipsinstall` let it include from beside it.
const CONFIGURATION: [&str; 3] = ["openssl.cnf", "fipsmodule.cnf", "fips_local.cnf"];

/// What Fedora's configuration includes from elsewhere (update-crypto-policies(8)).
const POLICY: &str = "/etc/crypto-policies/back-ends/opensslcnf.config";

/// All certificates that are trusted, in the same directory (X509_get_default_cert_file(3)).
pub(super) const BUNDLE: &str = "cert.pem";

/// Modules of one kind.
struct Kind {
    /// By what OpenSSL tells where it looks for them.
    told_by: &'static str,
    directories: &'static [&'static str],
    /// Those that are OpenSSL's own (providers/build.info, engines/build.info).
    names: &'static [&'static str],
}

const KINDS: [Kind; 2] = [
    Kind { told_by: "MODULESDIR", directories: &["ossl-modules"], names: &["fips.so", "legacy.so"] },
    Kind {
        told_by: "ENGINESDIR",
        directories: &["engines-3", "engines-1.1"],
        names: &["afalg.so", "devcrypto.so", "loader_attic.so", "padlock.so"],
    },
];

pub(super) fn supply(around: &Surroundings<'_>) -> Result<Supply, String> {
    let mut told: BTreeSet<PathBuf> = BTreeSet::new();
    let mut modules: BTreeSet<PathBuf> = BTreeSet::new();
    for object in around.objects {
        let constants = Constants::of(object, around);
        told.extend(constants.told("OPENSSLDIR"));
        modules.extend(KINDS.iter().flat_map(|kind| modules_of(kind, &constants, around)));
    }
    let files = configuration(&told, around)?;
    if files.is_empty() && modules.is_empty() {
        return Err(without_anything(&told, around));
    }
    let extras = files.into_iter().map(|(at, source)| extra(&Need::OpenSsl, at, ExtraContent::File(source)));
    Ok(Supply { extras: extras.collect(), modules: modules.into_iter().collect() })
}

/// The files of the configuration, by where OpenSSL opens them.
fn configuration(told: &BTreeSet<PathBuf>, around: &Surroundings<'_>) -> Result<BTreeMap<PathBuf, Source>, String> {
    let mut files = BTreeMap::new();
    for directory in told.iter().filter(|told| is_known(told)) {
        for path in CONFIGURATION.map(|name| directory.join(name)) {
            let Some(text) = Text::read(&path, MAX_SIZE, around)? else { continue };
            if text.holds(POLICY.as_bytes())
                && let Some(policy) = Text::read(Path::new(POLICY), MAX_SIZE, around)?
            {
                files.insert(PathBuf::from(POLICY), policy.source);
            }
            files.insert(path, text.source);
        }
    }
    Ok(files)
}

/// Where an OpenSSL that is linked into an object looks for certificates. It need not tell how it was built, but has this
/// path as a whole (its crypto/x509/x509_def.c).
pub(super) fn bundles_inside(constants: &Constants) -> Vec<PathBuf> {
    let bundles = DIRECTORIES.iter().map(|directory| Path::new(directory).join(BUNDLE));
    bundles.filter(|bundle| constants.hold_string(bundle.as_os_str())).collect()
}

fn is_known(directory: &Path) -> bool {
    DIRECTORIES.iter().any(|known| directory == Path::new(known))
}

/// Those that there are, in a directory beside the system's libraries.
fn modules_of(kind: &Kind, constants: &Constants, around: &Surroundings<'_>) -> Vec<PathBuf> {
    let beside_libraries = |told: &PathBuf| {
        around.directories.iter().any(|library| kind.directories.iter().any(|name| *told == library.join(name)))
    };
    let directories = constants.told(kind.told_by).into_iter().filter(beside_libraries);
    let paths = directories.flat_map(|directory| kind.names.iter().map(move |name| directory.join(name)));
    paths.filter(|path| around.files.file_there(path).is_ok()).collect()
}

fn without_anything(told: &BTreeSet<PathBuf>, around: &Surroundings<'_>) -> String {
    match (told.iter().find(|told| !is_known(told)), told.is_empty()) {
        (_, true) if is_inside(around) => "the OpenSSL inside the program does not tell where it looks for its \
                                           configuration (OPENSSLDIR); name the files that it needs, such as \
                                           openssl.cnf"
            .to_owned(),
        (_, true) => "nothing of the program tells where OpenSSL looks for its configuration (OPENSSLDIR); name the \
                      library that the program loads, such as libcrypto.so.3"
            .to_owned(),
        (Some(other), _) => format!(
            "the program's OpenSSL looks for its configuration in {}, which is no directory of a system; name the \
             files that it needs",
            printable(other)
        ),
        (None, _) => "the root has neither OpenSSL's configuration nor its modules; install openssl in it".to_owned(),
    }
}

/// Whether OpenSSL is linked into the program or a library of it, so that no library of its own can be named.
fn is_inside(around: &Surroundings<'_>) -> bool {
    let has = |object| !bundles_inside(&Constants::of(object, around)).is_empty();
    around.libc.is_none() || around.objects.iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Tree;
    use super::supply;

    const TOLD: &str = "\0OPENSSLDIR: \"/usr/lib/ssl\"\0ENGINESDIR: \"/usr/lib/engines-3\"\0\
                        MODULESDIR: \"/usr/lib/ossl-modules\"\0";

    fn debian() -> Tree {
        let tree = Tree::new().object("/usr/lib/libcrypto.so.3", TOLD).file("/etc/ssl/openssl.cnf", "[default]\n");
        tree.link("/usr/lib/ssl/openssl.cnf", "/etc/ssl/openssl.cnf")
    }

    #[test]
    fn the_configuration_stands_where_openssl_opens_it() {
        assert_eq!(debian().supplied(supply), ["/usr/lib/ssl/openssl.cnf = /etc/ssl/openssl.cnf"]);
    }

    #[test]
    fn modules_are_those_of_openssl_alone() {
        let tree = debian().file("/usr/lib/ossl-modules/legacy.so", "").file("/usr/lib/ossl-modules/evil.so", "");
        let tree = tree.file("/usr/lib/engines-3/afalg.so", "").directory("/usr/lib/ossl-modules/fips.so");
        assert_eq!(
            tree.supplied(supply)[1..],
            ["module /usr/lib/engines-3/afalg.so", "module /usr/lib/ossl-modules/legacy.so"]
        );
    }

    #[test]
    fn the_policy_of_the_system_goes_with_a_configuration_that_includes_it() {
        let policy = "/etc/crypto-policies/back-ends/opensslcnf.config";
        let tree =
            Tree::new().object("/lib/libcrypto.so.3", "OPENSSLDIR: \"/etc/pki/tls\"").file(policy, "MinProtocol\n");
        let plain = tree.file("/etc/pki/tls/openssl.cnf", "[ a ]\n");
        assert_eq!(plain.supplied(supply).len(), 1);
        let including = plain.file("/etc/pki/tls/openssl.cnf", &format!("[ a ]\n.include = {policy}\n"));
        assert_eq!(including.supplied(supply)[0], policy);
    }

    #[test]
    fn nothing_is_copied_from_a_directory_that_no_system_has() {
        let told = "OPENSSLDIR: \"/root/.ssh\"\0OPENSSLDIR: \"/etc/../etc/ssl\"\0MODULESDIR: \"/root/ossl-modules\"\0\
                    MODULESDIR: \"/usr/lib\"\0ENGINESDIR: \"/usr/lib/../lib/engines-3\"";
        let tree = Tree::new().object("/usr/lib/libevil.so", told).file("/root/.ssh/openssl.cnf", "[default]\n");
        let tree = tree.file("/root/ossl-modules/legacy.so", "").file("/usr/lib/legacy.so", "");
        let tree = tree.file("/usr/lib/engines-3/afalg.so", "").file("/etc/ssl/openssl.cnf", "[default]\n");
        let refused = tree.refused(supply);
        assert!(refused.contains("in /root/.ssh, which is no directory of a system"), "{refused}");
    }

    #[test]
    fn a_configuration_that_holds_a_private_key_is_refused() {
        let tree = debian().file("/etc/ssl/openssl.cnf", "-----BEGIN PRIVATE KEY-----\n");
        assert!(tree.refused(supply).contains("/usr/lib/ssl/openssl.cnf is not put into an image"));
    }

    #[test]
    fn what_to_do_is_told_where_there_is_nothing() {
        assert!(Tree::new().refused(supply).contains("nothing of the program tells"));
        for tree in [Tree::new().libc(None), Tree::new().object("/app", "\0/usr/lib/ssl/cert.pem\0")] {
            let refused = tree.refused(supply);
            assert!(refused.contains("name the files that it needs") && !refused.contains(".so"), "{refused}");
        }
        assert!(Tree::new().object("/lib/libcrypto.so.3", TOLD).refused(supply).contains("install openssl"));
    }
}
