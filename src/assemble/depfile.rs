//! A depfile: what an output hangs on, in the syntax of make, as compilers write it and ninja reads it
//! (GNU make, "Generating Prerequisites Automatically"; ninja manual, "C/C++ header dependencies").

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::Cause;

/// A rule for `target`, and an empty one for each of its inputs: without that, make gives up where one is gone.
pub(super) fn text(target: &Path, inputs: &BTreeSet<PathBuf>) -> Result<Vec<u8>, Cause> {
    let unnameable = inputs.iter().map(PathBuf::as_path).chain([target]).find(|path| !is_nameable(path));
    if let Some(path) = unnameable {
        let name = crate::text::printable(path);
        let why = "it has characters by which make and ninja mean something else; rename it";
        return Err(Cause::Unsupported(format!("no depfile can name {name}: {why}")));
    }
    let mut text = escaped(target);
    text.push(b':');
    // The first one, with a `=`, would be a variable of the target.
    let (odd, plain): (Vec<_>, Vec<_>) = inputs.iter().partition(|input| input.as_os_str().as_bytes().contains(&b'='));
    for input in plain.into_iter().chain(odd) {
        text.extend_from_slice(b" \\\n ");
        text.extend(escaped(input));
    }
    text.push(b'\n');
    // As a target, a name with `%` would be a pattern.
    for input in inputs.iter().filter(|input| !input.as_os_str().as_bytes().contains(&b'%')) {
        text.push(b'\n');
        text.extend(escaped(input));
        text.extend_from_slice(b":\n");
    }
    Ok(text)
}

/// Whether make and ninja read a name alike: to one or the other, the rest ends it, or is a pattern, a recipe, an escape.
fn is_nameable(path: &Path) -> bool {
    let is_odd = |byte: &u8| byte.is_ascii_control() || b";*?|<>'\"&^`\\".contains(byte);
    !path.as_os_str().as_bytes().iter().any(is_odd)
}

fn escaped(path: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b' ' | b'#' | b':' => text.push(b'\\'),
            b'$' => text.push(b'$'),
            _ => {}
        }
        text.push(byte);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::text;
    use std::path::{Path, PathBuf};

    fn of(target: &str, inputs: &[&str]) -> Result<String, String> {
        let inputs = inputs.iter().map(PathBuf::from).collect();
        let text = text(Path::new(target), &inputs).map_err(|cause| cause.to_string())?;
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn every_input_has_a_rule_of_its_own() {
        assert_eq!(of("a.tar", &["/b", "c"]).unwrap(), "a.tar: \\\n /b \\\n c\n\n/b:\n\nc:\n");
        assert_eq!(of("a", &["b%c"]).unwrap(), "a: \\\n b%c\n");
    }

    #[test]
    fn what_means_something_to_make_is_escaped() {
        let text = of("a b", &["$x#y", "a=b", "c:d"]).unwrap();
        assert_eq!(text.split("\n\n").next(), Some("a\\ b: \\\n $$x\\#y \\\n c\\:d \\\n a=b"));
        for odd in ["x\ny", "x;touch y", "x|y", "x*", r"x\#", "x'", "x\ty"] {
            assert!(of("a", &[odd]).is_err() && of(odd, &["a"]).is_err(), "{odd}");
        }
    }
}
