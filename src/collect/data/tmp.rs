//! A directory for temporary files.

use super::Supply;
use super::system::extra;
use crate::collect::extra::ExtraContent;
use crate::need::Need;

/// Everybody may make files there, and nobody remove those of others (hier(7)).
const MODE: u32 = 0o1777;

pub(super) fn supply() -> Supply {
    Supply { extras: vec![extra(&Need::Tmp, "/tmp", ExtraContent::Directory(MODE))], modules: Vec::new() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::supply;
    use crate::collect::extra::ExtraContent;

    #[test]
    fn everybody_may_write_to_tmp() {
        let supply = supply();
        assert_eq!(supply.extras.len(), 1);
        assert_eq!(supply.extras[0].at, Path::new("/tmp"));
        assert!(matches!(supply.extras[0].content, ExtraContent::Directory(0o1777)));
    }
}
