//! Which needs are to be met, and what meets them.

use std::ffi::OsStr;
use std::path::Path;

use super::ImageFacts;
use super::data::Supply;
use super::loader::Libc;
use super::told::Told;
use crate::need::Need;

/// What the caller wants met.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) needs: Vec<Need>,
    pub(super) is_auto: bool,
    pub(super) image: ImageFacts,
}

/// A need that is to be met.
struct Task {
    need: Need,
    on_failure: OnFailure,
}

/// What becomes of a need that nothing meets.
#[derive(Clone, Copy)]
enum OnFailure {
    /// The caller named it.
    Refuse,
    /// The files tell of it.
    Tell,
    /// The files might tell of it.
    Ignore,
}

/// What was found for the needs that are to be met.
#[derive(Debug, Default)]
pub(super) struct Met {
    pub(super) supplies: Vec<(Need, Supply)>,
    /// What was wanted because the files tell of it, and why the root has nothing for it.
    pub(super) lacking: Vec<(Need, String)>,
}

impl Wanted {
    /// Finds what meets the needs that the caller names, and with [`Wanted::is_auto`] those that were told of.
    pub(super) fn meet(
        &self,
        told: &[Told],
        libc: Option<Libc>,
        supplies: impl Fn(&[Need]) -> Vec<Result<Supply, String>>,
    ) -> Result<Met, Vec<String>> {
        let mut met = Met::default();
        let mut tasks = self.tasks(told);
        tasks.retain(|task| {
            let why = useless(&task.need, libc);
            let is_told = !matches!(task.on_failure, OnFailure::Ignore);
            met.lacking.extend(why.filter(|_| is_told).map(|why| (task.need.clone(), why.to_owned())));
            why.is_none()
        });
        let needs: Vec<Need> = tasks.iter().map(|task| task.need.clone()).collect();
        let mut wrong = Vec::new();
        for (task, supply) in tasks.into_iter().zip(supplies(&needs)) {
            match (supply, task.on_failure) {
                (Ok(supply), _) => met.supplies.push((task.need, supply)),
                (Err(why), OnFailure::Refuse) => wrong.push(format!("the need {} cannot be met: {why}", task.need)),
                (Err(why), OnFailure::Tell) => met.lacking.push((task.need, why)),
                (Err(_), OnFailure::Ignore) => {}
            }
        }
        if wrong.is_empty() { Ok(met) } else { Err(wrong) }
    }

    /// Whether there may be needs to meet.
    pub(super) fn has_any(&self) -> bool {
        self.is_auto || !self.needs.is_empty() || !self.image.shared.is_empty()
    }

    fn tasks(&self, told: &[Told]) -> Vec<Task> {
        let mut tasks: Vec<Task> = Vec::new();
        let mut add = |need: Need, on_failure: OnFailure| {
            // What is common among terminals is not all that there are.
            let is_common = matches!(need, Need::Terminal(_));
            if !tasks.iter().any(|task| task.need == need || (need.is_part_of(&task.need) && !is_common)) {
                tasks.push(Task { need, on_failure });
            }
        };
        self.needs.iter().for_each(|need| add(need.clone(), OnFailure::Refuse));
        for told in told.iter().filter(|told| self.is_auto && !self.provides(&told.need)) {
            match told.need {
                Need::Locales => {
                    self.locales().into_iter().for_each(|name| add(Need::Locale(name), OnFailure::Tell));
                    told.named.iter().for_each(|need| add(need.clone(), OnFailure::Ignore));
                }
                _ => add(told.need.clone(), OnFailure::Tell),
            }
        }
        self.image.shared.iter().for_each(|need| add(need.clone(), OnFailure::Ignore));
        tasks
    }

    /// Whether the caller puts something of his own at the very path where a need looks first.
    pub(super) fn provides(&self, need: &Need) -> bool {
        let paths: &[&str] = match need {
            Need::Users => &["/etc/passwd"],
            Need::Nsswitch => &["/etc/nsswitch.conf"],
            Need::Services => &["/etc/services"],
            Need::Tmp => &["/tmp"],
            Need::TimeZones => &["/usr/share/zoneinfo"],
            Need::Locales => &["/usr/lib/locale", "/usr/lib/locale/locale-archive"],
            Need::CaCertificates => &BUNDLES,
            Need::OpenSsl => &["/etc/ssl/openssl.cnf", "/usr/lib/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf"],
            Need::Terminfo => &["/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo"],
            _ => &[],
        };
        self.image.provided.iter().any(|provided| paths.iter().any(|path| provided == Path::new(path)))
    }

    /// Whether the caller puts a shell where everybody looks for one.
    pub(super) fn provides_shell(&self) -> bool {
        self.image.provided.iter().any(|path| path == Path::new("/bin/sh"))
    }

    /// The locale that every system has, and those that the image's environment names.
    fn locales(&self) -> Vec<String> {
        let variables = self.image.environment.iter().filter_map(|variable| variable.split_once('='));
        let named = variables.filter(|(name, _)| *name == "LANG" || name.starts_with("LC_"));
        let named = named.map(|(_, value)| value).filter(|value| !["", "C", "POSIX"].contains(value));
        std::iter::once("C.UTF-8").chain(named).map(str::to_owned).collect()
    }
}

/// Where systems have their bundle of certificates, and OpenSSL looks for it.
const BUNDLES: [&str; 8] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/lib/ssl/cert.pem",
    "/etc/pki/tls/cert.pem",
];

/// Why a C library has no use for a need.
fn useless(need: &Need, libc: Option<Libc>) -> Option<&'static str> {
    match (need, libc) {
        (Need::Locales | Need::Locale(_), Some(Libc::Musl)) => Some("musl has its locales built in"),
        (Need::Gconv | Need::Charset(_), Some(Libc::Musl)) => Some("musl has its character sets built in"),
        (Need::Gconv | Need::Charset(_), None) => Some(
            "a static program can load character sets of no C library but the one that it was linked with; link it \
             dynamically",
        ),
        _ => None,
    }
}

impl Met {
    /// What of it the program names, where only other parts of it were found.
    pub(super) fn other_than_named<'t>(&self, told: &'t Told) -> Option<&'t Need> {
        let has_part = self.supplies.iter().any(|(known, _)| known.is_part_of(&told.need));
        told.named.iter().find(|need| has_part && !self.has(need))
    }

    /// Whether this is the path of a module that a need takes.
    pub(super) fn has_module(&self, path: &OsStr) -> bool {
        self.supplies.iter().any(|(_, supply)| supply.modules.iter().any(|module| module.as_os_str() == path))
    }

    /// Whether a set is there, under this name or another.
    fn has(&self, set: &Need) -> bool {
        self.supplies.iter().any(|(known, supply)| {
            known.is_same_set(set) || matches!(set, Need::Charset(name) if supply.lists_charset(name))
        })
    }

    /// Whether all of it was found, or as much as is known to be used.
    pub(super) fn meets(&self, told: &Told) -> bool {
        let mut supplies = self.supplies.iter().map(|(known, _)| known);
        let has_all = supplies.clone().any(|known| *known == told.need);
        has_all || (supplies.any(|known| known.is_part_of(&told.need)) && self.other_than_named(told).is_none())
    }
}
