//! Watch over the farm: asks workers to sleep and to wake by their schedules, applies time-outs of workers and tasks, and
//! removes old tasks and workers.
//!
//! Each server of a database watches: what one has done, another finds done.

use std::sync::Arc;
use std::time::Duration;

use chrono::{Timelike, Utc};
use tokio::time::Instant;

use crate::run::chain_of;
use crate::server::domain::farm::sleep::SleepSchedule;
use crate::server::domain::farm::timeouts::{FarmTimes, WorkerCleanup};
use crate::server::domain::model::Timestamp;
use crate::server::state::AppState;
use crate::server::store::StoreError;
use crate::server::store::farm::Watched;

/// Watches until the server stops.
pub async fn work(app: Arc<AppState>) {
    let times = app.settings.farm.times;
    // Workers that could not reach the server while it was away have to be heard first.
    let counts_from = Instant::now() + times.first_check;
    let mut pause = Duration::ZERO;
    while app.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        let now = Utc::now();
        let looked = look(&app, &times, counts_from, now).await;
        let due = looked.unwrap_or_else(|e| {
            if !e.is_outage() {
                tracing::error!(target: "job_runner.farm", error = %chain_of(&e), "the farm cannot be looked after");
            }
            times.pause(now, None, None)
        });
        // Schedules are in minutes.
        pause = due.min(Duration::from_secs(u64::from(60 - now.second().min(59))));
    }
}

/// Does what is due, and returns the time until the next time-out.
async fn look(app: &AppState, times: &FarmTimes, counts_from: Instant, now: Timestamp) -> Result<Duration, StoreError> {
    apply_schedules(app, now).await?;
    let until = counts_from.saturating_duration_since(Instant::now());
    if !until.is_zero() {
        return Ok(until);
    }
    let cutoffs = times.cutoffs(now);
    let mut silence = app.store.farm_silence(&cutoffs).await?;
    if silence.needs_change {
        log(&app.store.watch_farm(cutoffs, now).await?);
        silence = app.store.farm_silence(&cutoffs).await?;
    }
    remove_old_workers(app, now).await?;
    Ok(times.pause(now, silence.worker, silence.task))
}

async fn remove_old_workers(app: &AppState, now: Timestamp) -> Result<(), StoreError> {
    // After the time-outs: only they put a worker that has vanished into a state in which it is removed.
    let WorkerCleanup { max_age: Some(age), statuses } = &app.settings.farm.cleanup else { return Ok(()) };
    for worker in app.store.remove_old_farm_workers(statuses, now - *age, now).await? {
        tracing::info!(target: "job_runner.farm", %worker, "worker was removed, because it was away for long");
    }
    Ok(())
}

/// Asks each worker for the state that its schedule wants, once each time that this changes: what an operator asks for in
/// between stays until then.
async fn apply_schedules(app: &AppState, now: Timestamp) -> Result<(), StoreError> {
    let local = now.with_timezone(&app.settings.time_zone).naive_local();
    for worker in app.store.farm_schedules().await? {
        // A schedule is checked before it is written.
        let Ok(Some(schedule)) = SleepSchedule::read(&worker.schedule) else { continue };
        let Some(wanted) = schedule.wanted(local).filter(|wanted| worker.asked_last != Some(*wanted)) else { continue };
        app.store.apply_farm_schedule(worker.id, wanted).await?;
        let status = wanted.word();
        tracing::info!(target: "job_runner.farm", worker = %worker.id, status, "sleep schedule asks for a state");
    }
    Ok(())
}

fn log(watched: &Watched) {
    for (worker, tasks) in &watched.silent_workers {
        tracing::warn!(
            target: "job_runner.farm",
            %worker,
            tasks = tasks.len(),
            "worker is silent; its tasks wait for another one"
        );
    }
    for task in &watched.silent_tasks {
        tracing::warn!(target: "job_runner.farm", %task, "task timed out");
    }
    if watched.removed_tasks > 0 {
        tracing::info!(target: "job_runner.farm", tasks = watched.removed_tasks, "old tasks were removed");
    }
}
