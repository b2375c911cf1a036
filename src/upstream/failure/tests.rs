//! Tests of failures: their classification, and the reading of `Retry-After`.

use chrono::{TimeZone, Utc};
use proptest::prelude::*;

use super::*;

fn now() -> chrono::DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 23, 17, 2, 0).single().expect("a time")
}

fn asked(value: &str) -> Option<u64> {
    retry_after(value, now()).map(|wait| wait.as_secs())
}

#[test]
fn seconds_are_read() {
    assert_eq!(asked("0"), Some(0));
    assert_eq!(asked("120"), Some(120));
    assert_eq!(asked(" 5 "), Some(5));
}

#[test]
fn an_http_date_is_read() {
    assert_eq!(asked("Mon, 23 Nov 2026 17:03:00 GMT"), Some(60));
    assert_eq!(asked("Mon, 23 Nov 2026 17:02:00 GMT"), Some(0));
}

#[test]
fn a_date_that_is_over_asks_for_nothing() {
    assert_eq!(asked("Mon, 23 Nov 2026 17:01:59 GMT"), None);
    assert_eq!(asked("Thu, 01 Jan 1970 00:00:00 GMT"), None);
}

#[test]
fn no_more_than_five_minutes_are_honoured() {
    assert_eq!(asked("300"), Some(300));
    assert_eq!(asked("301"), Some(300));
    assert_eq!(asked("315360000"), Some(300));
    assert_eq!(asked("18446744073709551615"), Some(300));
    assert_eq!(asked("Thu, 23 Nov 2036 17:02:00 GMT"), None, "the day of the week is wrong");
    assert_eq!(asked("Sun, 23 Nov 2036 17:02:00 GMT"), Some(300));
}

#[test]
fn garbage_is_as_if_it_were_not_there() {
    for value in [
        "",
        "soon",
        "-1",
        "1.5",
        "1e3",
        "0x10",
        "18446744073709551616",
        "2026-11-23T17:03:00Z",
        "Mon, 99 Nov 2026",
        "é",
    ] {
        assert_eq!(asked(value), None, "{value:?}");
    }
}

proptest! {
    #[test]
    fn any_value_asks_for_five_minutes_at_most(value in prop_oneof!["\\PC{0,30}", "[0-9]{0,30}"]) {
        prop_assert!(retry_after(&value, now()).is_none_or(|wait| wait <= LONGEST));
    }
}

#[test]
fn what_may_have_been_done_is_ambiguous_and_what_cannot_be_helped_does_not_pass() {
    let text = || "x".to_owned();
    for (failure, passing, ambiguous) in [
        (CallFailure::Unreachable(text()), true, false),
        (CallFailure::NoAnswer(text()), true, true),
        (CallFailure::Server { status: 500, retry_after: None }, true, true),
        (CallFailure::Server { status: 429, retry_after: None }, true, true),
        (CallFailure::Unauthorised(401), false, false),
        (CallFailure::NotFound, false, false),
        (CallFailure::Conflict, false, false),
        (CallFailure::TooLarge, false, false),
        (CallFailure::Rejected(400), false, false),
        (CallFailure::Redirected(text()), true, false),
        (CallFailure::Nonsense(text()), true, true),
    ] {
        assert_eq!((failure.is_passing(), failure.is_ambiguous()), (passing, ambiguous), "{failure}");
    }
}

#[test]
fn only_a_server_asks_to_wait() {
    let wait = Some(Duration::from_secs(7));
    assert_eq!(CallFailure::Server { status: 503, retry_after: wait }.retry_after(), wait);
    assert_eq!(CallFailure::NotFound.retry_after(), None);
}
