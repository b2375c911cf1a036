//! A kill request, from its receipt to "nothing is left alive".
//!
//! By run id, never by a pid: what is killed is what our own shim supervises. Each step is on disk before
//! the next, so that a crash in between loses nothing.

use tokio::sync::{mpsc, oneshot};

use super::Context;
use super::keeper::{Handle, Message};
use crate::report::{KillEntry, KillPhase};
use crate::rest::{Backoff, Failure};
use crate::run::claim::Seen;
use crate::run::{Cause, Event, KillId, RunId};
use crate::wire::resources::{KillPatch, run_id_of};
use crate::wire::time;

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
pub(super) async fn follow(context: &Context, inbox: &mpsc::WeakSender<Message>, mut entry: KillEntry, resumed: bool) {
    let (kill, outbox) = (entry.kill, context.reporter.outbox());
    if !resumed {
        outbox.kill(entry).await;
    }
    let request = if let Some(run) = entry.run {
        find(inbox, run).await.map_or(Request::Over(run), |handle| Request::Ours(run, handle))
    } else {
        match look_up(context, inbox, kill, resumed).await {
            Some(request) => request,
            None => return outbox.forget_kill(kill).await,
        }
    };
    match request {
        Request::NotOurs(why) => {
            tracing::info!(target: "job_runner_worker.enqueuer", "kill request {kill} is not followed: {why}");
        }
        Request::Over(run) => {
            tracing::info!(target: "job_runner_worker.worker", "kill request {kill}: run {run} has already ended");
            entry.run = Some(run);
            acknowledge(context, &mut entry).await;
            executed(context, &mut entry).await;
        }
        Request::Ours(run, handle) => {
            tracing::warn!(target: "job_runner_worker.worker", "kill request {kill}: run {run} is being killed");
            entry.run = Some(run);
            handle.stop(Cause::Killed);
            acknowledge(context, &mut entry).await;
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
                tracing::warn!(target: "job_runner_worker.enqueuer", "kill request {kill} could not be read: {failure}");
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
) -> Result<Request, Failure> {
    let request = context.client.kill_request(kill).await?;
    if request.execute_dts.is_some() || (request.enqueue_dts.is_some() && !resumed) {
        return Ok(Request::NotOurs("it has been taken already"));
    }
    let Some(run) = request.run.as_deref().and_then(run_id_of) else {
        return Ok(Request::NotOurs("it names no run"));
    };
    if let Some(handle) = find(inbox, run).await {
        return Ok(Request::Ours(run, handle));
    }
    let me = context.client.me().await?;
    let found = context.client.run(run).await?;
    let mine = found.worker.as_deref() == Some(me);
    Ok(match found.seen(me, chrono::Utc::now()) {
        Seen::Returned if mine => Request::Over(run),
        _ if mine && context.reporter.serves(run) => Request::Over(run),
        Seen::Returned | Seen::Theirs | Seen::NotForUs | Seen::Gone => Request::NotOurs("its run is another worker's"),
        Seen::Free | Seen::Ours => Request::NotOurs("its run is not executed here"),
    })
}

async fn find(inbox: &mpsc::WeakSender<Message>, run: RunId) -> Option<Handle> {
    let (answer, found) = oneshot::channel();
    inbox.upgrade()?.send(Message::Find(run, answer)).await.ok()?;
    found.await.ok().flatten()
}

async fn acknowledge(context: &Context, entry: &mut KillEntry) {
    if entry.phase != KillPhase::Received {
        return;
    }
    let at = time::sent(chrono::Utc::now());
    entry.phase = KillPhase::Taken;
    context.reporter.outbox().kill(*entry).await;
    let patch = KillPatch { enqueue_dts: Some(at), ..KillPatch::default() };
    if tell(context, entry.kill, &patch).await {
        context.reporter.event(Event::KillEnqueued(entry.kill));
    }
}

async fn executed(context: &Context, entry: &mut KillEntry) {
    entry.phase = KillPhase::Dead;
    context.reporter.outbox().kill(*entry).await;
    let patch = KillPatch { execute_dts: Some(time::sent(chrono::Utc::now())), ..KillPatch::default() };
    if tell(context, entry.kill, &patch).await {
        context.reporter.event(Event::KillExecuted(entry.kill));
    }
}

/// Tells the server, for as long as it takes. Whether it took it.
async fn tell(context: &Context, kill: KillId, patch: &KillPatch) -> bool {
    let mut backoff = Backoff::default();
    loop {
        match context.client.patch_kill(kill, patch).await {
            Ok(()) => return true,
            Err(failure) if failure.is_passing() => {
                tokio::time::sleep(backoff.next(failure.retry_after())).await;
            }
            Err(Failure::Unauthorised(_)) if matches!(context.client.worker().await, Err(Failure::Unauthorised(_))) => {
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
