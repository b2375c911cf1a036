//! Calls of a worker: reads runs, jobs, kill requests and lists from the server, and writes claims, starts, logs,
//! results and status reports. The types here are the worker's view of the resources in [`crate::wire::resources`].

use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::time::Instant;

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::Value;

use super::briefs::{Brief, Briefs};
use super::client::{RefusedTell, RestClient, Written};
use super::job_view::JobView;
use super::trace::Trace;
use crate::run::claim::RunSight;
use crate::run::lack::Lack;
use crate::run::{Attempt, KillId, Outcome, RequestId, RunId, WorkerRequest, WorkerState};
use crate::upstream::failure::CallFailure;
use crate::wire::resources::{
    JobResource, KillRequestPatch, KillRequestResource, LogPatch, NewLog, ResourcePage, RunPatch, RunResource,
    WorkerPatch, WorkerResource, WorkerTells, run_id_of,
};
use crate::wire::uplink::DueContent;
use crate::wire::uplink::job_versions::JobVersions;
use crate::wire::{action, lack, resources, time, uplink};

#[cfg(test)]
mod tests;

/// Most runs, and most kill requests, that one read of the open work lists.
const LISTED: u64 = 100;
/// Most pages of a list that are read before the list counts as endless.
const MAX_PAGES: usize = 1000;

/// Run, as a read of it shows it to this worker.
#[derive(Clone, Debug)]
pub struct RunView {
    /// State of the run from the point of view of this worker.
    pub seen: RunSight,
    /// Whether the run is pinned to this worker, claimed or not.
    pub mine: bool,
    /// Whether the run is pinned to another worker, claimed or not.
    pub pinned_elsewhere: bool,
    /// Whether the server knows of a start.
    pub started: bool,
    /// Path of the run's log; `None` while the server has none.
    pub run_log: Option<String>,
    /// Path of the run's job; `None` where the server does not name it.
    pub job: Option<String>,
    /// Timestamp at which the run is due, in the server's notation.
    pub scheduled_at: Option<String>,
    /// Timestamp of the claim, in the server's notation; used only for comparison.
    pub claimed_at: Option<Value>,
    /// Attempt that is under way; `None` where the server does not count attempts.
    pub attempt: Option<Attempt>,
}

/// Status report of this worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusReport {
    /// Number of slots: runs that the worker executes at once.
    pub concurrent_jobs: u32,
    /// State of the worker, such as awake or draining.
    pub duty: WorkerState,
    /// Reasons why an awake worker claims no runs for now; empty where it claims.
    pub held: Vec<Lack>,
    /// Slots that are taken.
    pub seats_taken: u32,
    /// Results that wait to be taken by the server.
    pub outbox: u32,
    /// Whether the worker can restart itself.
    pub restarts: bool,
    /// Command that is being carried out.
    pub follows: Option<RequestId>,
    /// Command that was carried out last.
    pub done: Option<RequestId>,
}

/// Runs and kill requests that are open for this worker.
#[derive(Clone, Debug, Default)]
pub struct OpenWork {
    /// Runs that are unclaimed and not pinned to another worker, in the order of the server's list.
    pub runs: Vec<RunId>,
    /// Whether `runs` is complete, or the server has further pages.
    pub is_all: bool,
    /// Kill requests that no worker has taken.
    pub kills: Vec<KillId>,
}

/// Claim of this worker: all that is reported of a run is reported of this attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptClaim {
    /// The run that is claimed.
    pub run: RunId,
    /// Attempt that the claim began; `None` where the server does not count attempts.
    pub attempt: Option<Attempt>,
}

/// Part of a result that is reported.
#[derive(Clone, Copy, Debug)]
pub enum ToldResult<'a> {
    /// Success and, to a server that counts attempts, how the script exited.
    Exit(&'a Outcome),
    /// Success or failure alone.
    Success(bool),
}

impl RunView {
    /// Interprets a run for the worker whose path is `me`.
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

/// Kill request, as a read of it shows it.
#[derive(Clone, Copy, Debug)]
pub struct KillView {
    /// Run that is to be killed; `None` where the server names none that can be read.
    pub run: Option<RunId>,
    /// Whether a worker took the request.
    pub taken: bool,
    /// Whether the request was carried out.
    pub executed: bool,
}

/// Incomplete run of this worker, from a list.
#[derive(Clone, Debug)]
pub struct Incomplete {
    /// The run that is incomplete.
    pub run: RunId,
    /// Timestamp of the claim, in the server's notation; used only for comparison.
    pub claimed_at: Option<Value>,
}

/// Filter for the list of incomplete runs.
#[derive(Clone, Copy, Debug)]
pub enum SeenRunState {
    /// Claimed, and not started.
    InQueue,
    /// Started, and not returned.
    Started,
}

/// All calls fail in the same ways; see [`CallFailure`].
impl RestClient {
    /// Returns the path of the worker that signs these calls; read once and then remembered.
    pub async fn me(&self) -> Result<&str, CallFailure> {
        self.me.get_or_try_init(|| async { Ok(self.worker().await?.resource_uri) }).await.map(String::as_str)
    }

    /// Checks whether the server accepts the API key and the secret. A refusal of another call is about the credentials
    /// only if this one is refused too.
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
            // A single worker is the one that signs, even where an old server does not show its key.
            1 => Ok(acts(workers.remove(0))),
            n => {
                let ours = workers.into_iter().find(|worker| worker.api_key.as_deref() == Some(key));
                ours.map(acts).ok_or_else(|| CallFailure::Nonsense(format!("{n} workers, none with the api_key {key}")))
            }
        }
    }

    /// Returns whether the server sends commands to workers, as far as it said so by now.
    #[must_use]
    pub fn acts(&self) -> bool {
        self.acts.load(Ordering::Relaxed)
    }

    /// Sends a status report, as the answer to a ping or without one. Returns the command that waits for this worker,
    /// if any. A server without commands gets only the fields that it knows, and without a ping no report at all.
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
        // A server with commands refuses a second instance by itself; only at others this worker has to look for one.
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

    /// Warns once where another worker answers pings with the same API key, as far as a server without commands lets
    /// that be seen.
    async fn look_for_another(&self) {
        let shown = self.worker().await.ok().and_then(|worker| worker.ping_response_dts);
        if self.trace().before_answer(shown) {
            tracing::warn!(
                target: "job_runner_worker.runner",
                worker = %self.api_key(),
                "another worker uses this api_key; each start of one of the two resets the runs of the other; give each \
                 worker a key of its own"
            );
        }
    }

    fn trace(&self) -> MutexGuard<'_, Trace> {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a run back for another worker to claim; it counts neither as success nor as failure.
    pub async fn give_back(&self, claim: AttemptClaim) -> Result<(), CallFailure> {
        self.patch_run(claim, &RunPatch::reset()).await.map(drop)
    }

    /// Reads a run and interprets it for this worker.
    pub async fn look(&self, run: RunId) -> Result<RunView, CallFailure> {
        let me = self.me().await?;
        let found: RunResource = self.get(&self.run_path(run)).await?;
        // An answer about another run, as from a faulty cache, must not decide about this one.
        if found.id != run.get() {
            return Err(CallFailure::Nonsense(format!("asked for run {run}, the server shows run {}", found.id)));
        }
        Ok(RunView::of(found, me))
    }

    /// Keeps a run and its job that came with the order to execute it. A job that was sent before is taken from those that
    /// are kept; where it is not among them, it is read when it is needed. A run that cannot be read, or is another one, is
    /// dropped. So is a job without a script: it may be no job at all, and the read of it tells.
    pub fn announce(&self, run: RunId, content: DueContent<'_>) {
        let Ok(found) = resources::from_json::<RunResource>(content.run) else { return };
        if found.id != run.get() {
            return;
        }
        let job = match content.version {
            Some(version) if content.job.is_empty() => self.jobs().find(&version).cloned(),
            version => {
                let Ok(job) = resources::from_json::<JobResource>(content.job).map(JobView::from) else { return };
                if job.script.is_none() {
                    return;
                }
                if let Some(version) = version {
                    self.jobs().remember(version, content.job.len(), job.clone());
                }
                Some(job)
            }
        };
        self.briefs().put(run, Brief { run: found, job }, Instant::now());
    }

    /// Takes the run and the job that came with a recent order; as good as a read. `None` where there is none that is
    /// recent enough, and for a job that is still to be read.
    pub async fn announced(&self, run: RunId) -> Result<Option<(RunView, Option<JobView>)>, CallFailure> {
        let Some(brief) = self.briefs().take(run, Instant::now()) else { return Ok(None) };
        Ok(Some((RunView::of(brief.run, self.me().await?), brief.job)))
    }

    /// Returns whether a run came with its order, over a connection that was signed for.
    #[must_use]
    pub fn is_announced(&self, run: RunId) -> bool {
        self.briefs().has(run)
    }

    /// Reads the open work: the first unclaimed runs that this worker may claim, whether these are all, and the last
    /// kill requests that no worker has taken.
    pub async fn open(&self) -> Result<OpenWork, CallFailure> {
        let me = self.me().await?;
        let line = self.line();
        // One minute ahead: a worker whose clock is behind still lists runs that are due. A run that is listed too
        // early is found out when it is read.
        let until = time::sent(Utc::now() + chrono::TimeDelta::minutes(1));
        let until: String = url::form_urlencoded::byte_serialize(until.as_bytes()).collect();
        let runs = &line.settings.run_resource;
        let page: ResourcePage<RunResource> =
            self.get(&format!("{runs}?state=scheduled&schedule_dts__lte={until}&limit={LISTED}")).await?;
        let is_all = page.meta.next.is_none();
        let mine = |run: &RunResource| run.worker.as_deref().is_none_or(|worker| worker == me);
        let runs = page.objects.into_iter().filter(mine).filter_map(|run| RunId::new(run.id)).collect();
        let kills = &line.settings.kill_request_resource;
        // Two reads: the number of kill requests first, and then the last page of them, where those that are not taken
        // are.
        let page: ResourcePage<KillRequestResource> = self.get(&format!("{kills}?limit=1")).await?;
        let from = page.meta.total_count.unwrap_or(0).saturating_sub(LISTED);
        let page: ResourcePage<KillRequestResource> =
            self.get(&format!("{kills}?limit={LISTED}&offset={from}")).await?;
        let open = page.objects.into_iter().filter(|kill| kill.enqueue_dts.is_none());
        Ok(OpenWork { runs, is_all, kills: open.filter_map(|kill| kill.id.and_then(KillId::new)).collect() })
    }

    fn jobs(&self) -> MutexGuard<'_, JobVersions<JobView>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn briefs(&self) -> MutexGuard<'_, Briefs> {
        self.briefs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims a run as of `since`; a claim that is sent again with the same timestamp is the same claim. Returns the
    /// attempt that it began, or `None` where the server does not count attempts.
    pub async fn claim(&self, run: RunId, since: DateTime<Utc>) -> Result<Option<Attempt>, CallFailure> {
        let me = self.me().await?;
        // The claim itself begins the attempt, so it names none.
        let unclaimed = AttemptClaim { run, attempt: None };
        Ok(self.patch_run(unclaimed, &RunPatch::claim(since, me)).await?.attempt)
    }

    /// Reports that a script was started, with its pid if the server is to know it.
    pub async fn tell_start(&self, claim: AttemptClaim, at: &str, pid: Option<i32>) -> Result<(), CallFailure> {
        self.patch_run(claim, &RunPatch::start(at, pid)).await.map(drop)
    }

    /// Reports the result of a run, with a start for a run that has none at the server. Nothing may be reported of the
    /// run after it.
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

    /// Makes an incomplete run due again, whatever its attempt.
    pub async fn reset(&self, run: RunId) -> Result<(), CallFailure> {
        self.give_back(AttemptClaim { run, attempt: None }).await
    }

    async fn patch_run(&self, claim: AttemptClaim, patch: &RunPatch) -> Result<Written, CallFailure> {
        self.write(Method::PATCH, &self.run_path(claim.run), claim.attempt, patch).await
    }

    fn run_path(&self, run: RunId) -> String {
        format!("{}{run}/", self.line().settings.run_resource)
    }

    /// Reads the job at a path that a run named. A path outside the API is refused without a request.
    pub async fn job(&self, job: &str) -> Result<JobView, CallFailure> {
        // The path comes from the run, and only paths of the API get a signed request.
        self.is_of_api(job)?;
        self.get::<JobResource>(job).await.map(JobView::from)
    }

    /// Creates the log of a run. Returns the path of the log, where the server names it.
    pub async fn new_log(&self, claim: AttemptClaim, content: &str) -> Result<Option<String>, CallFailure> {
        let log = NewLog { run: self.run_path(claim.run), content };
        let path = &self.line().settings.run_log_resource;
        let location = self.write(Method::POST, path, claim.attempt, &log).await?.location;
        // The server names the log with its own host name, which may differ from the configured one; only the path
        // counts.
        Ok(location.and_then(|to| self.line().settings.api_base_url.join(&to).ok()).map(|url| url.path().to_owned()))
    }

    /// Replaces the content of the log at a path.
    pub async fn change_log(&self, claim: AttemptClaim, path: &str, content: &str) -> Result<(), CallFailure> {
        self.write(Method::PATCH, path, claim.attempt, &LogPatch { content }).await.map(drop)
    }

    /// Appends to the log of a run whose log has `from` bytes so far; returns the path of the log. The failure is
    /// [`CallFailure::Unreachable`] without a WebSocket to the server, and [`CallFailure::Rejected`] where the log has
    /// another length.
    pub async fn append_log(&self, claim: AttemptClaim, from: u64, text: &str) -> Result<Option<String>, CallFailure> {
        self.append(&self.run_path(claim.run), claim.attempt, from, text).await
    }

    /// Tells all of a run that the change and the text of the log say, the text from the byte `from` of the log on; returns
    /// the path of the log, where a text was told. The failure is [`CallFailure::Unreachable`] without a WebSocket to a
    /// server that knows such calls, and names the part that was refused where the parts before it are taken.
    pub async fn tell_run(
        &self,
        claim: AttemptClaim,
        change: &RunPatch,
        log: Option<(u64, &str)>,
    ) -> Result<Option<String>, RefusedTell> {
        let (from, text) = log.map_or((None, ""), |(from, text)| (Some(from), text));
        let body = uplink::message(change, text.as_bytes());
        self.tell_up(&self.run_path(claim.run), claim.attempt, from, body).await
    }

    /// Reads a kill request: its run, and how far it is carried out.
    pub async fn kill_request(&self, kill: KillId) -> Result<KillView, CallFailure> {
        let found: KillRequestResource = self.get(&self.kill_path(kill)).await?;
        Ok(KillView {
            run: found.run.as_deref().and_then(run_id_of),
            taken: found.enqueue_dts.is_some(),
            executed: found.execute_dts.is_some(),
        })
    }

    /// Reports that this worker took a kill request.
    pub async fn tell_kill_taken(&self, kill: KillId) -> Result<(), CallFailure> {
        let patch = KillRequestPatch { enqueue_dts: Some(time::sent(Utc::now())), ..KillRequestPatch::default() };
        self.write(Method::PATCH, &self.kill_path(kill), None, &patch).await.map(drop)
    }

    /// Reports that no process of the run that was to be killed is alive.
    pub async fn tell_kill_executed(&self, kill: KillId) -> Result<(), CallFailure> {
        let patch = KillRequestPatch { execute_dts: Some(time::sent(Utc::now())), ..KillRequestPatch::default() };
        self.write(Method::PATCH, &self.kill_path(kill), None, &patch).await.map(drop)
    }

    fn kill_path(&self, kill: KillId) -> String {
        format!("{}{kill}/", self.line().settings.kill_request_resource)
    }

    /// Lists all incomplete runs of this worker in a state, over all pages of the list.
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
            // Pages that repeat are noticed at once, not only after `MAX_PAGES` requests.
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
