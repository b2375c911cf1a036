//! Forecast of a job: its next times, computed by the rule that the dispatcher uses, with the UTC offset of each and
//! those that are left out. Pure: no run is made and nothing is changed.

use chrono::{Datelike, TimeDelta};
use chrono_tz::Tz;

use crate::server::domain::model::{Job, Schedule, Timestamp};
use crate::server::domain::schedule::{Last, LeftOut, NextTime, NoNextTime, Rule, exclude_in_words, next};

#[cfg(test)]
mod tests;

/// Next times of a job, due and left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Name of the time zone in which the times are shown.
    pub zone: String,
    /// Current year in that zone; times within it are shown without their year.
    year: i32,
    /// Times in ascending order.
    pub times: Vec<Time>,
    /// Reason why no further time follows, if none does.
    pub end: Option<String>,
}

/// Time at which the job runs, or would run but for an exclude.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Time {
    /// Timestamp of the time.
    pub at: Timestamp,
    /// Date and time of day in the zone.
    pub clock: String,
    /// UTC offset of the zone at that time.
    pub offset: String,
    /// Whether the job runs at that time.
    pub runs: bool,
    /// Remark on the time, such as the reason why it is left out.
    pub note: Option<String>,
}

/// State of the schedule that the forecast starts from.
#[derive(Clone, Copy, Debug)]
pub struct From {
    /// Run that the schedule has made already and no worker has claimed.
    pub planned: Option<Last>,
    /// Last time before that one.
    pub last: Option<Last>,
    /// Time zone of the server.
    pub zone: Tz,
    /// Timestamp from which the forecast looks ahead.
    pub now: Timestamp,
}

/// Computes up to `count` times at which the job runs, and between them those at which it does not.
#[must_use]
pub fn forecast(job: &Job, from: From, count: usize) -> Forecast {
    let zone = match &job.schedule {
        Schedule::Cron { zone, .. } => *zone,
        Schedule::None | Schedule::Interval { .. } => from.zone,
    };
    let mut forecast =
        Forecast { zone: zone.name().to_owned(), year: from.now.with_timezone(&zone).year(), ..Forecast::default() };
    if job.schedule == Schedule::None {
        return forecast;
    }
    let rule = Rule::of(job, from.zone);
    let (mut last, mut now, mut found) = (from.planned.or(from.last), from.now, 0);
    if let Some(planned) = from.planned {
        let waits = (planned.at <= now).then(|| "is due and waits".to_owned());
        forecast.add(zone, planned.at, true, waits.or_else(|| moved(planned.moved)));
        found += 1;
    }
    while found < count {
        match next(rule, last, now) {
            Ok(NextTime { at, moved: late, passed, left_out }) => {
                if let Some(passed) = passed {
                    let times = if passed.times == 1 {
                        "this time is".to_owned()
                    } else {
                        format!("{} times are", passed.times)
                    };
                    forecast.add(zone, passed.first, false, Some(format!("{times} past already")));
                }
                forecast.leave_out(zone, &left_out);
                forecast.add(zone, at, true, moved(late));
                // The next round starts from this time, as the dispatcher will once the run is due.
                (last, now) = (Some(Last { at, moved: late }), at);
                found += 1;
            }
            Err(NoNextTime { why, left_out }) => {
                forecast.end = Some(why.to_string());
                // The excluded times show why there is nothing to come.
                forecast.leave_out(zone, &left_out);
                break;
            }
        }
    }
    forecast
}

impl Forecast {
    fn leave_out(&mut self, zone: Tz, left_out: &[LeftOut]) {
        for LeftOut { at, exclude } in left_out {
            self.add(zone, *at, false, Some(format!("left out from {}", exclude_in_words(exclude))));
        }
    }

    fn add(&mut self, zone: Tz, at: Timestamp, runs: bool, note: Option<String>) {
        let shown = at.with_timezone(&zone);
        let offset = shown.format("%:z").to_string();
        // A change of the clocks is noted at the first time after it.
        let before = self.times.last().map(|time| &time.offset).filter(|before| **before != offset);
        let changed = before.map(|before| format!("the clocks have changed from {before} to {offset}"));
        let note = [note, changed].into_iter().flatten().collect::<Vec<_>>().join("; ");
        let format = if shown.year() == self.year { "%a %-d %b %H:%M:%S" } else { "%a %-d %b %Y %H:%M:%S" };
        let clock = shown.format(format).to_string();
        // Seconds are shown only for schedules that use them.
        let clock = clock.strip_suffix(":00").map(str::to_owned).unwrap_or(clock);
        self.times.push(Time { at, clock, offset, runs, note: Some(note).filter(|note| !note.is_empty()) });
    }
}

fn moved(late: TimeDelta) -> Option<String> {
    (late > TimeDelta::zero())
        .then(|| format!("{} min later than usual: the clock leaves that time out", late.num_minutes()))
}
