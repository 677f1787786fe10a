//! Packs a compiled C executable, and only what it needs to run, into a single-layer `FROM scratch` container image.
//!
//! It reads ELF; it never runs the program, its loader, `ldd`, a shell or a daemon.
//!
//! | noun | is |
//! |---|---|
//! | [`Image`] | everything resolved and proved, nothing written yet: look at it, then write it |
//! | [`ImageBuilder`] | what goes into an image, how it runs, and how it is made |
//! | [`Closure`] | a program with all that its dynamic loader would load, and what is missing |
//! | [`Object`] | one file of a closure: its place in the image, who needs it, and the rule by which it was found |
//! | [`Elf`] | what one file says about itself |
//! | [`Entry`] | one path of an image: what stands there, and why |
//! | [`Finding`] | something that you should know, with its evidence and what to do |
//! | [`Written`] | the digests and sizes of what was written |
//!
//! # Pack a program
//! ```no_run
//! let image = scratchpack::Image::from_binary("hello")?;
//! image.write_archive("hello.tar")?; // docker load -i hello.tar && docker run --rm hello
//! # Ok::<(), scratchpack::Error>(())
//! ```
//!
//! # Look before you write
//! ```no_run
//! use scratchpack::{Compression, Image};
//!
//! let image = Image::builder()
//!     .binary("target/server")
//!     .library_path("target/lib")
//!     .tag("example/server:1.2")
//!     .compression(Compression::ZSTD)
//!     .build()?;
//! for entry in image.entries() {
//!     println!("{} ({})", entry.path().display(), entry.reason());
//! }
//! for finding in image.findings() {
//!     eprintln!("{finding}");
//! }
//! image.write_layout("server/")?;
//! # Ok::<(), scratchpack::Error>(())
//! ```
//!
//! # In a build script
//! ```no_run
//! use std::path::PathBuf;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
//!     // What the script itself has built.
//!     let image = scratchpack::Image::from_binary(out.join("hello"))?;
//!     image.write_archive(out.join("hello.tar"))?;
//!     scratchpack::build_script::rerun_if_changed(&image);
//!     Ok(())
//! }
//! ```
//! A package's `build.rs` runs *before* its own program is linked. For the package's own program use an xtask, or `cargo
//! scratchpack`, which comes with the command (`cargo install scratchpack --features cli`). See [`build_script`].
//!
//! # See what a program needs
//! ```no_run
//! let closure = scratchpack::Closure::of("/usr/bin/git")?;
//! for object in closure.objects() {
//!     println!("{} {}", object.opened().display(), object.found_by().code());
//! }
//! assert!(closure.missing().is_empty());
//! # Ok::<(), scratchpack::Error>(())
//! ```
//! A [`Collector`] has the options of that search, a [`Rule`] is how a file was found. [`check()`] looks at images that
//! others made: a [`Check`] is what came out, with a [`Problem`] for each program that would not start. A [`Lock`] is what an
//! image holds and why, as text for version control; a [`Change`] is what became of one of its paths, and [`diff()`] tells
//! those between any two images.
//!
//! # Load it without a file
//! ```no_run
//! use std::process::{Command, Stdio};
//!
//! let image = scratchpack::Image::from_binary("hello")?;
//! let mut docker = Command::new("docker").arg("load").stdin(Stdio::piped()).spawn()?;
//! image.write_docker_archive_to(docker.stdin.take().ok_or("it has no standard input")?)?;
//! docker.wait()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! The command does that with `scratchpack build hello --load`; the library itself starts no program.
//!
//! # What a program opens by itself
//! Libraries that are loaded while a program runs are in its closure where its files tell of them. A [`Need`] is something
//! else that it opens: users, certificates, time zones. Each that its files tell of is a [`Requirement`], with its
//! [`Evidence`]; it is met on request, and otherwise a finding says what is lacking and what to do.
//! ```no_run
//! use scratchpack::{Image, Need};
//!
//! let mut builder = Image::builder();
//! builder.binary("target/server").with(Need::CaCertificates).user(65532, 65532);
//! let image = builder.library("libplugin.so.1").exclude("libcuda.so.*").build()?;
//! for requirement in image.closure().requirements().iter().filter(|requirement| !requirement.is_included()) {
//!     println!("without {}: {:?}", requirement.need(), requirement.evidence());
//! }
//! # Ok::<(), scratchpack::Error>(())
//! ```
//!
//! # Limits
//! Programs for Linux with glibc or musl, or static ones. What a program opens by itself at run time is found by evidence in
//! its files, so not all of it is: plugins whose names are put together at run time, and files of its own, must be named.
//! What a file, a closure or an image may have at most is in [`limits`].
//!
//! # Platforms
//! It runs on Linux. It also compiles for macOS, to pack with a sysroot what was cross-compiled for Linux; nobody has run its
//! tests there. The README has what is different.
//!
//! On Windows it compiles as well, and has what looks at one file: [`Elf`], with what that tells ([`ByteOrder`], [`Class`],
//! [`Dependency`], [`DependencyKind`], [`DlopenNote`], [`ElfKind`], [`Machine`], [`Priority`], [`VersionNeed`]); [`Error`],
//! [`ErrorKind`] and [`Result`], with the types of [`Error::missing`] ([`Attempt`], [`Missing`], [`Rule`], [`Why`]);
//! [`limits`], and [`printable`]. A file with a name in it that is not UTF-8 is an error there, for Windows has no such names.
//! All else walks the paths of a Linux system or writes them, and needs a Unix: use it within WSL.

#![forbid(unsafe_code)]
// docs.rs says of each item where it is there.
#![cfg_attr(docsrs, feature(doc_cfg))]
// What only the modules for Unix use is compiled elsewhere as well, and dead.
#![cfg_attr(not(unix), allow(dead_code, unreachable_pub, unused_imports))]

#[cfg(all(feature = "cli", not(unix)))]
compile_error!(
    "the commands scratchpack and cargo-scratchpack need a Unix; on Windows, build and use them within WSL, or use the \
     library without the feature `cli`, which analyzes ELF files there"
);

mod analyze;
#[cfg(unix)]
mod assemble;
#[cfg(unix)]
pub mod build_script;
#[cfg(unix)]
mod check;
#[cfg(unix)]
mod collect;
mod error;
#[cfg(unix)]
mod finding;
#[cfg(unix)]
mod json;
pub mod limits;
#[cfg(unix)]
mod lock;
mod need;
#[cfg(unix)]
mod packages;
#[cfg(unix)]
mod root;
#[cfg(all(unix, feature = "sbom"))]
mod sbom;
mod system;
mod text;
mod trace;
#[cfg(unix)]
mod tree;

pub use analyze::{
    ByteOrder, Class, Dependency, DependencyKind, DlopenNote, Elf, ElfKind, Machine, Priority, VersionNeed,
};
#[cfg(unix)]
pub use assemble::{Compression, Image, ImageBuilder, Progress, Stage, Written};
#[cfg(unix)]
pub use check::{Check, Problem, check};
#[cfg(all(unix, fuzzing))]
#[doc(hidden)]
pub use collect::fuzzing;
#[cfg(unix)]
pub use collect::{Closure, Collector, Explanation, Libc, Link, Object, Request, Weight};
pub use error::{Error, ErrorKind, Result};
#[cfg(unix)]
pub use finding::{Finding, Level};
#[cfg(unix)]
pub use lock::{Change, ChangeKind, Diff, ImageDiff, Lock, LockEntry, LockedKind, SettingChange, diff};
#[cfg(unix)]
pub use need::{Clue, Evidence, Excluded, Need, Requirement};
#[cfg(unix)]
pub use packages::{Distribution, Package};
#[cfg(all(unix, feature = "sbom"))]
pub use sbom::SbomFormat;
pub use text::printable;
pub use trace::{Attempt, Missing, Rule, Why};
#[cfg(unix)]
pub use tree::{Entry, EntryKind};
