//! What is allowed of what people write: titles, scripts, limits, schedules. Pure; the operator's API and the page ask
//! here alike, so that neither takes what the other refuses.

use chrono::NaiveTime;
use chrono_tz::Tz;

use super::model::{Concurrency, Exclude, OnLost, Schedule, Unit};
use super::schedule::{BadCron, check_cron, clock};
use super::script::{self, TemplateError};
use crate::run::script::{Script, ScriptDefect};
use crate::wire::reference;

#[cfg(test)]
mod tests;

/// The longest title, in characters, as with the original.
pub const TITLE: usize = 255;
/// The longest a run may take, in seconds, and the longest pause before a retry: ten years.
pub const LONGEST: u32 = 315_360_000;
/// The most retries.
pub const RETRIES: u32 = 1000;
/// The longest reason for what somebody did, in characters.
pub const REASON: usize = 1000;
/// The most stretches of the day at which a job does not run.
pub const EXCLUDES: usize = 100;

/// Which rule is broken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleViolation {
    /// Of titles.
    #[error("a title has 1 to {TITLE} characters on one line")]
    Title,
    /// Of titles that no path of an address can hold, or that name something else.
    #[error("{0:?} is no title: a path ends at . and .., and # with a number is an id")]
    Reserved(String),
    /// Of characters in titles.
    #[error("a title has no character that controls the direction of others, such as U+{0:04X}")]
    Direction(u32),
    /// Of scripts.
    #[error("the script cannot be executed: {0}")]
    Script(ScriptDefect),
    /// Of templates around scripts.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Of limits of time.
    #[error("a timeout is 1 to {LONGEST} seconds")]
    Timeout,
    /// Of retries.
    #[error("{0} retries are too many; {RETRIES} are allowed")]
    Retries(u32),
    /// Of pauses.
    #[error("{0} seconds are too long a pause; {LONGEST} are allowed")]
    Backoff(u32),
    /// Of what becomes of runs that meet.
    #[error("{0:?} is no concurrency; allowed are wait, skip, allow, replace")]
    Concurrency(String),
    /// Of what becomes of runs whose worker was lost.
    #[error("{0:?} is not what becomes of a lost run; allowed are retry, fail")]
    OnLost(String),
    /// Of intervals.
    #[error("{0:?} is no interval; write 15 minutes, 1 hour, 2 days or 1 month")]
    Interval(String),
    /// Of cron expressions.
    #[error(transparent)]
    Cron(#[from] BadCron),
    /// Of time zones.
    #[error("{0:?} is no time zone; write one like Europe/Amsterdam")]
    Zone(String),
    /// Of reasons.
    #[error("the reason is too long; {REASON} characters are allowed")]
    Reason,
    /// Of addresses.
    #[error("{0:?} is no address; write one a line, like ops@example.org")]
    Address(String),
    /// Of times of the day.
    #[error("{0:?} is no stretch of the day; write one a line, like 22:00 - 06:00 the backup runs")]
    Exclude(String),
    /// Of how many of them.
    #[error("{0} stretches of the day are too many; {EXCLUDES} are allowed")]
    Excludes(usize),
}

/// A title, without the blanks around it.
///
/// # Errors
/// What is allowed.
pub fn title(text: &str) -> Result<&str, RuleViolation> {
    let text = text.trim();
    let length = text.chars().count();
    if let Some(character) = text.chars().find(|c| controls_direction(*c)) {
        return Err(RuleViolation::Direction(character.into()));
    }
    // A path of an address has no such part, and an id is written so.
    if matches!(text, "." | "..") || text.strip_prefix('#').is_some_and(|id| reference::number(id).is_some()) {
        return Err(RuleViolation::Reserved(text.to_owned()));
    }
    let is_one = (1..=TITLE).contains(&length) && !text.chars().any(char::is_control);
    if is_one { Ok(text) } else { Err(RuleViolation::Title) }
}

/// Whether a character is there to change the direction of others, so that a text is read as what it is not.
#[must_use]
pub fn controls_direction(character: char) -> bool {
    // Unicode's property `Bidi_Control`.
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What no worker could start is refused while somebody looks. The script is the whole one, with its template.
///
/// # Errors
/// Why it cannot be started.
pub fn executable(script: &str) -> Result<(), RuleViolation> {
    Script::parse(script).map(drop).map_err(RuleViolation::Script)
}

/// What no worker could start with its template around it is refused.
///
/// # Errors
/// Why it cannot be put into the template or be started.
pub fn whole_script(template: &str, script: &str) -> Result<(), RuleViolation> {
    executable(&script::render(template, script)?)
}

/// How long a run may take, in seconds.
///
/// # Errors
/// What is allowed.
pub fn timeout(seconds: Option<u32>) -> Result<Option<u32>, RuleViolation> {
    match seconds {
        Some(seconds) if !(1..=LONGEST).contains(&seconds) => Err(RuleViolation::Timeout),
        seconds => Ok(seconds),
    }
}

/// How often a failed run is tried again.
///
/// # Errors
/// What is allowed.
pub fn retries(times: u32) -> Result<u32, RuleViolation> {
    if times > RETRIES { Err(RuleViolation::Retries(times)) } else { Ok(times) }
}

/// How long after a failure the first retry comes, in seconds.
///
/// # Errors
/// What is allowed.
pub fn backoff(seconds: u32) -> Result<u32, RuleViolation> {
    if seconds > LONGEST { Err(RuleViolation::Backoff(seconds)) } else { Ok(seconds) }
}

/// What becomes of a run that is due while another of the job is active.
///
/// # Errors
/// What is allowed.
pub fn concurrency(word: &str) -> Result<Concurrency, RuleViolation> {
    Concurrency::named(word).ok_or_else(|| RuleViolation::Concurrency(word.to_owned()))
}

/// What becomes of a run whose worker was lost.
///
/// # Errors
/// What is allowed.
pub fn on_lost(word: &str) -> Result<OnLost, RuleViolation> {
    OnLost::named(word).ok_or_else(|| RuleViolation::OnLost(word.to_owned()))
}

/// Why somebody did something.
///
/// # Errors
/// That it is too long.
pub fn reason(text: &str) -> Result<&str, RuleViolation> {
    if text.chars().count() > REASON { Err(RuleViolation::Reason) } else { Ok(text.trim()) }
}

/// `15m`, `1 hour`, `2 days`, `month`.
///
/// # Errors
/// How it is written.
pub fn interval(text: &str) -> Result<Schedule, RuleViolation> {
    let wrong = || RuleViolation::Interval(text.to_owned());
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
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

/// A cron expression in a zone.
///
/// # Errors
/// What is wrong with it.
pub fn cron(expression: &str, zone: Tz) -> Result<Schedule, RuleViolation> {
    let expression = expression.trim();
    check_cron(expression)?;
    Ok(Schedule::Cron { expression: expression.to_owned(), zone })
}

/// A time zone by its name.
///
/// # Errors
/// That there is none of it.
pub fn zone(name: &str) -> Result<Tz, RuleViolation> {
    name.trim().parse().map_err(|_| RuleViolation::Zone(name.to_owned()))
}

/// Addresses to tell of failures, one a line; blank lines go.
///
/// # Errors
/// Which line is none.
pub fn addresses(text: &str) -> Result<String, RuleViolation> {
    let lines: Vec<&str> = filled_lines(text).collect();
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

/// Times of the day at which a job does not run, one stretch a line: from, to, and why.
///
/// # Errors
/// Which line is none.
pub fn excludes(text: &str) -> Result<Vec<Exclude>, RuleViolation> {
    let count = filled_lines(text).count();
    if count > EXCLUDES {
        return Err(RuleViolation::Excludes(count));
    }
    filled_lines(text).map(|line| exclude(line).ok_or_else(|| RuleViolation::Exclude(line.to_owned()))).collect()
}

/// Excludes as they are written.
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
