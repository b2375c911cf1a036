//! Keeper of the dispatch lease: renews it each second, or takes one that its holder has not renewed.
//!
//! A server that cannot renew the lease stops to dispatch before another one may take it: it counts from before the
//! renewal was asked for, by its own monotonic clock, and the database from after it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Duty, PeerMessage, Shared};
use crate::run::chain_of;
use crate::server::state::AppState;
use crate::server::store::{LEASE, Lease, Renewal, StoreError};

/// Interval in which the lease is renewed, or one that is free is looked for.
const RENEWAL: Duration = Duration::from_secs(1);
/// Longest time that giving the lease up may take when the server stops.
const PARTING: Duration = Duration::from_secs(1);

/// Keeps the lease until the server stops; returns at once where the database has one server.
pub async fn keep(app: Arc<AppState>) {
    let Some(shared) = app.peers.shared.clone() else { return };
    let address = app.settings.http.to_string();
    let mut keeper = Keeper { app: &app, shared: &shared, held_until: None };
    loop {
        let began = Instant::now();
        let end = keeper.held_until.unwrap_or(began + LEASE);
        let renewed = tokio::select! {
            // The answer is awaited no longer than the lease lasts: without it, this server has none any more.
            renewed = timeout_at(end, shared.store.renew_lease(&shared.server, &address)) => renewed.ok(),
            () = app.stop.cancelled() => break,
        };
        keeper.take(renewed, began);
        tokio::select! {
            () = sleep_until(began + RENEWAL) => {}
            () = shared.may_be_free.notified() => {}
            () = app.stop.cancelled() => break,
        }
    }
    app.peers.duty.send_replace(Duty::Elsewhere);
    let left = tokio::time::timeout(PARTING, shared.store.leave_servers(&shared.server)).await;
    if let Ok(Ok(())) = left {
        app.peers.send(&PeerMessage::LeaseFree);
    }
}

struct Keeper<'a> {
    app: &'a AppState,
    shared: &'a Shared,
    /// Instant at which the lease ends unless it is renewed, while this server holds it.
    held_until: Option<Instant>,
}

impl Keeper<'_> {
    /// Takes in the outcome of a renewal that was begun at an instant; `None` if there was no answer in time.
    fn take(&mut self, renewed: Option<Result<Renewal, StoreError>>, began: Instant) {
        match renewed {
            Some(Ok(Renewal { lease, others, was_alive })) => {
                self.shared.has_others.store(others > 0, Ordering::Relaxed);
                self.held_until = lease.is_some().then_some(began + LEASE);
                self.show(lease);
                if !was_alive {
                    self.shared.is_behind.notify_one();
                }
            }
            failed => {
                if let Some(Err(e)) = failed.filter(|failed| matches!(failed, Err(e) if !e.is_outage())) {
                    tracing::error!(target: "job_runner.peers", error = %chain_of(&e), "dispatch lease cannot be renewed");
                }
                // The lease is still this server's until its end.
                if self.held_until.is_some_and(|until| until <= Instant::now() + RENEWAL) {
                    self.held_until = None;
                    self.show(None);
                }
            }
        }
    }

    fn show(&self, lease: Option<Lease>) {
        let duty = lease.map_or(Duty::Elsewhere, |lease| Duty::Here(Some(lease)));
        let changed = self.app.peers.duty.send_if_modified(|before| {
            let changed = *before != duty;
            before.clone_from(&duty);
            changed
        });
        if changed {
            match duty {
                Duty::Here(_) => tracing::info!(target: "job_runner.peers", "this server dispatches from now on"),
                Duty::Elsewhere => {
                    tracing::info!(target: "job_runner.peers", "this server does not dispatch any more");
                    // As the dispatcher, it did not listen to what another one tells.
                    self.shared.is_behind.notify_one();
                }
            }
        }
    }
}
