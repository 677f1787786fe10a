//! What is to be said of needs that an image does not meet: what is lacking, what tells of it, and what to do.

use super::members::Member;
use super::process::{Asked, PROGRAM};
use super::requirements::Process;
use super::told::{Told, counts};
use crate::finding::{Finding, Level};
use crate::need::{Clue, Hint, Need};
use crate::text::printable;

impl Process<'_> {
    /// What is to be said of needs that are not met.
    pub(super) fn findings(&self, told: &[Told]) -> Vec<Finding> {
        let (met, wanted) = (self.met, self.wanted);
        let unmet = told.iter().filter(|told| !met.meets(told) && !wanted.provides(&told.need));
        let unmet: Vec<&Told> = unmet.collect();
        // Nobody asked for C.UTF-8, where there are others.
        let usual = Need::Locale("C.UTF-8".to_owned());
        let lacking = met
            .lacking
            .iter()
            .filter(|(need, _)| *need != usual && !unmet.iter().any(|told| need.is_part_of(&told.need)));
        let lacking = lacking.map(|(need, why)| self.lacking(need, why));
        let unmet = unmet.iter().map(|told| self.unmet(told));
        let dlopen = self.dlopen().into_iter().chain(self.dlopen_below());
        self.unread()
            .chain(self.concealed())
            .chain(dlopen)
            .chain(self.shell().filter(|_| !wanted.provides_shell()))
            .chain(unmet)
            .chain(lacking)
            .collect()
    }

    /// A set that the program names is not among those that the caller wants.
    fn other_than_named(&self, told: &Told, other: &Need) -> Finding {
        let path = printable(self.paths[PROGRAM]);
        let remedy = if self.wanted.is_auto {
            "nor is it in the root".to_owned()
        } else {
            format!("--with {other} includes it")
        };
        let message = format!("{path} names {other}, which is not among those of the image; {remedy}");
        match told.level {
            Level::Warning => Finding::warning(other.code(), message, path),
            Level::Note => Finding::note(other.code(), message, path),
        }
    }

    /// A need that the caller or the image's environment names, and that is not met.
    fn lacking(&self, need: &Need, why: &str) -> Finding {
        let path = printable(self.paths[PROGRAM]);
        let message = format!("the need {need} of {path} is not met: {why}");
        Finding::warning(need.code(), message, path)
    }

    fn unmet(&self, told: &Told) -> Finding {
        let met = self.met;
        let name = told.need.name();
        let (object, clue) = &told.clues[0];
        let evidence = self.evidence(*object, clue.clone());
        let others = match told.clues.len() {
            1 => String::new(),
            more => format!(" and {} more", more - 1),
        };
        if let Some(other) = met.other_than_named(told) {
            return self.other_than_named(told, other);
        }
        let words = Words::of(&told.need);
        let lacking = met.lacking.iter().find(|(need, _)| need.is_part_of(&told.need));
        match (told.level, lacking) {
            (Level::Warning, lacking) => {
                let remedy = match lacking {
                    Some((_, why)) => format!("It cannot be included: {why}"),
                    None => format!("Include it with --with {name}, or all that is found so with --auto"),
                };
                let object = printable(self.paths[*object]).to_string();
                let message =
                    format!("{object} uses {}{others}, and {}. {remedy}", printable(clue.as_os_str()), words.without);
                Finding::warning(name, message, evidence)
            }
            (Level::Note, Some((_, why))) => {
                Finding::note(name, format!("{} ({}: {evidence}{others}; {why})", words.what, words.files), &evidence)
            }
            (Level::Note, None) => {
                let message = format!("{} ({}: {evidence}{others}; --with {name})", words.what, words.files);
                Finding::note(name, message, &evidence)
            }
        }
    }

    /// A program that loads libraries by itself, and does not say which.
    fn dlopen(&self) -> Option<Finding> {
        let program = &self.members.all[PROGRAM];
        let symbol = program.hints().symbol_for(&[Hint::Dlopen])?;
        let mut asks = program.asks.iter();
        let named = asks.any(|ask| matches!(ask.asked, Asked::Caller(_)) && !self.met.has_module(ask.name));
        // What is not included with --auto cannot be.
        let loadable =
            self.loadable.iter().filter(|_| !self.wanted.is_auto).map(|(name, _)| printable(name).to_string());
        let loadable: Vec<String> = loadable.collect();
        let has_rest = !loadable.is_empty();
        if !program.elf.dlopen_notes().is_empty() || (named && !has_rest) {
            return None;
        }
        let path = printable(self.paths[PROGRAM]).to_string();
        let which = match loadable.as_slice() {
            [] => "nothing in it says which. Give each that it needs with --library NAME".to_owned(),
            [one] => {
                format!("its constants name {one}, which is here. Include it with --library {one}, or with --auto")
            }
            many => format!(
                "its constants name these, which are here: {}. Include one with --library NAME, all with --auto",
                many.join(", ")
            ),
        };
        let message = format!("{path} loads libraries while it runs ({} in it), and {which}", symbol.name);
        Some(Finding::warning("dlopen", message, self.evidence(PROGRAM, Clue::Symbol(symbol.name))))
    }

    /// Libraries that load others by themselves, and do not say which.
    fn dlopen_below(&self) -> Option<Finding> {
        let silent = self.members.below().filter(|(object, member)| loads_silently(*object, member));
        let silent: Vec<usize> = silent.map(|(object, _)| object).collect();
        let names: Vec<String> = silent.iter().map(|&object| printable(self.paths[object]).to_string()).collect();
        let first = *silent.first()?;
        let message =
            format!("libraries that others load while they run (dlopen in {}; --library NAME)", names.join(", "));
        Some(Finding::note("dlopen", message, self.evidence(first, Clue::Symbol("dlopen"))))
    }

    /// A shell, which no image has by itself.
    fn shell(&self) -> Option<Finding> {
        let symbol = self.members.all[PROGRAM].hints().symbol_for(&[Hint::Shell])?;
        let evidence = self.evidence(PROGRAM, Clue::Symbol(symbol.name));
        let message = format!("a shell (/bin/sh: {evidence}; pack one beside it)");
        Some(Finding::note("shell", message, &evidence))
    }

    /// What was there when libraries were found, and is not any more.
    fn unread(&self) -> impl Iterator<Item = Finding> {
        let lost = self.members.all.iter().zip(&self.paths).filter_map(|(member, path)| Some((member.loss()?, path)));
        lost.map(|(why, path)| {
            let path = printable(path).to_string();
            let message =
                format!("nobody knows what {path} needs while it runs, for it could not be read again: {why}");
            Finding::warning("unread", message, path)
        })
    }

    /// What cannot be known of the program.
    fn concealed(&self) -> Option<Finding> {
        let hints = self.members.all[PROGRAM].hints();
        let path = printable(self.paths[PROGRAM]).to_string();
        if let Some(reason) = hints.concealed() {
            let message = format!(
                "what {path} needs cannot be seen in it: {reason}. Pack what is in there instead, or add what it needs \
                 with --library and --file"
            );
            return Some(Finding::warning("self-extracting", message, reason));
        }
        hints.has_unknown_needs().then(|| {
            let message = format!(
                "{path} is static and stripped, so nothing in it tells which files of its C library it opens (locales, \
                 character sets, users): pack it before it is stripped, or include them with --with"
            );
            Finding::warning("unknown-needs", message, "no symbol table")
        })
    }
}

fn loads_silently(object: usize, member: &Member<'_>) -> bool {
    let is_silent = counts(object, member.elf) && member.elf.dlopen_notes().is_empty();
    is_silent && member.hints().symbol_for(&[Hint::Dlopen]).is_some()
}

/// How a need is spoken of.
struct Words {
    what: &'static str,
    files: &'static str,
    /// What the image is like without.
    without: &'static str,
}

impl Words {
    fn of(need: &Need) -> Words {
        let (what, files, without) = match need {
            Need::Users => ("users and groups", "/etc/passwd, /etc/group", "the image knows no users"),
            Need::Nsswitch => {
                ("where names are looked up", "/etc/nsswitch.conf", "the image does not say where names are")
            }
            Need::Services => {
                ("services and protocols", "/etc/services, /etc/protocols", "the image knows no services")
            }
            Need::CaCertificates => (
                "CA certificates",
                "ca-certificates.crt",
                "the image has no CA certificates (ca-certificates.crt): it can verify nobody, and its connections fail",
            ),
            Need::TimeZones => ("time zones", "/usr/share/zoneinfo", "the image has no time zones"),
            Need::Locales | Need::Locale(_) => ("locales", "/usr/lib/locale", "the image has no locales"),
            Need::Gconv | Need::Charset(_) => (
                "character sets",
                "gconv",
                "the image has no character sets but UTF-8, UCS-4 and ASCII (gconv): it can convert to no other",
            ),
            Need::Tmp => ("temporary files", "/tmp", "the image has no /tmp: it can make no temporary files"),
            Need::OpenSsl => (
                "OpenSSL's configuration and modules",
                "openssl.cnf, ossl-modules",
                "the image has neither OpenSSL's modules nor its configuration (ossl-modules, openssl.cnf): loading one fails",
            ),
            Need::Terminfo | Need::Terminal(_) => {
                ("terminals", "terminfo", "the image describes no terminals (terminfo): it cannot use one")
            }
            Need::Library(_) => ("libraries", "lib*.so", "the image lacks it"),
        };
        Words { what, files, without }
    }
}
