//! Scanners and validators beside what an image tells of its packages. Those of Python are in an environment of their own,
//! which `SCRATCHPACK_SBOM_TOOLS` names, or else on PATH.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use scratchpack::{Image, SbomFormat};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::elf::{library, program};
use crate::fixtures::{Fixtures, scratch};
use crate::root::Root;
use crate::tools::{self, run, text_of};
use crate::verify::verified;

const DIRECTORY: &str = "SCRATCHPACK_SBOM_TOOLS";

/// The tool, if it is there; where not, the test that asks is skipped.
pub(crate) fn tool(name: &str) -> Option<Command> {
    let own = env::var_os(DIRECTORY).map(|directory| Path::new(&directory).join("bin").join(name));
    let found = own.filter(|path| path.is_file()).or_else(|| tools::find(name));
    tools::is_available(name, found.is_some()).then(|| Command::new(found.unwrap()))
}

/// What syft finds in an image (`scan`), or reads in a document (`convert`).
pub(crate) fn scan(mut syft: Command, how: &str, what: &Path) -> Value {
    syft.env("SYFT_CHECK_FOR_APP_UPDATE", "false").args([how, "--quiet", "--output", "syft-json"]);
    serde_json::from_str(&run(syft.arg(what))).unwrap()
}

/// Kind, name, version.
pub(crate) fn found(scan: &Value) -> Vec<[&str; 3]> {
    let artifacts = scan["artifacts"].as_array().unwrap();
    artifacts.iter().map(|found| ["type", "name", "version"].map(|key| found[key].as_str().unwrap())).collect()
}

/// What this machine's own dpkg says that a file of it came from: name and version.
fn owner(path: &Path) -> (String, String) {
    let real = fs::canonicalize(path).unwrap();
    let registered = real.strip_prefix("/usr").map_or_else(|_| real.clone(), |rest| Path::new("/").join(rest));
    let owner = [&real, &registered].into_iter().find_map(|path| {
        let output = tools::command("dpkg-query").arg("--search").arg(path).output().unwrap();
        output.status.success().then(|| text_of(&output).split(": ").next().unwrap().to_owned())
    });
    let name = owner.unwrap();
    let version = run(tools::command("dpkg-query").args(["--show", "--showformat=${Version}", &name]));
    (name.split(':').next().unwrap().to_owned(), version)
}

fn os_release(key: &str) -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap();
    value.trim_matches('"').to_owned()
}

#[test]
fn a_scanner_reports_the_libc_and_the_distribution_of_an_image_and_of_its_bills() {
    let Some(syft) = tool("syft") else { return };
    if !tools::are_here(&["dpkg-query"]) {
        return;
    }
    let fixtures = Fixtures::compile();
    let program = &fixtures.programs[0].path;
    let image = Image::builder().binary(program).package_db(true).build().map(verified).unwrap();
    let (name, version) = owner(&image.closure().interpreter().unwrap().source());
    let (id, release) = (os_release("ID"), os_release("VERSION_ID"));
    let archive = fixtures.path().join("image.tar");
    image.write_archive(&archive).unwrap();
    let mut outputs = vec![archive];
    for (file, format) in [("image.spdx.json", SbomFormat::Spdx), ("image.cdx.json", SbomFormat::CycloneDx)] {
        outputs.push(fixtures.path().join(file));
        image.write_sbom(&outputs[outputs.len() - 1], format).unwrap();
    }
    let program = syft.get_program().to_owned();
    for output in outputs {
        let how = if output.extension().is_some_and(|end| end == "tar") { "scan" } else { "convert" };
        let scan = scan(Command::new(&program), how, &output);
        let expected = ["deb", name.as_str(), version.as_str()];
        assert!(found(&scan).contains(&expected), "{}: {:?}", output.display(), found(&scan));
        // SPDX has no place for the distribution that syft would look at.
        if !output.ends_with("image.spdx.json") {
            let distribution = &scan["distro"];
            assert_eq!((&distribution["id"], &distribution["versionID"]), (&json!(id), &json!(release)));
        }
    }
}

#[test]
fn a_scanner_reports_packages_of_apk() {
    let Some(syft) = tool("syft") else { return };
    let root = Root::debian()
        .file("/app", &program(&["libx.so.1"]))
        .file("/lib/libx.so.1", &library("libx.so.1"))
        .bytes("/etc/os-release", b"ID=alpine\nNAME=\"Alpine Linux\"\nVERSION_ID=3.18.4\n")
        .bytes("/lib/apk/db/installed", b"C:Q1kGmNlLrFPuFcPLhT2hCkVwuHAbg=\nP:libx\nV:1.2.4-r2\nA:x86_64\nS:1\nI:1\nT:x\nL:MIT\no:x\nF:lib\nR:libx.so.1\na:0:0:755\nZ:Q1kGmNlLrFPuFcPLhT2hCkVwuHAbg=\n\n");
    let image = root.builder("/app").package_db(true).build().map(verified).unwrap();
    let archive = root.on_machine("/image.tar");
    image.write_archive(&archive).unwrap();
    let scan = scan(syft, "scan", &archive);
    assert_eq!(found(&scan), [["apk", "libx", "1.2.4-r2"]]);
    assert_eq!(scan["distro"]["id"], "alpine");
}

/// Images of every kind that a bill says something else of: many packages, none, odd names.
fn images() -> (TempDir, Root, Vec<Image>) {
    let odd = Root::debian()
        .file("/a \u{1b}b", &program(&["libx.so.1"]))
        .file("/lib/libx.so.1", &library("libx.so.1"))
        .bytes("/var/lib/dpkg/status", b"Package: x+y\nVersion: 1:2~3\nMaintainer: <a@b> (c)\nArchitecture: any\n")
        .bytes("/var/lib/dpkg/info/x+y.list", b"/lib/libx.so.1\n")
        .bytes(
            "/usr/share/doc/x+y/copyright",
            b"Format: copyright-format/1.0\nLicense: odd/one (of two), or GPL-2+ with a \"quote\" exception\n",
        );
    let builder = |program: &str| {
        let mut builder = Image::builder();
        builder.binary(program).package_db(true);
        builder
    };
    let own = ["/usr/bin/git", "/usr/bin/python3", "/bin/true"].into_iter().filter(|path| Path::new(path).exists());
    let own = own.map(|path| builder(path).build().unwrap());
    let images = own.chain([odd.builder("/a \u{1b}b").package_db(true).build().unwrap()]).collect();
    (scratch(), odd, images)
}

#[test]
fn the_validator_of_spdx_finds_nothing_wrong_with_any_bill() {
    let Some(validator) = tool("pyspdxtools") else { return };
    let (directory, _odd, images) = images();
    for image in images {
        let file = directory.path().join("bill.spdx.json");
        image.write_sbom(&file, SbomFormat::Spdx).unwrap();
        let output = Command::new(validator.get_program()).arg("--infile").arg(&file).output().unwrap();
        assert!(output.status.success(), "{}\n{}", text_of(&output), fs::read_to_string(&file).unwrap());
    }
}

/// Prints what is wrong by the schema of CycloneDX, if anything is.
const VALIDATE: &str = "
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
print(JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read()) or '', end='')
";

#[test]
fn the_schema_of_cyclonedx_holds_for_every_bill() {
    let Some(python) = tool("python3") else { return };
    let has_schema = |python: &Command| {
        let mut check = Command::new(python.get_program());
        check.args(["-c", "import cyclonedx.validation.json, jsonschema"]).output().unwrap().status.success()
    };
    if !tools::is_available("cyclonedx-python-lib[json-validation]", has_schema(&python)) {
        return;
    }
    let (directory, _odd, images) = images();
    for image in images {
        let file = directory.path().join("bill.cdx.json");
        image.write_sbom(&file, SbomFormat::CycloneDx).unwrap();
        let wrong = run(Command::new(python.get_program()).args(["-c", VALIDATE]).arg(&file));
        assert_eq!(wrong, "", "{}", fs::read_to_string(&file).unwrap());
    }
}
