//! PT_INTERP, which the kernel opens.

use crate::bench::Bench;
use crate::link::plain;

/// An interpreter in a root that holds the loader as well.
fn with_interpreter(path: &str) -> Option<Bench> {
    let bench = Bench::in_chroot()?;
    Some(bench.program(plain().interpreter(path)))
}

/// The path of the loader itself.
fn loader() -> Option<String> {
    Some(Bench::of_glibc()?.program(plain()).interpreter())
}

#[test]
fn an_interpreter_may_be_a_symlink() {
    let Some((bench, loader)) = with_interpreter("/i/ld.so").zip(loader()) else { return };
    bench.link("i/ld.so", &loader).loads(&[]);
}

#[test]
fn an_interpreter_that_does_not_exist_starts_nothing() {
    let Some(bench) = with_interpreter("/i/ld.so") else { return };
    bench.has_no_interpreter();
}

#[test]
fn an_interpreter_that_is_text_starts_nothing() {
    let Some(bench) = with_interpreter("/i/ld.so") else { return };
    bench.text("i/ld.so", &"no program ".repeat(9)).mode("i/ld.so", 0o755).has_no_interpreter();
}

#[test]
fn an_interpreter_in_place_of_which_a_directory_stands_starts_nothing() {
    let Some(bench) = with_interpreter("/i/ld.so") else { return };
    bench.folder("i/ld.so").has_no_interpreter();
}

#[test]
fn an_interpreter_of_another_machine_starts_nothing() {
    let Some((bench, loader)) = with_interpreter("/i/ld.so").zip(loader()) else { return };
    bench.copy(&loader[1..], "i/ld.so").patch("i/ld.so", |bytes| bytes[18] = 0xf7).has_no_interpreter();
}
