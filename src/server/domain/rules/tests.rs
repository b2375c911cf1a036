use chrono_tz::Tz;

use super::{
    RuleViolation, addresses, concurrency, cron, excludes, excludes_text, executable, interval, on_lost, reason,
    retries, timeout, zone,
};
use crate::server::domain::model::{Concurrency, OnLost, Schedule, Unit};
use crate::server::domain::schedule::Cron;

#[test]
fn intervals_are_read_as_people_write_them() {
    for (text, every, unit) in [
        ("15 minutes", 15, Unit::Minute),
        ("15m", 15, Unit::Minute),
        ("1 min", 1, Unit::Minute),
        ("hour", 1, Unit::Hour),
        (" 2h ", 2, Unit::Hour),
        ("1 day", 1, Unit::Day),
        ("30d", 30, Unit::Day),
        ("3 months", 3, Unit::Month),
    ] {
        assert_eq!(interval(text).unwrap(), Schedule::Interval { every, unit }, "{text:?}");
    }
    for text in ["", "0 minutes", "-1 hour", "1.5 hours", "5", "5 weeks", "99999999999 days", "1 M"] {
        let refusal = interval(text).unwrap_err().to_string();
        assert!(refusal.contains("15 minutes"), "{text:?}: {refusal}");
    }
}

#[test]
fn a_cron_expression_is_one_and_its_zone_exists() {
    assert_eq!(zone("Asia/Tokyo"), Ok(Tz::Asia__Tokyo));
    assert!(zone("Asia/Tokio").unwrap_err().to_string().contains("no time zone"));
    let expected = Schedule::Cron { expression: Cron::new("0 6 * * *").unwrap(), zone: Tz::UTC };
    assert_eq!(cron(" 0 6 * * * ", Tz::UTC), Ok(expected));
    assert!(cron("every day", Tz::UTC).unwrap_err().to_string().contains("no cron expression"));
}

#[test]
fn what_cannot_be_is_refused_while_somebody_looks() {
    assert!(executable("#!/bin/sh\necho hello\n").is_ok());
    assert!(executable("echo hello\n").is_err());
    assert!(executable("").is_err());
    assert!(timeout(Some(0)).is_err());
    assert!(timeout(Some(u32::MAX)).is_err());
    assert_eq!(timeout(Some(1)).unwrap(), Some(1));
    assert_eq!(retries(1000), Ok(1000));
    assert_eq!(retries(1001), Err(RuleViolation::Retries(1001)));
    assert_eq!(concurrency("skip"), Ok(Concurrency::Skip));
    assert!(concurrency("Skip").is_err());
    assert_eq!(on_lost("fail"), Ok(OnLost::Fail));
    assert!(on_lost("").is_err());
    assert_eq!(reason(" too loud "), Ok("too loud"));
    assert_eq!(reason(&"x".repeat(1001)), Err(RuleViolation::Reason));
}

#[test]
fn addresses_stand_one_a_line() {
    assert_eq!(addresses(" a@b.c \r\n\r\n d@localhost\n").unwrap(), "a@b.c\nd@localhost");
    assert_eq!(addresses("").unwrap(), "");
    for wrong in ["a@b.c, d@e.f", "nobody", "@b", "a@", "a@b@c"] {
        assert_eq!(addresses(wrong), Err(RuleViolation::Address(wrong.to_owned())));
    }
}

#[test]
fn stretches_of_the_day_are_read_and_written_alike() {
    let text = "22:00 - 06:00 the backup runs\n12:00:30 - 12:01";
    let read = excludes(text).unwrap();
    assert_eq!(read[0].note, "the backup runs");
    assert_eq!(excludes_text(&read), text);
    assert_eq!(excludes(" 22:00–06:00   the backup runs \n\n 12:00:30-12:01").unwrap(), read);
    for wrong in ["22:00", "25:00 - 26:00", "a - b", "12:00 -"] {
        assert_eq!(excludes(wrong), Err(RuleViolation::Exclude(wrong.to_owned())), "{wrong}");
    }
    assert_eq!(excludes(&"1:00-2:00\n".repeat(101)), Err(RuleViolation::Excludes(101)));
}
