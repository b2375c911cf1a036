use chrono_tz::Tz;

use super::{executable, interval, schedule, timeout, title};
use crate::server::model::{Schedule, Unit};
use crate::wire::operator::NewJob;

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
fn a_job_has_one_schedule_and_in_a_zone_that_exists() {
    let job = |every: Option<&str>, cron: Option<&str>, zone: Option<&str>| {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let new = NewJob { every: text(every), cron: text(cron), zone: text(zone), ..NewJob::default() };
        schedule(&new, Tz::UTC).map_err(|refusal| refusal.to_string())
    };
    assert_eq!(job(None, None, None), Ok(Schedule::None));
    let cron = |zone| Schedule::Cron { expression: "0 6 * * *".to_owned(), zone };
    assert_eq!(job(None, Some("0 6 * * *"), None), Ok(cron(Tz::UTC)));
    assert_eq!(job(None, Some("0 6 * * *"), Some("Asia/Tokyo")), Ok(cron(Tz::Asia__Tokyo)));
    assert!(job(None, Some("0 6 * * *"), Some("Asia/Tokio")).unwrap_err().contains("no time zone"));
    assert!(job(None, Some("every day"), None).unwrap_err().contains("no cron expression"));
    assert!(job(Some("1 hour"), Some("0 6 * * *"), None).unwrap_err().contains("not both"));
}

#[test]
fn what_cannot_be_is_refused_while_somebody_looks() {
    assert!(executable("#!/bin/sh\necho hello\n").is_ok());
    assert!(executable("echo hello\n").is_err());
    assert!(executable("").is_err());
    assert_eq!(title(" a b ").unwrap(), "a b");
    for text in ["", "  ", "a\nb", &"x".repeat(256)] {
        assert!(title(text).is_err(), "{text:?}");
    }
    assert!(timeout(Some(0)).is_err());
    assert!(timeout(Some(u32::MAX)).is_err());
    assert_eq!(timeout(Some(1)).unwrap(), Some(1));
}
