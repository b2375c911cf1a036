//! Cron expressions, in the zone of their job.
//!
//! The clocks change as with Vixie's cron: a fixed time that is left out happens when the clock goes on, one
//! that comes twice happens the first time, and what runs every so many minutes or hours runs in both hours.

use chrono::{TimeDelta, Timelike};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Year};

use crate::server::model::Instant;

#[cfg(test)]
mod tests;

/// How often a search that does not come forward is begun a second later.
const PUSHES: i64 = 7200;

/// Why an expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no cron expression of five fields, or of six with seconds first: {1}")]
pub struct BadCron(String, String);

/// Whether an expression can be used.
///
/// # Errors
/// What is wrong with it.
pub fn check(expression: &str) -> Result<(), BadCron> {
    parse(expression).map(drop)
}

pub(super) fn parse(expression: &str) -> Result<Cron, BadCron> {
    let parser = CronParser::builder().year(Year::Disallowed).build();
    parser.parse(expression).map_err(|e| BadCron(expression.to_owned(), e.to_string()))
}

/// The first time after an instant, if there ever is one.
pub(super) fn after(cron: &Cron, zone: Tz, after: Instant) -> Option<Instant> {
    let second = after.with_nanosecond(0)?;
    // An answer that does not come forward would be the same again for ever.
    (0..PUSHES).find_map(|push| {
        let from = second.checked_add_signed(TimeDelta::seconds(push))?.with_timezone(&zone);
        match cron.find_next_occurrence(&from, false) {
            Ok(found) => Some(found.to_utc()).filter(|found| *found > after).map(Some),
            Err(_) => Some(None),
        }
    })?
}
