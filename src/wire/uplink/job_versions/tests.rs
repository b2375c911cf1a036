use super::*;

fn version(job: usize, sent: &str) -> JobVersion {
    JobVersion::of(i64::try_from(job).expect("a small number"), sent.as_bytes())
}

#[test]
fn a_job_is_found_in_the_version_that_was_sent_last_and_in_no_other() {
    let mut jobs = JobVersions::default();
    jobs.remember(version(1, "old"), 3, "old");
    jobs.remember(version(2, "new"), 3, "of another");
    jobs.remember(version(1, "new"), 3, "new");
    assert_eq!(jobs.find(&version(1, "new")), Some(&"new"));
    assert_eq!(jobs.find(&version(1, "old")), None);
    assert_eq!(jobs.find(&version(2, "new")), Some(&"of another"));
    assert_eq!((jobs.find(&version(3, "new")), jobs.bytes), (None, 6));
}

#[test]
fn the_list_is_bounded_in_number_and_in_bytes_and_drops_the_oldest() {
    let mut jobs = JobVersions::default();
    (0..=JOBS).for_each(|job| jobs.remember(version(job, ""), 1, ()));
    assert_eq!((jobs.find(&version(0, "")), jobs.find(&version(1, ""))), (None, Some(&())));
    jobs.remember(version(JOBS, "longer"), BYTES, ());
    assert_eq!((jobs.entries.len(), jobs.bytes), (1, BYTES));
    jobs.remember(version(1, "too long"), BYTES + 1, ());
    assert_eq!((jobs.entries.len(), jobs.bytes), (0, 0));
}
