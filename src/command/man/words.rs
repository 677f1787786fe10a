//! What the manual page says and the parser does not know.

/// Terms, each with what is to be said of it.
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) entries: &'static [(&'static str, &'static str)],
}

pub(super) const NAME: &str = "pack an ELF executable and only what it needs into a FROM scratch image";

pub(super) const DESCRIPTION: [&str; 3] = [
    "scratchpack packs a compiled executable, and only what it needs to run, into a single-layer container image that has no \
     base. It reads ELF, and follows the rules of the program's own loader, glibc's or musl's; it runs neither the program \
     nor its loader, nor a shell or a daemon, but for docker or podman where --load asks for it.",
    "What cannot be found is an error that lists every place tried. What the program may need beside its libraries, and the \
     image lacks, is a warning or a note that names the option which includes it. The finished image is proved, by the \
     loader's rules once more over what it holds, before anything is written; and an output is there whole or not at all.",
    "Answers go to standard output, messages to standard error. Without arguments, the command shows an example.",
];

pub(super) const SECTIONS: [Section; 4] = [
    Section {
        name: "EXIT STATUS",
        entries: &[
            ("0", "Done; for check, all that was looked at would start."),
            ("1", "It would not start, or something failed."),
            ("2", "The arguments make no sense."),
        ],
    },
    Section {
        name: "ENVIRONMENT",
        entries: &[
            (
                "SOURCE_DATE_EPOCH",
                "The time that the image carries, in seconds since 1970, where --created gives none.",
            ),
            ("NO_COLOR", "If it is set, and not empty, there are no colours; they are on terminals only."),
            ("PATH", "Where --load looks for docker, and then for podman."),
            (
                "DOCKER_HOST, DOCKER_CONTEXT, CONTAINER_HOST",
                "Read by docker and podman themselves, when --load runs them.",
            ),
        ],
    },
    Section {
        name: "FILES",
        entries: &[
            (
                "/etc/ld.so.cache",
                "Where libraries are, as glibc's loader has it; in a sysroot without one, what ldconfig would put there is \
                 worked out from /etc/ld.so.conf.",
            ),
            ("/etc/ld-musl-ARCH.path", "Where musl's loader looks."),
        ],
    },
    Section {
        name: "EXAMPLES",
        entries: &[
            (
                "scratchpack build hello -o hello.tar && docker load -i hello.tar && docker run --rm hello",
                "Pack a program.",
            ),
            (
                "scratchpack build server --load -t example/server:1 --with ca-certificates --user 65532:65532",
                "Hand it to docker or podman, with certificates, and not to be run as root.",
            ),
            ("scratchpack inspect --sort size /usr/bin/git", "See what a program needs, the largest first."),
            ("scratchpack explain /usr/bin/git libpcre2-8.so.0", "See why a library is in it."),
            ("docker save some/image -o image.tar && scratchpack check image.tar", "See whether it would start."),
            (
                "scratchpack completions bash > ~/.local/share/bash-completion/completions/scratchpack",
                "Have bash complete commands and options.",
            ),
            ("scratchpack man > ~/.local/share/man/man1/scratchpack.1", "Install this page."),
        ],
    },
];

pub(super) const SEE_ALSO: &str = "ld.so(8), ldconfig(8), docker-load(1), podman-load(1), skopeo(1), readelf(1)";
