//! A software bill of materials: what is in an image, from which packages, and what needs what.

mod cyclonedx;
mod spdx;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use serde_json::Value;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::collect::{Closure, Source};
use crate::packages::{Copied, Distribution, Package};
use crate::root::FileId;
use crate::text::{hex, printable};

/// The form of a software bill of materials, both JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SbomFormat {
    /// SPDX 2.3 (spdx.github.io/spdx-spec/v2.3).
    Spdx,
    /// CycloneDX 1.5 (cyclonedx.org/docs/1.5/json).
    CycloneDx,
}

impl SbomFormat {
    /// The form that a file's name tells: `.spdx.json` or `.cdx.json` at its end, as both formats' own documents advise.
    pub fn of_name(name: impl AsRef<Path>) -> Option<SbomFormat> {
        let name = name.as_ref().file_name()?.as_encoded_bytes();
        if name.ends_with(b".spdx.json") {
            Some(SbomFormat::Spdx)
        } else if name.ends_with(b".cdx.json") {
            Some(SbomFormat::CycloneDx)
        } else {
            None
        }
    }
}

/// What made the document.
const TOOL: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// All that a document says.
pub(crate) struct Bill<'a> {
    /// What the image is called, without a tag.
    pub(crate) name: String,
    pub(crate) tag: Option<String>,
    /// RFC 3339.
    pub(crate) created: String,
    pub(crate) distribution: Option<&'a Distribution>,
    pub(crate) packages: &'a [Package],
    /// In bytewise order.
    pub(crate) files: BTreeMap<&'a Path, File<'a>>,
    pub(crate) needs: Needs<'a>,
    pub(crate) owners: Owners<'a>,
}

/// From which packages each file came, by their numbers.
pub(crate) struct Owners<'a>(HashMap<&'a Path, Vec<usize>>);

impl<'a> Owners<'a> {
    pub(crate) fn of(packages: &'a [Package]) -> Owners<'a> {
        let mut owners: HashMap<&Path, Vec<usize>> = HashMap::new();
        for (number, package) in packages.iter().enumerate() {
            package.files().for_each(|file| owners.entry(file).or_default().push(number));
        }
        Owners(owners)
    }
}

/// A regular file of the image.
#[derive(Clone, Debug)]
pub(crate) struct File<'a> {
    pub(crate) reason: &'a str,
    pub(crate) digests: Digests,
    pub(crate) is_elf: bool,
    pub(crate) build_id: Option<String>,
}

/// Digests of a file in hexadecimal digits. SPDX demands the first of them for every file, however little it is worth.
#[derive(Clone, Debug)]
pub(crate) struct Digests {
    pub(crate) sha1: String,
    pub(crate) sha256: String,
}

/// Makes the digests of what is fed to it.
#[derive(Default)]
pub(crate) struct Digester(Sha1, Sha256);

impl Digester {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
        self.1.update(bytes);
    }

    pub(crate) fn finish(self) -> Digests {
        Digests { sha1: hex(&self.0.finalize()), sha256: hex(&self.1.finalize()) }
    }
}

/// Which files of an image need which, by their dynamic sections and by what they load while they run.
pub(crate) struct Needs<'a>(BTreeMap<&'a Path, BTreeSet<&'a Path>>);

impl<'a> Needs<'a> {
    pub(crate) fn of(closures: &'a [Closure], copied: &[Copied<'a>]) -> Needs<'a> {
        let mut places: HashMap<FileId, &'a Path> = HashMap::new();
        for (at, source) in copied {
            places.entry(source.stamp.id).or_insert(at);
        }
        let place = |source: &Source| places.get(&source.stamp.id).copied();
        let mut needs: BTreeMap<&Path, BTreeSet<&Path>> = BTreeMap::new();
        for closure in closures {
            let needed = closure.all().filter_map(|object| Some((place(object.file_source())?, object)));
            for (at, object) in needed {
                let by = object.needed_by().filter_map(|path| closure.object_at(path));
                for by in by.filter_map(|by| place(by.file_source())).filter(|by| *by != at) {
                    needs.entry(by).or_default().insert(at);
                }
            }
        }
        Needs(needs)
    }

    fn of_file(&self, at: &Path) -> impl Iterator<Item = &'a Path> + '_ {
        self.0.get(at).into_iter().flatten().copied()
    }
}

impl<'a> Bill<'a> {
    /// The document, keys sorted, without white space.
    pub(crate) fn document(&self, format: SbomFormat) -> String {
        match format {
            SbomFormat::Spdx => spdx::document(self),
            SbomFormat::CycloneDx => cyclonedx::document(self),
        }
    }

    /// The packages that a package needs: those of the files that its files need.
    fn needs_of_package(&self, package: &Package) -> BTreeSet<usize> {
        let needed = package.files().flat_map(|file| self.needs.of_file(file));
        let packages = needed.filter_map(|file| self.owners.0.get(file)).flatten().copied();
        packages.filter(|&number| self.packages[number] != *package).collect()
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => members.into_iter().filter(|(_, member)| !member.is_null()).collect(),
        other => other,
    }
}

/// A path as a document has it: what is no UTF-8 and no terminal should get as `\xNN`.
fn shown(path: &Path) -> String {
    printable(path).to_string()
}

/// The digest of a text, in hexadecimal digits: what is the same everywhere has names that are.
fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// A UUID that is made of a digest (RFC 9562, section 5.8), and so the same for the same document.
fn uuid(digest: &str) -> String {
    let variant = match digest.as_bytes()[16] {
        b'0' | b'4' | b'8' | b'c' => '8',
        b'1' | b'5' | b'9' | b'd' => '9',
        b'2' | b'6' | b'a' | b'e' => 'a',
        _ => 'b',
    };
    format!("{}-{}-8{}-{variant}{}-{}", &digest[..8], &digest[8..12], &digest[13..16], &digest[17..20], &digest[20..32])
}

#[cfg(test)]
mod tests {
    use super::{Digester, SbomFormat, digest, uuid};

    #[test]
    fn digests_are_those_that_everybody_has() {
        let mut digester = Digester::default();
        digester.update(b"a");
        digester.update(b"bc");
        let digests = digester.finish();
        assert_eq!(digests.sha1, "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(digests.sha256, digest("abc"));
    }

    #[test]
    fn a_uuid_of_a_digest_says_which_kind_it_is() {
        for text in ["", "a", "b", "c", "d"] {
            let uuid = uuid(&digest(text));
            let groups: Vec<usize> = uuid.split('-').map(str::len).collect();
            assert_eq!(groups, [8, 4, 4, 4, 12]);
            assert!(uuid.as_bytes()[14] == b'8' && b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
        }
    }

    #[test]
    fn the_name_of_a_file_tells_its_form() {
        assert_eq!(SbomFormat::of_name("x/app.spdx.json"), Some(SbomFormat::Spdx));
        assert_eq!(SbomFormat::of_name(".cdx.json"), Some(SbomFormat::CycloneDx));
        for name in ["app.json", "app.spdx", "cdx.json", "x.cdx.json/y", "", ".."] {
            assert_eq!(SbomFormat::of_name(name), None, "{name}");
        }
    }
}
