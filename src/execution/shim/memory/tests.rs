//! Who goes first.

use super::*;

#[test]
fn a_job_goes_before_us_as_far_as_there_is_a_before() {
    for (ours, jobs) in [(0, 300), (-900, -600), (700, 1000), (900, 1000), (1000, 1000)] {
        assert_eq!(before(ours), jobs, "{ours}");
    }
}

#[test]
fn the_score_of_a_child_is_set() {
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().expect("a child");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    let score = |pid: Pid| fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).expect("a score");
    Score::of_jobs().give(pid);
    let ours: i32 = score(Pid::this()).trim().parse().expect("a number");
    assert_eq!(score(pid), format!("{}\n", before(ours)));
    child.kill().expect("killed");
    child.wait().expect("waited for");
}
