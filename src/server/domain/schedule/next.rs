//! Next due time of a job: passes over times in the past, and over those that an exclude leaves out.

use std::collections::BTreeMap;

use chrono::{NaiveDateTime, NaiveTime, TimeDelta, Timelike};
use chrono_tz::Tz;

use super::cron::{self, BadCron};
use super::wall_time::{self, WallMoment};
use super::{excludes, interval};
use crate::server::domain::model::{Exclude, Job, Schedule, Timestamp, Unit};

#[cfg(test)]
mod tests;

/// Limit of the search ahead for a time that no exclude covers: forty years, in which every date has met every weekday
/// and every change of the clocks.
const SEARCH_LIMIT: TimeDelta = TimeDelta::days(40 * 366);
/// Maximum number of excluded times that are reported.
const MAX_LEFT_OUT: usize = 100;
/// Distance before a clock change at which times are looked at one by one again.
const CHANGE_MARGIN: TimeDelta = TimeDelta::days(2);
/// Maximum number of past times that are counted.
pub const MAX_PASSED_TIMES: u32 = 100;

/// Rule for the due times of a job: its schedule, its excludes, and the zone of both.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    /// Interval or cron expression.
    pub schedule: &'a Schedule,
    /// Times of the day that are left out.
    pub excludes: &'a [Exclude],
    /// Zone of the server, for intervals and excludes; a cron expression has its own.
    pub zone: Tz,
}

/// Last due time of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// Time at which the job was due.
    pub at: Timestamp,
    /// Delay of `at` against the local time it stands for, because the clock skipped that one.
    pub moved: TimeDelta,
}

/// Next due time of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextTime {
    /// Time at which the job is due.
    pub at: Timestamp,
    /// Delay of `at` against the local time it stands for.
    pub moved: TimeDelta,
    /// Due times that were in the past already, and are missed.
    pub passed: Option<Passed>,
    /// Due times that an exclude left out, at most a hundred.
    pub left_out: Vec<LeftOut>,
}

/// Due times that were in the past already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// First of these times.
    pub first: Timestamp,
    /// Number of times, counted up to [`MAX_PASSED_TIMES`].
    pub times: u32,
}

/// A due time that an exclude left out. Those that follow it and are left out by the same exclude are not listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Time at which the job would have been due.
    pub at: Timestamp,
    /// Exclude that covers the time.
    pub exclude: Exclude,
}

/// Lack of a next due time, with the times on the way that an exclude left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoNextTime {
    /// Reason why there is none.
    pub why: NoNext,
    /// Due times that an exclude left out, at most a hundred.
    pub left_out: Vec<LeftOut>,
}

impl<E: Into<NoNext>> From<E> for NoNextTime {
    fn from(why: E) -> Self {
        Self { why: why.into(), left_out: Vec::new() }
    }
}

/// Reason why a job has no next due time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoNext {
    /// The job has no schedule.
    #[error("the job has no schedule")]
    NoSchedule,
    /// Excludes cover every due time of the next forty years.
    #[error("its excludes leave out every time of the next forty years")]
    AllLeftOut,
    /// The cron expression cannot be used.
    #[error(transparent)]
    BadCron(#[from] BadCron),
    /// No such time comes, or it is beyond what a timestamp can hold.
    #[error("there is no such time any more")]
    Never,
}

impl<'a> Rule<'a> {
    /// Returns the rule of a job, in the zone of the server.
    #[must_use]
    pub fn of(job: &'a Job, zone: Tz) -> Self {
        Self { schedule: &job.schedule, excludes: &job.excludes, zone }
    }

    /// Returns the rule as one line. Equal lines have equal due times: the store keeps the line that a run was planned
    /// by.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = match self.schedule {
            Schedule::None => "never".to_owned(),
            Schedule::Interval { every, unit } => format!("every {every} {unit:?} in {}", self.zone),
            Schedule::Cron { expression, zone } => format!("{expression} in {zone}"),
        };
        for exclude in self.excludes {
            text += &format!(", not {} to {}", exclude.start, exclude.end);
        }
        text
    }
}

/// Returns the first due time after the last one that is not in the past; without a last one, the schedule counts from now.
///
/// # Errors
/// If there is no such time.
pub fn next(rule: Rule<'_>, last: Option<Last>, now: Timestamp) -> Result<NextTime, NoNextTime> {
    match rule.schedule {
        Schedule::None => Err(NoNext::NoSchedule.into()),
        Schedule::Interval { every, unit } => by_interval(rule, *every, *unit, last, now),
        Schedule::Cron { expression, zone } => by_cron(rule, expression.expression()?, *zone, last, now),
    }
}

/// Returns the next due times, at most `count`.
#[must_use]
pub fn preview(rule: Rule<'_>, last: Option<Last>, now: Timestamp, count: usize) -> Vec<NextTime> {
    let follow = |before: &NextTime| next(rule, Some(Last { at: before.at, moved: before.moved }), before.at).ok();
    std::iter::successors(next(rule, last, now).ok(), follow).take(count).collect()
}

fn by_interval(
    rule: Rule<'_>,
    every: u32,
    unit: Unit,
    last: Option<Last>,
    now: Timestamp,
) -> Result<NextTime, NoNextTime> {
    let zone = rule.zone;
    let step = |from| interval::step(from, every, unit, zone).ok_or(NoNext::Never);
    let last = last.or_else(|| Some(Last { at: now.with_nanosecond(0)?, moved: TimeDelta::zero() }));
    let Some(last) = last else { return Err(NoNext::Never.into()) };
    // The step begins at the local time that the last one stands for, so that a skipped hour shifts one due time only.
    let mut base = WallMoment { wall: shown_at(last, zone), at: last.at };
    let mut candidate = step(base)?;
    let mut passed = None::<Passed>;
    while candidate.at < now {
        let Passed { first, times } = passed.unwrap_or(Passed { first: candidate.at, times: 0 });
        // Past times are counted up to a bound; beyond it, all but those of the last days are leapt over.
        passed = Some(Passed { first, times: (times + 1).min(MAX_PASSED_TIMES) });
        base = if times >= MAX_PASSED_TIMES { interval::leap(candidate, every, unit, zone, now) } else { candidate };
        candidate = step(base)?;
    }
    let (candidate, left_out) = past_excludes(rule, candidate, every, unit)?;
    Ok(NextTime { at: candidate.at, moved: wall_time::shown(candidate.at, zone) - candidate.wall, passed, left_out })
}

/// Returns the first step from `first` on that no exclude covers, and those that were left out.
fn past_excludes(
    rule: Rule<'_>,
    first: WallMoment,
    every: u32,
    unit: Unit,
) -> Result<(WallMoment, Vec<LeftOut>), NoNextTime> {
    let zone = rule.zone;
    let until = first.at.checked_add_signed(SEARCH_LIMIT).ok_or(NoNext::Never)?;
    let (mut candidate, mut left_out, mut in_a_row) = (first, Vec::new(), 0);
    while let Some(exclude) = excludes::covering(rule.excludes, candidate.at, zone) {
        leave_out(&mut left_out, candidate.at, exclude);
        in_a_row += 1;
        if in_a_row >= interval::times_of_day(unit) {
            // All times of the day that the steps come to are excluded, so the search goes on at the next clock change.
            let Some(change) = wall_time::next_change(zone, candidate.at, until) else {
                return Err(NoNextTime { why: NoNext::AllLeftOut, left_out });
            };
            candidate = interval::leap(candidate, every, unit, zone, change.at);
            in_a_row = 0;
        }
        candidate = interval::step(candidate, every, unit, zone).ok_or(NoNext::Never)?;
        if candidate.at > until {
            return Err(NoNextTime { why: NoNext::AllLeftOut, left_out });
        }
    }
    Ok((candidate, left_out))
}

fn by_cron(
    rule: Rule<'_>,
    cron: &cron::Expression,
    zone: Tz,
    last: Option<Last>,
    now: Timestamp,
) -> Result<NextTime, NoNextTime> {
    // A time that is now is not past, so the search begins a microsecond before it.
    let just_before = now - TimeDelta::microseconds(1);
    let from = last.map_or(just_before, |last| last.at.max(just_before));
    let passed = last.and_then(|last| {
        let times = std::iter::successors(cron::after(cron, zone, last.at), |at| cron::after(cron, zone, *at));
        let mut past = times.take_while(|at| *at < now).take(MAX_PASSED_TIMES as usize);
        let first = past.next()?;
        Some(Passed {
            first,
            times: u32::try_from(past.count()).unwrap_or(MAX_PASSED_TIMES).saturating_add(1).min(MAX_PASSED_TIMES),
        })
    });
    let mut at = cron::after(cron, zone, from).ok_or(NoNext::Never)?;
    let until = at.checked_add_signed(SEARCH_LIMIT).ok_or(NoNext::Never)?;
    let (mut left_out, mut days) = (Vec::new(), Days { cron, rule, zone, known: BTreeMap::new() });
    while let Some(exclude) = excludes::covering(rule.excludes, at, rule.zone) {
        leave_out(&mut left_out, at, exclude);
        // The rest of the exclude is passed over at once, and so are the days until a clock changes if none of their
        // times is free: an exclude of every minute takes as many rounds as there are clock changes.
        let end = excludes::end(exclude, at, rule.zone).ok_or(NoNext::Never)?;
        // Not before `at`: the search must go forward, also where a clock that is set back ends the exclude earlier.
        let from = days.without_any(at, until).map_or(end, |again| again.max(end)).max(at);
        at = cron::after(cron, zone, from).ok_or(NoNext::Never)?;
        if at > until {
            return Err(NoNextTime { why: NoNext::AllLeftOut, left_out });
        }
    }
    Ok(NextTime { at, moved: TimeDelta::zero(), passed, left_out })
}

/// Cache for whether a day has a time that no exclude covers: the answer is the same as long as the two clocks keep
/// their distance.
struct Days<'a> {
    cron: &'a cron::Expression,
    rule: Rule<'a>,
    zone: Tz,
    /// Answers, by how far the clock of the excludes is ahead of the expression's.
    known: BTreeMap<TimeDelta, bool>,
}

impl Days<'_> {
    /// Returns where to look again, if no day has such a time before a clock changes; `None` if some day has one.
    fn without_any(&mut self, at: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let ahead = wall_time::offset(at, self.rule.zone) - wall_time::offset(at, self.zone);
        let Self { cron, rule, known, .. } = self;
        let has_time = *known.entry(ahead).or_insert_with(|| {
            let free = |time: NaiveTime| excludes::of(rule.excludes, time.overflowing_add_signed(ahead).0).is_none();
            cron.times().any(free)
        });
        if has_time {
            return None;
        }
        let changes = [self.zone, self.rule.zone].map(|zone| wall_time::next_change(zone, at, until));
        let change = changes.into_iter().flatten().map(|change| change.at).min();
        change.map_or(Some(until), |change| change.checked_sub_signed(CHANGE_MARGIN))
    }
}

/// Returns the local time that a due time stands for.
fn shown_at(last: Last, zone: Tz) -> NaiveDateTime {
    wall_time::shown(last.at, zone) - last.moved
}

fn leave_out(left_out: &mut Vec<LeftOut>, at: Timestamp, exclude: &Exclude) {
    if left_out.len() < MAX_LEFT_OUT && left_out.last().is_none_or(|before| before.exclude != *exclude) {
        left_out.push(LeftOut { at, exclude: exclude.clone() });
    }
}
