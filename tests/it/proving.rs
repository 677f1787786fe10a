//! The image proves itself: the loader's rules over the finished tree alone.

use scratchpack::ErrorKind;

use crate::elf::{FLAGS_1, RUNPATH, library, program};
use crate::root::Root;

#[test]
fn a_library_that_the_images_loader_would_not_find_fails_the_build() {
    // The caller's directory becomes a builtin one, in which this program does not look.
    let root = Root::debian()
        .file("/app", &program(&["libx.so"]).number(FLAGS_1, 0x800))
        .file("/mine/libx.so", &library("libx.so"));
    let error = root.builder("/app").library_path(root.on_machine("/mine")).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unprovable);
    assert!(error.to_string().contains("in the image app needs libx.so, which was not found"), "{error}");
}

#[test]
fn the_environment_of_the_image_counts() {
    let root = Root::debian()
        .file("/one", &program(&["libx.so"]))
        .file("/two", &program(&["libx.so"]).with(RUNPATH, "/opt/two"))
        .file("/lib/libx.so", &library("libx.so"))
        .file("/opt/two/libx.so", &library("libx.so"));
    let mut builder = root.builder("/one");
    builder.binary(root.on_machine("/two"));
    assert!(builder.build().is_ok());
    let error = builder.env("LD_LIBRARY_PATH", "/opt/two").build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unprovable);
    let message = error.to_string();
    assert!(message.contains("/one would load /opt/two/libx.so where it loads"), "{message}");
    assert!(message.contains("lib/libx.so on this machine"), "{message}");
}

#[test]
fn an_environment_that_changes_nothing_is_fine() {
    let root = Root::debian().file("/app", &program(&["libx.so"])).file("/lib/libx.so", &library("libx.so"));
    let image = root.builder("/app").env("LD_LIBRARY_PATH", "/nowhere::relative").build();
    assert!(image.is_ok());
}

#[test]
fn the_library_path_of_the_environment_is_expanded_and_relative_to_the_working_directory() {
    let root = Root::debian()
        .file("/one", &program(&["libx.so"]))
        .file("/two", &program(&["libx.so"]).with(RUNPATH, "/opt/two"))
        .file("/lib/libx.so", &library("libx.so"))
        .file("/opt/two/libx.so", &library("libx.so"));
    for (path, directory, is_fine) in [
        ("$ORIGIN/opt/two", "/", false),
        ("/none;two", "/opt", false),
        ("two", "/", true),
        (":", "/opt/two", false),
        ("", "/opt/two", true),
    ] {
        let mut builder = root.builder("/one");
        builder.binary(root.on_machine("/two")).workdir(directory).env("LD_LIBRARY_PATH", path);
        assert_eq!(builder.build().is_ok(), is_fine, "{path} in {directory}");
    }
}
