//! `scratchpack check`

use std::io::{self, Write};

use scratchpack::Problem;
use serde::Serialize;

use super::Failure;
use super::args::{Check, ReportFormat};
use super::output::{Message, say, shown, text, write_json};
use super::report::MissingReport;

#[derive(Serialize)]
struct CheckReport {
    path: String,
    programs: usize,
    problems: Vec<ProblemReport>,
}

#[derive(Serialize)]
struct ProblemReport {
    image: Option<String>,
    program: String,
    message: String,
    missing: Vec<MissingReport>,
}

pub(crate) fn run(check: &Check) -> Result<(), Failure> {
    let result = scratchpack::check(&check.path)?;
    if result.programs() == 0 {
        let words = format!(
            "there is no dynamic executable in {} to check; if there should be one, give the whole image (docker save, \
             scratchpack build -o) or the root directory that has it",
            shown(&check.path)
        );
        say(Message::Warning, &words);
    }
    match check.format {
        ReportFormat::Text => write_problems(result.problems())?,
        ReportFormat::Json => write_json(&CheckReport {
            path: text(&check.path),
            programs: result.programs(),
            problems: result.problems().iter().map(ProblemReport::of).collect(),
        })?,
    }
    if result.is_fine() { Ok(()) } else { Err(Failure::Said) }
}

fn write_problems(problems: &[Problem]) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for problem in problems {
        if let Some(image) = problem.image() {
            write!(out, "{}: ", shown(image))?;
        }
        writeln!(out, "{problem}")?;
    }
    out.flush()
}

impl ProblemReport {
    fn of(problem: &Problem) -> Self {
        ProblemReport {
            image: problem.image().map(text),
            program: text(problem.program()),
            message: problem.to_string(),
            missing: problem.missing().iter().map(MissingReport::of).collect(),
        }
    }
}
