//! A depfile: what an output hangs on, in the syntax of make, as compilers write it and ninja reads it
//! (GNU make, "Generating Prerequisites Automatically"; ninja manual, "C/C++ header dependencies").

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::Cause;

/// A rule for `target`, and an empty one for each of its inputs: without that, make gives up where one is gone.
pub(super) fn text(target: &Path, inputs: &BTreeSet<PathBuf>) -> Result<Vec<u8>, Cause> {
    let unnameable = inputs.iter().map(PathBuf::as_path).chain([target]).find(|path| has_line_end(path));
    if let Some(path) = unnameable {
        let name = crate::text::printable(path);
        return Err(Cause::Unsupported(format!("no depfile can name {name}, for a line ends in it; rename it")));
    }
    let mut text = escaped(target);
    text.push(b':');
    for input in inputs {
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

fn has_line_end(path: &Path) -> bool {
    path.as_os_str().as_bytes().iter().any(|byte| matches!(byte, b'\n' | b'\r'))
}

/// As both make and ninja read it back: backslashes count only before what they keep from its meaning.
fn escaped(path: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    let mut backslashes = 0;
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b' ' | b'\t' | b'#' | b':' => text.resize(text.len() + backslashes + 1, b'\\'),
            b'$' => text.push(b'$'),
            _ => {}
        }
        text.push(byte);
        backslashes = if byte == b'\\' { backslashes + 1 } else { 0 };
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
        assert_eq!(
            of("a b", &["$x#y", r"p\q", r"p\ q", "c:d"]).unwrap().lines().take(5).collect::<Vec<_>>(),
            [r"a\ b: \", r" $$x\#y \", r" c\:d \", r" p\\\ q \", r" p\q",]
        );
        assert!(of("a", &["x\ny"]).is_err());
    }
}
