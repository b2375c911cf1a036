//! Worker instances: lets one instance work under each worker's key, for as long as it is heard from.
//!
//! An instance is a worker's state directory. Two of them under one key would reset each other's runs, so a second one
//! is refused until the first has said that it leaves, or has been silent for as long as the dispatcher lets a worker
//! be and its runs are lost. A request without an instance (from the original worker, or an older one of this package)
//! is not held up.
//!
//! Where several servers share a database, each tells the others of an instance that it has heard from, and the database
//! alone decides which instance takes the place of another.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;

use crate::run::Instance;
use crate::server::domain::model::{InstanceTenure, Worker, WorkerId};
use crate::server::peers::{PeerMessage, Peers};
use crate::server::store::{Store, StoreError};

#[cfg(test)]
mod tests;

/// Least time between two log messages about refused instances of one worker.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Instance that works under each worker's key.
#[derive(Debug)]
pub struct Instances {
    bound: Mutex<HashMap<WorkerId, Bound>>,
    patience: Duration,
    peers: Peers,
}

#[derive(Debug)]
struct Bound {
    tenure: InstanceTenure,
    /// Time at which the instance was heard from last, by the monotonic clock.
    heard: Instant,
    /// Time of the last log message about a refused instance.
    said: Option<Instant>,
    /// Time at which the other servers were told last that the instance was heard from.
    told: Option<Instant>,
}

impl Bound {
    fn new(tenure: InstanceTenure, heard: Instant) -> Self {
        Self { tenure, heard, said: None, told: None }
    }
}

/// Decision about a request of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Admission {
    /// The instance works under the key already.
    Known,
    /// The instance works under the key from now on, in place of the one that is named, if any.
    Bound(Option<Instance>),
    /// Another instance is alive: its tenure, its silence so far, and whether the refusal is to be logged.
    Refused(InstanceTenure, Duration, Say),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Say {
    Now,
    Not,
}

impl Instances {
    /// Starts with the instances of a store, each of which counts as heard from just now.
    #[must_use]
    pub fn new(tenures: Vec<(WorkerId, InstanceTenure)>, patience: Duration, now: Instant, peers: Peers) -> Self {
        let bound = |(worker, tenure)| (worker, Bound::new(tenure, now));
        Self { bound: Mutex::new(tenures.into_iter().map(bound).collect()), patience, peers }
    }

    /// Reads again which instances work under all keys: other servers may have admitted some.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn reload_all(&self, store: &Store) -> Result<(), StoreError> {
        let tenures = store.tenures().await?;
        let mut all = self.lock();
        let mut before = std::mem::take(&mut *all);
        all.extend(tenures.into_iter().map(|(worker, tenure)| (worker, again(before.remove(&worker), tenure))));
        Ok(())
    }

    /// Reads again which instance works under a key.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn reload(&self, store: &Store, worker: WorkerId) -> Result<(), StoreError> {
        let tenure = store.tenure(worker).await?;
        let mut all = self.lock();
        let before = all.remove(&worker);
        all.extend(tenure.map(|tenure| (worker, again(before, tenure))));
        Ok(())
    }

    /// Records that another server has heard from an instance.
    pub fn heard_elsewhere(&self, worker: WorkerId, instance: &str) {
        if let Some(bound) = self.lock().get_mut(&worker).filter(|bound| bound.tenure.instance.as_str() == instance) {
            bound.heard = Instant::now();
        }
    }

    /// Records that the instance of a key was heard from, and tells the other servers now and then.
    fn note_heard(&self, worker: WorkerId, bound: &mut Bound, now: Instant) {
        bound.heard = now;
        // Told often enough that no other server takes it for silent.
        if bound.told.is_none_or(|told| now.saturating_duration_since(told) >= self.patience / 4) {
            bound.told = Some(now);
            self.peers.send(&PeerMessage::InstanceHeard(worker, bound.tenure.instance.as_str().to_owned()));
        }
    }

    /// Records that an admitted instance was heard from on its connection. Returns false if another one works under the
    /// key by now.
    #[must_use]
    pub fn hear(&self, worker: WorkerId, instance: &Instance) -> bool {
        match self.lock().get_mut(&worker) {
            Some(bound) if bound.tenure.instance == *instance => {
                self.note_heard(worker, bound, Instant::now());
                true
            }
            Some(_) => false,
            // No instance has the key, as after one has left, so none is disturbed.
            None => true,
        }
    }

    /// Decides about a request of an instance; `is_lost` says that the dispatcher has given the worker up.
    fn admit(&self, worker: WorkerId, caller: InstanceTenure, is_lost: bool, now: Instant) -> Admission {
        let mut all = self.lock();
        if let Some(bound) = all.get_mut(&worker) {
            let silent = now.saturating_duration_since(bound.heard);
            if bound.tenure.instance == caller.instance {
                self.note_heard(worker, bound, now);
                return Admission::Known;
            }
            // The dispatcher gives a worker up for unanswered pings, while its instance may still be heard from by
            // other requests.
            if !is_lost || silent < self.patience {
                let say = match bound.said {
                    Some(said) if now.saturating_duration_since(said) < LOG_INTERVAL => Say::Not,
                    _ => Say::Now,
                };
                if say == Say::Now {
                    bound.said = Some(now);
                }
                return Admission::Refused(bound.tenure.clone(), silent, say);
            }
        }
        let replaced = all.insert(worker, Bound::new(caller, now));
        Admission::Bound(replaced.map(|bound| bound.tenure.instance))
    }

    /// Ends the tenure of an instance; returns false if another one, or none, works under the key.
    fn release(&self, worker: WorkerId, instance: &Instance) -> bool {
        let mut all = self.lock();
        let is_it = all.get(&worker).is_some_and(|bound| bound.tenure.instance == *instance);
        if is_it {
            all.remove(&worker);
        }
        is_it
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkerId, Bound>> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Admits a request of an instance, or returns the refusal in words.
///
/// # Errors
/// If the store cannot be read or written.
pub async fn admit(
    store: &Store,
    instances: &Instances,
    is_lost: bool,
    worker: &Worker,
    instance: &Instance,
    from: IpAddr,
) -> Result<Result<(), String>, StoreError> {
    let tenure = InstanceTenure { instance: instance.clone(), since: Utc::now(), from };
    match instances.admit(worker.id, tenure.clone(), is_lost, Instant::now()) {
        Admission::Known => Ok(Ok(())),
        Admission::Bound(replaced) => {
            // An admission that is not stored must not hold in memory either; the next request tries again.
            let other = store.bind_instance(worker.id, &tenure, replaced.as_ref()).await.inspect_err(|_| {
                instances.release(worker.id, instance);
            })?;
            if let Some(other) = other {
                let refusal = refusal(worker, &other, Duration::ZERO);
                instances.lock().insert(worker.id, Bound::new(other, Instant::now()));
                return Ok(Err(refusal));
            }
            instances.peers.send(&PeerMessage::InstanceChanged(worker.id));
            Ok(Ok(()))
        }
        Admission::Refused(first, silent, say) => {
            let refusal = refusal(worker, &first, silent);
            if say == Say::Now {
                tracing::warn!(
                    target: "job_runner.health",
                    worker = %worker.api_key,
                    address = %from,
                    working_address = %first.from,
                    working_since = %first.since.format("%Y-%m-%dT%H:%M:%SZ"),
                    heard_ago_s = silent.as_secs(),
                    "second worker with this key and another state directory is refused"
                );
            }
            Ok(Err(refusal))
        }
    }
}

/// Ends the tenure of an instance that says it leaves: the next instance is admitted.
///
/// # Errors
/// If the store cannot be read or written.
pub async fn release(
    store: &Store,
    instances: &Instances,
    worker: WorkerId,
    instance: &Instance,
) -> Result<(), StoreError> {
    if instances.release(worker, instance) {
        store.release_instance(worker, instance).await?;
        instances.peers.send(&PeerMessage::InstanceChanged(worker));
    }
    Ok(())
}

/// Returns what is kept of an instance that was read again: what was known of the same one stays.
fn again(before: Option<Bound>, tenure: InstanceTenure) -> Bound {
    match before {
        Some(before) if before.tenure.instance == tenure.instance => before,
        // Another server has admitted it just now.
        _ => Bound::new(tenure, Instant::now()),
    }
}

/// Refusal of an instance, in one line.
fn refusal(worker: &Worker, first: &InstanceTenure, silent: Duration) -> String {
    format!(
        "another worker works as \"{}\" since {} UTC, from {}, heard of {} s ago, with another state directory",
        worker.title,
        first.since.format("%Y-%m-%d %H:%M:%S"),
        first.from,
        silent.as_secs()
    )
}
