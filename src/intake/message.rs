//! Messages to the coordinator: from the sources, the tasks of runs and kills, the status reporter and the daemon.

use tokio::sync::oneshot;

use super::run_handle::RunHandle;
use super::slots::Slot;
use super::task::TaskEnd;
use super::{IntakeStatus, Settings, SleepState};
use crate::report::{KillEntry, OutboxEntry};
use crate::run::{Cause, KillId, Order, RunId, WorkerRequest};
use crate::upstream::job_runner::OpenWork;

/// Message to the coordinator, from the handle and from the tasks of runs and kills.
#[derive(Debug)]
pub(super) enum IntakeMessage {
    Order(Order),
    /// Takes up a run that the last process left: claimed or about to be, perhaps executed, perhaps ended.
    TakeUp(Box<OutboxEntry>),
    /// Follows a kill request that the last process had recorded.
    ResumeKill(KillEntry),
    RunEnded(RunId, TaskEnd),
    /// The pause after a failed lookup or claim is over.
    RetryDue(RunId),
    KillEnded(KillId),
    /// Looks for a run that is under way.
    Find(RunId, FindScope, oneshot::Sender<Option<RunHandle>>),
    IsKnown(RunId, oneshot::Sender<bool>),
    /// The server's list of due runs and kills.
    OpenWork(OpenWork),
    /// A run of the last process cannot be taken up yet.
    SetAside(RunId),
    /// A run that was set aside is taken up or gone by now.
    Release(RunId),
    Settings(Settings),
    Drain,
    StopAll(Cause),
    Stop(RunId, Cause),
    /// Reserves a slot for a run that a source is about to be given.
    Reserve(oneshot::Sender<Slot>),
    /// Begins a run that is this worker's, in a reserved slot.
    Begin(Box<OutboxEntry>, Slot),
    /// All runs of the last process are accounted for.
    LeftoversAccounted,
    /// Command of the server in the answer to a status report.
    Commanded(WorkerRequest),
    /// An operator wants the worker to sleep or wake; answered with `false` if the worker is about to leave.
    SleepOrWake(SleepState, oneshot::Sender<bool>),
    /// The worker has left, as far as runs are concerned: only the last status report remains.
    HasLeft,
    Status(oneshot::Sender<IntakeStatus>),
}

/// Runs among which one is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FindScope {
    /// Runs that are known to be claimed by this worker.
    Claimed,
    /// Every run under way, for a kill of which the server says that it is for this worker.
    UnderWay,
}
