//! Users and groups: made for the image, because those of a system are nobody else's business.

use super::system::extra;
use super::{Supply, Surroundings};
use crate::collect::extra::ExtraContent;
use crate::need::Need;

const ROOT: u32 = 0;
/// The user and the group that stand for all that have no number of their own (user_namespaces(7)).
const NOBODY: u32 = 65_534;

pub(super) fn supply(around: &Surroundings<'_>) -> Supply {
    let file = |at: &str, text: String| extra(&Need::Users, at, ExtraContent::Generated(text.into_bytes()));
    let extras = vec![file("/etc/passwd", passwd(around.user)), file("/etc/group", group(around.user))];
    Supply { extras, modules: Vec::new() }
}

/// passwd(5). Of a user without a group, runtimes take the group from here, and of all the home, which they put into
/// `HOME` (`GetExecUser` in moby/sys/user). Both are what they are without this file: 0, and `/`, which is there.
fn passwd(user: Option<(u32, Option<u32>)>) -> String {
    let mut users = vec![(ROOT, ROOT), (NOBODY, NOBODY)];
    if let Some((uid, gid)) = user.filter(|(uid, _)| *uid != ROOT) {
        users.retain(|(known, _)| *known != uid);
        users.push((uid, gid.unwrap_or(ROOT)));
    }
    users.into_iter().map(|(uid, gid)| format!("{0}:x:{uid}:{gid}:{0}:/:/sbin/nologin\n", name(uid))).collect()
}

/// group(5). Each group that a user is in has a name.
fn group(user: Option<(u32, Option<u32>)>) -> String {
    let own = user.and_then(|(_, gid)| gid).filter(|gid| ![ROOT, NOBODY].contains(gid));
    [ROOT, NOBODY].into_iter().chain(own).map(|gid| format!("{}:x:{gid}:\n", name(gid))).collect()
}

fn name(number: u32) -> &'static str {
    match number {
        ROOT => "root",
        NOBODY => "nobody",
        _ => "nonroot",
    }
}

#[cfg(test)]
mod tests {
    use super::{group, passwd};

    const BOTH: &str = "root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n";
    const GROUPS: &str = "root:x:0:\nnobody:x:65534:\n";

    #[test]
    fn an_image_that_runs_as_root_has_root_and_nobody() {
        for user in [None, Some((0, None)), Some((0, Some(0)))] {
            assert_eq!((passwd(user), group(user)), (BOTH.to_owned(), GROUPS.to_owned()));
        }
    }

    #[test]
    fn the_user_of_the_image_and_its_group_have_names() {
        let user = Some((65_532, Some(65_533)));
        assert_eq!(passwd(user), format!("{BOTH}nonroot:x:65532:65533:nonroot:/:/sbin/nologin\n"));
        assert_eq!(group(user), format!("{GROUPS}nonroot:x:65533:\n"));
    }

    #[test]
    fn a_user_without_a_group_stays_in_group_0() {
        assert!(passwd(Some((1000, None))).ends_with("nonroot:x:1000:0:nonroot:/:/sbin/nologin\n"));
        assert!(passwd(Some((65_534, None))).ends_with("nobody:x:65534:0:nobody:/:/sbin/nologin\n"));
        assert_eq!(group(Some((1000, None))), GROUPS);
    }

    #[test]
    fn no_number_stands_twice() {
        for user in [Some((0, Some(5))), Some((65_534, Some(65_534))), Some((7, Some(0))), Some((7, Some(65_534)))] {
            for text in [passwd(user), group(user)] {
                let mut numbers: Vec<&str> = text.lines().filter_map(|line| line.split(':').nth(2)).collect();
                numbers.sort_unstable();
                numbers.dedup();
                assert_eq!(numbers.len(), text.lines().count(), "{text}");
            }
        }
    }
}
