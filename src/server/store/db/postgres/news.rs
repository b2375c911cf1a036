//! Changes on their way to other servers: the payload of a notification.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::run::{KillId, RunId};
use crate::server::domain::model::{JobId, WorkerId};
use crate::server::store::changes::Change;

/// Channel of the changes.
pub const CHANNEL: &str = "job_runner";
/// Channel of the messages between servers.
pub const MESSAGES: &str = "job_runner_messages";
/// Maximum length of a payload in bytes; PostgreSQL takes less than 8,000.
pub const PAYLOAD: usize = 7_900;
/// In place of changes that do not fit into a payload.
const TOO_MANY: &str = "!";

/// What another server has committed.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// All changes of a group, in their order.
    Changes(Vec<Change>),
    /// More than fit into a payload, or some that this version of the program does not know.
    TooMuch,
}

/// Returns the statement that notifies other servers of changes; nothing where there are none.
#[must_use]
pub fn notification(writer: i64, changes: &[Change]) -> String {
    if changes.is_empty() {
        return String::new();
    }
    let mut payload = writer.to_string();
    let writer = payload.len();
    for change in changes {
        let (letter, number, length) = parts(change);
        payload.push(' ');
        payload.push(letter);
        if let Some(number) = number {
            payload.push_str(&number.to_string());
        }
        if let Some(length) = length {
            payload.push('.');
            payload.push_str(&length.to_string());
        }
        if payload.len() > PAYLOAD {
            payload.truncate(writer);
            payload.push(' ');
            payload.push_str(TOO_MANY);
            break;
        }
    }
    format!("NOTIFY {CHANNEL}, '{payload}'; ")
}

/// Reads a payload: who wrote it, and what.
#[must_use]
pub fn read(payload: &str) -> (Option<i64>, News) {
    let mut words = payload.split(' ');
    let writer = words.next().and_then(|word| word.parse().ok());
    let changes: Option<Vec<_>> = words.map(change).collect();
    (writer, changes.map_or(News::TooMuch, News::Changes))
}

fn parts(change: &Change) -> (char, Option<i64>, Option<u64>) {
    match *change {
        Change::RunScheduled(run) => ('s', Some(run.get()), None),
        Change::RunWaits(run) => ('w', Some(run.get()), None),
        Change::RunEnqueued(run) => ('e', Some(run.get()), None),
        Change::RunGivenBack(run) => ('g', Some(run.get()), None),
        Change::RunStarted(run) => ('t', Some(run.get()), None),
        Change::RunReturned(run) => ('r', Some(run.get()), None),
        Change::RunLog(run, length) => ('l', Some(run.get()), Some(length)),
        Change::KillRequested(kill) => ('k', Some(kill.get()), None),
        Change::KillTaken(kill) => ('n', Some(kill.get()), None),
        Change::KillExecuted(kill) => ('x', Some(kill.get()), None),
        Change::JobChanged(job) => ('j', Some(job.get()), None),
        Change::WorkerChanged(worker) => ('o', Some(worker.get()), None),
        Change::CatalogueChanged => ('c', None, None),
        Change::FarmChanged => ('f', None, None),
    }
}

fn change(word: &str) -> Option<Change> {
    let letter = word.chars().next()?;
    let (number, length) = word[letter.len_utf8()..].split_once('.').unwrap_or((&word[letter.len_utf8()..], ""));
    let (number, length) = (number.parse::<i64>(), length.parse());
    let number = number.ok();
    let run = || number.and_then(RunId::new);
    let kill = || number.and_then(KillId::new);
    Some(match letter {
        's' => Change::RunScheduled(run()?),
        'w' => Change::RunWaits(run()?),
        'e' => Change::RunEnqueued(run()?),
        'g' => Change::RunGivenBack(run()?),
        't' => Change::RunStarted(run()?),
        'r' => Change::RunReturned(run()?),
        'l' => Change::RunLog(run()?, length.ok()?),
        'k' => Change::KillRequested(kill()?),
        'n' => Change::KillTaken(kill()?),
        'x' => Change::KillExecuted(kill()?),
        'j' => Change::JobChanged(number.and_then(JobId::new)?),
        'o' => Change::WorkerChanged(number.and_then(WorkerId::new)?),
        'c' => Change::CatalogueChanged,
        'f' => Change::FarmChanged,
        _ => return None,
    })
}

/// Puts messages of a server into a payload, as many as fit; what does not stays in `waiting`.
#[must_use]
pub fn messages(writer: i64, waiting: &mut VecDeque<String>) -> String {
    let mut payload = format!("[{writer}");
    while let Some(next) = waiting.front().map(|message| quoted(message)) {
        if payload.len() + next.len() + 2 > PAYLOAD {
            break;
        }
        payload.push(',');
        payload.push_str(&next);
        waiting.pop_front();
    }
    payload.push(']');
    payload
}

/// Returns whether a message fits into no payload.
#[must_use]
pub fn is_too_long(message: &str) -> bool {
    // A writer's number has at most 19 digits.
    quoted(message).len() + 19 + "[,]".len() > PAYLOAD
}

fn quoted(message: &str) -> String {
    serde_json::Value::from(message).to_string()
}

/// Reads the messages of a payload, and who sent them; `None` if it is none of this program.
#[must_use]
pub fn read_messages(payload: &str) -> Option<(i64, Vec<String>)> {
    let parts: Vec<serde_json::Value> = serde_json::from_str(payload).ok()?;
    let (writer, messages) = parts.split_first()?;
    let messages: Option<_> = messages.iter().map(|message| message.as_str().map(str::to_owned)).collect();
    Some((writer.as_i64()?, messages?))
}
