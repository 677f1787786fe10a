//! Licences in words of distributions, as SPDX license expressions (SPDX 2.3, annex D).

/// A licence that has no name in SPDX's list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Custom {
    /// What an expression calls it: `LicenseRef-...`.
    pub(crate) reference: String,
    /// What the package calls it.
    pub(crate) name: String,
}

/// What a package states.
#[derive(Debug, Default)]
pub(super) struct Licenses {
    pub(super) expression: Option<String>,
    /// The names in it that are not SPDX's.
    pub(super) customs: Vec<Custom>,
}

impl Licenses {
    /// All of these, each of which may be an expression itself; none, where one cannot be read as such.
    pub(super) fn of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Licenses {
        let mut customs = Vec::new();
        let read: Option<Vec<Expression>> = texts.into_iter().map(|text| expression(text, &mut customs)).collect();
        let Some(read) = read else { return Licenses::default() };
        let is_one = read.len() == 1;
        let Some(mut all) = read.into_iter().reduce(both) else { return Licenses::default() };
        customs.sort_unstable();
        customs.dedup();
        // What a package states as one keeps its order.
        if !is_one && !all.is_choice {
            // Those in parentheses come last.
            all.parts.sort_unstable_by_key(|part| (part.starts_with('('), part.clone()));
        }
        Licenses { expression: Some(all.text()), customs }
    }
}

/// What all holds, or what one may choose from.
struct Expression {
    /// Each once.
    parts: Vec<String>,
    is_choice: bool,
}

impl Expression {
    fn of(part: String) -> Expression {
        Expression { parts: vec![part], is_choice: false }
    }

    fn text(&self) -> String {
        self.parts.join(if self.is_choice { " OR " } else { " AND " })
    }

    /// The parts of the same where all must hold: a choice needs parentheses then.
    fn within_and(self) -> Vec<String> {
        if self.is_choice { vec![format!("({})", self.text())] } else { self.parts }
    }

    fn within_or(self) -> Vec<String> {
        if self.is_choice { self.parts } else { vec![self.text()] }
    }
}

/// Bytes of a statement that is looked at, and parentheses within each other.
const MAX_TEXT: usize = 4_096;
const MAX_DEPTH: usize = 16;

/// In the words of Debian `and` goes before `or`, and a comma parts what both would join
/// (Debian, "Machine-readable debian/copyright file", "License specification").
fn expression(text: &str, customs: &mut Vec<Custom>) -> Option<Expression> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let mut parser = Parser { tokens: tokens(text), at: 0, depth: 0, customs };
    let expression = parser.list()?;
    (parser.at == parser.tokens.len()).then_some(expression)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token<'t> {
    Word(&'t str),
    And,
    Or,
    Comma,
    Open,
    Close,
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let pieces = text.split_whitespace().flat_map(|word| word.split_inclusive(['(', ')', ',']));
    pieces
        .flat_map(|piece| {
            let (word, mark) = match piece.as_bytes().last() {
                Some(b'(') => (&piece[..piece.len() - 1], Some(Token::Open)),
                Some(b')') => (&piece[..piece.len() - 1], Some(Token::Close)),
                Some(b',') => (&piece[..piece.len() - 1], Some(Token::Comma)),
                _ => (piece, None),
            };
            let word = match word.to_ascii_lowercase().as_str() {
                "" => None,
                "and" | "&" => Some(Token::And),
                "or" | "and/or" | "|" => Some(Token::Or),
                _ => Some(Token::Word(word)),
            };
            word.into_iter().chain(mark)
        })
        .collect()
}

struct Parser<'t, 'c> {
    tokens: Vec<Token<'t>>,
    at: usize,
    depth: usize,
    customs: &'c mut Vec<Custom>,
}

impl<'t> Parser<'t, '_> {
    fn next_is(&mut self, token: Token<'_>) -> bool {
        let is_next = self.tokens.get(self.at) == Some(&token);
        self.at += usize::from(is_next);
        is_next
    }

    /// Choices, or what all holds, parted by commas.
    fn list(&mut self) -> Option<Expression> {
        let mut all = self.choice()?;
        while self.next_is(Token::Comma) {
            let is_choice = self.next_is(Token::Or);
            let _ = self.next_is(Token::And);
            let more = self.choice()?;
            all = if is_choice { either(all, more) } else { both(all, more) };
        }
        Some(all)
    }

    fn choice(&mut self) -> Option<Expression> {
        let mut all = self.whole()?;
        while self.next_is(Token::Or) {
            all = either(all, self.whole()?);
        }
        Some(all)
    }

    fn whole(&mut self) -> Option<Expression> {
        let mut all = self.term()?;
        while self.next_is(Token::And) {
            all = both(all, self.term()?);
        }
        Some(all)
    }

    fn term(&mut self) -> Option<Expression> {
        if self.next_is(Token::Open) {
            self.depth += 1;
            let inside = (self.depth <= MAX_DEPTH).then(|| self.list())??;
            self.depth -= 1;
            return self.next_is(Token::Close).then_some(inside);
        }
        let words: Vec<&str> = self.tokens[self.at..]
            .iter()
            .map_while(|token| if let Token::Word(word) = token { Some(*word) } else { None })
            .collect();
        self.at += words.len();
        (!words.is_empty()).then(|| Expression::of(self.name(&words)))
    }

    /// What SPDX calls it, or else a name of its own.
    fn name(&mut self, words: &[&str]) -> String {
        let known = match words {
            [name] => known(name),
            [name, with, exception] if with.eq_ignore_ascii_case("with") => with_exception(name, exception),
            // As Debian has it.
            [name, "with", exception, "exception"] => with_exception(name, &format!("{exception}-exception")),
            _ => None,
        };
        known.unwrap_or_else(|| {
            let name = words.join(" ");
            let fit = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
            let plain: String = name.chars().map(fit).collect();
            let reference = if plain.starts_with("LicenseRef-") { plain } else { format!("LicenseRef-{plain}") };
            self.customs.push(Custom { reference: reference.clone(), name });
            reference
        })
    }
}

fn either(one: Expression, other: Expression) -> Expression {
    let parts = joined(one.within_or(), other.within_or());
    Expression { is_choice: parts.len() > 1, parts }
}

fn both(one: Expression, other: Expression) -> Expression {
    Expression { parts: joined(one.within_and(), other.within_and()), is_choice: false }
}

fn joined(mut parts: Vec<String>, more: Vec<String>) -> Vec<String> {
    for part in more {
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts
}

fn with_exception(name: &str, exception: &str) -> Option<String> {
    Some(format!("{} WITH {}", known(name)?, listed(EXCEPTIONS, exception)?))
}

/// The name in SPDX's list of what a distribution calls a licence.
fn known(name: &str) -> Option<String> {
    let listed = listed(NAMES, name).map(str::to_owned);
    let called = || {
        let (_, known) = CALLED.into_iter().find(|(called, _)| called.eq_ignore_ascii_case(name))?;
        Some(known.to_owned())
    };
    listed.or_else(|| of_gnu(name)).or_else(called)
}

/// `GPL-2+`, `LGPLv2.1`, `GPL-3.0-or-later`
fn of_gnu(name: &str) -> Option<String> {
    let upper = name.to_ascii_uppercase();
    let families = [
        ("AGPL", &["1.0", "3.0"][..]),
        ("LGPL", &["2.0", "2.1", "3.0"]),
        ("GPL", &["1.0", "2.0", "3.0"]),
        ("GFDL-NIV", &["1.1", "1.2", "1.3"]),
        ("GFDL", &["1.1", "1.2", "1.3"]),
    ];
    let (family, versions, rest) =
        families.into_iter().find_map(|(family, versions)| Some((family, versions, upper.strip_prefix(family)?)))?;
    let rest = rest.strip_prefix("V").or_else(|| rest.strip_prefix("-")).unwrap_or(rest);
    let (version, later) = match rest.strip_suffix('+').or_else(|| rest.strip_suffix("-OR-LATER")) {
        Some(version) => (version, "or-later"),
        None => (rest.strip_suffix("-ONLY").unwrap_or(rest), "only"),
    };
    let version = versions.iter().find(|known| **known == version || known.strip_suffix(".0") == Some(version))?;
    // Debian's name for one without invariant sections.
    let [family, sections] = if family == "GFDL-NIV" { ["GFDL", "no-invariants-"] } else { [family, ""] };
    Some(format!("{family}-{version}-{sections}{later}"))
}

/// What Debian calls some of them otherwise ("Short license names"), and Fedora did.
const CALLED: [(&str, &str); 22] = [
    ("Apache-2", "Apache-2.0"),
    ("ASL2.0", "Apache-2.0"),
    ("Artistic", "Artistic-1.0-Perl"),
    ("Artistic-1", "Artistic-1.0"),
    ("Artistic-2", "Artistic-2.0"),
    ("BSD-2", "BSD-2-Clause"),
    ("BSD-3", "BSD-3-Clause"),
    ("BSD-4", "BSD-4-Clause"),
    ("BSL-1", "BSL-1.0"),
    ("Boost", "BSL-1.0"),
    ("Boost-1.0", "BSL-1.0"),
    ("CC0", "CC0-1.0"),
    ("Expat", "MIT"),
    ("FreeType", "FTL"),
    ("LibPNG", "Libpng"),
    ("LPPL-1.3", "LPPL-1.3c"),
    ("MPLv1.1", "MPL-1.1"),
    ("MPLv2.0", "MPL-2.0"),
    ("MPL-2", "MPL-2.0"),
    ("Python", "Python-2.0"),
    ("PSF-2", "PSF-2.0"),
    ("Zope-2.1", "ZPL-2.1"),
];

/// The name among these, whose letters may be large or small (SPDX 2.3, annex D.2).
fn listed(names: &'static str, name: &str) -> Option<&'static str> {
    names.lines().find(|known| known.eq_ignore_ascii_case(name))
}

const NAMES: &str = include_str!("license/names.txt");

const EXCEPTIONS: &str = include_str!("license/exceptions.txt");

#[cfg(test)]
mod tests {
    use super::Licenses;

    #[test]
    fn what_distributions_call_licences_is_put_in_the_words_of_spdx() {
        for (text, expression) in [
            ("MIT", "MIT"),
            ("zlib", "Zlib"),
            ("Expat", "MIT"),
            ("GPL-2+", "GPL-2.0-or-later"),
            ("LGPL-2.1", "LGPL-2.1-only"),
            ("LGPLv2+", "LGPL-2.0-or-later"),
            ("GPL-3.0-or-later", "GPL-3.0-or-later"),
            ("AGPL-3.0-only", "AGPL-3.0-only"),
            ("GPL-2+ or Artistic-2.0, and BSD-3-clause", "(GPL-2.0-or-later OR Artistic-2.0) AND BSD-3-Clause"),
            ("MIT and ISC or Zlib", "MIT AND ISC OR Zlib"),
            ("MIT AND (ISC OR Zlib)", "MIT AND (ISC OR Zlib)"),
            ("Apache-2.0 WITH LLVM-exception", "Apache-2.0 WITH LLVM-exception"),
            ("GPL-2+ with OpenSSL exception", "LicenseRef-GPL-2--with-OpenSSL-exception"),
            ("public-domain", "LicenseRef-public-domain"),
            ("GPL-7+", "LicenseRef-GPL-7-"),
            ("sleepycat", "Sleepycat"),
            ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
            ("GPL-2+ with Texinfo exception", "GPL-2.0-or-later WITH Texinfo-exception"),
            ("GPL-3.0-or-later WITH GNU-compiler-exception", "GPL-3.0-or-later WITH GNU-compiler-exception"),
            ("LicenseRef-Fedora-Public-Domain", "LicenseRef-Fedora-Public-Domain"),
            ("GPL-3+ and ISC and GPL-3+", "GPL-3.0-or-later AND ISC"),
            ("MIT or ISC or MIT", "MIT OR ISC"),
            ("ISC and (MIT or MIT)", "ISC AND MIT"),
        ] {
            assert_eq!(Licenses::of([text]).expression.as_deref(), Some(expression), "{text}");
        }
        assert_eq!(
            Licenses::of(["ISC", "a b", "MIT or ISC"]).expression.as_deref(),
            Some("ISC AND LicenseRef-a-b AND (MIT OR ISC)")
        );
        assert_eq!(Licenses::of(["a b"]).customs[0].name, "a b");
    }

    #[test]
    fn what_is_no_statement_states_nothing() {
        let deep = format!("{}MIT{}", "(".repeat(100), ")".repeat(100));
        for text in ["", "and", "MIT and", "(MIT", "MIT)", "MIT (ISC)", ",", "()", &deep, &"x".repeat(5000)] {
            assert_eq!(Licenses::of([text]).expression, None, "{text:.40}");
        }
        assert_eq!(Licenses::of([]).expression, None);
        assert_eq!(Licenses::of(["MIT", "("]).expression, None, "half of it would be wrong");
    }
}
