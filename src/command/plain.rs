//! The plainest form of an inspection: a program, and at most the format.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::args::{Inspect, InspectFormat, Search};

/// What the parser would make of these arguments, without making the parser, which takes a good part of the time that
/// looking at a small program does. Whatever could mean anything else is left to it.
pub(super) fn inspection(arguments: &[OsString]) -> Option<Inspect> {
    let words: Vec<&[u8]> = arguments.iter().map(|argument| argument.as_bytes()).collect();
    let (format, binary) = match words[..] {
        [b"inspect", binary] => (None, binary),
        [b"inspect", b"--format", name, binary] | [b"inspect", binary, b"--format", name] => {
            (Some(format(name)?), binary)
        }
        [b"inspect", option, binary] => (Some(format(option.strip_prefix(b"--format=")?)?), binary),
        _ => return None,
    };
    let is_name = binary.first().is_some_and(|first| *first != b'-');
    is_name.then(|| Inspect { binary: OsStr::from_bytes(binary).into(), format, sort: None, search: Search::default() })
}

fn format(name: &[u8]) -> Option<InspectFormat> {
    match name {
        b"tree" => Some(InspectFormat::Tree),
        b"list" => Some(InspectFormat::List),
        b"json" => Some(InspectFormat::Json),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use clap::Parser;

    use super::*;
    use crate::command::args::{Arguments, Subcommand};

    const WORDS: [&[u8]; 16] = [
        b"inspect",
        b"build",
        b"help",
        b"--format",
        b"--format=list",
        b"--format=List",
        b"--format=",
        b"tree",
        b"json",
        b"app",
        b"not utf-8: \xff",
        b"",
        b"-",
        b"--",
        b"--help",
        b"--auto",
    ];

    fn parsed(arguments: &[OsString]) -> Option<Inspect> {
        let name = OsString::from("scratchpack");
        match Arguments::try_parse_from([&name].into_iter().chain(arguments)).ok()?.subcommand {
            Subcommand::Inspect(inspect) => Some(inspect),
            _ => None,
        }
    }

    /// All lists of so many words.
    fn lists(length: u32) -> impl Iterator<Item = Vec<OsString>> {
        let word = |number: usize| OsString::from_vec(WORDS[number % WORDS.len()].to_vec());
        (0..WORDS.len().pow(length))
            .map(move |number| (0..length).map(|place| word(number / WORDS.len().pow(place))).collect())
    }

    #[test]
    fn what_is_recognized_is_what_the_parser_makes_of_it() {
        let mut recognized = 0;
        for arguments in (0..=4).flat_map(lists) {
            if let Some(inspect) = inspection(&arguments) {
                assert_eq!(Some(inspect), parsed(&arguments), "{arguments:?}");
                recognized += 1;
            }
        }
        // Seven words are names of programs: alone, behind `--format=list`, and on both sides of both formats.
        assert_eq!(recognized, 7 * (1 + 1 + 2 * 2));
    }

    #[test]
    fn every_format_is_recognized() {
        for (name, format) in
            [("tree", InspectFormat::Tree), ("list", InspectFormat::List), ("json", InspectFormat::Json)]
        {
            let arguments = ["inspect", "--format", name, "app"].map(OsString::from);
            let expected =
                Inspect { binary: "app".into(), format: Some(format), sort: None, search: Search::default() };
            assert_eq!(inspection(&arguments).as_ref(), Some(&expected));
            assert_eq!(parsed(&arguments), Some(expected));
        }
    }
}
