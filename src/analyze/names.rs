//! Names as they stand in a file, which are any bytes, as this system has them.

use std::ffi::OsStr;

use crate::error::Cause;
use crate::system;

/// The name; where this system has none of such bytes, an error that says so of `what` it is. A Unix has all.
pub(super) fn name<'b>(bytes: &'b [u8], what: &str) -> Result<&'b OsStr, Cause> {
    system::os_str(bytes).ok_or_else(|| {
        Cause::Unsupported(format!("{what} is not UTF-8, and this system has no such names; analyze it on Linux"))
    })
}
