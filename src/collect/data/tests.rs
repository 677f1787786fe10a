use std::collections::BTreeMap;

use super::testing::{Tree, made, shown};
use super::{Supply, supplies};
use crate::need::Need;

const LIST: &str = "/usr/lib/gconv/gconv-modules";
const CACHE: &str = "/usr/lib/gconv/gconv-modules.cache";
const LISTS: &str = "
alias LATIN9// ISO-8859-15//
module ISO-8859-15// INTERNAL ISO8859-15 1
module INTERNAL ISO-8859-15// ISO8859-15 1
module KOI8-R// INTERNAL KOI8-R 1
module INTERNAL KOI8-R// KOI8-R 1
module BIG5// INTERNAL BIG5 1
module INTERNAL BIG5// BIG5 1
";

/// What is made for both sets, and nothing of a third.
const BOTH: [&str; 4] = [
    "/usr/lib/gconv/gconv-modules made",
    "/usr/lib/gconv/gconv-modules.cache made",
    "module /usr/lib/gconv/ISO8859-15.so",
    "module /usr/lib/gconv/KOI8-R.so",
];

fn tree() -> Tree {
    let tree = Tree::new().file(LIST, LISTS).file(CACHE, "of all sets");
    let tree = tree.files(&["ISO8859-15", "KOI8-R", "BIG5"].map(|name| format!("/usr/lib/gconv/{name}.so")));
    tree.locale("ru_RU.koi8r", "KOI8-R").locale("C.utf8", "UTF-8")
}

fn charset(name: &str) -> Need {
    Need::Charset(name.to_owned())
}

fn locale(name: &str) -> Need {
    Need::Locale(name.to_owned())
}

/// What meets the needs, all of which can be met.
fn met(needs: &[Need]) -> Vec<Supply> {
    tree().around(|around| supplies(needs, around)).into_iter().map(Result::unwrap).collect()
}

/// What meets them together; the files of locales are left out.
fn gconv_of(needs: &[Need]) -> Vec<String> {
    let mut shown: Vec<String> = met(needs).iter().flat_map(shown).filter(|line| line.contains("/gconv/")).collect();
    shown.sort_unstable();
    shown
}

/// The list and the cache that come with the first need.
fn lists(needs: &[Need]) -> [Vec<u8>; 2] {
    let met = met(needs);
    [LIST, CACHE].map(|at| made(&met[0], at).to_vec())
}

/// No path has two contents.
fn expect_no_conflict(needs: &[Need]) {
    let met = met(needs);
    let mut contents = BTreeMap::new();
    for extra in met.iter().flat_map(|supply| &supply.extras) {
        let content = format!("{:?}", extra.content);
        let before = contents.insert(&extra.at, content.clone());
        assert!(before.is_none_or(|before| before == content), "{needs:?}: {}", extra.at.display());
    }
}

#[test]
fn two_named_charsets_share_one_list_and_one_cache() {
    for needs in [[charset("LATIN9"), charset("koi8-r")], [charset("KOI8-R"), charset("ISO-8859-15")]] {
        assert_eq!(gconv_of(&needs), BOTH);
        let [list, cache] = lists(&needs).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        for set in ["ISO-8859-15//", "KOI8-R//", "LATIN9//"] {
            assert!(list.contains(set) && cache.contains(set), "{set}");
        }
        assert!(!list.contains("BIG5") && !cache.contains("BIG5"));
        expect_no_conflict(&needs);
    }
}

#[test]
fn a_charset_under_two_names_is_listed_as_under_one() {
    assert_eq!(lists(&[charset("LATIN9"), charset("ISO-8859-15"), charset("LATIN9")]), lists(&[charset("LATIN9")]));
}

#[test]
fn a_locale_of_another_charset_brings_its_module_with_the_same_list() {
    let needs = [locale("ru_RU.KOI8-R"), charset("LATIN9")];
    assert_eq!(gconv_of(&needs), BOTH);
    assert_eq!(lists(&needs), lists(&[charset("LATIN9"), charset("KOI8-R")]));
    assert_eq!(lists(&[locale("ru_RU.KOI8-R")]), lists(&[charset("KOI8-R")]));
    expect_no_conflict(&needs);
    expect_no_conflict(&[charset("LATIN9"), locale("C.UTF-8"), locale("ru_RU.KOI8-R")]);
}

#[test]
fn what_is_built_in_brings_no_list() {
    assert!(gconv_of(&[locale("C.UTF-8"), charset("UTF-8")]).is_empty());
}

#[test]
fn with_all_charsets_no_list_is_made_and_nothing_conflicts() {
    let (latin, russian) = (charset("LATIN9"), locale("ru_RU.KOI8-R"));
    for needs in [
        [Need::Gconv, latin.clone(), russian.clone()],
        [latin.clone(), russian.clone(), Need::Gconv],
        [russian, Need::Gconv, latin],
    ] {
        let modules = ["BIG5", "ISO8859-15", "KOI8-R"].map(|name| format!("module /usr/lib/gconv/{name}.so"));
        assert_eq!(gconv_of(&needs), [[LIST, CACHE].map(str::to_owned).as_slice(), &modules].concat());
        expect_no_conflict(&needs);
    }
}
