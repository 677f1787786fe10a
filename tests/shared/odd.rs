//! Names with which tools have had their troubles.

pub fn names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = [
        &b"new\nline"[..],
        b"carriage\rreturn",
        b"tab\t",
        b"\x1b[2J",
        b"\x01\x07\x7f",
        b"\xff\xfe",
        b"\xc3",
        "größe \u{202e}".as_bytes(),
        b"end ",
        b" start",
        b"back\\slash",
        b"\\n",
        b"\\",
        b"-dash",
        b"--checkpoint=1",
        // As a PAX record is written.
        b"19 path=etc|passwd\n",
        b"35 SCHILY.xattr.user.x=1\n",
        b"...",
        b".wh",
        b".whx",
        b"x.wh.y",
        b"'\"`$;&|*?[]{}~#%",
        b"@LongLink",
        b"a:b",
        b"C:",
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    // Around the hundred bytes of the fields for names and link targets, and the longest that there are.
    names.extend((93..=103).chain([154, 155, 156, 254, 255]).map(|size| vec![b'n'; size]));
    names
}
