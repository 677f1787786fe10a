//! The names of services and protocols.

use std::path::Path;

use super::system::{Text, extra, listed};
use super::{Supply, Surroundings};
use crate::collect::extra::{Extra, ExtraContent};
use crate::need::Need;

/// Bytes of one file. The largest known, IANA's whole list, has 1 MiB.
const MAX_SIZE: u64 = 4 << 20;

/// Where a C library opens each, which is where nearly every system has it.
const FILES: [&str; 2] = ["services", "protocols"];

/// Where systems have them: the first is `_PATH_SERVICES` (netdb.h), the others belong to openSUSE and Clear Linux,
/// whose `/etc` holds only what an administrator changed.
const DIRECTORIES: [&str; 3] = ["/etc", "/usr/etc", "/usr/share/defaults/etc"];

pub(super) fn supply(around: &Surroundings<'_>) -> Result<Supply, String> {
    let mut extras = Vec::new();
    for name in FILES {
        extras.extend(find(name, around)?);
    }
    match extras.is_empty() {
        true => Err(format!(
            "the root has no list of services or protocols in {}; install the package that has it: netbase (Debian), \
             setup (Fedora), iana-etc (Arch), alpine-baselayout-data (Alpine)",
            listed(&DIRECTORIES)
        )),
        false => Ok(Supply { extras, modules: Vec::new() }),
    }
}

fn find(name: &str, around: &Surroundings<'_>) -> Result<Option<Extra>, String> {
    for directory in DIRECTORIES {
        if let Some(text) = Text::read(&Path::new(directory).join(name), MAX_SIZE, around)? {
            let at = Path::new(DIRECTORIES[0]).join(name);
            return Ok(Some(extra(&Need::Services, at, ExtraContent::File(text.source))));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Tree;
    use super::supply;

    #[test]
    fn both_lists_of_the_root_are_supplied() {
        let tree = Tree::new().file("/etc/services", "ssh 22/tcp\n").file("/etc/protocols", "tcp 6 TCP\n");
        assert_eq!(tree.supplied(supply), ["/etc/services", "/etc/protocols"]);
    }

    #[test]
    fn a_list_that_stands_elsewhere_goes_where_it_is_looked_for() {
        let tree = Tree::new().file("/usr/etc/services", "ssh 22/tcp\n");
        assert_eq!(tree.supplied(supply), ["/etc/services = /usr/etc/services"]);
    }

    #[test]
    fn a_root_without_lists_is_told_what_to_install() {
        let told = Tree::new().refused(supply);
        assert!(told.contains("netbase"), "{told}");
    }

    #[test]
    fn a_key_under_the_name_of_a_list_is_refused() {
        let tree = Tree::new().file("/root/.ssh/id", "-----BEGIN OPENSSH PRIVATE KEY-----\n");
        let tree = tree.link("/etc/services", "/root/.ssh/id");
        assert!(tree.refused(supply).contains("/etc/services is not put into an image: it holds a private key"));
    }
}
