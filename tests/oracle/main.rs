//! The crate beside the machine's own loader and image tools. Each test names what it needs, and is skipped, and says
//! so, where that is absent; with `SCRATCHPACK_REQUIRE_TOOLS=1` it fails instead.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod closures;
mod compare;
mod fixtures;
mod images;
mod loader;
mod musl;
mod packing;
mod roots;
mod tools;
mod tree;
