//! The answer to a ping: that we are there, who we are, how much we do at once.

use std::sync::Arc;

use super::Context;
use crate::rest::{Backoff, Failure};
use crate::wire::resources::WorkerPatch;
use crate::wire::time;

/// How often an answer is tried: the next ping comes in minutes.
const TRIES: u32 = 6;

pub(super) async fn answer(context: Arc<Context>) {
    let mut backoff = Backoff::default();
    loop {
        match try_answer(&context).await {
            Ok(()) => return context.client.health().pinged(),
            Err(failure) if backoff.tries() < TRIES && failure.is_passing() => {
                tokio::time::sleep(backoff.next(failure.retry_after())).await;
            }
            Err(failure) => {
                tracing::warn!(target: "job_runner_worker.enqueuer", "a ping could not be answered: {failure}");
                return;
            }
        }
    }
}

async fn try_answer(context: &Context) -> Result<(), Failure> {
    let me = context.client.me().await?;
    let patch = WorkerPatch {
        ping_response_dts: time::sent(chrono::Utc::now()),
        worker_version: env!("CARGO_PKG_VERSION"),
        concurrent_jobs: context.settings.concurrent_jobs,
    };
    context.client.patch_worker(me, &patch).await
}
