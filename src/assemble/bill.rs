//! The software bill of materials of an image.

use std::collections::BTreeMap;
use std::path::Path;

use super::publish::publish_small;
use super::source::SourceReader;
use super::{Image, copied, timestamp};
use crate::collect::Source;
use crate::error::Result;
use crate::packages::identity;
use crate::sbom::{Bill, Digester, Digests, File, Needs, Owners, SbomFormat};
use crate::text::printable;
use crate::tree::Content;

impl Image {
    /// A software bill of materials: the image's files with their digests, build ids and reasons, the packages that they came
    /// from with versions and licences, the distribution, and what needs what.
    ///
    /// The same image has the same document, to the byte: it carries the image's time
    /// ([`ImageBuilder::created`](crate::ImageBuilder::created)), and names itself by a digest of what it says. Every file is
    /// read for it.
    ///
    /// Takes the feature `sbom`, which `cli` includes.
    ///
    /// # Errors
    /// Those of [`Image::packages`]; [`Changed`](crate::ErrorKind::Changed) where a file is not as it was analyzed.
    ///
    /// ```no_run
    /// let image = scratchpack::Image::from_binary("hello")?;
    /// let document = image.sbom(scratchpack::SbomFormat::Spdx)?;
    /// # Ok::<(), scratchpack::Error>(())
    /// ```
    pub fn sbom(&self, format: SbomFormat) -> Result<String> {
        let copied = copied(&self.tree);
        let packages = self.known_packages()?;
        let full = self.names().next();
        let (name, tag) = full.as_deref().and_then(|name| name.rsplit_once(':')).unzip();
        let bill = Bill {
            name: name.map_or_else(|| printable(self.closure().program().name()).to_string(), str::to_owned),
            tag: tag.map(str::to_owned),
            created: timestamp::rfc3339(self.mtime()),
            distribution: packages.distribution.as_deref(),
            packages: &packages.list,
            files: self.files()?,
            needs: Needs::of(&self.closures, &copied),
            owners: Owners::of(&packages.list),
        };
        Ok(bill.document(format))
    }

    /// Writes a software bill of materials; see [`Image::sbom`]. It replaces what is at `file`, whole or not at all.
    ///
    /// # Errors
    /// Those of [`Image::sbom`] and [`Image::write_archive`].
    pub fn write_sbom(&self, file: impl AsRef<Path>, format: SbomFormat) -> Result<()> {
        let file = file.as_ref();
        self.expect_no_input(file)?;
        let document = self.sbom(format)? + "\n";
        publish_small(file, document.as_bytes(), self.making.durability)
    }

    /// The regular files of the image, and what is known of each.
    fn files(&self) -> Result<BTreeMap<&Path, File<'_>>> {
        let mut files: BTreeMap<&Path, File<'_>> = BTreeMap::new();
        for entry in self.tree.entries() {
            let known = match entry.content() {
                Content::File(source) => Some(of_source(source)?),
                Content::Generated(bytes) => Some(of_bytes(bytes)),
                Content::HardLink(first, _) => files.get(first.as_path()).cloned(),
                Content::Directory | Content::Link(_) => None,
            };
            files.extend(known.map(|known| (entry.path(), File { reason: entry.reason(), ..known })));
        }
        Ok(files)
    }
}

fn of_source(source: &Source) -> Result<File<'static>> {
    let build_id = if source.is_elf { identity(source)?.build_id } else { None };
    Ok(File { reason: "", digests: digests(source)?, is_elf: source.is_elf, build_id })
}

fn of_bytes(bytes: &[u8]) -> File<'static> {
    let mut digester = Digester::default();
    digester.update(bytes);
    File { reason: "", digests: digester.finish(), is_elf: false, build_id: None }
}

/// Of the file as it was analyzed.
fn digests(source: &Source) -> Result<Digests> {
    let mut digester = Digester::default();
    SourceReader::read_whole(source, |bytes| digester.update(bytes))?;
    Ok(digester.finish())
}
