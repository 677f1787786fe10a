//! TLS: certificates, and OpenSSL's modules.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::case::program;
use super::container::{Container, Lack};
use super::workshop::Workshop;
use crate::tools::{self, Daemon, command, run};

const FETCH: &str = r#"
#include <curl/curl.h>
#include <stdio.h>
int main(int count, char **arguments) {
    CURL *handle = curl_easy_init();
    curl_easy_setopt(handle, CURLOPT_URL, arguments[1]);
    CURLcode error = curl_easy_perform(handle);
    return error ? puts(curl_easy_strerror(error)) < 0 : 0;
}
"#;
const VERIFY: &str = r#"
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
int main(void) {
    X509 *certificate = PEM_read_X509(fopen("/own.pem", "r"), 0, 0, 0);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    X509_STORE_set_default_paths(store);
    X509_STORE_CTX_init(context, store, certificate, 0);
    return puts(X509_verify_cert(context) == 1 ? "known" : "unknown") < 0;
}
"#;
const LEGACY: &str = r#"
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <stdio.h>
int main(void) {
    OSSL_PROVIDER_load(0, "legacy");
    return puts(EVP_MD_fetch(0, "MD4", 0) ? "MD4" : "no MD4") < 0;
}
"#;
const PAGE: &str = "hello over TLS\n";
const CURL: &str = "/usr/include/x86_64-linux-gnu/curl/curl.h";
const OPENSSL: &str = "/usr/include/openssl/provider.h";
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";
const CERTIFIED: [&str; 2] = ["-subj", "/CN=localhost"];
const NAMES: [&str; 2] = ["-addext", "subjectAltName=IP:127.0.0.1"];

/// A certificate for this machine that vouches for itself, its key, and a page to serve.
fn certify(directory: &Path) {
    let mut openssl = command("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "2"]);
    run(openssl.args(CERTIFIED).args(NAMES).args(["-keyout", "own.key", "-out", "own.pem"]).current_dir(directory));
    fs::write(directory.join("page"), PAGE).unwrap();
}

/// Serves that page at a port that is free.
fn server() -> Daemon {
    let serve = |directory: &Path| -> Command {
        certify(directory);
        let mut openssl = command("openssl");
        openssl.args(["s_server", "-accept", "127.0.0.1:0", "-cert", "own.pem", "-key", "own.key", "-WWW"]);
        openssl.current_dir(directory).stdin(Stdio::null());
        openssl
    };
    Daemon::start(serve, |directory| address(directory).is_some())
}

fn address(directory: &Path) -> Option<String> {
    let log = fs::read_to_string(directory.join("log")).unwrap();
    let whole_lines = log.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let address = whole_lines.filter_map(|line| line.strip_prefix("ACCEPT ")).next()?;
    Some(format!("https://{address}/page"))
}

fn fetched(container: &Container, server: &Daemon) -> String {
    container.run("/fetch", &[&address(server.path()).unwrap()])
}

fn workshop() -> Option<(Workshop, Daemon)> {
    if !tools::is_available(CURL, Path::new(CURL).exists()) {
        return None;
    }
    let workshop = Workshop::open(&["cc", "openssl"])?;
    workshop.compile("cc", "fetch", FETCH, &["-lcurl"]);
    let server = server();
    fs::copy(server.path().join("own.pem"), workshop.path("own.pem")).unwrap();
    Some((workshop, server))
}

/// A root that has the program's libraries, and the certificate where Debian keeps them.
fn sysroot(workshop: &Workshop, program: &str) {
    workshop.sysroot(program);
    let bundle = workshop.path("sysroot").join(BUNDLE);
    fs::create_dir_all(bundle.parent().unwrap()).unwrap();
    fs::copy(workshop.path("own.pem"), bundle).unwrap();
}

#[test]
fn without_certificates_a_page_is_refused_and_there_is_a_warning() {
    let Some((workshop, server)) = workshop() else { return };
    let container = workshop.pack("fetch", &[]);
    container.reports(Lack { level: "warning", code: "ca-certificates", evidence: "libcurl.so.4" });
    let said = fetched(&container, &server);
    assert!(said.contains("CA cert"), "{said}");
}

#[test]
fn with_a_certificate_that_is_given_a_page_is_fetched() {
    let Some((workshop, server)) = workshop() else { return };
    let file = format!("@/own.pem:/{BUNDLE}");
    for more in [&[][..], &["--auto"]] {
        let container = workshop.pack("fetch", &[&["--file", file.as_str()], more].concat());
        container.does_not_report("ca-certificates");
        assert_eq!(fetched(&container, &server), PAGE);
    }
}

#[test]
fn with_the_certificates_of_the_root_a_page_is_fetched() {
    let Some((workshop, server)) = workshop() else { return };
    sysroot(&workshop, "fetch");
    for more in [&["--with", "ca-certificates"][..], &["--auto"]] {
        let container = workshop.pack("fetch", &[&["--sysroot", "@/sysroot"], more].concat());
        container.does_not_report("ca-certificates");
        assert_eq!(fetched(&container, &server), PAGE);
    }
}

#[test]
fn a_private_key_never_comes_along() {
    let Some((workshop, server)) = workshop() else { return };
    sysroot(&workshop, "fetch");
    for path in ["etc/ssl/private/own.key", "etc/ssl/certs/own.key", "usr/lib/ssl/private/own.key"] {
        let path = workshop.path("sysroot").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(server.path().join("own.key"), path).unwrap();
    }
    let container = workshop.pack("fetch", &["--sysroot", "@/sysroot", "--auto"]);
    assert_eq!(container.paths_with(&[".key"]), Vec::<String>::new());
}

#[test]
fn the_certificates_are_where_openssl_itself_looks() {
    if !tools::is_available(OPENSSL, Path::new(OPENSSL).exists()) {
        return;
    }
    let Some(workshop) = Workshop::open(&["cc", "openssl"]) else { return };
    certify(&workshop.path(""));
    workshop.compile("cc", "verify", VERIFY, &["-lcrypto"]);
    sysroot(&workshop, "verify");
    let options = ["--file", "@/own.pem:/own.pem", "--sysroot", "@/sysroot"];
    let container = workshop.pack("verify", &options);
    container.reports(Lack { level: "warning", code: "ca-certificates", evidence: "X509_STORE_set_default_paths" });
    container.says("/verify", "unknown\n");
    for more in [&["--with", "ca-certificates"][..], &["--auto"]] {
        workshop.pack("verify", &[&options, more].concat()).says("/verify", "known\n");
    }
}

#[test]
fn a_module_of_openssl_is_there() {
    let case = program("legacy", LEGACY, "MD4\n").header(OPENSSL).flags(&["-lcrypto"]);
    case.warns("openssl", "OSSL_PROVIDER_load").otherwise("no MD4\n").with(&["openssl"]).holds();
}
