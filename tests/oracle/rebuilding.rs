//! Build tools that read our depfiles: what changed is made again, and nothing else.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::fixtures::scratch;
use crate::tools;

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
        let own = env!("CARGO_BIN_EXE_scratchpack");
        project.put("Makefile", &format!("SCRATCHPACK = '{own}'\n{MAKE}"));
        project.put("build.ninja", &format!("scratchpack = '{own}'\n{NINJA}"));
        project.put("main.c", MAIN);
        project.put("x.c", "int x(void) { return 0; }\n");
        project.put("other.c", "");
        project
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.directory.join(name), text).unwrap();
    }

    /// What is built, by the names of the outputs in it.
    fn build(&self) -> Vec<&'static str> {
        let stamp = |name| fs::metadata(self.directory.join(name)).and_then(|metadata| metadata.modified()).ok();
        let outputs = ["lib a/libx.so", "app", "out/app.tar", "other"];
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
