//! State machine that watches an execution from its launch to its end: which fact is written, which request goes to the
//! shim, and when the slot is free. Pure; [`super::watching`] carries the effects out.

use super::broken_execution::BrokenExecution;
use super::loss::Loss;
use crate::execution::Progress;
use crate::report::{CourierRequest, Start, StoredEnd};
use crate::run::{Cause, Left, Outcome};

#[cfg(test)]
mod tests;

/// Phase of a watched execution.
#[derive(Clone, Debug, PartialEq, Eq)]
enum WatchPhase {
    /// The shim is connected, and its progress is read.
    Watching,
    /// The start is being written to disk; holds the progress that arrived meanwhile, after which no more is read.
    WritingStart(Option<Progress>),
    /// The connection to the shim is gone, and its record is read.
    ReadingRecord(Disconnect),
    /// The execution is over, or somebody else goes on with it.
    Over,
}

/// Reason why the connection to the shim ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Disconnect {
    /// The shim did not start the script.
    Refused { why: String, shortage: bool },
    /// The shim is gone.
    ShimDied,
}

/// Request to stop the script, over the present connection to the shim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StopRequest {
    Unsent,
    Sent,
}

/// Result of reading the record of an execution whose shim is not connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RecordedFate {
    /// The script is running, and its shim is connected again.
    Reconnected,
    /// The script has ended.
    Ended(StoredEnd),
    /// The shim died, and none of the script's processes is left.
    Lost,
    /// The script was not started and will not be.
    NeverBegan,
    /// Processes of the lost execution are left, and the worker leaves: the next start goes on.
    LeftBehind,
}

/// Input of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WatchInput {
    Progress(Progress),
    /// The start is on disk.
    StartWritten,
    /// The run is to be stopped.
    Stop(Cause),
    /// The courier has a request.
    Courier(CourierRequest),
    /// The record was read, after [`WatchEffect::ReadRecord`].
    Record(RecordedFate),
}

/// Action of the caller, to be taken in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WatchEffect {
    /// Act on the script or the slot, which is possible also while the start is being written.
    Script(ScriptEffect),
    /// Write the start to disk; further inputs are served meanwhile.
    WriteStart(Start),
    /// Pass on the bytes of output so far.
    ReportOutput(u64),
    /// Find out what became of the execution, from its record.
    ReadRecord,
    /// Write the end to disk, which ends the watch.
    ReportEnd(StoredEnd),
    /// End the watch without an end of the run.
    GiveUp(BrokenExecution),
    /// End the watch; the next start of the worker goes on.
    LeaveToNextStart,
}

/// Action that concerns the script and its slot, and not the report of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ScriptEffect {
    /// Send the shim a request to stop the script.
    Stop(Cause),
    /// Ask the shim to tell when there is more output than these bytes.
    WatchOutput(u64),
    /// Log that these processes cannot be killed.
    LogUnkillable(Vec<i32>),
    /// Count the run among those that wait to be delivered, although its end cannot be written yet.
    CountEnd,
    /// Free the slot: no process of the run is left.
    FreeSlot,
    /// End the processes that the script left running.
    EndLeftovers,
}

/// Watch over one execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ExecutionWatch {
    phase: WatchPhase,
    stop: StopRequest,
    /// Bytes of output beyond which the shim is to tell.
    watched_output: Option<u64>,
}

impl ExecutionWatch {
    pub(super) fn new() -> Self {
        Self { phase: WatchPhase::Watching, stop: StopRequest::Unsent, watched_output: None }
    }

    /// Returns whether progress of the shim is to be read now.
    pub(super) fn reads_progress(&self) -> bool {
        matches!(self.phase, WatchPhase::Watching | WatchPhase::WritingStart(None))
    }

    /// Returns whether the shim has been asked to stop the script.
    pub(super) fn has_sent_stop(&self) -> bool {
        self.stop == StopRequest::Sent
    }

    /// Applies an input and returns the actions to take for it. `stopped` is the cause of a stop, also of one that was
    /// not passed as an input yet.
    pub(super) fn step(&mut self, input: WatchInput, stopped: Option<Cause>) -> Vec<WatchEffect> {
        use {WatchInput as I, WatchPhase as P};
        match (std::mem::replace(&mut self.phase, P::Over), input) {
            (P::Watching, I::Progress(progress)) => self.progress(progress, stopped),
            (P::WritingStart(None), I::Progress(progress)) => self.hold(progress),
            (P::WritingStart(held), I::StartWritten) => {
                self.phase = P::Watching;
                held.map(|progress| self.progress(progress, stopped)).unwrap_or_default()
            }
            (phase @ (P::Watching | P::WritingStart(_)), I::Stop(cause)) => {
                self.phase = phase;
                self.stop(cause)
            }
            (phase @ (P::Watching | P::WritingStart(_)), I::Courier(request)) => {
                self.phase = phase;
                self.courier(request)
            }
            (P::ReadingRecord(disconnect), I::Record(fate)) => self.record(disconnect, fate, stopped),
            (phase @ P::Watching, I::StartWritten | I::Record(_))
            | (phase @ P::WritingStart(_), I::Record(_))
            | (phase @ P::WritingStart(Some(_)), I::Progress(_))
            | (phase @ P::ReadingRecord(_), I::Progress(_) | I::StartWritten | I::Stop(_) | I::Courier(_))
            | (phase @ P::Over, I::Progress(_) | I::StartWritten | I::Stop(_) | I::Courier(_) | I::Record(_)) => {
                self.phase = phase;
                Vec::new()
            }
        }
    }

    fn progress(&mut self, progress: Progress, stopped: Option<Cause>) -> Vec<WatchEffect> {
        let (phase, effects) = match progress {
            Progress::Spawned { pid, at } => {
                (WatchPhase::WritingStart(None), vec![WatchEffect::WriteStart(Start { pid, at })])
            }
            Progress::Output(total) => (WatchPhase::Watching, vec![WatchEffect::ReportOutput(total)]),
            Progress::Stuck(pids) => {
                (WatchPhase::Watching, vec![WatchEffect::Script(ScriptEffect::LogUnkillable(pids))])
            }
            Progress::Ended(end) => (WatchPhase::Over, self.end(end, stopped)),
            // The shim may be gone while its record tells more than the connection did.
            Progress::Refused { why, shortage } => {
                (WatchPhase::ReadingRecord(Disconnect::Refused { why, shortage }), vec![WatchEffect::ReadRecord])
            }
            Progress::ShimDied => (WatchPhase::ReadingRecord(Disconnect::ShimDied), vec![WatchEffect::ReadRecord]),
        };
        self.phase = phase;
        effects
    }

    /// Holds progress back until the start is on disk, so that the facts are written in their order.
    fn hold(&mut self, progress: Progress) -> Vec<WatchEffect> {
        // The end is counted before the slot is freed, so that the next run that takes the slot counts one more result
        // in the backlog.
        let effects = match progress {
            Progress::Ended(_) => {
                vec![WatchEffect::Script(ScriptEffect::CountEnd), WatchEffect::Script(ScriptEffect::FreeSlot)]
            }
            Progress::Spawned { .. }
            | Progress::Output(_)
            | Progress::Stuck(_)
            | Progress::Refused { .. }
            | Progress::ShimDied => Vec::new(),
        };
        self.phase = WatchPhase::WritingStart(Some(progress));
        effects
    }

    fn stop(&mut self, cause: Cause) -> Vec<WatchEffect> {
        match std::mem::replace(&mut self.stop, StopRequest::Sent) {
            StopRequest::Unsent => vec![WatchEffect::Script(ScriptEffect::Stop(cause))],
            StopRequest::Sent => Vec::new(),
        }
    }

    fn courier(&mut self, request: CourierRequest) -> Vec<WatchEffect> {
        match request {
            CourierRequest::Watch(beyond) => {
                self.watched_output = Some(beyond);
                vec![WatchEffect::Script(ScriptEffect::WatchOutput(beyond))]
            }
            CourierRequest::Stop => vec![WatchEffect::Script(ScriptEffect::Stop(Cause::NotOurs))],
        }
    }

    fn record(&mut self, disconnect: Disconnect, fate: RecordedFate, stopped: Option<Cause>) -> Vec<WatchEffect> {
        match (disconnect, fate) {
            (Disconnect::Refused { .. } | Disconnect::ShimDied, RecordedFate::Reconnected) => {
                self.phase = WatchPhase::Watching;
                // The new connection knows nothing of earlier requests. A stop that is still wanted comes as an input.
                self.stop = StopRequest::Unsent;
                self.watched_output
                    .map(|beyond| WatchEffect::Script(ScriptEffect::WatchOutput(beyond)))
                    .into_iter()
                    .collect()
            }
            (Disconnect::Refused { .. } | Disconnect::ShimDied, RecordedFate::Ended(end)) => self.end(end, stopped),
            (Disconnect::Refused { .. } | Disconnect::ShimDied, RecordedFate::Lost) => {
                vec![WatchEffect::GiveUp(BrokenExecution::Lost(Loss::ShimDied))]
            }
            (Disconnect::Refused { .. } | Disconnect::ShimDied, RecordedFate::LeftBehind) => {
                vec![WatchEffect::LeaveToNextStart]
            }
            (Disconnect::ShimDied, RecordedFate::NeverBegan) => {
                vec![WatchEffect::GiveUp(BrokenExecution::Lost(Loss::NeverBegan))]
            }
            (Disconnect::Refused { why, shortage: true }, RecordedFate::NeverBegan) => {
                vec![WatchEffect::GiveUp(BrokenExecution::Short(why))]
            }
            (Disconnect::Refused { why, shortage: false }, RecordedFate::NeverBegan) => {
                let outcome = Outcome::Unstartable(format!("It was refused: {why}."));
                vec![WatchEffect::Script(ScriptEffect::FreeSlot), WatchEffect::ReportEnd(StoredEnd::now(outcome))]
            }
        }
    }

    fn end(&self, end: StoredEnd, stopped: Option<Cause>) -> Vec<WatchEffect> {
        let left_processes = matches!(end.outcome, Outcome::Ran { left: Left::Kept, .. });
        if left_processes && (self.has_sent_stop() || stopped.is_some()) {
            // The script ended by itself as the stop came: what it left behind is ended all the same.
            return vec![
                WatchEffect::Script(ScriptEffect::FreeSlot),
                WatchEffect::Script(ScriptEffect::EndLeftovers),
                WatchEffect::ReportEnd(end),
            ];
        }
        vec![WatchEffect::Script(ScriptEffect::FreeSlot), WatchEffect::ReportEnd(end)]
    }
}
