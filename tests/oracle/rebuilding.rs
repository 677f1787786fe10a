//! Build tools that read our depfiles: what changed is made again, and nothing else.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};
use std::{env, fs, iter};

use crate::engines::{docker, start_dockerd};
use crate::fixtures::scratch;
use crate::tools;
use crate::verify::verify_output;

const MAIN: &str = "int x(void);\nint main(void) { return x(); }\n";

/// A program, its library in a directory with an awkward name, and the image of both.
const MAKE: &str = r"
all: out/app.tar other
lib\ a/libx.so: x.c
	$(CC) -shared -fPIC -o '$@' $<
app: main.c | lib\ a/libx.so
	$(CC) -o $@ $< -L'lib a' -lx '-Wl,--enable-new-dtags,-rpath,$$ORIGIN/empty:$$ORIGIN/lib a'
out/app.tar: app
	$(SCRATCHPACK) build app -o $@ --depfile out/app.d --iidfile out/app.id --no-sync
other: other.c
	cp $< $@
-include out/app.d
";

const NINJA: &str = r"
rule cc
  command = cc -o $out $in $flags
rule pack
  command = $scratchpack build $in -o $out --depfile $out.d --iidfile out/app.id --no-sync
  depfile = $out.d
  deps = gcc
rule cp
  command = cp $in $out
build lib$ a/libx.so: cc x.c
  flags = -shared -fPIC
build app: cc main.c | lib$ a/libx.so
  flags = -L'lib a' -lx '-Wl,--enable-new-dtags,-rpath,$$ORIGIN/empty:$$ORIGIN/lib a'
build out/app.tar: pack app
build other: cp other.c
";

/// The image is made every time, and what hangs on its id only when that is another one.
const ALWAYS: &str = r"
all: deployed
app: main.c
	$(CC) -o $@ $<
out/app.id: app always
	$(SCRATCHPACK) build app -o out/app.tar --iidfile $@ --cache cache --no-sync
deployed: out/app.id
	cp $< $@
always:
.PHONY: all always
";

const ALWAYS_IN_NINJA: &str = r"
rule cc
  command = cc -o $out $in
rule pack
  command = $scratchpack build app -o out/app.tar --iidfile $out --cache cache --no-sync
  restat = 1
rule cp
  command = cp $in $out
build app: cc main.c
build always: phony
build out/app.id: pack app | always
build deployed: cp out/app.id
";

struct Project<'a> {
    directory: &'a Path,
    tool: &'a str,
}

impl Project<'_> {
    fn new<'a>(directory: &'a Path, tool: &'a str) -> Project<'a> {
        let project = Project { directory, tool };
        for made in ["lib a", "empty", "out"] {
            fs::create_dir(directory.join(made)).unwrap();
        }
        project.replace_rules(MAKE, NINJA);
        project.put("main.c", MAIN);
        project.put("x.c", "int x(void) { return 0; }\n");
        project.put("other.c", "");
        project
    }

    fn replace_rules(&self, make: &str, ninja: &str) {
        let own = env!("CARGO_BIN_EXE_scratchpack");
        self.put("Makefile", &format!("SCRATCHPACK = '{own}'\n{make}"));
        self.put("build.ninja", &format!("scratchpack = '{own}'\n{ninja}"));
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.directory.join(name), text).unwrap();
    }

    /// What is built, by the names of the outputs in it.
    fn build(&self) -> Vec<&'static str> {
        let stamp = |name| fs::metadata(self.directory.join(name)).and_then(|metadata| metadata.modified()).ok();
        let outputs = ["lib a/libx.so", "app", "out/app.tar", "other", "deployed"];
        let before = outputs.map(stamp);
        tools::run(tools::command(self.tool).current_dir(self.directory));
        let made = outputs.iter().zip(before).filter(|(name, before)| stamp(name) != *before);
        made.map(|(name, _)| *name).collect()
    }

    fn expect(&self, why: &str, made: &[&str]) {
        assert_eq!(self.build(), made, "{}: {why}", self.tool);
        assert!(self.build().is_empty(), "{}: {why}, and once more", self.tool);
    }
}

#[test]
fn make_and_ninja_make_again_what_hangs_on_a_change_and_nothing_else() {
    if !tools::are_here(&["make", "ninja", "cc"]) {
        return;
    }
    for tool in ["make", "ninja"] {
        let scratch = scratch();
        let project = Project::new(scratch.path(), tool);
        project.expect("all is new", &["lib a/libx.so", "app", "out/app.tar", "other"]);
        project.put("other.c", "int other;\n");
        project.expect("what the image has nothing to do with", &["other"]);
        project.put("x.c", "int x(void) { return 1; }\n");
        let of_library = project.build();
        // A program that hangs on the name of a library alone need not be linked again.
        assert!(of_library.contains(&"out/app.tar") && !of_library.contains(&"other"), "{tool}: {of_library:?}");
        assert!(project.build().is_empty());
        fs::copy(scratch.path().join("lib a/libx.so"), scratch.path().join("empty/libx.so")).unwrap();
        project.expect("a new library that is found first", &["out/app.tar"]);
        fs::remove_file(scratch.path().join("empty/libx.so")).unwrap();
        project.expect("the same, gone", &["out/app.tar"]);
    }
}

/// It comes by a rename, as package managers do it: the directory, in which something is looked for in vain, tells.
#[test]
fn a_library_that_is_replaced_by_an_older_one_is_seen_where_its_directory_is_an_input() {
    if !tools::are_here(&["make", "ninja", "cc"]) {
        return;
    }
    for tool in ["make", "ninja"] {
        let scratch = scratch();
        let project = Project::new(scratch.path(), tool);
        project.build();
        let id = || fs::read_to_string(scratch.path().join("out/app.id")).unwrap();
        let before = id();
        let (old, library) = (scratch.path().join("old.so"), scratch.path().join("lib a/libx.so"));
        fs::copy(&library, &old).unwrap();
        fs::write(&old, [fs::read(&old).unwrap(), b"older".to_vec()].concat()).unwrap();
        // Newer than its source, or it would be made again.
        let made = fs::metadata(scratch.path().join("x.c")).unwrap().modified().unwrap();
        let time: SystemTime = made + Duration::from_nanos(1);
        fs::File::options().write(true).open(&old).unwrap().set_modified(time).unwrap();
        fs::rename(&old, &library).unwrap();
        project.expect("an older library", &["out/app.tar"]);
        assert_ne!(id(), before);
    }
}

#[test]
fn what_hangs_on_the_id_is_made_again_when_the_content_changes_and_not_when_times_do() {
    if !tools::are_here(&["make", "ninja", "cc"]) {
        return;
    }
    for tool in ["make", "ninja"] {
        let scratch = scratch();
        let project = Project::new(scratch.path(), tool);
        project.replace_rules(ALWAYS, ALWAYS_IN_NINJA);
        project.put("main.c", "int main(void) { return 0; }\n");
        assert_eq!(project.build(), ["app", "out/app.tar", "deployed"]);
        assert!(project.build().is_empty());
        project.put("main.c", "int main(void) { return 0; }\n");
        assert!(!project.build().contains(&"deployed"), "{tool}: only times have changed");
        // As something older, that a build tool does not see.
        let app = scratch.path().join("app");
        let modified = fs::metadata(&app).unwrap().modified().unwrap();
        fs::write(&app, [fs::read(&app).unwrap(), b"more".to_vec()].concat()).unwrap();
        fs::File::options().write(true).open(&app).unwrap().set_modified(modified).unwrap();
        assert!(project.build().contains(&"deployed"), "{tool}: the content has changed");
    }
}

/// Each is a small project of its own: how it is set up, how it is built, and its image.
const EXAMPLES: [(&str, &[&str], &[&str], &str); 3] = [
    ("make", &["true"], &["make"], "build/image/hello.tar"),
    ("cmake", &["cmake", "-G", "Ninja", "-B", "build"], &["cmake", "--build", "build"], "build/image/hello.tar"),
    ("meson", &["meson", "setup", "build"], &["meson", "compile", "-C", "build"], "build/hello.tar"),
];

/// As a clean clone has it.
pub(crate) fn copy_example(name: &str, to: &Path) {
    copy_directory(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name), to);
}

fn copy_directory(from: &Path, to: &Path) {
    for file in fs::read_dir(from).unwrap().map(Result::unwrap).filter(|file| file.file_name() != "target") {
        let copy = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            fs::create_dir(&copy).unwrap();
            copy_directory(&file.path(), &copy);
        } else {
            fs::copy(file.path(), copy).unwrap();
        }
    }
}

/// As somebody does who has scratchpack installed.
fn run_in(directory: &Path, words: &[&str]) -> String {
    tools::run(installed("env").args(words).current_dir(directory))
}

/// A tool, where scratchpack is on PATH.
pub(crate) fn installed(program: &str) -> Command {
    let mut command = tools::command(program);
    let own = Path::new(env!("CARGO_BIN_EXE_scratchpack")).parent().unwrap().to_owned();
    let path = env::var_os("PATH").unwrap_or_default();
    let path = iter::once(own).chain(env::split_paths(&path));
    command.env("PATH", env::join_paths(path).unwrap());
    command
}

#[test]
fn the_example_of_a_dockerfile_is_built_and_runs() {
    if !tools::is_root() || !tools::are_here(&["docker", "dockerd", "runc", "cc"]) {
        return;
    }
    let scratch = scratch();
    copy_example("docker", scratch.path());
    run_in(scratch.path(), &["cc", "-o", "hello", "hello.c"]);
    run_in(scratch.path(), &["scratchpack", "build", "hello", "--type", "rootfs", "-o", "rootfs"]);
    let daemon = start_dockerd();
    // The old builder, for the other one is a plugin that is not everywhere.
    let build = ["build", "--quiet", "--tag", "hello", "."];
    tools::run(docker(daemon.path()).env("DOCKER_BUILDKIT", "0").args(build).current_dir(scratch.path()));
    let said = tools::run(docker(daemon.path()).args(["run", "--rm", "--network=none", "hello"]));
    assert_eq!(said, tools::run(&mut Command::new(scratch.path().join("hello"))));
}

#[test]
fn the_examples_are_built_as_their_users_would_and_again_when_a_library_changes() {
    if !tools::are_here(&["make", "ninja", "cmake", "meson", "cc"]) {
        return;
    }
    for (name, set_up, build, image) in EXAMPLES {
        let scratch = scratch();
        copy_example(name, scratch.path());
        let run = |words: &[&str]| run_in(scratch.path(), words);
        let image = scratch.path().join(image);
        let made = || fs::metadata(&image).unwrap().modified().unwrap();
        run(set_up);
        run(build);
        verify_output(&image);
        let (first, bytes) = (made(), fs::read(&image).unwrap());
        run(build);
        assert_eq!(made(), first, "{name}: nothing has changed");
        let greeting = scratch.path().join("greeting.c");
        fs::write(&greeting, fs::read_to_string(&greeting).unwrap().replace("Hello", "Welcome")).unwrap();
        run(build);
        assert!(fs::read(&image).unwrap() != bytes, "{name}: the library has changed");
        let second = made();
        run(build);
        assert_eq!(made(), second, "{name}: nothing has changed again");
    }
}
