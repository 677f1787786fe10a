//! Names that few expect in what tools make of a layer: each reads back the very same.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use scratchpack::{Compression, EntryKind, Image, check};

use crate::fixtures::{compile, scratch};
use crate::odd::names;
use crate::tools::{self, command, run};
use crate::tree::{self, Node};
use crate::verify::verified;

const PROGRAM: &str = "int main(void) { return 0; }";

/// Reads the archive in the current directory's parent into it, with nothing left out or made better.
const PYTHON: &str = "
import os, sys, tarfile
tarfile.TarFile.extraction_filter = staticmethod(lambda member, path: member)
os.umask(0)
with tarfile.open(sys.argv[1]) as archive:
    archive.extractall('.')
";

/// Writes a line for each member: its name, its link target and its size, in hexadecimal digits.
const LIST: &str = "
import os, sys, tarfile
with tarfile.open(sys.argv[1]) as archive:
    for member in archive:
        print(os.fsencode(member.name).hex(), os.fsencode(member.linkname).hex(), member.size)
";

/// Targets of links that are more than a name.
fn targets() -> Vec<Vec<u8>> {
    let mut targets = names();
    targets.extend(
        [&b"/etc/passwd"[..], b"../../../../../etc/passwd", b"./a//b/../c/", b".", b"/", b".wh.x"].map(<[u8]>::to_vec),
    );
    targets.push([b"x/".repeat(60).as_slice(), b"../../y"].concat());
    targets.extend([(b'/', 4_095), (b'x', 4_095)].map(|(first, size)| [vec![first], vec![b't'; size - 1]].concat()));
    targets
}

fn below(directory: &str, name: &[u8]) -> PathBuf {
    Path::new(directory).join(OsStr::from_bytes(name))
}

/// An image with every name for a program, files, further names of files, symlinks and directories.
fn image(scratch: &Path) -> Image {
    compile(PROGRAM, &scratch.join("app"), &["-static", "-no-pie"]);
    let mut builder = Image::builder();
    builder.binary(scratch.join("app")).install(below("/bin", b"p\n\xff \\")).entrypoint(["x"]).tag("names");
    builder.compression(Compression::None);
    for (number, name) in names().iter().enumerate() {
        let source = scratch.join("files").join(OsStr::from_bytes(name));
        fs::create_dir_all(source.parent().unwrap()).unwrap();
        fs::write(&source, vec![b'c'; number * 97]).unwrap();
        builder.file(&source, below("/files", name)).file(&source, below("/again", name));
        builder.directory(below("/directories", name), if number % 2 == 0 { 0o755 } else { 0o1777 });
    }
    for (number, target) in targets().iter().enumerate() {
        builder.symlink(OsStr::from_bytes(target), format!("/targets/{number}"));
    }
    for name in names() {
        builder.symlink("t", below("/links", &name));
    }
    verified(builder.build().unwrap())
}

/// What must be there once it is unpacked.
fn expected(image: &Image) -> BTreeMap<PathBuf, String> {
    let node = |entry: &scratchpack::Entry| {
        let contents = |path: &Path| fs::read(path).unwrap();
        let first = |path: &Path| image.entries().find(|entry| entry.path() == path).unwrap().kind();
        let node = match entry.kind() {
            EntryKind::Directory => Node::Directory { mode: entry.mode() },
            EntryKind::Symlink(target) => Node::Link { target },
            EntryKind::File(source) => Node::File { mode: entry.mode(), contents: contents(&source) },
            EntryKind::HardLink(target) => match first(&target) {
                EntryKind::File(source) => Node::File { mode: entry.mode(), contents: contents(&source) },
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        (entry.path().strip_prefix("/").unwrap().to_owned(), shown(&node))
    };
    image.entries().map(node).collect()
}

/// All that is compared of a node.
fn shown(node: &Node) -> String {
    match node {
        Node::Link { target } => format!("link to {}", target.as_os_str().as_bytes().escape_ascii()),
        Node::File { contents, .. } => {
            format!(
                "{} {:x}",
                node.summary(),
                contents.iter().fold(7u64, |sum, &byte| sum.wrapping_mul(31) + u64::from(byte))
            )
        }
        Node::Directory { .. } => node.summary(),
    }
}

fn assert_same(expected: &BTreeMap<PathBuf, String>, root: &Path, tool: &str) {
    let found: BTreeMap<PathBuf, String> =
        tree::read(root).iter().map(|(path, node)| (path.clone(), shown(node))).collect();
    for (path, node) in expected {
        assert_eq!(found.get(path), Some(node), "{tool}: {}", path.as_os_str().as_bytes().escape_ascii());
    }
    assert_eq!(found.len(), expected.len(), "{tool} makes more than there is");
}

#[test]
fn every_name_is_read_back_the_same_by_every_tool() {
    if !tools::is_root() || !tools::are_here(&["cc", "tar", "bsdtar", "python3", "umoci"]) {
        return;
    }
    let scratch = scratch();
    let image = image(scratch.path());
    let expected = expected(&image);
    let layer = scratch.path().join("layer.tar");
    image.write_layer(&layer).unwrap();
    for (tool, arguments) in [
        ("tar", &["--extract", "--preserve-permissions", "--file"][..]),
        ("bsdtar", &["-x", "-p", "-f"]),
        ("python3", &["-c", PYTHON]),
    ] {
        let out = tempfile::tempdir_in(scratch.path()).unwrap();
        let mut command = command(tool);
        run(command.args(arguments).arg(&layer).current_dir(out.path()).env("LC_ALL", "C.UTF-8"));
        assert_same(&expected, out.path(), tool);
    }
    let layout = scratch.path().join("layout");
    image.write_layout(&layout).unwrap();
    let bundle = scratch.path().join("bundle");
    let name = format!("{}:latest", layout.display());
    run(command("umoci").args(["unpack", "--rootless", "--image", &name]).arg(&bundle));
    assert_same(&expected, &bundle.join("rootfs"), "umoci");
    let rootfs = scratch.path().join("rootfs");
    image.write_rootfs(&rootfs).unwrap();
    assert_same(&expected, &rootfs, "the crate itself");
    let archive = scratch.path().join("archive");
    image.write_archive(&archive).unwrap();
    for path in [&archive, &layout, &rootfs] {
        assert!(check(path).unwrap().is_fine(), "{}", path.display());
    }
    tools::say(&format!("{} names read back by five", expected.len()));
}

/// What lies so deep can be unpacked by no tool that puts a directory before its path.
#[test]
fn the_longest_path_that_linux_opens_is_read_back_the_same() {
    if !tools::are_here(&["cc", "tar", "bsdtar", "python3"]) {
        return;
    }
    let scratch = scratch();
    compile(PROGRAM, &scratch.path().join("app"), &["-static", "-no-pie"]);
    fs::write(scratch.path().join("file"), "12345").unwrap();
    let deep = format!("/{}", format!("{}/", "d".repeat(254)).repeat(16));
    let path = format!("{deep}{}", "f".repeat(4_095 - deep.len()));
    let mut builder = Image::builder();
    builder.binary(scratch.path().join("app")).compression(Compression::None);
    builder.file(scratch.path().join("file"), &path).symlink("x", format!("{}l", &path[..4_090]));
    let layer = scratch.path().join("layer.tar");
    builder.build().unwrap().write_layer(&layer).unwrap();
    let list = run(command("python3").args(["-c", LIST]).arg(&layer));
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(list.lines().any(|line| line == format!("{}  5", hex(&path[1..]))), "{list}");
    for (tool, arguments) in [("tar", &["--extract", "--file"][..]), ("bsdtar", &["-x", "-f"])] {
        let out = tempfile::tempdir_in(scratch.path()).unwrap();
        run(command(tool).args(arguments).arg(&layer).current_dir(out.path()));
        let read = "import sys; sys.stdout.write(open(sys.argv[1]).read())";
        let mut python = command("python3");
        assert_eq!(run(python.args(["-c", read, &path[1..]]).current_dir(out.path())), "12345", "{tool}");
    }
}
