//! Runs that are claimed and wait to be launched, because the system has too little of something. As long as one waits,
//! no other is claimed.

use std::time::Duration;

use tokio::sync::watch;

/// The first pause before a launch is tried again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause.
const LAST_PAUSE: Duration = Duration::from_secs(15);

/// All who wait.
#[derive(Clone, Debug, Default)]
pub struct Shortage {
    waiting: watch::Sender<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    count: usize,
    /// What the last of them met.
    why: String,
}

impl Shortage {
    /// What keeps a run from being launched, while something does.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        let waiting = self.waiting.borrow();
        (waiting.count > 0).then(|| waiting.why.clone())
    }

    /// To be told when that changes.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes(self.waiting.subscribe())
    }

    /// Somebody waits from now on.
    #[must_use]
    pub fn met(&self, why: &str) -> Wait {
        self.waiting.send_modify(|waiting| {
            waiting.count += 1;
            why.clone_into(&mut waiting.why);
        });
        Wait { shortage: self.clone(), pause: FIRST_PAUSE }
    }
}

/// Tells of changes.
#[derive(Debug)]
pub struct Changes(watch::Receiver<Waiting>);

impl Changes {
    /// Waits for the next.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

/// Somebody who waits, until it is dropped.
#[derive(Debug)]
pub struct Wait {
    shortage: Shortage,
    pause: Duration,
}

impl Wait {
    /// How long until the next try.
    pub fn pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(LAST_PAUSE);
        pause
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.shortage.waiting.send_modify(|waiting| waiting.count -= 1);
    }
}
