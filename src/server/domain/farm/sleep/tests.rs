use proptest::prelude::*;

use super::*;
use FarmWorkerStatus::{Asleep, Awake};

fn document(days: &str, start: &str, end: &str) -> ScheduleDocument {
    ScheduleDocument {
        schedule_active: true,
        days_of_week: days.to_owned(),
        time_start: start.to_owned(),
        time_end: end.to_owned(),
    }
}

fn schedule(days: &str, start: &str, end: &str) -> SleepSchedule {
    SleepSchedule::read(&document(days, start, end)).unwrap().unwrap()
}

/// The week of Monday, 2 November 2026.
fn at(day: u32, time: &str) -> NaiveDateTime {
    format!("2026-11-{:02}T{time}:00", day + 2).parse().unwrap()
}

#[test]
fn a_worker_sleeps_within_its_hours_and_is_awake_outside() {
    for (days, start, end, day, time, wanted) in [
        ("", "09:00", "18:00", 0, "08:59", Some(Awake)),
        ("", "09:00", "18:00", 0, "09:00", Some(Asleep)),
        ("", "09:00", "18:00", 6, "17:59", Some(Asleep)),
        ("", "09:00", "18:00", 6, "18:00", Some(Awake)),
        ("mo tu", "09:00", "18:00", 1, "12:00", Some(Asleep)),
        ("mo tu", "09:00", "18:00", 2, "12:00", None),
        ("Monday TUE", "09:00", "18:00", 1, "20:00", Some(Awake)),
        ("", "", "", 3, "00:00", Some(Asleep)),
        ("", "", "06:00", 3, "05:59", Some(Asleep)),
        ("", "", "06:00", 3, "06:00", Some(Awake)),
        ("", "22:00", "", 3, "23:59", Some(Asleep)),
        ("", "22:00", "", 3, "00:00", Some(Awake)),
        ("", "10:00", "10:00", 3, "10:00", Some(Awake)),
    ] {
        assert_eq!(schedule(days, start, end).wanted(at(day, time)), wanted, "{days:?} {start}-{end} {day} {time}");
    }
}

#[test]
fn a_sleep_over_midnight_ends_on_the_next_day() {
    let friday = schedule("fr", "22:00", "06:00");
    for (day, time, wanted) in [
        (4, "05:00", Some(Awake)),
        (4, "21:59", Some(Awake)),
        (4, "22:00", Some(Asleep)),
        (5, "00:00", Some(Asleep)),
        (5, "05:59", Some(Asleep)),
        (5, "06:00", Some(Awake)),
        (5, "22:00", None),
        (6, "05:00", None),
    ] {
        assert_eq!(friday.wanted(at(day, time)), wanted, "{day} {time}");
    }
}

#[test]
fn a_schedule_that_cannot_be_read_is_refused() {
    let refused = |days, start, end| SleepSchedule::read(&document(days, start, end)).unwrap_err();
    assert_eq!(refused("mo xy", "", ""), ScheduleRefusal::Day("xy".to_owned()));
    assert_eq!(refused("", "25:00", ""), ScheduleRefusal::Time("25:00".to_owned()));
    assert_eq!(refused("", "", "noon"), ScheduleRefusal::Time("noon".to_owned()));
    let inactive = ScheduleDocument { schedule_active: false, ..document("mo", "01:00", "02:00") };
    assert_eq!(SleepSchedule::read(&inactive), Ok(None));
}

proptest! {
    /// By the minute of the week, as a clock would go through it.
    #[test]
    fn a_worker_sleeps_as_long_as_its_hours_say(days in prop::array::uniform7(any::<bool>()), start in 0_u32..1440, end in 0_u32..1440) {
        prop_assume!(start != end && days.contains(&true));
        let text = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
        let names: Vec<&str> = DAYS.into_iter().zip(days).filter(|(_, is_on)| *is_on).map(|(day, _)| day).collect();
        let schedule = schedule(&names.join(" "), &text(start), &text(end));
        let length = (end + 1440 - start) % 1440;
        let mut sleeps = vec![false; 7 * 1440];
        for day in (0..7_u32).filter(|day| days[*day as usize]) {
            for minute in 0..length {
                sleeps[((day * 1440 + start + minute) % (7 * 1440)) as usize] = true;
            }
        }
        for minute in (0..7 * 1440).step_by(7) {
            let wanted = schedule.wanted(at(minute / 1440, &text(minute % 1440)));
            prop_assert_eq!(wanted == Some(Asleep), sleeps[minute as usize]);
        }
    }
}
