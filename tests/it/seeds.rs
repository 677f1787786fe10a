//! What the targets in `fuzz/` start from: `SCRATCHPACK_SEEDS=fuzz/corpus cargo test --test it seeds::`

use std::fs;
use std::path::PathBuf;

use scratchpack::Elf;

use crate::elf::{
    AUDIT, AUXILIARY, FILTER, Fixture, RPATH, RUNPATH, S390, arm_attributes, library, newer_loader, program,
    static_program, with_arm_attributes,
};
use crate::packages::APK;
use crate::root::{BUILTIN, Root};
use crate::rpmdb::rpmdb;

/// ELF files of every class and byte order with all that a fixture can say.
pub fn files() -> Vec<Vec<u8>> {
    let all = program(&["liba.so.1", "$ORIGIN/libb.so"]).with(RUNPATH, "$ORIGIN/../lib:/opt/${LIB}").with(FILTER, "f");
    let all =
        all.with(AUXILIARY, "x").with(AUDIT, "a:b").needs_version("liba.so.1", "A_1").imports(&["dlopen", "iconv"]);
    let library = library("liba.so.1").with(RPATH, "/x").defines(&["A_1", "A_2"]).likes_version("libb.so", "B");
    let files = [
        all.clone(),
        library.clone().isa_needed(5),
        library.clone().isa_needed(2).machine(3, false, true),
        library.clone().machine(S390, true, false),
        library.machine(8, false, false),
        Fixture { imports: Vec::new(), ..all }.loads(r#"[{"soname":["libx.so"],"priority":"suggested"}]"#),
        newer_loader(&BUILTIN),
        static_program().data(b"\0/etc/nsswitch.conf\0de_DE.UTF-8\0ISO-8859-15\0libplugin.so.1\0"),
    ];
    let arm = with_arm_attributes(program(&["libc.so.6"]).machine(40, false, true).bytes(), &arm_attributes(10));
    files.iter().map(Fixture::bytes).chain([arm]).collect()
}

/// A cache of the current format that has the first of these names for x86-64.
pub fn cache() -> Vec<u8> {
    let mut bytes = b"glibc-ld.so.cache1.1\x01\0\0\0\x18\0\0\0\x02\0\0\0".to_vec();
    bytes.resize(48, 0);
    bytes.extend([0x303u32, 72, 82, 0, 0, 0].map(u32::to_le_bytes).concat());
    bytes.extend(b"libx.so.1\0/opt/libx.so.1\0");
    bytes
}

/// One of the old format, with one of the current format behind it.
pub fn old_cache() -> Vec<u8> {
    let mut bytes = b"ld.so-1.7.0\0\x01\0\0\0\x03\0\0\0\0\0\0\0\x0a\0\0\0libx.so.1\0/libx.so.1\0".to_vec();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    [bytes, cache()].concat()
}

pub const CONF: &str =
    "# all\ninclude ld.so.conf.d/*.conf\n/opt/lib\n/usr/lib=libc6\nhwcap 0 x\ninclude [a-c]?\\*/x /l*\n";

pub const TOKENS: [&str; 3] = ["$ORIGIN/../lib:${LIB}/$PLATFORM", "$ORIGINAL${ORIGIN", "$$PLATFORM_${PLATFORM}$"];

fn notes() -> Vec<Vec<u8>> {
    let dlopen = br#"[{"soname":["libx.so.1","libx.so"],"feature":"x","description":"","priority":"required"}]"#;
    let note = |owner: &[u8; 4], kind: u32, content: &[u8]| {
        let sizes = [4, u32::try_from(content.len()).unwrap(), kind].map(u32::to_le_bytes).concat();
        [&sizes[..], owner, content].concat()
    };
    let property = [0xc000_8002u32, 4, 7, 0].map(u32::to_le_bytes).concat();
    vec![
        [&b"\0"[..], &note(b"FDO\0", 0x407c_0c0a, dlopen)].concat(),
        [&b"\x03"[..], &note(b"GNU\0", 5, &property)].concat(),
        [&b"\x02"[..], &note(b"GNU\0", 1, &[0; 16]), &note(b"GNU\0", 5, &property)].concat(),
    ]
}

/// Two locks of one image, of which the second has a library more.
fn locks() -> Vec<u8> {
    let lock = |root: Root| root.image("/app").lock().unwrap().to_string();
    let root = || Root::debian().file("/lib/libx.so.1", &library("libx.so.1")).link("/lib/libz.so.1", "libx.so.1");
    let before = lock(root().file("/app", &program(&["libx.so.1"])));
    let after = lock(root().file("/app", &program(&["libx.so.1", "libz.so.1"])));
    [before.as_bytes(), b"\0", after.as_bytes()].concat()
}

/// For each file of a database of packages, in the order that the target has.
fn databases() -> Vec<Vec<u8>> {
    let texts = [
        "Package: app\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:2-3\nSource: a (2)\n",
        "/.\n/app\n",
        "/app\n/app.old\nother\n",
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: MIT or GPL-2+\n .\n",
        APK,
    ];
    let release = b"ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME='Debian \\x'\n".to_vec();
    let files = texts.into_iter().map(Vec::from).chain([rpmdb(), release]);
    (0..).zip(files).map(|(number, file)| [vec![number], file].concat()).collect()
}

#[test]
fn the_seeds_of_the_fuzz_targets_are_what_they_should_be() {
    assert!(files().iter().all(|file| Elf::parse(file).is_ok()));
    let Some(out) = std::env::var_os("SCRATCHPACK_SEEDS").map(PathBuf::from) else { return };
    let texts = TOKENS.iter().map(|text| text.as_bytes().to_vec()).collect();
    let caches = vec![cache(), old_cache()];
    for (target, seeds) in [
        ("elf", files()),
        ("ld_cache", caches),
        ("ld_conf", vec![CONF.into()]),
        ("lock", vec![locks()]),
        ("notes", notes()),
        ("packages", databases()),
        ("tokens", texts),
    ] {
        fs::create_dir_all(out.join(target)).unwrap();
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(out.join(target).join(format!("seed-{number}")), seed).unwrap();
        }
    }
}
