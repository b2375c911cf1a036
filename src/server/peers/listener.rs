//! Listener: follows the messages of the other servers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::broadcast;

use super::{PeerMessage, Shared};
use crate::run::chain_of;
use crate::server::state::AppState;
use crate::server::store::MISSED;
use crate::server::store::changes::Change;

/// Follows messages until the server stops; returns at once where the database has one server.
pub async fn follow(app: Arc<AppState>) {
    let Some(shared) = app.peers.shared.clone() else { return };
    app.stop.run_until_cancelled(listen(&app, &shared)).await;
}

async fn listen(app: &AppState, shared: &Shared) {
    let mut messages = shared.store.messages();
    loop {
        let heard = tokio::select! {
            heard = messages.recv() => heard,
            // Also at the start: what the others said before was not heard.
            () = shared.is_behind.notified() => {
                catch_up(app, shared).await;
                continue;
            }
        };
        match heard {
            Ok(text) if &*text == MISSED => catch_up(app, shared).await,
            Err(broadcast::error::RecvError::Lagged(_)) => catch_up(app, shared).await,
            Err(broadcast::error::RecvError::Closed) => return,
            Ok(text) => {
                // Whoever sends is alive, however long ago the lease was renewed.
                shared.has_others.store(true, Ordering::Relaxed);
                if let Some(message) = PeerMessage::decode(&text) {
                    obey(app, shared, message).await;
                }
            }
        }
    }
}

/// Brings up to date what is kept in memory, after messages may have been missed.
async fn catch_up(app: &AppState, shared: &Shared) {
    if !app.peers.dispatches() {
        // What is over since is not told again.
        forget_dispatch(app);
    }
    shared.store.send_to_servers(PeerMessage::TellAgain.encode());
    let logouts = app.logouts.reload(&shared.store).await;
    let instances = app.instances.reload_all(&shared.store).await;
    for failed in [logouts, instances].into_iter().filter_map(Result::err).filter(|e| !e.is_outage()) {
        tracing::error!(target: "job_runner.peers", error = %chain_of(&failed), "state of other servers cannot be read");
    }
}

async fn obey(app: &AppState, shared: &Shared, message: PeerMessage) {
    match message {
        PeerMessage::Order(to, order) => app.orders.deliver(to, order),
        PeerMessage::Arrived(key) => app.orders.arrived_elsewhere(key),
        // The dispatcher itself knows better, and two that overlap for a moment do not overwrite each other's.
        PeerMessage::Waits(..) | PeerMessage::Silent(..) | PeerMessage::DispatcherChanged if app.peers.dispatches() => {
        }
        PeerMessage::Waits(job, waits) => {
            app.waiting.update(job, waits).into_iter().for_each(|run| app.changes().publish(Change::RunWaits(run)));
        }
        PeerMessage::Silent(worker, is_silent) => {
            if app.silent_workers.set(worker, is_silent) {
                app.changes().publish(Change::WorkerChanged(worker));
            }
        }
        PeerMessage::DispatcherChanged => forget_dispatch(app),
        PeerMessage::TellAgain => tell_again(app, shared).await,
        PeerMessage::InstanceChanged(worker) => {
            if let Err(e) = app.instances.reload(&shared.store, worker).await
                && !e.is_outage()
            {
                tracing::error!(target: "job_runner.peers", error = %chain_of(&e), worker = %worker, "instance of a worker cannot be read");
            }
        }
        PeerMessage::InstanceHeard(worker, instance) => app.instances.heard_elsewhere(worker, &instance),
        PeerMessage::LoggedOut => {
            // A failure is an outage, and the reload after it reads the logout.
            let _ = app.logouts.reload(&shared.store).await;
        }
        PeerMessage::LeaseFree => shared.may_be_free.notify_one(),
    }
}

/// Forgets what a dispatcher told.
pub fn forget_dispatch(app: &AppState) {
    for worker in app.silent_workers.update(&std::collections::BTreeSet::new()) {
        app.changes().publish(Change::WorkerChanged(worker));
    }
    app.waiting.clear().into_iter().for_each(|run| app.changes().publish(Change::RunWaits(run)));
}

/// Tells the others all that the dispatcher knows, if it is here.
async fn tell_again(app: &AppState, shared: &Shared) {
    if !app.peers.dispatches() {
        return;
    }
    // There may be thousands, and each may change before its turn.
    for worker in app.silent_workers.all() {
        shared.store.await_message_room().await;
        let is_silent = app.silent_workers.is_silent(worker);
        shared.store.send_to_servers(PeerMessage::Silent(worker, is_silent).encode());
    }
    for job in app.waiting.all().into_keys() {
        shared.store.await_message_room().await;
        let waits = app.waiting.of_job(job);
        shared.store.send_to_servers(PeerMessage::Waits(job, waits).encode());
    }
}
