//! Parsers that nobody else reaches, for the targets in `fuzz/`. Each takes any bytes, and fails by a panic alone.

use std::path::Path;
use std::sync::Arc;

use super::files::Files;
use super::ld_cache::LdCache;
use super::ld_conf::LdConf;
use super::loader::LoaderText;
use super::search::Variants;
use super::tokens::{self, Piece};
use crate::analyze::{Buffers, ByteOrder, Class, Elf, Hints, Machine, constants};
use crate::root::Root;

/// All that is ever read of an ELF file.
pub fn elf(bytes: &[u8]) {
    let size = bytes.len() as u64;
    if let Ok(elf) = Elf::parse(bytes) {
        let _ = Hints::read(&elf, bytes, size, &mut Buffers::default());
    }
    constants(bytes, size, |passage| passage.texts(|text| assert!(!text.contains(&0))));
    let _ = LoaderText::read(bytes, size);
}

/// `ld.so.cache`, asked for names, of which some are its own.
pub fn ld_cache(bytes: &[u8]) {
    let own = bytes.rsplit(|&byte| byte == 0).take(8);
    let names: Vec<&[u8]> = own.chain([&b"libc.so.6"[..], b"libx.so.01"]).collect();
    let levels = || ["x86-64-v4", "x86-64-v2"].map(|level| format!("glibc-hwcaps/{level}")).to_vec();
    for byte_order in [ByteOrder::Little, ByteOrder::Big] {
        let Some(cache) = LdCache::parse(bytes.to_vec(), byte_order) else { continue };
        let machine = Machine { code: 62, class: Class::Elf64, byte_order, flags: 0 };
        for variants in [true, false].map(|plain| Variants { subdirectories: levels(), plain }) {
            names.iter().for_each(|name| drop(cache.lookup(name, machine, &variants).map(|(path, _)| path.to_vec())));
        }
    }
}

/// The `/etc/ld.so.conf` of a root, which includes what it likes.
pub fn ld_conf(root: &Path) {
    let Ok(root) = Root::at(root).map(Arc::new) else { return };
    let conf = LdConf::read(&Files::new(&root, &root), Path::new("/etc/ld.so.conf"));
    assert!(conf.directories.iter().all(|directory| directory.is_absolute()));
}

/// `$ORIGIN` and the like: what is no token is kept as it is.
pub fn tokens(bytes: &[u8]) {
    let mut rest = bytes;
    for piece in tokens::split(bytes) {
        let length = match piece {
            Piece::Text(text) => {
                assert!(!text.is_empty() && rest.starts_with(text));
                text.len()
            }
            Piece::Origin => token(rest, b"ORIGIN"),
            Piece::Platform => token(rest, b"PLATFORM"),
            Piece::Lib => token(rest, b"LIB"),
        };
        rest = &rest[length..];
    }
    assert!(rest.is_empty());
}

fn token(rest: &[u8], name: &[u8]) -> usize {
    let spelled = [[&b"$"[..], name].concat(), [&b"${"[..], name, b"}"].concat()];
    let spelled = spelled.iter().find(|spelled| rest.starts_with(spelled));
    assert!(spelled.is_some(), "a token that is not there");
    spelled.map_or(0, Vec::len)
}
