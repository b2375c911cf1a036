//! Kill requests: follows one from its receipt until no process of its run is left.
//!
//! A kill goes by the run's id, never by a pid: only processes that our own shim supervises are killed. Each step is on
//! disk before the next, so that a crash in between loses nothing.

use tokio::sync::{mpsc, oneshot};

use super::Context;
use super::lookup_budget::{LookupPermit, WastedLookup};
use super::message::{FindScope, IntakeMessage};
use super::run_handle::RunHandle;
use crate::report::{KillEntry, KillPhase};
use crate::run::claim::RunSight;
use crate::run::{Cause, Event, KillId, RunId, chain_of};
use crate::upstream::job_runner::RestClient;
use crate::upstream::{Backoff, CallFailure};

/// Number of failed lookups after which an announced request is dropped; the server announces it again.
const MAX_LOOKUPS: u32 = 8;

/// Meaning of a kill request for this worker.
enum Request {
    /// The run is under way here.
    Ours(RunId, RunHandle),
    /// The run is ours and has ended.
    Over(RunId),
    /// The request is for another worker or already done; holds the reason for the log.
    NotOurs(&'static str),
}

/// Follows a kill request to its end. `resumed` means that the outbox held it, so an acknowledgement that the server
/// has may be ours.
pub(super) async fn follow(
    context: &Context,
    inbox: &mpsc::WeakSender<IntakeMessage>,
    mut entry: KillEntry,
    resumed: bool,
    permit: Option<LookupPermit>,
) {
    let (kill, outbox) = (entry.kill, context.reporter.outbox());
    // Only a Job-Runner server has kill requests.
    let Some(client) = context.upstream.job_runner() else { return outbox.forget_kill(kill).await };
    if !resumed {
        // Recorded without insisting: a full disk must not protect the job that fills it.
        outbox.try_kill(entry).await;
    }
    // With a run, the last process had already found out that the request is ours.
    let request = if let Some(run) = entry.run {
        find(inbox, run, FindScope::UnderWay).await.map_or(Request::Over(run), |handle| Request::Ours(run, handle))
    } else {
        match look_up(context, client, inbox, kill, resumed).await {
            Some(request) => {
                if let (Request::NotOurs(_), Some(permit)) = (&request, permit) {
                    permit.charge(WastedLookup::NotStartable);
                }
                request
            }
            None => {
                if let Some(permit) = permit {
                    permit.charge(WastedLookup::Unknown);
                }
                return outbox.forget_kill(kill).await;
            }
        }
    };
    match request {
        Request::NotOurs(reason) => {
            if let Some(suppressed) = context.unfollowed_line() {
                tracing::info!(
                    target: "job_runner_worker.enqueuer",
                    %kill,
                    reason,
                    suppressed,
                    "kill request is not followed"
                );
            }
        }
        Request::Over(run) => {
            tracing::info!(target: "job_runner_worker.worker", %kill, %run, "run to be killed has already ended");
            entry.run = Some(run);
            // While the result waits to be delivered, the record still names the processes that the script left
            // running.
            tokio::join!(acknowledge(context, client, &mut entry), context.execution.end_leftovers(run));
            report_executed(context, client, &mut entry).await;
        }
        Request::Ours(run, handle) => {
            tracing::warn!(target: "job_runner_worker.worker", %kill, %run, "run is killed");
            entry.run = Some(run);
            handle.stop(Cause::Killed);
            // The script may be ending by itself at this moment, so its leftovers are ended as well.
            tokio::join!(acknowledge(context, client, &mut entry), context.execution.end_leftovers(run));
            handle.over.cancelled().await;
            report_executed(context, client, &mut entry).await;
        }
    }
    outbox.forget_kill(kill).await;
}

/// Reads the request and its run from the server. `None` if the server does not know the request or does not answer for
/// long.
async fn look_up(
    context: &Context,
    client: &RestClient,
    inbox: &mpsc::WeakSender<IntakeMessage>,
    kill: KillId,
    resumed: bool,
) -> Option<Request> {
    let mut backoff = Backoff::default();
    loop {
        match try_look_up(context, client, inbox, kill, resumed).await {
            Ok(request) => return Some(request),
            Err(failure) if failure.is_passing() && (resumed || backoff.tries() < MAX_LOOKUPS) => {
                tokio::time::sleep(backoff.next(failure.retry_after())).await;
            }
            Err(failure) => {
                if let Some(suppressed) = context.unfollowed_line() {
                    tracing::warn!(
                        target: "job_runner_worker.enqueuer",
                        %kill,
                        error = %chain_of(&failure),
                        suppressed,
                        "kill request cannot be read"
                    );
                }
                return None;
            }
        }
    }
}

async fn try_look_up(
    context: &Context,
    client: &RestClient,
    inbox: &mpsc::WeakSender<IntakeMessage>,
    kill: KillId,
    resumed: bool,
) -> Result<Request, CallFailure> {
    let request = client.kill_request(kill).await?;
    if request.executed || (request.taken && !resumed) {
        return Ok(Request::NotOurs("it has been taken already"));
    }
    let Some(run) = request.run else {
        // The order of the lookups matters: a run that is under way here needs no further call.
        return Ok(Request::NotOurs("it names no run"));
    };
    if let Some(handle) = find(inbox, run, FindScope::Claimed).await {
        return Ok(Request::Ours(run, handle));
    }
    let found = client.look(run).await?;
    // The server says that the run is ours, so it is under way here even if it was only just taken up.
    if found.seen == RunSight::Ours
        && let Some(handle) = find(inbox, run, FindScope::UnderWay).await
    {
        return Ok(Request::Ours(run, handle));
    }
    Ok(match found.seen {
        RunSight::Returned if found.mine => Request::Over(run),
        _ if found.mine && context.reporter.serves(run) => Request::Over(run),
        RunSight::Returned | RunSight::Theirs | RunSight::NotForUs | RunSight::Gone => {
            Request::NotOurs("its run is another worker's")
        }
        RunSight::Free | RunSight::Ours => Request::NotOurs("its run is not executed here"),
    })
}

async fn find(inbox: &mpsc::WeakSender<IntakeMessage>, run: RunId, scope: FindScope) -> Option<RunHandle> {
    let (answer, found) = oneshot::channel();
    inbox.upgrade()?.send(IntakeMessage::Find(run, scope, answer)).await.ok()?;
    found.await.ok().flatten()
}

async fn acknowledge(context: &Context, client: &RestClient, entry: &mut KillEntry) {
    match entry.phase {
        KillPhase::Dead => return,
        // The last process recorded the acknowledgement and may have died before it was sent. The server announces the
        // kill until it arrives.
        KillPhase::Taken if client.kill_request(entry.kill).await.is_ok_and(|request| request.taken) => return,
        KillPhase::Taken => {}
        KillPhase::Received => {
            entry.phase = KillPhase::Taken;
            context.reporter.outbox().try_kill(*entry).await;
            crash_point!(KillTaken);
        }
    }
    if report_phase(client, entry).await {
        context.reporter.event(Event::KillEnqueued(entry.kill));
    }
}

async fn report_executed(context: &Context, client: &RestClient, entry: &mut KillEntry) {
    entry.phase = KillPhase::Dead;
    context.reporter.outbox().try_kill(*entry).await;
    crash_point!(KillDone);
    if report_phase(client, entry).await {
        context.reporter.event(Event::KillExecuted(entry.kill));
    }
}

/// Reports the phase of the kill to the server, retrying as long as it takes. Returns whether the server accepted it.
async fn report_phase(client: &RestClient, entry: &KillEntry) -> bool {
    let kill = entry.kill;
    let mut backoff = Backoff::default();
    loop {
        let reported = match entry.phase {
            KillPhase::Received | KillPhase::Taken => client.tell_kill_taken(kill).await,
            KillPhase::Dead => client.tell_kill_executed(kill).await,
        };
        match reported {
            Ok(()) => return true,
            Err(failure) if failure.is_passing() => {
                tokio::time::sleep(backoff.next(failure.retry_after())).await;
            }
            // Unless our own key is refused, or a proxy answers in place of an absent API.
            Err(CallFailure::Unauthorised(_) | CallFailure::NotFound) if client.credentials().await.is_err() => {
                tokio::time::sleep(Backoff::LAST).await;
            }
            Err(failure) => {
                tracing::error!(
                    target: "job_runner_worker.models",
                    %kill,
                    run = entry.run.map(RunId::get),
                    error = %chain_of(&failure),
                    "report about a kill request was rejected"
                );
                return false;
            }
        }
    }
}
