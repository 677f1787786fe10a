//! The options of an image, checked all at once.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::Image;
use super::compress::Compression;
use super::documents::{Description, Runtime};
use super::reference::Reference;
use super::timestamp;
use crate::check;
use crate::collect::{Closure, Collector, Setting};
use crate::error::{Cause, Result};
use crate::finding::Finding;
use crate::text::printable;
use crate::tree::Tree;

/// Options of an image; made by [`Image::builder`].
///
/// ```no_run
/// use scratchpack::{Compression, Image};
///
/// let image = Image::builder()
///     .binary("target/server")
///     .tag("example/server:1.2")
///     .user("65532:65532")
///     .expose("8080/tcp")
///     .compression(Compression::ZSTD)
///     .build()?;
/// image.write_archive("server.tar")?;
/// # Ok::<(), scratchpack::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ImageBuilder {
    binaries: Vec<PathBuf>,
    collector: Collector,
    entrypoint: Option<Vec<String>>,
    cmd: Vec<String>,
    env: Vec<(String, String)>,
    user: Option<String>,
    workdir: Option<String>,
    labels: BTreeMap<String, String>,
    ports: Vec<String>,
    stop_signal: Option<String>,
    tags: Vec<String>,
    compression: Compression,
    threads: Option<NonZeroUsize>,
    created: u64,
}

impl ImageBuilder {
    /// Adds a program, by its path on this machine. The first is the entrypoint.
    pub fn binary(&mut self, path: impl Into<PathBuf>) -> &mut Self {
        self.binaries.push(path.into());
        self
    }

    /// Searches as `collector` does, instead of what `sysroot`, `library_path` and `install` said before.
    pub fn collector(&mut self, collector: Collector) -> &mut Self {
        self.collector = collector;
        self
    }

    /// Takes `dir` for `/`; see [`Collector::sysroot`].
    pub fn sysroot(&mut self, dir: impl Into<PathBuf>) -> &mut Self {
        self.collector.sysroot(dir);
        self
    }

    /// Adds a directory of this machine to search for libraries; see [`Collector::library_path`].
    pub fn library_path(&mut self, dir: impl Into<PathBuf>) -> &mut Self {
        self.collector.library_path(dir);
        self
    }

    /// The program's path in the image, where there is one program; see [`Collector::install`].
    pub fn install(&mut self, path: impl Into<PathBuf>) -> &mut Self {
        self.collector.install(path);
        self
    }

    /// Adds the variants of libraries for some CPUs; see [`Collector::hwcaps`].
    pub fn hwcaps(&mut self, level: impl Into<String>) -> &mut Self {
        self.collector.hwcaps(level);
        self
    }

    /// What the container runs, instead of the first program alone (OCI image spec, config, `Entrypoint`).
    pub fn entrypoint<S: Into<String>>(&mut self, arguments: impl IntoIterator<Item = S>) -> &mut Self {
        self.entrypoint = Some(arguments.into_iter().map(Into::into).collect());
        self
    }

    /// Arguments that a caller of the container may replace (OCI image spec, config, `Cmd`).
    pub fn cmd<S: Into<String>>(&mut self, arguments: impl IntoIterator<Item = S>) -> &mut Self {
        self.cmd = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// Sets an environment variable of the container; of one name the last counts.
    pub fn env(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Self {
        let name = name.into();
        self.env.retain(|(known, _)| *known != name);
        self.env.push((name, value.into()));
        self
    }

    /// Who the program runs as: `UID[:GID]` (OCI image spec, config, `User`). Numbers need no `/etc/passwd`.
    pub fn user(&mut self, user: impl Into<String>) -> &mut Self {
        self.user = Some(user.into());
        self
    }

    /// The working directory of the program; an absolute path.
    pub fn workdir(&mut self, dir: impl Into<String>) -> &mut Self {
        self.workdir = Some(dir.into());
        self
    }

    /// Sets a label (OCI image spec, config, `Labels`).
    pub fn label(&mut self, key: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// A port that the program listens on: `80`, `80/tcp`, `53/udp`.
    pub fn expose(&mut self, port: impl Into<String>) -> &mut Self {
        self.ports.push(port.into());
        self
    }

    /// The signal that stops the container: `SIGINT`, `2`.
    pub fn stop_signal(&mut self, signal: impl Into<String>) -> &mut Self {
        self.stop_signal = Some(signal.into());
        self
    }

    /// Adds a name, `NAME[:TAG]`. Without one the image is called after its first program, `:latest`.
    pub fn tag(&mut self, name: impl Into<String>) -> &mut Self {
        self.tags.push(name.into());
        self
    }

    /// How the layer is compressed; gzip by default.
    pub fn compression(&mut self, compression: Compression) -> &mut Self {
        self.compression = compression;
        self
    }

    /// How many threads compress; by default as many as the machine runs at once. They change no byte.
    pub fn threads(&mut self, threads: NonZeroUsize) -> &mut Self {
        self.threads = Some(threads);
        self
    }

    /// The time that the image and its files carry, in seconds since 1970; 0 by default.
    pub fn created(&mut self, seconds: u64) -> &mut Self {
        self.created = seconds;
        self
    }

    /// Resolves and checks everything.
    ///
    /// # Errors
    /// [`InvalidOption`](crate::ErrorKind::InvalidOption) with all options that are wrong;
    /// [`Unresolved`](crate::ErrorKind::Unresolved) with all libraries that are missing; [`Foreign`](crate::ErrorKind::Foreign);
    /// [`Conflict`](crate::ErrorKind::Conflict) with all paths at which two things would stand; what [`Collector::collect`] says
    /// of a program.
    pub fn build(&self) -> Result<Image> {
        let (runtime, mut names) = self.checked()?;
        let collector = self.collector_in_image();
        let closures = self.binaries.iter().map(|path| collector.collect(path)).collect::<Result<Vec<_>>>()?;
        expect_complete(&closures, &self.binaries)?;
        let architecture = self.architecture(&closures)?;
        let tree = Tree::of(&closures).map_err(|cause| cause.on(PACK, &self.binaries[0]))?;
        let setting = Setting::of_image(&runtime.env, runtime.workdir.as_deref().map(Path::new));
        let ignored = check::prove(&tree, &closures, &setting).map_err(|cause| cause.on(PACK, &self.binaries[0]))?;
        let mut findings: Vec<Finding> = closures.iter().flat_map(|closure| closure.findings()).cloned().collect();
        findings.extend(ignored);
        findings.extend(closures.iter().flat_map(dropped_bits));
        findings.extend(closures.iter().filter_map(dropped_capabilities));
        if self.tags.is_empty() {
            match default_name(&closures[0]) {
                Ok(name) => names.push(name),
                Err(finding) => findings.push(finding),
            }
        }
        let findings = each_once(findings);
        let runtime = Runtime { entrypoint: self.entrypoint_of(&closures[0])?, ..runtime };
        let description = Description {
            architecture,
            variant: variant(&closures),
            runtime,
            copy: copy_line(&closures),
            created: self.created,
            names,
            compression: self.compression,
        };
        let threads = self.threads.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
        Ok(Image { closures, tree, description, findings, threads })
    }

    fn collector_in_image(&self) -> Collector {
        let mut collector = self.collector.clone();
        if let Some(dir) = &self.workdir {
            collector.workdir(dir);
        }
        collector
    }

    /// All that can be said of the options before any file is read.
    fn checked(&self) -> Result<(Runtime, Vec<Reference>)> {
        let mut wrong = Vec::new();
        if self.binaries.is_empty() {
            wrong.push("there is no program; give at least one".to_owned());
        }
        if self.collector.installs() && self.binaries.len() > 1 {
            wrong.push("an install path is for one program, and there are several".to_owned());
        }
        if self.created > timestamp::LAST {
            wrong.push(format!("the time {} is later than the year 9999", self.created));
        }
        wrong.extend(self.compression.check().err());
        wrong.extend(self.runtime_problems());
        let names: Vec<Result<Reference, String>> = self.tags.iter().map(|tag| Reference::parse(tag)).collect();
        wrong.extend(names.iter().filter_map(|name| name.as_ref().err().cloned()));
        if !wrong.is_empty() {
            return Err(Cause::InvalidOption(wrong).during("make the image"));
        }
        let mut unique: Vec<Reference> = Vec::new();
        names.into_iter().flatten().for_each(|name| {
            if !unique.contains(&name) {
                unique.push(name);
            }
        });
        Ok((self.runtime(), unique))
    }

    fn runtime_problems(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                wrong.push(format!("`{}` is no name of an environment variable", name.escape_debug()));
            }
        }
        wrong.extend(self.ports.iter().filter(|port| !is_port(port)).map(|port| {
            format!("`{}` is no port; give 1 to 65535, and /tcp, /udp or /sctp if you like", port.escape_debug())
        }));
        if self.labels.keys().any(String::is_empty) {
            wrong.push("a label needs a name".to_owned());
        }
        if self.workdir.as_ref().is_some_and(|dir| !dir.starts_with('/')) {
            wrong.push("the working directory must be an absolute path".to_owned());
        }
        if self.user.as_ref().is_some_and(|user| user.is_empty() || user.contains(char::is_whitespace)) {
            wrong.push("the user must be UID[:GID]".to_owned());
        }
        if self.stop_signal.as_ref().is_some_and(|signal| !is_signal(signal)) {
            wrong.push("the stop signal must be a name such as SIGINT, or a number".to_owned());
        }
        if self.entrypoint.as_ref().is_some_and(Vec::is_empty) {
            wrong.push("an entrypoint needs at least one argument".to_owned());
        }
        wrong
    }

    fn runtime(&self) -> Runtime {
        Runtime {
            entrypoint: Vec::new(),
            cmd: self.cmd.clone(),
            env: self.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            user: self.user.clone(),
            workdir: self.workdir.clone(),
            labels: self.labels.clone(),
            ports: self.ports.iter().map(|port| with_protocol(port)).collect(),
            stop_signal: self.stop_signal.clone(),
        }
    }

    fn entrypoint_of(&self, program: &Closure) -> Result<Vec<String>> {
        let path = program.program().path();
        match (&self.entrypoint, path.to_str()) {
            (Some(entrypoint), _) => Ok(entrypoint.clone()),
            (None, Some(path)) => Ok(vec![path.to_owned()]),
            (None, None) => Err(Cause::InvalidOption(vec![format!(
                "an image's configuration is UTF-8, and the program's path in the image is not: {}; give another one \
                 to install it at",
                printable(path)
            )])
            .on(PACK, &self.binaries[0])),
        }
    }

    fn architecture(&self, closures: &[Closure]) -> Result<&'static str> {
        let mut architectures = Vec::new();
        for (closure, binary) in closures.iter().zip(&self.binaries) {
            let machine = closure.program().elf().machine();
            let architecture = machine.architecture().ok_or_else(|| {
                Cause::Unsupported(format!("no image can be made for its machine ({})", machine.name()))
                    .on(PACK, binary)
            })?;
            architectures.push((architecture, binary));
        }
        let (first, _) = architectures[0];
        match architectures.iter().find(|(other, _)| *other != first) {
            None => Ok(first),
            Some((other, binary)) => Err(Cause::Conflict(vec![format!(
                "an image has one architecture: the first program is for {first}, this one for {other}"
            )])
            .on(PACK, *binary)),
        }
    }
}

const PACK: &str = "pack";

/// What the most demanding object needs. The names `v5` to `v8` sort as the versions do.
fn variant(closures: &[Closure]) -> Option<&'static str> {
    closures.iter().flat_map(Closure::all).filter_map(|object| object.elf().arm_variant()).max()
}

fn expect_complete(closures: &[Closure], binaries: &[PathBuf]) -> Result<()> {
    let missing: Vec<_> = closures.iter().flat_map(|closure| closure.missing()).cloned().collect();
    let Some(first) = closures.iter().position(|closure| !closure.missing().is_empty()) else { return Ok(()) };
    let cause = match closures[first].is_foreign() {
        true => Cause::Foreign(missing),
        false => Cause::Unresolved(missing),
    };
    Err(cause.on(PACK, &binaries[first]))
}

/// The program's file name in lower case, if that is a legal name.
fn default_name(closure: &Closure) -> Result<Reference, Finding> {
    let name = closure.program().name();
    let legal = name.to_str().and_then(|name| Reference::parse(&format!("{}:latest", name.to_lowercase())).ok());
    legal.ok_or_else(|| {
        Finding::warning(
            "untagged",
            format!("the image has no name, because {} can be made no legal one; give it a tag", printable(name)),
            printable(name),
        )
    })
}

const SETUID_OR_SETGID: u32 = 0o6000;

fn dropped_bits(closure: &Closure) -> Vec<Finding> {
    let special = closure.all().filter(|object| object.file_source().stamp.mode & SETUID_OR_SETGID != 0);
    special
        .map(|object| {
            let path = printable(object.path()).to_string();
            let mode = object.file_source().stamp.mode & 0o7777;
            Finding::warning(
                "special-mode",
                format!("{path} loses its setuid or setgid bit; it runs with the rights of the container's user"),
                format_args!("mode {mode:04o}"),
            )
        })
        .collect()
}

/// Programs that share a library share what is to be said of it.
fn each_once(findings: Vec<Finding>) -> Vec<Finding> {
    let mut unique: Vec<Finding> = Vec::new();
    for finding in findings {
        if !unique.contains(&finding) {
            unique.push(finding);
        }
    }
    unique
}

fn dropped_capabilities(closure: &Closure) -> Option<Finding> {
    let path = printable(closure.program().path()).to_string();
    closure.has_capabilities().then(|| {
        Finding::warning(
            "file-capabilities",
            format!("{path} loses its file capabilities; give them to the container, as with docker run --cap-add"),
            format_args!("security.capability of {path}"),
        )
    })
}

/// `COPY hello /`
fn copy_line(closures: &[Closure]) -> String {
    let paths: Vec<&Path> = closures.iter().map(|closure| closure.program().path()).collect();
    let directory = paths[0].parent().unwrap_or(Path::new("/"));
    if paths.iter().any(|path| path.parent() != Some(directory)) {
        return "COPY rootfs/ /".to_owned();
    }
    let names: Vec<String> = paths.iter().filter_map(|path| Some(printable(path.file_name()?).to_string())).collect();
    let slash = if directory == Path::new("/") { "" } else { "/" };
    format!("COPY {} {}{slash}", names.join(" "), printable(directory))
}

fn is_port(port: &str) -> bool {
    let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    number.parse::<u16>().is_ok_and(|number| number > 0)
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && matches!(protocol, "tcp" | "udp" | "sctp")
}

fn with_protocol(port: &str) -> String {
    if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") }
}

fn is_signal(signal: &str) -> bool {
    let is_number = signal.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number));
    let is_name = signal.starts_with("SIG")
        && signal.len() > 3
        && signal.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'-'));
    is_number || is_name
}
