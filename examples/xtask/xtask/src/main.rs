//! `cargo xtask image`: builds the package's own program, and packs it.
//!
//! A build script cannot do that, for it runs before its package's program is linked.

use std::env;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use scratchpack::{Image, Level};
use serde_json::Value;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const PROGRAM: &str = "app";

const USAGE: &str = "usage: cargo xtask image [--target TRIPLE] [--sysroot DIR]";

/// What `cargo xtask image` takes.
#[derive(Default)]
struct Options {
    /// The machine that the program is for; cargo's default without it.
    target: Option<String>,
    /// The root directory whose libraries the program is to have; this machine's without it.
    sysroot: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    match arguments.next().as_deref() {
        Some("image") => image(&options(arguments)?),
        _ => Err(USAGE.into()),
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options::default();
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or(USAGE);
        match name.as_str() {
            "--target" => options.target = Some(value()?),
            "--sysroot" => options.sysroot = Some(value()?.into()),
            _ => return Err(USAGE.into()),
        }
    }
    Ok(options)
}

/// The cache lets an image of which nothing changed cost milliseconds, and leaves it alone.
fn image(options: &Options) -> Result<()> {
    let program = build(options.target.as_deref())?;
    let directory = program.parent().ok_or("a program is in a directory")?;
    let archive = directory.join(format!("{PROGRAM}.tar"));

    let mut builder = Image::builder();
    builder.binary(&program).tag(PROGRAM).cache_dir(directory.join("image-cache"));
    if let Some(sysroot) = &options.sysroot {
        builder.sysroot(sysroot);
    }
    let image = builder.build()?;
    for warning in image.findings().iter().filter(|finding| finding.level() == Level::Warning) {
        eprintln!("{warning}");
    }
    let written = image.write_archive(&archive)?;

    println!("{}", written.digest());
    eprintln!("Now type\n  docker load -i {} && docker run --rm {PROGRAM}", shown(&archive));
    Ok(())
}

/// Builds the program, and hears from cargo where it is: that depends on the target and on cargo's configuration.
fn build(target: Option<&str>) -> Result<PathBuf> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--package", PROGRAM, "--bin", PROGRAM]);
    cargo.arg("--message-format=json-render-diagnostics");
    if let Some(target) = target {
        cargo.args(["--target", target]);
    }
    let mut child = cargo.stdout(Stdio::piped()).spawn()?;
    let mut program = None;
    for line in BufReader::new(child.stdout.take().ok_or("it has a pipe")?).lines() {
        program = executable(&line?).or(program);
    }
    match (child.wait()?.success(), program) {
        (true, Some(program)) => Ok(program),
        (true, None) => Err("cargo does not say where the program is".into()),
        (false, _) => Err("cargo build failed".into()),
    }
}

/// What cargo made, if that is a program: other messages are about libraries, build scripts, and the end.
fn executable(line: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    let is_program = message["target"]["kind"].as_array()?.iter().any(|kind| kind == "bin");
    is_program.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
}

/// A path as a person types it.
fn shown(path: &Path) -> String {
    let directory = env::current_dir().unwrap_or_default();
    path.strip_prefix(directory).unwrap_or(path).display().to_string()
}
