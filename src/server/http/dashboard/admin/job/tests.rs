use chrono::NaiveTime;
use chrono_tz::Tz;

use super::{blank, form_of, job_choice, parse_job_choice, read};
use crate::server::domain::model::{Concurrency, Exclude, Job, JobId, OnLost, Retry, Schedule, Unit};
use crate::server::domain::schedule::Cron;
use crate::server::http::dashboard::form::FormValues;
use crate::server::http::dashboard::job::sample;

fn with(form: &FormValues, changes: &[(&str, &str)]) -> FormValues {
    let kept = form.pairs().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    let all = kept.chain(changes.iter().copied()).map(|(name, value)| (name.to_owned(), value.to_owned()));
    FormValues::of(all.collect())
}

fn at(hour: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, 0, 0).unwrap()
}

#[test]
fn every_field_of_a_job_can_be_read_as_it_was_written() {
    let plain = sample::job();
    let full = Job {
        parent: JobId::new(9),
        run_on_all_workers: true,
        schedule_children_on_error: true,
        description: "Two\nlines".to_owned(),
        enqueue_is_enabled: false,
        disabled_reason: "the disk is full".to_owned(),
        schedule: Schedule::Cron { expression: Cron::new("0 6 * * *").unwrap(), zone: Tz::Asia__Tokyo },
        excludes: vec![Exclude { start: at(22), end: at(6), note: "the backup".to_owned() }],
        notification_addresses: "a@b.c\nd@e.f".to_owned(),
        disable_enqueue_after_fails: Some(3),
        run_timeout: Some(60),
        retry: Retry { times: 2, backoff: 30 },
        on_lost: OnLost::Fail,
        concurrency: Concurrency::Replace,
        ..plain.clone()
    };
    let every = |every, unit| Job { schedule: Schedule::Interval { every, unit }, ..plain.clone() };
    for job in [plain.clone(), full, every(1, Unit::Hour), every(15, Unit::Minute), every(2, Unit::Month)] {
        let new = read(&form_of(&job, Some("before"), Tz::UTC), Ok(job.parent)).unwrap();
        let parts = (new.title, new.template, new.pool, new.script, new.parent, new.description);
        let expected = job.clone();
        assert_eq!(
            parts,
            (
                expected.title,
                expected.template,
                expected.pool,
                expected.script_content_partial,
                expected.parent,
                expected.description
            )
        );
        assert_eq!((new.schedule, new.excludes), (expected.schedule, expected.excludes));
        assert_eq!(
            (new.run_on_all_workers, new.schedule_children_on_error),
            (job.run_on_all_workers, job.schedule_children_on_error)
        );
        assert_eq!((new.enabled, new.disabled_reason), (job.enqueue_is_enabled, job.disabled_reason));
        assert_eq!((new.run_timeout, new.retry, new.on_lost), (job.run_timeout, job.retry, job.on_lost));
        assert_eq!((new.concurrency, new.notification_addresses), (job.concurrency, job.notification_addresses));
        assert_eq!(new.disable_enqueue_after_fails, job.disable_enqueue_after_fails);
    }
}

#[test]
fn all_that_is_wrong_is_told() {
    let form = with(
        &form_of(&sample::job(), None, Tz::UTC),
        &[
            ("title", ""),
            ("template", "none"),
            ("schedule", "cron"),
            ("cron", "every day"),
            ("zone", "Mars"),
            ("excludes", "noon"),
            ("run_timeout", "0"),
            ("retry_times", "1001"),
            ("retry_backoff", "soon"),
            ("on_lost", "cry"),
            ("concurrency", ""),
            ("notification_addresses", "me"),
        ],
    );
    let told: Vec<String> =
        read(&form, Ok(None)).unwrap_err().iter().map(|(name, what)| format!("{name}: {what}")).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    title: a title has 1 to 255 characters on one line
    template: choose a template
    zone: "Mars" is no time zone; write one like Europe/Amsterdam
    cron: "every day" is no cron expression of five fields, or of six with seconds first: Invalid pattern: Pattern must have 5 or 6 fields when years are disallowed.
    excludes: "noon" is no stretch of the day; write one a line, like 22:00 - 06:00 the backup runs
    run_timeout: a timeout is 1 to 315360000 seconds
    retry_times: 1001 retries are too many; 1000 are allowed
    retry_backoff: "soon" is no whole number from 0 to 4294967295
    on_lost: "cry" is not what becomes of a lost run; allowed are retry, fail
    concurrency: "" is no concurrency; allowed are wait, skip, allow, replace
    notification_addresses: "me" is no address; write one a line, like ops@example.org
    "#);
}

#[test]
fn a_new_job_lacks_what_nobody_can_know_for_it() {
    let missing: Vec<&str> = read(&blank(Tz::UTC), Ok(None)).unwrap_err().into_iter().map(|(name, _)| name).collect();
    assert_eq!(missing, ["title", "template", "pool"]);
}

#[test]
fn a_parent_is_chosen_by_its_title_or_number_or_both() {
    let id = JobId::new(12);
    for (text, title, number) in [
        ("nightly", "nightly", None),
        ("#12", "", id),
        ("nightly #12", "nightly", id),
        ("a # b #12", "a # b", id),
        ("12", "", id),
        ("nightly #012", "nightly #012", None),
        ("+12", "+12", None),
        ("nightly #x", "nightly #x", None),
    ] {
        assert_eq!(parse_job_choice(text), (title, number), "{text}");
    }
    assert_eq!(parse_job_choice(&job_choice(id.unwrap(), "a # b")), ("a # b", id));
}
