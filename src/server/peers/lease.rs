//! Keeper of the dispatch lease: renews it each second, or takes one that its holder has not renewed.
//!
//! A server dispatches until the database says that another one does. No clock of its own decides: each change of a
//! dispatcher checks the lease in its own transaction, and an order that it sends beside them is a hint. So a server that is
//! slow, or whose database is away, does not give up what nobody has taken.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Duty, PeerMessage, Shared};
use crate::run::chain_of;
use crate::server::state::AppState;
use crate::server::store::{Lease, Renewal, StoreError};

/// Interval in which the lease is renewed, or one that is free is looked for.
const RENEWAL: Duration = Duration::from_secs(1);
/// Longest time that giving the lease up may take when the server stops.
const PARTING: Duration = Duration::from_secs(1);

/// Keeps the lease until the server stops; returns at once where the database has one server.
pub async fn keep(app: Arc<AppState>) {
    let Some(shared) = app.peers.shared.clone() else { return };
    let address = app.settings.http.to_string();
    loop {
        let began = Instant::now();
        let renewed = tokio::select! {
            renewed = shared.store.renew_lease(&shared.server, &address) => renewed,
            () = app.stop.cancelled() => break,
        };
        take(&app, &shared, renewed);
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

/// Takes in the outcome of a renewal.
fn take(app: &AppState, shared: &Shared, renewed: Result<Renewal, StoreError>) {
    match renewed {
        Ok(Renewal { lease, others, was_alive }) => {
            shared.has_others.store(others > 0, Ordering::Relaxed);
            show(app, shared, lease);
            if !was_alive {
                shared.is_behind.notify_one();
            }
        }
        Err(e) if e.is_outage() => {}
        Err(e) => {
            tracing::error!(target: "job_runner.peers", error = %chain_of(&e), "dispatch lease cannot be renewed");
        }
    }
}

fn show(app: &AppState, shared: &Shared, lease: Option<Lease>) {
    let duty = lease.map_or(Duty::Elsewhere, |lease| Duty::Here(Some(lease)));
    let changed = app.peers.duty.send_if_modified(|before| {
        let changed = *before != duty;
        before.clone_from(&duty);
        changed
    });
    if !changed {
        return;
    }
    match duty {
        Duty::Here(_) => tracing::info!(target: "job_runner.peers", "this server dispatches from now on"),
        Duty::Elsewhere => {
            tracing::info!(target: "job_runner.peers", "this server does not dispatch any more");
            // As the dispatcher, it did not listen to what another one tells.
            shared.is_behind.notify_one();
        }
    }
}
