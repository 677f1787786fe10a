//! Has cargo build the program, and hears from it where it is.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use scratchpack::printable;
use serde::Deserialize;

use super::Failure;
use super::arguments::Arguments;

/// A message of cargo's about something that it made (cargo book, "External tools"). It makes other things as well.
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

/// The cargo that runs this command, or that is on PATH.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg(subcommand);
    command
}

/// What it answers; what it has to say goes where ours does.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>, Failure> {
    let mut answer = Vec::new();
    run(command, |out| out.read_to_end(&mut answer).map(drop))?;
    Ok(answer)
}

/// Builds the program, and gives its path. `choice` is its name, where the arguments have none.
pub(crate) fn program(arguments: &Arguments, choice: Option<&str>) -> Result<PathBuf, Failure> {
    let mut command = cargo("build");
    command.arg("--message-format=json-render-diagnostics").args(&arguments.cargo);
    match (choice, arguments.is_named) {
        (Some(name), _) => drop(command.arg("--bin").arg(name)),
        (None, true) => {}
        (None, false) => drop(command.arg("--bins")),
    }
    let kind = if arguments.is_example { "example" } else { "bin" };
    let mut programs = Vec::new();
    run(&mut command, |out| {
        BufReader::new(out).split(b'\n').try_for_each(|line| line.map(|line| programs.extend(made(&line, kind))))
    })?;
    match <[PathBuf; 1]>::try_from(programs) {
        Ok([program]) => Ok(program),
        Err(programs) => Err(Failure::Failed(not_one(&programs))),
    }
}

/// The program of a message. What is no message was printed by what cargo ran.
fn made(line: &[u8], kind: &str) -> Option<PathBuf> {
    match serde_json::from_slice::<Message>(line) {
        Ok(message) => message.executable.filter(|_| message.target.is_some_and(|target| target.is_a(kind))),
        Err(_) => {
            // Nobody may be listening.
            let _ = io::stderr().write_all(&[line, b"\n"].concat());
            None
        }
    }
}

impl Target {
    fn is_a(&self, kind: &str) -> bool {
        self.kind.iter().any(|own| own == kind)
    }
}

fn not_one(programs: &[PathBuf]) -> String {
    match programs {
        [] => "cargo built no program; name one with --bin NAME or --example NAME".into(),
        _ => {
            let names = programs.iter().map(|program| format!("\n  {}", printable(program))).collect::<String>();
            format!("cargo built more than one program; choose one with --bin NAME and --package NAME:{names}")
        }
    }
}

fn run(command: &mut Command, read: impl FnOnce(&mut dyn Read) -> io::Result<()>) -> Result<(), Failure> {
    let name = printable(command.get_program()).to_string();
    let subcommand = command.get_args().next().map(OsStr::to_owned).unwrap_or_default();
    let failed = |error: io::Error| Failure::Failed(format!("cannot run {name}: {error}; is Rust installed?"));
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let heard = child.stdout.take().map_or(Ok(()), |mut out| read(&mut out));
    let status = child.wait().map_err(failed)?;
    match (status.success(), heard) {
        (true, Ok(())) => Ok(()),
        (true, Err(error)) => Err(Failure::Failed(format!("cannot read what {name} says: {error}"))),
        // cargo has said why.
        (false, _) => Err(Failure::Failed(format!("cargo {} failed; nothing was packed", printable(&subcommand)))),
    }
}

#[cfg(test)]
mod tests {
    use super::made;
    use std::path::Path;

    #[test]
    fn only_a_program_of_the_kind_is_heard() {
        let program = br#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"a"},"executable":"/t/a"}"#;
        assert_eq!(made(program, "bin").as_deref(), Some(Path::new("/t/a")));
        assert_eq!(made(program, "example"), None);
        for other in [
            r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"a"},"executable":null}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "words of a macro",
        ] {
            assert_eq!(made(other.as_bytes(), "bin"), None);
        }
    }
}
