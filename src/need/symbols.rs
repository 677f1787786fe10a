//! The imported symbols that tell of a need.

/// What a symbol tells of whoever imports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Hint {
    /// It unwinds stacks, for which glibc loads libgcc_s.so.1 by name.
    Unwind,
    /// It asks for users or groups.
    Users,
    /// It resolves names of hosts.
    Names,
    /// It asks for services or protocols.
    Services,
    /// It verifies the certificates of others.
    Certificates,
    /// It uses local time.
    Zones,
    Locales,
    /// It converts between character sets.
    Charsets,
    /// It makes files in a directory for temporary files that the C library chooses.
    TemporaryFile,
    /// It makes files of names that nobody else has, which are nearly always in `/tmp`.
    TemporaryName,
    /// It loads modules of OpenSSL.
    Providers,
    /// It uses OpenSSL, which reads its configuration first.
    OpenSslConfig,
    /// It draws on a terminal, and ends where it cannot.
    Screen,
    /// It asks what a terminal can do, and may do without.
    Terminal,
    /// It runs a command by a shell.
    Shell,
    /// It loads libraries by itself.
    Dlopen,
}

/// A symbol that tells something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) hint: Hint,
}

/// What this symbol tells, if it tells anything.
pub(crate) fn known(name: &[u8]) -> Option<&'static Known> {
    let mark = mark(name);
    if MARKS[mark / 64] & 1 << (mark % 64) == 0 {
        return None;
    }
    let at = KNOWN.binary_search_by(|known| known.name.as_bytes().cmp(name)).ok()?;
    Some(&KNOWN[at])
}

/// Whether a known name may begin with these bytes.
pub(crate) fn may_be_known(first: [u8; 4]) -> bool {
    let start = start(first);
    STARTS[start / 64] & 1 << (start % 64) != 0
}

impl Known {
    /// Bytes of the longest name.
    pub(crate) const LONGEST: usize = {
        let (mut longest, mut at) = (0, 0);
        while at < KNOWN.len() {
            if KNOWN[at].name.len() > longest {
                longest = KNOWN[at].name.len();
            }
            at += 1;
        }
        longest
    };

    /// What a text in a static program tells, whose symbols tell nothing. It comes with the functions that open the file.
    pub(crate) const TEXTS: &'static [Known] = &[
        // Of glibc: getaddrinfo alone. The paths of the other databases come with any function that asks for one of them.
        on("/etc/gai.conf", Hint::Names),
        on("/usr/share/zoneinfo", Hint::Zones),
        // Go's crypto/x509, and others that bring TLS of their own.
        on("/etc/ssl/certs/ca-certificates.crt", Hint::Certificates),
        // The names of tmpfile, tempnam and tmpnam (`__path_search` in glibc).
        on("%.*s/%.*sXXXXXX", Hint::TemporaryFile),
    ];

    /// What further texts tell in a program without glibc: in one of musl or Go.
    pub(crate) const TEXTS_WITHOUT_GLIBC: &'static [Known] =
        &[on("/etc/passwd", Hint::Users), on("/etc/services", Hint::Services)];

    /// Whether it is no symbol but a text, which a static program without symbols has.
    pub(crate) fn is_text(&self) -> bool {
        self.name.contains('/')
    }
}

/// A bit for each mark that a known name has: of other names, thousands to a library, few share one.
const MARKS: [u64; 64] = {
    let (mut marks, mut at) = ([0; 64], 0);
    while at < KNOWN.len() {
        let mark = mark(KNOWN[at].name.as_bytes());
        marks[mark / 64] |= 1 << (mark % 64);
        at += 1;
    }
    marks
};

/// The same for the first four bytes of each known name: of others, thousands to a library, few are looked at further.
const STARTS: [u64; 64] = {
    let (mut starts, mut at) = ([0; 64], 0);
    while at < KNOWN.len() {
        // None is shorter.
        let Some(first) = KNOWN[at].name.as_bytes().first_chunk() else { panic!() };
        let start = start(*first);
        starts[start / 64] |= 1 << (start % 64);
        at += 1;
    }
    starts
};

/// A number below 4,096 of four bytes.
const fn start(first: [u8; 4]) -> usize {
    (u32::from_le_bytes(first).wrapping_mul(0x9e37_79b1) >> 20) as usize
}

/// A number below 4,096 that costs little: of the length, and three of the bytes.
const fn mark(name: &[u8]) -> usize {
    match name {
        [first, .., last] => {
            let middle = name[name.len() / 2] as usize;
            (name.len() * 3 + *first as usize * 131 + *last as usize * 31 + middle * 17) % 4096
        }
        _ => 0,
    }
}

const fn on(name: &'static str, hint: Hint) -> Known {
    Known { name, hint }
}

/// By name, in bytewise order.
const KNOWN: &[Known] = &[
    on("CONF_modules_load_file", Hint::OpenSslConfig),
    on("CONF_modules_load_file_ex", Hint::OpenSslConfig),
    on("ENGINE_by_id", Hint::Providers),
    on("OPENSSL_init_crypto", Hint::OpenSslConfig),
    on("OPENSSL_init_ssl", Hint::OpenSslConfig),
    on("OSSL_PROVIDER_load", Hint::Providers),
    on("OSSL_PROVIDER_load_ex", Hint::Providers),
    on("OSSL_PROVIDER_try_load", Hint::Providers),
    on("OSSL_PROVIDER_try_load_ex", Hint::Providers),
    on("SSL_CTX_load_verify_dir", Hint::Certificates),
    on("SSL_CTX_load_verify_file", Hint::Certificates),
    on("SSL_CTX_load_verify_locations", Hint::Certificates),
    on("SSL_CTX_new", Hint::OpenSslConfig),
    on("SSL_CTX_new_ex", Hint::OpenSslConfig),
    on("SSL_CTX_set_default_verify_dir", Hint::Certificates),
    on("SSL_CTX_set_default_verify_file", Hint::Certificates),
    on("SSL_CTX_set_default_verify_paths", Hint::Certificates),
    on("SSL_CTX_set_default_verify_store", Hint::Certificates),
    on("X509_STORE_load_file", Hint::Certificates),
    on("X509_STORE_load_locations", Hint::Certificates),
    on("X509_STORE_load_path", Hint::Certificates),
    on("X509_STORE_set_default_paths", Hint::Certificates),
    on("X509_STORE_set_default_paths_ex", Hint::Certificates),
    on("X509_get_default_cert_dir", Hint::Certificates),
    on("X509_get_default_cert_file", Hint::Certificates),
    on("_ZNSt10filesystem19temp_directory_pathB5cxx11ERSt10error_code", Hint::TemporaryFile),
    on("_ZNSt10filesystem19temp_directory_pathB5cxx11Ev", Hint::TemporaryFile),
    on("_ZNSt3__16localeC1EPKc", Hint::Locales),
    on("_ZNSt3__16localeC2EPKc", Hint::Locales),
    on("_ZNSt6chrono12current_zoneEv", Hint::Zones),
    on("_ZNSt6chrono13get_tzdb_listEv", Hint::Zones),
    on("_ZNSt6chrono8get_tzdbEv", Hint::Zones),
    on("_ZNSt6localeC1EPKc", Hint::Locales),
    on("_ZNSt6localeC2EPKc", Hint::Locales),
    on("__ctime64", Hint::Zones),
    on("__ctime64_r", Hint::Zones),
    on("__localtime64", Hint::Zones),
    on("__localtime64_r", Hint::Zones),
    on("__mktime64", Hint::Zones),
    on("__newlocale", Hint::Locales),
    on("backtrace", Hint::Unwind),
    on("ctime", Hint::Zones),
    on("ctime_r", Hint::Zones),
    on("cuserid", Hint::Users),
    on("dlmopen", Hint::Dlopen),
    on("dlopen", Hint::Dlopen),
    on("getaddrinfo", Hint::Names),
    on("getaddrinfo_a", Hint::Names),
    on("getgrent", Hint::Users),
    on("getgrent_r", Hint::Users),
    on("getgrgid", Hint::Users),
    on("getgrgid_r", Hint::Users),
    on("getgrnam", Hint::Users),
    on("getgrnam_r", Hint::Users),
    on("getgrouplist", Hint::Users),
    on("gethostbyaddr", Hint::Names),
    on("gethostbyaddr_r", Hint::Names),
    on("gethostbyname", Hint::Names),
    on("gethostbyname2", Hint::Names),
    on("gethostbyname2_r", Hint::Names),
    on("gethostbyname_r", Hint::Names),
    on("gethostent", Hint::Names),
    on("getlogin", Hint::Users),
    on("getlogin_r", Hint::Users),
    on("getnameinfo", Hint::Names),
    on("getprotobyname", Hint::Services),
    on("getprotobyname_r", Hint::Services),
    on("getprotobynumber", Hint::Services),
    on("getprotobynumber_r", Hint::Services),
    on("getprotoent", Hint::Services),
    on("getprotoent_r", Hint::Services),
    on("getpwent", Hint::Users),
    on("getpwent_r", Hint::Users),
    on("getpwnam", Hint::Users),
    on("getpwnam_r", Hint::Users),
    on("getpwuid", Hint::Users),
    on("getpwuid_r", Hint::Users),
    on("getservbyname", Hint::Services),
    on("getservbyname_r", Hint::Services),
    on("getservbyport", Hint::Services),
    on("getservbyport_r", Hint::Services),
    on("getservent", Hint::Services),
    on("getservent_r", Hint::Services),
    on("getspent", Hint::Users),
    on("getspnam", Hint::Users),
    on("getspnam_r", Hint::Users),
    on("gnutls_certificate_set_x509_system_trust", Hint::Certificates),
    on("gnutls_certificate_set_x509_trust_dir", Hint::Certificates),
    on("gnutls_certificate_set_x509_trust_file", Hint::Certificates),
    on("gnutls_x509_trust_list_add_system_trust", Hint::Certificates),
    on("gnutls_x509_trust_list_add_trust_dir", Hint::Certificates),
    on("gnutls_x509_trust_list_add_trust_file", Hint::Certificates),
    on("iconv_open", Hint::Charsets),
    on("initgroups", Hint::Users),
    on("initscr", Hint::Screen),
    on("localtime", Hint::Zones),
    on("localtime64", Hint::Zones),
    on("localtime64_r", Hint::Zones),
    on("localtime_r", Hint::Zones),
    on("mbedtls_x509_crt_parse_file", Hint::Certificates),
    on("mbedtls_x509_crt_parse_path", Hint::Certificates),
    on("mkdtemp", Hint::TemporaryName),
    on("mkostemp", Hint::TemporaryName),
    on("mkostemp64", Hint::TemporaryName),
    on("mkostemps", Hint::TemporaryName),
    on("mkostemps64", Hint::TemporaryName),
    on("mkstemp", Hint::TemporaryName),
    on("mkstemp64", Hint::TemporaryName),
    on("mkstemps", Hint::TemporaryName),
    on("mkstemps64", Hint::TemporaryName),
    on("mktemp", Hint::TemporaryName),
    on("mktime", Hint::Zones),
    on("mktime64", Hint::Zones),
    on("newlocale", Hint::Locales),
    on("newterm", Hint::Screen),
    on("popen", Hint::Shell),
    on("pthread_cancel", Hint::Unwind),
    on("pthread_exit", Hint::Unwind),
    on("setgrent", Hint::Users),
    on("setlocale", Hint::Locales),
    on("setpwent", Hint::Users),
    on("setupterm", Hint::Screen),
    on("system", Hint::Shell),
    on("tempnam", Hint::TemporaryFile),
    on("tgetent", Hint::Terminal),
    on("thrd_exit", Hint::Unwind),
    on("timelocal", Hint::Zones),
    on("tmpfile", Hint::TemporaryFile),
    on("tmpfile64", Hint::TemporaryFile),
    on("tmpnam", Hint::TemporaryFile),
    on("tmpnam_r", Hint::TemporaryFile),
    on("tzset", Hint::Zones),
    on("wordexp", Hint::Shell),
];

#[cfg(test)]
mod tests {
    use super::{KNOWN, known};

    #[test]
    fn every_known_symbol_is_found_by_its_name() {
        assert!(KNOWN.is_sorted());
        assert!(KNOWN.iter().all(|symbol| known(symbol.name.as_bytes()) == Some(symbol)));
        assert_eq!(known(b"printf"), None);
    }
}
