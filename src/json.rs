//! JSON with sorted keys. oci-spec keeps labels and annotations in hash maps, whose order changes from run to run, and
//! whether serde_json sorts is up to a feature that any crate in a build can switch on.

use std::collections::BTreeMap;

use serde_json::Value;

/// The text of a JSON value, keys sorted, without white space.
pub(crate) fn canonical(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().collect();
            let members: Vec<String> =
                sorted.iter().map(|(key, value)| format!("{}:{}", quoted(key), canonical(value))).collect();
            format!("{{{}}}", members.join(","))
        }
        scalar => scalar.to_string(),
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
