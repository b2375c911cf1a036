use chrono::NaiveTime;
use chrono_tz::Tz;

use super::{exclude_in_words, in_words};
use crate::server::model::{Exclude, Schedule, Unit};

#[test]
fn a_schedule_is_told_in_words() {
    let every = |every, unit| Schedule::Interval { every, unit };
    let cron = |expression: &str| Schedule::Cron { expression: expression.to_owned(), zone: Tz::Europe__Amsterdam };
    let told: Vec<String> = [
        Schedule::None,
        every(1, Unit::Hour),
        every(15, Unit::Minute),
        every(3, Unit::Month),
        cron("0 6 * * *"),
        cron("*/5 * * * *"),
        cron("30 2 1 * MON-FRI"),
        cron("no cron"),
    ]
    .iter()
    .map(|schedule| in_words(schedule).unwrap_or_default())
    .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    every hour
    every 15 minutes
    every 3 months
    at 06:00 (cron 0 6 * * *, Europe/Amsterdam)
    every 5 minutes (cron */5 * * * *, Europe/Amsterdam)
    at 02:30, on day 1 or Monday, Tuesday, Wednesday, Thursday, and Friday (cron 30 2 1 * MON-FRI, Europe/Amsterdam)
    cron no cron (Europe/Amsterdam)
    "#);
}

#[test]
fn a_stretch_of_the_day_says_why() {
    let at = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
    let exclude = |note: &str| Exclude { start: at(22), end: at(6), note: note.to_owned() };
    assert_eq!(exclude_in_words(&exclude("")), "22:00 to 06:00");
    assert_eq!(exclude_in_words(&exclude("the backup")), "22:00 to 06:00 (the backup)");
}
