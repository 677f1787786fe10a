//! What a program needs, and which rule of the loader found it: `cargo run --example inspect /usr/bin/ls`

#![allow(clippy::print_stdout)]

use scratchpack::Closure;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let program = std::env::args_os().nth(1).ok_or("give the path of a program")?;
    let closure = Closure::of(program)?;
    for object in closure.objects() {
        let names: Vec<String> = object.needed_by().map(|path| path.display().to_string()).collect();
        println!(
            "{} [{}] {} bytes, needed by {}",
            object.opened().display(),
            object.found_by().code(),
            object.size(),
            names.join(", ")
        );
    }
    for missing in closure.missing() {
        println!("{missing}");
    }
    Ok(())
}
