//! The options of an image, checked all at once.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::cache::{Cache, Slot};
use super::compress::Compression;
use super::documents::{Description, Runtime};
use super::given::{self, Given};
use super::progress::{Progress, Reporter, Stage};
use super::publish::Durability;
use super::reference::Reference;
use super::running::Running;
use super::size::expect_small;
use super::source::capabilities;
use super::timestamp;
use super::warnings::{self, Facts};
use super::{Image, Making, copied};
use crate::analyze::Priority;
use crate::check;
use crate::collect::{Closure, Collector, Extra, ImageFacts, Setting};
use crate::error::{Cause, Error, Result};
use crate::finding::Finding;
use crate::need::Need;
use crate::packages::{Packages, records};
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
///     .user(65532, 65532)
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
    given: Vec<Given>,
    keeps_capabilities: bool,
    keeps_setuid: bool,
    has_package_db: bool,
    asks_for_packages: bool,
    max_size: Option<u64>,
    running: Running,
    tags: Vec<String>,
    compression: Compression,
    threads: Option<NonZeroUsize>,
    cache_dir: Option<PathBuf>,
    is_fleeting: bool,
    reporter: Reporter,
    created: u64,
}

impl ImageBuilder {
    /// Adds a program, by its path on this machine. The first is the entrypoint.
    pub fn binary(&mut self, path: impl Into<PathBuf>) -> &mut Self {
        self.binaries.push(path.into());
        self
    }

    /// Searches as `collector` does, instead of what `sysroot`, `library_path`, `install`, `with` and the like said
    /// before.
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

    /// Meets a need that no library meets, found or not: `with(Need::CaCertificates)`; see [`Collector::with`].
    pub fn with(&mut self, need: Need) -> &mut Self {
        self.collector.with(need);
        self
    }

    /// Meets every need that the programs' files tell of; see [`Collector::auto`].
    pub fn auto(&mut self) -> &mut Self {
        self.collector.auto();
        self
    }

    /// Includes the libraries that objects say they load by themselves, from this priority on; see
    /// [`Collector::dlopen`].
    pub fn dlopen(&mut self, least: Priority) -> &mut Self {
        self.collector.dlopen(least);
        self
    }

    /// Adds a library that a program loads by itself, with its closure; see [`Collector::library`].
    pub fn library(&mut self, name: impl Into<PathBuf>) -> &mut Self {
        self.collector.library(name);
        self
    }

    /// Leaves out libraries that whoever runs the image provides; see [`Collector::exclude`].
    pub fn exclude(&mut self, pattern: impl Into<String>) -> &mut Self {
        self.collector.exclude(pattern);
        self
    }

    /// Copies the regular file `source` of this machine to `path` in the image. A path that ends in `/` is a directory,
    /// in which the file keeps its name.
    ///
    /// An ELF file or one with any x bit gets mode 0755, others 0644. It comes alone: give a program by
    /// [`binary`](Self::binary) and a library by [`library`](Self::library) to have what they need as well. What a need
    /// would put at the same path gives way to it.
    ///
    /// ```no_run
    /// let mut builder = scratchpack::Image::builder();
    /// builder.binary("target/server").file("server.toml", "/etc/").directory("/var/lib/server", 0o700);
    /// # Ok::<(), scratchpack::Error>(())
    /// ```
    pub fn file(&mut self, source: impl Into<PathBuf>, path: impl Into<PathBuf>) -> &mut Self {
        self.given.push(Given::File { source: source.into(), at: path.into() });
        self
    }

    /// Makes a symlink at `path` in the image. What lies below it goes where it leads: behind `symlink("usr/bin",
    /// "/bin")`, a program at `/bin/sh` stands at `/usr/bin/sh`.
    pub fn symlink(&mut self, target: impl Into<PathBuf>, path: impl Into<PathBuf>) -> &mut Self {
        self.given.push(Given::Link { target: target.into(), at: path.into() });
        self
    }

    /// Makes a directory at `path` in the image, with these permission bits; 0755 where there are none. Directories
    /// above what the image holds need no mention.
    pub fn directory(&mut self, path: impl Into<PathBuf>, mode: impl Into<Option<u32>>) -> &mut Self {
        self.given.push(Given::Directory { at: path.into(), mode: mode.into() });
        self
    }

    /// Keeps the capabilities that files of programs, and files of the caller, have of their own (capabilities(7)).
    /// They are dropped by default, with a warning.
    pub fn file_capabilities(&mut self, keep: bool) -> &mut Self {
        self.keeps_capabilities = keep;
        self
    }

    /// Keeps setuid and setgid bits of files. They are dropped by default, with a warning.
    ///
    /// All files of an image belong to root, so what such a file gains are root's rights, whoever owned it here.
    pub fn keep_setuid(&mut self, keep: bool) -> &mut Self {
        self.keeps_setuid = keep;
        self
    }

    /// Puts into the image what tells scanners of vulnerabilities which packages its files came from, and of which
    /// distribution: for dpkg's `/var/lib/dpkg/status.d/<package>`, what the root's database says of it, and
    /// `<package>.md5sums`, which of its files are here; for apk's `/lib/apk/db/installed`; for rpm's
    /// `/var/lib/rpmmanifest/container-manifest-2`; and `/etc/os-release` and
    /// `/etc/debian_version` or `/etc/alpine-release`. `false` by default.
    ///
    /// What the caller puts at one of these paths counts instead. Where no package is found that could be told of, that is a
    /// `package-db` warning.
    ///
    /// # Errors
    /// [`build`](Self::build) fails as [`Image::packages`] does.
    pub fn package_db(&mut self, include: bool) -> &mut Self {
        self.has_package_db = include;
        self
    }

    /// Reads package databases in [`build`](Self::build), rather than when [`Image::packages`] or a bill of materials asks for
    /// them: then [`Image::inputs`] has them, and that no library's package is known is a `package-db` warning.
    pub fn read_packages(&mut self, early: bool) -> &mut Self {
        self.asks_for_packages = early;
        self
    }

    /// The bytes that the image's files may have in all, uncompressed: as many as the layer holds of data, whatever it is
    /// packed into. No limit by default.
    ///
    /// An image with more is refused by [`build`](Self::build), before anything is written, with
    /// [`TooLarge`](crate::ErrorKind::TooLarge), which names the largest files, and for each library the chain that leads to
    /// it.
    pub fn max_size(&mut self, bytes: u64) -> &mut Self {
        self.max_size = Some(bytes);
        self
    }

    /// What the container runs, instead of the first program alone (OCI image spec, config, `Entrypoint`).
    pub fn entrypoint<S: Into<String>>(&mut self, arguments: impl IntoIterator<Item = S>) -> &mut Self {
        self.running.entrypoint = Some(arguments.into_iter().map(Into::into).collect());
        self
    }

    /// Arguments that a caller of the container may replace (OCI image spec, config, `Cmd`).
    pub fn cmd<S: Into<String>>(&mut self, arguments: impl IntoIterator<Item = S>) -> &mut Self {
        self.running.cmd = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// Sets an environment variable of the container; of one name the last counts.
    pub fn env(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Self {
        let name = name.into();
        self.running.env.retain(|(known, _)| *known != name);
        self.running.env.push((name, value.into()));
        self
    }

    /// Who the program runs as (OCI image spec, config, `User`): `user(65532, 65532)`, or `user(65532, None)` for the
    /// group that `/etc/passwd` says, or else 0. Numbers need no `/etc/passwd`.
    pub fn user(&mut self, user: u32, group: impl Into<Option<u32>>) -> &mut Self {
        self.running.user = Some((user, group.into()));
        self
    }

    /// The working directory of the program; an absolute path.
    pub fn workdir(&mut self, dir: impl Into<String>) -> &mut Self {
        self.running.workdir = Some(dir.into());
        self
    }

    /// Sets a label (OCI image spec, config, `Labels`).
    pub fn label(&mut self, key: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.running.labels.insert(key.into(), value.into());
        self
    }

    /// A port that the program listens on: `80`, `80/tcp`, `53/udp`.
    pub fn expose(&mut self, port: impl Into<String>) -> &mut Self {
        self.running.ports.push(port.into());
        self
    }

    /// The signal that stops the container: `SIGINT`, `2`.
    pub fn stop_signal(&mut self, signal: impl Into<String>) -> &mut Self {
        self.running.stop_signal = Some(signal.into());
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

    /// How many threads pack; by default as many as the machine runs at once, and 16 at most: with more, reading and
    /// hashing is what takes the time. They change no byte.
    ///
    /// Each takes about 6 MB of memory at the usual levels, whatever the size of the image.
    pub fn threads(&mut self, threads: NonZeroUsize) -> &mut Self {
        self.threads = Some(threads);
        self
    }

    /// A directory in which to remember what was made, so that the next image costs what changed. None by default.
    ///
    /// It changes no byte: what is unknown, damaged or gone is made anew. Files are taken for unchanged by device, inode,
    /// size and times, as git does it, never by time alone; what is written through a memory map and not synced has no new
    /// times yet. An output that stands as it was written stays, with its times.
    ///
    /// The directory is made if there is none, for its owner alone; several processes may share it; after an image it holds
    /// 2 GiB at most, without what was not used for the longest time; and it may be deleted at any time. One that belongs to
    /// another user, that its group or everybody may write to, or that holds other things is not used, which is a `cache`
    /// warning.
    pub fn cache_dir(&mut self, dir: impl Into<PathBuf>) -> &mut Self {
        self.cache_dir = Some(dir.into());
        self
    }

    /// Whether outputs are on disk, and not just in memory, when a `write_*` returns; `true` by default. Without it a
    /// loss of power soon after may leave an output empty or cut short, so it is for outputs that are thrown away.
    pub fn durable(&mut self, durable: bool) -> &mut Self {
        self.is_fleeting = !durable;
        self
    }

    /// Calls back while the image is made: [`Stage::Resolve`] in [`build`](Self::build), [`Stage::Pack`] after every
    /// piece of the layer, of 2 MiB at most, or after every file of a root directory, and [`Stage::Sync`] before waiting
    /// for the disk.
    /// The calls come from the thread that calls `build` or `write_*`, which waits for them.
    pub fn progress(&mut self, callback: impl Fn(Progress) + Send + Sync + 'static) -> &mut Self {
        self.reporter = Reporter::to(callback);
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
    /// [`Conflict`](crate::ErrorKind::Conflict) with all paths at which two things would stand;
    /// [`TooLarge`](crate::ErrorKind::TooLarge); what [`Collector::collect`] says of a program.
    pub fn build(&self) -> Result<Image> {
        let (runtime, names) = self.checked()?;
        self.reporter.report(Progress::new(Stage::Resolve, 0, 0));
        let given = given::extras(&self.given)?;
        let closures = self.closures(&runtime)?;
        expect_complete(&closures, &self.binaries)?;
        let architecture = self.architecture(&closures)?;
        let (tree, packages) = self.tree(&closures, given)?;
        expect_small(&tree, &closures, self.max_size).map_err(|cause| self.failed(cause))?;
        let setting = Setting::of_image(&runtime.env, runtime.workdir.as_deref().map(Path::new));
        let proven = check::prove(&tree, &closures, &setting).map_err(|cause| self.failed(cause))?;
        let mut findings = warnings::of(&Facts {
            closures: &closures,
            tree: &tree,
            packages: packages.as_ref(),
            proven,
            excluding: self.collector.excluding(),
            keeps_capabilities: self.keeps_capabilities,
            has_package_db: self.has_package_db,
        })?;
        let names = if names.is_empty() { default_name(&closures[0]).map(|name| vec![name]) } else { Ok(names) };
        let entrypoint = self.running.entrypoint_of(&closures[0]).map_err(|cause| self.failed(cause))?;
        let description = Description {
            architecture,
            variant: variant(&closures),
            runtime: Runtime { entrypoint, ..runtime },
            copy: copy_line(&closures),
            created: self.created,
            names: noted(names, &mut findings).unwrap_or_default(),
            compression: self.compression,
        };
        let cache = self.cache_dir.as_ref().map(|dir| self.cache(dir, &closures)).transpose()?;
        let making = Making {
            threads: self.compressors(),
            cache: cache.and_then(|cache| noted(cache, &mut findings)),
            durability: self.durability(),
            reporter: self.reporter.clone(),
        };
        let deciding = packages.as_ref().map(|packages| packages.inputs.clone()).unwrap_or_default();
        let packages = packages.map(OnceLock::from).unwrap_or_default();
        Ok(Image { closures, tree, description, findings, making, packages, deciding })
    }

    /// The files of the image, and the packages that they came from, if that is asked for.
    fn tree(&self, closures: &[Closure], given: Vec<Extra>) -> Result<(Tree, Option<Packages>)> {
        let tree_with =
            |extras: &[Extra]| Tree::of(closures, extras, self.keeps_setuid).map_err(|cause| self.failed(cause));
        let mut tree = tree_with(&given)?;
        let asks = self.has_package_db || self.asks_for_packages;
        let packages = asks.then(|| Packages::of(&copied(&tree), closures[0].root())).transpose()?;
        if let Some(known) = packages.as_ref().filter(|_| self.has_package_db) {
            tree = tree_with(&[given, self.told_of(known)].concat())?;
        }
        if self.keeps_capabilities {
            tree.keep_capabilities(capabilities)?;
        }
        Ok((tree, packages))
    }

    /// It is told of the first program.
    fn failed(&self, cause: Cause) -> Error {
        cause.on(PACK, &self.binaries[0])
    }

    /// What tells scanners of the packages, but for what the caller puts there.
    fn told_of(&self, packages: &Packages) -> Vec<Extra> {
        let taken: BTreeSet<PathBuf> = self.given.iter().map(Given::at).collect();
        records(packages).into_iter().filter(|record| !taken.contains(&record.at)).collect()
    }

    fn compressors(&self) -> NonZeroUsize {
        let available = || Some(std::thread::available_parallelism().ok()?.min(MOST_THREADS));
        self.threads.or_else(available).unwrap_or(NonZeroUsize::MIN)
    }

    fn durability(&self) -> Durability {
        if self.is_fleeting { Durability::Fleeting } else { Durability::Durable }
    }

    /// The cache, and where in it images of these programs are, or why it is not used.
    fn cache(&self, dir: &Path, closures: &[Closure]) -> Result<Result<(Cache, Slot), Finding>> {
        let sources: Vec<PathBuf> = closures.iter().map(|closure| closure.program().source()).collect();
        let paths = closures.iter().map(|closure| closure.program().path());
        let likeness: Vec<&[u8]> =
            sources.iter().map(PathBuf::as_path).chain(paths).map(|path| path.as_os_str().as_bytes()).collect();
        let slot = Slot::of(self.compression, &likeness);
        let slot = slot.map_err(|error| Cause::Io(error).during("prepare to compress the layer"))?;
        Ok(Cache::open(dir).map(|cache| (cache, slot)))
    }

    /// The closures of the programs. Of what has one list in an image all programs that have some get the same.
    fn closures(&self, runtime: &Runtime) -> Result<Vec<Closure>> {
        let collector = self.collector_in_image(runtime, Vec::new());
        let mut closures = self.binaries.iter().map(|path| collector.collect(path)).collect::<Result<Vec<_>>>()?;
        let shared: BTreeSet<Need> = closures.iter().flat_map(listed_needs).cloned().collect();
        let collector = self.collector_in_image(runtime, shared.iter().cloned().collect());
        for (closure, path) in closures.iter_mut().zip(&self.binaries) {
            let own: BTreeSet<&Need> = listed_needs(closure).collect();
            if !own.is_empty() && !own.into_iter().eq(&shared) {
                *closure = collector.collect(path)?;
            }
        }
        Ok(closures)
    }

    fn collector_in_image(&self, runtime: &Runtime, shared: Vec<Need>) -> Collector {
        let mut collector = self.collector.clone();
        let provided = self.given.iter().map(Given::at).collect();
        collector.in_image(ImageFacts { user: self.running.user, environment: runtime.env.clone(), provided, shared });
        if let Some(dir) = &self.running.workdir {
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
            wrong.push(
                "an install path is for one program, and there are several; leave it out, or make an image of each"
                    .to_owned(),
            );
        }
        if self.created > timestamp::LAST {
            wrong.push(format!("the time {} is later than the year 9999", self.created));
        }
        wrong.extend(self.compression.check().err());
        wrong.extend(self.running.problems());
        wrong.extend(self.given.iter().filter_map(Given::problem));
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
        Ok((self.running.runtime(), unique))
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
                "an image has one architecture: the first program is for {first}, this one for {other}; make an image \
                 of each"
            )])
            .on(PACK, *binary)),
        }
    }
}

const PACK: &str = "pack";

/// Compressors that keep up with one thread that reads and hashes.
const MOST_THREADS: NonZeroUsize = NonZeroUsize::new(16).expect("it is not zero");

/// The needs of a program that are met and have one list in an image, whoever has them.
fn listed_needs(closure: &Closure) -> impl Iterator<Item = &Need> {
    closure.met().filter(|need| matches!(need, Need::Gconv | Need::Charset(_) | Need::Locale(_)))
}

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

/// What there is, or else why not among the findings.
fn noted<T>(result: Result<T, Finding>, findings: &mut Vec<Finding>) -> Option<T> {
    result.map_err(|finding| findings.push(finding)).ok()
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

/// `COPY hello /`
fn copy_line(closures: &[Closure]) -> String {
    let paths: Vec<&Path> = closures.iter().map(|closure| closure.program().path()).collect();
    let directory = paths[0].parent().unwrap_or(Path::new("/"));
    if paths.iter().any(|path| path.parent() != Some(directory)) {
        return "COPY rootfs/ /".to_owned();
    }
    let mut names: Vec<String> =
        paths.iter().filter_map(|path| Some(printable(path.file_name()?).to_string())).collect();
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let slash = if directory == Path::new("/") { "" } else { "/" };
    format!("COPY {} {}{slash}", names.join(" "), printable(directory))
}
