//! Packing in processes of its own: which programs it runs, and what its bytes depend on.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;

use scratchpack::Image;

use crate::fixtures::scratch;
use crate::{tools, tree};

/// What the child packs; without it the test of that name has nothing to do.
const PROGRAM: &str = "SCRATCHPACK_PACK_IN_CHILD";
const INTO: &str = "SCRATCHPACK_PACK_INTO";
const COMPRESSION: &str = "SCRATCHPACK_PACK_COMPRESSION";
const THREADS: &str = "SCRATCHPACK_PACK_THREADS";
const UMASK: &str = "SCRATCHPACK_PACK_UMASK";
const WITH_UMASK: &str = r#"umask "$SCRATCHPACK_PACK_UMASK" && exec "$0" "$@""#;
const COMPRESSIONS: [&str; 3] = ["none", "gzip", "zstd"];
const CHILD: [&str; 3] = ["--exact", "packing::a_child_packs_what_its_environment_names", "--nocapture"];

#[test]
fn a_child_packs_what_its_environment_names() {
    let Some(program) = env::var_os(PROGRAM) else { return };
    let into = PathBuf::from(env::var_os(INTO).unwrap());
    let threads: NonZeroUsize = env::var(THREADS).unwrap().parse().unwrap();
    let compression = env::var(COMPRESSION).unwrap().parse().unwrap();
    let image = Image::builder().binary(program).compression(compression).threads(threads).build().unwrap();
    image.write_archive(into.join("image.tar")).unwrap();
    image.write_layout(into.join("layout")).unwrap();
    image.write_layer(into.join("layer")).unwrap();
    image.write_rootfs(into.join("rootfs")).unwrap();
}

/// A run of [`a_child_packs_what_its_environment_names`].
struct Packing<'a> {
    program: &'a Path,
    into: &'a Path,
    compression: &'a str,
    threads: usize,
}

impl Packing<'_> {
    fn give_to(&self, command: &mut Command) {
        command.args(CHILD).env(PROGRAM, self.program).env(INTO, self.into);
        command.env(COMPRESSION, self.compression).env(THREADS, self.threads.to_string());
    }
}

#[test]
fn packing_runs_no_other_program() {
    if !tools::are_here(&["strace"]) {
        return;
    }
    let (directory, this) = (scratch(), env::current_exe().unwrap());
    let log = directory.path().join("log");
    for compression in COMPRESSIONS {
        let into = directory.path().join(compression);
        fs::create_dir(&into).unwrap();
        let mut command = tools::command("strace");
        command.args(["-f", "-e", "trace=execve,execveat", "-o"]).arg(&log).arg(&this);
        Packing { program: &this, into: &into, compression, threads: 3 }.give_to(&mut command);
        tools::run(&mut command);
        assert!(into.join("rootfs").is_dir(), "nothing was packed");
        let log = fs::read_to_string(&log).unwrap();
        let programs: Vec<&str> = log.lines().filter(|line| line.contains("execve")).collect();
        assert_eq!(programs.len(), 1, "{compression}: {programs:#?}");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes_from_anywhere() {
    let this = env::current_exe().unwrap();
    let (directory, name) = (this.parent().unwrap(), Path::new(this.file_name().unwrap()));
    for compression in COMPRESSIONS {
        let packed = |threads, program, directory: &Path, variables: &[(&str, &str)]| {
            packed(&Packing { program, compression, threads, into: scratch().path() }, directory, variables)
        };
        let first = packed(1, &this, directory, &[]);
        assert!(first.contains_key(Path::new("image.tar")), "nothing was packed");
        for threads in [2, 3, 8] {
            assert_same(&first, &packed(threads, &this, directory, &[]), &format!("{threads} threads"));
        }
        for (what, variables) in SURROUNDINGS {
            assert_same(&first, &packed(2, &this, directory, variables), what);
        }
        assert_same(&first, &packed(2, &this, Path::new("/"), &[]), "another working directory");
        assert_same(&first, &packed(2, name, directory, &[]), "a relative path");
    }
}

const SURROUNDINGS: [(&str, &[(&str, &str)]); 6] = [
    ("another umask", &[(UMASK, "077")]),
    ("another time zone", &[("TZ", "Asia/Tokyo")]),
    ("a locale", &[("LC_ALL", "C.UTF-8"), ("LANG", "C.UTF-8")]),
    ("no locale", &[("LC_ALL", "C")]),
    ("another user", &[("USER", "somebody"), ("HOME", "/")]),
    ("what other tools heed", &[("SOURCE_DATE_EPOCH", "1"), ("LD_LIBRARY_PATH", "/usr/lib"), ("TMPDIR", "/")]),
];

/// The contents of all files that the child writes.
fn packed(packing: &Packing<'_>, directory: &Path, variables: &[(&str, &str)]) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut command = tools::command("sh");
    command.args(["-c", WITH_UMASK]).arg(env::current_exe().unwrap()).env(UMASK, "022");
    packing.give_to(&mut command);
    tools::run(command.current_dir(directory).envs(variables.iter().copied()));
    let nodes = tree::read(packing.into).into_iter();
    nodes.filter_map(|(path, node)| Some((path, node.contents()?))).collect()
}

fn assert_same(first: &BTreeMap<PathBuf, Vec<u8>>, other: &BTreeMap<PathBuf, Vec<u8>>, what: &str) {
    assert!(first.keys().eq(other.keys()), "{what}: {:?}\n{:?}", first.keys(), other.keys());
    let different: Vec<_> = first.keys().filter(|&path| first[path] != other[path]).collect();
    assert!(different.is_empty(), "{what} changes {different:?}");
}
