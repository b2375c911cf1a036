//! Hours at which a worker sleeps, by the local time of the Manager.

use chrono::{Datelike, NaiveDateTime, NaiveTime, Weekday};

use crate::wire::flamenco::{FarmWorkerStatus, ScheduleDocument};

#[cfg(test)]
mod tests;

/// First two letters of the days, from Monday on.
const DAYS: [&str; 7] = ["mo", "tu", "we", "th", "fr", "sa", "su"];

/// Sleep of a worker on some days of the week. Hours that end before they begin go on into the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SleepSchedule {
    /// Whether the sleep begins on the day, from Monday on.
    days: [bool; 7],
    start: NaiveTime,
    /// End of the sleep; `None` for midnight, when the day is over.
    end: Option<NaiveTime>,
}

/// Refusal of a sleep schedule; names the part that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleRefusal {
    /// A word among the days is no day of the week.
    #[error("{0:?} is no day; allowed are mo tu we th fr sa su, separated by spaces, or nothing for every day")]
    Day(String),
    /// A time is no time of the day.
    #[error("{0:?} is no time; allowed is HH:MM, or nothing for midnight")]
    Time(String),
}

impl SleepSchedule {
    /// Reads a schedule; `None` for one that is not in force.
    ///
    /// # Errors
    /// If a day or a time cannot be read, also where the schedule is not in force.
    pub fn read(document: &ScheduleDocument) -> Result<Option<Self>, ScheduleRefusal> {
        let mut days = [false; 7];
        for word in document.days_of_week.split_whitespace() {
            // People write whole names, too.
            let begin: String = word.chars().take(2).collect::<String>().to_lowercase();
            let day = DAYS.iter().position(|day| *day == begin).ok_or_else(|| ScheduleRefusal::Day(word.to_owned()))?;
            days[day] = true;
        }
        if days == [false; 7] {
            days = [true; 7];
        }
        let (start, end) = (time(&document.time_start)?, time(&document.time_end)?);
        let schedule = Self { days, start: start.unwrap_or(NaiveTime::MIN), end };
        Ok(document.schedule_active.then_some(schedule))
    }

    /// Returns the state that the worker should have at a local time, asleep or awake; `None` on a day without a sleep.
    #[must_use]
    pub fn wanted(&self, local: NaiveDateTime) -> Option<FarmWorkerStatus> {
        let (today, yesterday) = (self.sleeps_on(local.weekday()), self.sleeps_on(local.weekday().pred()));
        let time = local.time();
        let goes_on = self.end.is_some_and(|end| end < self.start);
        let is_in_sleep = match self.end {
            Some(end) if goes_on => (today && time >= self.start) || (yesterday && time < end),
            Some(end) => today && (self.start..end).contains(&time),
            None => today && time >= self.start,
        };
        // After a sleep that began yesterday the worker is to wake, also on a day without one.
        let has_opinion = today || (goes_on && yesterday && time < self.start);
        match (is_in_sleep, has_opinion) {
            (true, _) => Some(FarmWorkerStatus::Asleep),
            (false, true) => Some(FarmWorkerStatus::Awake),
            (false, false) => None,
        }
    }

    fn sleeps_on(&self, day: Weekday) -> bool {
        self.days[day.num_days_from_monday() as usize]
    }
}

fn time(text: &str) -> Result<Option<NaiveTime>, ScheduleRefusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let read = NaiveTime::parse_from_str(text, "%H:%M").map_err(|_| ScheduleRefusal::Time(text.to_owned()))?;
    Ok(Some(read))
}
