//! What the crate promises, a module for each behaviour. Fixtures are written byte by byte, or compiled from C.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod analyzing;
mod architectures;
mod caching;
mod checking;
mod crafted;
mod damaged;
mod differential;
mod documents;
mod elf;
mod errors;
mod escapes;
mod examples;
mod explaining;
mod extras;
mod hidden;
mod hostile;
mod inputs;
mod layers;
mod limits;
mod lock_reasons;
mod locking;
mod messages;
mod musl;
mod mutated;
mod names;
mod needs;
#[path = "../shared/odd.rs"]
mod odd;
mod outputs;
mod packages;
mod placing;
mod proving;
#[path = "../shared/random.rs"]
mod random;
mod rights;
mod root;
mod rpmdb;
mod searching;
mod seeds;
mod sizes;
mod stranger;
mod unbuilt_cache;
mod variants;
mod verified;
#[path = "../verify/mod.rs"]
mod verify;
mod versions;
mod worst;

#[cfg(feature = "cli")]
mod asking;
#[cfg(feature = "cli")]
mod command;
#[cfg(feature = "cli")]
mod command_lock;
#[cfg(feature = "cli")]
mod loading;
#[cfg(feature = "sbom")]
mod sbom;
