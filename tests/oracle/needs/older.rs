//! A C library before 2.34, which loads modules for users and hosts.

use super::workshop::Workshop;
use crate::debian;
use crate::tools;

const MODULES: [&str; 2] = ["libnss_files.so.2", "libnss_dns.so.2"];

#[test]
fn an_older_c_library_has_the_modules_by_which_it_finds_names() {
    if !tools::is_available("an x86-64 machine", cfg!(target_arch = "x86_64")) {
        return;
    }
    let Some(workshop) = Workshop::open(&["debootstrap"]) else { return };
    let Some(root) = debian::unpack("bullseye", "amd64") else { return };
    workshop.write("hosts", "127.0.0.1 localhost\n");
    let (program, root) = (root.path().join("usr/bin/getent"), root.path().to_str().unwrap());
    let options = ["--sysroot", root, "--with", "users", "--file", "@/hosts:/etc/hosts"];
    let container = workshop.pack(program.to_str().unwrap(), &options);
    assert_eq!(MODULES.map(|module| container.hidden(module)), [Some("symbol"); 2]);
    container.does_not_report("nss-modules");
    for (arguments, start) in [(["passwd", "0"], "root:x:0:0:"), (["hosts", "localhost"], "127.0.0.1")] {
        let said = container.run("/getent", &arguments);
        assert!(said.starts_with(start), "{arguments:?}: {said}");
    }
}
