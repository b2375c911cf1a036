//! Workers of the Flamenco Manager: lists them, and has them sleep, wake, shut down, or removes them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{SecondsFormat, Utc};

use super::refusal::{Body, OperatorRefusal};
use crate::server::state::AppState;
use crate::server::store::farm::FarmWorkerOverview;
use crate::wire::flamenco::supervision::{FarmWorkerInfo, FarmWorkerList, FarmWorkerOrder, OrderedWorkers};

/// Workers in an answer at most; as many may be registered.
const MAX_WORKERS: u32 = 10_000;
/// Maximum number of workers that one request may name.
const MAX_NAMED: usize = 1000;

/// Returns all workers, by name.
pub(super) async fn list(State(app): State<Arc<AppState>>) -> Result<Json<FarmWorkerList>, OperatorRefusal> {
    let workers = app.store.farm_workers(MAX_WORKERS, Utc::now()).await?;
    Ok(Json(FarmWorkerList { workers: workers.into_iter().map(worker_info).collect() }))
}

/// Gives a command to each named worker. One that is unknown does not stop the others.
pub(super) async fn command(
    State(app): State<Arc<AppState>>,
    Body(order): Body<FarmWorkerOrder>,
) -> Result<Json<OrderedWorkers>, OperatorRefusal> {
    if order.workers.is_empty() || order.workers.len() > MAX_NAMED {
        return Err(OperatorRefusal::Malformed(format!("name 1 to {MAX_NAMED} workers")));
    }
    // One transaction for each: a farm that shuts down at night must not hold up the workers that ask meanwhile.
    let mut answer = OrderedWorkers { done: Vec::new(), unknown: Vec::new() };
    for worker in order.workers {
        let exists = app.store.command_farm_worker(worker, order.command, !order.now, Utc::now()).await?;
        if exists { &mut answer.done } else { &mut answer.unknown }.push(worker);
    }
    let command = order.command.word();
    tracing::info!(target: "job_runner.farm", command, workers = answer.done.len(), "operator commands workers");
    Ok(Json(answer))
}

fn worker_info(overview: FarmWorkerOverview) -> FarmWorkerInfo {
    let FarmWorkerOverview { worker, types, task, schedule, blacklist } = overview;
    FarmWorkerInfo {
        id: worker.id,
        nickname: worker.nickname,
        status: worker.standing.status,
        status_requested: worker.standing.asked.map(|asked| asked.status),
        is_lazy: worker.standing.asked.is_some_and(|asked| asked.is_lazy),
        task: task.map(|task| task.id),
        task_types: types,
        platform: worker.platform,
        address: worker.address,
        software: worker.software,
        last_contact: worker.seen.to_rfc3339_opts(SecondsFormat::Millis, true),
        sleep_schedule: schedule,
        blacklist,
    }
}
