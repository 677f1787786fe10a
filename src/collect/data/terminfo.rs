//! Descriptions of terminals: single files of the root's terminfo directories (terminfo(5), term(5)).

use std::path::{Path, PathBuf};

use super::system::{Kind, is_file_name, listed};
use super::{Supply, Surroundings};
use crate::collect::extra::Extra;
use crate::need::Need;
use crate::text::printable;

/// Where ncurses looks, first to last: Debian's has the first three built in, Fedora's the first and the third, and
/// Alpine's all of them.
const DIRECTORIES: [&str; 4] = ["/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo", "/usr/lib/terminfo"];

/// Of one terminal: no description has more than 32 KiB (`MAX_ENTRY_SIZE2` in ncurses). Each directory may link to the
/// others, as Debian's do.
const DESCRIPTIONS: Kind<'_, &str> = Kind { directories: &DIRECTORIES, limit: 64 << 10 };

/// Terminals that somebody may sit at who attaches to a container, and those that programs fall back on.
const COMMON: [&str; 36] = [
    "alacritty",
    "ansi",
    "cygwin",
    "dumb",
    "foot",
    "gnome",
    "gnome-256color",
    "hurd",
    "konsole",
    "konsole-256color",
    "linux",
    "mach",
    "ms-terminal",
    "putty",
    "putty-256color",
    "rxvt",
    "rxvt-256color",
    "rxvt-unicode",
    "rxvt-unicode-256color",
    "screen",
    "screen-256color",
    "st-256color",
    "sun",
    "tmux",
    "tmux-256color",
    "vt100",
    "vt102",
    "vt220",
    "vte",
    "vte-256color",
    "wezterm",
    "xterm",
    "xterm-16color",
    "xterm-256color",
    "xterm-color",
    "xterm-kitty",
];

/// What is there of the common terminals, and the one that the image's environment names.
pub(super) fn common(around: &Surroundings<'_>) -> Result<Supply, String> {
    let of_environment = around.environment.iter().filter_map(|variable| variable.strip_prefix("TERM="));
    let mut names: Vec<&str> = COMMON.into_iter().chain(of_environment).collect();
    names.sort_unstable();
    names.dedup();
    let extras: Vec<Extra> = names.iter().filter_map(|name| find(name, &Need::Terminfo, around)).collect();
    match extras.is_empty() {
        true => Err(format!("there is no terminal's description in {}; install ncurses-base", listed(&DIRECTORIES))),
        false => Ok(Supply { extras, modules: Vec::new() }),
    }
}

/// The description of the terminal `name`.
pub(super) fn one(name: &str, around: &Surroundings<'_>) -> Result<Supply, String> {
    if !is_file_name(name) {
        return Err(format!("`{}` is no name of a terminal", printable(name)));
    }
    match find(name, &Need::Terminal(name.to_owned()), around) {
        Some(extra) => Ok(Supply { extras: vec![extra], modules: Vec::new() }),
        None => Err(format!(
            "there is no description of the terminal `{}` in {}; install ncurses-term, or compile one with tic",
            printable(name),
            listed(&DIRECTORIES)
        )),
    }
}

/// The first file that describes the terminal, in the directory where it is found.
fn find(name: &str, need: &Need, around: &Surroundings<'_>) -> Option<Extra> {
    let directories = DIRECTORIES.iter().filter(|_| is_file_name(name));
    let paths = directories.flat_map(|directory| in_directory(directory, name)).flatten();
    paths.into_iter().find_map(|path| DESCRIPTIONS.copied(&path, need, around))
}

/// Both layouts: below the first letter, and below its code where file names have no case (`_nc_db_iterator` and
/// `LEAF_FMT` in ncurses).
fn in_directory(directory: &str, name: &str) -> Option<[PathBuf; 2]> {
    let first = name.chars().next().filter(char::is_ascii)?;
    let directory = Path::new(directory);
    Some([directory.join(first.to_string()).join(name), directory.join(format!("{:02x}", u32::from(first))).join(name)])
}

#[cfg(test)]
mod tests {
    use super::super::system::NAME_MAX;
    use super::super::testing::{Tree, shown};
    use super::{common, one};

    #[test]
    fn a_terminal_is_found_in_either_layout_and_the_first_directory_wins() {
        let tree = Tree::new().files(&[
            "/lib/terminfo/x/xterm",
            "/usr/share/terminfo/x/xterm",
            "/usr/share/terminfo/76/vt100",
        ]);
        let tree = tree.link("/lib/terminfo/x/xterm-color", "xterm");
        let find = |name| tree.supplied(|around| one(name, around));
        assert_eq!(find("xterm"), ["/lib/terminfo/x/xterm"]);
        assert_eq!(find("xterm-color"), ["/lib/terminfo/x/xterm-color = /lib/terminfo/x/xterm"]);
        assert_eq!(find("vt100"), ["/usr/share/terminfo/76/vt100"]);
        assert!(tree.refused(|around| one("vt220", around)).contains("`vt220`"));
    }

    #[test]
    fn links_between_the_directories_are_followed_and_no_others() {
        let tree = Tree::new().files(&["/usr/lib/terminfo/x/xterm", "/root/secret"]).link("/lib", "usr/lib");
        let tree = tree.link("/usr/share/terminfo/x/xterm-debian", "/lib/terminfo/x/xterm");
        let tree = tree.link("/usr/share/terminfo/s/screen", "/root/secret").link("/etc/terminfo/l", "/root");
        let tree = tree.file("/root/linux", "secret").sparse("/usr/lib/terminfo/x/xterms", (64 << 10) + 1);
        let find = |name| tree.around(|around| one(name, around)).map(|supply| shown(&supply));
        let found = "/usr/share/terminfo/x/xterm-debian = /usr/lib/terminfo/x/xterm";
        assert_eq!(find("xterm-debian").unwrap(), [found]);
        for name in ["screen", "linux", "xterms"] {
            assert!(find(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_common_terminals_and_the_one_of_the_environment_are_taken() {
        let tree = Tree::new().files(&["/lib/terminfo/l/linux", "/lib/terminfo/w/wyse50", "/lib/terminfo/z/ztx"]);
        let tree = tree.variable("XTERM=ztx").variable("TERM=wyse50");
        assert_eq!(tree.supplied(common), ["/lib/terminfo/l/linux", "/lib/terminfo/w/wyse50"]);
        assert!(Tree::new().refused(common).contains("install ncurses-base"));
    }

    #[test]
    fn a_path_is_no_name_of_a_terminal() {
        let tree = Tree::new().files(&["/etc/shadow", "/lib/terminfo/x/a"]);
        let long = "x".repeat(NAME_MAX + 1);
        for name in ["", ".", "..", "x/a", "/etc/shadow", "../../etc/shadow", "x\n", "\u{e9}x", &long] {
            assert!(tree.around(|around| one(name, around)).is_err(), "{name:?}");
        }
    }

    #[test]
    fn what_is_no_file_is_no_description() {
        let tree = Tree::new().files(&["/lib/terminfo/x/a", "/lib/terminfo/d/dumb/x"]).fifo("/lib/terminfo/x/xterm");
        let tree = tree.link("/lib/terminfo/x/xterm-color", "/../../../../../../etc/passwd");
        for name in ["xterm", "xterm-color", "dumb"] {
            assert!(tree.around(|around| one(name, around)).is_err(), "{name:?}");
        }
    }
}
