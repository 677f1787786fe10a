//! Patterns for names of files, byte by byte (glob(7)).

/// Whether a name of a path is a pattern: anything but the one name that it spells.
pub(crate) fn is_pattern(name: &[u8]) -> bool {
    name.iter().any(|byte| b"*?[\\".contains(byte))
}

/// Whether `name` matches `pattern`. A dot at its start is matched by a dot alone.
pub(crate) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.starts_with(b".") && !pattern.starts_with(b".") {
        return false;
    }
    let (mut pattern, mut name) = (pattern, name);
    // Behind the last star, and where in the name it is tried.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', rest @ ..] = pattern {
            (pattern, retry) = (rest, Some((rest, name)));
        } else if let Some(rests) = step(pattern, name) {
            (pattern, name) = rests;
        } else if pattern.is_empty() && name.is_empty() {
            return true;
        } else if let Some((behind, [_, rest @ ..])) = retry {
            (pattern, name, retry) = (behind, rest, Some((behind, rest)));
        } else {
            return false;
        }
    }
}

/// What is left of both when the first element of the pattern has matched the first byte of the name.
fn step<'a>(pattern: &'a [u8], name: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (&byte, name) = name.split_first()?;
    let (is_match, pattern) = match pattern {
        [] => return None,
        [b'?', rest @ ..] => (true, rest),
        [b'\\', literal, rest @ ..] => (*literal == byte, rest),
        // A bracket that is never closed stands for itself.
        [b'[', rest @ ..] => set(rest, byte).unwrap_or((byte == b'[', rest)),
        [literal, rest @ ..] => (*literal == byte, rest),
    };
    is_match.then_some((pattern, name))
}

/// Whether a byte is of the set behind an opening bracket, and what comes behind the closing one.
fn set(pattern: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (is_negated, set) = match pattern {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, pattern),
    };
    // A closing bracket that comes first is a member.
    let end = set.iter().skip(1).position(|&byte| byte == b']')? + 1;
    Some((contains(&set[..end], byte) != is_negated, &set[end + 1..]))
}

fn contains(mut members: &[u8], byte: u8) -> bool {
    loop {
        let (is_match, rest) = match members {
            [] => return false,
            [low, b'-', high, rest @ ..] => ((*low..=*high).contains(&byte), rest),
            [one, rest @ ..] => (*one == byte, rest),
        };
        if is_match {
            return true;
        }
        members = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::{is_pattern, matches};

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, is_match) in [
            ("*.conf", "a.conf", true),
            ("*.conf", ".conf", false),
            (".*", ".conf", true),
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-", false),
            ("?.conf", "ab.conf", false),
            ("[a-c]?", "b1", true),
            ("[!a-c]?", "b1", false),
            ("[]x]", "]", true),
            ("[^]x]", "]", false),
            ("[ab", "[ab", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("[a-]", "-", true),
            ("plain", "plain", true),
            ("plain", "plainer", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), is_match, "{pattern} {name}");
        }
        assert!(matches(b"*\xff?", b"a\xff\xfe"));
        assert!(is_pattern(b"*.conf") && !is_pattern(b"a.conf"));
    }

    #[test]
    fn many_stars_take_no_more_than_a_square_of_the_length() {
        assert!(!matches(&b"*a".repeat(100), &[b'a'; 4_000].map(|byte| byte + 1)));
        assert!(!matches(&[&b"*a".repeat(100)[..], b"b"].concat(), &[b'a'; 4_000]));
    }
}
