//! The header of a package, as rpm stores it (rpm.org, "RPM v4 header format"): numbers of tags with what they stand for.

pub(super) const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
pub(super) const VENDOR: u32 = 1011;
pub(super) const LICENSE: u32 = 1014;
pub(super) const PACKAGER: u32 = 1015;
pub(super) const ARCHITECTURE: u32 = 1022;
const SOURCE_RPM: u32 = 1044;
/// What became of each file.
const FILE_STATES: u32 = 1029;
/// Which of the directories each file is in, and the directories.
const DIRECTORY_INDEXES: u32 = 1116;
const DIRECTORIES: u32 = 1118;

const CHAR: u32 = 1;
const INT8: u32 = 2;
const INT32: u32 = 4;
const TEXTS: [u32; 3] = [6, 8, 9];

/// Bytes of an entry: tag, type, offset, count.
const ENTRY: usize = 16;

/// A header without the magic number that files have before it.
pub(super) struct Header<'a> {
    entries: &'a [u8],
    data: &'a [u8],
}

impl<'a> Header<'a> {
    pub(super) fn of(blob: &'a [u8]) -> Option<Header<'a>> {
        let (count, size) = (number(blob, 0)?, number(blob, 4)?);
        let (entries, data) = blob.get(8..)?.split_at_checked(count.checked_mul(ENTRY)?)?;
        Some(Header { entries, data: data.get(..size)? })
    }

    /// What stands at a tag: its type, and the data from there on.
    fn at(&self, tag: u32) -> Option<(u32, &'a [u8])> {
        let entry = self.entries.chunks_exact(ENTRY).find(|entry| entry.starts_with(&tag.to_be_bytes()))?;
        let kind = u32::try_from(number(entry, 4)?).ok()?;
        Some((kind, self.data.get(number(entry, 8)?..)?))
    }

    /// A text, or the first of several.
    pub(super) fn text(&self, tag: u32) -> Option<String> {
        let text = self.texts(tag)?.next()?;
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = String::from_utf8_lossy(text).chars().map(plain).collect();
        (!text.is_empty()).then_some(text)
    }

    fn texts(&self, tag: u32) -> Option<impl Iterator<Item = &'a [u8]>> {
        let (kind, data) = self.at(tag)?;
        TEXTS.contains(&kind).then(|| data.split(|&byte| byte == 0))
    }

    fn integer(&self, tag: u32, index: usize) -> Option<usize> {
        let (kind, data) = self.at(tag)?;
        if kind == INT32 { number(data, index.checked_mul(4)?) } else { None }
    }

    /// `1:2.3-4`
    pub(super) fn version(&self) -> Option<String> {
        let plain = format!("{}-{}", self.text(VERSION)?, self.text(RELEASE)?);
        Some(self.integer(EPOCH, 0).map_or_else(|| plain.clone(), |epoch| format!("{epoch}:{plain}")))
    }

    /// The name and version of `glibc-2.38-1.fc39.src.rpm`.
    pub(super) fn source(&self) -> Option<(String, String)> {
        let file = self.text(SOURCE_RPM)?;
        let mut parts = file.strip_suffix(".src.rpm")?.rsplitn(3, '-');
        let (release, version, name) = (parts.next()?, parts.next()?, parts.next()?);
        Some((name.to_owned(), format!("{version}-{release}")))
    }

    /// The directories of the package's files.
    pub(super) fn directories(&self) -> Vec<&'a [u8]> {
        self.texts(DIRECTORIES).map(Iterator::collect).unwrap_or_default()
    }

    /// Which of the directories one of the package's files is in.
    pub(super) fn directory_of(&self, file: usize) -> Option<usize> {
        self.integer(DIRECTORY_INDEXES, file)
    }

    /// Whether one of the package's files is on disk: not so where another package's file took its place, or where it was left
    /// out (`rpmfileState` in rpm).
    pub(super) fn has_installed(&self, file: usize) -> bool {
        const NORMAL: u8 = 0;
        const SHARED_BY_NET: u8 = 3;
        let states = self.at(FILE_STATES).filter(|(kind, _)| matches!(*kind, CHAR | INT8));
        states.and_then(|(_, states)| states.get(file)).is_none_or(|state| matches!(*state, NORMAL | SHARED_BY_NET))
    }

    /// A line that scanners know from images without an rpm: name, version, times of installation and build, vendor, epoch,
    /// size, architecture, epoch as a number, source (`rpm --query --queryformat` of CBL-Mariner's distroless images). The times
    /// are of no use to them, and would be others at every installation.
    pub(super) fn manifest_line(&self) -> String {
        let text = |tag| self.text(tag).unwrap_or_else(|| "(none)".to_owned());
        let epoch = self.integer(EPOCH, 0).map_or_else(|| "(none)".to_owned(), |epoch| epoch.to_string());
        let version = format!("{}-{}", text(VERSION), text(RELEASE));
        let number = self.integer(EPOCH, 0).unwrap_or(0).to_string();
        let fields = [
            text(NAME),
            version,
            "0".to_owned(),
            "0".to_owned(),
            text(VENDOR),
            epoch,
            // syft 1.18 takes the size for the epoch, where there is one.
            number.clone(),
            text(ARCHITECTURE),
            number,
            text(SOURCE_RPM),
        ];
        fields.join("\t") + "\n"
    }
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_be_bytes(*word)).ok()
}
