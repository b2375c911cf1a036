//! Rules for what people may enter: scripts, limits, schedules; those for titles are in `title`. Pure.
//!
//! The operator's API and the dashboard check their input here alike, so that neither accepts what the other refuses.

use chrono::NaiveTime;
use chrono_tz::Tz;

use super::model::{Concurrency, Exclude, OnLost, Schedule, Unit};
use super::schedule::{BadCron, Cron, clock};
use super::script::{self, TemplateError};
use super::title::TitleViolation;
use crate::run::script::{Script, ScriptDefect};

#[cfg(test)]
mod tests;

/// Longest time limit of a run and longest pause before a retry, in seconds: ten years.
pub const LONGEST: u32 = 315_360_000;
/// Maximum number of retries that a job may have.
pub const RETRIES: u32 = 1000;
/// Longest reason for an action, in characters.
pub const REASON: usize = 1000;
/// Maximum number of stretches of the day that the excludes of a job may have.
pub const EXCLUDES: usize = 100;

/// Rule that an input breaks; the message names what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleViolation {
    /// A title is none.
    #[error(transparent)]
    Title(#[from] TitleViolation),
    /// A script cannot be started.
    #[error("the script cannot be executed: {0}")]
    Script(ScriptDefect),
    /// A template cannot be rendered around a script.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A time limit is 0 or too long.
    #[error("a timeout is 1 to {LONGEST} seconds")]
    Timeout,
    /// A job has too many retries.
    #[error("{0} retries are too many; {RETRIES} are allowed")]
    Retries(u32),
    /// A pause before the first retry is too long.
    #[error("{0} seconds are too long a pause; {LONGEST} are allowed")]
    Backoff(u32),
    /// A concurrency rule is not `wait`, `skip`, `allow` or `replace`.
    #[error("{0:?} is no concurrency; allowed are wait, skip, allow, replace")]
    Concurrency(String),
    /// A rule for lost runs is not `retry` or `fail`.
    #[error("{0:?} is not what becomes of a lost run; allowed are retry, fail")]
    OnLost(String),
    /// A text is not an interval.
    #[error("{0:?} is no interval; write 15 minutes, 1 hour, 2 days or 1 month")]
    Interval(String),
    /// A cron expression cannot be used.
    #[error(transparent)]
    Cron(#[from] BadCron),
    /// A name is not that of a time zone.
    #[error("{0:?} is no time zone; write one like Europe/Amsterdam")]
    Zone(String),
    /// A reason is too long.
    #[error("the reason is too long; {REASON} characters are allowed")]
    Reason,
    /// A line is not a mail address.
    #[error("{0:?} is no address; write one a line, like ops@example.org")]
    Address(String),
    /// A line is not a stretch of the day.
    #[error("{0:?} is no stretch of the day; write one a line, like 22:00 - 06:00 the backup runs")]
    Exclude(String),
    /// There are too many stretches of the day.
    #[error("{0} stretches of the day are too many; {EXCLUDES} are allowed")]
    Excludes(usize),
}

/// Refuses a script that no worker could start, so that the author learns of it at once. The script is the rendered
/// one, with its template.
///
/// # Errors
/// If the script has a [`ScriptDefect`].
pub fn executable(script: &str) -> Result<(), RuleViolation> {
    Script::parse(script).map(drop).map_err(RuleViolation::Script)
}

/// Refuses a script that no worker could start with its template around it.
///
/// # Errors
/// If the script cannot be rendered into the template, or not be started.
pub fn whole_script(template: &str, script: &str) -> Result<(), RuleViolation> {
    executable(&script::render(template, script)?)
}

/// Checks a time limit, in seconds; `None` is no limit.
///
/// # Errors
/// If the limit is not in 1 to [`LONGEST`].
pub fn timeout(seconds: Option<u32>) -> Result<Option<u32>, RuleViolation> {
    match seconds {
        Some(seconds) if !(1..=LONGEST).contains(&seconds) => Err(RuleViolation::Timeout),
        seconds => Ok(seconds),
    }
}

/// Checks how often a failed run is tried again.
///
/// # Errors
/// If there are more than [`RETRIES`].
pub fn retries(times: u32) -> Result<u32, RuleViolation> {
    if times > RETRIES { Err(RuleViolation::Retries(times)) } else { Ok(times) }
}

/// Checks the pause before the first retry, in seconds.
///
/// # Errors
/// If the pause is longer than [`LONGEST`].
pub fn backoff(seconds: u32) -> Result<u32, RuleViolation> {
    if seconds > LONGEST { Err(RuleViolation::Backoff(seconds)) } else { Ok(seconds) }
}

/// Parses the rule for a run that is due while another run of the job is active: `wait`, `skip`, `allow` or `replace`.
///
/// # Errors
/// If the word is another one.
pub fn concurrency(word: &str) -> Result<Concurrency, RuleViolation> {
    Concurrency::named(word).ok_or_else(|| RuleViolation::Concurrency(word.to_owned()))
}

/// Parses the rule for a run whose worker was lost: `retry` or `fail`.
///
/// # Errors
/// If the word is another one.
pub fn on_lost(word: &str) -> Result<OnLost, RuleViolation> {
    OnLost::named(word).ok_or_else(|| RuleViolation::OnLost(word.to_owned()))
}

/// Checks the reason for an action and returns it without the blanks around it.
///
/// # Errors
/// If the reason is longer than [`REASON`].
pub fn reason(text: &str) -> Result<&str, RuleViolation> {
    if text.chars().count() > REASON { Err(RuleViolation::Reason) } else { Ok(text.trim()) }
}

/// Parses an interval: `15m`, `1 hour`, `2 days`, `month`.
///
/// # Errors
/// If the text has another form, or the number is 0.
pub fn interval(text: &str) -> Result<Schedule, RuleViolation> {
    let wrong = || RuleViolation::Interval(text.to_owned());
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    // A unit alone, such as `month`, means one of it.
    let every = if digits == 0 { 1 } else { text[..digits].parse().map_err(|_| wrong())? };
    let unit = match text[digits..].trim() {
        "m" | "min" | "minute" | "minutes" => Unit::Minute,
        "h" | "hour" | "hours" => Unit::Hour,
        "d" | "day" | "days" => Unit::Day,
        "month" | "months" => Unit::Month,
        _ => return Err(wrong()),
    };
    if every == 0 { Err(wrong()) } else { Ok(Schedule::Interval { every, unit }) }
}

/// Parses a cron expression and puts it into a zone.
///
/// # Errors
/// If the expression cannot be read, or is never due.
pub fn cron(expression: &str, zone: Tz) -> Result<Schedule, RuleViolation> {
    Ok(Schedule::Cron { expression: Cron::new(expression.trim())?, zone })
}

/// Parses the name of a time zone, such as `Europe/Amsterdam`.
///
/// # Errors
/// If the time-zone database has no such name.
pub fn zone(name: &str) -> Result<Tz, RuleViolation> {
    name.trim().parse().map_err(|_| RuleViolation::Zone(name.to_owned()))
}

/// Checks mail addresses to notify of failures, one a line; blank lines are dropped.
///
/// # Errors
/// If a line is not an address; the error has the first such line.
pub fn addresses(text: &str) -> Result<String, RuleViolation> {
    let lines: Vec<&str> = filled_lines(text).collect();
    // Only the form is checked. Whether the address receives mail, only mail can tell.
    let is_address = |line: &str| {
        let halves = line.split_once('@');
        let plain = !line.chars().any(|c| c.is_whitespace() || c.is_control());
        plain && halves.is_some_and(|(who, host)| !who.is_empty() && !host.is_empty() && !host.contains('@'))
    };
    match lines.iter().find(|line| !is_address(line)) {
        Some(wrong) => Err(RuleViolation::Address((*wrong).to_owned())),
        None => Ok(lines.join("\n")),
    }
}

/// Parses the times of the day at which a job does not run, one stretch a line: from, to, and a note.
///
/// # Errors
/// If a line has another form (the error has the first such line), or there are more than [`EXCLUDES`].
pub fn excludes(text: &str) -> Result<Vec<Exclude>, RuleViolation> {
    let count = filled_lines(text).count();
    if count > EXCLUDES {
        return Err(RuleViolation::Excludes(count));
    }
    filled_lines(text).map(|line| exclude(line).ok_or_else(|| RuleViolation::Exclude(line.to_owned()))).collect()
}

/// Writes excludes as [`excludes`] reads them.
#[must_use]
pub fn excludes_text(excludes: &[Exclude]) -> String {
    let line = |exclude: &Exclude| {
        let Exclude { start, end, note } = exclude;
        let note = note.replace(['\r', '\n'], " ");
        format!("{} - {} {note}", clock(*start), clock(*end)).trim_end().to_owned()
    };
    excludes.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn exclude(line: &str) -> Option<Exclude> {
    // Text that is pasted often has the typographic dash.
    let (start, rest) = line.split_once(['-', '–'])?;
    let rest = rest.trim_start();
    let (end, note) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    Some(Exclude { start: time(start)?, end: time(end)?, note: note.trim().to_owned() })
}

fn time(text: &str) -> Option<NaiveTime> {
    let text = text.trim();
    ["%H:%M", "%H:%M:%S"].into_iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok())
}

fn filled_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}
