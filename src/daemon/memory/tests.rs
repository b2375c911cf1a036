//! Tests of the choice of memory ranges that are returned.

use super::*;

const SMAPS: &str = "\
55aa00000000-55aa00100000 r--p 00000000 fe:00 123                        /usr/bin/job_runner_worker
Size:               1024 kB
Rss:                 900 kB
Private_Dirty:         0 kB
Anonymous:             0 kB
VmFlags: rd mr mw me sd
55aa00100000-55aa00700000 r-xp 00100000 fe:00 123                        /usr/bin/job_runner_worker
Anonymous:             0 kB
55aa00700000-55aa00780000 r--p 00700000 fe:00 123                        /usr/bin/job_runner_worker
Anonymous:           208 kB
55aa00780000-55aa00790000 rw-p 00780000 fe:00 123                        /usr/bin/job_runner_worker
Anonymous:             0 kB
55aa01000000-55aa01100000 rw-p 00000000 00:00 0                          [heap]
Anonymous:           300 kB
7f0000000000-7f0000008000 rw-s 00000000 fe:00 77                         /var/lib/job-runner/outbox.sqlite-shm
Anonymous:             0 kB
7f0000010000-7f0000018000 r--s 00000000 fe:00 78                         /a file of (several) words
Anonymous:             0 kB
7f0000020000-7f0000022000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
Anonymous:             0 kB
";

#[test]
fn only_what_nobody_changed_goes() {
    let stretch = |begin, end| Stretch { begin, end };
    let program = [stretch(0x55aa_0000_0000, 0x55aa_0010_0000), stretch(0x55aa_0010_0000, 0x55aa_0070_0000)];
    assert_eq!(unchanged(SMAPS), program);
    assert_eq!(unchanged(""), []);
    assert_eq!(unchanged("nonsense\nAnonymous: 0 kB\n"), []);
}

#[test]
fn we_live_on() {
    let ours = unchanged(&fs::read_to_string("/proc/self/smaps").expect("it is there"));
    assert!(!ours.is_empty(), "our own text at least");
    give_back();
    assert_eq!(unchanged(SMAPS).len(), 2);
}
