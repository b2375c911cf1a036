//! Tests of finding our own cgroup in the layouts that systems have.

use super::*;

fn own(mountinfo: &str, cgroup: &str) -> Option<String> {
    own_group(mountinfo, cgroup).map(|path| path.display().to_string())
}

/// System with version 2 alone, as Debian 12 boots.
const UNIFIED: &str = "\
22 28 0:20 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
23 28 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:13 - proc proc rw
30 22 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
31 22 0:27 / /sys/fs/pstore rw,nosuid,nodev,noexec,relatime shared:10 - pstore pstore rw
";

/// System with both versions side by side.
const HYBRID: &str = "\
32 24 0:27 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,size=4096k,nr_inodes=1024,mode=755
33 32 0:28 / /sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime shared:10 - cgroup2 cgroup2 rw,nsdelegate
34 32 0:29 / /sys/fs/cgroup/systemd rw,nosuid,nodev,noexec,relatime shared:11 - cgroup cgroup rw,xattr,name=systemd
38 32 0:33 / /sys/fs/cgroup/pids rw,nosuid,nodev,noexec,relatime shared:17 - cgroup cgroup rw,pids
";

/// System with version 1 alone.
const LEGACY: &str = "\
32 24 0:27 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,mode=755
38 32 0:33 / /sys/fs/cgroup/pids rw,nosuid,nodev,noexec,relatime shared:17 - cgroup cgroup rw,pids
";

#[test]
fn the_group_is_found_where_there_is_one_hierarchy() {
    let found = own(UNIFIED, "0::/system.slice/job-runner-worker.service\n");
    assert_eq!(found.as_deref(), Some("/sys/fs/cgroup/system.slice/job-runner-worker.service"));
}

#[test]
fn the_group_is_found_beside_hierarchies_of_the_first_kind() {
    let cgroup = "12:pids:/user.slice\n1:name=systemd:/user.slice/session-1.scope\n0::/user.slice/session-1.scope\n";
    assert_eq!(own(HYBRID, cgroup).as_deref(), Some("/sys/fs/cgroup/unified/user.slice/session-1.scope"));
}

#[test]
fn the_root_of_the_hierarchy_is_a_group_too() {
    assert_eq!(own(UNIFIED, "0::/\n").as_deref(), Some("/sys/fs/cgroup"));
}

#[test]
fn from_within_a_container_only_its_part_is_seen() {
    let mounted =
        "1530 1526 0:26 /docker/3f2a /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate\n";
    assert_eq!(own(mounted, "0::/docker/3f2a\n").as_deref(), Some("/sys/fs/cgroup"));
    assert_eq!(own(mounted, "0::/docker/3f2a/init.scope\n").as_deref(), Some("/sys/fs/cgroup/init.scope"));
}

#[test]
fn a_container_that_cannot_see_its_path_is_at_the_mount() {
    let mounted = "1530 1526 0:26 /docker/3f2a /sys/fs/cgroup rw,relatime - cgroup2 cgroup rw\n";
    assert_eq!(own(mounted, "0::/\n").as_deref(), Some("/sys/fs/cgroup"));
}

#[test]
fn a_path_that_only_begins_as_the_mounted_one_is_not_below_it() {
    let mounted = "1530 1526 0:26 /docker/3f /sys/fs/cgroup rw,relatime - cgroup2 cgroup rw\n";
    assert_eq!(own(mounted, "0::/docker/3f2a/x\n").as_deref(), Some("/sys/fs/cgroup"));
}

#[test]
fn without_the_second_kind_there_is_no_group() {
    assert_eq!(own(LEGACY, "12:pids:/user.slice\n1:name=systemd:/user.slice\n"), None);
    assert_eq!(own(LEGACY, "12:pids:/user.slice\n0::/user.slice\n"), None);
    assert_eq!(own(UNIFIED, "12:pids:/user.slice\n"), None);
    assert_eq!(own("", ""), None);
    assert_eq!(own("garbage\n- cgroup2\n1 2 3 - cgroup2 x\n", "0::/x\n"), None);
}

#[test]
fn a_directory_that_is_no_group_has_nobody_in_it() {
    let directory = tempfile::tempdir().expect("a directory");
    assert!(!populated(directory.path()));
    for (events, wanted) in [("populated 1\nfrozen 0\n", true), ("populated 0\nfrozen 0\n", false), ("", false)] {
        fs::write(directory.path().join("cgroup.events"), events).expect("a file");
        assert_eq!(populated(directory.path()), wanted, "{events:?}");
    }
}
