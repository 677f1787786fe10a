//! Every image that this suite makes is verified.

use std::fs;
use std::path::Path;

#[test]
fn no_test_makes_an_image_that_is_not_verified() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    // What is made with a cache is compared with what is made without one: verifying it would fill the cache.
    let others = ["verified.rs", "caching.rs"];
    for file in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if others.iter().any(|other| file.ends_with(other)) {
            continue;
        }
        for line in fs::read_to_string(&file).unwrap().lines() {
            assert!(!line.contains(".build().unwrap()"), "{}: {line}", file.display());
        }
    }
}
