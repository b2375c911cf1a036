//! A kill request, from its receipt to "nothing is left alive".
//!
//! By run id, never by a pid: what is killed is what our own shim supervises. Each step is on disk before
//! the next, so that a crash in between loses nothing.

use tokio::sync::{mpsc, oneshot};

use super::Context;
use super::keeper::{Handle, Message};
use super::lookups::{LookupGuard, Vain};
use crate::report::{KillEntry, KillPhase};
use crate::rest::{Backoff, CallFailure};
use crate::run::claim::RunSight;
use crate::run::{Cause, Event, KillId, RunId};

/// How often a request is looked up in vain before it is left to be announced again.
const LOOKS: u32 = 8;

/// What a request turns out to be.
enum Request {
    /// Of a run that is under way here.
    Ours(RunId, Handle),
    /// Of a run of ours that is over.
    Over(RunId),
    /// Somebody else's business, or done.
    NotOurs(&'static str),
}

/// Follows a request. `resumed`: from the store, so an acknowledgement the server has may be our own.
pub(super) async fn follow(
    context: &Context,
    inbox: &mpsc::WeakSender<Message>,
    mut entry: KillEntry,
    resumed: bool,
    look: Option<LookupGuard>,
) {
    let (kill, outbox) = (entry.kill, context.reporter.outbox());
    if !resumed {
        // A full disk must not keep the job from being killed that fills it.
        outbox.try_kill(entry).await;
    }
    let request = if let Some(run) = entry.run {
        find(inbox, run, true).await.map_or(Request::Over(run), |handle| Request::Ours(run, handle))
    } else {
        match look_up(context, inbox, kill, resumed).await {
            Some(request) => {
                if let (Request::NotOurs(_), Some(look)) = (&request, look) {
                    look.vain(Vain::Done);
                }
                request
            }
            None => {
                if let Some(look) = look {
                    look.vain(Vain::Unknown);
                }
                return outbox.forget_kill(kill).await;
            }
        }
    };
    match request {
        Request::NotOurs(why) => {
            if let Some(more) = context.may_say() {
                tracing::info!(target: "job_runner_worker.enqueuer", "kill request {kill} is not followed: {why}{more}");
            }
        }
        Request::Over(run) => {
            tracing::info!(target: "job_runner_worker.worker", "kill request {kill}: run {run} has already ended");
            entry.run = Some(run);
            // While its result waits to be told, its record says what it left running.
            tokio::join!(acknowledge(context, &mut entry), context.execution.end_leftovers(run));
            executed(context, &mut entry).await;
        }
        Request::Ours(run, handle) => {
            tracing::warn!(target: "job_runner_worker.worker", "kill request {kill}: run {run} is being killed");
            entry.run = Some(run);
            handle.stop(Cause::Killed);
            // Its end may be on its way already, and what it left running with it.
            tokio::join!(acknowledge(context, &mut entry), context.execution.end_leftovers(run));
            handle.over.cancelled().await;
            executed(context, &mut entry).await;
        }
    }
    outbox.forget_kill(kill).await;
}

/// Reads the request and its run. `None` when the server does not answer for long, or does not know it.
async fn look_up(context: &Context, inbox: &mpsc::WeakSender<Message>, kill: KillId, resumed: bool) -> Option<Request> {
    let mut backoff = Backoff::default();
    loop {
        match try_look_up(context, inbox, kill, resumed).await {
            Ok(request) => return Some(request),
            Err(failure) if failure.is_passing() && (resumed || backoff.tries() < LOOKS) => {
                tokio::time::sleep(backoff.next(failure.retry_after())).await;
            }
            Err(failure) => {
                if let Some(more) = context.may_say() {
                    tracing::warn!(
                        target: "job_runner_worker.enqueuer",
                        "kill request {kill} could not be read: {failure}{more}"
                    );
                }
                return None;
            }
        }
    }
}

async fn try_look_up(
    context: &Context,
    inbox: &mpsc::WeakSender<Message>,
    kill: KillId,
    resumed: bool,
) -> Result<Request, CallFailure> {
    let request = context.client.kill_request(kill).await?;
    if request.executed || (request.taken && !resumed) {
        return Ok(Request::NotOurs("it has been taken already"));
    }
    let Some(run) = request.run else {
        return Ok(Request::NotOurs("it names no run"));
    };
    if let Some(handle) = find(inbox, run, false).await {
        return Ok(Request::Ours(run, handle));
    }
    let found = context.client.look(run).await?;
    // Ours by the server's word: under way here all the same, if only just taken up.
    if found.seen == RunSight::Ours
        && let Some(handle) = find(inbox, run, true).await
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

async fn find(inbox: &mpsc::WeakSender<Message>, run: RunId, maybe: bool) -> Option<Handle> {
    let (answer, found) = oneshot::channel();
    inbox.upgrade()?.send(Message::Find(run, maybe, answer)).await.ok()?;
    found.await.ok().flatten()
}

async fn acknowledge(context: &Context, entry: &mut KillEntry) {
    match entry.phase {
        KillPhase::Dead => return,
        // The last process wrote it down, and may not have come to say it. The server announces the kill until it
        // is said.
        KillPhase::Taken if context.client.kill_request(entry.kill).await.is_ok_and(|request| request.taken) => return,
        KillPhase::Taken => {}
        KillPhase::Received => {
            entry.phase = KillPhase::Taken;
            context.reporter.outbox().try_kill(*entry).await;
            crash_point!(KillTaken);
        }
    }
    if tell(context, entry).await {
        context.reporter.event(Event::KillEnqueued(entry.kill));
    }
}

async fn executed(context: &Context, entry: &mut KillEntry) {
    entry.phase = KillPhase::Dead;
    context.reporter.outbox().try_kill(*entry).await;
    crash_point!(KillDone);
    if tell(context, entry).await {
        context.reporter.event(Event::KillExecuted(entry.kill));
    }
}

/// Tells the server where the kill stands, for as long as it takes. Whether it took it.
async fn tell(context: &Context, entry: &KillEntry) -> bool {
    let kill = entry.kill;
    let mut backoff = Backoff::default();
    loop {
        let told = match entry.phase {
            KillPhase::Received | KillPhase::Taken => context.client.tell_kill_taken(kill).await,
            KillPhase::Dead => context.client.tell_kill_executed(kill).await,
        };
        match told {
            Ok(()) => return true,
            Err(failure) if failure.is_passing() => {
                tokio::time::sleep(backoff.next(failure.retry_after())).await;
            }
            // Unless we are refused ourselves, or the API is away behind what answers in its place.
            Err(CallFailure::Unauthorised(_) | CallFailure::NotFound)
                if context.client.credentials().await.is_err() =>
            {
                tokio::time::sleep(Backoff::LAST).await;
            }
            Err(failure) => {
                tracing::error!(
                    target: "job_runner_worker.models",
                    "kill request {kill}: the server does not take what is said of it: {failure}"
                );
                return false;
            }
        }
    }
}
