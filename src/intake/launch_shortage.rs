//! Launch shortage: claimed runs that wait for their launch because the system is short of a resource. As long as one waits,
//! no other run is claimed.

use std::time::Duration;

use tokio::sync::watch;

/// First pause before a launch is tried again; doubled each time up to [`LAST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause between two tries.
const LAST_PAUSE: Duration = Duration::from_secs(15);

/// Runs that wait for their launch. Clones share the state.
#[derive(Clone, Debug, Default)]
pub struct LaunchShortage {
    waiting: watch::Sender<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    count: usize,
    /// Reason that the last waiting run was given.
    reason: String,
}

impl LaunchShortage {
    /// Returns the reason of a waiting run; `None` if none waits.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let waiting = self.waiting.borrow();
        (waiting.count > 0).then(|| waiting.reason.clone())
    }

    /// Subscribes to changes of the number of waiting runs.
    #[must_use]
    pub fn changes(&self) -> ShortageChanges {
        ShortageChanges(self.waiting.subscribe())
    }

    /// Registers a run that waits from now on, with the reason. It counts until the result is dropped.
    #[must_use]
    pub fn register(&self, reason: &str) -> ShortageWait {
        self.waiting.send_modify(|waiting| {
            waiting.count += 1;
            reason.clone_into(&mut waiting.reason);
        });
        ShortageWait { shortage: self.clone(), pause: FIRST_PAUSE }
    }
}

/// Subscription to the number of waiting runs.
#[derive(Debug)]
pub struct ShortageChanges(watch::Receiver<Waiting>);

impl ShortageChanges {
    /// Waits for the next change; for ever once there can be none.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // The sender is gone only when the worker leaves; then no change will end the shortage.
            std::future::pending().await
        }
    }
}

/// Registration of a waiting run. Dropping it ends the wait.
#[derive(Debug)]
pub struct ShortageWait {
    shortage: LaunchShortage,
    pause: Duration,
}

impl ShortageWait {
    /// Returns the pause before the next try, which is longer each time.
    pub fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(LAST_PAUSE);
        pause
    }
}

impl Drop for ShortageWait {
    fn drop(&mut self) {
        self.shortage.waiting.send_modify(|waiting| waiting.count -= 1);
    }
}
