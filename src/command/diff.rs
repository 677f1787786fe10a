//! `scratchpack diff`

use std::io::{self, Write};

use scratchpack::{ImageDiff, SettingChange};
use serde::Serialize;
use serde_json::Value;

use super::Failure;
use super::args::{Diff, ReportFormat};
use super::changes::{ChangeReports, lines};
use super::output::{shown, text, write_json};

#[derive(Serialize)]
struct DiffReport<'a> {
    before: String,
    after: String,
    images: Vec<ImageReport<'a>>,
    only_before: &'a [String],
    only_after: &'a [String],
}

#[derive(Serialize)]
struct ImageReport<'a> {
    name: Option<&'a str>,
    changes: ChangeReports<'a>,
    settings: Vec<SettingReport<'a>>,
}

#[derive(Serialize)]
struct SettingReport<'a> {
    name: &'a str,
    before: Value,
    after: Value,
}

pub(crate) fn run(diff: &Diff) -> Result<(), Failure> {
    let result = scratchpack::diff(&diff.before, &diff.after)?;
    match diff.format {
        ReportFormat::Text => write_text(&result)?,
        ReportFormat::Json => write_json(&DiffReport {
            before: text(&diff.before),
            after: text(&diff.after),
            images: result.images().iter().map(ImageReport::of).collect(),
            only_before: result.only_before(),
            only_after: result.only_after(),
        })?,
    }
    if result.is_empty() { Ok(()) } else { Err(Failure::Said) }
}

fn write_text(diff: &scratchpack::Diff) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for name in diff.only_before() {
        writeln!(out, "image {} gone", shown(name))?;
    }
    for name in diff.only_after() {
        writeln!(out, "image {} added", shown(name))?;
    }
    for image in diff.images() {
        let name = image.name().map(|name| format!("{}: ", shown(name))).unwrap_or_default();
        for line in lines(image.changes()).chain(image.settings().iter().map(SettingChange::to_string)) {
            writeln!(out, "{name}{line}")?;
        }
    }
    out.flush()
}

impl<'a> ImageReport<'a> {
    fn of(image: &'a ImageDiff) -> Self {
        ImageReport {
            name: image.name(),
            changes: ChangeReports(image.changes()),
            settings: image.settings().iter().map(SettingReport::of).collect(),
        }
    }
}

impl<'a> SettingReport<'a> {
    fn of(setting: &'a SettingChange) -> Self {
        let value = |json: Option<&str>| json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        SettingReport { name: setting.name(), before: value(setting.before()), after: value(setting.after()) }
    }
}
