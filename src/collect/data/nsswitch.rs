//! Which services a C library asks for users, hosts and so on: those alone that are inside it.

use super::Supply;
use super::system::extra;
use crate::collect::extra::ExtraContent;
use crate::need::Need;

/// nsswitch.conf(5). From 2.34 on, glibc has `files` and `dns` inside itself; older ones load them by name.
const TEXT: &str = "\
passwd: files
group: files
shadow: files
gshadow: files
hosts: files dns
networks: files
ethers: files
netgroup: files
services: files
protocols: files
rpc: files
";

pub(super) fn supply() -> Supply {
    let content = ExtraContent::Generated(TEXT.into());
    Supply { extras: vec![extra(&Need::Nsswitch, "/etc/nsswitch.conf", content)], modules: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::{TEXT, supply};

    #[test]
    fn only_services_inside_the_c_library_are_asked() {
        for line in TEXT.lines() {
            let (_, services) = line.split_once(": ").unwrap();
            assert!(services.split(' ').all(|service| ["files", "dns"].contains(&service)), "{line}");
        }
        assert_eq!(supply().extras[0].at.to_str(), Some("/etc/nsswitch.conf"));
    }
}
