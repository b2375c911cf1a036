//! Tokio runtime of the worker: one thread for the work, and a few for blocking calls.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Most blocking calls at once: name lookups, long logs, cleanups of processes.
const BLOCKING: usize = 64;
/// Lifetime of a thread for blocking calls: practically for ever. When the system has no processes left, the existing
/// threads still do the work; without any, no name could be looked up.
const KEPT: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Builds the runtime.
///
/// # Errors
/// If the event queue or the first thread cannot be created.
pub fn start() -> io::Result<Runtime> {
    let runtime =
        Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING).thread_keep_alive(KEPT).build()?;
    // Creates the first thread for blocking calls now, while the system has room for it.
    runtime.block_on(async { tokio::task::spawn_blocking(|| ()).await })?;
    Ok(runtime)
}
