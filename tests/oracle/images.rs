//! Images in the tools that load, convert and run them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use scratchpack::{Compression, Image, Written};
use serde_json::Value;

use crate::engines::{docker, podman, start_dockerd};
use crate::fixtures::{Fixtures, Program};
use crate::tools::{self, Daemon, command, run};
use crate::tree;
use crate::verify::{verified, verify_output};

const COMPRESSIONS: [Compression; 3] = [Compression::None, Compression::GZIP, Compression::ZSTD];

/// The first version of docker that reads zstd.
const DOCKER_WITH_ZSTD: u32 = 23;

/// An image, and what is known of it.
struct Packed<'a> {
    program: &'a Program,
    compression: Compression,
    image: Image,
    archive: PathBuf,
    written: Written,
}

impl Packed<'_> {
    /// The name without registry and tag.
    fn name(&self) -> &str {
        self.program.path.file_name().unwrap().to_str().unwrap()
    }

    fn full_name(&self) -> String {
        format!("docker.io/library/{}:latest", self.name())
    }

    fn what(&self) -> String {
        format!("{}, {}", self.name(), self.compression)
    }
}

/// Calls `check` with every program in every compression.
fn for_each_image(compressions: &[Compression], mut check: impl FnMut(&Packed<'_>)) {
    let fixtures = Fixtures::compile();
    for program in &fixtures.programs {
        for &compression in compressions {
            let image = Image::builder().binary(&program.path).compression(compression).build().map(verified).unwrap();
            let archive = fixtures.path().join("image.tar");
            let written = image.write_archive(&archive).unwrap();
            verify_output(&archive);
            check(&Packed { program, compression, image, archive, written });
        }
    }
}

#[test]
fn docker_loads_and_runs_every_image() {
    if !tools::are_here(&["cc", "dockerd", "docker", "runc"]) || !tools::is_root() {
        return;
    }
    let daemon = start_dockerd();
    let version = run(docker(daemon.path()).args(["version", "--format", "{{.Server.Version}}"]));
    let major: u32 = version.split('.').next().unwrap().parse().unwrap();
    let mut count = 0;
    for_each_image(&COMPRESSIONS, |packed| {
        if packed.compression == Compression::ZSTD && major < DOCKER_WITH_ZSTD {
            return assert_docker_refuses(daemon.path(), packed);
        }
        count += 1;
        assert_docker_runs(daemon.path(), packed);
    });
    tools::say(&format!("docker {}: {count} images loaded and run", version.trim()));
}

fn assert_docker_runs(daemon: &Path, packed: &Packed<'_>) {
    let name = packed.name();
    run(docker(daemon).args(["load", "--input"]).arg(&packed.archive));
    let said = run(docker(daemon).args(["run", "--rm", "--network", "none", name]));
    assert_eq!(said, packed.program.says, "{}", packed.what());
    let sizes = run(docker(daemon).args(["image", "history", "--format", "{{.Size}}", "--no-trunc", name]));
    assert_eq!(sizes.lines().filter(|&size| size != "0B").count(), 1, "{}: {sizes}", packed.what());
    remove_from_docker(daemon, packed);
}

fn assert_docker_refuses(daemon: &Path, packed: &Packed<'_>) {
    let output = docker(daemon).args(["load", "--input"]).arg(&packed.archive).output().unwrap();
    assert!(!output.status.success(), "{} is taken: {}", packed.what(), tools::text_of(&output));
}

/// A store that has the layer by its diff_id would not read the next archive's.
fn remove_from_docker(daemon: &Path, packed: &Packed<'_>) {
    run(docker(daemon).args(["image", "rm", packed.name()]));
}

#[test]
fn podman_loads_and_runs_every_image() {
    if !tools::are_here(&["cc", "podman", "runc"]) || !tools::is_root() {
        return;
    }
    let store = tempfile::tempdir().unwrap();
    let mut count = 0;
    for_each_image(&COMPRESSIONS, |packed| {
        let name = packed.full_name();
        run(podman(store.path()).args(["load", "--input"]).arg(&packed.archive));
        // A machine may not allow what podman's own default limits ask for.
        let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
        let said = run(podman(store.path()).args(["run", "--rm", "--network", "none"]).args(limits).arg(&name));
        assert_eq!(said, packed.program.says, "{}", packed.what());
        run(podman(store.path()).args(["image", "rm", &name]));
        count += 1;
    });
    tools::say(&format!("podman: {count} images loaded and run"));
}

#[test]
fn skopeo_reads_every_archive_as_both_kinds() {
    if !tools::are_here(&["cc", "skopeo"]) {
        return;
    }
    let mut count = 0;
    for_each_image(&COMPRESSIONS, |packed| {
        for kind in ["oci-archive", "docker-archive"] {
            let layers = layers_of_copy(packed, kind);
            assert_eq!(layers, [packed.written.diff_id()], "{}, {kind}", packed.what());
            count += 1;
        }
    });
    tools::say(&format!("skopeo: {count} copies made"));
}

/// The diff_ids of the layout that skopeo makes of the archive.
fn layers_of_copy(packed: &Packed<'_>, kind: &str) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let source = format!("{kind}:{}", packed.archive.display());
    let copy = format!("oci:{}:copy", directory.path().join("layout").display());
    run(command("skopeo").args(["--insecure-policy", "copy", "--quiet", &source, &copy]));
    let config = run(command("skopeo").args(["inspect", "--config", &copy]));
    let config: Value = serde_json::from_str(&config).unwrap();
    let layers = config["rootfs"]["diff_ids"].as_array().unwrap();
    layers.iter().map(|layer| layer.as_str().unwrap().to_owned()).collect()
}

#[test]
fn umoci_unpacks_every_layout_to_the_tree_that_the_crate_writes() {
    if !tools::are_here(&["cc", "umoci"]) {
        return;
    }
    let mut count = 0;
    for_each_image(&[Compression::None, Compression::GZIP], |packed| {
        assert_unpacks(packed);
        count += 1;
    });
    tools::say(&format!("umoci: {count} layouts unpacked"));
}

fn assert_unpacks(packed: &Packed<'_>) {
    let directory = tempfile::tempdir().unwrap();
    let [layout, bundle, rootfs] = ["layout", "bundle", "rootfs"].map(|name| directory.path().join(name));
    packed.image.write_layout(&layout).unwrap();
    verify_output(&layout);
    packed.image.write_rootfs(&rootfs).unwrap();
    let image = format!("{}:latest", layout.display());
    run(command("umoci").args(["unpack", "--rootless", "--image", &image]).arg(&bundle));
    let (theirs, ours) = (tree::read(&bundle.join("rootfs")), tree::read(&rootfs));
    assert!(theirs.keys().eq(ours.keys()), "{}: {:?}\n{:?}", packed.what(), theirs.keys(), ours.keys());
    for (path, node) in &theirs {
        let (theirs, ours) = (node.summary(), ours[path].summary());
        assert_eq!(theirs, ours, "{}: {}", packed.what(), path.display());
    }
    assert!(theirs == ours, "{}: the contents differ", packed.what());
}

#[test]
fn containerd_imports_and_unpacks_every_image() {
    if !tools::are_here(&["cc", "containerd", "ctr"]) || !tools::is_root() {
        return;
    }
    let daemon =
        Daemon::start(containerd, |directory| ctr(directory).arg("version").output().unwrap().status.success());
    let mut count = 0;
    for_each_image(&COMPRESSIONS, |packed| {
        run(ctr(daemon.path()).args(["images", "import", "--snapshotter", "native"]).arg(&packed.archive));
        let names = run(ctr(daemon.path()).args(["images", "ls", "--quiet"]));
        assert_eq!(names.trim(), packed.full_name(), "{}", packed.what());
        run(ctr(daemon.path()).args(["images", "rm", "--sync", &packed.full_name()]));
        count += 1;
    });
    tools::say(&format!("containerd: {count} images imported"));
}

fn containerd(directory: &Path) -> Command {
    let config = directory.join("config.toml");
    fs::write(&config, "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n").unwrap();
    let mut command = command("containerd");
    command.arg("--config").arg(config).arg("--root").arg(directory.join("root"));
    command.arg("--state").arg(directory.join("state")).arg("--address").arg(directory.join("sock"));
    command
}

fn ctr(directory: &Path) -> Command {
    let mut command = command("ctr");
    command.arg("--address").arg(directory.join("sock"));
    command
}
