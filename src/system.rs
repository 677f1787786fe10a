//! What Linux is asked in its own way, and other systems in the one that they have in common: the only place that tells them
//! apart, but for the modules that need a Unix and are absent elsewhere (`lib.rs`).
//!
//! Of every system: names, reading by position, what helps with an error. Of every Unix: what `linux` and `portable` have.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux;
// Its tests run everywhere.
#[cfg(any(not(unix), test))]
mod no_unix;
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
mod portable;
#[cfg(unix)]
mod unix;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use linux::*;
#[cfg(not(unix))]
pub(crate) use no_unix::*;
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
pub(crate) use portable::*;
#[cfg(unix)]
pub(crate) use unix::*;
