//! Due times through two years of clock changes in three zones, and through an operator's changes of schedules.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::*;
use crate::server::domain::model::Unit;

const ZONES: [Tz; 3] = [Tz::Europe__Amsterdam, Tz::America__New_York, Tz::Australia__Lord_Howe];

fn at(text: &str) -> Timestamp {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn every(every: u32, unit: Unit) -> Schedule {
    Schedule::Interval { every, unit }
}

fn cron(expression: &str, zone: Tz) -> Schedule {
    Schedule::Cron { expression: cron::Cron::stored(expression.to_owned()), zone }
}

fn exclude(start: &str, end: &str) -> Exclude {
    let time = |text| NaiveTime::parse_from_str(text, "%H:%M").unwrap();
    Exclude { start: time(start), end: time(end), note: String::new() }
}

fn last(text: &str) -> Option<Last> {
    Some(Last { at: at(text), moved: TimeDelta::zero() })
}

/// All times from the beginning of 2026 to the end of 2027, each found from the one before at the moment it is due.
fn two_years(schedule: &Schedule, zone: Tz, first_local: &str) -> Vec<NextTime> {
    let first = chrono::NaiveDateTime::parse_from_str(first_local, "%Y-%m-%d %H:%M").unwrap();
    let first = super::wall_time::moment(first, zone, DateTime::<Utc>::UNIX_EPOCH).unwrap().at;
    let rule = Rule { schedule, excludes: &[], zone };
    let begin = Last { at: first, moved: TimeDelta::zero() };
    let times = std::iter::successors(next(rule, Some(begin), first).ok(), |before| {
        next(rule, Some(Last { at: before.at, moved: before.moved }), before.at).ok()
    });
    times.take_while(|time| time.at < at("2028-01-01T00:00:00Z")).collect()
}

/// The instants before which the clock is set, and by how much.
fn changes(zone: Tz) -> impl Iterator<Item = (Timestamp, TimeDelta)> {
    let hours = (0..730 * 24).map(|hour| at("2026-01-01T00:00:00Z") + TimeDelta::hours(hour));
    let change =
        move |hour: Timestamp| wall_time::offset(hour + TimeDelta::hours(1), zone) - wall_time::offset(hour, zone);
    hours.map(move |hour| (hour + TimeDelta::hours(1), change(hour))).filter(|(_, change)| !change.is_zero())
}

/// The times around each change of the clock, a line each.
fn around_changes(name: &str, schedule: &Schedule, zone: Tz, first_local: &str, hours: i64) -> String {
    // A cron expression does not depend on the last time, so the days around the changes are enough.
    let all =
        if matches!(schedule, Schedule::Cron { .. }) { Vec::new() } else { two_years(schedule, zone, first_local) };
    let mut text = match all.len() {
        0 => format!("{name}, {zone}\n"),
        times => format!("{name}, {zone}: {times} times in two years\n"),
    };
    for (set, by) in changes(zone) {
        text += &format!("  the clock goes {} min:\n", by.num_minutes());
        let rule = Rule { schedule, excludes: &[], zone };
        let near = |time: &Timestamp| (*time - set).abs() <= TimeDelta::hours(hours);
        let from = set - TimeDelta::hours(hours) - TimeDelta::microseconds(1);
        let looked_at = if all.is_empty() { preview(rule, None, from, 12) } else { all.clone() };
        for time in looked_at.iter().filter(|time| near(&time.at)) {
            let moved =
                if time.moved.is_zero() { String::new() } else { format!(" (+{} min)", time.moved.num_minutes()) };
            text += &format!("    {}{moved}\n", time.at.with_timezone(&zone).format("%a %F %T%:z"));
        }
    }
    text
}

#[test]
fn the_clocks_change_and_schedules_go_on() {
    let mut text = String::new();
    for zone in ZONES {
        for (name, schedule, first, hours) in [
            ("every day at 02:15", every(1, Unit::Day), "2025-12-31 02:15", 30),
            ("every 2 days at 10:00", every(2, Unit::Day), "2025-12-31 10:00", 50),
            ("every month", every(1, Unit::Month), "2025-12-29 02:15", 24 * 33),
            ("every 6 hours", every(6, Unit::Hour), "2025-12-31 00:00", 12),
            ("every 2 hours", every(2, Unit::Hour), "2025-12-31 00:00", 4),
            ("every hour", every(1, Unit::Hour), "2025-12-31 00:00", 3),
            ("every 30 minutes", every(30, Unit::Minute), "2025-12-31 00:00", 2),
            ("cron 15 2 * * *", cron("15 2 * * *", zone), "2025-12-31 02:15", 30),
            ("cron 0 */6 * * *", cron("0 */6 * * *", zone), "2025-12-31 00:00", 12),
            ("cron 0 * * * *", cron("0 * * * *", zone), "2025-12-31 00:00", 3),
            ("cron */30 * * * *", cron("*/30 * * * *", zone), "2025-12-31 00:00", 2),
        ] {
            text += &around_changes(name, &schedule, zone, first, hours);
        }
    }
    insta::assert_snapshot!("two_years_in_three_zones", text);
}

/// The lines of the documentation between bars: a schedule, a zone, and times that follow one another.
#[test]
fn the_documentation_tells_the_truth() {
    let text = include_str!("../../../../../docs/scheduling.rst");
    let mut examples = 0;
    for line in text.lines().filter_map(|line| line.trim().strip_prefix('|')?.strip_suffix('|')) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [schedule, zone, times @ ..] = &cells[..] else { panic!("{line}") };
        let zone: Tz = zone.parse().unwrap();
        let schedule = match schedule.split_once(' ').unwrap() {
            ("cron", expression) => cron(expression, zone),
            (_, interval) => {
                let (n, unit) = interval.split_once(' ').unwrap();
                let unit = [("MINUTE", Unit::Minute), ("HOUR", Unit::Hour), ("DAY", Unit::Day), ("MONTH", Unit::Month)]
                    .into_iter()
                    .find_map(|(name, found)| (name == unit).then_some(found));
                every(n.parse().unwrap(), unit.unwrap())
            }
        };
        let times: Vec<_> = times.iter().map(|time| DateTime::parse_from_str(time, "%F %H:%M%:z").unwrap()).collect();
        let first = Last { at: times[0].to_utc(), moved: TimeDelta::zero() };
        let rule = Rule { schedule: &schedule, excludes: &[], zone };
        let found = preview(rule, Some(first), first.at, times.len() - 1);
        let found: Vec<_> = found.iter().map(|next| next.at.with_timezone(&zone).fixed_offset()).collect();
        assert_eq!(found, times[1..], "{line}");
        assert!(found.iter().zip(&times[1..]).all(|(found, told)| found.offset() == told.offset()), "{line}");
        examples += 1;
    }
    assert_eq!(examples, 14);
}

#[test]
fn what_is_daily_happens_once_on_every_day() {
    for zone in ZONES {
        for schedule in [every(1, Unit::Day), every(24, Unit::Hour), cron("15 2 * * *", zone)] {
            let days: Vec<_> = two_years(&schedule, zone, "2025-12-31 02:15")
                .iter()
                .map(|time| time.at.with_timezone(&zone).date_naive())
                .collect();
            assert!(days.windows(2).all(|pair| pair[1] - pair[0] == TimeDelta::days(1)), "{schedule:?} {zone}");
            assert!(days.len() >= 729, "{schedule:?} {zone}: {}", days.len());
        }
    }
}

#[test]
fn a_daily_job_keeps_its_hour_when_it_was_left_out_once() {
    let rule = every(1, Unit::Day);
    let rule = Rule { schedule: &rule, excludes: &[], zone: Tz::Europe__Amsterdam };
    let gap = next(rule, last("2026-03-28T01:15:00Z"), at("2026-03-28T01:15:00Z")).unwrap();
    assert_eq!((gap.at, gap.moved), (at("2026-03-29T03:00:00+02:00"), TimeDelta::minutes(45)));
    let after = next(rule, Some(Last { at: gap.at, moved: gap.moved }), gap.at).unwrap();
    assert_eq!((after.at, after.moved), (at("2026-03-30T02:15:00+02:00"), TimeDelta::zero()));
}

#[test]
fn past_times_are_passed_over_and_counted() {
    let rule = every(10, Unit::Minute);
    let rule = Rule { schedule: &rule, excludes: &[], zone: Tz::UTC };
    let found = next(rule, last("2026-11-24T10:00:00Z"), at("2026-11-24T11:05:00Z")).unwrap();
    assert_eq!(found.at, at("2026-11-24T11:10:00Z"));
    assert_eq!(found.passed, Some(Passed { first: at("2026-11-24T10:10:00Z"), times: 6 }));
    // What is due at this very moment is not past.
    let found = next(rule, last("2026-11-24T10:00:00Z"), at("2026-11-24T10:10:00Z")).unwrap();
    assert_eq!((found.at, found.passed), (at("2026-11-24T10:10:00Z"), None));
    let hourly = cron("0 * * * *", Tz::UTC);
    let rule = Rule { schedule: &hourly, excludes: &[], zone: Tz::UTC };
    let found = next(rule, last("2026-11-24T10:00:00Z"), at("2026-11-24T13:00:00Z")).unwrap();
    assert_eq!(found.at, at("2026-11-24T13:00:00Z"));
    assert_eq!(found.passed, Some(Passed { first: at("2026-11-24T11:00:00Z"), times: 2 }));
}

#[test]
fn twenty_years_of_minutes_are_passed_over_at_once() {
    for unit in [Unit::Minute, Unit::Hour, Unit::Day, Unit::Month] {
        let rule = every(1, unit);
        let rule = Rule { schedule: &rule, excludes: &[], zone: Tz::Europe__Amsterdam };
        let found = next(rule, last("2006-11-24T10:30:00Z"), at("2026-11-24T10:30:30Z")).unwrap();
        assert!(found.at > at("2026-11-24T10:30:30Z") && found.at < at("2026-12-31T10:30:30Z"), "{found:?}");
        assert_eq!(found.passed.unwrap().times.min(100), 100);
    }
}

#[test]
fn excludes_leave_times_out() {
    let night = [exclude("22:00", "06:00")];
    let hourly = every(1, Unit::Hour);
    let rule = Rule { schedule: &hourly, excludes: &night, zone: Tz::Europe__Amsterdam };
    let found = next(rule, last("2026-11-24T21:00:00+01:00"), at("2026-11-24T21:00:00+01:00")).unwrap();
    // Both ends belong to it.
    assert_eq!(found.at, at("2026-11-25T07:00:00+01:00"));
    assert_eq!(found.left_out, [LeftOut { at: at("2026-11-24T22:00:00+01:00"), exclude: night[0].clone() }]);
    let hourly = cron("0 * * * *", Tz::UTC);
    let rule = Rule { schedule: &hourly, excludes: &night, zone: Tz::Europe__Amsterdam };
    let found = next(rule, last("2026-11-24T20:00:00Z"), at("2026-11-24T20:00:00Z")).unwrap();
    assert_eq!(found.at, at("2026-11-25T07:00:00+01:00"));
}

#[test]
fn excludes_that_leave_everything_out_are_a_failure() {
    let always = [exclude("00:00", "23:59")];
    for schedule in [every(5, Unit::Minute), every(1, Unit::Day), every(1, Unit::Month), cron("*/5 * * * *", Tz::UTC)] {
        let rule = Rule { schedule: &schedule, excludes: &always, zone: Tz::UTC };
        let found = next(rule, last("2026-11-24T10:00:00Z"), at("2026-11-24T10:00:00Z"));
        assert!(matches!(found, Err(NoNextTime { why: NoNext::AllLeftOut, .. })), "{schedule:?}: {found:?}");
    }
}

#[test]
fn a_job_runs_again_once_an_exclude_lets_it() {
    // Thirty-six hours after ten in the evening it is ten in the morning.
    for (hours, wanted) in [(36, "2026-11-27T10:00:00Z"), (30, "2026-11-26T22:30:00Z"), (24, "")] {
        let schedule = every(hours, Unit::Hour);
        let first = if hours == 30 { "2026-11-24T10:30:00Z" } else { "2026-11-24T10:00:00Z" };
        let excludes = if hours == 30 { [exclude("16:00", "17:00")] } else { [exclude("22:00", "23:00")] };
        let rule = Rule { schedule: &schedule, excludes: &excludes, zone: Tz::UTC };
        if !wanted.is_empty() {
            let found = next(rule, last(first), at(first)).unwrap();
            assert_eq!(found.at, at(wanted), "{hours}");
            assert_eq!(found.left_out.len(), 1);
        }
    }
    // A month that begins at a time that is left out goes on to the day on which the clock leaves that time out.
    let (daily, night) = (every(1, Unit::Day), [exclude("02:00", "02:59")]);
    let rule = Rule { schedule: &daily, excludes: &night, zone: Tz::Europe__Amsterdam };
    let found = next(rule, last("2026-04-02T02:30:00+02:00"), at("2026-04-02T02:30:00+02:00")).unwrap();
    assert_eq!(found.at, at("2027-03-28T03:00:00+02:00"));
}

/// A cron expression in one zone under an exclude of another, which covers it for a part of the year.
#[test]
fn a_cron_expression_runs_again_once_the_clocks_let_it() {
    // In winter, 13:30 in London is 14:30 in Amsterdam, but for a while in spring and autumn New York has another distance.
    let noon = cron("30 8 * * *", Tz::America__New_York);
    let rule = Rule { schedule: &noon, excludes: &[exclude("14:00", "15:00")], zone: Tz::Europe__Amsterdam };
    let winter = at("2026-11-10T12:00:00Z");
    assert_eq!(next(rule, None, winter).unwrap().at, at("2027-03-14T08:30:00-04:00"));
    // Only while the one has changed its clock and the other has not.
    let rule = Rule { schedule: &noon, excludes: &[exclude("14:00", "15:00")], zone: Tz::Europe__Amsterdam };
    assert_eq!(next(rule, None, at("2027-03-28T10:00:00Z")).unwrap().at, at("2027-10-31T08:30:00-04:00"));
    // India and UTC keep their distance, so that nothing is ever left.
    let fixed = cron("* 0-11 * * *", Tz::Asia__Kolkata);
    let rule = Rule { schedule: &fixed, excludes: &[exclude("18:00", "07:00")], zone: Tz::UTC };
    assert!(matches!(next(rule, None, winter), Err(NoNextTime { why: NoNext::AllLeftOut, .. })));
    let seconds = cron("* * * * * *", Tz::America__New_York);
    let rule = Rule {
        schedule: &seconds,
        excludes: &[exclude("00:00", "23:59"), exclude("23:59", "00:01")],
        zone: Tz::Europe__Amsterdam,
    };
    assert!(matches!(next(rule, None, winter), Err(NoNextTime { why: NoNext::AllLeftOut, .. })));
    let leap = cron("0 12 29 2 1", Tz::UTC);
    let rule = Rule { schedule: &leap, excludes: &[exclude("11:00", "13:00")], zone: Tz::Europe__Amsterdam };
    assert!(matches!(next(rule, None, winter), Err(NoNextTime { why: NoNext::AllLeftOut, .. })));
}

#[test]
fn a_long_absence_does_not_make_an_exclude_a_failure() {
    let hourly = every(1, Unit::Hour);
    let rule = Rule { schedule: &hourly, excludes: &[exclude("12:00", "12:30")], zone: Tz::UTC };
    let found = next(rule, last("2026-11-10T10:00:00Z"), at("2026-11-24T11:30:00Z")).unwrap();
    assert_eq!(found.at, at("2026-11-24T13:00:00Z"));
}

#[test]
fn months_have_the_days_they_have() {
    let monthly = every(1, Unit::Month);
    let rule = Rule { schedule: &monthly, excludes: &[], zone: Tz::UTC };
    let times: Vec<_> = preview(rule, last("2026-01-31T08:00:00Z"), at("2026-01-31T08:00:00Z"), 4)
        .iter()
        .map(|time| time.at.format("%F").to_string())
        .collect();
    assert_eq!(times, ["2026-03-03", "2026-04-03", "2026-05-03", "2026-06-03"]);
}

#[test]
fn a_job_without_a_last_time_is_reckoned_from_now() {
    let hourly = every(1, Unit::Hour);
    let rule = Rule { schedule: &hourly, excludes: &[], zone: Tz::UTC };
    assert_eq!(next(rule, None, at("2026-11-24T10:20:30.5Z")).unwrap().at, at("2026-11-24T11:20:30Z"));
    let five = cron("*/5 * * * *", Tz::UTC);
    let rule = Rule { schedule: &five, excludes: &[], zone: Tz::UTC };
    assert_eq!(next(rule, None, at("2026-11-24T10:20:30.5Z")).unwrap().at, at("2026-11-24T10:25:00Z"));
}

#[test]
fn what_can_never_be_has_no_next_time() {
    let never = cron("0 0 30 2 *", Tz::UTC);
    let rule = Rule { schedule: &never, excludes: &[], zone: Tz::UTC };
    assert_eq!(next(rule, None, at("2026-11-24T10:00:00Z")), Err(NoNext::Never.into()));
    let bad = cron("every day", Tz::UTC);
    let rule = Rule { schedule: &bad, excludes: &[], zone: Tz::UTC };
    assert!(matches!(next(rule, None, at("2026-11-24T10:00:00Z")), Err(NoNextTime { why: NoNext::BadCron(_), .. })));
    let far = every(u32::MAX, Unit::Month);
    let rule = Rule { schedule: &far, excludes: &[], zone: Tz::UTC };
    assert_eq!(next(rule, None, at("2026-11-24T10:00:00Z")), Err(NoNext::Never.into()));
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    let unit = prop_oneof![Just(Unit::Minute), Just(Unit::Hour), Just(Unit::Day), Just(Unit::Month)];
    let crons = ["15 2 * * *", "*/7 * * * *", "0 */6 * * *", "30 1,2,3 * * 0", "10 2 L * *"];
    prop_oneof![
        (1u32..200, unit).prop_map(|(n, unit)| every(n, unit)),
        (0..crons.len(), 0..ZONES.len()).prop_map(move |(n, zone)| cron(crons[n], ZONES[zone])),
    ]
}

proptest! {
    /// Even if the clock is set forward or back by up to two days between two looks, no time comes twice, and
    /// each is either made or counted as passed over.
    #[test]
    fn a_jumping_clock_makes_no_time_twice(
        schedule in any_schedule(),
        zone in 0..ZONES.len(),
        start in 0i64..63_000_000,
        jumps in prop::collection::vec(-172_800i64..172_800, 1..20),
    ) {
        let rule = Rule { schedule: &schedule, excludes: &[], zone: ZONES[zone] };
        let mut now = at("2026-01-01T00:00:00Z") + TimeDelta::seconds(start);
        let mut before = next(rule, None, now).unwrap();
        for jump in jumps {
            now = before.at + TimeDelta::seconds(jump);
            let last = Some(Last { at: before.at, moved: before.moved });
            let found = next(rule, last, now).unwrap();
            prop_assert!(found.at > before.at);
            prop_assert!(found.at >= now || now < before.at);
            let straight = next(rule, last, before.at).unwrap();
            match found.passed {
                None => prop_assert_eq!(found.at, straight.at),
                Some(passed) => prop_assert_eq!(passed.first, straight.at),
            }
            before = found;
        }
    }
}
