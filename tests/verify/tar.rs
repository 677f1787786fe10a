//! A tar file, block by block (tar(5), pax(1)), as strictly as it is written.

use super::{Result, expect};

const BLOCK: usize = 512;
/// Two blocks of zeros, and no more.
const TRAILER: [u8; 1024] = [0; 1024];

pub struct Member<'t> {
    pub path: Vec<u8>,
    pub kind: u8,
    pub mode: u64,
    pub mtime: u64,
    pub link: Vec<u8>,
    pub data: &'t [u8],
    pub capability: Option<Vec<u8>>,
}

impl Member<'_> {
    pub fn name(&self) -> String {
        self.path.escape_ascii().to_string()
    }
}

/// All members, up to the trailer, behind which there is nothing.
pub fn members(tar: &[u8]) -> Result<Vec<Member<'_>>> {
    let mut members = Vec::new();
    let mut rest = tar;
    let mut said = Said::default();
    loop {
        let at = tar.len() - rest.len();
        let header = rest.first_chunk::<BLOCK>().ok_or_else(|| format!("the tar ends at {at} without a trailer"))?;
        if header.iter().all(|&byte| byte == 0) {
            expect(rest == TRAILER, || format!("the tar's last {} bytes are no trailer", rest.len()))?;
            expect(said.is_empty(), || "the last member tells of another".to_owned())?;
            return Ok(members);
        }
        let header = Header::read(header).map_err(|error| format!("the header at {at}: {error}"))?;
        let data = data(&mut rest, header.size).map_err(|error| format!("the member at {at}: {error}"))?;
        match header.kind {
            b'L' => said.set_name(text(data)?)?,
            b'K' => said.set_link(text(data)?)?,
            b'x' => said.set_capability(capability(data)?)?,
            kind => {
                let Said { name, link, capability } = std::mem::take(&mut said);
                let (path, link) = (name.unwrap_or(header.name), link.unwrap_or(header.link));
                let Header { mode, mtime, .. } = header;
                members.push(Member { path, kind, mode, mtime, link, data, capability });
            }
        }
    }
}

/// What members say of the next one.
#[derive(Default)]
struct Said {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    capability: Option<Vec<u8>>,
}

impl Said {
    fn is_empty(&self) -> bool {
        self.name.is_none() && self.link.is_none() && self.capability.is_none()
    }

    fn set_name(&mut self, name: Vec<u8>) -> Result {
        expect(self.name.replace(name).is_none(), || "a member has two long names".to_owned())
    }

    fn set_link(&mut self, link: Vec<u8>) -> Result {
        expect(self.link.replace(link).is_none(), || "a member has two long links".to_owned())
    }

    fn set_capability(&mut self, capability: Vec<u8>) -> Result {
        let before = self.capability.replace(capability);
        expect(before.is_none(), || "a member has two extended headers".to_owned())
    }
}

struct Header {
    name: Vec<u8>,
    link: Vec<u8>,
    kind: u8,
    mode: u64,
    mtime: u64,
    size: u64,
}

impl Header {
    fn read(block: &[u8; BLOCK]) -> Result<Header> {
        // The checksum counts its own field as blanks.
        let counted = block.iter().enumerate().map(|(at, &byte)| if (148..156).contains(&at) { b' ' } else { byte });
        let sum: u64 = counted.map(u64::from).sum();
        expect(number(&block[148..156])? == sum, || "its checksum is wrong".to_owned())?;
        expect(&block[257..265] == b"ustar  \0", || "it is not in GNU's format".to_owned())?;
        for (field, range) in [("uid", 108..116), ("gid", 116..124)] {
            expect(number(&block[range])? == 0, || format!("its {field} is not 0"))?;
        }
        // Names of owners, numbers of devices, and the fields of GNU's that nothing uses.
        expect(block[265..].iter().all(|&byte| byte == 0), || "a field that says nothing is not empty".to_owned())?;
        Ok(Header {
            name: field(&block[..100])?,
            link: field(&block[157..257])?,
            kind: block[156],
            mode: number(&block[100..108])?,
            mtime: number(&block[136..148])?,
            size: number(&block[124..136])?,
        })
    }
}

/// Up to the first NUL, behind which there are only more.
fn field(bytes: &[u8]) -> Result<Vec<u8>> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    expect(bytes[end..].iter().all(|&byte| byte == 0), || "something is behind the end of a name".to_owned())?;
    Ok(bytes[..end].to_vec())
}

/// The text of a long name or link, which a NUL ends.
fn text(data: &[u8]) -> Result<Vec<u8>> {
    match data.split_last() {
        Some((0, text)) if !text.is_empty() && !text.contains(&0) => Ok(text.to_vec()),
        _ => Err("a long name is empty, or does not end where it should".to_owned()),
    }
}

/// Octal digits, or GNU's binary form of what they do not hold.
fn number(field: &[u8]) -> Result<u64> {
    if field[0] == 0x80 {
        let (high, low) = field.split_at(field.len() - 8);
        expect(high[1..].iter().all(|&byte| byte == 0), || "a number is too large".to_owned())?;
        return Ok(low.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)));
    }
    let end = field.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(field.len());
    let is_ended = field[end..].iter().all(|byte| matches!(byte, 0 | b' '));
    let digits = std::str::from_utf8(&field[..end]).map_err(|error| error.to_string())?;
    expect(is_ended, || "something is behind a number".to_owned())?;
    u64::from_str_radix(digits, 8).map_err(|error| format!("{digits:?} is no number: {error}"))
}

/// Cuts off header, data and padding, which must be there.
fn data<'t>(rest: &mut &'t [u8], size: u64) -> Result<&'t [u8]> {
    let size = usize::try_from(size).map_err(|error| error.to_string())?;
    let whole = BLOCK.saturating_add(size.checked_next_multiple_of(BLOCK).unwrap_or(usize::MAX));
    let member = rest.get(..whole).ok_or_else(|| format!("{size} bytes are not there"))?;
    let (data, padding) = member[BLOCK..].split_at(size);
    expect(padding.iter().all(|&byte| byte == 0), || "its padding is not empty".to_owned())?;
    *rest = &rest[whole..];
    Ok(data)
}

/// The value of the one record that an extended header has: `LENGTH KEY=VALUE\n`.
fn capability(data: &[u8]) -> Result<Vec<u8>> {
    let value = || {
        let blank = data.iter().position(|&byte| byte == b' ')?;
        let length: usize = std::str::from_utf8(&data[..blank]).ok()?.parse().ok()?;
        let record = data[blank + 1..].strip_prefix(b"SCHILY.xattr.security.capability=")?;
        record.strip_suffix(b"\n").filter(|_| length == data.len())
    };
    value().map(<[u8]>::to_vec).ok_or_else(|| "an extended header is no record of capabilities".to_owned())
}
