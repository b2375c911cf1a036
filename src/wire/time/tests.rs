//! Timestamps that are sent, and timestamps that are too far ahead to be due.

use chrono::TimeZone;
use proptest::prelude::*;

use super::*;

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 23, 17, 2, 0).single().expect("a time")
}

#[test]
fn a_time_is_sent_as_the_original_sends_it() {
    let at = now() + TimeDelta::microseconds(1_622_914);
    assert_eq!(sent(at), "2026-11-23 17:02:01.622914+00:00");
    assert_eq!(sent(now()), "2026-11-23 17:02:00.000000+00:00");
}

#[test]
fn a_naive_time_is_far_ahead_from_fifteen_hours() {
    for (text, far) in [
        ("2026-11-23T17:02:00", false),
        ("2026-11-24T07:02:00", false),
        ("2026-11-24T08:02:00.000000", false),
        ("2026-11-24T08:02:00.000001", true),
        ("2026-11-24 09:02:00", true),
        ("2099-01-01T00:00:00.5", true),
        ("1970-01-01T00:00:00", false),
    ] {
        assert_eq!(is_far_ahead(text, now()), far, "{text}");
    }
}

#[test]
fn a_time_with_an_offset_is_exact_but_for_clocks_that_differ() {
    for (text, far) in [
        ("2026-11-23T17:02:00Z", false),
        ("2026-11-23T17:06:59+00:00", false),
        ("2026-11-23T17:08:00Z", true),
        ("2026-11-23T18:06:00+01:00", false),
        ("2026-11-23 18:08:00+01:00", true),
        ("2026-11-24T07:02:00+14:00", false),
        ("2026-11-24T07:02:00-02:00", true),
    ] {
        assert_eq!(is_far_ahead(text, now()), far, "{text}");
    }
}

#[test]
fn what_is_no_time_is_due() {
    for text in [
        "",
        "T",
        "tomorrow",
        "2099",
        "2099-01-01",
        "2099-02-30T00:00:00",
        "99999-01-01T00:00:00",
        "2099-01-01T00:00:00+99:99",
    ] {
        assert!(!is_far_ahead(text, now()), "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_sent_can_be_read_again(micros in 0..4_102_444_800_000_000_i64) {
        let at = DateTime::from_timestamp_micros(micros).expect("a time");
        let read = DateTime::parse_from_str(&sent(at), "%Y-%m-%d %H:%M:%S%.f%:z").map(|read| read.to_utc());
        prop_assert_eq!(read, Ok(at));
    }

    #[test]
    fn any_text_is_far_ahead_or_not(text in prop_oneof!["\\PC{0,30}", "[0-9TZ:+ .-]{0,32}"]) {
        let _ = is_far_ahead(&text, now());
    }
}
