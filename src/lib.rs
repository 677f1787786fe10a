//! scratchpack
mod analyze;
mod assemble;
mod collect;
mod error;
mod finding;
mod root;
mod text;
mod trace;
mod tree;
pub use analyze::{ByteOrder, Class, Dependency, DependencyKind, Elf, ElfKind, Machine, limits};
pub use assemble::{Compression, Image, ImageBuilder, Written};
pub use collect::{Closure, Collector, Libc, Object, Request};
pub use error::{Error, ErrorKind, Result};
pub use finding::{Finding, Level};
pub use text::printable;
pub use trace::{Attempt, Missing, Rule, Why};
pub use tree::{Entry, EntryKind};
