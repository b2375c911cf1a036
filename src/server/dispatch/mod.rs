//! Dispatcher: announces due runs, forwards kill requests, enforces time limits, pings workers, and finds lost ones.
//!
//! One task waits for changes and for timers, and then makes a pass that reads the current state from the store: a
//! change that was missed delays an action and loses none. Runs are due by the wall clock; patience with workers,
//! repeats and time limits go by the monotonic clock.
//!
//! `agenda`, `timers`, `limits`, `offers` and `worker_table` hold the state between passes and decide, as pure code;
//! `lost_workers` has the store mark the runs of silent workers as lost, and publishes who is silent;
//! `wall_clock` wakes the dispatcher when a run is due, or when the clock is set.

mod agenda;
#[cfg(test)]
mod histories;
mod limits;
mod lost_workers;
mod offers;
pub(in crate::server) mod published_silence;
mod timers;
pub(in crate::server) mod waiting;
mod wall_clock;
mod worker_table;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::peers::{Duty, PeerMessage, listener};
use super::state::AppState;
use super::store::{Claim, JobEvaluation, Offer, PassQuestions, Started, StartedRun, Store, StoreError};
use crate::run::{ApiKey, KillId, Order, RequestId, RunId, chain_of};
use crate::server::domain::model::{self, JobId, PoolId, WorkerId};
use crate::server::domain::schedule::due_decision::WaitReason;
use crate::server::domain::wait_reasons::WaitReasons;
use crate::server::domain::worker_state::NotTakingRuns;
use crate::server::store::changes::{Change, Subscription};
use agenda::Agenda;
use limits::{LimitOrigin, RunLimits};
use offers::Offers;
use timers::Timers;
pub use wall_clock::WallClockTimer;
use worker_table::{WorkerChoice, WorkerTable};

/// Jobs that one pass evaluates before it looks for new changes.
const LOOKS: usize = 100;
/// Jobs that are evaluated in one transaction, which holds back all other changes: a millisecond or two.
const TOGETHER: usize = 16;
/// Changes, and arrivals, that are taken in together before a pass.
const HEARD: usize = 4096;
/// Snapshots of the workers that one pass takes at most, while changes of workers keep coming in.
const SNAPSHOTS: usize = 3;
/// Shares in which workers are pinged, one after the other in an interval, so that a thousand do not all answer at
/// once.
const SHARES: u32 = 20;
/// Pause after a failed pass, and after a failure of the wall-clock timer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Dispatches until the server stops, whenever this server is the one that does.
pub async fn work(app: Arc<AppState>, wall: WallClockTimer, stop: CancellationToken) {
    let mut duty = app.peers.duty();
    loop {
        let lease = match duty.borrow_and_update().clone() {
            Duty::Here(lease) => Some(lease),
            Duty::Elsewhere => None,
        };
        let dispatched = async {
            let Some(lease) = lease else { return std::future::pending().await };
            begin(&app);
            let store = app.store.under(lease);
            let clocks = Clocks { wall: Utc::now, monotonic: Instant::now };
            Dispatcher::new(Arc::clone(&app), store, clocks).work(&wall).await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            // What it had begun to change is finished, or refused because the lease is lost.
            changed = duty.changed() => if changed.is_err() { return },
            () = dispatched => return,
        }
    }
}

/// Forgets what another dispatcher told before this one: it finds out itself.
fn begin(app: &AppState) {
    app.peers.send(&PeerMessage::DispatcherChanged);
    listener::forget_dispatch(app);
}

/// Clocks of a dispatcher; tests set their own.
#[derive(Clone, Copy)]
struct Clocks {
    wall: fn() -> model::Timestamp,
    monotonic: fn() -> Instant,
}

struct Dispatcher {
    app: Arc<AppState>,
    /// The store, for as long as this server is the one that dispatches.
    store: Store,
    clocks: Clocks,
    news: Subscription,
    arrivals: broadcast::Receiver<ApiKey>,
    agenda: Agenda,
    workers: WorkerTable,
    offers: Offers,
    /// Instants at which announced runs that no worker has claimed are announced again.
    repeats: Timers<RunId>,
    /// Instants at which kill requests that no worker has taken are sent again.
    kills: Timers<KillId>,
    /// Instants at which workers that have not confirmed receipt of a request are reminded of it.
    attends: Timers<(WorkerId, RequestId)>,
    /// Started runs, and the instants at which they exceed their limits.
    limits: RunLimits,
    /// Runs announced in this pass. A worker whose arrival was heard before it has received them, and needs no other announcement.
    announced_in_pass: BTreeSet<RunId>,
    next_ping: Instant,
    /// Number of the share of workers that was pinged last.
    share: u32,
    /// Wall-clock time up to which due runs were gathered.
    seen: model::Timestamp,
    /// Newest run at that time.
    newest: Option<RunId>,
    /// Wall-clock time at which the next run is due.
    next_due: Option<model::Timestamp>,
    /// Number of runs that each worker had claimed when the pass began. What is announced since is counted by the offers.
    slots_taken: BTreeMap<WorkerId, u32>,
    /// Whether a slot that is free in `slots_taken` may be free for a run that waits for one.
    fills_slots: bool,
    /// Runs that wait for reasons that are not recorded yet, and since when.
    unrecorded: BTreeMap<RunId, (model::Run, WaitReasons, model::Timestamp)>,
    /// Number of jobs that are evaluated in one transaction.
    together: usize,
}

impl Dispatcher {
    fn new(app: Arc<AppState>, store: Store, clocks: Clocks) -> Self {
        let patience = app.settings.patience();
        Self {
            news: app.changes().subscribe(),
            arrivals: app.orders.arrivals(),
            // The first pass reads everything: runs came due and workers fell silent while no server ran.
            agenda: Agenda { must_reread_all: true, ..Agenda::default() },
            workers: WorkerTable::new(patience),
            offers: Offers::default(),
            repeats: Timers::new(),
            kills: Timers::new(),
            attends: Timers::new(),
            limits: RunLimits::new(),
            announced_in_pass: BTreeSet::new(),
            next_ping: (clocks.monotonic)(),
            share: 0,
            seen: (clocks.wall)(),
            clocks,
            newest: None,
            next_due: None,
            slots_taken: BTreeMap::new(),
            fills_slots: false,
            unrecorded: BTreeMap::new(),
            together: TOGETHER,
            app,
            store,
        }
    }

    async fn work(&mut self, wall: &WallClockTimer) {
        loop {
            self.await_store().await;
            match self.pass((self.clocks.monotonic)()).await {
                // Jobs are left. Changes are taken in between, so that they do not pile up behind a long agenda.
                Ok(true) => {
                    self.take_changes();
                    continue;
                }
                // Changes that came in during the pass are handled before any waiting.
                Ok(false) if self.agenda != Agenda::default() => continue,
                Ok(false) => {}
                Err(StoreError::LeaseLost) => {
                    // Whoever waits for the duty ends this dispatcher as soon as that is known here.
                    self.app.peers.lease_lost();
                    return std::future::pending().await;
                }
                Err(e) => {
                    if !e.is_outage() {
                        tracing::error!(
                            target: "job_runner.dispatch",
                            error = %chain_of(&e),
                            wait_s = RETRY_PAUSE.as_secs(),
                            "dispatch pass failed; retrying"
                        );
                    }
                    self.agenda.must_reread_all = true;
                    self.app.store.report_failure();
                    // Pauses unconditionally, also while changes come in: an operation that fails at once would
                    // otherwise fail thousands of times a second.
                    sleep(RETRY_PAUSE).await;
                    continue;
                }
            }
            if !self.wait(wall).await {
                return;
            }
        }
    }

    /// Pauses the dispatcher while the store cannot be written: nothing could be recorded, neither announcements nor
    /// the answers of workers. Afterwards all workers have as long to answer as after a start of the server.
    async fn await_store(&mut self) {
        if self.app.store.outage().is_some() {
            self.app.store.writable().await;
            self.workers.reset_silence((self.clocks.monotonic)());
            self.agenda.must_reread_all = true;
        }
    }

    /// Waits for a change, an arrival or a timer; `false` if no more changes will come.
    async fn wait(&mut self, wall: &WallClockTimer) -> bool {
        let next = self.next_timer().into_iter().fold(self.next_ping, Instant::min);
        tokio::select! {
            heard = self.news.next() => if !self.agenda.note(heard) { return false },
            arrived = self.arrivals.recv() => match arrived {
                Ok(key) => self.agenda.arrived.push(key),
                // Missed arrivals need no repair: what is announced is announced again, and so are kills and requests.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return false,
            },
            () = sleep_until(next) => {}
            () = await_wall(wall, self.next_due, (self.clocks.wall)()) => {}
        }
        self.take_changes();
        true
    }

    /// Returns the next instant at which something is to be done without a change, apart from pings.
    fn next_timer(&self) -> Option<Instant> {
        let timers = [self.repeats.next(), self.kills.next(), self.attends.next(), self.limits.next()];
        timers.into_iter().chain([self.workers.next_silence()]).flatten().min()
    }

    /// Returns the store for a query; a test injects failures here.
    fn store(&self) -> Result<&Store, StoreError> {
        #[cfg(test)]
        histories::pass_question()?;
        Ok(&self.store)
    }

    /// Takes in all changes and arrivals that are queued, up to a bound, so that one pass serves all of them.
    fn take_changes(&mut self) {
        for _ in 0..HEARD {
            match self.news.try_next() {
                Some(heard) => drop(self.agenda.note(heard)),
                None => break,
            }
        }
        for _ in 0..HEARD {
            match self.arrivals.try_recv() {
                Ok(key) => self.agenda.arrived.push(key),
                Err(_) => break,
            }
        }
    }

    /// Handles everything on the agenda; `true` if jobs are left for another pass.
    ///
    /// A pass may fail at any await: an item leaves the agenda only once its action is done.
    async fn pass(&mut self, now: Instant) -> Result<bool, StoreError> {
        self.announced_in_pass.clear();
        self.gather(now).await?;
        // Changes of workers are published before the runs that are made for them. Hearing them here, a run is evaluated
        // with a snapshot that has its workers.
        for _ in 0..SNAPSHOTS {
            self.take_changes();
            if self.agenda.must_reread_all || self.agenda.workers {
                self.snapshot(now).await?;
            }
        }
        self.lose_the_silent(now).await?;
        self.show_the_silent();
        self.gather_work(now).await?;
        self.kill(now).await?;
        self.attend(now);
        self.limit(now).await?;
        self.ping(now);
        let looked = self.evaluate(now).await?;
        // Only once all jobs are evaluated: before, an offer may be of a run that may not run any more.
        if !looked {
            self.greet();
        }
        Ok(looked)
    }

    async fn snapshot(&mut self, now: Instant) -> Result<(), StoreError> {
        let snapshot = self.store()?.worker_snapshot().await?;
        // Rebuilt as a whole, so that requests that were confirmed, cancelled or replaced leave no timer. New ones are
        // due now.
        let mut attends = Timers::new();
        for worker in &snapshot.workers {
            if let Some(asked) = worker.open_request().filter(|asked| asked.heard.is_none()) {
                let key = (worker.id, asked.request.id);
                attends.set(key, self.attends.at(key).unwrap_or(now));
            }
        }
        self.attends = attends;
        let changed = self.workers.update(snapshot, now);
        self.agenda.workers = false;
        self.agenda.has_free_slots |= changed;
        self.agenda.due |= changed;
        Ok(())
    }

    /// Reads from the store what the agenda asks for as a whole, such as after missed changes.
    async fn gather_work(&mut self, now: Instant) -> Result<(), StoreError> {
        let (zone, wall) = (self.app.settings.time_zone, (self.clocks.wall)());
        if self.agenda.must_reread_all {
            self.agenda.due |= self.workers.note_claims(&self.store()?.claims().await?, now);
            // Announced runs may be over: they are not to be announced to a worker that arrives.
            self.agenda.jobs.extend(self.offers.jobs());
        }
        if self.agenda.must_reread_all || self.agenda.due {
            self.agenda.jobs.extend(self.store()?.jobs_due(wall).await?);
            self.agenda.due = false;
        }
        if self.agenda.must_reread_all || self.agenda.plans {
            self.agenda.jobs.extend(self.store()?.jobs_off_plan(zone, wall).await?);
            self.agenda.plans = false;
        }
        if self.agenda.must_reread_all {
            self.agenda.requested_kills.extend(self.store()?.open_kills().await?);
            let runs = self.note_started(Started::All, LimitOrigin::InStore(wall), now).await?;
            self.limits.keep(&runs);
            self.agenda.must_reread_all = false;
        }
        Ok(())
    }

    /// Reads what has come due, and what became of the runs of which changes told.
    async fn gather(&mut self, now: Instant) -> Result<(), StoreError> {
        let wall = (self.clocks.wall)();
        if wall < self.seen {
            self.store()?.stay_due(self.seen, wall, self.newest).await?;
            self.agenda.due = true;
        }
        let questions = PassQuestions {
            // Where the clock was set back, the same times come again, and runs may have been made for them meanwhile.
            after: self.seen.min(wall),
            now: wall,
            claimed: self.agenda.claimed.iter().copied().collect(),
            started: self.agenda.started.iter().copied().collect(),
            changed: self.agenda.runs.iter().copied().collect(),
        };
        let facts = self.store()?.pass_facts(&questions).await?;
        self.seen = wall;
        // Of the moment at which `wall` was the time: if the clock is set back and the pass that finds it fails, a run
        // may be made before the next one, for a time that is later than the clock's and earlier than `seen`.
        self.newest = facts.newest;
        // A run that this pass makes is heard of as a change, and the next pass reads its due time.
        self.next_due = facts.next_due;
        self.slots_taken = facts.slots_taken;
        // A slot that becomes free from here on is not free in `slots_taken`: the next pass fills it.
        self.fills_slots |= std::mem::take(&mut self.agenda.has_free_slots);
        self.agenda.jobs.extend(facts.jobs);
        // Most claims and ends leave nothing to decide; but what was offered or waited may be over.
        let known = facts.settled.into_iter().filter(|job| self.offers.has_job(*job) || self.app.waiting.has_job(*job));
        self.agenda.jobs.extend(known);
        self.agenda.requested_kills.extend(facts.open_kills);
        self.agenda.runs.clear();
        self.hear_runs(&facts.claims, &facts.started, now);
        Ok(())
    }

    /// Takes in the claims, starts and ends of runs, and the announcements that nobody has followed.
    fn hear_runs(&mut self, claims: &[Claim], started: &[StartedRun], now: Instant) {
        while let Some(run) = self.repeats.due(now) {
            self.repeats.cancel(run);
            // A worker that has not claimed the run by now may never do so: its slot is free for other runs.
            self.offers.release(run);
            self.agenda.jobs.extend(self.offers.job(run));
        }
        while let Some(run) = self.agenda.claimed.pop_first() {
            self.repeats.cancel(run);
            self.offers.end(run);
        }
        for claim in claims {
            self.agenda.due |= self.workers.note_claim(claim, now);
        }
        while let Some(run) = self.agenda.ended.pop_first() {
            self.limits.end(run);
            self.workers.end_claim(run);
        }
        // The start may be younger than the pass: counted from the begin of the pass, the run would be ended early.
        let heard = now.max((self.clocks.monotonic)());
        started.iter().for_each(|run| self.limits.note(run, LimitOrigin::ByNews, heard));
        self.agenda.started.clear();
    }

    async fn kill(&mut self, now: Instant) -> Result<(), StoreError> {
        while let Some(kill) = self.agenda.taken_kills.pop_first() {
            self.kills.cancel(kill);
        }
        while let Some(kill) = self.kills.due(now) {
            self.kills.cancel(kill);
            self.agenda.requested_kills.insert(kill);
        }
        while let Some(kill) = self.agenda.requested_kills.first().copied() {
            if let Some(key) = self.store()?.kill_target(kill).await? {
                self.app.orders.send(key, Order::Kill(kill));
                self.kills.set(kill, now + self.app.settings.announce_interval);
            }
            self.agenda.requested_kills.remove(&kill);
        }
        Ok(())
    }

    /// Reminds workers of requests whose receipt they have not confirmed, again and again.
    fn attend(&mut self, now: Instant) {
        while let Some((worker, request)) = self.attends.due(now) {
            self.attends.cancel((worker, request));
            if let Some(key) = self.workers.key(worker) {
                self.app.orders.send(key.clone(), Order::Attend);
                self.attends.set((worker, request), now + self.app.settings.announce_interval);
            }
        }
    }

    async fn limit(&mut self, now: Instant) -> Result<(), StoreError> {
        while let Some(job) = self.agenda.changed.first().copied() {
            // Jobs without started runs need no look: the limit is read when a run starts.
            if self.limits.has_job(job) {
                self.note_started(Started::OfJob(job), LimitOrigin::InStore((self.clocks.wall)()), now).await?;
            }
            self.agenda.changed.remove(&job);
        }
        while let Some(run) = self.limits.due(now) {
            if let Some(kill) = self.store()?.record_timeout(run, (self.clocks.wall)()).await? {
                let worker = kill.worker.and_then(|worker| self.workers.key(worker));
                tracing::warn!(
                    target: "job_runner.dispatch",
                    %run,
                    job = %kill.job,
                    attempt = %kill.attempt,
                    worker = worker.map(tracing::field::display),
                    kill = %kill.kill,
                    "run exceeds its time limit; its kill is requested"
                );
            }
            self.limits.timed_out(run);
        }
        Ok(())
    }

    /// Takes over started runs from the store, and returns which ones they are.
    async fn note_started(
        &mut self,
        which: Started,
        origin: LimitOrigin,
        now: Instant,
    ) -> Result<BTreeSet<RunId>, StoreError> {
        let runs = self.store()?.started_runs(which).await?;
        // The change may be younger than the pass: counted from the begin of the pass, the run would be ended early.
        let now = now.max((self.clocks.monotonic)());
        runs.iter().for_each(|run| self.limits.note(run, origin, now));
        Ok(runs.iter().map(|run| run.run).collect())
    }

    fn ping(&mut self, now: Instant) {
        if self.next_ping <= now {
            self.next_ping = now + self.app.settings.ping_interval / SHARES;
            self.share = (self.share + 1) % SHARES;
            let share = self.workers.share(self.share, SHARES);
            share.for_each(|key| self.app.orders.send(key.clone(), Order::Ping));
        }
    }

    /// Sends the open orders to workers that have just connected, as far as they are still valid.
    fn greet(&mut self) {
        for key in std::mem::take(&mut self.agenda.arrived) {
            let Some(worker) = self.workers.of_key(&key) else { continue };
            self.app.orders.send(key.clone(), Order::Ping);
            if self.attends.keys().any(|(asked, _)| asked == worker) {
                self.app.orders.send(key.clone(), Order::Attend);
            }
            for run in self.offers.of_worker(worker).into_iter().filter(|run| !self.announced_in_pass.contains(run)) {
                self.app.orders.send(key.clone(), Order::Enqueue(run));
            }
        }
    }

    /// Evaluates some of the jobs on the agenda; `true` if others are left.
    async fn evaluate(&mut self, now: Instant) -> Result<bool, StoreError> {
        if self.agenda.jobs.is_empty() && !self.fills_slots && !self.offers.has_freed() {
            return Ok(false);
        }
        let zone = self.app.settings.time_zone;
        let (mut placed, mut left) = (BTreeSet::new(), LOOKS);
        while left > 0 {
            if self.agenda.jobs.is_empty() {
                self.fill_slots(&mut placed);
            }
            let jobs: Vec<_> = self.agenda.jobs.iter().copied().take(left.min(self.together)).collect();
            if jobs.is_empty() {
                self.together = TOGETHER;
                return Ok(false);
            }
            left -= jobs.len();
            let (availability, wall) = (self.workers.availability(), (self.clocks.wall)());
            let evaluated = self.store()?.evaluate_jobs(jobs.clone(), availability, zone, wall).await;
            // One job that cannot be evaluated holds back none that comes before it.
            let evaluated = evaluated.inspect_err(|_| self.together = 1)?;
            for (job, evaluation) in jobs.into_iter().zip(evaluated) {
                self.follow(job, evaluation, now);
                self.agenda.jobs.remove(&job);
            }
            self.record_waits().await?;
        }
        Ok(true)
    }

    /// Evaluates the jobs of the runs that have waited longest, as many as there are free slots, each run once: a run
    /// that may not run any more leaves its slot to the next one.
    fn fill_slots(&mut self, placed: &mut BTreeSet<RunId>) {
        self.fills_slots |= self.offers.take_freed();
        if !self.fills_slots {
            return;
        }
        for pool in self.offers.waiting_pools() {
            let free = self.workers.free_slots(pool, load(&self.slots_taken, &self.offers));
            for (run, job) in self.offers.longest_waiting(pool, free) {
                if placed.insert(run) {
                    self.agenda.jobs.insert(job);
                }
            }
        }
        // Each run that was found may turn out not to need its slot, so the queue is looked at until it gives no new
        // one.
        self.fills_slots = !self.agenda.jobs.is_empty();
    }

    /// Announces what the evaluation of a job offers, and publishes which runs of the job wait, and why.
    fn follow(&mut self, job: JobId, evaluation: Option<JobEvaluation>, now: Instant) {
        let (pool, offers, waits) = evaluation
            .map_or_else(Default::default, |JobEvaluation { pool, offers, waits }| (Some(pool), offers, waits));
        let offered: BTreeSet<_> = offers.iter().map(|offer| offer.run.id).collect();
        for over in self.offers.only(job, &offered) {
            self.repeats.cancel(over);
        }
        let mut waiting = BTreeMap::new();
        if let Some(pool) = pool {
            waiting.extend(waits.into_iter().map(|(run, reason)| (run, self.workers.waits(pool, reason))));
            for Offer { run, to } in offers {
                if let Some(reason) = self.offer(pool, &run, to, now) {
                    let waits = self.workers.waits(pool, reason);
                    self.record_holding(&run, &waits);
                    waiting.insert(run.id, waits);
                }
            }
        }
        let changed = self.app.waiting.update(job, waiting.clone());
        if !changed.is_empty() {
            self.app.peers.send(&PeerMessage::Waits(job, waiting));
        }
        changed.into_iter().for_each(|run| self.app.changes().publish(Change::RunWaits(run)));
    }

    /// Has it recorded why a run waits.
    fn note_wait(&mut self, run: &model::Run, reasons: impl Into<WaitReasons>) {
        self.unrecorded.insert(run.id, (run.clone(), reasons.into(), (self.clocks.wall)()));
    }

    /// Records why runs wait. What an outage keeps from being recorded is recorded by a later pass.
    async fn record_waits(&mut self) -> Result<(), StoreError> {
        if self.unrecorded.is_empty() {
            return Ok(());
        }
        let waits = self.unrecorded.values().cloned().collect();
        match self.store()?.record_waiting(waits).await {
            Err(e) if e.is_outage() => Err(e),
            // Another error would come again, for ever.
            recorded => {
                self.unrecorded.clear();
                recorded
            }
        }
    }

    /// Announces a run, unless it was announced to a worker that may still claim it. Returns why the run waits all the
    /// same, if it does.
    fn offer(&mut self, pool: PoolId, run: &model::Run, to: Option<WorkerId>, now: Instant) -> Option<WaitReason> {
        let is_told = |worker| to == Some(worker) || self.workers.may_still_claim(pool, worker);
        let (told, is_fresh) = (self.offers.last_announced_to(run.id), self.repeats.has(run.id));
        // A worker that takes no runs any more will not claim this one, so another worker is chosen at once.
        if let Some(worker) = told.filter(|worker| is_fresh && is_told(*worker)) {
            return self.why_unclaimed(run, to, worker);
        }
        let choice = match to {
            Some(worker) => WorkerChoice::Announce(worker),
            // A repeated announcement competes for slots that are really free: slots kept for other runs do not count.
            None if self.offers.is_repeated(run.id) => {
                self.workers
                    .choose(pool, &self.offers.announced_to(run.id), |worker| claimed(&self.slots_taken, worker))
            }
            None => self.workers.choose(pool, &self.offers.announced_to(run.id), load(&self.slots_taken, &self.offers)),
        };
        match choice {
            WorkerChoice::Announce(worker) => {
                self.announce(run.id, run.job, worker, now);
                let is_late = told.is_some() && !is_fresh;
                self.why_unclaimed(run, to, worker).or(is_late.then_some(WaitReason::Unclaimed))
            }
            WorkerChoice::AnnounceToSilent(worker) => {
                self.note_wait(run, WaitReason::NobodyAnswers);
                self.announce(run.id, run.job, worker, now);
                Some(WaitReason::NobodyAnswers)
            }
            WorkerChoice::AnnounceToHolding(worker) => {
                self.announce(run.id, run.job, worker, now);
                Some(WaitReason::NobodyTakes)
            }
            WorkerChoice::NoSlot => {
                if self.offers.wait_for_slot(pool, run.schedule_dts, run.id, run.job) {
                    self.note_wait(run, WaitReason::NoSeat);
                }
                Some(WaitReason::NoSeat)
            }
            WorkerChoice::Nobody => {
                self.note_wait(run, WaitReason::NoWorker);
                Some(WaitReason::NoWorker)
            }
        }
    }

    /// Returns why a run may stay unclaimed although it was announced to a worker, if that is to be expected.
    fn why_unclaimed(&self, run: &model::Run, to: Option<WorkerId>, told: WorkerId) -> Option<WaitReason> {
        match (self.workers.unready(told), to) {
            (Some(NotTakingRuns::Held(_)), Some(pinned)) => Some(WaitReason::WorkerHolds(pinned)),
            (Some(NotTakingRuns::Held(_)), None) => Some(WaitReason::NobodyTakes),
            (Some(NotTakingRuns::Silent), None) => Some(WaitReason::NobodyAnswers),
            (Some(NotTakingRuns::NeverAnswered), _) => Some(WaitReason::Unclaimed),
            // A run that is late stays late until it is claimed. One that waits for the first answer of a new worker is
            // not late.
            _ => {
                let before = self.app.waiting.of(run.job, run.id)?;
                let was_late = !before.unready.iter().any(|(_, why)| *why == NotTakingRuns::NeverAnswered);
                (before.reason == WaitReason::Unclaimed && was_late).then_some(WaitReason::Unclaimed)
            }
        }
    }

    /// Has the resources recorded that workers lack: the lack may be gone when an operator asks why a run came late.
    fn record_holding(&mut self, run: &model::Run, waits: &WaitReasons) {
        let is_told = self.app.waiting.of(run.job, run.id).is_some_and(|before| before.is_like(waits));
        if !is_told && matches!(waits.reason, WaitReason::NobodyTakes | WaitReason::WorkerHolds(_)) {
            self.note_wait(run, waits.clone());
        }
    }

    fn announce(&mut self, run: RunId, job: JobId, worker: WorkerId, now: Instant) {
        let Some(key) = self.workers.key(worker) else { return };
        tracing::debug!(target: "job_runner.dispatch", %run, %job, worker = %key, "run announced");
        self.app.orders.send(key.clone(), Order::Enqueue(run));
        self.offers.announce(run, job, worker);
        self.announced_in_pass.insert(run);
        self.repeats.set(run, now + self.app.settings.announce_interval);
    }
}

/// Returns the load of a worker: the runs that it has claimed, and those for which it keeps a slot.
fn load<'a>(busy: &'a BTreeMap<WorkerId, u32>, offers: &'a Offers) -> impl Fn(WorkerId) -> u32 + 'a {
    |worker| claimed(busy, worker) + offers.promised(worker)
}

/// Returns the number of runs that a worker has claimed.
fn claimed(busy: &BTreeMap<WorkerId, u32>, worker: WorkerId) -> u32 {
    busy.get(&worker).copied().unwrap_or(0)
}

/// Waits until the wall clock shows a due time, or is set. A timer that fails ends the wait after a pause: the next pass
/// finds what has come due meanwhile, and changes and other timers are not held up.
async fn await_wall(wall: &WallClockTimer, due: Option<model::Timestamp>, now: model::Timestamp) {
    let Err(e) = wall.wait_until(due, now).await else { return };
    tracing::error!(
        target: "job_runner.dispatch",
        error = %chain_of(&e),
        wait_s = RETRY_PAUSE.as_secs(),
        "wall-clock timer failed; retrying"
    );
    // It may fail again at once: without a pause, errors would flood the log.
    sleep(RETRY_PAUSE).await;
}
