//! What a worker reads from the server and tells it, in our own words.

use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::Value;

use super::briefs::{Brief, Briefs};
use super::client::{RestClient, Written};
use super::failure::CallFailure;
use super::trace::Trace;
use crate::run::claim::RunSight;
use crate::run::lack::Lack;
use crate::run::{Attempt, KillId, Outcome, RequestId, RunId, WorkerRequest, WorkerState};
use crate::wire::resources::{
    JobResource, KillRequestPatch, KillRequestResource, LogPatch, NewLog, ResourcePage, RunPatch, RunResource,
    WorkerPatch, WorkerResource, WorkerTells, run_id_of,
};
use crate::wire::{action, lack, resources, time};

#[cfg(test)]
mod tests;

/// How many runs and kills that wait are listed at once.
const LISTED: u64 = 100;
/// The most pages of a list that are read.
const MAX_PAGES: usize = 1000;

/// A run, as a look shows it.
#[derive(Clone, Debug)]
pub struct RunView {
    /// What that means to us.
    pub seen: RunSight,
    /// Whether it is pinned to us, claimed or not.
    pub mine: bool,
    /// Whether it is pinned to another worker, claimed or not.
    pub pinned_elsewhere: bool,
    /// Whether the server knows of a start.
    pub started: bool,
    /// The path of its log, if there is one.
    pub run_log: Option<String>,
    /// The path of its job.
    pub job: Option<String>,
    /// When it is due, as the server says it.
    pub scheduled_at: Option<String>,
    /// When it was claimed, as the server says it.
    pub claimed_at: Option<Value>,
    /// Which attempt is under way, if the server counts them.
    pub attempt: Option<Attempt>,
}

/// What we tell of ourselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusReport {
    /// How many runs at once.
    pub concurrent_jobs: u32,
    /// What we do.
    pub duty: WorkerState,
    /// Why we claim no runs for the time being.
    pub held: Vec<Lack>,
    /// How many seats are taken.
    pub seats_taken: u32,
    /// How many results wait.
    pub outbox: u32,
    /// Whether we can restart.
    pub restarts: bool,
    /// The request that we follow.
    pub follows: Option<RequestId>,
    /// The request that we have done last.
    pub done: Option<RequestId>,
}

/// What waits for a worker.
#[derive(Clone, Debug, Default)]
pub struct OpenWork {
    /// Runs.
    pub runs: Vec<RunId>,
    /// Whether these are all.
    pub is_all: bool,
    /// Kill requests.
    pub kills: Vec<KillId>,
}

/// A claim of ours: what is said of a run is said of this attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptClaim {
    /// The run.
    pub run: RunId,
    /// The attempt, if the server counts them.
    pub attempt: Option<Attempt>,
}

/// What is told of how a run ended.
#[derive(Clone, Copy, Debug)]
pub enum ToldResult<'a> {
    /// Whether it succeeded and, to a server that counts attempts, how it exited.
    Exit(&'a Outcome),
    /// Whether it succeeded.
    Success(bool),
}

/// A job, as far as it is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// The script; nothing where the server has something else in its place.
    pub script: Option<String>,
    /// How long a run may take, if the server says.
    pub run_timeout: Option<Duration>,
}

impl RunView {
    /// What a run means to the worker whose path is `me`.
    fn of(found: RunResource, me: &str) -> Self {
        let attempt = found.attempt();
        Self {
            seen: found.seen(me, Utc::now()),
            mine: found.worker.as_deref() == Some(me),
            pinned_elsewhere: found.worker.as_deref().is_some_and(|worker| worker != me),
            started: found.start_dts.is_some(),
            run_log: found.run_log,
            job: found.job,
            attempt,
            scheduled_at: found.schedule_dts.and_then(|at| at.as_str().map(str::to_owned)),
            claimed_at: found.enqueue_dts,
        }
    }
}

impl From<JobResource> for JobView {
    fn from(job: JobResource) -> Self {
        Self {
            script: match job.script_content {
                Some(Value::String(content)) => Some(content),
                _ => None,
            },
            run_timeout: job.run_timeout.and_then(|seconds| seconds.as_u64()).map(Duration::from_secs),
        }
    }
}

/// A kill request, as a look shows it.
#[derive(Clone, Copy, Debug)]
pub struct KillView {
    /// The run.
    pub run: Option<RunId>,
    /// Whether a worker took it.
    pub taken: bool,
    /// Whether it is done.
    pub executed: bool,
}

/// An incomplete run of ours, from a list.
#[derive(Clone, Debug)]
pub struct Incomplete {
    /// The run.
    pub run: RunId,
    /// When it was claimed, as the server says it.
    pub claimed_at: Option<Value>,
}

/// Which incomplete runs are listed.
#[derive(Clone, Copy, Debug)]
pub enum SeenRunState {
    /// Claimed and not started.
    InQueue,
    /// Started and not returned.
    Started,
}

/// Errors are the same for all: see [`Failure`].
#[allow(clippy::missing_errors_doc)]
impl RestClient {
    /// The path of the worker that signs these calls, asked for once.
    pub async fn me(&self) -> Result<&str, CallFailure> {
        self.me.get_or_try_init(|| async { Ok(self.worker().await?.resource_uri) }).await.map(String::as_str)
    }

    /// Whether our key and secret are accepted: what a refusal of something else is measured by.
    pub async fn credentials(&self) -> Result<(), CallFailure> {
        self.worker().await.map(drop)
    }

    async fn worker(&self) -> Result<WorkerResource, CallFailure> {
        let page: ResourcePage<WorkerResource> = match self.get(&self.line().settings.worker_resource).await {
            Err(CallFailure::Unauthorised(status)) => {
                self.health.credentials(false);
                return Err(CallFailure::Unauthorised(status));
            }
            answer => answer?,
        };
        self.health.credentials(true);
        let acts = |worker: WorkerResource| {
            self.acts.store(worker.actions == Some(Value::Bool(true)), Ordering::Relaxed);
            worker
        };
        let key = self.api_key().as_str();
        let mut workers = page.objects;
        match workers.len() {
            0 => Err(CallFailure::Nonsense(format!("there is no worker with the api_key {key}"))),
            1 => Ok(acts(workers.remove(0))),
            n => {
                let ours = workers.into_iter().find(|worker| worker.api_key.as_deref() == Some(key));
                ours.map(acts).ok_or_else(|| CallFailure::Nonsense(format!("{n} workers, none with the api_key {key}")))
            }
        }
    }

    /// Whether the server asks workers to do things, as far as it said by now.
    #[must_use]
    pub fn acts(&self) -> bool {
        self.acts.load(Ordering::Relaxed)
    }

    /// Answers a ping, or tells without one what we do; what is asked of us, if the server asks workers to do things. One
    /// that does not is told no more than it knows, and without a ping nothing.
    pub async fn tell(&self, facts: &StatusReport, pinged: bool) -> Result<Option<WorkerRequest>, CallFailure> {
        let me = self.me().await?;
        if !pinged && !self.acts() {
            return Ok(None);
        }
        let patch = WorkerPatch {
            ping_response_dts: time::sent(Utc::now()),
            worker_version: env!("CARGO_PKG_VERSION"),
            concurrent_jobs: facts.concurrent_jobs,
            tells: self.acts().then_some(WorkerTells {
                duty: facts.duty.word(),
                held: lack::list(&facts.held),
                seats_taken: facts.seats_taken,
                outbox: facts.outbox,
                restarts: facts.restarts,
                request_followed: facts.follows.map(RequestId::get),
                request_done: facts.done.map(RequestId::get),
            }),
        };
        let is_watched = !self.acts();
        if is_watched {
            self.look_for_another().await;
        }
        let written = self.write(Method::PATCH, me, None, &patch).await?;
        self.health.pinged();
        if is_watched {
            let shown = self.worker().await.ok().and_then(|worker| worker.ping_response_dts);
            self.trace().behind_answer(shown);
        }
        Ok(written.request.as_deref().and_then(action::read))
    }

    /// Says where somebody else answers pings with our key, as far as a server lets that be seen which does not refuse it.
    async fn look_for_another(&self) {
        let shown = self.worker().await.ok().and_then(|worker| worker.ping_response_dts);
        if self.trace().before_answer(shown) {
            tracing::warn!(
                target: "job_runner_worker.runner",
                "another worker uses the api_key {}: each start of one of the two resets the runs of the other; \
                 give each worker a key of its own",
                self.api_key()
            );
        }
    }

    fn trace(&self) -> MutexGuard<'_, Trace> {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a run back, for another to claim it: nothing of it is judged.
    pub async fn give_back(&self, claim: AttemptClaim) -> Result<(), CallFailure> {
        self.patch_run(claim, &RunPatch::reset()).await.map(drop)
    }

    /// Reads a run.
    pub async fn look(&self, run: RunId) -> Result<RunView, CallFailure> {
        let me = self.me().await?;
        let found: RunResource = self.get(&self.run_path(run)).await?;
        if found.id != run.get() {
            return Err(CallFailure::Nonsense(format!("asked for run {run}, the server shows run {}", found.id)));
        }
        Ok(RunView::of(found, me))
    }

    /// Keeps a run and its job that came with the order to execute it.
    pub fn announce(&self, run: RunId, shown: &[u8], job: &[u8]) {
        let read = resources::from_json::<RunResource>(shown)
            .and_then(|run| Ok((run, resources::from_json::<JobResource>(job)?)));
        if let Ok((found, job)) = read
            && found.id == run.get()
        {
            self.briefs().put(run, Brief { run: found, job: job.into() }, Instant::now());
        }
    }

    /// A run and its job that came with the order, if that was just now: as good as a look.
    pub async fn announced(&self, run: RunId) -> Result<Option<(RunView, JobView)>, CallFailure> {
        let Some(brief) = self.briefs().take(run, Instant::now()) else { return Ok(None) };
        Ok(Some((RunView::of(brief.run, self.me().await?), brief.job)))
    }

    /// Whether a run came with its order, over a connection that the server had us sign for.
    #[must_use]
    pub fn is_announced(&self, run: RunId) -> bool {
        self.briefs().has(run)
    }

    /// What waits for a worker, as the server lists it: the first runs that nobody has claimed and that may be ours, whether
    /// that is all of them, and the last kills that nobody has taken.
    pub async fn open(&self) -> Result<OpenWork, CallFailure> {
        let me = self.me().await?;
        let line = self.line();
        // A worker whose clock is behind finds out at the look that it is not due yet.
        let until = time::sent(Utc::now() + chrono::TimeDelta::minutes(1));
        let until: String = url::form_urlencoded::byte_serialize(until.as_bytes()).collect();
        let runs = &line.settings.run_resource;
        let page: ResourcePage<RunResource> =
            self.get(&format!("{runs}?state=scheduled&schedule_dts__lte={until}&limit={LISTED}")).await?;
        let is_all = page.meta.next.is_none();
        let mine = |run: &RunResource| run.worker.as_deref().is_none_or(|worker| worker == me);
        let runs = page.objects.into_iter().filter(mine).filter_map(|run| RunId::new(run.id)).collect();
        let kills = &line.settings.kill_request_resource;
        let page: ResourcePage<KillRequestResource> = self.get(&format!("{kills}?limit=1")).await?;
        let from = page.meta.total_count.unwrap_or(0).saturating_sub(LISTED);
        let page: ResourcePage<KillRequestResource> =
            self.get(&format!("{kills}?limit={LISTED}&offset={from}")).await?;
        let open = page.objects.into_iter().filter(|kill| kill.enqueue_dts.is_none());
        Ok(OpenWork { runs, is_all, kills: open.filter_map(|kill| kill.id.and_then(KillId::new)).collect() })
    }

    fn briefs(&self) -> MutexGuard<'_, Briefs> {
        self.briefs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims a run, since an instant: said again, it is the same claim. Which attempt of it that is, if the server counts
    /// them.
    pub async fn claim(&self, run: RunId, since: DateTime<Utc>) -> Result<Option<Attempt>, CallFailure> {
        let me = self.me().await?;
        let unclaimed = AttemptClaim { run, attempt: None };
        Ok(self.patch_run(unclaimed, &RunPatch::claim(since, me)).await?.attempt)
    }

    /// Tells that a script was started.
    pub async fn tell_start(&self, claim: AttemptClaim, at: &str, pid: Option<i32>) -> Result<(), CallFailure> {
        self.patch_run(claim, &RunPatch::start(at, pid)).await.map(drop)
    }

    /// Tells the result of a run. With a start for one that was never started. Nothing may be told of the run after it.
    pub async fn tell_result(
        &self,
        claim: AttemptClaim,
        at: &str,
        told: ToldResult<'_>,
        start: Option<&str>,
    ) -> Result<(), CallFailure> {
        let patch = match told {
            ToldResult::Exit(outcome) if claim.attempt.is_some() => {
                RunPatch::result(at, outcome.success(), start).with_exit(outcome)
            }
            ToldResult::Exit(outcome) => RunPatch::result(at, outcome.success(), start),
            ToldResult::Success(success) => RunPatch::result(at, success, start),
        };
        self.patch_run(claim, &patch).await.map(drop)
    }

    /// Makes an incomplete run due again.
    pub async fn reset(&self, run: RunId) -> Result<(), CallFailure> {
        self.give_back(AttemptClaim { run, attempt: None }).await
    }

    async fn patch_run(&self, claim: AttemptClaim, patch: &RunPatch) -> Result<Written, CallFailure> {
        self.write(Method::PATCH, &self.run_path(claim.run), claim.attempt, patch).await
    }

    fn run_path(&self, run: RunId) -> String {
        format!("{}{run}/", self.line().settings.run_resource)
    }

    /// The job at a path that a run named.
    pub async fn job(&self, job: &str) -> Result<JobView, CallFailure> {
        self.is_of_api(job)?;
        self.get::<JobResource>(job).await.map(JobView::from)
    }

    /// Makes the log of a run; its path, where the server names it.
    pub async fn new_log(&self, claim: AttemptClaim, content: &str) -> Result<Option<String>, CallFailure> {
        let log = NewLog { run: self.run_path(claim.run), content };
        let path = &self.line().settings.run_log_resource;
        let location = self.write(Method::POST, path, claim.attempt, &log).await?.location;
        // The server names it with its own host; what counts is the path.
        Ok(location.and_then(|to| self.line().settings.api_base_url.join(&to).ok()).map(|url| url.path().to_owned()))
    }

    /// Changes the log at a path.
    pub async fn change_log(&self, claim: AttemptClaim, path: &str, content: &str) -> Result<(), CallFailure> {
        self.write(Method::PATCH, path, claim.attempt, &LogPatch { content }).await.map(drop)
    }

    /// Appends to the log of a run that is `from` bytes long; the log's path. [`Failure::Unreachable`] where the server knows no
    /// such thing, and a rejection where the log has another length.
    pub async fn append_log(&self, claim: AttemptClaim, from: u64, text: &str) -> Result<Option<String>, CallFailure> {
        self.append(&self.run_path(claim.run), claim.attempt, from, text).await
    }

    /// Reads a kill request.
    pub async fn kill_request(&self, kill: KillId) -> Result<KillView, CallFailure> {
        let found: KillRequestResource = self.get(&self.kill_path(kill)).await?;
        Ok(KillView {
            run: found.run.as_deref().and_then(run_id_of),
            taken: found.enqueue_dts.is_some(),
            executed: found.execute_dts.is_some(),
        })
    }

    /// Tells that we took a kill request.
    pub async fn tell_kill_taken(&self, kill: KillId) -> Result<(), CallFailure> {
        let patch = KillRequestPatch { enqueue_dts: Some(time::sent(Utc::now())), ..KillRequestPatch::default() };
        self.write(Method::PATCH, &self.kill_path(kill), None, &patch).await.map(drop)
    }

    /// Tells that nothing is left alive of what was to be killed.
    pub async fn tell_kill_executed(&self, kill: KillId) -> Result<(), CallFailure> {
        let patch = KillRequestPatch { execute_dts: Some(time::sent(Utc::now())), ..KillRequestPatch::default() };
        self.write(Method::PATCH, &self.kill_path(kill), None, &patch).await.map(drop)
    }

    fn kill_path(&self, kill: KillId) -> String {
        format!("{}{kill}/", self.line().settings.kill_request_resource)
    }

    /// The incomplete runs of this worker.
    pub async fn incomplete(&self, state: SeenRunState) -> Result<Vec<Incomplete>, CallFailure> {
        let key: String = url::form_urlencoded::byte_serialize(self.api_key().as_str().as_bytes()).collect();
        let state = match state {
            SeenRunState::InQueue => "in_queue",
            SeenRunState::Started => "started",
        };
        let mut path = format!("{}?state={state}&worker__api_key={key}", self.line().settings.run_resource);
        let mut seen = std::collections::HashSet::new();
        let mut runs = Vec::new();
        while seen.len() < MAX_PAGES {
            let page: ResourcePage<RunResource> = self.get(&path).await?;
            runs.extend(
                page.objects
                    .into_iter()
                    .filter_map(|found| Some(Incomplete { run: RunId::new(found.id)?, claimed_at: found.enqueue_dts })),
            );
            if !seen.insert(path) {
                return Err(CallFailure::Nonsense("the pages of the list go in a circle".to_owned()));
            }
            match page.meta.next {
                None => return Ok(runs),
                Some(next) => path = next,
            }
        }
        Err(CallFailure::Nonsense(format!("the list has more than {MAX_PAGES} pages")))
    }
}
