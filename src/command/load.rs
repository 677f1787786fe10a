//! `--load`: streams an image into docker or podman, whichever is there. No file is written on the way.

use std::error::Error as _;
use std::io::{self, ErrorKind, PipeReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use scratchpack::{Error, Image, Written, printable};

use super::Failure;

/// In the order in which they are looked for.
const TOOLS: [&str; 2] = ["docker", "podman"];
/// How much of what a tool says is kept: the end, where the error stands.
const KEPT: usize = 16 << 10;
/// How long a tool that has ended may take to say why: something that it started may hold its output open for ever.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A program that takes images.
pub(crate) struct Tool {
    name: &'static str,
    path: PathBuf,
}

impl Tool {
    /// The first that is on PATH.
    pub(crate) fn find() -> Result<Tool, Failure> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = TOOLS.iter().find_map(|name| {
            let mut candidates = std::env::split_paths(&path).map(|directory| directory.join(name));
            candidates.find(|candidate| is_program(candidate)).map(|path| Tool { name, path })
        });
        found.ok_or_else(|| {
            let tools = TOOLS.join(" nor ");
            failed(&format!("neither {tools} is on PATH; install one of them, or write an archive with -o"))
        })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Streams the image into the tool, and waits until it has taken it. Which daemon it talks to is its own business.
    pub(crate) fn load(&self, image: &Image) -> Result<Written, Failure> {
        let (mut child, said) = self.start().map_err(|error| self.unusable(&error))?;
        let mut pipe = child.stdin.take();
        let written = match pipe.as_mut().map(|pipe| image.write_docker_archive_to(pipe)).transpose() {
            Err(error) if !is_closed(&error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error.into());
            }
            written => written.ok().flatten(),
        };
        // It ends when its input does.
        drop(pipe);
        let status = child.wait().map_err(|error| self.unusable(&error))?;
        match written {
            Some(written) if status.success() => Ok(written),
            _ => Err(self.refused(status, &said.recv_timeout(LAST_WORDS).unwrap_or_default())),
        }
    }

    /// What it says is kept apart from what this command answers.
    fn start(&self) -> io::Result<(Child, Receiver<Vec<u8>>)> {
        let (reader, writer) = io::pipe()?;
        let mut command = Command::new(&self.path);
        command.arg("load").stdin(Stdio::piped()).stdout(writer.try_clone()?).stderr(writer);
        let child = command.spawn()?;
        let (sender, said) = channel();
        // Read at all times, or the tool would wait for room to say more while it is to read.
        std::thread::Builder::new().spawn(move || sender.send(end_of(reader)))?;
        Ok((child, said))
    }

    fn unusable(&self, error: &io::Error) -> Failure {
        failed(&format!("{} cannot be run: {error}; repair it, or write an archive with -o", printable(&self.path)))
    }

    fn refused(&self, status: ExitStatus, said: &[u8]) -> Failure {
        let name = self.name;
        let how = match status.success() {
            true => "it ended before it had read the image".to_owned(),
            false => status.to_string(),
        };
        let lines: Vec<String> = lines(said).iter().map(|line| format!("\n  {}", printable(line))).collect();
        let words = lines.concat();
        failed(&format!(
            "`{name} load` failed ({how}){words}\nsee whether `{name} images` works, or write an archive with -o and load it \
             where it does"
        ))
    }
}

fn failed(why: &str) -> Failure {
    Failure::Failed(format!("cannot load the image: {why}"))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Whether the tool took no more: then it has the better words for why.
fn is_closed(error: &Error) -> bool {
    let cause = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == ErrorKind::BrokenPipe)
}

/// Reads to the end, and keeps the end.
fn end_of(mut reader: PipeReader) -> Vec<u8> {
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = reader.read(&mut buffer) {
        said.extend_from_slice(&buffer[..count]);
        said.drain(..said.len().saturating_sub(KEPT));
    }
    said
}

/// A bar of progress is drawn over and over in one line: what it showed last counts.
fn lines(said: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(said);
    let shown = text.lines().map(|line| line.trim_end().rsplit('\r').next().unwrap_or_default().trim_end());
    shown.filter(|line| !line.is_empty()).map(str::to_owned).collect()
}
