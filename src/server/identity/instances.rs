//! Which instance of a worker works under its key: one at a time, for as long as it is heard of.
//!
//! An instance is a worker's state directory. Two of them under one key would reset each other's runs, so the second is
//! refused until the first has said that it leaves, or has been silent for as long as the dispatcher lets a worker be and
//! its runs are lost. Who names no instance (the original worker, older ones of ours) is not held up.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;

use crate::run::Instance;
use crate::server::domain::model::{InstanceTenure, Worker, WorkerId};
use crate::server::state::AppState;
use crate::server::store::StoreError;

#[cfg(test)]
mod tests;

/// How often it is said of a worker that another instance of it is refused.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// The instances that work, each bound to its worker.
#[derive(Debug)]
pub struct Instances {
    bound: Mutex<HashMap<WorkerId, Bound>>,
    patience: Duration,
}

#[derive(Debug)]
struct Bound {
    tenure: InstanceTenure,
    /// When it was heard of last, by the clock that nobody sets.
    heard: Instant,
    /// When it was said last that another one is refused.
    said: Option<Instant>,
}

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Admission {
    /// The instance works here.
    Known,
    /// It works here from now on, in the place of whoever did before.
    Bound,
    /// Another one is alive: who it is, how long ago it was heard of, and whether that is to be logged.
    Refused(InstanceTenure, Duration, Say),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Say {
    Now,
    Not,
}

impl Instances {
    /// Those of a store, each of which has as long to be heard of as if it had been just now.
    #[must_use]
    pub fn new(tenures: Vec<(WorkerId, InstanceTenure)>, patience: Duration, now: Instant) -> Self {
        let bound = |(worker, tenure)| (worker, Bound { tenure, heard: now, said: None });
        Self { bound: Mutex::new(tenures.into_iter().map(bound).collect()), patience }
    }

    /// An instance is heard of on a connection that it was let in to. False where another one works by now.
    #[must_use]
    pub fn hear(&self, worker: WorkerId, instance: &Instance) -> bool {
        match self.lock().get_mut(&worker) {
            Some(bound) if bound.tenure.instance == *instance => {
                bound.heard = Instant::now();
                true
            }
            Some(_) => false,
            None => true,
        }
    }

    /// What becomes of a call of an instance. `is_lost`: the dispatcher has given the worker up.
    fn admit(&self, worker: WorkerId, caller: InstanceTenure, is_lost: bool, now: Instant) -> Admission {
        let mut all = self.lock();
        if let Some(bound) = all.get_mut(&worker) {
            let silent = now.saturating_duration_since(bound.heard);
            if bound.tenure.instance == caller.instance {
                bound.heard = now;
                return Admission::Known;
            }
            if !is_lost || silent < self.patience {
                let say = match bound.said {
                    Some(said) if now.saturating_duration_since(said) < SAID_EVERY => Say::Not,
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

    /// Nobody works under the key any more, as far as it was this instance.
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

/// Lets an instance of a worker in, or says why not.
///
/// # Errors
/// That the store does not answer.
pub async fn admit(
    app: &AppState,
    worker: &Worker,
    instance: &Instance,
    from: IpAddr,
) -> Result<Result<(), String>, StoreError> {
    let tenure = InstanceTenure { instance: instance.clone(), since: Utc::now(), from };
    let is_lost = app.presence.is_silent(worker.id);
    match app.instances.admit(worker.id, tenure.clone(), is_lost, Instant::now()) {
        Admission::Known => Ok(Ok(())),
        Admission::Bound => {
            // What is not written is not so: the next call tries again.
            app.store.bind_instance(worker.id, &tenure).await.inspect_err(|_| {
                app.instances.release(worker.id, instance);
            })?;
            Ok(Ok(()))
        }
        Admission::Refused(first, silent, say) => {
            let refusal = refusal(worker, &first, silent);
            if say == Say::Now {
                tracing::warn!(target: "job_runner.health", "a worker from {from} is refused: {refusal}");
            }
            Ok(Err(refusal))
        }
    }
}

/// An instance has said that it leaves: whoever comes next is let in.
///
/// # Errors
/// That the store does not answer.
pub async fn release(app: &AppState, worker: WorkerId, instance: &Instance) -> Result<(), StoreError> {
    if app.instances.release(worker, instance) {
        app.store.release_instance(worker, instance).await?;
    }
    Ok(())
}

/// Why an instance is refused, in a line.
fn refusal(worker: &Worker, first: &InstanceTenure, silent: Duration) -> String {
    format!(
        "another worker works as \"{}\" since {} UTC, from {}, heard of {} s ago, with another state directory",
        worker.title,
        first.since.format("%Y-%m-%d %H:%M:%S"),
        first.from,
        silent.as_secs()
    )
}
