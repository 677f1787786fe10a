//! Image names, as registries and docker write them (`github.com/distribution/reference`).

use std::fmt::{self, Display, Formatter};

/// The longest name without its tag.
const MAX_NAME: usize = 255;
/// The longest tag.
const MAX_TAG: usize = 128;

/// A name and tag of an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    domain: String,
    path: String,
    tag: String,
}

impl Reference {
    /// `hello`, `me/hello:1`, `registry:5000/a/b:c`: what is left out is what docker would take.
    pub(crate) fn parse(text: &str) -> Result<Reference, String> {
        let refuse = |why: &str| Err(format!("`{}` is no image name: {why}", text.escape_debug()));
        if text.contains('@') {
            return refuse("a digest cannot be chosen; give NAME[:TAG]");
        }
        let (name, tag) = split_tag(text);
        let (domain, path) = split_domain(name);
        if !is_tag(tag) {
            return refuse(
                "a tag has letters, digits, `_`, `.` and `-`, at most 128, and begins with none of the last two",
            );
        }
        if !is_domain(domain) {
            return refuse("its registry is no host name");
        }
        if path.is_empty() || !path.split('/').all(is_component) {
            return refuse("a name has lower case letters, digits, and single `.`, `_`, `__` or `-` between them");
        }
        let path = if domain == DOCKER && !path.contains('/') { format!("library/{path}") } else { path.to_owned() };
        if domain.len() + 1 + path.len() > MAX_NAME {
            return refuse("it is longer than 255 characters");
        }
        Ok(Reference { domain: domain.to_owned(), path, tag: tag.to_owned() })
    }

    /// `latest`
    pub(crate) fn tag(&self) -> &str {
        &self.tag
    }

    /// `hello:latest`: the short form, which docker's own archives use.
    pub(crate) fn familiar(&self) -> String {
        let full = format!("{}/{}:{}", self.domain, self.path, self.tag);
        let short = full.strip_prefix("docker.io/").unwrap_or(&full);
        short.strip_prefix("library/").unwrap_or(short).to_owned()
    }
}

/// `docker.io/library/hello:latest`
impl Display for Reference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.domain, self.path, self.tag)
    }
}

const DOCKER: &str = "docker.io";

fn split_tag(text: &str) -> (&str, &str) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (text, "latest"),
    }
}

/// The part before the first slash is a registry if it looks like a host; else the name is Docker Hub's.
fn split_domain(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some(("index.docker.io", path)) => (DOCKER, path),
        Some((domain, path)) if looks_like_host(domain) => (domain, path),
        _ => (DOCKER, name),
    }
}

fn looks_like_host(domain: &str) -> bool {
    domain == "localhost" || domain.contains(['.', ':']) || domain.contains(|c: char| c.is_ascii_uppercase())
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (domain, None),
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        let inside = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        !bytes.is_empty() && inside && !bytes.starts_with(b"-") && !bytes.ends_with(b"-")
    };
    let is_v6 = |host: &str| {
        let inside = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        inside.is_some_and(|address| address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':'))
    };
    port.is_none_or(is_port) && (is_v6(host) || host.split('.').all(is_label))
}

/// Runs of lower case letters and digits, with one separator between: `.`, `_`, `__` or any number of `-`.
fn is_component(component: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let ends = component.starts_with(is_alphanumeric) && component.ends_with(is_alphanumeric);
    let mut separators = component.split(is_alphanumeric).filter(|between| !between.is_empty());
    ends && separators.all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|byte| byte == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    let mut bytes = tag.bytes();
    bytes.next().is_some_and(is_word)
        && bytes.all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
        && tag.len() <= MAX_TAG
}

#[cfg(test)]
mod tests {
    use super::Reference;

    #[test]
    fn what_is_left_out_is_what_docker_takes() {
        for (text, full, familiar) in [
            ("hello", "docker.io/library/hello:latest", "hello:latest"),
            ("me/hello:1", "docker.io/me/hello:1", "me/hello:1"),
            ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
            ("r.example:5000/a/b:v1.2-3", "r.example:5000/a/b:v1.2-3", "r.example:5000/a/b:v1.2-3"),
            ("docker.io/hello", "docker.io/library/hello:latest", "hello:latest"),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!((reference.to_string().as_str(), reference.familiar().as_str()), (full, familiar));
        }
    }

    #[test]
    fn names_that_no_registry_takes_are_refused() {
        let long = "a".repeat(300);
        for text in [
            "",
            ":x",
            "Hello",
            "a//b",
            "a/",
            "-a",
            "a..b",
            "a___b",
            "a:",
            "a:-x",
            "a@sha256:00",
            "a b",
            "x.y:z/a",
            &long,
        ] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
    }
}
