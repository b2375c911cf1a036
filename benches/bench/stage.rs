//! A stub and a worker before it.

use std::path::Path;
use std::time::Duration;

use super::failure::Failure;
use super::stub::{API_KEY, SECRET, Slowness, Stub};
use super::worker::{Make, Worker};
use super::{proc, script};

/// How long a worker may take to be there, or a script to be noticed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a worker is tried whose events are not heard.
const WARM_UPS: usize = 5;
/// How long an event may be under way.
const HEARING: Duration = Duration::from_secs(1);

/// How a stage is set.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    pub make: &'a Make,
    pub seats: usize,
    pub slowness: Option<Slowness>,
}

/// A stub and a worker before it.
pub struct Stage {
    // Gone before the server that it would otherwise miss.
    pub worker: Worker,
    pub stub: Stub,
    /// How long after its start the worker answered.
    pub answered_after: Duration,
}

impl Stage {
    /// Starts both, and waits until the worker answers.
    pub async fn set(setting: Setting<'_>) -> Result<Self, Failure> {
        Self::prepared(setting, async |_, _| Ok(())).await
    }

    /// Lets something happen in the worker's folder before it starts.
    pub async fn prepared(
        setting: Setting<'_>,
        prepare: impl AsyncFnOnce(&Stub, &Path) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        let stub = Stub::start(setting.slowness).await?;
        let settings = [
            ("api_base_url", format!("http://{}/", stub.http)),
            ("api_key", API_KEY.to_owned()),
            ("secret", SECRET.to_owned()),
            ("concurrent_jobs", setting.seats.to_string()),
            ("ws_server_hostname", "127.0.0.1".to_owned()),
            ("ws_server_port", stub.events.to_string()),
            ("broadcaster_server_hostname", "127.0.0.1".to_owned()),
            ("broadcaster_server_port", stub.broadcaster.to_string()),
        ];
        let worker = Worker::start(setting.make, &settings, async |folder| prepare(&stub, folder).await).await?;
        let mut stage = Self { worker, stub, answered_after: Duration::ZERO };
        stage.told(stage.stub.answered(PATIENCE).await)?;
        stage.answered_after = stage.worker.began.elapsed();
        Ok(stage)
    }

    /// Lets the worker execute a run, again until its events are heard: what it says to nobody is lost.
    pub async fn warm_up(&self) -> Result<(), Failure> {
        for _ in 0..WARM_UPS {
            let run = self.stub.make(script::NOTHING, 1);
            let returned = self.stub.look(|ledger| ledger.counts.returned);
            self.stub.announce(&run)?;
            self.over(returned + 1, 0, PATIENCE).await?;
            if self.stub.until("event", HEARING, |counts| counts.heard > 0).await.is_ok() {
                return Ok(());
            }
        }
        self.told(Err(Failure("no events are heard".to_owned())))
    }

    /// A failure is told with what the worker has said last.
    pub fn told<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        result.map_err(|failure| Failure(format!("{failure}{}", self.worker.last_words())))
    }

    /// Announces all at once and waits until all have returned and said so.
    pub async fn burst(&self, runs: &[usize], patience: Duration) -> Result<(), Failure> {
        let (returned, heard) = self.stub.look(|ledger| (ledger.counts.returned, ledger.counts.heard));
        self.stub.announce(runs)?;
        self.over(returned + runs.len(), heard + runs.len(), patience).await
    }

    /// Waits until so many runs have returned, in all, and so many events say so.
    pub async fn over(&self, returned: usize, heard: usize, patience: Duration) -> Result<(), Failure> {
        let over = move |counts: &super::stub::Counts| counts.returned >= returned && counts.heard >= heard;
        let over = self.stub.until("return of all runs", patience, over).await;
        self.told(over)
    }

    /// Checks that these runs were executed once each, well, and told in the right order.
    pub fn judge(&self, runs: &[usize]) -> Result<(), Failure> {
        let wrong = self.stub.look(|ledger| {
            let is_wrong = |run: &&usize| {
                let run = &ledger.runs[**run];
                let once = run.starts == 1 && run.returns == 1 && run.success == Some(true);
                let told = run.heard_enqueued > 0 && run.heard_started > 0 && run.heard_returned > 0;
                let logged = run.logged > 0 && run.logged <= run.returned && run.claimed > 0 && run.pid.is_some();
                !(once && told && logged)
            };
            let wrong = runs.iter().find(is_wrong).map(|run| format!("{:?}", ledger.runs[*run]));
            wrong.or_else(|| (ledger.counts.unsigned > 0).then(|| format!("{:?}", ledger.counts)))
        });
        self.told(wrong.map_or(Ok(()), |wrong| Err(Failure(format!("not as it should be: {wrong}")))))
    }

    /// Seconds that the worker has worked so far, with its children that ended.
    pub fn worked(&self) -> f64 {
        proc::worked(self.worker.pid).unwrap_or(0.0)
    }
}
