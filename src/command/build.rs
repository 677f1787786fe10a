//! `scratchpack build`

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use scratchpack::{
    Change, Compression, Entry, EntryKind, Error, ErrorKind, Finding, Image, ImageBuilder, Level, Written,
};
use serde::Serialize;

use super::Failure;
use super::args::{Build, Kind, ReportFormat};
use super::beside::{Beside, expect_directory_to_be, expect_writable, unwritable};
use super::changes::{ChangeReports, not_as_locked};
use super::clock::{Timings, timed};
use super::load::Tool;
use super::output::{finding_reports, print_error, say_findings, shown, text, write_json};
use super::progress::Bar;
use super::report::{ClosureReport, excluded_reports, need_reports, report_failure};
use super::sizes::write_sizes;
use super::unbuilt::is_unbuilt;

/// What can be known without looking at a program.
pub(super) struct Plan<'a> {
    output: Option<Output<'a>>,
    beside: Beside<'a>,
    tool: Option<Tool>,
    pub(super) builder: ImageBuilder,
}

impl<'a> Plan<'a> {
    pub(super) fn of(build: &'a Build) -> Result<Self, Failure> {
        let output = build.output.as_deref().map(|out| Output::of(build, out)).transpose()?;
        let target = output.as_ref().and_then(Output::target);
        let beside = Beside::of(build, target)?;
        // Before anything is written, because without it all would be for nothing.
        let tool = build.load.then(Tool::find).transpose()?;
        Ok(Plan { output, beside, tool, builder: builder(build)? })
    }
}

pub(crate) fn run(build: &Build) -> Result<(), Failure> {
    let Plan { output, beside, tool, mut builder } = Plan::of(build)?;
    let bar = Bar::of(&mut builder, build.quiet);
    let mut timings = Timings::default();
    let mut image = match timed(&mut timings.resolve, || builder.build()) {
        Ok(image) => image,
        Err(error) if build.format == ReportFormat::Json => {
            report_first(build)?;
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    };
    if !build.quiet {
        say_findings(image.findings(), build.search.auto);
    }
    if build.sort.is_some() && build.format == ReportFormat::Text {
        say_sizes(&image);
    }
    let loaded_into = tool.as_ref().map(Tool::name);
    let is_stdout = output.as_ref().is_some_and(Output::is_stdout);
    let mut work = Work { build, output, beside, tool, timings, changes: Vec::new() };
    let made = work.make(&mut image);
    drop(bar);
    // What is written is the answer, and nothing else is.
    if is_stdout {
        return made.map(drop);
    }
    let written = made.as_ref().ok().and_then(Option::as_ref);
    let changes = ChangeReports(&work.changes);
    match build.format {
        // On failure as well, for the image is known.
        ReportFormat::Json if !matches!(made, Err(Failure::Usage(_))) => {
            let loaded_into = loaded_into.filter(|_| made.is_ok());
            write_json(&Report { loaded_into, changes, timings: work.timings, ..Report::of(build, &image, written) })?;
        }
        // A directory has no digest.
        _ => written.map_or(Ok(()), |written| writeln!(io::stdout(), "{}", written.digest()))?,
    }
    made.map(drop)
}

/// What is to be done with an image that can be made.
struct Work<'a> {
    build: &'a Build,
    output: Option<Output<'a>>,
    beside: Beside<'a>,
    tool: Option<Tool>,
    timings: Timings,
    /// What is otherwise than a lock says.
    changes: Vec<Change>,
}

impl Work<'_> {
    fn make(&mut self, image: &mut Image) -> Result<Option<Written>, Failure> {
        self.expect_no_warnings(image)?;
        self.expect_as_locked(image)?;
        self.beside.expect_no_input(image)?;
        let write = |output: &Output<'_>| timed(&mut self.timings.write, || output.write(image));
        let written = self.output.as_ref().map(write).transpose()?.flatten();
        let load = |tool: &Tool| timed(&mut self.timings.load, || tool.load(image));
        let loaded = self.tool.as_ref().map(load).transpose()?;
        let written = written.or(loaded);
        self.beside.write_behind(image, written.as_ref())?;
        Ok(written)
    }

    /// With `--strict`, nothing may have been found.
    fn expect_no_warnings(&self, image: &Image) -> Result<(), Failure> {
        let is_warning = |finding: &Finding| finding.level() == Level::Warning;
        match self.build.strict && image.findings().iter().any(is_warning) {
            true => Err(Failure::Failed(
                "there are warnings, and --strict was given; nothing was written. Do what they say, or leave out \
                 --strict"
                    .into(),
            )),
            false => Ok(()),
        }
    }

    /// With `--locked`, the image must hold what the lock says.
    fn expect_as_locked(&mut self, image: &mut Image) -> Result<(), Failure> {
        let Some(file) = &self.build.locked else { return Ok(()) };
        self.changes = image.compare_with_lock(file).map_err(|error| without_lock(error, file))?;
        match self.changes.is_empty() {
            true => Ok(()),
            false => Err(Failure::Failed(not_as_locked(file, &self.changes))),
        }
    }
}

/// Why a lock cannot be read.
pub(super) fn without_lock(error: Error, file: &Path) -> Failure {
    match error.kind() {
        ErrorKind::NotFound if error.path() == Some(file) => {
            Failure::Failed(format!("there is no lock {}; write it with --lock first", shown(file)))
        }
        _ => error.into(),
    }
}

/// What `-o` and `--type` say.
struct Output<'a> {
    kind: Kind,
    path: &'a Path,
}

impl<'a> Output<'a> {
    fn of(build: &Build, path: &'a Path) -> Result<Self, Failure> {
        let output = Output { kind: build.kind.unwrap_or_else(|| kind_of(path)), path };
        if output.is_stdout() && matches!(output.kind, Kind::Layout | Kind::Rootfs) {
            return Err(Failure::Usage(
                "a layout or root directory cannot go to standard output; give -o the name of a directory".into(),
            ));
        }
        if output.kind == Kind::Rootfs && build.iidfile.is_some() && !build.load {
            return Err(Failure::Usage("a root directory is no image, and has no id; leave out --iidfile".into()));
        }
        if output.is_stdout() && build.format == ReportFormat::Json {
            return Err(Failure::Usage("standard output cannot hold the image and a report; give another -o".into()));
        }
        if !output.is_stdout() && !is_unbuilt(build, path) {
            output.expect_room()?;
        }
        Ok(output)
    }

    /// Says before all work what would otherwise fail behind it.
    fn expect_room(&self) -> Result<(), Failure> {
        match self.kind {
            Kind::Archive | Kind::Layer => expect_writable(self.path),
            Kind::Layout => expect_directory_to_be(self.path),
            Kind::Rootfs => expect_directory_to_be(self.path).and_then(|()| self.expect_empty()),
        }
    }

    fn expect_empty(&self) -> Result<(), Failure> {
        match self.path.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
            true => Err(unwritable(self.path, "the directory is not empty; remove it, or give a new name")),
            false => Ok(()),
        }
    }

    fn is_stdout(&self) -> bool {
        self.path == Path::new("-")
    }

    /// The file by which a build tool knows the output: of a layout the one that is written last.
    fn target(&self) -> Option<PathBuf> {
        match self.kind {
            _ if self.is_stdout() => None,
            Kind::Layout => Some(self.path.join("index.json")),
            _ => Some(self.path.to_owned()),
        }
    }

    /// `None` for a root directory, which has no digest.
    fn write(&self, image: &Image) -> Result<Option<Written>, Failure> {
        Ok(match self.kind {
            Kind::Layer if self.is_stdout() => Some(image.write_layer_to(io::stdout().lock())?),
            _ if self.is_stdout() => Some(image.write_archive_to(io::stdout().lock())?),
            Kind::Archive => Some(image.write_archive(self.path)?),
            Kind::Layer => Some(image.write_layer(self.path)?),
            Kind::Layout => Some(image.write_layout(self.path)?),
            Kind::Rootfs => {
                image.write_rootfs(self.path)?;
                None
            }
        })
    }
}

fn builder(build: &Build) -> Result<ImageBuilder, Failure> {
    let mut builder = Image::builder();
    // What is only loaded is not compressed; a cache then has it as it is.
    let compression = if build.output.is_some() { build.compression } else { Compression::None };
    builder.collector(build.search.collector()).compression(compression).cmd(build.cmd.clone());
    builder.created(created(build)?).durable(!build.no_sync);
    if let Some(dir) = &build.cache {
        builder.cache_dir(dir);
    }
    for path in &build.binaries {
        builder.binary(path);
    }
    for tag in &build.tags {
        builder.tag(tag);
    }
    for (name, value) in &build.env {
        builder.env(name, value);
    }
    for (name, value) in &build.label {
        builder.label(name, value);
    }
    add_extras(build, &mut builder);
    for port in &build.expose {
        builder.expose(port);
    }
    if let Some(identity) = build.user {
        builder.user(identity.user, identity.group);
    }
    if let Some(dir) = &build.search.workdir {
        builder.workdir(dir);
    }
    if let Some(signal) = &build.stop_signal {
        builder.stop_signal(signal);
    }
    if let Some(jobs) = build.jobs {
        builder.threads(jobs);
    }
    if !build.entrypoint.is_empty() {
        builder.entrypoint(build.entrypoint.clone());
    }
    Ok(builder)
}

fn add_extras(build: &Build, builder: &mut ImageBuilder) {
    for file in &build.file {
        builder.file(&file.from, &file.to);
    }
    for link in &build.symlink {
        builder.symlink(&link.from, &link.to);
    }
    for directory in &build.directories {
        builder.directory(&directory.path, directory.mode);
    }
    if let Some(most) = build.max_size {
        builder.max_size(most);
    }
    builder.file_capabilities(build.file_capabilities).keep_setuid(build.keep_setuid).package_db(build.package_db);
    builder.read_packages(!build.sbom.is_empty());
}

/// The convention of reproducible builds is the command's, not the library's (reproducible-builds.org).
fn created(build: &Build) -> Result<u64, Failure> {
    match (build.created, std::env::var("SOURCE_DATE_EPOCH")) {
        (Some(seconds), _) => Ok(seconds),
        (None, Ok(seconds)) => seconds.parse().map_err(|_| {
            Failure::Usage(
                "SOURCE_DATE_EPOCH must be a number of seconds since 1970; unset it, or give --created".into(),
            )
        }),
        (None, Err(_)) => Ok(0),
    }
}

fn kind_of(out: &Path) -> Kind {
    let is_directory = out.as_os_str().as_bytes().ends_with(b"/") || out.is_dir();
    if is_directory { Kind::Layout } else { Kind::Archive }
}

/// On standard error, for the answer is the digest alone.
fn say_sizes(image: &Image) {
    let mut words = Vec::new();
    // Writing to memory cannot fail.
    image.closures().iter().for_each(|closure| drop(write_sizes(&mut words, closure)));
    print_error(&String::from_utf8_lossy(&words));
}

/// What can be said of the first program all the same.
fn report_first(build: &Build) -> io::Result<()> {
    build.binaries.first().map_or(Ok(()), |binary| {
        report_failure(&build.search, binary, |closure| write_json(&Report { closure, ..Report::default() }))
    })
}

#[derive(Default, Serialize)]
struct Report<'a> {
    /// Of the first program.
    #[serde(flatten)]
    closure: ClosureReport<'a>,
    names: Vec<String>,
    digest: Option<&'a str>,
    config_digest: Option<&'a str>,
    layer_digest: Option<&'a str>,
    diff_id: Option<&'a str>,
    size: Option<u64>,
    layer_size: Option<u64>,
    /// The tool that has it.
    loaded_into: Option<&'static str>,
    /// What is otherwise than a lock says.
    changes: ChangeReports<'a>,
    timings: Timings,
    entries: Vec<EntryReport<'a>>,
}

#[derive(Serialize)]
struct EntryReport<'a> {
    path: String,
    kind: &'static str,
    target: Option<String>,
    source: Option<String>,
    mode: String,
    size: u64,
    reason: &'a str,
}

impl<'a> Report<'a> {
    fn of(build: &Build, image: &'a Image, written: Option<&'a Written>) -> Self {
        let mut closure = ClosureReport::of(image.closure());
        if build.sort.is_some() {
            closure = closure.by_size();
        }
        closure.findings = finding_reports(image.findings());
        closure.needs = need_reports(image.closures());
        closure.excluded = excluded_reports(image.closures());
        Report {
            closure,
            names: image.names().collect(),
            digest: written.map(Written::digest),
            config_digest: written.map(Written::config_digest),
            layer_digest: written.map(Written::layer_digest),
            diff_id: written.map(Written::diff_id),
            size: written.map(Written::size),
            layer_size: written.map(Written::layer_size),
            loaded_into: None,
            changes: ChangeReports::default(),
            timings: Timings::default(),
            entries: image.entries().map(EntryReport::of).collect(),
        }
    }
}

impl<'a> EntryReport<'a> {
    fn of(entry: &'a Entry) -> Self {
        let (kind, target, source) = match entry.kind() {
            EntryKind::Directory => ("directory", None, None),
            EntryKind::Symlink(target) => ("symlink", Some(text(&target)), None),
            EntryKind::HardLink(target) => ("hardlink", Some(text(&target)), None),
            EntryKind::File(source) => ("file", None, Some(text(&source))),
            _ => ("generated", None, None),
        };
        EntryReport {
            path: text(entry.path()),
            kind,
            target,
            source,
            mode: format!("{:04o}", entry.mode()),
            size: entry.size(),
            reason: entry.reason(),
        }
    }
}
