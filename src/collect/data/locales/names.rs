//! Names of locales: `language_TERRITORY.codeset@modifier`.

use crate::collect::data::system::is_file_name;

/// A name, and what it says (`_nl_explode_name` in glibc's intl/explodename.c).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    language: String,
    territory: Option<String>,
    codeset: Option<String>,
    modifier: Option<String>,
}

impl Name {
    /// `None` for what is no name, and could lead out of the directory of locales.
    pub(super) fn parse(name: &str) -> Option<Name> {
        if !is_file_name(name) {
            return None;
        }
        let (rest, modifier) = cut(name, '@');
        let (rest, codeset) = cut(rest, '.');
        let (language, territory) = cut(rest, '_');
        Some(Name { language: language.to_owned(), territory, codeset, modifier })
    }

    /// With the code set as archives and directories have it.
    pub(super) fn normalized(&self) -> String {
        self.shortened(true, self.codeset.as_deref().map(normalize).as_deref(), true)
    }

    /// The directories in which it may be, first to last (`_nl_make_l10nflist`, whose masks count down): the modifier
    /// outweighs the territory, and that the code set.
    pub(super) fn directories(&self) -> Vec<String> {
        let normal = self.codeset.as_deref().map(normalize);
        let mut names: Vec<String> = Vec::new();
        for (modifier, territory) in [(true, true), (true, false), (false, true), (false, false)] {
            for codeset in [self.codeset.as_deref(), normal.as_deref(), None] {
                let name = self.shortened(territory, codeset, modifier);
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }

    fn shortened(&self, has_territory: bool, codeset: Option<&str>, has_modifier: bool) -> String {
        let part = |mark: &str, part: Option<&str>| part.map(|part| format!("{mark}{part}")).unwrap_or_default();
        let territory = part("_", self.territory.as_deref().filter(|_| has_territory));
        let modifier = part("@", self.modifier.as_deref().filter(|_| has_modifier));
        [self.language.as_str(), &territory, &part(".", codeset), &modifier].concat()
    }

    pub(super) fn codeset(&self) -> Option<&str> {
        self.codeset.as_deref()
    }
}

/// Whether two code sets differ in nothing but marks and case.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    normalize(one) == normalize(other)
}

fn cut(name: &str, mark: char) -> (&str, Option<String>) {
    match name.split_once(mark) {
        Some((rest, part)) => (rest, Some(part.to_owned()).filter(|part| !part.is_empty())),
        None => (name, None),
    }
}

/// Letters in lower case and digits; digits alone are a number of ISO (`_nl_normalize_codeset` in glibc).
fn normalize(codeset: &str) -> String {
    let kept: String = codeset.chars().filter(char::is_ascii_alphanumeric).collect();
    match kept.chars().all(|c| c.is_ascii_digit()) {
        true => format!("iso{kept}"),
        false => kept.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn a_code_set_is_normalized_as_glibc_does() {
        for (name, expected) in [
            ("C.UTF-8", "C.utf8"),
            ("de_DE", "de_DE"),
            ("de_DE@euro", "de_DE@euro"),
            ("de_DE.ISO-8859-15@euro", "de_DE.iso885915@euro"),
            ("zh_TW.8859-1", "zh_TW.iso88591"),
            ("ja_JP.eucJP", "ja_JP.eucjp"),
        ] {
            assert_eq!(Name::parse(name).unwrap().normalized(), expected);
        }
    }

    #[test]
    fn directories_are_tried_from_the_longest_name_to_the_shortest() {
        let names = |name| Name::parse(name).unwrap().directories();
        assert_eq!(
            names("de_DE.UTF-8"),
            ["de_DE.UTF-8", "de_DE.utf8", "de_DE", "de.UTF-8", "de.utf8", "de"].map(str::to_owned)
        );
        assert_eq!(names("de_DE@euro"), ["de_DE@euro", "de@euro", "de_DE", "de"].map(str::to_owned));
    }

    #[test]
    fn what_could_lead_elsewhere_is_no_name() {
        for name in ["", ".", "..", "../de_DE", "de/DE", "/etc", "de\n", "de DE", "d\u{e9}"] {
            assert_eq!(Name::parse(name), None, "{name:?}");
        }
    }
}
