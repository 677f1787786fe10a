//! The main job: compiles hello.c, packs it, and says what is in the image and why.
//!
//! `cargo run --example hello`

#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};

use scratchpack::{EntryKind, Image};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = output_directory()?;
    let hello = compile(&directory)?;

    let image = Image::from_binary(&hello)?;
    let archive = directory.join("hello.tar");
    let written = image.write_archive(&archive)?;

    println!("{} holds", archive.display());
    for entry in image.entries() {
        let (size, path) = (entry.size(), entry.path().display());
        match entry.kind() {
            EntryKind::Symlink(target) => println!("{size:>9}  {path} -> {}", target.display()),
            _ => println!("{size:>9}  {path}  ({})", entry.reason()),
        }
    }
    println!("{:>9}  bytes in all, as {}", written.size(), written.digest());
    println!("\nNow type\n  docker load -i {} && docker run --rm hello", archive.display());
    Ok(())
}

/// Beside the example's own program, in cargo's target directory.
fn output_directory() -> Result<PathBuf, Box<dyn std::error::Error>> {
    let program = std::env::current_exe()?;
    Ok(program.parent().ok_or("a program is in a directory")?.to_owned())
}

fn compile(directory: &Path) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let hello = directory.join("hello-c").join("hello");
    std::fs::create_dir_all(directory.join("hello-c"))?;
    let machine = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let compiler =
        cc::Build::new().cargo_metadata(false).opt_level(2).target(&machine).host(&machine).try_get_compiler()?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hello.c");
    match compiler.to_command().arg(source).arg("-o").arg(&hello).status()?.success() {
        true => Ok(hello),
        false => Err("hello.c does not compile; is there a C compiler?".into()),
    }
}
