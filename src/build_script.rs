//! For a package's `build.rs`: the lines by which cargo knows when to run it again.
//!
//! A build script runs *before* its package's own programs are linked, so it can pack what it built itself, or what the
//! machine has; for the package's own program use an xtask or the command. It writes to `OUT_DIR`, and nowhere else.
//!
//! Talking to cargo is what this module is for, and standard output is how (cargo book, "Build Scripts").

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::assemble::Image;

/// Prints a `cargo::rerun-if-changed` line for each of the [inputs](Image::inputs) of the image that lie in the package or
/// in the directory that cargo builds in, directories in the latter left out.
///
/// cargo compares modification times alone, and a package manager replaces a library by a newer one with an *older*
/// time. So where a file lies neither in the package nor in the directory that cargo builds in, the script is run again
/// each time: a line names a path that never exists.
///
/// Once a build script prints such a line, cargo no longer watches the package's other files for it: name them yourself.
/// Outside a build script the lines mean nothing.
pub fn rerun_if_changed(image: &Image) {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    // OUT_DIR is <target>/<profile>/build/<package>/out.
    let target = variable("OUT_DIR").and_then(|out| out.ancestors().nth(4).map(Path::to_owned));
    let own: Vec<PathBuf> =
        [variable("CARGO_MANIFEST_DIR"), target, variable("OUT_DIR")].into_iter().flatten().collect();
    let mut out = std::io::stdout().lock();
    let built = &own[1..];
    // The script itself changes them: they say nothing of what it hangs on.
    let is_built = |input: &Path| {
        input.is_dir() && built.iter().any(|directory| is_below(input, directory) || is_below(directory, input))
    };
    for line in lines(image.inputs().filter(|input| !is_built(input)), &own) {
        // If nobody listens any more, nobody will run the script again for that.
        let _ = writeln!(out, "cargo::rerun-if-changed={line}");
    }
}

/// A name that no build makes.
const NEVER: &str = "scratchpack-runs-every-time";

fn lines(inputs: impl Iterator<Item = PathBuf>, own: &[PathBuf]) -> Vec<String> {
    let (watched, foreign): (Vec<_>, Vec<_>) =
        inputs.partition(|input| own.iter().any(|directory| is_below(input, directory)));
    let mut lines: Vec<String> = watched.iter().filter_map(|path| path.to_str()).map(str::to_owned).collect();
    // A path that cargo's line-based protocol cannot carry is treated as one that cargo cannot judge.
    let is_unnameable = |line: &String| line.contains(['\n', '\r']);
    let unnamed = lines.len() < watched.len() || lines.iter().any(is_unnameable);
    lines.retain(|line| !is_unnameable(line));
    if unnamed || !foreign.is_empty() {
        let directory = own.last().cloned().unwrap_or_default();
        lines.push(directory.join(NEVER).to_string_lossy().into_owned());
    }
    lines
}

/// The input's path has its symlinks resolved; the directory's may have some.
fn is_below(input: &Path, directory: &Path) -> bool {
    input.starts_with(directory) || std::fs::canonicalize(directory).is_ok_and(|real| input.starts_with(real))
}

#[cfg(test)]
mod tests {
    use super::lines;
    use std::path::PathBuf;

    fn lines_of(inputs: &[&str]) -> Vec<String> {
        let own = [PathBuf::from("/pkg"), PathBuf::from("/target/out")];
        lines(inputs.iter().map(PathBuf::from), &own)
    }

    #[test]
    fn files_of_the_package_are_watched() {
        assert_eq!(lines_of(&["/pkg/a", "/target/out/hello"]), ["/pkg/a", "/target/out/hello"]);
    }

    #[test]
    fn a_file_of_the_system_means_every_time() {
        assert_eq!(lines_of(&["/pkg/a", "/lib/libc.so.6"]), ["/pkg/a", "/target/out/scratchpack-runs-every-time"]);
        assert_eq!(lines_of(&["/pkg/a\nb"]), ["/target/out/scratchpack-runs-every-time"]);
    }
}
