//! A classic base image from scratch: busybox, a symlink for each applet, and a shell to start in.
//!
//! `cargo run --example busybox /bin/busybox busybox.tar`

#![allow(clippy::print_stdout)]

use scratchpack::Image;

/// What most people want of it; `busybox --list` has them all, but nothing is run here.
const APPLETS: &str = "awk cat chmod cp cut date df echo env find grep head ls mkdir mv ps rm sed sh sleep sort tail \
                       tar touch tr true uname vi wc wget xargs";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(busybox), Some(archive)) = (arguments.next(), arguments.next()) else {
        return Err("give the path of a busybox, and of the archive to write".into());
    };

    let mut builder = Image::builder();
    builder.binary(busybox).install("/bin/busybox").tag("busybox").entrypoint(["/bin/sh"]);
    for applet in APPLETS.split_whitespace() {
        builder.symlink("busybox", format!("/bin/{applet}"));
    }
    let image = builder.directory("/tmp", 0o1777).directory("/root", 0o700).build()?;
    for finding in image.findings() {
        println!("{finding}");
    }
    let written = image.write_archive(&archive)?;

    let archive = archive.display();
    println!("{} paths, {} bytes, as {}", image.entries().count(), written.size(), written.digest());
    println!("Now type\n  docker load -i {archive} && docker run --rm -it busybox");
    Ok(())
}
