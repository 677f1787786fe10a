//! The crate beside the machine's own loader and image tools. Each test names what it needs, and is skipped, and says
//! so, where that is absent; with `SCRATCHPACK_REQUIRE_TOOLS=1` it fails instead.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bench;
mod checks;
mod closures;
mod compare;
mod debian;
mod engines;
mod findings_of_all;
mod fixtures;
mod foreign;
mod images;
mod images_of_all;
mod ldconfig;
mod link;
mod loader;
mod musl;
mod names;
#[path = "../shared/odd.rs"]
mod odd;
mod package;
mod packed;
mod packing;
mod parallel;
mod patch;
mod roots;
mod rules_audit;
mod rules_cache;
mod rules_directory;
mod rules_environment;
mod rules_interpreter;
mod rules_musl_names;
mod rules_musl_paths;
mod rules_musl_search;
mod rules_names;
mod rules_open;
mod rules_platform;
mod rules_search;
mod rules_secure;
mod rules_tokens;
mod rules_variants;
mod rules_versions;
mod start;
mod symbols;
mod tools;
mod tree;
#[path = "../verify/mod.rs"]
mod verify;

#[cfg(feature = "sbom")]
mod public_api;

#[cfg(feature = "cli")]
mod asking;
#[cfg(feature = "cli")]
mod cargo_projects;
#[cfg(feature = "cli")]
mod cargo_scratchpack;
#[cfg(feature = "cli")]
mod kernel_files;
#[cfg(feature = "cli")]
mod loading;
#[cfg(feature = "cli")]
mod locked;
#[cfg(feature = "cli")]
mod needs;
#[cfg(feature = "cli")]
mod rebuilding;
#[cfg(feature = "cli")]
mod rpm;
#[cfg(feature = "cli")]
mod scanners;
#[cfg(feature = "cli")]
mod unreadable;
#[cfg(feature = "cli")]
mod workflow;

#[cfg(feature = "cli")]
#[path = "../it/elf.rs"]
#[allow(dead_code, unreachable_pub)]
mod elf;
#[cfg(feature = "cli")]
#[path = "../it/root.rs"]
#[allow(dead_code, unreachable_pub)]
mod root;
