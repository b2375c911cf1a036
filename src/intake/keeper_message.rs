//! Messages to the keeper: of sources, of the tasks of runs and kills, of the status reporter and of the daemon.

use tokio::sync::oneshot;

use super::run_handle::RunHandle;
use super::task::{Begin, Over};
use super::{IntakeStatus, Settings, SleepState};
use crate::report::KillEntry;
use crate::rest::OpenWork;
use crate::run::{Cause, KillId, Order, RunId, WorkerRequest};

/// Message to the keeper, from the handle and from the tasks of runs and kills.
#[derive(Debug)]
pub(super) enum KeeperMessage {
    Order(Order),
    Begin(RunId, Box<Begin>),
    Kill(KillEntry),
    Over(RunId, Over),
    /// A run whose lookup failed may be looked up again.
    Rested(RunId),
    KillOver(KillId),
    /// Looks for a run that is under way; with `true`, also one that is not yet known to be ours, for a kill that was
    /// taken earlier.
    Find(RunId, bool, oneshot::Sender<Option<RunHandle>>),
    Knows(RunId, oneshot::Sender<bool>),
    /// The server's list of due runs and kills.
    Waits(OpenWork),
    /// A run of the last process cannot be taken up yet (`true`), or is taken up or gone by now (`false`).
    SetAside(RunId, bool),
    Settings(Settings),
    Drain,
    StopAll(Cause),
    /// All runs of the last process are accounted for.
    Begun,
    /// Request of the server in the answer to a status report.
    Asked(WorkerRequest),
    /// A local user wants the worker to sleep or wake; answered with `false` if the worker is about to leave.
    Wants(SleepState, oneshot::Sender<bool>),
    /// The worker has left, as far as runs are concerned: only the last status report remains.
    Left,
    Status(oneshot::Sender<IntakeStatus>),
}
