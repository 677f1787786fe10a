//! Packing in processes of its own: which programs it runs, and what its bytes depend on.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use scratchpack::{Closure, Image};

use crate::fixtures::scratch;
use crate::verify::verify_output;
use crate::{tools, tree};

/// What the child packs; without it the test of that name has nothing to do.
const PROGRAM: &str = "SCRATCHPACK_PACK_IN_CHILD";
const INTO: &str = "SCRATCHPACK_PACK_INTO";
const COMPRESSION: &str = "SCRATCHPACK_PACK_COMPRESSION";
const THREADS: &str = "SCRATCHPACK_PACK_THREADS";
/// Packs with a cache, into an archive alone.
const CACHE: &str = "SCRATCHPACK_PACK_CACHE";
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
    let mut builder = Image::builder();
    builder.binary(program).compression(compression).threads(threads);
    if let Some(cache) = env::var_os(CACHE) {
        builder.cache_dir(cache).build().unwrap().write_archive(into.join("image.tar")).unwrap();
        return;
    }
    let image = builder.build().unwrap();
    image.write_archive(into.join("image.tar")).unwrap();
    image.write_layout(into.join("layout")).unwrap();
    image.write_layer(into.join("layer")).unwrap();
    ["image.tar", "layout", "layer"].iter().for_each(|output| verify_output(&into.join(output)));
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
fn with_a_cache_what_did_not_change_is_not_read() {
    if !tools::are_here(&["strace"]) {
        return;
    }
    let directory = scratch();
    let program = directory.path().join("program");
    fs::copy(env::current_exe().unwrap(), &program).unwrap();
    // Past the tick of the clock in which it was written.
    std::thread::sleep(Duration::from_millis(50));
    let reads = || reads_of_packing(&program, directory.path());
    let closure = Closure::of(&program).unwrap();
    let library = closure.objects().iter().find(|object| object.name() == "libc.so.6").unwrap().source();
    let (size, program_size) = (fs::metadata(&library).unwrap().len(), fs::metadata(&program).unwrap().len());
    let read = |reads: &BTreeMap<PathBuf, u64>, path: &Path| reads.get(path).copied().unwrap_or(0);
    assert!(read(&reads(), &library) >= size, "a first image reads all");
    let again = reads();
    assert!(read(&again, &library) < size / 2, "{again:?}");
    assert!(read(&again, &program) < program_size / 2, "{again:?}");
    let mut file = fs::File::options().append(true).open(&program).unwrap();
    std::io::Write::write_all(&mut file, b"more").unwrap();
    drop(file);
    std::thread::sleep(Duration::from_millis(50));
    let changed = reads();
    assert!(read(&changed, &library) < size / 2, "{changed:?}");
    assert!(read(&changed, &program) >= program_size, "{changed:?}");
}

/// How many bytes of each file are read while a program is packed with a cache.
fn reads_of_packing(program: &Path, directory: &Path) -> BTreeMap<PathBuf, u64> {
    // A log for each thread, or the lines of one would be torn by those of another.
    let logs = tempfile::tempdir_in(directory).unwrap();
    let mut command = tools::command("strace");
    command.args(["-ff", "-y", "-qq", "-e", "trace=pread64,read", "-o"]).arg(logs.path().join("log"));
    command.arg(env::current_exe().unwrap());
    Packing { program, into: directory, compression: "zstd", threads: 2 }.give_to(&mut command);
    tools::run(command.env(CACHE, directory.join("cache")));
    let mut reads = BTreeMap::new();
    let logs = fs::read_dir(logs.path()).unwrap().map(|log| fs::read_to_string(log.unwrap().path()).unwrap());
    for line in logs.collect::<String>().lines() {
        // `pread64(3</lib/libc.so.6>, "..."..., 2097152, 0) = 1922136`
        let path = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
        let size = line.rsplit_once(" = ").and_then(|(_, size)| size.trim().parse::<u64>().ok());
        if let (Some((path, _)), Some(size)) = (path, size) {
            *reads.entry(PathBuf::from(path)).or_default() += size;
        }
    }
    reads
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
