use chrono_tz::Tz;

use super::*;

#[test]
fn expressions_are_checked() {
    for good in ["0 3 * * *", "*/5 9-17 * * MON-FRI", "30 0 3 * * *", "0 0 L * *", "0 0 * * 5#2", "@daily"] {
        assert_eq!(Cron::new(good).map(|_| ()), Ok(()), "{good}");
    }
    for bad in ["", "* * * *", "60 * * * *", "0 3 * * * * 2027", "hello", "5/5 * * * *"] {
        assert!(Cron::new(bad).is_err(), "{bad}");
    }
    assert_eq!(
        Cron::new("61 * * * *").unwrap_err().to_string(),
        "\"61 * * * *\" is no cron expression of five fields, or of six with seconds first: Component error: Number out of bounds."
    );
}

mod model;

/// Of how many expressions two whole years are gone through, and how many times of each.
const WHOLE: usize = 70;
const TIMES: usize = 3_000;

/// Vixie's rule over two years in zones of every kind, against a model of its daemon that goes minute by minute.
#[test]
fn every_expression_runs_when_the_daemon_of_vixie_would_run_it() {
    let expressions = model::expressions(300);
    for (n, (zone, year)) in model::ZONES.into_iter().enumerate() {
        let clock = model::Clock::of_two_years(zone, year);
        let around_changes = clock.around_changes();
        for (m, expression) in expressions.iter().enumerate() {
            // All see what is around the changes; the days between are alike, so they are gone through by some.
            let whole = (m % model::ZONES.len() == n && m < WHOLE).then(|| clock.whole());
            for span in around_changes.iter().cloned().chain(whole) {
                let mut wanted = clock.daemon(expression, span.clone());
                wanted.truncate(TIMES);
                let found = model::found(expression, zone, &clock, span, TIMES);
                assert_eq!(found, wanted, "{expression} in {zone}");
            }
        }
    }
}

/// A field of days that begins with a star, stepped or not, does not add days to the other.
#[test]
fn two_fields_of_days_are_both_kept_to_where_one_begins_with_a_star() {
    let days = |expression| {
        let cron = parse(expression).unwrap();
        let from = "2026-11-30T12:00:00Z".parse::<Timestamp>().unwrap();
        let times = std::iter::successors(after(&cron, Tz::UTC, from), |at| after(&cron, Tz::UTC, *at)).take(4);
        times.map(|at| at.format("%a %d").to_string()).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(days("0 0 */2 * 1"), "Mon 07, Mon 21, Mon 11, Mon 25");
    assert_eq!(days("0 0 1-7 * */5"), "Fri 04, Sun 06, Fri 01, Sun 03");
    assert_eq!(days("0 0 ? * 1"), "Mon 07, Mon 14, Mon 21, Mon 28");
    assert_eq!(days("0 0 1,8 * 1"), "Tue 01, Mon 07, Tue 08, Mon 14");
}

/// Expressions that were computed wrongly once.
#[test]
fn a_time_that_is_left_out_or_repeated_runs_once_whatever_else_the_expression_says() {
    let zone = Tz::Europe__Amsterdam;
    let told: Vec<String> = [
        ("0 2,14 27-29 3 *", "2026-03-27T00:00:00Z", 6),
        ("0 2,14 30,31 10 *", "2026-10-24T00:00:00Z", 4),
        ("0 2,14 24,25 10 *", "2026-10-23T23:00:00Z", 4),
        ("0 1-5 * * *", "2026-10-24T22:00:00Z", 6),
        ("0 1-5 * * *", "2026-03-28T23:00:00Z", 5),
        ("0 0-23/2 * * *", "2026-10-24T22:00:00Z", 4),
        ("0 */2 * * *", "2026-10-24T22:00:00Z", 4),
        ("15,45 2 * * *", "2026-10-24T22:00:00Z", 3),
        ("15,45 2 * * *", "2026-03-28T22:00:00Z", 3),
        ("*/30 2 * * *", "2026-03-28T22:00:00Z", 2),
    ]
    .into_iter()
    .map(|(expression, from, count)| {
        let cron = parse(expression).unwrap();
        let from = from.parse::<Timestamp>().unwrap();
        let times = std::iter::successors(after(&cron, zone, from), |at| after(&cron, zone, *at)).take(count);
        let times: Vec<_> = times.map(|at| at.with_timezone(&zone).format("%m-%d %H:%M%:::z").to_string()).collect();
        format!("{expression}: {}", times.join(", "))
    })
    .collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    0 2,14 27-29 3 *: 03-27 02:00+01, 03-27 14:00+01, 03-28 02:00+01, 03-28 14:00+01, 03-29 03:00+02, 03-29 14:00+02
    0 2,14 30,31 10 *: 10-30 02:00+01, 10-30 14:00+01, 10-31 02:00+01, 10-31 14:00+01
    0 2,14 24,25 10 *: 10-24 02:00+02, 10-24 14:00+02, 10-25 02:00+02, 10-25 14:00+01
    0 1-5 * * *: 10-25 01:00+02, 10-25 02:00+02, 10-25 03:00+01, 10-25 04:00+01, 10-25 05:00+01, 10-26 01:00+01
    0 1-5 * * *: 03-29 01:00+01, 03-29 03:00+02, 03-29 04:00+02, 03-29 05:00+02, 03-30 01:00+02
    0 0-23/2 * * *: 10-25 02:00+02, 10-25 04:00+01, 10-25 06:00+01, 10-25 08:00+01
    0 */2 * * *: 10-25 02:00+02, 10-25 02:00+01, 10-25 04:00+01, 10-25 06:00+01
    15,45 2 * * *: 10-25 02:15+02, 10-25 02:45+02, 10-26 02:15+01
    15,45 2 * * *: 03-29 03:00+02, 03-30 02:15+02, 03-30 02:45+02
    */30 2 * * *: 03-30 02:00+02, 03-30 02:30+02
    ");
}

#[test]
fn an_expression_that_never_comes_is_refused() {
    for never in ["* * 30 2 *", "0 0 31 2,4 *", "0 0 0 31 6 *"] {
        let refusal = Cron::new(never).unwrap_err().to_string();
        assert!(refusal.ends_with("never comes: no month has such a day"), "{never}: {refusal}");
    }
    // Every four years, on one weekday every 28, and any day that is one of both.
    for rare in ["0 0 29 2 *", "0 0 29 */2 1", "0 0 30 2 1"] {
        assert_eq!(Cron::new(rare).map(|_| ()), Ok(()), "{rare}");
    }
}
