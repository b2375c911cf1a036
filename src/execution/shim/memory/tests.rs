//! Tests of the out-of-memory score of jobs.

use super::*;

#[test]
fn a_job_goes_before_us_as_far_as_there_is_a_before() {
    for (ours, jobs) in [(0, 300), (-900, -600), (700, 1000), (900, 1000), (1000, 1000)] {
        assert_eq!(before(ours), jobs, "{ours}");
    }
}

#[test]
fn a_process_that_is_born_meanwhile_has_the_score_and_we_have_ours_again() {
    let score = |pid: &str| fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).expect("a score");
    let ours = score("self");
    let mut child = Score::open().as_job(|| std::process::Command::new("sleep").arg("1000").spawn().expect("a child"));
    let of_child = score(&child.id().to_string());
    child.kill().expect("killed");
    child.wait().expect("waited for");
    assert_eq!(of_child, format!("{}\n", before(ours.trim().parse().expect("a number"))));
    assert_eq!(score("self"), ours);
}
