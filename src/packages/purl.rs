//! Package URLs (github.com/package-url/purl-spec): names that scanners of all distributions know packages by.

use super::{Distribution, Package};

/// Those of the types that are for packages of distributions, by what notes call them.
const TYPES: [(&str, &str); 6] =
    [("deb", "deb"), ("apk", "apk"), ("rpm", "rpm"), ("alpm", "alpm"), ("pacman", "alpm"), ("arch", "alpm")];

pub(super) fn of(package: &Package) -> String {
    let known = TYPES.into_iter().find(|(kind, _)| *kind == package.kind).map(|(_, known)| known);
    let distribution = package.distribution();
    let namespace = distribution
        .filter(|_| known.is_some())
        .map(|distribution| format!("/{}", encoded(&vendor(&lower(distribution.id()), known))));
    let (epoch, version) = match package.version.split_once(':') {
        // The version of an rpm has its epoch as a qualifier.
        Some((epoch, version)) if known == Some("rpm") && epoch.bytes().all(|byte| byte.is_ascii_digit()) => {
            (Some(epoch.to_owned()), version)
        }
        _ => (None, package.version.as_str()),
    };
    // In the order of their names.
    let qualifiers = [
        ("arch", package.architecture.clone()),
        ("distro", distribution.and_then(distro)),
        ("epoch", epoch),
        ("upstream", upstream(package, known)),
    ];
    let qualifiers: Vec<String> =
        qualifiers.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", encoded(&value?)))).collect();
    let qualifiers = if qualifiers.is_empty() { String::new() } else { format!("?{}", qualifiers.join("&")) };
    let (kind, namespace) = (known.unwrap_or("generic"), namespace.unwrap_or_default());
    // These have no case in the names of packages.
    let name = if matches!(kind, "deb" | "apk" | "alpm") { lower(&package.name) } else { package.name.clone() };
    format!("pkg:{kind}{namespace}/{}@{}{qualifiers}", encoded(&name), encoded(version))
}

/// Who makes the distribution, as the purls of its packages have it.
fn vendor(id: &str, kind: Option<&str>) -> String {
    if kind == Some("rpm") && id == "rhel" { "redhat".to_owned() } else { id.to_owned() }
}

/// The source package, in the form in which syft writes it and grype reads it: of an rpm the file's name, of others the name,
/// and the version where it is another one.
fn upstream(package: &Package, kind: Option<&str>) -> Option<String> {
    let (name, version) = package.source()?;
    match kind {
        Some("rpm") => Some(format!("{name}-{version}.src.rpm")),
        _ if (name, version) == (package.name(), package.version()) => None,
        _ if version == package.version => Some(name.to_owned()),
        _ => Some(format!("{name}@{version}")),
    }
}

/// `debian-12`
fn distro(distribution: &Distribution) -> Option<String> {
    Some(format!("{}-{}", lower(distribution.id()), distribution.version()?))
}

fn lower(text: &str) -> String {
    text.to_ascii_lowercase()
}

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => encoded.push(byte.into()),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
