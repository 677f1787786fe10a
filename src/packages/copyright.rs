//! The licences that a package of Debian states (Debian, "Machine-readable debian/copyright file", version 1.0).

use super::license::Licenses;
use super::paragraph::{fields, paragraphs};

/// All that are named, where the text is in the form for machines; otherwise none.
pub(super) fn licenses(text: &[u8]) -> Licenses {
    let mut paragraphs = paragraphs(text);
    let header = paragraphs.next().unwrap_or_default();
    let is_machine_readable = value(header, "Format").is_some_and(|format| format.contains("copyright-format"));
    if !is_machine_readable {
        return Licenses::default();
    }
    // A paragraph that names no files has the text of a licence, which others name.
    let of_files = paragraphs.filter(|paragraph| value(paragraph, "Files").is_some());
    let mut names: Vec<String> =
        std::iter::once(header).chain(of_files).filter_map(|part| value(part, "License")).collect();
    names.sort_unstable();
    names.dedup();
    Licenses::of(names.iter().map(String::as_str))
}

/// The first line of a field that is not empty: of a licence its short name, and what follows is its text.
fn value(paragraph: &[u8], field: &str) -> Option<String> {
    let fields = fields(paragraph);
    let (_, lines) = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(field.as_bytes()))?;
    // Of the format and of files, the value may begin on the second line.
    let first =
        if field == "License" { lines.first().copied() } else { lines.iter().copied().find(|line| !line.is_empty()) };
    first.filter(|line| !line.is_empty()).map(|line| String::from_utf8_lossy(line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::licenses;

    #[test]
    fn every_licence_of_a_part_is_named_once() {
        let text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n\
                    Files: *\nCopyright: x\nLicense: GPL-2+ or Artistic\n text\n\n\
                    Files:\n a\n b\nLicense: Expat\n\nFiles: c\nLicense: Expat\n\n\
                    License: BSD-3-clause\n text\n";
        assert_eq!(
            licenses(text.as_bytes()).expression.as_deref(),
            Some("MIT AND (GPL-2.0-or-later OR Artistic-1.0-Perl)")
        );
        for text in [
            "",
            "This is zlib.\n\nLicense: Zlib\n",
            "Format: copyright-format/1.0\n",
            "Format: copyright-format\n\nLicense: Zlib\n",
        ] {
            assert_eq!(licenses(text.as_bytes()).expression, None, "{text}");
        }
    }
}
