//! Paragraphs of fields, as Debian's control files have them (deb822(5)).

use super::wanted::lines;

/// The paragraphs of a text: parted by lines that are empty, or hold nothing but white space. Found by searching for their
/// ends, so that what is in one is looked at only by whoever wants it.
pub(super) fn paragraphs(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while let Some(empty) = empty_line(rest) {
            rest = &rest[empty..];
        }
        let mut ends = memchr::memchr_iter(b'\n', rest).map(|end| end + 1);
        let end = ends.find(|&end| empty_line(&rest[end..]).is_some()).unwrap_or(rest.len());
        let (paragraph, behind) = rest.split_at(end);
        rest = behind;
        (!paragraph.is_empty()).then_some(paragraph)
    })
}

/// The bytes of the first line with its end, if it is empty.
fn empty_line(text: &[u8]) -> Option<usize> {
    let blank = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
    match text.get(blank) {
        Some(b'\n') => Some(blank + 1),
        None if blank > 0 => Some(blank),
        _ => None,
    }
}

/// The fields of a paragraph in their order: the name, and the value with all its lines, as it stands.
pub(super) fn fields(paragraph: &[u8]) -> Vec<(&[u8], Vec<&[u8]>)> {
    let mut fields: Vec<(&[u8], Vec<&[u8]>)> = Vec::new();
    for line in lines(paragraph) {
        match line.first() {
            Some(b' ' | b'\t') => {
                if let Some((_, value)) = fields.last_mut() {
                    value.push(line.trim_ascii());
                }
            }
            Some(b'#') | None => {}
            Some(_) => {
                let colon = memchr::memchr(b':', line).unwrap_or(line.len());
                fields.push((&line[..colon], vec![line.get(colon + 1..).unwrap_or_default().trim_ascii()]));
            }
        }
    }
    fields
}

/// The first line of a field's value; names of fields have no case. `None` where it is empty.
pub(super) fn first_line(paragraph: &[u8], field: &str) -> Option<String> {
    let line = lines(paragraph).find(|line| {
        let name = line.get(..field.len());
        line.get(field.len()) == Some(&b':') && name.is_some_and(|name| name.eq_ignore_ascii_case(field.as_bytes()))
    })?;
    let value = line.get(field.len() + 1..)?.trim_ascii();
    (!value.is_empty()).then(|| String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{fields, first_line, paragraphs};

    #[test]
    fn paragraphs_end_at_empty_lines_and_fields_go_on_behind_a_space() {
        let text = b"\n\nA: 1\nB: 2\n  3\n\t4\n\n\n# no\nC:\nD\n";
        let all: Vec<_> = paragraphs(text).collect();
        assert_eq!(all, [&b"A: 1\nB: 2\n  3\n\t4\n"[..], b"# no\nC:\nD\n"]);
        assert_eq!(fields(all[0]), [(&b"A"[..], vec![&b"1"[..]]), (b"B", vec![b"2", b"3", b"4"])]);
        assert_eq!(fields(all[1]), [(&b"C"[..], vec![&b""[..]]), (b"D", vec![b""])]);
        assert_eq!(first_line(all[0], "b").as_deref(), Some("2"));
        assert_eq!((first_line(all[1], "C"), first_line(all[1], "D")), (None, None));
        assert_eq!(paragraphs(b"").count() + paragraphs(b"\n\n\n").count() + paragraphs(b"\n \n\t").count(), 0);
        let parted: Vec<_> = paragraphs(b"A: 1\r\n\r\nB: 2\n \t\nC: 3\n D\n ").collect();
        assert_eq!(parted, [&b"A: 1\r\n"[..], b"B: 2\n", b"C: 3\n D\n"]);
    }
}
