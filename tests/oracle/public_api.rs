//! What the crate promises its callers, line by line, as rustdoc knows it: `public_api.txt`, with the feature `sbom`.
//!
//! A line that is gone or changed breaks somebody's build, and takes a version that says so (semver: before 1.0 the second
//! number). A new line is a promise from then on. What others derive or the compiler concludes is left out, but for `Send`
//! and `Sync`, which callers rely on.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use public_api::Builder;

use crate::tools::{self, are_here, command, run};

/// Set to 1, the file is written anew.
const RENEW: &str = "SCRATCHPACK_RENEW";
const FILE: &str = "tests/oracle/public_api.txt";
/// What the compiler concludes of every type; of callers' interest are `Send` and `Sync` alone.
const CONCLUDED: [&str; 4] = ["Freeze for", "RefUnwindSafe for", "Unpin for", "UnwindSafe for"];

#[test]
fn the_public_api_is_the_listed_one() {
    if !are_here(&["cargo"]) {
        return;
    }
    // The format is not stable yet: another compiler may write one that the crate `public-api` of the lock file cannot read.
    let listing = listing(&rustdoc_json());
    let what = "a version of the crate public-api that reads this compiler's rustdoc JSON";
    if !tools::is_available(what, listing.is_some()) {
        return;
    }
    let (listing, file) = (listing.unwrap(), Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE));
    if env::var_os(RENEW).is_some_and(|value| value == "1") {
        fs::write(&file, listing.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    }
    let listed = fs::read_to_string(&file).unwrap();
    let difference = difference(&listed.lines().map(str::to_owned).collect(), &listing);
    assert!(
        difference.is_empty(),
        "the public API is not what {FILE} says:\n{difference}\
         What is gone (-) breaks callers, and takes a version that says so; what is new (+) is promised from now on. To take \
         it over:\n  {RENEW}=1 cargo test --features sbom --test oracle public_api::"
    );
}

#[test]
fn a_line_that_is_gone_and_one_that_is_new_are_told() {
    let set = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<BTreeSet<String>>();
    assert_eq!(
        difference(&set(&["pub fn a()", "pub fn b()"]), &set(&["pub fn a()", "pub fn c()"])),
        "- pub fn b()\n+ pub fn c()\n"
    );
    assert_eq!(difference(&set(&["pub fn a()"]), &set(&["pub fn a()"])), "");
}

fn difference(listed: &BTreeSet<String>, is: &BTreeSet<String>) -> String {
    let gone = listed.difference(is).map(|line| format!("- {line}\n"));
    let new = is.difference(listed).map(|line| format!("+ {line}\n"));
    gone.chain(new).collect()
}

/// In a target directory of its own: cargo, which runs this, has the other one.
fn rustdoc_json() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("public-api");
    let mut cargo = command("cargo");
    cargo.args(["rustdoc", "--quiet", "--locked", "--lib", "--features", "sbom", "--target-dir"]).arg(&target);
    cargo.args(["--", "-Z", "unstable-options", "--output-format", "json"]);
    // The output as JSON is not stable, and all stable compilers have it.
    run(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).env("RUSTC_BOOTSTRAP", "1").env_remove("RUSTFLAGS"));
    target.join("doc/scratchpack.json")
}

fn listing(json: &Path) -> Option<BTreeSet<String>> {
    let builder = Builder::from_rustdoc_json(json).omit_blanket_impls(true).omit_auto_derived_impls(true);
    let lines = builder.build().ok()?.items().map(ToString::to_string).collect::<Vec<String>>();
    Some(lines.into_iter().filter(|line| !CONCLUDED.iter().any(|concluded| line.contains(concluded))).collect())
}
