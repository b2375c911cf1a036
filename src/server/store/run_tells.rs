//! Tells: applies all that a worker knows of a run – its start, text of its log, its result – in one transaction.
//!
//! Each part is decided as the call would be that says it alone, in this order. The first part that is refused ends the
//! tell; those before it are kept.

use super::db::Transaction;
use super::log_chunks::{self, Extent};
use super::log_reading::read_piece;
use super::rest_lists::{Scope, sees};
use super::run_changes::{ask_for_facts, carry_out, decide, publish, with_stored_precision};
use super::runs::{ask_for_run, find};
use super::{Store, StoreError};
use crate::run::RunId;
use crate::server::domain::life::{self, Actor, LifeRefusal, Patch, Step};
use crate::server::domain::model::{LogId, Run, Timestamp};
use crate::server::domain::resource::Resource;
use crate::server::store::changes::Change;
use crate::wire::uplink::TellPart;

#[cfg(test)]
mod tests;

/// All that a worker says of a run at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunTell {
    /// Change that reports the start; empty where it is not told.
    pub start: Patch,
    /// Text of the log; `None` where none is told.
    pub log: Option<ToldLog>,
    /// Change that reports the result; empty where it is not told.
    pub result: Patch,
}

/// Text of a log, with its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToldLog {
    /// Byte of the log at which the text begins.
    pub from: u64,
    /// Text from there on.
    pub text: String,
    /// Most bytes that the log may have afterwards.
    pub most: u64,
}

/// Outcome of a tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TellOutcome {
    /// All parts are taken; with the log, where text of it was told.
    Taken(Option<LogId>),
    /// This part is refused, and those before it are taken.
    Refused(TellPart, TellRefusal),
    /// The sender may not see the run.
    Hidden,
    /// There is no such run.
    Unknown,
}

/// Reason why a part of a tell is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TellRefusal {
    /// The rules of the run's life forbid it.
    Life(LifeRefusal),
    /// The log ends before the text begins, or has another text there.
    OtherLog,
    /// The log would exceed its longest allowed length.
    TooLong,
}

impl Store {
    /// Applies a tell of a run. Told again, it changes nothing and is accepted.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn tell_run(
        &self,
        run: RunId,
        tell: RunTell,
        who: Actor,
        scope: Scope,
        now: Timestamp,
    ) -> Result<TellOutcome, StoreError> {
        let start = with_stored_precision(&tell.start);
        let result = with_stored_precision(&tell.result);
        self.change(move |transaction| {
            if tell.log.is_some() {
                log_chunks::ask_for_log(transaction, run);
            }
            ask_for_facts(transaction, run, &result, who, now);
            ask_for_run(transaction, run);
            match sees(transaction, Resource::Run, run.get(), scope)? {
                Some(true) => {}
                Some(false) => return Ok(TellOutcome::Hidden),
                None => return Ok(TellOutcome::Unknown),
            }
            let Some(before) = find(transaction, run)? else { return Ok(TellOutcome::Unknown) };
            let mut told = Told { transaction, who, now, step: Step { run: before.clone(), events: Vec::new() } };
            let taken = told.take(&start, tell.log.as_ref(), &result)?;
            let Told { transaction, step, .. } = told;
            carry_out(transaction, &before, &step, who, now)?;
            Ok(taken.map_or_else(|(part, refusal)| TellOutcome::Refused(part, refusal), TellOutcome::Taken))
        })
        .await
    }
}

/// Parts of a tell that are taken. The run is written once, after the last of them.
struct Told<'a, 't> {
    transaction: &'a mut Transaction<'t>,
    who: Actor,
    now: Timestamp,
    step: Step,
}

impl Told<'_, '_> {
    /// Takes the parts in their order, up to the first that is refused.
    fn take(
        &mut self,
        start: &Patch,
        log: Option<&ToldLog>,
        result: &Patch,
    ) -> Result<Result<Option<LogId>, (TellPart, TellRefusal)>, StoreError> {
        if let Err(refusal) = self.decide(start)? {
            return Ok(Err((TellPart::Start, TellRefusal::Life(refusal))));
        }
        let log = match log {
            None => None,
            Some(told) => match write_log(self.transaction, &self.step.run, told, self.who)? {
                Ok(log) => Some(log),
                Err(refusal) => return Ok(Err((TellPart::Log, refusal))),
            },
        };
        Ok(match self.decide(result)? {
            Ok(()) => Ok(log),
            Err(refusal) => Err((TellPart::Result, TellRefusal::Life(refusal))),
        })
    }

    /// Adds a change of the run to the step, if it is allowed.
    fn decide(&mut self, patch: &Patch) -> Result<Result<(), LifeRefusal>, StoreError> {
        if *patch == Patch::default() {
            return Ok(Ok(()));
        }
        let decided = decide(self.transaction, &self.step.run, patch, self.who, self.now)?;
        Ok(decided.map(|step| {
            publish(self.transaction, &step);
            self.step.run = step.run;
            self.step.events.extend(step.events);
        }))
    }
}

/// Writes the part of a text that the log does not have yet. What it has from there on must be the same.
fn write_log(
    transaction: &mut Transaction<'_>,
    run: &Run,
    told: &ToldLog,
    who: Actor,
) -> Result<Result<LogId, TellRefusal>, StoreError> {
    let allowed = life::may_log(run, who);
    let before = log_chunks::of_run(transaction, run.id)?;
    let Some(rest) = unknown_rest(transaction, before.as_ref(), told)? else {
        return Ok(Err(allowed.err().map_or(TellRefusal::OtherLog, TellRefusal::Life)));
    };
    match (before, allowed) {
        // Text that is told again is accepted even after the run is over: the worker may have received no answer.
        (Some(log), allowed) if rest.is_empty() && allowed != Err(LifeRefusal::Theirs) => Ok(Ok(log.log)),
        (_, Err(refusal)) => Ok(Err(TellRefusal::Life(refusal))),
        (_, Ok(())) if told.from + told.text.len() as u64 > told.most => Ok(Err(TellRefusal::TooLong)),
        (before, Ok(())) => {
            let log = match before {
                None => log_chunks::begin(transaction, run.id, Some(rest))?,
                Some(mut log) => {
                    log_chunks::append(transaction, &mut log, rest.as_bytes())?;
                    log
                }
            };
            transaction.publish_on_commit([Change::RunLog(run.id, log.len())]);
            Ok(Ok(log.log))
        }
    }
}

/// Returns the rest of a told text that goes beyond the log; `None` where the log ends before the text begins, or says
/// something else from there on.
fn unknown_rest<'a>(
    transaction: &Transaction<'_>,
    log: Option<&Extent>,
    told: &'a ToldLog,
) -> Result<Option<&'a str>, StoreError> {
    let length = log.map_or(0, Extent::len);
    if told.from > length {
        return Ok(None);
    }
    let mut same = 0;
    while let Some(log) = log
        && same < told.text.len()
        && told.from + (same as u64) < length
    {
        let Some(piece) = read_piece(transaction, log, told.from + same as u64)? else { break };
        let told = &told.text.as_bytes()[same..];
        let here = piece.len().min(told.len());
        if piece[..here] != told[..here] {
            return Ok(None);
        }
        same += here;
    }
    // The log has whole characters only, so one that both have does not end within one.
    Ok(told.text.get(same..))
}
