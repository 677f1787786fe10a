//! Compiles hello.c, and packs the program into `OUT_DIR`.
//!
//! A build script runs *before* the package's own program is linked, so it packs what it built itself.

use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let (hello, new) = (out.join("hello"), out.join("hello.new"));
    let compiled = cc::Build::new().get_compiler().to_command().arg("hello.c").arg("-o").arg(&new).status()?;
    assert!(compiled.success(), "hello.c does not compile");

    // The C library is no file of the package, so cargo runs this each time (see `rerun_if_changed`). That costs little with
    // a cache, and an image of which nothing changed is left alone: so is a program that was compiled to the same.
    if fs::read(&hello).ok() != fs::read(&new).ok() {
        fs::rename(&new, &hello)?;
    }
    let image = scratchpack::Image::builder().binary(&hello).cache_dir(out.join("cache")).build()?;
    image.write_archive(out.join("hello.tar"))?;

    println!("cargo::rerun-if-changed=hello.c");
    scratchpack::build_script::rerun_if_changed(&image);
    Ok(())
}
