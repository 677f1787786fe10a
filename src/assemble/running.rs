//! How a container of the image runs: the options of it, and what can be wrong with them (OCI image spec, config).

use std::collections::BTreeMap;

use super::documents::Runtime;
use crate::collect::Closure;
use crate::error::Cause;
use crate::limits::MAX_PATH_ELEMENTS;
use crate::text::printable;

/// What the caller wants, and has not been checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Running {
    pub(super) entrypoint: Option<Vec<String>>,
    pub(super) cmd: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) user: Option<(u32, Option<u32>)>,
    pub(super) workdir: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) ports: Vec<String>,
    pub(super) stop_signal: Option<String>,
}

impl Running {
    /// All that is wrong.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut wrong: Vec<String> = self.env.iter().flat_map(|(name, value)| variable_problems(name, value)).collect();
        wrong.extend(self.ports.iter().filter(|port| !is_port(port)).map(|port| {
            format!("`{}` is no port; give 1 to 65535, and /tcp, /udp or /sctp if you like", port.escape_debug())
        }));
        if self.labels.keys().any(String::is_empty) {
            wrong.push("a label needs a name".to_owned());
        }
        if self.workdir.as_ref().is_some_and(|dir| !dir.starts_with('/')) {
            wrong.push("the working directory must be an absolute path".to_owned());
        }
        if self.stop_signal.as_ref().is_some_and(|signal| !is_signal(signal)) {
            wrong.push("the stop signal must be a name such as SIGINT, or a number".to_owned());
        }
        if self.entrypoint.as_ref().is_some_and(Vec::is_empty) {
            wrong.push("an entrypoint needs at least one argument".to_owned());
        }
        wrong
    }

    /// What the image says of it, when nothing is wrong; the entrypoint is known when the program is.
    pub(super) fn runtime(&self) -> Runtime {
        Runtime {
            entrypoint: Vec::new(),
            cmd: self.cmd.clone(),
            env: self.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            user: self.user.map(|(user, group)| match group {
                Some(group) => format!("{user}:{group}"),
                None => user.to_string(),
            }),
            workdir: self.workdir.clone(),
            labels: self.labels.clone(),
            ports: self.ports.iter().map(|port| with_protocol(port)).collect(),
            stop_signal: self.stop_signal.clone(),
        }
    }

    /// What the container runs: the program alone, unless the caller says something else.
    pub(super) fn entrypoint_of(&self, program: &Closure) -> Result<Vec<String>, Cause> {
        let path = program.program().path();
        match (&self.entrypoint, path.to_str()) {
            (Some(entrypoint), _) => Ok(entrypoint.clone()),
            (None, Some(path)) => Ok(vec![path.to_owned()]),
            (None, None) => Err(Cause::InvalidOption(vec![format!(
                "an image's configuration is UTF-8, and the program's path in the image is not: {}; give another one \
                 to install it at",
                printable(path)
            )])),
        }
    }
}

fn variable_problems(name: &str, value: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
        wrong.push(format!("`{}` is no name of an environment variable", name.escape_debug()));
    }
    let elements = value.split([':', ';']).count();
    if name == "LD_LIBRARY_PATH" && elements > MAX_PATH_ELEMENTS {
        wrong.push(format!("LD_LIBRARY_PATH has {elements} elements; the limit is {MAX_PATH_ELEMENTS}"));
    }
    wrong
}

fn is_port(port: &str) -> bool {
    let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    number.parse::<u16>().is_ok_and(|number| number > 0)
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && matches!(protocol, "tcp" | "udp" | "sctp")
}

fn with_protocol(port: &str) -> String {
    if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") }
}

fn is_signal(signal: &str) -> bool {
    let is_number = signal.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number));
    let is_name = signal.starts_with("SIG")
        && signal.len() > 3
        && signal.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'-'));
    is_number || is_name
}
