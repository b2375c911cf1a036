//! The next times of a job, reckoned as the schedule will: with the offset of the clock at each, and what is left out.
//! Pure; nothing is made or changed.

use chrono::{Datelike, TimeDelta};
use chrono_tz::Tz;

use crate::server::domain::model::{Job, Schedule, Timestamp};
use crate::server::domain::schedule::{Last, LeftOut, NextTime, NoNext, Rule, exclude_in_words, next};

#[cfg(test)]
mod tests;

/// The next times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// In which zone the clock is read.
    pub zone: String,
    /// The year there now, which need not be told.
    year: i32,
    /// In order.
    pub times: Vec<Time>,
    /// Why there are no more, if there are none.
    pub end: Option<String>,
}

/// A time that comes, or would come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Time {
    /// When.
    pub at: Timestamp,
    /// What a clock in the zone shows then.
    pub clock: String,
    /// How far that clock is ahead of UTC.
    pub offset: String,
    /// Whether the job runs then.
    pub runs: bool,
    /// What there is to say about it.
    pub note: Option<String>,
}

/// Where the times are reckoned from.
#[derive(Clone, Copy, Debug)]
pub struct From {
    /// The run that the schedule has made already, if it has.
    pub planned: Option<Last>,
    /// The last time before that.
    pub last: Option<Last>,
    /// The server's zone.
    pub zone: Tz,
    /// What time it is.
    pub now: Timestamp,
}

/// At most so many times at which the job runs, and those between them at which it does not.
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
                (last, now) = (Some(Last { at, moved: late }), at);
                found += 1;
            }
            Err(why) => {
                forecast.end = Some(why.to_string());
                if let NoNext::AllLeftOut(left_out) = &why {
                    forecast.leave_out(zone, left_out);
                }
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
        let before = self.times.last().map(|time| &time.offset).filter(|before| **before != offset);
        let changed = before.map(|before| format!("the clocks have changed from {before} to {offset}"));
        let note = [note, changed].into_iter().flatten().collect::<Vec<_>>().join("; ");
        let format = if shown.year() == self.year { "%a %-d %b %H:%M:%S" } else { "%a %-d %b %Y %H:%M:%S" };
        let clock = shown.format(format).to_string();
        let clock = clock.strip_suffix(":00").map(str::to_owned).unwrap_or(clock);
        self.times.push(Time { at, clock, offset, runs, note: Some(note).filter(|note| !note.is_empty()) });
    }
}

fn moved(late: TimeDelta) -> Option<String> {
    (late > TimeDelta::zero())
        .then(|| format!("{} min later than usual: the clock leaves that time out", late.num_minutes()))
}
