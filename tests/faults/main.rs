//! What becomes of outputs and caches when the machine fails, files change and processes are killed. Each test names what
//! it needs, and is skipped, and says so, where that is absent; with `SCRATCHPACK_REQUIRE_TOOLS=1` it fails instead.
#![allow(dead_code, unreachable_pub, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

#[path = "../it/elf.rs"]
mod elf;
mod injected;
mod killed;
mod limits;
mod order;
#[path = "../oracle/parallel.rs"]
mod parallel;
#[path = "../shared/random.rs"]
mod random;
mod reading;
mod repeated;
#[path = "../it/root.rs"]
mod root;
mod scene;
mod space;
mod stopped;
mod targets;
mod together;
#[path = "../oracle/tools.rs"]
mod tools;
#[path = "../verify/mod.rs"]
mod verify;
mod whole;
