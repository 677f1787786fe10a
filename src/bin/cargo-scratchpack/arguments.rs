//! Which of the arguments are cargo's, and which `scratchpack build`'s.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::vec::IntoIter;

use scratchpack::printable;

use super::Failure;

/// Options of `cargo build` that stand alone. `--locked` is here without a value: `--locked=FILE` is not cargo's.
const FLAGS: [&str; 11] = [
    "--release",
    "--all-features",
    "--no-default-features",
    "--frozen",
    "--locked",
    "--offline",
    "--verbose",
    "--ignore-rust-version",
    "--quiet",
    "-r",
    "-v",
];

/// Options of `cargo build` with a value.
const WITH_VALUE: [&str; 14] = [
    "--profile",
    "--target",
    "--bin",
    "--example",
    "--package",
    "--features",
    "--manifest-path",
    "--target-dir",
    "--config",
    "--color",
    "--jobs",
    "-p",
    "-F",
    "-Z",
];

/// What tells cargo where the package is and how to read it, whatever it then does with it.
const OF_EVERY_COMMAND: [&str; 7] =
    ["--frozen", "--locked", "--offline", "--manifest-path", "--config", "--color", "-Z"];

/// Options of `scratchpack build` whose value may look like an option.
const WITH_ANY_VALUE: [&str; 2] = ["--cmd", "--entrypoint"];

/// What is asked for.
pub(crate) enum Request {
    Help,
    Version,
    Pack(Arguments),
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Arguments {
    /// Those of `cargo build`.
    pub(crate) cargo: Vec<OsString>,
    /// Those of them that every command of cargo takes.
    pub(crate) every: Vec<OsString>,
    /// The values of `--package`.
    pub(crate) packages: Vec<OsString>,
    /// The value of `--target-dir`.
    pub(crate) target_directory: Option<PathBuf>,
    /// What may be meant as a value of `--locked`, and is none.
    pub(crate) behind_locked: Option<OsString>,
    /// Whether `--bin` or `--example` names the program.
    pub(crate) is_named: bool,
    /// Whether it is an example.
    pub(crate) is_example: bool,
    /// Everything else, in its order.
    pub(crate) scratchpack: Vec<OsString>,
}

/// cargo gives the name of the subcommand as the first argument; who starts this command directly need not.
pub(crate) fn read(given: Vec<OsString>) -> Result<Request, Failure> {
    let mut rest = given.into_iter();
    let mut arguments = Arguments::default();
    let mut next = rest.next().filter(|first| first != "scratchpack").or_else(|| rest.next());
    let mut is_behind_locked = false;
    while let Some(argument) = next {
        let is_locked = argument == "--locked";
        match argument.as_bytes() {
            b"--help" => return Ok(Request::Help),
            b"--version" => return Ok(Request::Version),
            // Programs, whatever they look like.
            b"--" => arguments.scratchpack.extend([argument].into_iter().chain(rest.by_ref())),
            [b'-', b'-', ..] => arguments.take_long(&argument, &mut rest)?,
            [b'-', _, ..] => {
                if let Some(request) = arguments.take_short(&argument, &mut rest)? {
                    return Ok(request);
                }
            }
            _ => arguments.take_program(argument, is_behind_locked),
        }
        is_behind_locked = is_locked;
        next = rest.next();
    }
    Ok(Request::Pack(arguments))
}

impl Arguments {
    fn take_program(&mut self, argument: OsString, is_behind_locked: bool) {
        if is_behind_locked {
            self.behind_locked = Some(argument.clone());
        }
        self.scratchpack.push(argument);
    }

    fn take_long(&mut self, argument: &OsStr, rest: &mut IntoIter<OsString>) -> Result<(), Failure> {
        let (name, value) = split(argument);
        match (name.to_str(), value) {
            (Some(name), None) if FLAGS.contains(&name) => self.take_flag(name),
            (Some(name), Some(value)) if WITH_VALUE.contains(&name) => self.take_value(name, value)?,
            (Some(name), None) if WITH_VALUE.contains(&name) => self.take_value(name, following(name, rest)?)?,
            (Some(name), None) if WITH_ANY_VALUE.contains(&name) => {
                self.scratchpack.push(name.into());
                self.scratchpack.extend(rest.next());
            }
            _ => self.scratchpack.push(argument.to_owned()),
        }
        Ok(())
    }

    /// Several letters may share a hyphen, and a value may follow at once. One of them may ask for something else.
    fn take_short(&mut self, argument: &OsStr, rest: &mut IntoIter<OsString>) -> Result<Option<Request>, Failure> {
        let letters = argument.as_bytes();
        for (at, letter) in letters.iter().enumerate().skip(1) {
            match letter {
                b'r' => self.take_flag("-r"),
                b'v' => self.take_flag("-v"),
                b'q' => self.take_flag("--quiet"),
                b'h' => return Ok(Some(Request::Help)),
                b'V' => return Ok(Some(Request::Version)),
                b'p' | b'F' | b'j' | b'Z' => {
                    return self.take_short_value(*letter, &letters[at + 1..], rest).map(|()| None);
                }
                _ => {
                    self.scratchpack.push(OsString::from_vec([b"-", &letters[at..]].concat()));
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }

    fn take_short_value(&mut self, letter: u8, tail: &[u8], rest: &mut IntoIter<OsString>) -> Result<(), Failure> {
        let name = match letter {
            b'p' => "-p",
            b'F' => "-F",
            b'Z' => "-Z",
            _ => "--jobs",
        };
        let tail = tail.strip_prefix(b"=").unwrap_or(tail);
        let value = if tail.is_empty() { following(name, rest)? } else { OsStr::from_bytes(tail).to_owned() };
        self.take_value(name, value)
    }

    fn take_flag(&mut self, name: &str) {
        if name == "--quiet" {
            self.scratchpack.push(name.into());
        }
        self.give_cargo(name, None);
    }

    fn take_value(&mut self, name: &str, value: OsString) -> Result<(), Failure> {
        match name {
            "--target" if self.cargo.iter().any(|given| given == name) => {
                return Err(Failure::Usage("an image is of one machine: --target can be given once".into()));
            }
            "--bin" | "--example" if self.is_named => {
                return Err(Failure::Usage("one program is built and packed: give one --bin or --example".into()));
            }
            "--bin" => self.is_named = true,
            "--example" => (self.is_named, self.is_example) = (true, true),
            "--target-dir" => self.target_directory = Some(value.clone().into()),
            "--package" | "-p" => self.packages.push(value.clone()),
            // cargo has words and negative numbers for it as well.
            "--jobs" if is_count(&value) => self.scratchpack.extend([name.into(), value.clone()]),
            _ => {}
        }
        self.give_cargo(name, Some(value));
        Ok(())
    }

    fn give_cargo(&mut self, name: &str, value: Option<OsString>) {
        let words: Vec<OsString> = [name.into()].into_iter().chain(value).collect();
        if OF_EVERY_COMMAND.contains(&name) {
            self.every.extend(words.iter().cloned());
        }
        self.cargo.extend(words);
    }
}

fn is_count(value: &OsStr) -> bool {
    value.to_str().is_some_and(|value| value.parse::<NonZeroUsize>().is_ok())
}

fn split(argument: &OsStr) -> (&OsStr, Option<OsString>) {
    let bytes = argument.as_bytes();
    match bytes.iter().position(|byte| *byte == b'=') {
        Some(at) => (OsStr::from_bytes(&bytes[..at]), Some(OsStr::from_bytes(&bytes[at + 1..]).to_owned())),
        None => (argument, None),
    }
}

fn following(name: &str, rest: &mut IntoIter<OsString>) -> Result<OsString, Failure> {
    rest.next().ok_or_else(|| Failure::Usage(format!("{} needs a value", printable(name))))
}

#[cfg(test)]
mod tests {
    use super::{Arguments, FLAGS, Request, WITH_VALUE, read};
    use crate::Failure;
    use crate::help::HELP;
    use std::ffi::{OsStr, OsString};

    fn arguments(given: &str) -> Arguments {
        match read(given.split(' ').map(OsString::from).collect()) {
            Ok(Request::Pack(arguments)) => arguments,
            _ => panic!("{given}"),
        }
    }

    /// What cargo gets, and what `scratchpack build` gets.
    fn divided(given: &str) -> (String, String) {
        let Arguments { cargo, scratchpack, .. } = arguments(given);
        let joined = |words: Vec<OsString>| words.join(" ".as_ref()).into_string().unwrap();
        (joined(cargo), joined(scratchpack))
    }

    #[test]
    fn each_command_gets_its_own_options() {
        for (given, cargo, scratchpack) in [
            ("scratchpack --release -t app:1 -o app.tar", "--release", "-t app:1 -o app.tar"),
            ("-r -t app:1 -o app.tar", "-r", "-t app:1 -o app.tar"),
            ("--target=a --sysroot /s --bin b", "--target a --bin b", "--sysroot /s"),
            ("-p a -Fx -F=y --features z,w", "-p a -F x -F y --features z,w", ""),
            ("--locked --load", "--locked", "--load"),
            ("--locked=app.lock -o-", "", "--locked=app.lock -o-"),
            ("--locked app -o -", "--locked", "app -o -"),
            ("-vv -rqoapp.tar", "-v -v -r --quiet", "--quiet -oapp.tar"),
            ("-j2 --load", "--jobs 2", "--jobs 2 --load"),
            ("--jobs default", "--jobs default", ""),
            ("--jobs=-1", "--jobs -1", ""),
            ("--cmd --release --entrypoint -r --release", "--release", "--cmd --release --entrypoint -r"),
            ("--cmd=--target --load", "", "--cmd=--target --load"),
            ("-o a -- --release", "", "-o a -- --release"),
            ("--releases=1 --jobs-x -x", "", "--releases=1 --jobs-x -x"),
        ] {
            assert_eq!(divided(given), (cargo.to_owned(), scratchpack.to_owned()), "{given}");
        }
    }

    #[test]
    fn what_every_command_of_cargo_takes_is_kept_apart() {
        let Arguments { every, packages, is_named, .. } =
            arguments("--manifest-path a/Cargo.toml -r --offline -Zx -p a --package=b --bin c");
        assert_eq!(every, ["--manifest-path", "a/Cargo.toml", "--offline", "-Z", "x"]);
        assert_eq!(packages, ["a", "b"]);
        assert!(is_named);
        assert_eq!(arguments("--target-dir a").target_directory, Some("a".into()));
    }

    #[test]
    fn help_and_version_are_told_among_other_letters_as_well() {
        let read = |given: &str| read(given.split(' ').map(OsString::from).collect());
        for given in ["-h", "-rh", "-qvh", "--help", "-r -t app:1 --help"] {
            assert!(matches!(read(given), Ok(Request::Help)), "{given}");
        }
        for given in ["-V", "-qV", "--version", "scratchpack -rV"] {
            assert!(matches!(read(given), Ok(Request::Version)), "{given}");
        }
        for given in ["-oh", "-rth", "-ph", "-FV", "--cmd -h", "-- -h"] {
            assert!(matches!(read(given), Ok(Request::Pack(_))), "{given}");
        }
    }

    #[test]
    fn a_word_behind_locked_may_be_meant_as_its_value() {
        for (given, expected) in [
            ("--locked a.lock -o -", Some("a.lock")),
            ("--locked -o - app", None),
            ("--locked=a.lock app", None),
            ("app --locked", None),
            ("--cmd --locked app", None),
        ] {
            assert_eq!(arguments(given).behind_locked.as_deref(), expected.map(OsStr::new), "{given}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for given in ["--target", "-p", "-rF", "--target a --target=b", "--bin a --example b", "--bin a --bin b"] {
            let read = read(given.split(' ').map(OsString::from).collect());
            assert!(matches!(read, Err(Failure::Usage(_))), "{given}");
        }
    }

    #[test]
    fn the_help_names_every_option_of_cargo() {
        for name in FLAGS.iter().chain(&WITH_VALUE) {
            assert!(HELP.contains(name), "{name}");
        }
    }
}
