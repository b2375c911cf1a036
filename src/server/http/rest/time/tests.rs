//! Timestamps as text: parsed and formatted.

use super::*;

const ZONE: Tz = Tz::Europe__Amsterdam;

#[test]
fn every_spelling_that_workers_and_people_use_is_read() {
    let rows = [
        ("2026-11-23 17:02:01.622914+00:00", "2026-11-23T18:02:01.622914"),
        ("2026-11-23T17:02:01Z", "2026-11-23T18:02:01"),
        ("2026-11-23T18:02:01", "2026-11-23T18:02:01"),
        ("2026-11-23 18:02", "2026-11-23T18:02:00"),
        ("2026-11-23", "2026-11-23T00:00:00"),
        ("2026-07-01 12:00:00+02:00", "2026-07-01T12:00:00"),
        // The hour that a change of the clocks repeats, and the one that it leaves out.
        ("2026-10-25 02:30:00", "2026-10-25T02:30:00"),
        ("2026-03-29 02:30:00", "2026-03-29T03:30:00"),
        ("2026-11-23T17:02:01.000000+00:00", "2026-11-23T18:02:01"),
    ];
    for (text, expected) in rows {
        assert_eq!(read(text, ZONE).map(|at| shown(at, ZONE)).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn what_is_no_time_is_not_read() {
    for text in ["", "yesterday", "2026-13-45", "2026-03-02T12:05:00 00:00", "17:02"] {
        assert_eq!(read(text, ZONE), None, "{text}");
    }
}
