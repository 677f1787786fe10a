//! Bills of materials: what they say, and that they say it always in the same words.

use std::fs;

use scratchpack::{ErrorKind, Image, SbomFormat};
use serde_json::{Value, json};

use crate::elf::{Fixture, library, program};
use crate::packages::{X, dpkg, merged};
use crate::root::Root;
use crate::verify::verified;

fn bill(image: &Image, format: SbomFormat) -> Value {
    serde_json::from_str(&image.sbom(format).unwrap()).unwrap()
}

/// A build id of these bytes.
fn with_build_id(fixture: Fixture, id: &[u8]) -> Fixture {
    let words = [4, u32::try_from(id.len()).unwrap(), 3, u32::from_le_bytes(*b"GNU\0")];
    let mut note: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    note.extend(id);
    Fixture { more: Some((4, note)), ..fixture }
}

/// A program of one package that needs a library of another.
fn root() -> Root {
    let root = merged().file(X, &with_build_id(library("libx.so.1"), &[0xab; 20]));
    let copyright = b"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: MIT or odd one\n";
    dpkg(dpkg(root, "libx1:amd64", &[X]), "app", &["/app"]).bytes("/usr/share/doc/libx1/copyright", copyright)
}

/// The values at `key` of all elements.
fn each<'v>(list: &'v Value, key: &str) -> Vec<&'v str> {
    list.as_array().unwrap().iter().filter_map(|value| value[key].as_str()).collect()
}

fn named<'v>(list: &'v Value, key: &str, name: &str) -> &'v Value {
    list.as_array().unwrap().iter().find(|value| value[key] == name).unwrap()
}

#[test]
fn spdx_names_files_packages_and_how_they_hang_together() {
    let root = root();
    let bill = bill(&root.image("/app"), SbomFormat::Spdx);
    assert_eq!(each(&bill["packages"], "name"), ["docker.io/library/app", "debian", "app", "libx1"]);
    let package = named(&bill["packages"], "name", "libx1");
    assert_eq!(
        package["externalRefs"][0]["referenceLocator"],
        "pkg:deb/debian/libx1@1:2-3%2Bb1?arch=amd64&distro=debian-12"
    );
    assert_eq!(package["licenseDeclared"], "MIT OR LicenseRef-odd-one");
    let extracted =
        json!([{ "licenseId": "LicenseRef-odd-one", "extractedText": "odd one, as the package libx1 states it" }]);
    assert_eq!(bill["hasExtractedLicensingInfos"], extracted);
    assert_eq!(
        each(&bill["files"], "fileName"),
        ["./app", "./usr/lib/x86_64-linux-gnu/libx.so.1.2", "./usr/lib64/ld-linux-x86-64.so.2"]
    );
    let file = &bill["files"][1];
    assert_eq!(file["annotations"][0]["comment"], format!("build-id: {}", "ab".repeat(20)));
    assert_eq!(file["comment"], "libx.so.1 needed by /app, found by default");
    let id = |name: &str| match name.starts_with('.') {
        true => named(&bill["files"], "fileName", name)["SPDXID"].as_str().unwrap(),
        false => named(&bill["packages"], "name", name)["SPDXID"].as_str().unwrap(),
    };
    let image = "SPDXRef-Image";
    for (one, kind, other) in [
        ("SPDXRef-DOCUMENT", "DESCRIBES", image),
        (image, "CONTAINS", id("debian")),
        (image, "CONTAINS", id("libx1")),
        (image, "CONTAINS", id("./app")),
        (id("libx1"), "CONTAINS", file["SPDXID"].as_str().unwrap()),
        (id("app"), "DEPENDS_ON", id("libx1")),
        (id("./app"), "DEPENDS_ON", file["SPDXID"].as_str().unwrap()),
    ] {
        let relationship = json!({ "spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other });
        assert!(bill["relationships"].as_array().unwrap().contains(&relationship), "{relationship}");
    }
}

#[test]
fn cyclonedx_says_the_same() {
    let root = root();
    let bill = bill(&root.image("/app"), SbomFormat::CycloneDx);
    assert_eq!(bill["metadata"]["component"]["name"], "docker.io/library/app");
    assert_eq!(each(&bill["components"], "name"), ["debian", "app", "libx1", "/usr/lib64/ld-linux-x86-64.so.2"]);
    assert_eq!(
        (&bill["components"][0]["type"], &bill["components"][0]["version"]),
        (&json!("operating-system"), &json!("12"))
    );
    let package = &bill["components"][2];
    assert_eq!(package["licenses"], json!([{ "expression": "MIT OR LicenseRef-odd-one" }]));
    let file = &package["components"][0];
    assert_eq!((&file["name"], &file["properties"][0]["value"]), (&json!(X), &json!("ab".repeat(20))));
    let dependencies = &bill["dependencies"];
    let purl = |name: &str| named(&bill["components"], "name", name)["bom-ref"].as_str().unwrap();
    assert_eq!(named(dependencies, "ref", purl("app"))["dependsOn"], json!([purl("libx1")]));
    let needed = json!([format!("file:{X}"), "file:/usr/lib64/ld-linux-x86-64.so.2"]);
    assert_eq!(named(dependencies, "ref", "file:/app")["dependsOn"], needed);
}

#[test]
fn digests_are_those_of_the_files() {
    let root = root();
    let bill = bill(&root.image("/app"), SbomFormat::Spdx);
    let sum = |name: &str, tool: &str| {
        let output = std::process::Command::new(tool).arg(root.on_machine(name)).output().unwrap();
        String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
    };
    for (file, name) in bill["files"].as_array().unwrap().iter().zip(["/app", X]) {
        for (checksum, tool) in file["checksums"].as_array().unwrap().iter().zip(["sha1sum", "sha256sum"]) {
            assert_eq!(checksum["checksumValue"], sum(name, tool));
        }
    }
}

#[test]
fn the_same_image_has_the_same_document_and_another_one_has_another_name() {
    for (format, name) in [(SbomFormat::Spdx, "documentNamespace"), (SbomFormat::CycloneDx, "serialNumber")] {
        let (one, other) = (root(), root());
        let image = |root: &Root| root.builder("/app").package_db(true).created(86_400).build().map(verified).unwrap();
        let (first, second) = (image(&one).sbom(format).unwrap(), image(&other).sbom(format).unwrap());
        assert_eq!(first, second);
        assert!(first.contains("1970-01-02T00:00:00Z"));
        let changed = bill(&other.image("/app"), format);
        assert_ne!(changed[name], serde_json::from_str::<Value>(&first).unwrap()[name]);
    }
}

#[test]
fn a_file_in_two_packages_stands_once_as_a_component() {
    let root = dpkg(root(), "twin", &[X]);
    let image = root.image("/app");
    let document = image.sbom(SbomFormat::CycloneDx).unwrap();
    assert_eq!(document.matches(&format!(r#""bom-ref":"file:{X}""#)).count(), 1);
    let contains = bill(&image, SbomFormat::Spdx)["relationships"].to_string().matches("CONTAINS").count();
    assert_eq!(contains, 1 + 3 + 3 + 3, "the distribution, packages, files, and files of packages");
}

#[test]
fn an_image_of_no_distribution_has_a_bill_as_well() {
    let root = Root::debian().file("/No Name", &program(&[]));
    for format in [SbomFormat::Spdx, SbomFormat::CycloneDx] {
        let document = root.image("/No Name").sbom(format).unwrap();
        assert!(document.contains("No Name") && !document.contains("peratingSystem"), "{document}");
    }
}

#[test]
fn a_bill_of_a_file_that_has_changed_is_not_made_and_leaves_the_old_one() {
    let root = root();
    let image = root.image("/app");
    let file = root.on_machine("/out.spdx.json");
    image.write_sbom(&file, SbomFormat::Spdx).unwrap();
    let whole = fs::read_to_string(&file).unwrap();
    assert_eq!(whole, image.sbom(SbomFormat::Spdx).unwrap() + "\n");
    fs::write(root.on_machine(X), "other").unwrap();
    let error = image.write_sbom(&file, SbomFormat::Spdx).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed);
    assert_eq!(fs::read_to_string(&file).unwrap(), whole);
}

#[test]
fn a_bill_never_replaces_what_goes_into_the_image() {
    let root = root();
    let error = root.image("/app").write_sbom(root.on_machine("/app"), SbomFormat::Spdx).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutputRefused);
}

#[cfg(feature = "cli")]
mod of_the_command {
    use std::fs;

    use super::root;
    use crate::command::{err, scratchpack};

    #[test]
    fn a_build_that_fails_leaves_the_bill_of_the_image_before() {
        let root = root().bytes("/full/other", b"no layout");
        let build = |output: &str, more: &[&str]| {
            let words = ["build", "app", "--sysroot", ".", "-o", output, "--sbom", "app.cdx.json"];
            let output = scratchpack(&root, &[&words, more].concat());
            (output.status.code(), err(&output), fs::read_to_string(root.on_machine("/app.cdx.json")).ok())
        };
        let (status, said, first) = build("app.tar", &[]);
        assert_eq!((status, first.is_some()), (Some(0), true), "{said}");
        // Known as late as when it is written.
        let (status, said, bill) = build("full/", &["--label", "a=b", "-t", "other:1"]);
        assert_eq!((status, &bill), (Some(1), &first), "{said}");
        let (status, said, bill) = build("app.tar", &["--max-size", "1", "-t", "other:1"]);
        assert_eq!((status, &bill), (Some(1), &first), "{said}");
        let (status, said, bill) = build("app.tar", &["-t", "other:1"]);
        assert!(status == Some(0) && bill.is_some() && bill != first, "{said}");
    }
}
