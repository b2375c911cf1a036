//! Worker instances: lets one instance work under each worker's key, for as long as it is heard from.
//!
//! An instance is a worker's state directory. Two of them under one key would reset each other's runs, so a second one
//! is refused until the first has said that it leaves, or has been silent for as long as the dispatcher lets a worker
//! be and its runs are lost. A request without an instance (from the original worker, or an older one of this package)
//! is not held up.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;

use crate::run::Instance;
use crate::server::domain::model::{InstanceTenure, Worker, WorkerId};
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
}

#[derive(Debug)]
struct Bound {
    tenure: InstanceTenure,
    /// Time at which the instance was heard from last, by the monotonic clock.
    heard: Instant,
    /// Time of the last log message about a refused instance.
    said: Option<Instant>,
}

/// Decision about a request of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Admission {
    /// The instance works under the key already.
    Known,
    /// The instance works under the key from now on, in place of any other.
    Bound,
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
    pub fn new(tenures: Vec<(WorkerId, InstanceTenure)>, patience: Duration, now: Instant) -> Self {
        let bound = |(worker, tenure)| (worker, Bound { tenure, heard: now, said: None });
        Self { bound: Mutex::new(tenures.into_iter().map(bound).collect()), patience }
    }

    /// Records that an admitted instance was heard from on its connection. Returns false if another one works under the
    /// key by now.
    #[must_use]
    pub fn hear(&self, worker: WorkerId, instance: &Instance) -> bool {
        match self.lock().get_mut(&worker) {
            Some(bound) if bound.tenure.instance == *instance => {
                bound.heard = Instant::now();
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
                bound.heard = now;
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
        all.insert(worker, Bound { tenure: caller, heard: now, said: None });
        Admission::Bound
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
        Admission::Bound => {
            // An admission that is not stored must not hold in memory either; the next request tries again.
            store.bind_instance(worker.id, &tenure).await.inspect_err(|_| {
                instances.release(worker.id, instance);
            })?;
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
    }
    Ok(())
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
