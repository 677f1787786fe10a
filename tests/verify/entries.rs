//! What a layer may hold, and in which order.

use std::collections::HashMap;

use super::tar::{Member, members};
use super::{Result, expect};

/// The members of a layer's tar, all of which keep the rules.
pub fn of_layer(tar: &[u8]) -> Result<Vec<Member<'_>>> {
    let members = members(tar)?;
    expect(!members.is_empty(), || "the layer is empty".to_owned())?;
    let mtime = members[0].mtime;
    let mut known: HashMap<&[u8], u8> = HashMap::new();
    for member in &members {
        let path = path(member).and_then(|path| {
            expect(member.mtime == mtime, || "its time is not that of the others".to_owned())?;
            expect(member.mode & !0o7777 == 0, || format!("its mode is {:o}", member.mode))?;
            content(member)?;
            place(path, &known)?;
            hard_link(member, &known)?;
            Ok(path)
        });
        let path = path.map_err(|error| format!("{}: {error}", member.name()))?;
        known.insert(path, member.kind);
    }
    Ok(members)
}

/// Relative, of names alone; a directory's ends in a slash.
fn path<'m>(member: &'m Member<'_>) -> Result<&'m [u8]> {
    let path = match member.kind {
        b'5' => member.path.strip_suffix(b"/").ok_or("it is a directory without a slash")?,
        _ => &member.path,
    };
    for name in path.split(|&byte| byte == b'/') {
        expect(!matches!(name, b"" | b"." | b".."), || "its path is not made of names alone".to_owned())?;
        expect(!name.starts_with(b".wh."), || "it would remove something".to_owned())?;
        expect(!name.contains(&0), || "there is a NUL in it".to_owned())?;
    }
    Ok(path)
}

fn content(member: &Member<'_>) -> Result {
    let has_link = !member.link.is_empty();
    match member.kind {
        b'0' => expect(!has_link, || "a file has a target".to_owned()),
        b'5' => expect(!has_link && member.data.is_empty(), || "a directory has contents".to_owned()),
        b'1' | b'2' => expect(has_link && member.data.is_empty(), || "a link has contents, or no target".to_owned()),
        kind => Err(format!("members of type {:?} are not for images", char::from(kind))),
    }?;
    let has_none = member.capability.is_none() || matches!(member.kind, b'0' | b'1');
    expect(has_none, || "only a file has capabilities".to_owned())
}

/// Once, and behind its directory.
fn place(path: &[u8], known: &HashMap<&[u8], u8>) -> Result {
    expect(!known.contains_key(path), || "it is there twice".to_owned())?;
    let parent = path.iter().rposition(|&byte| byte == b'/').map(|slash| &path[..slash]);
    expect(parent.is_none_or(|parent| known.get(parent) == Some(&b'5')), || "it comes before its directory".to_owned())
}

fn hard_link(member: &Member<'_>, known: &HashMap<&[u8], u8>) -> Result {
    let is_file = || known.get(member.link.as_slice()) == Some(&b'0');
    expect(member.kind != b'1' || is_file(), || "it is a hard link to no file before it".to_owned())
}
