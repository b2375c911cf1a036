//! Report on the whole farm, for programs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{SecondsFormat, Utc};

use super::auth::FarmReader;
use super::refusal::FarmRefusal;
use crate::server::state::AppState;
use crate::server::store::farm::FarmWorkerOverview;
use crate::wire::flamenco::{FarmStatusReport, FarmWorkerStatus, FlamencoServerDocument, WorkerDocument};

/// Most workers in the report.
const MAX_WORKERS: u32 = 10_000;

/// Answers with the workers and the number of tasks.
pub(super) async fn as_json(
    State(app): State<Arc<AppState>>,
    _: FarmReader,
) -> Result<Json<FarmStatusReport>, FarmRefusal> {
    let workers = app.store.farm_workers(MAX_WORKERS, Utc::now()).await?;
    let documents: Vec<_> = workers.into_iter().map(document).collect();
    Ok(Json(FarmStatusReport {
        nr_of_workers: documents.len() as u64,
        nr_of_tasks: app.store.count_farm_tasks().await?,
        // There is no Flamenco Server to which updates could wait to be sent.
        upstream_queue_size: 0,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        workers: documents,
        manager_mode: "production".to_owned(),
        manager_name: "Job-Runner".to_owned(),
        server: FlamencoServerDocument::default(),
    }))
}

fn document(overview: FarmWorkerOverview) -> WorkerDocument {
    let FarmWorkerOverview { worker, types, task, schedule, blacklist } = overview;
    let asked = worker.standing.asked;
    WorkerDocument {
        id: worker.id,
        nickname: worker.nickname,
        address: worker.address,
        status: worker.standing.status,
        platform: worker.platform,
        supported_task_types: types,
        software: worker.software,
        current_task: task.as_ref().map(|task| task.id),
        current_job: task.as_ref().map(|task| task.job),
        current_task_status: task.map(|task| task.status),
        last_activity: Some(worker.seen.to_rfc3339_opts(SecondsFormat::Secs, true)),
        status_requested: asked.map_or(FarmWorkerStatus::Registered, |asked| asked.status),
        lazy_status_request: asked.is_some_and(|asked| asked.is_lazy),
        sleep_schedule: schedule.unwrap_or_default(),
        blacklist,
    }
}
