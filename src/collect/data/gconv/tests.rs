use super::{MAX_LINES, MAX_LIST, MAX_LISTS, all, is_same, several};
use crate::collect::data::testing::{Tree, made};
use crate::collect::loader::Libc;

const GCONV: &str = "/usr/lib/gconv";
const LIST: &str = "/usr/lib/gconv/gconv-modules";

const LISTS: &str = "
# a comment
alias  LATIN9//  iso-8859-15//
alias  L9//  ISO-8859-15// # another
alias  LOOP//  POOL//
alias  POOL//  LOOP//
alias  OURS//  ISO-10646/UTF8/
module ISO-8859-15// INTERNAL ISO8859-15 1
module INTERNAL ISO-8859-15// ISO8859-15.so
module FAR// NEAR// FARNEAR 1
module NEAR// FAR// FARNEAR 1
module FAR// INTERNAL DEAR 9
module NEAR// INTERNAL NEAR 1
module INTERNAL NEAR// NEAR 1
module GONE// INTERNAL GONE 1
module INTERNAL GONE// GONE 1
module OUT// INTERNAL ../../../../etc/passwd 1
module ONLY
";

fn tree() -> Tree {
    let modules = ["ISO8859-15", "FARNEAR", "NEAR", "DEAR"].map(|name| format!("{GCONV}/{name}.so"));
    let tree = Tree::new().files(&modules).file(LIST, LISTS);
    tree.file(&format!("{GCONV}/gconv-modules.d/more.conf"), "alias NINE// ISO-8859-15//\n")
}

fn names(tree: &Tree, names: &[&str]) -> Result<(Vec<String>, String), String> {
    let supply = tree.around(|around| several(names, around))?;
    let list = String::from_utf8(made(&supply, LIST).to_vec()).unwrap();
    let modules = supply.modules.iter().map(|path| path.to_str().unwrap().strip_prefix(GCONV).unwrap().to_owned());
    Ok((modules.collect(), list))
}

#[test]
fn a_set_is_supplied_under_all_its_names_and_nothing_else_is() {
    for name in ["ISO-8859-15", "latin9", "NINE", "l9//TRANSLIT"] {
        let (modules, list) = names(&tree(), &[name]).unwrap();
        assert_eq!(modules, ["/ISO8859-15.so"], "{name}");
        let lines = [
            "alias\tL9//\tISO-8859-15//",
            "alias\tLATIN9//\tISO-8859-15//",
            "alias\tNINE//\tISO-8859-15//",
            "module\tINTERNAL\tISO-8859-15//\tISO8859-15\t1",
            "module\tISO-8859-15//\tINTERNAL\tISO8859-15\t1",
        ];
        assert_eq!(list.lines().collect::<Vec<_>>(), lines);
    }
}

#[test]
fn the_cheapest_way_is_taken_in_both_directions() {
    let (modules, list) = names(&tree(), &["far"]).unwrap();
    assert_eq!(modules, ["/FARNEAR.so", "/NEAR.so"]);
    assert_eq!(list.lines().count(), 4, "{list}");
}

#[test]
fn several_sets_share_one_list() {
    let (modules, list) = names(&tree(), &["NEAR", "UTF-8", "LATIN9"]).unwrap();
    assert_eq!(modules, ["/ISO8859-15.so", "/NEAR.so"]);
    assert_eq!(list.lines().filter(|line| line.starts_with("module")).count(), 4);
}

#[test]
fn what_is_built_in_takes_nothing() {
    for name in ["UTF-8", "utf8", "UCS-4LE", "US-ASCII", "ANSI_X3.4-1968", "WCHAR_T", "UCS-2BE", "ISO-10646/UTF8/"] {
        assert!(tree().supplied(|around| several(&[name], around)).is_empty(), "{name}");
    }
}

#[test]
fn a_name_that_only_the_lists_have_for_what_is_built_in_is_kept() {
    let (modules, list) = names(&tree(), &["ours"]).unwrap();
    assert!(modules.is_empty());
    assert_eq!(list, "alias\tOURS//\tISO-10646/UTF8/\n");
}

#[test]
fn what_is_not_known_is_told_with_what_is_near() {
    let error = |name| names(&tree(), &[name]).unwrap_err();
    assert!(error("LATIN-9").contains("near are LATIN9"), "{}", error("LATIN-9"));
    assert!(error("GONE").contains("GONE.so, is not there"), "{}", error("GONE"));
    assert!(error("NO").contains("`iconv -l`"), "{}", error("NO"));
    for name in ["LOOP", "OUT", "ONLY", "", "/", "//TRANSLIT", "x\ny", "x\0y", "INTERN"] {
        assert!(error(name).starts_with("glibc has no character set"), "{name:?}");
    }
}

#[test]
fn all_sets_come_with_the_lists_as_they_are() {
    assert_eq!(
        tree().supplied(all),
        [
            "/usr/lib/gconv/gconv-modules",
            "/usr/lib/gconv/gconv-modules.d/more.conf",
            "module /usr/lib/gconv/DEAR.so",
            "module /usr/lib/gconv/FARNEAR.so",
            "module /usr/lib/gconv/ISO8859-15.so",
            "module /usr/lib/gconv/NEAR.so",
        ]
    );
}

#[test]
fn a_list_that_lies_elsewhere_is_refused_and_a_cache_that_does_is_not_copied() {
    let tree = || Tree::new().file("/usr/lib/gconv/gconv-modules", LISTS).file("/root/secret", "secret");
    let elsewhere = tree().link("/usr/lib/gconv/gconv-modules.d/a.conf", "/root/secret");
    assert!(elsewhere.refused(all).contains("/usr/lib/gconv/gconv-modules.d/a.conf is not put into an image"));
    let tree = tree().link("/usr/lib/gconv/gconv-modules.d/b.conf", "../gconv-modules");
    let tree = tree.sparse("/usr/lib/gconv/gconv-modules.cache", MAX_LIST + 1);
    let expected =
        ["/usr/lib/gconv/gconv-modules", "/usr/lib/gconv/gconv-modules.d/b.conf = /usr/lib/gconv/gconv-modules"];
    assert_eq!(tree.supplied(all), expected);
}

#[test]
fn other_libraries_than_glibc_are_told_so() {
    assert!(tree().libc(Some(Libc::Musl)).refused(all).contains("musl"));
    assert!(tree().libc(None).refused(all).contains("static"));
    assert!(Tree::new().refused(all).contains("there is no gconv-modules"));
}

#[test]
fn the_directory_is_the_one_that_the_c_library_has_built_in() {
    let both = || tree().file("/lib/gconv/gconv-modules", "");
    let list = |constants: &str| both().object("/lib/libc.so.6", constants).supplied(all).swap_remove(0);
    assert_eq!(both().supplied(all), ["/lib/gconv/gconv-modules"]);
    assert_eq!(list("\0/usr/lib/gconv\0"), LIST);
    for part in ["\0/usr/lib/gconv/\0", "\0/opt/usr/lib/gconv\0", ""] {
        assert_eq!(list(part), "/lib/gconv/gconv-modules", "{part:?}");
    }
}

#[test]
fn two_names_of_one_set_are_the_same() {
    tree().around(|around| {
        assert!(is_same("latin9", "ISO-8859-15", around));
        assert!(!is_same("latin9", "NEAR", around));
    });
}

#[test]
fn a_hostile_list_is_no_harm() {
    let mut list = Vec::from(&b"\xff\xfe\nmodule\nalias A\nmodule A// INTERNAL A 99999999999999999999\n"[..]);
    for number in 0..9_999 {
        list.extend(format!("alias N{number}// N{}//\nmodule S{number}// S{}// A\n", number + 1, number + 1).bytes());
    }
    let tree = Tree::new().files(&[format!("{GCONV}/A.so")]).file(LIST, &list);
    let tree = tree.fifo(&format!("{GCONV}/gconv-modules.cache"));
    let (modules, list) = names(&tree, &["A"]).unwrap();
    assert_eq!((modules, list.as_str()), (vec!["/A.so".to_owned()], "module\tA//\tINTERNAL\tA\t1\n"));
    assert!(names(&tree, &["S1"]).is_err());
}

#[test]
fn more_lists_or_lines_than_are_believed_are_refused_with_the_limit() {
    let lists =
        |count: usize| (0..count).fold(tree(), |tree, n| tree.file(&format!("{GCONV}/gconv-modules.d/{n}.conf"), ""));
    // With the one that is there.
    assert!(names(&lists(MAX_LISTS - 1), &["NEAR"]).is_ok());
    assert!(names(&lists(MAX_LISTS), &["NEAR"]).unwrap_err().contains("more than 64 lists"));
    assert!(lists(MAX_LISTS).refused(all).contains("more than 64 lists"));
    let lines = |count: usize| (0..count).map(|n| format!("alias A{n}// NEAR//\n")).collect::<String>();
    let with_lines = |count| Tree::new().files(&[format!("{GCONV}/NEAR.so")]).file(LIST, &lines(count));
    assert!(with_lines(MAX_LINES).around(all).is_ok());
    assert!(with_lines(MAX_LINES + 1).refused(all).contains("more than 20000 lines"));
}
