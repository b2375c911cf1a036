use chrono::{DateTime, NaiveTime, TimeDelta};
use chrono_tz::Tz;

use super::{Forecast, From, forecast};
use crate::server::domain::model::{Exclude, Job, Schedule, Timestamp, Unit};
use crate::server::domain::schedule::{Cron, Last};
use crate::server::http::dashboard::job::sample;

fn at(text: &str) -> Timestamp {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn last(text: &str) -> Option<Last> {
    Some(Last { at: at(text), moved: TimeDelta::zero() })
}

fn from(now: &str) -> From {
    From { planned: None, last: None, zone: Tz::Europe__Amsterdam, now: at(now) }
}

fn shown(forecast: &Forecast) -> String {
    let mut lines: Vec<String> = Vec::new();
    for time in &forecast.times {
        let runs = if time.runs { "runs" } else { "does not" };
        lines.push(format!("{} {} {runs} {}", time.clock, time.offset, time.note.as_deref().unwrap_or("")));
    }
    lines.extend(forecast.end.clone());
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

fn daily(hour: u32) -> Job {
    let expression = Cron::new(&format!("30 {hour} * * *")).unwrap();
    Job { schedule: Schedule::Cron { expression, zone: Tz::Europe__Amsterdam }, ..sample::job() }
}

#[test]
fn the_offset_is_told_and_its_change() {
    insta::assert_snapshot!(shown(&forecast(&daily(6), from("2026-10-23T12:00:00Z"), 4)), @r#"
    Sat 24 Oct 06:30 +02:00 runs
    Sun 25 Oct 06:30 +01:00 runs the clocks have changed from +02:00 to +01:00
    Mon 26 Oct 06:30 +01:00 runs
    Tue 27 Oct 06:30 +01:00 runs
    "#);
}

#[test]
fn a_time_that_the_clock_leaves_out_is_told() {
    let job = Job { schedule: Schedule::Interval { every: 1, unit: Unit::Day }, ..sample::job() };
    let from = From { last: last("2026-03-27T01:15:00Z"), ..from("2026-03-27T12:00:00Z") };
    insta::assert_snapshot!(shown(&forecast(&job, from, 4)), @r#"
    Sat 28 Mar 02:15 +01:00 runs
    Sun 29 Mar 03:00 +02:00 runs 45 min later than usual: the clock leaves that time out; the clocks have changed from +01:00 to +02:00
    Mon 30 Mar 02:15 +02:00 runs
    Tue 31 Mar 02:15 +02:00 runs
    "#);
}

#[test]
fn what_is_planned_comes_first_and_what_is_left_out_says_why() {
    let clock = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
    let excludes = vec![Exclude { start: clock(22), end: clock(6), note: "the backup".to_owned() }];
    let schedule = Schedule::Interval { every: 6, unit: Unit::Hour };
    let job = Job { schedule, excludes, ..sample::job() };
    let from = From { planned: last("2026-11-24T09:00:00Z"), ..from("2026-11-24T08:00:00Z") };
    insta::assert_snapshot!(shown(&forecast(&job, from, 5)), @r#"
    Tue 24 Nov 10:00 +01:00 runs
    Tue 24 Nov 16:00 +01:00 runs
    Tue 24 Nov 22:00 +01:00 does not left out from 22:00 to 06:00 (the backup)
    Wed 25 Nov 10:00 +01:00 runs
    Wed 25 Nov 16:00 +01:00 runs
    Wed 25 Nov 22:00 +01:00 does not left out from 22:00 to 06:00 (the backup)
    Thu 26 Nov 10:00 +01:00 runs
    "#);
    let late = From { now: at("2026-11-24T09:30:00Z"), ..from };
    assert_eq!(forecast(&job, late, 1).times[0].note.as_deref(), Some("is due and waits"));
}

#[test]
fn times_that_are_past_are_told_once() {
    let job = Job { schedule: Schedule::Interval { every: 1, unit: Unit::Hour }, ..sample::job() };
    let from = From { last: last("2026-11-24T01:00:00Z"), ..from("2026-11-24T08:30:00Z") };
    insta::assert_snapshot!(shown(&forecast(&job, from, 2)), @r#"
    Tue 24 Nov 03:00 +01:00 does not 7 times are past already
    Tue 24 Nov 10:00 +01:00 runs
    Tue 24 Nov 11:00 +01:00 runs
    "#);
}

#[test]
fn why_there_is_nothing_is_told() {
    assert_eq!(forecast(&sample::job(), from("2026-11-24T08:00:00Z"), 3).times, []);
    let clock = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
    let always = vec![Exclude { start: clock(0), end: clock(0) - TimeDelta::seconds(1), note: String::new() }];
    let job = Job { excludes: always, ..daily(6) };
    insta::assert_snapshot!(shown(&forecast(&job, from("2026-11-24T08:00:00Z"), 3)), @r#"
    Wed 25 Nov 06:30 +01:00 does not left out from 00:00 to 23:59:59
    its excludes leave out every time of the next forty years
    "#);
}
