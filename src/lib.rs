//! Packs a compiled C executable, and only what it needs to run, into a single-layer `FROM scratch` container image.
//!
//! It reads ELF; it never runs the program, its loader, `ldd`, a shell or a daemon.
//!
//! The nouns: an [`Elf`] is what one file says about itself. A [`Closure`] is a program with all [`Object`]s that its
//! dynamic loader would load, each found by a [`Rule`]; a [`Collector`] has the options of that search. An [`Image`] is
//! everything resolved and proved, nothing written yet, made by an [`ImageBuilder`]; its [`Entry`]s are what it holds,
//! each with a reason; its [`Finding`]s are what you should know; [`Written`] is the digests of what was written. [`check()`]
//! proves an image that others made: a [`Check`] is what came out, with a [`Problem`] for each program that would not start.
//! A [`Lock`] is what an image holds and why, as text for version control; a [`Change`] is what became of one of its paths,
//! and [`diff()`] tells those between any two images.
//!
//! # Pack a program
//! ```no_run
//! let image = scratchpack::Image::from_binary("hello")?;
//! image.write_archive("hello.tar")?; // docker load -i hello.tar && docker run --rm hello
//! # Ok::<(), scratchpack::Error>(())
//! ```
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
//! # See what a program needs
//! ```no_run
//! let closure = scratchpack::Closure::of("/usr/bin/git")?;
//! for object in closure.objects() {
//!     println!("{} {}", object.opened().display(), object.found_by().code());
//! }
//! assert!(closure.missing().is_empty());
//! # Ok::<(), scratchpack::Error>(())
//! ```
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
//! # In a build script
//! A package's `build.rs` runs *before* its own program is linked: there, pack what the script itself built, and see
//! [`build_script`]. For the package's own program use an xtask, or the command (`cargo install scratchpack --features
//! cli`).
//!
//! # Limits
//! Programs for Linux with glibc or musl, or static ones. What a program opens by itself at run time is found by evidence in
//! its files, so not all of it is: plugins whose names are put together at run time, and files of its own, must be named.
//! What a file, a closure or an image may have at most is in [`limits`].

#![forbid(unsafe_code)]

mod analyze;
mod assemble;
pub mod build_script;
mod check;
mod collect;
mod error;
mod finding;
mod json;
pub mod limits;
mod lock;
mod need;
mod packages;
mod root;
#[cfg(feature = "sbom")]
mod sbom;
mod text;
mod trace;
mod tree;

pub use analyze::{
    ByteOrder, Class, Dependency, DependencyKind, DlopenNote, Elf, ElfKind, Machine, Priority, VersionNeed,
};
pub use assemble::{Compression, Image, ImageBuilder, Progress, Stage, Written};
pub use check::{Check, Problem, check};
#[cfg(fuzzing)]
#[doc(hidden)]
pub use collect::fuzzing;
pub use collect::{Closure, Collector, Explanation, Libc, Link, Object, Request, Weight};
pub use error::{Error, ErrorKind, Result};
pub use finding::{Finding, Level};
pub use lock::{Change, ChangeKind, Diff, ImageDiff, Lock, LockEntry, LockedKind, SettingChange, diff};
pub use need::{Clue, Evidence, Excluded, Need, Requirement};
pub use packages::{Distribution, Package};
#[cfg(feature = "sbom")]
pub use sbom::SbomFormat;
pub use text::printable;
pub use trace::{Attempt, Missing, Rule, Why};
pub use tree::{Entry, EntryKind};
