use chrono::NaiveTime;
use chrono_tz::Tz;

use super::{Cron, exclude_in_words, in_words};
use crate::server::domain::model::{Exclude, Schedule, Unit};

#[test]
fn a_schedule_is_told_in_words() {
    let every = |every, unit| Schedule::Interval { every, unit };
    let cron = |expression: &str| Schedule::Cron {
        expression: Cron::stored(expression.to_owned()),
        zone: Tz::Europe__Amsterdam,
    };
    let told: Vec<String> = [
        Schedule::None,
        every(1, Unit::Hour),
        every(15, Unit::Minute),
        every(3, Unit::Month),
        cron("0 6 * * *"),
        cron("*/5 * * * *"),
        cron("30 2 1 * MON-FRI"),
        cron("*/5,*/7 * * * *"),
        cron("*/7 * * * *"),
        cron("0 3 LW * *"),
        cron("0 3 L * *"),
        cron("0 0 */10 * 1"),
        cron("*/10 9-17 * * 1,3"),
        cron("30 */2 * 1,2 *"),
        cron("15,45 2 * * *"),
        cron("*/30 2 * * *"),
        cron("*/5 * * * * *"),
        cron("0 0-23/2 * * *"),
        cron("0 0 * * 5#2"),
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
    at 02:30, on day 1 of the month or on Monday to Friday (cron 30 2 1 * MON-FRI, Europe/Amsterdam)
    cron */5,*/7 * * * * (Europe/Amsterdam)
    cron */7 * * * * (Europe/Amsterdam)
    cron 0 3 LW * * (Europe/Amsterdam)
    at 03:00, on the last day of the month (cron 0 3 L * *, Europe/Amsterdam)
    at 00:00, on day 1, 11, 21 and 31 of the month if that is Monday (cron 0 0 */10 * 1, Europe/Amsterdam)
    every 10 minutes from 09:00 to 17:59, on Monday and Wednesday (cron */10 9-17 * * 1,3, Europe/Amsterdam)
    every 2 hours at minute 30, in January and February (cron 30 */2 * 1,2 *, Europe/Amsterdam)
    at 02:15 and 02:45 (cron 15,45 2 * * *, Europe/Amsterdam)
    every 30 minutes from 02:00 to 02:59 (cron */30 2 * * *, Europe/Amsterdam)
    every 5 seconds (cron */5 * * * * *, Europe/Amsterdam)
    cron 0 0-23/2 * * * (Europe/Amsterdam)
    cron 0 0 * * 5#2 (Europe/Amsterdam)
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

/// Words that are the same mean the same times: an expression that cannot be said in words stands for itself.
#[test]
fn words_that_are_the_same_mean_the_same_times() {
    let fields: [&[&str]; 6] = [
        &["0", "*/5", "*"],
        &["0", "*", "*/5", "*/7", "*/5,*/7", "0-59", "0-59/5", "0,30", "*/30", "15"],
        &["*", "*/2", "0-23/2", "0-23", "2", "2,14", "9-17", "*/5"],
        &["*", "*/2", "1", "1,15", "L", "LW", "15W", "1-31", "?", "*/10"],
        &["*", "1", "*/2", "1-12"],
        &["*", "1", "1-5", "5L", "5#2", "0-6", "*/2", "0,7", "0,3"],
    ];
    let mut random = fastrand::Rng::with_seed(7);
    let mut said = std::collections::BTreeMap::<String, (String, Vec<chrono::DateTime<chrono::Utc>>)>::new();
    for _ in 0..4_000 {
        // Few seconds, so that there is something to be said.
        let drawn = fields.map(|choices| choices[random.usize(..choices.len())]);
        let expression = drawn[usize::from(random.u8(..8) != 0)..].join(" ");
        let Some(words) = super::cron_in_words(&Cron::stored(expression.clone())) else { continue };
        // A week on either side of a change of the clock, and far beyond it where there is little.
        let times = ["2026-03-26T00:00:00Z", "2026-10-22T00:00:00Z"].into_iter().flat_map(|from| {
            let cron = crate::server::domain::schedule::cron::parse(&expression).unwrap();
            let next = move |at| crate::server::domain::schedule::cron::after(&cron, Tz::Europe__Amsterdam, at);
            std::iter::successors(Some(from.parse().unwrap()), move |at| next(*at)).take(100)
        });
        let times: Vec<_> = times.collect();
        let (before, known) = said.entry(words.clone()).or_insert_with(|| (expression.clone(), times.clone()));
        assert_eq!(*known, times, "{words}: {expression} and {before}");
    }
    assert!(said.len() > 100, "{} sentences", said.len());
}
