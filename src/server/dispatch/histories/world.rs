//! World of a history: a store, the dispatcher, workers that act as the steps say, and a record of what was observed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::broadcast;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::{Agenda, Dispatcher, RETRY_PAUSE};
use super::rules::{Due, Hand, Seen, WorldView, is_claimed};
use super::{ASKED, CLOCKS, NOW, QUESTIONS, Step, WALL, begin, wall};
use crate::run::{ApiKey, Attempt, KillId, Order, Pace, RequestId, RunId, Secret, WorkerCommand, WorkerState};
use crate::server::Settings;
use crate::server::domain::fire::FireReason;
use crate::server::domain::life::kill_or_cancel::EndDecision;
use crate::server::domain::life::{Actor, LifeEvent, Patch};
use crate::server::domain::model::{
    self, Asker, Concurrency, Job, JobId, PoolId, Retry, Run, RunExit, Schedule, Unit, WorkerId,
};
use crate::server::domain::title::Title;
use crate::server::identity::token::OperatorToken;
use crate::server::identity::wrong_token_limits::WrongTokenLimits;
use crate::server::link::feed::handle::Feed;
use crate::server::link::orders::{Addressed, Orders};
use crate::server::link::worker_events::WorkerEvents;
use crate::server::state::AppState;
use crate::server::store::changes::{Change, Subscription};
use crate::server::store::{
    AnswerKind, CommandRequest, Contents, JobPatch, KillChange, KillPatch, NewJob, NewPool, NewProject, NewRun,
    NewTemplate, NewWorker, RunChange, Store, WorkerAnswer, WorkerForm, WorkerReport,
};

/// Number of jobs in the store.
pub(super) const JOBS: u8 = 5;
const ANNOUNCE: Duration = Duration::from_secs(5);
const PING: Duration = Duration::from_secs(10);
/// Interval in which workers that are not silent answer.
const ANSWER: Duration = Duration::from_secs(9);
/// Tolerance for an action after the time it is to happen.
const LATE: Duration = Duration::from_millis(100);
/// Maximum number of passes in a row until the dispatcher has come to rest.
const PASSES: usize = 100;
/// Changes that are published at once, so that some are missed: more than the feed holds.
const FLOOD: u64 = 5000;
/// Longest duration of the quiet at the end of a history.
const QUIET: Duration = Duration::from_secs(400);
/// Interval in which the quiet is checked for runs that are not over.
const GLANCE: Duration = Duration::from_secs(10);
/// Duration of a run in the quiet.
const TAKES: Duration = Duration::from_secs(2);

/// Store with a project, two pools, four workers and the jobs: each history begins with these rows.
pub(super) struct Blank {
    store: Store,
    pools: [PoolId; 2],
    workers: Vec<(WorkerId, ApiKey)>,
    jobs: Vec<JobId>,
}

pub(super) async fn blank() -> Blank {
    let store = Store::in_memory().await.unwrap();
    let mut workers = Vec::new();
    for number in 1..=4 {
        let api_key = ApiKey::parse(&format!("worker{number}")).unwrap();
        let secret = Secret::new(b"verysecret".to_vec());
        let made = store
            .new_worker(&NewWorker { title: Title::new(api_key.as_str()).unwrap(), api_key, secret })
            .await
            .unwrap();
        workers.push((made.id, made.api_key));
    }
    let pool = |title: &'static str| NewPool::new(Title::fixed(title));
    let pools = [store.new_pool(&pool("all")).await.unwrap().id, store.new_pool(&pool("first")).await.unwrap().id];
    let project = NewProject { pools: pools.into(), ..NewProject::new(Title::fixed("project")) };
    let project = store.new_project(&project).await.unwrap().id;
    let template =
        NewTemplate { title: Title::fixed("template"), body: "#!/bin/sh\n{{ content|safe }}\n".to_owned(), project };
    let template = store.new_template(&template).await.unwrap().id;
    let every_minute = Schedule::Interval { every: 1, unit: Unit::Minute };
    let mut jobs = Vec::new();
    let kinds = [Concurrency::Wait, Concurrency::Skip, Concurrency::Allow, Concurrency::Replace, Concurrency::Wait];
    for (number, concurrency) in (0..JOBS).zip(kinds) {
        let mut new = NewJob::new(Title::new(&format!("job{number}")).unwrap(), template, pools[0], "true");
        new.concurrency = concurrency;
        new.run_on_all_workers = number == 4;
        if number == 1 || number == 4 {
            new.schedule = every_minute.clone();
        }
        if number == 1 {
            new.retry = Retry { times: 1, backoff: 3 };
        }
        jobs.push(store.new_job(&new).await.unwrap().id);
    }
    store.save_rows().await.unwrap();
    Blank { store, pools, workers, jobs }
}

/// A worker, as the steps move it.
#[derive(Debug)]
struct ModelWorker {
    id: WorkerId,
    key: ApiKey,
    slots: u32,
    is_silent: bool,
    heard: Instant,
    /// Runs that were announced to it.
    told: VecDeque<RunId>,
    kills: BTreeSet<KillId>,
    /// Runs that it has claimed, with attempt and instant of the claim.
    has: VecDeque<(RunId, Attempt, Instant)>,
}

/// Record of a run that may run and that some worker could take.
#[derive(Clone, Copy, Debug)]
struct Wait {
    /// Instant since which some worker has a slot without a run for it.
    since: Instant,
    /// Instant since which such a slot is not kept for another run either.
    unkept: Option<Instant>,
    /// Instant of its last announcement since then.
    told: Option<Instant>,
}

/// Observed act of the dispatcher: two histories are the same if their acts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Observed {
    /// The dispatcher came to rest at this time, after so many queries to the store.
    Rest(Duration, u32),
    /// The dispatcher gave an order to a worker, by the worker's number from 0.
    Order(usize, Order),
}

pub(super) struct World {
    app: Arc<AppState>,
    dispatcher: Dispatcher,
    orders: broadcast::Receiver<Addressed>,
    start: Instant,
    now: Instant,
    turned: TimeDelta,
    next_answer: Instant,
    again: Option<Instant>,
    jobs: Vec<JobId>,
    pools: [PoolId; 2],
    actors: Vec<ModelWorker>,
    /// Runs that the steps made with a due time of their own.
    anchors: BTreeSet<RunId>,
    contents: Contents,
    observed: Vec<Observed>,
    waits: BTreeMap<RunId, Wait>,
    /// Slots that are kept for runs: by which worker, and since when.
    kept: BTreeMap<RunId, (WorkerId, Instant)>,
    /// Attempts that are to be killed.
    doomed: BTreeMap<RunId, Attempt>,
    /// Latest time that the wall clock has shown.
    latest: model::Timestamp,
    /// Due times that have come, as the rules know them.
    came_due: BTreeSet<Due>,
    passed: BTreeSet<Due>,
    /// Due time of each run that was ever seen.
    dues: BTreeMap<RunId, (JobId, model::Timestamp)>,
    /// Whether workers do on their own all that they are told, at the end of a history.
    is_quiet: bool,
}

impl World {
    pub async fn begin(blank: &Blank, workers: u8) -> Self {
        WALL.set(begin());
        QUESTIONS.set(0);
        ASKED.set(0);
        let app = app_state(blank).await;
        let now = Instant::now();
        NOW.set(Some(now));
        let actors = blank.workers.iter().take(workers.into()).enumerate();
        let mut world = Self {
            dispatcher: Dispatcher::new(Arc::clone(&app), app.store.clone(), CLOCKS),
            orders: app.orders.carry(),
            app,
            start: now,
            now,
            turned: TimeDelta::zero(),
            next_answer: now,
            again: None,
            jobs: blank.jobs.clone(),
            pools: blank.pools,
            actors: actors
                .map(|(number, (id, key))| ModelWorker {
                    id: *id,
                    key: key.clone(),
                    // Different numbers, so that free slots decide the choice of a worker.
                    slots: [1, 4, 1, 2][number],
                    is_silent: false,
                    heard: now,
                    told: VecDeque::new(),
                    kills: BTreeSet::new(),
                    has: VecDeque::new(),
                })
                .collect(),
            anchors: BTreeSet::new(),
            contents: Contents::default(),
            observed: Vec::new(),
            waits: BTreeMap::new(),
            kept: BTreeMap::new(),
            doomed: BTreeMap::new(),
            latest: begin(),
            came_due: BTreeSet::new(),
            passed: BTreeSet::new(),
            dues: BTreeMap::new(),
            is_quiet: false,
        };
        for index in 0..world.actors.len() {
            world.enable_worker(index, true).await;
        }
        world
    }

    /// Returns everything that was observed so far.
    pub fn observed(&self) -> &[Observed] {
        &self.observed
    }

    /// Lets one thing happen, and returns the orders that the dispatcher gives for it, apart from pings, in their order.
    pub async fn react(&mut self, step: Step) -> Vec<(usize, Order)> {
        let before = self.observed.len();
        let done = async {
            self.step(step).await?;
            self.settle().await
        };
        done.await.unwrap_or_else(|e| panic!("after {step:?}: {e}"));
        let orders = self.observed[before..].iter().filter_map(|observed| match observed {
            Observed::Order(_, Order::Ping) | Observed::Rest(..) => None,
            Observed::Order(worker, order) => Some((*worker, *order)),
        });
        orders.collect()
    }

    /// Adds a job whose runs have a time limit; returns its number.
    pub async fn add_limited_job(&mut self, seconds: u32) -> u8 {
        self.settle().await.unwrap();
        let mut new = NewJob::new(Title::fixed("limited"), self.contents.jobs[0].template, self.pools[0], "true");
        new.run_timeout = Some(seconds);
        self.jobs.push(self.store().new_job(&new).await.unwrap().id);
        u8::try_from(self.jobs.len() - 1).unwrap()
    }

    /// Lets a worker report its state and the request that it follows. Returns the request that is open for it.
    pub async fn report(&self, index: usize, follows: Option<RequestId>) -> Option<RequestId> {
        let state = WorkerState::Awake;
        let report =
            WorkerReport { state, slots_taken: 0, outbox: 0, restarts: false, held: Vec::new(), follows, done: None };
        let kind = AnswerKind::Ours(report);
        let answer = WorkerAnswer { at: Some(wall()), kind, ..WorkerAnswer::default() };
        self.store().record_status(self.actors[index].id, &answer, wall()).await.unwrap().map(|open| open.id)
    }

    /// Requests of a worker, which has reported its state, that it sleep.
    pub async fn request_sleep(&self, index: usize) {
        let (by, reason) = ("operator".to_owned(), String::new());
        let request = CommandRequest { action: WorkerCommand::Sleep, pace: Pace::AfterRuns, by, reason };
        let verdict = self.store().request_command(self.actors[index].id, &request, wall()).await.unwrap();
        verdict.expect("a worker").expect("it can sleep");
    }

    /// Returns the changes of runs and kills from now on.
    pub fn changes(&self) -> Subscription {
        self.app.changes().subscribe()
    }

    /// Plays a history, and then a quiet in which all workers are back and do what they are told: all runs must end.
    pub async fn live(&mut self, steps: &[Step]) -> Result<(), String> {
        self.settle().await?;
        for (step, next) in steps.iter().zip(steps.iter().skip(1).map(Some).chain([None])) {
            self.step(*step).await.map_err(|e| format!("at {step:?}: {e}"))?;
            // The dispatcher must not hear of this step before a restart, or before it misses changes.
            if !matches!(next, Some(Step::Restart | Step::MissNews)) {
                self.settle().await.map_err(|e| format!("after {step:?}: {e}"))?;
            }
        }
        self.quiet().await.map_err(|e| format!("in the quiet: {e}"))
    }

    async fn quiet(&mut self) -> Result<(), String> {
        self.is_quiet = true;
        QUESTIONS.set(0);
        for index in 0..self.actors.len() {
            self.enable_worker(index, true).await;
            self.back(index).await;
        }
        // Runs that the schedules would go on making are no backlog that has to end.
        for job in self.jobs.clone() {
            let patch = JobPatch { enqueue_is_enabled: Some(true), every: Some(None), ..JobPatch::default() };
            self.store().change_job(job, &patch).await.unwrap();
        }
        self.waits.clear();
        self.settle().await?;
        let end = self.now + QUIET;
        loop {
            let moment = self.moment().await;
            match moment.open.iter().find(|run| moment.is_due(run, Seen::Surely)) {
                None => return Ok(()),
                Some(run) if self.now >= end => {
                    return Err(format!("run {} of job {} is not over: {run:?}", run.id, run.job));
                }
                Some(_) => self.pass_time(GLANCE).await?,
            }
        }
    }

    fn store(&self) -> &Store {
        &self.app.store
    }

    fn job(&self, number: u8) -> JobId {
        self.jobs[usize::from(number) % self.jobs.len()]
    }

    fn index(&self, number: u8) -> usize {
        usize::from(number) % self.actors.len()
    }

    async fn step(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Due(job) => {
                let new = NewRun::due(self.job(job), wall());
                self.anchors.insert(self.store().new_run(&new).await.unwrap().id);
            }
            Step::Later(job, seconds) => {
                let new = NewRun::due(self.job(job), wall() + TimeDelta::seconds(seconds.into()));
                self.anchors.insert(self.store().new_run(&new).await.unwrap().id);
            }
            Step::RunNow(job) => {
                self.store().enqueue_run_now(self.job(job), true, Asker::Command, wall()).await.unwrap();
            }
            Step::Pinned(job, worker) => {
                let pinned = Some(self.actors[self.index(worker)].id);
                let new = NewRun { is_manual: true, pinned, ..NewRun::due(self.job(job), wall()) };
                self.store().new_run(&new).await.unwrap();
            }
            Step::Wait(seconds) => self.pass_time(Duration::from_secs(seconds.into())).await?,
            Step::Claim(worker) => self.claim(self.index(worker)).await?,
            Step::AnnounceLost(worker) => {
                let index = self.index(worker);
                self.actors[index].told.clear();
            }
            Step::Start(worker) => {
                let patch = Patch { start_dts: Some(Some(wall())), ..Patch::default() };
                self.change_first(self.index(worker), &patch).await;
            }
            Step::Return(worker, success) => self.hand_in(self.index(worker), success).await?,
            Step::GiveBack(worker) => {
                let patch = Patch { enqueue_dts: Some(None), start_dts: Some(None), ..Patch::default() };
                let index = self.index(worker);
                self.change_first(index, &patch).await;
                self.actors[index].has.pop_front();
            }
            Step::TakeKills(worker) => self.take_kills(self.index(worker)).await,
            Step::End(number) => self.end_some(number).await,
            Step::Enable(job, enabled) => {
                self.store().enable_job(self.job(job), enabled, "").await.unwrap();
            }
            Step::EnableWorker(worker, enabled) => self.enable_worker(self.index(worker), enabled).await,
            Step::Move(job, pool) => {
                let patch = JobPatch { pool: Some(self.pools[usize::from(pool)]), ..JobPatch::default() };
                self.store().change_job(self.job(job), &patch).await.unwrap();
            }
            Step::Reschedule(job, which) => {
                let (every, unit) =
                    [(Some(1), Unit::Minute), (Some(1), Unit::Day), (None, Unit::Day), (Some(3), Unit::Minute)]
                        [usize::from(which)];
                let patch = JobPatch { every: Some(every), unit: Some(Some(unit)), ..JobPatch::default() };
                self.store().change_job(self.job(job), &patch).await.unwrap();
            }
            Step::Silent(worker) => {
                let index = self.index(worker);
                self.actors[index].is_silent = true;
            }
            Step::Back(worker) => self.back(self.index(worker)).await,
            Step::StoreError(question) => QUESTIONS.set(question.into()),
            Step::MissNews => {
                (0..FLOOD).for_each(|at| self.app.changes().publish(Change::RunLog(RunId::new(1).unwrap(), at)));
            }
            Step::Restart => self.restart(),
            Step::Turn(minutes) => {
                self.turned += TimeDelta::minutes(minutes.into());
                self.set_clocks();
            }
        }
        Ok(())
    }

    /// Restarts the server: the dispatcher loses its memory, the store stays.
    fn restart(&mut self) {
        QUESTIONS.set(0);
        self.dispatcher = Dispatcher::new(Arc::clone(&self.app), self.app.store.clone(), CLOCKS);
        self.again = None;
        self.waits.clear();
        for actor in &mut self.actors {
            actor.heard = self.now;
        }
    }

    async fn enable_worker(&mut self, index: usize, enabled: bool) {
        let ModelWorker { id, key, .. } = &self.actors[index];
        // Only the first two workers are in both pools, so that a job that moves gets other workers.
        let pools = if index < 2 { self.pools.to_vec() } else { vec![self.pools[0]] };
        let (title, description) = (Title::new(key.as_str()).unwrap(), String::new());
        let form = WorkerForm { title, description, enabled, api_key: key.clone(), secret: None, pools };
        self.store().save_worker(Some(*id), None, &form).await.unwrap();
    }

    async fn back(&mut self, index: usize) {
        self.actors[index].is_silent = false;
        self.answer(index).await;
        self.app.orders.arrived(self.actors[index].key.clone());
    }

    async fn answer(&mut self, index: usize) {
        let actor = &mut self.actors[index];
        actor.heard = self.now;
        let answer = WorkerAnswer { at: Some(wall()), slots: Some(actor.slots), ..WorkerAnswer::default() };
        let id = actor.id;
        self.store().record_status(id, &answer, wall()).await.unwrap();
    }

    async fn claim(&mut self, index: usize) -> Result<(), String> {
        let actor = &mut self.actors[index];
        if actor.has.len() >= actor.slots as usize {
            return Ok(());
        }
        let Some(run) = actor.told.pop_front() else { return Ok(()) };
        let id = actor.id;
        let patch = Patch { enqueue_dts: Some(Some(wall())), worker: Some(id), ..Patch::default() };
        let change = self.store().change_run(run, &patch, Actor::Worker(id, None), wall()).await.unwrap();
        if let RunChange::Made(changed) = change {
            if !changed.events.contains(&LifeEvent::Claimed) {
                return Err(format!("run {run} was not claimed, and its worker was told that it was"));
            }
            if let Some(doomed) = self.doomed.get(&run) {
                return Err(format!("run {run} is executed again, though attempt {doomed} was to be killed"));
            }
            self.actors[index].has.push_back((run, changed.run.attempt, self.now));
            self.actors[index].heard = self.now;
        }
        Ok(())
    }

    async fn change_first(&mut self, index: usize, patch: &Patch) {
        let Some((run, attempt, _)) = self.actors[index].has.front().copied() else { return };
        let who = Actor::Worker(self.actors[index].id, Some(attempt));
        self.store().change_run(run, patch, who, wall()).await.unwrap();
    }

    /// Lets a worker return the first run that it has.
    async fn hand_in(&mut self, index: usize, success: bool) -> Result<(), String> {
        let Some((run, attempt, _)) = self.actors[index].has.pop_front() else { return Ok(()) };
        let exit = RunExit::Code(if success { 0 } else { 3 });
        let patch = Patch {
            return_dts: Some(Some(wall())),
            return_success: Some(Some(success)),
            exit: Some(exit),
            ..Patch::default()
        };
        let who = Actor::Worker(self.actors[index].id, Some(attempt));
        let change = self.store().change_run(run, &patch, who, wall()).await.unwrap();
        match change {
            // A return after the end of the run, for an attempt that was lost, changes nothing.
            RunChange::Made(changed)
                if changed.events.contains(&LifeEvent::Returned)
                    && changed.run.exit != Some(exit)
                    && self.doomed.get(&run) != Some(&attempt) =>
            {
                Err(format!("run {run} ended by itself and is said to be {:?}", changed.run.exit))
            }
            _ => Ok(()),
        }
    }

    async fn take_kills(&mut self, index: usize) {
        let patch = KillPatch { enqueue_dts: Some(wall()), execute_dts: None };
        for kill in std::mem::take(&mut self.actors[index].kills) {
            let who = Actor::Worker(self.actors[index].id, None);
            if self.store().change_kill(kill, patch, who).await.unwrap() != KillChange::Made {
                continue;
            }
            // A run may be killed to make room, without anybody having asked for its end.
            let doomed = self.store().run_to_kill(kill).await.unwrap();
            self.doomed.extend(doomed.map(|run| (run.id, run.attempt)));
        }
    }

    async fn end_some(&mut self, number: u8) {
        let open = self.moment().await.open;
        if open.is_empty() {
            return;
        }
        let run = &open[usize::from(number) % open.len()];
        let ending = self.store().end_run(run.id, Asker::Command, wall()).await.unwrap();
        if ending.is_some_and(|ending| ending.decision == EndDecision::AskWorker) {
            self.doomed.insert(run.id, run.attempt);
        }
    }

    fn set_clocks(&mut self) {
        NOW.set(Some(self.now));
        WALL.set(begin() + TimeDelta::from_std(self.now - self.start).unwrap() + self.turned);
        self.latest = self.latest.max(wall());
    }

    /// Lets time pass, and lets everything happen that is due in it.
    async fn pass_time(&mut self, span: Duration) -> Result<(), String> {
        let end = self.now + span;
        while self.now < end {
            let due = self.dispatcher.next_due.map(|due| self.now + (due - wall()).to_std().unwrap_or_default());
            // After a failed pass the dispatcher waits for nothing but its pause.
            let timers = match self.again {
                None => [self.dispatcher.next_timer(), due],
                again => [again, None],
            };
            let done = self.actors.iter().flat_map(|actor| actor.has.front()).map(|(_, _, since)| *since + TAKES);
            let done = if self.is_quiet { done.min() } else { None };
            let next = timers.into_iter().flatten().chain(done).fold(end.min(self.next_answer), Instant::min);
            // A timer that does not go off must not stop the time.
            self.now = next.max(self.now + Duration::from_millis(1));
            self.set_clocks();
            if self.next_answer <= self.now {
                self.next_answer = self.now + ANSWER;
                for index in 0..self.actors.len() {
                    if !self.actors[index].is_silent {
                        self.answer(index).await;
                    }
                }
            }
            self.settle().await?;
        }
        Ok(())
    }

    /// Lets the dispatcher do what there is to do now; in the quiet, the workers as well.
    async fn settle(&mut self) -> Result<(), String> {
        for _ in 0..PASSES {
            self.dispatch().await?;
            self.observe().await?;
            if !self.is_quiet || !self.obey().await? {
                return Ok(());
            }
        }
        Err("the dispatcher does not come to rest".to_owned())
    }

    /// Makes passes as [`Dispatcher::work`] does.
    async fn dispatch(&mut self) -> Result<(), String> {
        if self.again.is_some_and(|again| self.now < again) {
            return Ok(());
        }
        self.again = None;
        self.dispatcher.take_changes();
        for _ in 0..PASSES {
            match self.dispatcher.pass(self.now).await {
                Ok(true) => self.dispatcher.take_changes(),
                Ok(false) => {
                    self.dispatcher.take_changes();
                    if self.dispatcher.agenda == Agenda::default() {
                        return Ok(());
                    }
                }
                Err(_) => {
                    self.dispatcher.agenda.must_reread_all = true;
                    self.again = Some(self.now + RETRY_PAUSE);
                    return Ok(());
                }
            }
        }
        Err("the dispatcher looks for ever".to_owned())
    }

    /// Lets workers claim, take kills and return, in the quiet; `true` if something happened.
    async fn obey(&mut self) -> Result<bool, String> {
        let mut happened = false;
        for index in 0..self.actors.len() {
            while self.actors[index].has.front().is_some_and(|(_, _, since)| *since + TAKES <= self.now) {
                self.hand_in(index, true).await?;
                happened = true;
            }
            while !self.actors[index].told.is_empty()
                && self.actors[index].has.len() < self.actors[index].slots as usize
            {
                self.claim(index).await?;
                happened = true;
            }
            happened |= !self.actors[index].kills.is_empty();
            self.take_kills(index).await;
        }
        Ok(happened)
    }

    /// Observes the state and the orders that were given, and checks both.
    async fn observe(&mut self) -> Result<(), String> {
        self.observed.push(Observed::Rest(self.now - self.start, ASKED.get()));
        let moment = self.moment().await;
        while let Ok(Addressed { to, order }) = self.orders.try_recv() {
            let Some(index) = self.actors.iter().position(|actor| actor.key == to) else { continue };
            self.observed.push(Observed::Order(index, order));
            let actor = &mut self.actors[index];
            match order {
                Order::Enqueue(run) => {
                    if !actor.told.contains(&run) {
                        actor.told.push_back(run);
                    }
                    moment.check_announcement(run, actor.id)?;
                    // A run that is announced again keeps no slot any more.
                    match self.waits.get_mut(&run).map(|wait| wait.told.replace(self.now)) {
                        Some(Some(_)) => self.kept.remove(&run),
                        Some(None) | None => self.kept.insert(run, (actor.id, self.now)),
                    };
                }
                Order::Kill(kill) => {
                    actor.kills.insert(kill);
                }
                Order::Ping | Order::Attend => {}
            }
        }
        if self.again.is_some() {
            // As long as queries fail, no announcement can be expected.
            self.waits.clear();
            return Ok(());
        }
        // The dispatcher has seen these due times, so they stay due.
        let due = moment.open.iter().filter(|run| run.schedule_dts <= moment.wall);
        self.came_due.extend(due.map(|run| (run.schedule_id, run.schedule_dts)));
        moment.check()?;
        self.check_waits(&moment)?;
        self.check_schedules(&moment).await
    }

    async fn moment(&mut self) -> WorldView {
        self.app.store.read_contents(&mut self.contents).await.unwrap();
        let Contents { jobs, workers, open, .. } = self.contents.clone();
        self.dues.extend(open.iter().map(|run| (run.id, (run.job, run.schedule_dts))));
        let passed = open.iter().filter(|run| run.schedule_dts <= wall());
        self.passed.extend(passed.map(|run| (run.schedule_id, run.schedule_dts)));
        let mut hands = Vec::new();
        for (index, actor) in self.actors.iter().enumerate() {
            let enabled = workers.iter().any(|worker| worker.id == actor.id && worker.enqueue_is_enabled);
            let pools = if index < 2 { self.pools.into() } else { [self.pools[0]].into() };
            hands.push(Hand { id: actor.id, pools, enabled, slots: actor.slots, heard: actor.heard });
        }
        let settings = &self.app.settings;
        WorldView {
            now: self.now,
            wall: wall(),
            patience: settings.ping_interval * settings.silent_intervals + settings.ping_margin,
            jobs: jobs.into_iter().map(|job| (job.id, job)).collect(),
            hands,
            open,
            came_due: self.came_due.clone(),
            passed: self.passed.clone(),
        }
    }

    /// Checks that each run that may run is announced within an interval, and again, as long as a worker has a slot for
    /// it.
    fn check_waits(&mut self, moment: &WorldView) -> Result<(), String> {
        let mut waits = BTreeMap::new();
        let unclaimed = moment.open.iter().filter(|run| !is_claimed(run)).map(|run| run.id).collect::<BTreeSet<_>>();
        self.kept.retain(|run, (_, since)| unclaimed.contains(run) && self.now - *since < ANNOUNCE + LATE);
        // Each run before it keeps a slot for one interval at most.
        let longest = (ANNOUNCE + LATE) * (u32::try_from(unclaimed.len()).unwrap() + 1);
        for run in &moment.open {
            let takers = moment.takers(run, |_| 0);
            if takers.is_empty() {
                continue;
            }
            let kept = |worker| self.kept.iter().filter(|(of, (by, _))| **of != run.id && *by == worker).count();
            let is_unkept = !moment.takers(run, kept).is_empty();
            let mut wait =
                self.waits.get(&run.id).copied().unwrap_or(Wait { since: self.now, unkept: None, told: None });
            wait.unkept = is_unkept.then(|| wait.unkept.unwrap_or(self.now));
            waits.insert(run.id, wait);
            let silence = wait.told.or(wait.unkept).map_or(Duration::ZERO, |since| self.now - since);
            let told = if wait.told.is_some() { "again " } else { "" };
            if silence > ANNOUNCE + LATE || wait.told.is_none() && self.now - wait.since > longest {
                return Err(format!(
                    "nobody was told {told}of run {} for {silence:?}, and {takers:?} could take it",
                    run.id
                ));
            }
            if self.is_quiet && self.now - wait.since > 2 * ANNOUNCE + LATE {
                return Err(format!("nobody claimed run {}, and {takers:?} could", run.id));
            }
        }
        self.waits = waits;
        Ok(())
    }

    /// Checks that a job with a schedule has a next run that fits the schedule, or a record of why not.
    async fn check_schedules(&self, moment: &WorldView) -> Result<(), String> {
        for job in moment.jobs.values() {
            let Schedule::Interval { every, unit } = job.schedule else { continue };
            let waits = |run: &&Run| {
                run.job == job.id && !is_claimed(run) && !run.is_manual && run.retry_of.is_none() && !run.pinned
            };
            let coming = moment.open.iter().filter(waits).collect::<Vec<_>>();
            let planned = coming.iter().filter(|run| !moment.is_due(run, Seen::Surely)).collect::<Vec<_>>();
            let Some(next) = planned.iter().map(|run| run.schedule_dts).min() else {
                if coming.is_empty() && !self.says_why_not(job).await {
                    return Err(format!("job {} has a schedule and no next time", job.id));
                }
                continue;
            };
            if planned.iter().any(|run| self.anchors.contains(&run.id)) {
                continue;
            }
            if planned.len() > 1 {
                return Err(format!("job {} has two next times: {planned:?}", job.id));
            }
            let step = TimeDelta::seconds(i64::from(every) * if unit == Unit::Day { 86400 } else { 60 });
            let others = self.dues.iter().filter(|(id, (of, _))| **id != planned[0].id && *of == job.id);
            let last = others.map(|(_, (_, due))| *due).fold(self.latest, model::Timestamp::max);
            if next > last + step {
                return Err(format!("job {} is due every {step}, and next at {next}, {last} being the last", job.id));
            }
        }
        Ok(())
    }

    async fn says_why_not(&self, job: &Job) -> bool {
        let fires = self.store().fires(job.id, 20).await.unwrap();
        fires.iter().any(|fire| matches!(fire.reason, FireReason::NoNextRun(_)))
    }
}

async fn app_state(blank: &Blank) -> Arc<AppState> {
    let mut settings = Settings::new(PathBuf::new());
    settings.announce_interval = ANNOUNCE;
    settings.ping_interval = PING;
    settings.silent_intervals = 2;
    settings.ping_margin = Duration::from_secs(5);
    let store = blank.store.restore_rows().await.unwrap();
    Arc::new(AppState {
        wrong_token_limits: WrongTokenLimits::default(),
        logouts: crate::server::identity::logouts::Logouts::load(&store).await.unwrap(),
        feed: Feed::new(1, 1),
        reading: crate::server::http::shared::read_turns::Turns::default(),
        store,
        settings,
        token: OperatorToken::parse("0123456789abcdef").unwrap(),
        peers: crate::server::peers::Peers::alone(),
        orders: Orders::default(),
        events: WorkerEvents::default(),
        silent_workers: crate::server::dispatch::published_silence::SilentWorkers::default(),
        instances: crate::server::identity::instances::Instances::new(
            Vec::new(),
            PING,
            Instant::now(),
            crate::server::peers::Peers::alone(),
        ),
        farm: crate::server::farm::Farm::new(&PathBuf::new(), None, 0).unwrap(),
        waiting: crate::server::dispatch::waiting::WaitingRuns::default(),
        stop: CancellationToken::new(),
    })
}
