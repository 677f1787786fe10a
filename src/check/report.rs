//! What a check answers with.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use crate::trace::Missing;

/// What [`check`](crate::check()) found out of an image, or of several.
#[derive(Clone, Debug, Default)]
pub struct Check {
    pub(super) programs: usize,
    pub(super) problems: Vec<Problem>,
}

impl Check {
    /// How many executables were looked at: those with a program interpreter, and what the images start.
    pub fn programs(&self) -> usize {
        self.programs
    }

    /// Everything that would not start, and what could not be found out; in the order of the images, then of the paths.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whether there is no problem.
    pub fn is_fine(&self) -> bool {
        self.problems.is_empty()
    }
}

/// An executable that would not start, and why. `Display` says it in words, without the image.
#[derive(Clone, Debug)]
pub struct Problem {
    pub(super) image: Option<String>,
    pub(super) program: PathBuf,
    pub(super) message: String,
    pub(super) missing: Vec<Missing>,
}

impl Problem {
    /// The image that it is in, by its name, or where it has none, by the digest of its manifest; `None` where there is
    /// but one image, without a name. A name is as the archive has it: use [`printable`](crate::printable) to show it.
    pub fn image(&self) -> Option<&str> {
        self.image.as_deref()
    }

    /// The executable's path in the image.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The libraries that its loader would not find, with every place that it would try.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }
}

impl Display for Problem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
