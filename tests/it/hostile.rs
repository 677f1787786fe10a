//! Images made to do harm, and images that were harmed: typed errors or problems, and nothing from outside.

use std::fs;
use std::os::unix::fs::symlink;

use scratchpack::{Check, ErrorKind, Result, check};
use serde_json::json;
use tar::EntryType;

use crate::elf::{Fixture, LOADER, RUNPATH, library, loader, program};
use crate::random::Random;
use crate::root::BUILTIN;
use crate::stranger::{
    Codec, Form, IMAGES, Member, Stranger, append, blob, bytes, compress, descriptor, directory, file, gzip, link,
    member, messages, tar,
};

fn app() -> Vec<Member> {
    let loader = file(&LOADER[1..], &loader(&BUILTIN));
    vec![loader, file("app", &program(&["libx.so"])), file("lib/libx.so", &library("libx.so"))]
}

fn image() -> Stranger {
    Stranger::of(vec![app()])
}

fn check_bytes(archive: &[u8]) -> Result<Check> {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("image.tar");
    fs::write(&path, archive).unwrap();
    check(path)
}

/// A docker archive with one layer.
fn with_layer(layer: &[u8]) -> Vec<u8> {
    let list = json!([{ "Config": "c.json", "Layers": ["layer.tar"] }]).to_string();
    tar(&[bytes("layer.tar", layer), bytes("c.json", b"{}"), bytes("manifest.json", list.as_bytes())])
}

fn malformed(archive: &[u8], words: &str) {
    let error = check_bytes(archive).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn members_that_lead_out_are_an_error_and_absolute_ones_stay_inside() {
    for path in ["../x", "a/../../x", "/../x"] {
        let leading_out = tar(&[bytes(path, b"")]);
        malformed(&with_layer(&leading_out), "leads out of the image");
    }
    let mut image = image();
    image.layers[0].iter_mut().for_each(|member| member.path.insert(0, '/'));
    assert_eq!(image.problems(&IMAGES), [""; 0]);
}

#[test]
fn links_never_lead_out() {
    // Where they lead, there is the same tree again.
    let out = tempfile::tempdir().unwrap();
    let root = image().write(Form::Root, &out);
    let escape = format!("../../../../../..{}", root.display());
    let members = vec![link("lib64", &format!("{}/lib64", root.display())), link("lib", &escape)];
    let image = Stranger::of(vec![[members, vec![file("app", &program(&[]))]].concat()]);
    let problems = image.problems(&[Form::Docker, Form::Layout, Form::Root]);
    assert_eq!(problems, [format!("/app would not start: its interpreter {LOADER} is not in the image")]);
}

#[test]
fn links_that_lead_in_circles_end() {
    let circle = || vec![link("a", "b"), link("b", "/a")];
    let through = |member| tar(&[circle(), vec![member]].concat());
    malformed(&with_layer(&through(bytes("a/x", b""))), "/a leads through too many symlinks");
    let image = Stranger::of(vec![[circle(), vec![link("lib64", "a"), file("app", &program(&[]))]].concat()]);
    let expected = format!("/app would not start: its interpreter {LOADER} is behind too many symlinks");
    assert_eq!(image.problems(&[Form::Docker, Form::Root]), [expected]);
    // Each link doubles the way.
    let doubling: Vec<Member> = (0..30).map(|n| link(&format!("l{n}"), &format!("l{0}/../l{0}", n + 1))).collect();
    let last = vec![directory("l30"), bytes("l0/x", b"")];
    malformed(&with_layer(&tar(&[doubling, last].concat())), "leads through too many symlinks");
}

#[test]
fn a_file_in_the_way_is_an_error() {
    malformed(&with_layer(&tar(&[bytes("a", b""), bytes("a/b/c", b"")])), "/a/b/c would be in what is no directory");
}

/// Where the data of the last member ends; the padding behind it, and the trailer, may be left out.
fn end_of_data(members: &[Member]) -> usize {
    let last = members.last().unwrap().data.len();
    tar(members).len() - 1024 - last.next_multiple_of(512) + last
}

#[test]
fn an_archive_that_is_cut_off_is_an_error() {
    for form in [Form::Docker, Form::Oci] {
        let mut members = image().members(form);
        // The mark of a layout comes last, and an index is enough.
        members.retain(|member| member.path != "oci-layout");
        let archive = tar(&members);
        for end in (0..end_of_data(&members)).step_by(101) {
            let error = check_bytes(&archive[..end]).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Malformed | ErrorKind::NotAnImage), "{end}: {error}");
        }
    }
}

#[test]
fn a_layer_that_is_cut_off_is_an_error() {
    for codec in [Codec::Gzip, Codec::Zstd] {
        let layer = compress(codec, &tar(&app()));
        for end in 1..layer.len() {
            let error = check_bytes(&with_layer(&layer[..end])).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Malformed, "{codec:?} {end}: {error}");
        }
    }
    let plain = tar(&app());
    for end in (1..end_of_data(&app())).step_by(77) {
        let result = check_bytes(&with_layer(&plain[..end]));
        assert!(result.map_or(true, |check| !check.is_fine() || check.programs() == 0), "{end}");
    }
}

#[test]
fn nothing_that_is_harmed_makes_a_panic() {
    let archives = [Codec::None, Codec::Gzip, Codec::Zstd]
        .map(|codec| [Form::Docker, Form::Oci].map(|form| tar(&image().codec(codec).members(form))));
    let mut random = Random(1);
    for archive in archives.concat() {
        for _ in 0..300 {
            let mut harmed = archive.clone();
            for _ in 0..3 {
                let at = random.below(harmed.len());
                harmed[at] ^= random.next() as u8;
            }
            let _ = check_bytes(&harmed);
        }
    }
}

#[test]
fn what_is_no_image_is_told_what_an_image_is() {
    for (content, words) in [
        (&b""[..], "it is no tar archive; what can be read is"),
        (b"garbage", "it is no tar archive"),
        (&[0; 4096], "it is no tar archive"),
        (&program(&[]).bytes(), "it is no tar archive"),
        (&tar(&app()), "it has neither index.json nor manifest.json; what can be read is"),
        (&gzip(&tar(&image().members(Form::Docker))), "it is compressed with gzip, as a whole; decompress it first"),
        (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    ] {
        let error = check_bytes(content).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAnImage, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.operation(), "check");
    }
    let out = tempfile::tempdir().unwrap();
    let pipe = out.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    assert_eq!(check(&pipe).unwrap_err().kind(), ErrorKind::NotAnImage);
    assert_eq!(check(out.path().join("absent")).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn sizes_that_are_not_there_take_no_memory() {
    for kind in [EntryType::Regular, EntryType::GNULongName, EntryType::XHeader, EntryType::GNUSparse] {
        for size in [1 << 20, 1 << 40, (1 << 62) - 1, u64::MAX >> 1, u64::MAX] {
            let mut layer = Vec::new();
            append(&mut layer, &Member { data: b"\x7fELF".to_vec(), ..member("etc/ld.so.cache", kind) }, size);
            // As a layer, and as the archive itself.
            for archive in [with_layer(&layer), with_layer(&gzip(&layer)), layer] {
                assert_eq!(check_bytes(&archive).unwrap_err().kind(), ErrorKind::Malformed, "{kind:?} {size}");
            }
        }
    }
}

#[test]
fn a_layer_that_grows_is_not_held() {
    let zeros = vec![0; 64 << 20];
    let members = [bytes("zeros", &zeros), bytes("more", &zeros)];
    let check = check_bytes(&with_layer(&compress(Codec::Zstd, &tar(&members)))).unwrap();
    assert!(check.is_fine());
    let long_name = Member { data: zeros, ..member("x", EntryType::GNULongName) };
    malformed(&with_layer(&compress(Codec::Zstd, &tar(&[long_name]))), "the limit is 1048576");
}

#[test]
fn a_zstd_window_that_is_too_large_is_refused() {
    // A frame header with a window of 2 TiB (RFC 8878, 3.1.1.1.2).
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 31 << 3, 0x01, 0x00, 0x00];
    assert_eq!(check_bytes(&with_layer(&frame)).unwrap_err().kind(), ErrorKind::Malformed);
}

#[test]
fn lists_for_loaders_have_a_limit() {
    let list = bytes("etc/ld.so.cache", &vec![b'x'; (16 << 20) + 1]);
    malformed(&with_layer(&compress(Codec::Zstd, &tar(&[list]))), "a list for a loader has 16777217 bytes");
    let lists: Vec<Member> = (0..5).map(|n| bytes(&format!("{n}/ld.so.cache"), &vec![b'x'; 15 << 20])).collect();
    malformed(&with_layer(&compress(Codec::Zstd, &tar(&lists))), "bytes of lists for loaders, which is the limit");
}

#[test]
fn one_string_that_is_named_thousands_of_times_has_a_limit() {
    let mut library = library(&"x".repeat(4000));
    library.numbers = vec![(1, 1); 260];
    let files: Vec<Member> = (0..260).map(|n| file(&format!("{n}.so"), &library)).collect();
    malformed(&with_layer(&compress(Codec::Zstd, &tar(&files))), "bytes of names in its ELF files");
}

#[test]
fn a_search_without_an_end_is_given_up() {
    let names: Vec<String> = (0..8000).map(|n| format!("{n}.so")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let directories: Vec<String> = (0..4_000).map(|n| format!("/{n}")).collect();
    let app = program(&names).with(RUNPATH, &directories.join(":"));
    let mut members = self::app();
    members.push(file("search", &app));
    members.extend((0..4_000).map(|n| directory(&n.to_string())));
    let problems = Stranger::of(vec![members]).problems(&[Form::Docker]);
    let limit = "its loader would look up more than 4194304 names, which is the limit";
    assert_eq!(problems, [format!("/search cannot be checked: {limit}")]);
}

#[test]
fn what_is_missing_is_told_within_limits() {
    let directories: Vec<String> = (0..4_000).map(|n| format!("/{n}")).collect();
    let lost = program(&["a.so", "b.so"]).with(RUNPATH, &directories.join(":"));
    // Without the subdirectories that older loaders search.
    let mut loader = loader(&BUILTIN);
    loader.data.extend(b"glibc-hwcaps\0");
    let mut members = vec![file(&LOADER[1..], &loader)];
    members.extend((0..150).map(|n| file(&format!("bin/{n:03}"), &lost)));
    members.extend((0..4_000).map(|n| directory(&n.to_string())));
    let problems = Stranger::of(vec![members]).problems(&[Form::Docker]);
    assert_eq!(problems.len(), 150);
    assert!(problems[0].starts_with("/bin/000 needs a.so, which was not found\n  /0/a.so"), "{}", problems[0].len());
    let last = "/bin/149 would not start: libraries are missing, and too many in this image to name them all";
    assert_eq!(problems[149], last);
}

#[test]
fn a_loader_full_of_directories_takes_no_time() {
    let list: String = (0..600_000).map(|n| format!("/lib{n}/\0{}", if n % 2 == 0 { "" } else { "x\0" })).collect();
    let data = [b"glibc-ld.so.cache\0", list.as_bytes()].concat();
    let loader = Fixture { data, ..library("ld-linux-x86-64.so.2") };
    let image = image().layer(vec![file(&LOADER[1..], &loader)]);
    assert!(image.problems(&[Form::Docker])[0].starts_with("/app needs libx.so"));
}

#[test]
fn documents_that_contradict_are_errors() {
    for (name, document, words) in [
        ("index.json", "{", "index.json: it is no valid JSON"),
        ("index.json", "[]", "an image index has no list of manifests"),
        ("index.json", r#"{"manifests":[{}]}"#, "a descriptor has no digest"),
        ("index.json", r#"{"manifests":[{"digest":"sha256:../../etc/passwd"}]}"#, "a descriptor has no digest"),
        ("index.json", r#"{"manifests":[{"digest":"sha256:abc"}]}"#, "blobs/sha256/abc is not in it"),
        ("manifest.json", "{}", "manifest.json: it is no list of images"),
        ("manifest.json", "[{}]", "an image has no list of layers"),
        ("manifest.json", r#"[{"Layers":[],"Config":1}]"#, "a name that is no string"),
        ("manifest.json", r#"[{"Layers":["l"],"Config":"c"}]"#, "c is not in it"),
        ("manifest.json", r#"[{"Layers":["../../l"],"Config":"manifest.json"}]"#, "leads out of the image"),
    ] {
        malformed(&tar(&[bytes(name, document.as_bytes())]), words);
    }
    let deep = "[".repeat(100_000);
    malformed(&tar(&[bytes("index.json", deep.as_bytes())]), "it is no valid JSON");
    let large = vec![b' '; (4 << 20) + 1];
    malformed(&tar(&[bytes("manifest.json", &large)]), "it has more than 4194304 bytes");
}

#[test]
fn indexes_in_indexes_end() {
    // Of a digest that is not looked at, so that an index can hold itself.
    let index = r#"{"manifests":[{"digest":"sha0:self"},{"digest":"sha0:self"}]}"#.as_bytes();
    malformed(
        &tar(&[bytes("blobs/sha0/self", index), bytes("index.json", index)]),
        "more than 8 indexes are in one another",
    );
    let wide = json!({ "manifests": vec![json!({ "digest": "sha0:empty" }); 20_000] }).to_string();
    let empty = bytes("blobs/sha0/empty", br#"{"manifests":[]}"#);
    malformed(&tar(&[empty, bytes("index.json", wide.as_bytes())]), "descriptors in its indexes, which is the limit");
}

#[test]
fn links_among_the_members_of_an_archive_stay_in_it() {
    let list =
        |layer: &str| bytes("manifest.json", json!([{ "Config": "c", "Layers": [layer] }]).to_string().as_bytes());
    let config = || bytes("c", b"{}");
    malformed(&tar(&[link("a", "b"), link("b", "a"), config(), list("a")]), "a is behind too many links");
    malformed(&tar(&[link("a", "/etc/passwd"), config(), list("a")]), "a is not in it");
    malformed(&tar(&[link("a", "../../../etc/passwd"), config(), list("a")]), "a is not in it");
}

#[test]
fn a_blob_that_is_another_is_an_error() {
    let mut members = image().members(Form::Oci);
    members[0].data.push(0);
    malformed(&tar(&members), "and its descriptor says");
    let last = members[0].data.len() - 2;
    members[0].data.truncate(last + 1);
    members[0].data[last] ^= 1;
    malformed(&tar(&members), "does not have the digest of its name");
}

#[test]
fn links_in_a_layout_stay_in_it() {
    let out = tempfile::tempdir().unwrap();
    let layout = image().write(Form::Layout, &out);
    let layer = &image().members(Form::Layout)[0].path;
    fs::rename(layout.join(layer), out.path().join("outside")).unwrap();
    for target in ["../../../outside".to_owned(), out.path().join("outside").display().to_string()] {
        symlink(target, layout.join(layer)).unwrap();
        let error = check(&layout).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
        assert!(error.to_string().contains("is not in it"), "{error}");
        fs::remove_file(layout.join(layer)).unwrap();
    }
    fs::rename(out.path().join("outside"), layout.join("inside")).unwrap();
    symlink("/inside", layout.join(layer)).unwrap();
    assert!(check(&layout).unwrap().is_fine());
}

#[test]
fn names_are_made_fit_for_a_terminal() {
    let (members, mut manifest) = Stranger::of(vec![vec![file("a\x1b[2Jp\n", &program(&[]))]]).manifest();
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": "x\x1b[2J" });
    let index = bytes("index.json", json!({ "manifests": [manifest] }).to_string().as_bytes());
    let check = check_bytes(&tar(&[members, vec![index]].concat())).unwrap();
    assert!(messages(&check)[0].starts_with("/a\\x1b[2Jp\\x0a would not start"), "{check:?}");
    let index = json!({ "manifests": [descriptor("manifest", b"{}")] }).to_string();
    malformed(&tar(&[blob(b"{}"), bytes("index.json", index.as_bytes())]), "is no image manifest");
}
