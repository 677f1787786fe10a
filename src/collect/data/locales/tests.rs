use std::path::Path;

use super::{CATEGORIES, MAX_CATEGORY, MAX_LOCALES, all, one};
use crate::collect::data::testing::{Tree, ctype, made, shown};
use crate::collect::loader::Libc;

const LOCALES: &str = "/usr/lib/locale";
const ARCHIVE: &str = "/usr/lib/locale/locale-archive";

/// An archive in which all names lead to one locale.
fn archive(names: &[&str], charset: &str) -> Vec<u8> {
    let (table, record) = (56, 56 + names.len() * 12);
    let mut data_at = record + 4 + 13 * 8;
    let mut strings = Vec::new();
    let mut entries = Vec::new();
    for name in names {
        entries.extend([0, (data_at + strings.len()) as u32, record as u32]);
        strings.extend(name.bytes().chain([0]));
    }
    data_at += strings.len();
    let mut data = Vec::new();
    let mut pairs = vec![1];
    for number in 0..13 {
        let category = CATEGORIES.iter().find(|(known, _)| *known == number).map_or("", |(_, name)| name);
        let bytes = if category == "LC_CTYPE" { ctype(charset) } else { category.into() };
        pairs.extend([(data_at + data.len()) as u32, bytes.len() as u32]);
        data.extend(bytes);
    }
    let mut header = vec![0; 14];
    (header[0], header[2], header[3], header[4]) = (0xde02_0109, table, names.len() as u32, names.len() as u32);
    let words = header.into_iter().chain(entries).chain(pairs);
    words.flat_map(u32::to_le_bytes).chain(strings).chain(data).collect()
}

fn find(tree: &Tree, name: &str) -> Result<Vec<String>, String> {
    let (supply, _) = tree.around(|around| one(name, around))?;
    Ok(shown(&supply).iter().filter(|line| line.contains("LC_CTYPE") || line.contains("->")).cloned().collect())
}

#[test]
fn a_directory_is_found_under_the_name_with_a_normalized_code_set() {
    let tree = Tree::new().locale("C.utf8", "UTF-8");
    for name in ["C.UTF-8", "C.utf8", "C.UTF8"] {
        assert_eq!(find(&tree, name).unwrap(), ["/usr/lib/locale/C.utf8/LC_CTYPE"], "{name}");
    }
    let (supply, _) = tree.around(|around| one("C.UTF-8", around)).unwrap();
    assert_eq!(supply.extras.len(), 12);
    assert!(shown(&supply).contains(&"/usr/lib/locale/C.utf8/LC_MESSAGES/SYS_LC_MESSAGES".to_owned()));
}

#[test]
fn a_locale_of_another_character_set_does_not_stand_for_it() {
    let tree = Tree::new().locale("de_DE", "ISO-8859-1");
    let error = find(&tree, "de_DE.UTF-8").unwrap_err();
    assert!(error.contains("`de_DE.UTF-8`") && error.contains("there are de_DE;"), "{error}");
}

#[test]
fn a_directory_that_lacks_a_category_is_no_locale() {
    let tree = Tree::new().locale("xx.utf8", "UTF-8");
    assert!(find(&tree, "xx.UTF-8").is_ok());
    let tree = tree.without("/usr/lib/locale/xx.utf8/LC_TIME");
    assert!(find(&tree, "xx.UTF-8").is_err());
}

#[test]
fn a_locale_of_the_archive_becomes_a_directory() {
    let tree = Tree::new().file(ARCHIVE, &archive(&["de_DE.utf8", "german.utf8"], "UTF-8"));
    for (name, directory) in [("de_DE.UTF-8", "de_DE.utf8"), ("german.utf8", "german.utf8")] {
        let (supply, _) = tree.around(|around| one(name, around)).unwrap();
        let directory = Path::new(LOCALES).join(directory);
        let bytes = |category: &str| made(&supply, directory.join(category).to_str().unwrap());
        assert_eq!(bytes("LC_TIME"), b"LC_TIME");
        assert_eq!(bytes("LC_MESSAGES/SYS_LC_MESSAGES"), b"LC_MESSAGES");
        assert_eq!(bytes("LC_CTYPE"), ctype("UTF-8"));
        assert_eq!(supply.extras.len(), 12);
    }
    assert!(find(&tree, "fr_FR.UTF-8").is_err());
}

#[test]
fn an_alias_of_the_root_becomes_a_link() {
    let aliases = "# names\nDeutsch\tde_DE.UTF-8\nout\t../../../etc\n";
    let tree = Tree::new().file("/usr/share/locale/locale.alias", aliases).locale("de_DE.utf8", "UTF-8");
    let expected = ["/usr/lib/locale/de_DE.utf8/LC_CTYPE", "/usr/lib/locale/deutsch -> de_DE.utf8"];
    assert_eq!(find(&tree, "deutsch").unwrap(), expected);
    assert!(find(&tree, "out").is_err());
}

#[test]
fn the_character_set_is_told_where_it_is_not_built_in() {
    let tree = Tree::new().locale("de_DE@euro", "ISO-8859-15").locale("de_DE.utf8", "UTF-8");
    let charset = |name: &str| tree.around(|around| one(name, around)).unwrap().1;
    assert_eq!(charset("de_DE@euro").as_deref(), Some("ISO-8859-15"));
    assert_eq!(charset("de_DE.UTF-8"), None);
}

#[test]
fn what_is_built_in_takes_nothing_and_musl_needs_none() {
    let tree = Tree::new();
    assert!(find(&tree, "C").unwrap().is_empty() && find(&tree, "POSIX").unwrap().is_empty());
    let tree = tree.libc(Some(Libc::Musl));
    assert!(find(&tree, "C.UTF-8").unwrap_err().contains("musl"));
    assert!(tree.refused(all).contains("musl"));
}

#[test]
fn all_locales_are_the_archive_and_the_directories() {
    let tree = Tree::new().files(&["/usr/lib/locale/README", "/usr/lib/locale/other/file"]);
    assert!(tree.around(all).is_err());
    let tree = tree.file(ARCHIVE, &archive(&["de_DE.utf8"], "UTF-8"));
    let supplied = tree.locale("C.utf8", "UTF-8").link("/usr/lib/locale/C.UTF-8", "C.utf8").supplied(all);
    assert_eq!(supplied.len(), 25);
    assert!(supplied.contains(&ARCHIVE.to_owned()));
}

#[test]
fn a_damaged_archive_is_none() {
    let good = archive(&["de_DE.utf8"], "UTF-8");
    let holds = |bytes: &[u8]| find(&Tree::new().file(ARCHIVE, bytes), "de_DE.UTF-8").is_ok();
    assert!(holds(&good));
    assert!((0..good.len()).step_by(7).all(|end| !holds(&good[..end])));
    // Offsets and sizes in the header, the table, and the record: out of range, or far too many.
    for at in (8..56 + 12 + 108).step_by(4) {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        holds(&bytes);
    }
}

#[test]
fn what_links_lead_to_outside_the_directory_of_locales_is_left_out() {
    let tree = Tree::new().file("/root/secret", &ctype("UTF-8")).locale("C.utf8", "UTF-8");
    let tree = tree.locale("xx.utf8", "UTF-8").without("/usr/lib/locale/xx.utf8/LC_CTYPE");
    let tree = tree.link("/usr/lib/locale/xx.utf8/LC_CTYPE", "/root/secret");
    let tree = tree.file("/root/LC_TIME", "secret").link("/usr/lib/locale/yy", "/root");
    let tree = tree.file("/root/archive", &archive(&["de_DE.utf8"], "UTF-8")).link(ARCHIVE, "/root/archive");
    let supplied = tree.supplied(all);
    assert_eq!(supplied.len(), 12 + 11);
    assert!(supplied.iter().all(|line| !line.contains("root")), "{supplied:?}");
    assert!(find(&tree, "xx.UTF-8").is_err() && find(&tree, "de_DE.UTF-8").is_err());
}

#[test]
fn what_is_too_large_is_no_locale() {
    let tree = Tree::new().locale("C.utf8", "UTF-8").sparse(ARCHIVE, (300 << 20) + 1);
    let tree = tree.sparse("/usr/lib/locale/C.utf8/LC_TIME", MAX_CATEGORY + 1);
    assert_eq!(tree.supplied(all).len(), 11);
}

#[test]
fn a_directory_of_locales_that_stands_elsewhere_is_that_all_the_same() {
    let tree = Tree::new().files(&["/opt/locale/C.utf8/LC_TIME"]).link("/usr/lib/locale", "/opt/locale");
    assert_eq!(tree.supplied(all), ["/usr/lib/locale/C.utf8/LC_TIME = /opt/locale/C.utf8/LC_TIME"]);
}

#[test]
fn nothing_from_outside_is_a_locale() {
    let tree = Tree::new().link("/usr/lib/locale/C.utf8", "../../../../../../../usr/lib/locale/C.utf8");
    let tree = tree.link("/usr/lib/locale/loop", "loop").fifo(ARCHIVE);
    for name in ["C.UTF-8", "loop", "..", "../x", "/etc", "x\ny", ""] {
        assert!(find(&tree, name).is_err(), "{name:?}");
    }
}

#[test]
fn more_names_than_are_believed_are_refused_with_the_limit() {
    let tree = (1..MAX_LOCALES)
        .fold(Tree::new().locale("C.utf8", "UTF-8"), |tree, n| tree.file(&format!("{LOCALES}/{n}"), ""));
    assert_eq!(tree.supplied(all).len(), 12);
    assert!(tree.file(&format!("{LOCALES}/more"), "").refused(all).contains("more than 4096 names"));
}

#[test]
fn every_locale_of_an_archive_is_found_however_many_there_are() {
    let names: Vec<String> = (0..6_000).map(|n| format!("l{n}.utf8")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let tree = Tree::new().file(ARCHIVE, &archive(&names, "UTF-8"));
    assert!(find(&tree, "l0.UTF-8").is_ok() && find(&tree, "l5999.UTF-8").is_ok());
}
