//! CycloneDX 1.5 as JSON (cyclonedx.org/docs/1.5/json).

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::{Bill, File, TOOL, VERSION, digest, shown, uuid, without_nulls};
use crate::json::canonical;
use crate::packages::{Distribution, Package};

const IMAGE: &str = "image";

pub(super) fn document(bill: &Bill<'_>) -> String {
    let mut document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": bill.created,
            "tools": { "components": [{ "type": "application", "name": TOOL, "version": VERSION }] },
            "component": without_nulls(json!({
                "type": "container",
                "bom-ref": IMAGE,
                "name": bill.name,
                "version": bill.tag,
            })),
        },
        "components": components(bill),
        "dependencies": dependencies(bill),
    });
    let serial = uuid(&digest(&canonical(&document)));
    document["serialNumber"] = format!("urn:uuid:{serial}").into();
    canonical(&document)
}

/// The distribution, packages with the files that came from them, and the other files.
fn components(bill: &Bill<'_>) -> Vec<Value> {
    let mut listed = BTreeSet::new();
    let mut components: Vec<Value> = bill.distribution.map(system).into_iter().collect();
    for known in bill.packages {
        // A component stands in one place.
        let files = known.files().filter_map(|at| bill.files.get_key_value(at));
        let files: Vec<Value> =
            files.filter(|(at, _)| listed.insert(**at)).map(|(at, known)| file(at, known)).collect();
        components.push(package(known, files));
    }
    components.extend(bill.files.iter().filter(|(at, _)| !listed.contains(*at)).map(|(at, known)| file(at, known)));
    components
}

fn system(distribution: &Distribution) -> Value {
    without_nulls(json!({
        "type": "operating-system",
        "bom-ref": "operating-system",
        "name": distribution.id(),
        "version": distribution.version(),
        "description": distribution.name(),
    }))
}

fn package(package: &Package, files: Vec<Value>) -> Value {
    let source = package.source().map(|(name, version)| format!("{name} {version}"));
    let properties = [("source-package", source), ("architecture", package.architecture().map(str::to_owned))];
    without_nulls(json!({
        "type": "library",
        "bom-ref": package.purl(),
        "name": package.name(),
        "version": package.version(),
        "purl": package.purl(),
        "publisher": package.maintainer(),
        "licenses": package.license().map(|expression| json!([{ "expression": expression }])),
        "properties": with_names(properties),
        "components": (!files.is_empty()).then_some(files),
    }))
}

fn file(at: &Path, file: &File<'_>) -> Value {
    let properties = [("build-id", file.build_id.clone()), ("reason", Some(file.reason.to_owned()))];
    json!({
        "type": "file",
        "bom-ref": reference(at),
        "name": shown(at),
        "hashes": [
            { "alg": "SHA-1", "content": file.digests.sha1 },
            { "alg": "SHA-256", "content": file.digests.sha256 },
        ],
        "properties": with_names(properties),
    })
}

fn with_names(properties: [(&str, Option<String>); 2]) -> Vec<Value> {
    let there = properties.into_iter().filter_map(|(name, value)| Some((name, value?)));
    there.map(|(name, value)| json!({ "name": format!("{TOOL}:{name}"), "value": value })).collect()
}

fn dependencies(bill: &Bill<'_>) -> Vec<Value> {
    let of_image = bill.files.keys().map(|at| reference(at)).chain(bill.packages.iter().map(Package::purl));
    let mut dependencies = vec![dependency(IMAGE, of_image)];
    for package in bill.packages {
        let needed = bill.needs_of_package(package).into_iter().map(|number| bill.packages[number].purl());
        dependencies.push(dependency(&package.purl(), needed));
    }
    dependencies.extend(bill.files.keys().map(|at| dependency(&reference(at), bill.needs.of_file(at).map(reference))));
    dependencies
}

fn dependency(of: &str, on: impl Iterator<Item = String>) -> Value {
    json!({ "ref": of, "dependsOn": on.collect::<BTreeSet<_>>() })
}

/// Every path has a text of its own.
fn reference(at: &Path) -> String {
    format!("file:{}", shown(at))
}
