//! The arguments of the command.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Arg, Args, Parser, ValueEnum};
use clap_complete::Shell;
use scratchpack::{Collector, Compression, Need, Priority};

use super::pairs::{self, Directory, Identity, Pair};

/// Packs an ELF executable and only what it needs into a FROM scratch image, without running it.
#[derive(Parser)]
#[command(
    name = "scratchpack",
    bin_name = "scratchpack",
    version,
    after_help = "Example:\n  scratchpack build hello -o hello.tar\n  docker load -i hello.tar && docker run --rm hello\n\n  \
                  scratchpack build hello --load && docker run --rm hello\n\nEach command has a --help of its own; \
                  -h is the short form."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) subcommand: Subcommand,
}

#[derive(clap::Subcommand)]
pub(crate) enum Subcommand {
    /// Make an image of one or more programs.
    Build(Box<Build>),
    /// Show what a program needs: who needs what, found by which rule, where.
    Inspect(Inspect),
    /// Show why a file is in the image: every chain of requests from the program to it.
    Explain(Explain),
    /// Prove somebody's image: would its programs start?
    Check(Check),
    /// Show what differs between two images: what was added, is gone or changed, each with the chain of who needs it.
    Diff(Diff),
    /// Print a script that completes commands and options in a shell.
    Completions(Completions),
    /// Print the manual page.
    Man,
}

/// The arguments of an inspection alone.
#[derive(Parser)]
#[command(name = "scratchpack", disable_help_subcommand = true)]
pub(crate) struct Inspection {
    #[command(subcommand)]
    subcommand: InspectionAlone,
}

#[derive(clap::Subcommand)]
enum InspectionAlone {
    Inspect(Inspect),
}

impl From<Inspection> for Arguments {
    fn from(inspection: Inspection) -> Arguments {
        let InspectionAlone::Inspect(inspect) = inspection.subcommand;
        Arguments { subcommand: Subcommand::Inspect(inspect) }
    }
}

#[derive(Args, Clone, Default)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct Search {
    /// A directory that is `/` for everything but the program itself.
    #[arg(long, value_name = "DIR", help_heading = "What goes in")]
    pub(crate) sysroot: Option<PathBuf>,
    /// A directory to search for libraries, as LD_LIBRARY_PATH does; may be repeated.
    #[arg(long, value_name = "DIR", help_heading = "What goes in")]
    pub(crate) library_path: Vec<PathBuf>,
    /// A library that the program loads by itself (dlopen), with all that it needs; may be repeated.
    ///
    /// A name is searched for as the program's loader would; a path is one on this machine.
    #[arg(long, value_name = "NAME|PATH", help_heading = "What goes in")]
    library: Vec<PathBuf>,
    /// The program's path in the image (one BINARY).
    #[arg(long, value_name = "PATH", help_heading = "What goes in")]
    install: Option<PathBuf>,
    /// Include what a program may open at run time: users, nsswitch, services, ca-certificates, time-zones, locales,
    /// locale:NAME, gconv, gconv:NAME, tmp, openssl, terminfo, terminfo:NAME; may be repeated.
    #[arg(long, value_name = "NEED", help_heading = "What goes in")]
    with: Vec<Need>,
    /// Include all of these that the program's files tell of.
    #[arg(long, help_heading = "What goes in")]
    pub(crate) auto: bool,
    /// Which of the libraries to include that files say they load by themselves (`.note.dlopen`).
    ///
    /// Recommended ones are by default, and with each priority those above it.
    #[arg(long, value_name = "PRIORITY", help_heading = "What goes in")]
    dlopen: Option<Dlopen>,
    /// Add the variants of libraries for CPUs up to this glibc-hwcaps level, such as x86-64-v3, or for all.
    #[arg(long, value_name = "LEVEL|all", help_heading = "What goes in")]
    hwcaps: Option<String>,
    /// Leave out libraries of this name, such as libcuda.so.1 or 'libnvidia-*'; may be repeated.
    ///
    /// What only they need is left out as well: whoever runs the image provides them.
    #[arg(long, value_name = "GLOB", help_heading = "What goes in")]
    exclude: Vec<String>,
    /// The program's working directory, which relative search paths mean.
    #[arg(long, value_name = "DIR", help_heading = "How it runs")]
    pub(crate) workdir: Option<String>,
}

impl Search {
    pub(crate) fn collector(&self) -> Collector {
        let mut collector = self.collector_without_needs();
        for need in &self.with {
            collector.with(need.clone());
        }
        if self.auto {
            collector.auto();
        }
        collector
    }

    /// Whether needs are to be met.
    pub(crate) fn asks_for_needs(&self) -> bool {
        self.auto || !self.with.is_empty()
    }

    /// The same search for a program alone.
    pub(crate) fn collector_without_needs(&self) -> Collector {
        let mut collector = Collector::new();
        if let Some(dir) = &self.sysroot {
            collector.sysroot(dir);
        }
        for dir in &self.library_path {
            collector.library_path(dir);
        }
        for name in &self.library {
            collector.library(name);
        }
        if let Some(least) = self.dlopen {
            collector.dlopen(least.into());
        }
        for pattern in &self.exclude {
            collector.exclude(pattern);
        }
        if let Some(path) = &self.install {
            collector.install(path);
        }
        if let Some(level) = &self.hwcaps {
            collector.hwcaps(level);
        }
        if let Some(dir) = &self.workdir {
            collector.workdir(dir);
        }
        collector
    }
}

#[derive(Args, Clone)]
#[command(
    override_usage = "scratchpack build [OPTIONS] <BINARY>... -o <OUT>\n       scratchpack build [OPTIONS] <BINARY>... --load",
    mut_args(in_order)
)]
pub(crate) struct Build {
    /// The programs, by their paths on this machine; the first is the entrypoint.
    #[arg(required = true, value_name = "BINARY")]
    pub(crate) binaries: Vec<PathBuf>,
    /// Where to write: an archive, or with a `/` behind it an OCI layout, or `-` for standard output.
    ///
    /// A directory that exists is a layout as well. The archive is for docker load, podman load, skopeo and others.
    #[arg(short, long, value_name = "OUT", required_unless_present = "load")]
    pub(crate) output: Option<PathBuf>,
    /// The image's name; may be repeated. By default the first program's, `:latest`.
    #[arg(short, long = "tag", value_name = "NAME[:TAG]")]
    pub(crate) tags: Vec<String>,
    /// What to write, whatever OUT looks like.
    #[arg(long = "type", value_name = "TYPE", requires = "output")]
    pub(crate) kind: Option<Kind>,
    #[command(flatten)]
    pub(crate) search: Search,

    /// Copy the file SRC of this machine to DST in the image; may be repeated.
    ///
    /// A DST that ends in `/` is a directory. A program or library comes alone this way: give it as BINARY or --library to
    /// have what it needs as well.
    #[arg(long, value_name = "SRC:DST", value_parser = paths(pairs::file), help_heading = "What goes in")]
    pub(crate) file: Vec<Pair>,
    /// Make a symlink at PATH in the image, such as busybox:/bin/sh; may be repeated.
    #[arg(long, value_name = "TARGET:PATH", value_parser = paths(pairs::symlink), help_heading = "What goes in")]
    pub(crate) symlink: Vec<Pair>,
    /// Make a directory in the image, of mode 0755 or the octal one given, such as /tmp:1777; may be repeated.
    #[arg(long = "dir", value_name = "PATH[:MODE]", value_parser = paths(pairs::directory), help_heading = "What goes in")]
    pub(crate) directories: Vec<Directory>,
    /// Keep the capabilities that programs and files have of their own (setcap), which are dropped otherwise.
    #[arg(long, help_heading = "What goes in")]
    pub(crate) file_capabilities: bool,
    /// Keep setuid and setgid bits, which are dropped otherwise. Files of an image belong to root.
    #[arg(long, help_heading = "What goes in")]
    pub(crate) keep_setuid: bool,
    /// Tell scanners of vulnerabilities of the packages that files came from.
    ///
    /// What dpkg's, apk's or rpm's database has of them is put into the image, and which distribution it is
    /// (/var/lib/dpkg/status.d, /lib/apk/db, /var/lib/rpmmanifest, /etc/os-release).
    #[arg(long, help_heading = "What goes in")]
    pub(crate) package_db: bool,

    /// What the container runs, an argument at a time, instead of the first program.
    #[arg(long, value_name = "ARG", allow_hyphen_values = true, help_heading = "How it runs")]
    pub(crate) entrypoint: Vec<String>,
    /// An argument that the caller of the container may replace; may be repeated.
    #[arg(long, value_name = "ARG", allow_hyphen_values = true, help_heading = "How it runs")]
    pub(crate) cmd: Vec<String>,
    /// A variable of the container's environment; may be repeated.
    #[arg(long, value_name = "K=V", value_parser = pair, help_heading = "How it runs")]
    pub(crate) env: Vec<(String, String)>,
    /// Who the program runs as, in numbers, such as 65532:65532.
    #[arg(long, value_name = "UID[:GID]", help_heading = "How it runs")]
    pub(crate) user: Option<Identity>,
    /// A label of the image; may be repeated.
    #[arg(long, value_name = "K=V", value_parser = pair, help_heading = "How it runs")]
    pub(crate) label: Vec<(String, String)>,
    /// A port that the program listens on; may be repeated.
    #[arg(long, value_name = "PORT", help_heading = "How it runs")]
    pub(crate) expose: Vec<String>,
    /// The signal that stops the container.
    #[arg(long, value_name = "SIG", help_heading = "How it runs")]
    pub(crate) stop_signal: Option<String>,

    /// gzip[:N] loads everywhere, zstd[:N] is faster and smaller, none is the fastest.
    ///
    /// N is the level. zstd is too new for Docker 20.10 and older; none loads everywhere as well.
    #[arg(long, value_name = "CODEC", default_value = "gzip", help_heading = "How it is made")]
    pub(crate) compression: Compression,
    /// Remember in DIR what was made, so that the next image costs what changed.
    ///
    /// It changes no byte, and may be deleted at any time.
    #[arg(long, value_name = "DIR", help_heading = "How it is made")]
    pub(crate) cache: Option<PathBuf>,
    /// How many threads compress; they change no byte. By default all cores.
    #[arg(long, value_name = "N", value_parser = threads, help_heading = "How it is made")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// The time that the image and its files carry, in seconds since 1970. By default SOURCE_DATE_EPOCH, or else 0.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "How it is made")]
    pub(crate) created: Option<u64>,
    /// Do not wait until the output is on disk.
    ///
    /// For outputs that are thrown away: a loss of power may leave them empty.
    #[arg(long, help_heading = "How it is made")]
    pub(crate) no_sync: bool,
    /// Refuse an image whose files have more bytes than SIZE, such as 20MB or 20MiB, uncompressed; the largest are named,
    /// with the chains that lead to them.
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "How it is made")]
    pub(crate) max_size: Option<u64>,
    /// Fail, before anything is written, where the image holds something else than the lock FILE says (--lock).
    ///
    /// What was added, is gone or changed is shown, and who needs it. Another content of a BINARY itself is no difference,
    /// for each compilation makes one.
    #[arg(long, value_name = "FILE", help_heading = "How it is made")]
    pub(crate) locked: Option<PathBuf>,
    /// Write nothing, and only say what is wrong already, before the programs are built.
    ///
    /// What is below DIR will be made with them, and is not looked at. For tools that compile first, as cargo scratchpack does.
    #[arg(long, value_name = "DIR", help_heading = "How it is made")]
    pub(crate) before_build: Option<PathBuf>,
    /// A warning fails the build, before anything is written.
    #[arg(long, help_heading = "How it is made")]
    pub(crate) strict: bool,
    /// Print no warnings and notes.
    #[arg(short, long, help_heading = "How it is made")]
    pub(crate) quiet: bool,

    /// Stream the image into docker or, where that is not on PATH, into podman.
    ///
    /// It goes uncompressed, and without a file unless OUT is given as well. Which daemon it is, DOCKER_HOST and the like
    /// tell the tool itself.
    #[arg(long, help_heading = "What comes back")]
    pub(crate) load: bool,
    /// Write a lock to FILE, for version control: what the image holds and why.
    ///
    /// It has a line for each entry: path, digest, rule and reason. Where FILE says so already, it is left alone.
    #[arg(long, value_name = "FILE", help_heading = "What comes back")]
    pub(crate) lock: Option<PathBuf>,
    /// Write the image's id to FILE, as docker build does.
    ///
    /// It is the digest of the image's configuration. Where FILE says so already, it is left alone.
    #[arg(long, value_name = "FILE", help_heading = "What comes back")]
    pub(crate) iidfile: Option<PathBuf>,
    /// Write what OUT hangs on to FILE, in the syntax of make, for make, ninja, CMake and Meson.
    ///
    /// These are all files, and the directories in which a new file would change something, but for those of OUT and FILEs.
    /// Of a layout, the rule is for OUT/index.json.
    #[arg(long, value_name = "FILE", help_heading = "What comes back")]
    pub(crate) depfile: Option<PathBuf>,
    /// Write a software bill of materials to FILE: .spdx.json is SPDX 2.3, .cdx.json CycloneDX 1.5; may be repeated.
    #[arg(long, value_name = "FILE", help_heading = "What comes back")]
    pub(crate) sbom: Vec<PathBuf>,
    /// Say what each file adds, and begin with what would save most if it were not needed: its size, its size with what only
    /// it pulls in, and the library through which alone it is needed. As JSON, objects are in that order.
    #[arg(long, value_name = "KEY", help_heading = "What comes back")]
    pub(crate) sort: Option<SortKey>,
    /// How to answer: with the digest of the manifest, or with all that is known of the image.
    ///
    /// The digest is of what was written, or of the image uncompressed where it was loaded alone. `config_digest` in the
    /// report is what docker calls the image's id.
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = "What comes back")]
    pub(crate) format: ReportFormat,
}

#[derive(Args)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct Inspect {
    /// The program, by its path on this machine.
    #[arg(value_name = "BINARY")]
    pub(crate) binary: PathBuf,
    /// A tree of who needs what (by default), a list of the files, one a line, or all that is known.
    ///
    /// In a list, what is odd in a name is written \xNN, and nothing is said of needs unless --with or --auto asks for them.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<InspectFormat>,
    /// Begin with what would save most if it were not needed.
    ///
    /// Without --format, this gives a line for each file: its size, its size with what only it pulls in, and the library
    /// through which alone it is needed. With --format tree, what each file needs is drawn in that order.
    #[arg(long, value_name = "KEY")]
    pub(crate) sort: Option<SortKey>,
    #[command(flatten)]
    pub(crate) search: Search,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
#[cfg_attr(test, derive(Debug))]
pub(crate) enum SortKey {
    Size,
}

#[derive(Args)]
pub(crate) struct Explain {
    /// The program, by its path on this machine.
    #[arg(value_name = "BINARY")]
    pub(crate) binary: PathBuf,
    /// A library's name, or a path in the image.
    #[arg(value_name = "NAME")]
    pub(crate) name: OsString,
    /// Sentences, or all that is known.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: ReportFormat,
    #[command(flatten)]
    pub(crate) search: Search,
}

#[derive(Args)]
pub(crate) struct Check {
    /// A docker archive (docker save), an OCI archive or layout, or a root directory.
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,
    /// What would not start and why, in words or as JSON. Nothing is said of what is fine.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: ReportFormat,
}

#[derive(Args)]
#[command(after_help = "Exit status: 0 nothing differs, 1 something does, or could not be read, 2 usage.")]
pub(crate) struct Diff {
    /// A docker archive (docker save), an OCI archive or layout, a root directory, or a lock (build --lock).
    #[arg(value_name = "A")]
    pub(crate) before: PathBuf,
    /// Another one, in any of these forms.
    #[arg(value_name = "B")]
    pub(crate) after: PathBuf,
    /// A line for each difference, or all that is known of them.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: ReportFormat,
}

#[derive(Args)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// One tar that is an OCI layout and a docker archive.
    Archive,
    /// An OCI image layout directory.
    Layout,
    /// The file tree as a directory.
    Rootfs,
    /// The layer's tar alone.
    Layer,
}

/// Which declared libraries to include.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
#[cfg_attr(test, derive(Debug))]
enum Dlopen {
    Required,
    Recommended,
    Suggested,
}

impl From<Dlopen> for Priority {
    fn from(least: Dlopen) -> Self {
        match least {
            Dlopen::Required => Priority::Required,
            Dlopen::Recommended => Priority::Recommended,
            Dlopen::Suggested => Priority::Suggested,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
#[cfg_attr(test, derive(Debug))]
pub(crate) enum InspectFormat {
    Tree,
    List,
    Json,
}

/// The options of `build` that share a heading with those of every search, in the order of its help; all others are
/// behind them, as they are declared.
const ORDER: [&str; 19] = [
    "sysroot",
    "library_path",
    "library",
    "install",
    "file",
    "symlink",
    "directories",
    "with",
    "auto",
    "dlopen",
    "hwcaps",
    "exclude",
    "file_capabilities",
    "keep_setuid",
    "entrypoint",
    "cmd",
    "env",
    "user",
    "workdir",
];

fn in_order(option: Arg) -> Arg {
    let declared = ORDER.len() + option.get_display_order();
    let place = ORDER.iter().position(|name| option.get_id() == name);
    option.display_order(place.unwrap_or(declared))
}

/// Paths are bytes, so what holds one is as well.
fn paths<T: Clone + Send + Sync + 'static>(
    parse: fn(OsString) -> Result<T, String>,
) -> impl TypedValueParser<Value = T> {
    OsStringValueParser::new().try_map(parse)
}

/// A number of bytes: `20MB` has 20,000,000, `20MiB` 20,971,520.
fn size(text: &str) -> Result<u64, String> {
    parse_size::parse_size(text).map_err(|_| "it must be a number of bytes, such as 20MB, 20MiB or 1500000".to_owned())
}

fn threads(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "give a number, 1 or more")
}

fn seconds(text: &str) -> Result<u64, &'static str> {
    text.parse().map_err(|_| "give seconds since 1970 as a number, as `date +%s` prints them")
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it must have the form NAME=VALUE: LANG=C.UTF-8".to_owned()),
    }
}
