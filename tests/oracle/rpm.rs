//! Databases of rpm, made by SQLite itself, with headers as rpm stores them.

use std::fmt::Write;
use std::fs;

use scratchpack::{ErrorKind, Image, Package};

use crate::elf::{library, program};
use crate::root::Root;
use crate::scanners::{found, scan, tool};
use crate::tools::{self, command, run};
use crate::verify::verified;

/// What a header says.
struct Rpm {
    name: String,
    epoch: Option<u32>,
    /// What became of each file, where it says so.
    states: Vec<u8>,
    /// Directory and name of each file.
    files: Vec<(String, String)>,
}

impl Rpm {
    fn of(name: &str, files: &[(&str, &str)]) -> Rpm {
        let files = files.iter().map(|(directory, name)| (directory.to_string(), name.to_string())).collect();
        Rpm { name: name.to_owned(), epoch: None, states: Vec::new(), files }
    }

    /// Numbers of entries and bytes, the entries (tag, type, offset, count), and the data.
    fn header(&self) -> Vec<u8> {
        let texts = |texts: Vec<&str>| {
            texts.into_iter().flat_map(|text| [text.as_bytes(), b"\0"].concat()).collect::<Vec<u8>>()
        };
        let source = format!("{}-src-2-3.fc39.src.rpm", self.name);
        let mut data = vec![0; 16];
        let mut entries: Vec<u8> = Vec::new();
        let mut add = |tag: u32, kind: u32, count: usize, bytes: Vec<u8>| {
            data.resize(data.len().next_multiple_of(4), 0);
            for word in [tag, kind, u32::try_from(data.len()).unwrap(), u32::try_from(count).unwrap()] {
                entries.extend(word.to_be_bytes());
            }
            data.extend(bytes);
        };
        for (tag, text) in [
            (1000, self.name.as_str()),
            (1001, "2"),
            (1002, "3.fc39"),
            (1011, "Some\tVendor"),
            (1014, "MIT and GPLv2+"),
            (1022, "x86_64"),
            (1044, &source),
        ] {
            add(tag, 6, 1, texts(vec![text]));
        }
        if let Some(epoch) = self.epoch {
            add(1003, 4, 1, epoch.to_be_bytes().to_vec());
        }
        let count = self.files.len();
        if !self.states.is_empty() {
            add(1029, 1, count, self.states.clone());
        }
        add(1116, 4, count, (0..u32::try_from(count).unwrap()).flat_map(u32::to_be_bytes).collect());
        add(1117, 8, count, texts(self.files.iter().map(|(_, name)| name.as_str()).collect()));
        add(1118, 8, count, texts(self.files.iter().map(|(directory, _)| directory.as_str()).collect()));
        let sizes = [entries.len() / 16, data.len()].map(|size| u32::try_from(size).unwrap().to_be_bytes());
        [sizes.concat(), entries, data].concat()
    }
}

/// Makes the tables of rpm; a line each of standard input is a header in hexadecimal digits, and its names.
const MAKE: &str = "
import sqlite3, sys, os
path, page, is_logged = sys.argv[1], sys.argv[2], sys.argv[3] == 'true'
connection = sqlite3.connect(path)
connection.execute('PRAGMA page_size = ' + page)
if is_logged:
    connection.execute('PRAGMA journal_mode = WAL')
    connection.execute('PRAGMA wal_autocheckpoint = 0')
connection.execute(\"CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)\")
connection.execute(\"CREATE TABLE 'Basenames' (key 'TEXT' NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL, FOREIGN KEY (hnum) REFERENCES 'Packages'(hnum))\")
connection.execute(\"CREATE INDEX 'Basenames_key_idx' ON 'Basenames'(key ASC)\")
for line in open(sys.argv[4]):
    blob, *names = line.split()
    number = connection.execute('INSERT INTO Packages (blob) VALUES (?)', (bytes.fromhex(blob),)).lastrowid
    connection.executemany('INSERT INTO Basenames VALUES (?, ?, ?)', [(name, number, at) for at, name in enumerate(names)])
connection.commit()
# As a process that is killed leaves it.
os._exit(0)
";

fn database(root: &Root, page: &str, is_logged: bool, packages: &[Rpm]) {
    let mut lines = String::new();
    for package in packages {
        package.header().iter().for_each(|byte| write!(lines, "{byte:02x}").unwrap());
        package.files.iter().for_each(|(_, name)| write!(lines, " {name}").unwrap());
        lines.push('\n');
    }
    let (path, list) = (root.on_machine("/var/lib/rpm/rpmdb.sqlite"), root.on_machine("/list"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&list, lines).unwrap();
    run(command("python3").args(["-c", MAKE]).arg(path).args([page, &is_logged.to_string()]).arg(list));
}

fn fedora() -> Root {
    Root::debian()
        .file("/app", &program(&["libx.so.1"]))
        .file("/lib/libx.so.1", &library("libx.so.1"))
        .bytes("/etc/os-release", b"ID=fedora\nVERSION_ID=39\nNAME=Fedora\n")
}

/// The package of the library, among others with all sizes of headers, and names before and behind its own.
fn many() -> Vec<Rpm> {
    let other = |number: usize| {
        let files: Vec<(String, String)> =
            (0..number % 97).map(|file| (format!("/usr/share/{number}/"), format!("lib{file}-{number}.so"))).collect();
        Rpm { name: format!("other{number}"), epoch: None, states: Vec::new(), files }
    };
    let mut packages: Vec<Rpm> = (0..600).map(other).collect();
    packages.insert(
        300,
        Rpm { epoch: Some(1), states: vec![0, 1], ..Rpm::of("libx", &[("/lib/", "libx.so.1"), ("/etc/", "x")]) },
    );
    packages.insert(100, Rpm::of("elsewhere", &[("/opt/", "libx.so.1")]));
    packages.insert(500, Rpm::of("twin", &[("/usr/lib/../../lib/", "libx.so.1")]));
    for (name, state) in [("replaced", 1), ("left-out", 2), ("wrong-color", 4)] {
        packages.push(Rpm { states: vec![state], ..Rpm::of(name, &[("/lib/", "libx.so.1")]) });
    }
    let large: Vec<(String, String)> = (0..3000).map(|file| (format!("/d{file}/"), "libx.so.1".to_owned())).collect();
    packages.push(Rpm { name: "large".to_owned(), epoch: None, states: Vec::new(), files: large });
    packages
}

fn names(image: &Image) -> Vec<&str> {
    image.packages().unwrap().iter().map(Package::name).collect()
}

#[test]
fn packages_of_rpm_are_known_whatever_the_pages_are_and_from_its_log_as_well() {
    if !tools::are_here(&["python3"]) {
        return;
    }
    for (page, is_logged) in [("512", false), ("4096", false), ("65536", false), ("1024", true), ("4096", true)] {
        let root = fedora();
        database(&root, page, is_logged, &many());
        assert_eq!(root.on_machine("/var/lib/rpm/rpmdb.sqlite-wal").exists(), is_logged);
        let image = root.image("/app");
        assert_eq!(names(&image), ["libx"], "{page} {is_logged}");
        let package = &image.packages().unwrap()[0];
        assert_eq!(
            package.purl(),
            "pkg:rpm/fedora/libx@2-3.fc39?arch=x86_64&distro=fedora-39&epoch=1&upstream=libx-src-2-3.fc39.src.rpm"
        );
        assert_eq!((package.version(), package.source()), ("1:2-3.fc39", Some(("libx-src", "2-3.fc39"))));
        assert_eq!((package.license(), package.maintainer()), (Some("MIT AND GPL-2.0-or-later"), Some("Some Vendor")));
    }
}

#[test]
fn a_scanner_reports_packages_of_rpm() {
    let Some(syft) = tool("syft") else { return };
    let root = fedora();
    database(&root, "4096", false, &many());
    let image = root.builder("/app").package_db(true).build().map(verified).unwrap();
    let archive = root.on_machine("/image.tar");
    image.write_archive(&archive).unwrap();
    let scan = scan(syft, "scan", &archive);
    assert_eq!(found(&scan), [["rpm", "libx", "1:2-3.fc39"]]);
    assert_eq!(scan["distro"]["id"], "fedora");
}

#[test]
fn a_harmed_database_of_rpm_is_an_answer_or_a_typed_error() {
    if !tools::are_here(&["python3"]) {
        return;
    }
    let root = fedora();
    database(&root, "512", false, &many()[290..310]);
    let file = root.on_machine("/var/lib/rpm/rpmdb.sqlite");
    let original = fs::read(&file).unwrap();
    let image = root.image("/app");
    assert_eq!(names(&image), ["libx"]);
    let mut state = 7u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut refused = 0;
    for _ in 0..300 {
        let mut bytes = original.clone();
        for _ in 0..=random(20) {
            let at = random(bytes.len());
            match random(8) {
                0 if at > 0 => bytes.truncate(at),
                1 => bytes[at] ^= 1 << random(8),
                _ => bytes[at] = [0, 1, 2, 5, 10, 13, 0x7f, 0xff][random(8)],
            }
        }
        fs::write(&file, bytes).unwrap();
        let image = root.image("/app");
        if let Err(error) = image.packages() {
            assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
            refused += 1;
        }
    }
    assert!(refused > 0);
}

/// Whatever is not as it was written ends the log, as it does for SQLite.
#[test]
fn what_is_torn_in_a_log_is_not_believed() {
    if !tools::are_here(&["python3"]) {
        return;
    }
    let root = fedora();
    database(&root, "512", true, &many()[290..310]);
    let log = root.on_machine("/var/lib/rpm/rpmdb.sqlite-wal");
    let whole = fs::read(&log).unwrap();
    assert_eq!(names(&root.image("/app")), ["libx"]);
    let frame = 24 + 512;
    for at in [20, 32 + 17, 32 + 24 + 100, 32 + 5 * frame + 300, whole.len() - 1] {
        let mut torn = whole.clone();
        torn[at] ^= 1;
        fs::write(&log, torn).unwrap();
        let image = root.image("/app");
        assert!(image.packages().map_or(true, <[Package]>::is_empty), "{at}");
    }
}

/// A page of an index whose every cell names the page itself.
#[test]
fn a_database_that_leads_in_circles_ends_at_a_limit() {
    if !tools::are_here(&["python3"]) {
        return;
    }
    let root = fedora();
    database(&root, "4096", false, &many());
    let path = root.on_machine("/var/lib/rpm/rpmdb.sqlite");
    let mut bytes = fs::read(&path).unwrap();
    let count = bytes.len() / 4096;
    let interior: Vec<usize> = (1..count).filter(|number| bytes[number * 4096] == 2).collect();
    for number in interior {
        let page = number * 4096;
        let own = u32::try_from(number + 1).unwrap().to_be_bytes();
        bytes[page + 8..page + 12].copy_from_slice(&own);
        let cells = usize::from(u16::from_be_bytes([bytes[page + 3], bytes[page + 4]]));
        for cell in 0..cells {
            let at = page + usize::from(u16::from_be_bytes([bytes[page + 12 + 2 * cell], bytes[page + 13 + 2 * cell]]));
            bytes[at..at + 4].copy_from_slice(&own);
        }
    }
    fs::write(&path, bytes).unwrap();
    assert_eq!(root.image("/app").packages().unwrap_err().kind(), ErrorKind::Malformed);
}
