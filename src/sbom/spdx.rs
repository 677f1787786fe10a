//! SPDX 2.3 as JSON (spdx.github.io/spdx-spec/v2.3).

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::{Bill, File, TOOL, VERSION, digest, hex, shown, without_nulls};
use crate::json::canonical;
use crate::packages::{Distribution, Package};

const NO_ASSERTION: &str = "NOASSERTION";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-Image";
const SYSTEM: &str = "SPDXRef-OperatingSystem";

pub(super) fn document(bill: &Bill<'_>) -> String {
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": bill.name,
        "creationInfo": { "created": bill.created, "creators": [format!("Tool: {TOOL}-{VERSION}")] },
        "packages": packages(bill),
        "files": bill.files.iter().map(|(at, known)| file(at, known, bill)).collect::<Vec<_>>(),
        "relationships": relationships(bill),
    });
    let licenses = licenses(bill);
    if !licenses.is_empty() {
        document["hasExtractedLicensingInfos"] = licenses.into();
    }
    // A name of its own, and the same for the same content.
    let name = digest(&canonical(&document));
    document["documentNamespace"] = format!("https://spdx.org/spdxdocs/{TOOL}-{name}").into();
    canonical(&document)
}

fn packages(bill: &Bill<'_>) -> Vec<Value> {
    let packages = bill.packages.iter().map(|known| package(known, bill));
    std::iter::once(image(bill)).chain(bill.distribution.map(system)).chain(packages).collect()
}

/// The image, as a package that holds everything.
fn image(bill: &Bill<'_>) -> Value {
    let mut image = json!({
        "SPDXID": IMAGE,
        "name": bill.name,
        "downloadLocation": NO_ASSERTION,
        "filesAnalyzed": true,
        "packageVerificationCode": { "packageVerificationCodeValue": verification_code(bill.files.values()) },
        "primaryPackagePurpose": "CONTAINER",
    });
    image["versionInfo"] = bill.tag.clone().into();
    without_nulls(image)
}

fn system(distribution: &Distribution) -> Value {
    without_nulls(json!({
        "SPDXID": SYSTEM,
        "name": distribution.id(),
        "versionInfo": distribution.version(),
        "description": distribution.name(),
        "downloadLocation": NO_ASSERTION,
        "filesAnalyzed": false,
        "primaryPackagePurpose": "OPERATING-SYSTEM",
    }))
}

fn package(package: &Package, bill: &Bill<'_>) -> Value {
    let files = package.files().filter_map(|at| bill.files.get(at));
    let source = package.source().map(|(name, version)| format!("built from the source package {name} {version}"));
    without_nulls(json!({
        "SPDXID": id_of_package(package),
        "name": package.name(),
        "versionInfo": package.version(),
        "supplier": package.maintainer().map_or_else(|| NO_ASSERTION.to_owned(), organization),
        "downloadLocation": NO_ASSERTION,
        "filesAnalyzed": true,
        "packageVerificationCode": { "packageVerificationCodeValue": verification_code(files) },
        "comment": "Of the package, the files that the image has.",
        "sourceInfo": source,
        "licenseConcluded": NO_ASSERTION,
        "licenseDeclared": package.license().unwrap_or(NO_ASSERTION),
        "copyrightText": NO_ASSERTION,
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": package.purl(),
        }],
    }))
}

/// `Organization: Debian Foo Team (foo@lists.debian.org)` of `Debian Foo Team <foo@lists.debian.org>`.
fn organization(maintainer: &str) -> String {
    match maintainer.split_once('<') {
        Some((name, address)) if !name.trim().is_empty() => {
            format!("Organization: {} ({})", name.trim(), address.trim_end_matches('>').trim())
        }
        _ => format!("Organization: {maintainer}"),
    }
}

/// The digest of the digests of the files, in their order (SPDX 2.3, section 7.9).
fn verification_code<'f>(files: impl Iterator<Item = &'f File<'f>>) -> String {
    let mut digests: Vec<&str> = files.map(|file| file.digests.sha1.as_str()).collect();
    digests.sort_unstable();
    hex(&Sha1::digest(digests.concat().as_bytes()))
}

fn file(at: &Path, file: &File<'_>, bill: &Bill<'_>) -> Value {
    let annotation = file.build_id.as_ref().map(|build_id| {
        json!([{
            "annotationDate": bill.created,
            "annotationType": "OTHER",
            "annotator": format!("Tool: {TOOL}-{VERSION}"),
            "comment": format!("build-id: {build_id}"),
        }])
    });
    without_nulls(json!({
        "SPDXID": id_of_file(at),
        "fileName": format!(".{}", shown(at)),
        "checksums": [
            { "algorithm": "SHA1", "checksumValue": file.digests.sha1 },
            { "algorithm": "SHA256", "checksumValue": file.digests.sha256 },
        ],
        "fileTypes": file.is_elf.then_some(["BINARY"]),
        "comment": file.reason,
        "annotations": annotation,
        "licenseConcluded": NO_ASSERTION,
        "copyrightText": NO_ASSERTION,
    }))
}

fn relationships(bill: &Bill<'_>) -> Vec<Value> {
    let mut all = vec![relationship(DOCUMENT, "DESCRIBES", IMAGE)];
    all.extend(bill.distribution.map(|_| relationship(IMAGE, "CONTAINS", SYSTEM)));
    for package in bill.packages {
        let id = id_of_package(package);
        all.push(relationship(IMAGE, "CONTAINS", &id));
        all.extend(package.files().map(|at| relationship(&id, "CONTAINS", &id_of_file(at))));
        let needed = bill.needs_of_package(package).into_iter();
        all.extend(needed.map(|number| relationship(&id, "DEPENDS_ON", &id_of_package(&bill.packages[number]))));
    }
    for at in bill.files.keys() {
        all.push(relationship(IMAGE, "CONTAINS", &id_of_file(at)));
        let needed = bill.needs.of_file(at);
        all.extend(needed.map(|needed| relationship(&id_of_file(at), "DEPENDS_ON", &id_of_file(needed))));
    }
    all
}

fn relationship(one: &str, kind: &str, other: &str) -> Value {
    json!({ "spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other })
}

/// What the names of licences that are not SPDX's stand for.
fn licenses(bill: &Bill<'_>) -> Vec<Value> {
    let mut names: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for package in bill.packages {
        for custom in package.customs() {
            let text = format!("{}, as the package {} states it", custom.name, package.name());
            names.entry(&custom.reference).or_default().push(text);
        }
    }
    let info = |(id, texts): (&str, Vec<String>)| json!({ "licenseId": id, "extractedText": texts.join("; ") });
    names.into_iter().map(info).collect()
}

/// Of letters, digits, dots and hyphens, and the same in every document.
fn id_of_package(package: &Package) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let name: String = package.name().chars().take(64).map(fit).collect();
    format!("SPDXRef-Package-{name}-{}", &digest(&package.purl())[..16])
}

fn id_of_file(at: &Path) -> String {
    let path = at.as_os_str().as_encoded_bytes();
    format!("SPDXRef-File-{}", &hex(&sha2::Sha256::digest(path))[..16])
}
