//! The libraries that an object says it loads by itself (UAPI group, "ELF dlopen metadata").

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::error::Cause;
use crate::limits::{MAX_DLOPEN_NOTES, MAX_NAME};

/// How much an object misses a library that it loads by itself (UAPI group, "ELF dlopen metadata").
///
/// Its text form, which [`Display`] writes and [`FromStr`] reads, is the one of the command's `--dlopen`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// It does not do its main job without.
    Required,
    /// It lacks something that most users expect.
    #[default]
    Recommended,
    /// It lacks something that few users miss.
    Suggested,
}

impl Priority {
    /// `required`, `recommended` or `suggested`.
    pub fn name(self) -> &'static str {
        match self {
            Priority::Required => "required",
            Priority::Recommended => "recommended",
            Priority::Suggested => "suggested",
        }
    }
}

impl Display for Priority {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Priority {
    type Err = String;

    fn from_str(text: &str) -> Result<Priority, String> {
        let all = [Priority::Required, Priority::Recommended, Priority::Suggested];
        let found = all.into_iter().find(|priority| priority.name() == text);
        found.ok_or_else(|| "give one of required, recommended, suggested".into())
    }
}

/// One entry of a `.note.dlopen`: a library that an object loads by itself (UAPI group, "ELF dlopen metadata").
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DlopenNote {
    sonames: Vec<OsString>,
    feature: Option<String>,
    description: Option<String>,
    priority: Priority,
}

impl DlopenNote {
    /// The names that it tries, of which the first that is there is loaded.
    pub fn sonames(&self) -> impl Iterator<Item = &OsStr> {
        self.sonames.iter().map(OsString::as_os_str)
    }

    /// What the library is for, in a word.
    pub fn feature(&self) -> Option<&str> {
        self.feature.as_deref()
    }

    /// What the library is for, in a sentence.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// How much it is missed.
    pub fn priority(&self) -> Priority {
        self.priority
    }
}

/// The entries in the content of a note.
pub(super) fn entries(content: &[u8]) -> Result<Vec<DlopenNote>, Cause> {
    let end = memchr::memchr(0, content).unwrap_or(content.len());
    // Nested deeper than 128, it is refused by serde_json.
    let Ok(Value::Array(entries)) = serde_json::from_slice(&content[..end]) else { return Ok(Vec::new()) };
    if entries.len() > MAX_DLOPEN_NOTES {
        return Err(too_many("entries"));
    }
    entries.iter().filter_map(|entry| DlopenNote::of(entry.as_object()?).transpose()).collect()
}

pub(super) fn too_many(what: &str) -> Cause {
    Cause::malformed(format!("its .note.dlopen has more than {MAX_DLOPEN_NOTES} {what}, which is the limit"))
}

impl DlopenNote {
    /// `None` for one that names no library.
    fn of(entry: &Map<String, Value>) -> Result<Option<DlopenNote>, Cause> {
        let text = |key| Some(entry.get(key)?.as_str()?.to_owned());
        let Some(names) = entry.get("soname").and_then(Value::as_array) else { return Ok(None) };
        if names.len() > MAX_DLOPEN_NOTES {
            return Err(too_many("names in one entry"));
        }
        let names = names.iter().filter_map(Value::as_str);
        let sonames: Vec<OsString> = names.filter(|name| is_name(name)).map(OsString::from).collect();
        let priority = text("priority").and_then(|priority| priority.parse().ok()).unwrap_or_default();
        let (feature, description) = (text("feature"), text("description"));
        Ok((!sonames.is_empty()).then_some(DlopenNote { sonames, feature, description, priority }))
    }
}

/// Whether something can be called that.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('\0') && name.len() as u64 <= MAX_NAME
}

#[cfg(test)]
mod tests {
    use super::{DlopenNote, Priority};

    fn entries(content: &[u8]) -> Vec<DlopenNote> {
        super::entries(content).unwrap()
    }

    #[test]
    fn an_entry_that_is_odd_is_passed_over_and_the_others_count() {
        let notes = entries(
            br#"[7, {}, {"soname": "libx.so"}, {"soname": []}, {"soname": [1, "", "a\u0000b"]},
                {"soname": ["liba.so.2", 3, "liba.so.1"], "feature": "a", "priority": "required", "more": [[]]},
                {"soname": ["libb.so"], "description": "b", "priority": "whatever"}]"#,
        );
        let [a, b] = notes.as_slice() else { panic!("{notes:?}") };
        assert_eq!(a.sonames().collect::<Vec<_>>(), ["liba.so.2", "liba.so.1"]);
        assert_eq!((a.feature(), a.description(), a.priority()), (Some("a"), None, Priority::Required));
        assert_eq!((b.feature(), b.description(), b.priority()), (None, Some("b"), Priority::Recommended));
    }

    #[test]
    fn what_is_no_list_tells_nothing() {
        let deep = "[".repeat(100_000);
        for odd in ["", "{}", "[", "null", r#"[{"soname":["l"]}] more"#, &deep] {
            assert!(entries(odd.as_bytes()).is_empty(), "{odd:.20}");
        }
        assert!(entries(b"[\xff]").is_empty());
    }

    #[test]
    fn a_priority_is_read_as_it_is_written() {
        for priority in [Priority::Required, Priority::Recommended, Priority::Suggested] {
            assert_eq!(priority.to_string().parse(), Ok(priority));
        }
        let error = "optional".parse::<Priority>().unwrap_err();
        assert!(error.contains("required, recommended, suggested"), "{error}");
    }
}
