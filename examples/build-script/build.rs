//! Compiles hello.c, and packs the program into `OUT_DIR`.
//!
//! A build script runs *before* the package's own program is linked, so it packs what it built itself.

use std::env;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let hello = out.join("hello");
    let compiled = cc::Build::new().get_compiler().to_command().arg("hello.c").arg("-o").arg(&hello).status()?;
    assert!(compiled.success(), "hello.c does not compile");

    let image = scratchpack::Image::from_binary(&hello)?;
    image.write_archive(out.join("hello.tar"))?;

    println!("cargo::rerun-if-changed=hello.c");
    scratchpack::build_script::rerun_if_changed(&image);
    Ok(())
}
