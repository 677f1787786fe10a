//! `$ORIGIN`, `$LIB` and `$PLATFORM` in names and search paths (ld.so(8), "Dynamic string tokens").

/// One piece of a string with tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Text(&'a [u8]),
    Origin,
    Lib,
    Platform,
}

const TOKENS: [(&[u8], Piece<'static>); 3] =
    [(b"ORIGIN", Piece::Origin), (b"PLATFORM", Piece::Platform), (b"LIB", Piece::Lib)];

/// Splits a string at its tokens. A `$` that begins no token stands for itself; `$ORIGINAL` is no token.
pub(crate) fn split(string: &[u8]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut text = 0;
    let mut at = 0;
    while let Some(dollar) = memchr::memchr(b'$', &string[at..]).map(|found| at + found) {
        at = dollar + 1;
        if let Some((piece, length)) = token(&string[at..]) {
            push_text(&mut pieces, &string[text..dollar]);
            pieces.push(piece);
            at += length;
            text = at;
        }
    }
    push_text(&mut pieces, &string[text..]);
    pieces
}

fn push_text<'a>(pieces: &mut Vec<Piece<'a>>, text: &'a [u8]) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
}

/// The token after a `$`, in braces or not, and how many bytes it takes (`is_dst` in glibc).
fn token(after: &[u8]) -> Option<(Piece<'static>, usize)> {
    let curly = after.first() == Some(&b'{');
    let name = &after[usize::from(curly)..];
    TOKENS.iter().find_map(|&(token, piece)| {
        let next = name.strip_prefix(token)?.first();
        match (curly, next) {
            (true, Some(b'}')) => Some((piece, token.len() + 2)),
            (true, _) => None,
            (false, Some(&byte)) if byte == b'_' || byte.is_ascii_alphanumeric() => None,
            (false, _) => Some((piece, token.len())),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{Piece, split};

    #[test]
    fn a_token_is_the_longest_identifier() {
        assert_eq!(split(b"$ORIGINAL/x"), [Piece::Text(b"$ORIGINAL/x")]);
        assert_eq!(split(b"$ORIGIN/x"), [Piece::Origin, Piece::Text(b"/x")]);
    }

    #[test]
    fn braces_end_a_token() {
        assert_eq!(split(b"a${LIB}64"), [Piece::Text(b"a"), Piece::Lib, Piece::Text(b"64")]);
        assert_eq!(split(b"${LIB"), [Piece::Text(b"${LIB")]);
    }

    #[test]
    fn a_lone_dollar_stands_for_itself() {
        assert_eq!(split(b"$$PLATFORM$"), [Piece::Text(b"$"), Piece::Platform, Piece::Text(b"$")]);
    }
}
