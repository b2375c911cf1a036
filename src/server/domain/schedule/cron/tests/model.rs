//! Model of Vixie's daemon, minute by minute, after its manual page: "Local time changes of less than three hours, such
//! as those caused by Daylight Saving changes, are handled specially. This only applies to jobs that run at a specific
//! time. Jobs that are specified with wildcards are run based on the new time immediately." Those of a specific time
//! "that would have run in the interval that has been skipped will be run immediately"; where the clock goes back,
//! "running the same job twice is avoided". A greater change is a correction of the clock.
//!
//! The code under test is not used: expressions are data here, and only their text is given to it.

use std::fmt;
use std::ops::Range;

use chrono::{DateTime, Datelike, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

/// Zones, each with the first of two years: with an hour, half an hour and two hours of summer time, at midnight, during
/// Ramadan, over the date line, and none at all.
pub const ZONES: [(Tz, i32); 14] = [
    (Tz::Europe__Amsterdam, 2026),
    (Tz::America__New_York, 2026),
    (Tz::Australia__Lord_Howe, 2026),
    (Tz::America__Asuncion, 2022),
    (Tz::America__Havana, 2025),
    (Tz::America__Santiago, 2024),
    (Tz::Asia__Beirut, 2025),
    (Tz::Africa__Cairo, 2025),
    (Tz::Africa__Casablanca, 2025),
    (Tz::Antarctica__Troll, 2026),
    (Tz::Pacific__Apia, 2011),
    (Tz::Pacific__Chatham, 2026),
    (Tz::Asia__Kolkata, 2026),
    (Tz::UTC, 2026),
];

/// A change of this many minutes, or of more, is a correction of the clock.
const CORRECTION: i64 = 180;

/// A field: what it allows, whether it begins with a star, and how it is written.
#[derive(Clone, Debug)]
pub struct Field {
    allowed: Vec<bool>,
    star: bool,
    text: String,
}

/// Minute, hour, day of the month, month, day of the week.
#[derive(Clone, Debug)]
pub struct Expression([Field; 5]);

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(|field| field.text.as_str()).collect::<Vec<_>>().join(" "))
    }
}

/// Expressions of all kinds, the same in every run.
pub fn expressions(count: usize) -> Vec<Expression> {
    let mut random = fastrand::Rng::with_seed(1987);
    (0..count)
        .map(|_| {
            // Most changes of clocks happen at night.
            let latest = if random.bool() { 4 } else { 23 };
            Expression([
                field(&mut random, 0, 59, 3),
                field(&mut random, 0, latest, 3),
                field(&mut random, 1, 31, 6),
                field(&mut random, 1, 12, 8),
                field(&mut random, 0, 6, 6),
            ])
        })
        .collect()
}

/// A field that is a star in `stars` of ten cases.
fn field(random: &mut fastrand::Rng, low: usize, high: usize, stars: u32) -> Field {
    let all =
        |step: usize| (0..=59).map(|n| n >= low && n <= top(low, high) && (n - low).is_multiple_of(step)).collect();
    if random.u32(0..10) < stars {
        let step = if random.bool() { 1 } else { random.usize(2..=12) };
        let text = if step == 1 { "*".to_owned() } else { format!("*/{step}") };
        return Field { allowed: all(step), star: true, text };
    }
    let mut allowed = vec![false; 60];
    let mut parts = Vec::new();
    for _ in 0..random.usize(1..=3) {
        let from = random.usize(low..=high);
        let to = random.usize(from..=high);
        let step = random.usize(1..=5);
        let (part, values): (_, Vec<usize>) = match random.u8(0..3) {
            0 => (from.to_string(), vec![from]),
            1 => (format!("{from}-{to}"), (from..=to).collect()),
            _ => (format!("{from}-{to}/{step}"), (from..=to).step_by(step).collect()),
        };
        values.into_iter().for_each(|value| allowed[value] = true);
        parts.push(part);
    }
    Field { allowed, star: false, text: parts.join(",") }
}

/// Stars mean the whole field, also where the others are drawn from a part of it.
fn top(low: usize, high: usize) -> usize {
    if low == 0 && high == 4 { 23 } else { high }
}

/// Local time at each minute of two years, in minutes since 1970.
pub struct Clock {
    begin: DateTime<Utc>,
    wall: Vec<i64>,
}

impl Clock {
    pub fn of_two_years(zone: Tz, year: i32) -> Self {
        let begin = Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap();
        let end = Utc.with_ymd_and_hms(year + 2, 1, 1, 0, 0, 0).unwrap();
        let minutes = (end - begin).num_minutes();
        let shown = |minute| (begin + TimeDelta::minutes(minute)).with_timezone(&zone).naive_local();
        Self { begin, wall: (0..minutes).map(|minute| shown(minute).and_utc().timestamp().div_euclid(60)).collect() }
    }

    pub fn whole(&self) -> Range<usize> {
        0..self.wall.len()
    }

    /// A day and a half before and after each change.
    pub fn around_changes(&self) -> Vec<Range<usize>> {
        let changes = (1..self.wall.len()).filter(|n| self.wall[*n] != self.wall[*n - 1] + 1);
        changes.map(|n| n.saturating_sub(36 * 60)..(n + 36 * 60).min(self.wall.len())).collect()
    }

    pub fn instant(&self, minute: usize) -> DateTime<Utc> {
        self.begin + TimeDelta::minutes(i64::try_from(minute).unwrap())
    }

    /// Returns when the daemon runs a job. A span must not begin near a change.
    pub fn daemon(&self, expression: &Expression, span: Range<usize>) -> Vec<DateTime<Utc>> {
        let [minute, hour, ..] = &expression.0;
        let has_wildcard = minute.star || hour.star;
        let mut runs = Vec::new();
        let mut day = Day { number: i64::MIN, is_right: false };
        // The latest minute that the daemon has dealt with: the virtual time of its source.
        let mut done = self.wall[span.start] - 1;
        for n in span {
            let now = self.wall[n];
            let jump = now - done - 1;
            if jump.abs() >= CORRECTION {
                done = now - 1;
            }
            let is_run = match now - done {
                1 => day.matches(expression, now),
                _ if has_wildcard => day.matches(expression, now),
                // Nothing if the clock was set back and has not come here again.
                _ => (done + 1..=now).any(|wall| day.matches(expression, wall)),
            };
            if is_run {
                runs.push(self.instant(n));
            }
            done = done.max(now);
        }
        runs
    }
}

/// Cache for the day that was looked at last.
struct Day {
    number: i64,
    is_right: bool,
}

impl Day {
    fn matches(&mut self, expression: &Expression, wall: i64) -> bool {
        let [minute, hour, day, month, weekday] = &expression.0;
        let number = wall.div_euclid(24 * 60);
        if number != self.number {
            let date = DateTime::from_timestamp(number * 24 * 3600, 0).unwrap();
            let of_month = day.allowed[date.day() as usize];
            let of_week = weekday.allowed[date.weekday().num_days_from_sunday() as usize];
            let either = if day.star || weekday.star { of_month && of_week } else { of_month || of_week };
            *self = Self { number, is_right: month.allowed[date.month() as usize] && either };
        }
        let of_day = usize::try_from(wall.rem_euclid(24 * 60)).unwrap();
        self.is_right && hour.allowed[of_day / 60] && minute.allowed[of_day % 60]
    }
}

/// Returns when the code under test runs a job, up to `most` times.
pub fn found(expression: &Expression, zone: Tz, clock: &Clock, span: Range<usize>, most: usize) -> Vec<DateTime<Utc>> {
    let cron = super::parse(&expression.to_string()).unwrap();
    let before = clock.instant(span.start) - TimeDelta::seconds(1);
    let end = clock.instant(span.end);
    let times = std::iter::successors(super::after(&cron, zone, before), |at| super::after(&cron, zone, *at));
    times.take_while(|at| *at < end).take(most).inspect(|at| assert_eq!(at.second(), 0)).collect()
}
