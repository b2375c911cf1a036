//! The answer to a ping: that we are there, who we are, how much we do at once.

use std::sync::Arc;

use super::Context;
use crate::rest::Backoff;

/// How often an answer is tried: the next ping comes in minutes.
const TRIES: u32 = 6;

pub(super) async fn answer(context: Arc<Context>) {
    let mut backoff = Backoff::default();
    loop {
        match context.client.pong(context.settings().concurrent_jobs).await {
            Ok(()) => return,
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
