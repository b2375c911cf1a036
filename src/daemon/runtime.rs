//! The runtime of the worker: one thread for the work, and a few for calls that block.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// How many calls may block at once: names that are looked up, long logs, processes that are cleared away.
const BLOCKING: usize = 64;
/// How long a thread for such calls is kept: for ever. Where the system has no processes left, the ones that are there do
/// the work; were there none, nothing could be looked up any more.
const KEPT: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Starts it.
///
/// # Errors
/// What the system says.
pub fn start() -> io::Result<Runtime> {
    let runtime =
        Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING).thread_keep_alive(KEPT).build()?;
    // Makes the first thread.
    runtime.block_on(async { tokio::task::spawn_blocking(|| ()).await })?;
    Ok(runtime)
}
