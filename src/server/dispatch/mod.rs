//! What runs by itself: due runs are announced, kills asked, workers pinged, the lost found.
//!
//! One loop, that wakes when something has changed or a time has come that means something, and then looks at
//! what is: a piece of news that was missed delays, it loses nothing. What is due goes by the clock on the wall;
//! how long something may take goes by the clock that nobody sets.
//!
//! `agenda`, `timers`, `offers` and `roster` are pure and remember; `wall` rings.

mod agenda;
mod offers;
mod roster;
mod timers;
mod wall;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::model::{self, JobId, WorkerId};
use super::news::Listener;
use super::office::Office;
use super::schedule::enqueue::Reason;
use super::store::{Look, Offer, StoreError, TimeLimit};
use crate::run::{ApiKey, KillId, Order, RequestId, RunId};
use agenda::Agenda;
use offers::Offers;
use roster::{Choice, Roster};
use timers::Timers;
pub use wall::Wall;

/// How many jobs are looked at before news is heard again.
const LOOKS: usize = 100;
/// How many pieces of news are heard together.
const HEARD: usize = 4096;
/// How often in a pass who is there is read again, where that goes on changing.
const MUSTERS: usize = 3;
/// In how many shares workers are pinged, one after the other in an interval: a thousand do not answer all at once.
const SHARES: u32 = 20;
/// How long after a store that did not answer it is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// Works until it is stopped.
pub async fn work(office: Arc<Office>, wall: Wall, stop: CancellationToken) {
    let mut dispatcher = Dispatcher::new(office);
    tokio::select! {
        () = stop.cancelled() => {}
        () = dispatcher.work(&wall) => {}
    }
}

struct Dispatcher {
    office: Arc<Office>,
    news: Listener,
    arrivals: broadcast::Receiver<ApiKey>,
    agenda: Agenda,
    roster: Roster,
    offers: Offers,
    /// When runs that nobody has claimed are announced again.
    repeats: Timers<RunId>,
    /// When requests to kill that nobody has taken are.
    kills: Timers<KillId>,
    /// When workers that have not heard what is asked of them are told again.
    attends: Timers<(WorkerId, RequestId)>,
    /// When runs have taken too long.
    limits: Timers<RunId>,
    next_ping: Instant,
    /// Which share of the workers was pinged last.
    share: u32,
    /// Up to when due runs were looked at.
    seen: model::Instant,
    /// When the next run is due.
    next_due: Option<model::Instant>,
}

impl Dispatcher {
    fn new(office: Arc<Office>) -> Self {
        let settings = &office.settings;
        let patience = settings.ping_interval * settings.silent_intervals + settings.ping_margin;
        Self {
            news: office.news().listen(),
            arrivals: office.orders.arrivals(),
            agenda: Agenda { everything: true, ..Agenda::default() },
            roster: Roster::new(patience),
            offers: Offers::default(),
            repeats: Timers::new(),
            kills: Timers::new(),
            attends: Timers::new(),
            limits: Timers::new(),
            next_ping: Instant::now(),
            share: 0,
            seen: Utc::now(),
            next_due: None,
            office,
        }
    }

    async fn work(&mut self, wall: &Wall) {
        loop {
            self.await_store().await;
            match self.pass().await {
                Ok(true) => {
                    self.hear_all();
                    continue;
                }
                // What was heard in the meantime is looked at before anything is waited for.
                Ok(false) if self.agenda != Agenda::default() => continue,
                Ok(false) => {}
                Err(e) => {
                    if !e.is_outage() {
                        tracing::error!(target: "job_runner.dispatch", "nothing is announced: {}", chain_of(&e));
                    }
                    self.agenda.everything = true;
                    self.office.store.doubt();
                    // Whatever happens meanwhile: what fails at once would fail thousands of times a second.
                    sleep(AGAIN).await;
                    continue;
                }
            }
            if !self.wait(wall).await {
                return;
            }
        }
    }

    /// While nothing can be recorded, nothing is announced. Workers' answers could not be recorded either: everybody has
    /// as long to answer as after our own start.
    async fn await_store(&mut self) {
        if self.office.store.outage().is_some() {
            self.office.store.writable().await;
            self.roster.hear_everybody(Instant::now());
            self.agenda.everything = true;
        }
    }

    /// Waits for something to do; `false` if there will be nothing more.
    async fn wait(&mut self, wall: &Wall) -> bool {
        let timers = [self.repeats.next(), self.kills.next(), self.attends.next(), self.limits.next()];
        let timers = timers.into_iter().chain([self.roster.next_silence()]);
        let next = timers.flatten().fold(self.next_ping, Instant::min);
        tokio::select! {
            heard = self.news.next() => if !self.agenda.note(heard) { return false },
            arrived = self.arrivals.recv() => match arrived {
                Ok(key) => self.agenda.arrived.push(key),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return false,
            },
            () = sleep_until(next) => {}
            rung = wall.rings(self.next_due, Utc::now()) => if let Err(e) = rung {
                tracing::error!(target: "job_runner.dispatch", "the clock does not ring: {e}");
                sleep_until(next).await;
            },
        }
        self.hear_all();
        true
    }

    /// Hears what else there is, so that one pass does for all of it.
    fn hear_all(&mut self) {
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

    /// Looks at what is to be looked at; `true` if that was not everything.
    async fn pass(&mut self) -> Result<bool, StoreError> {
        let now = Instant::now();
        self.gather_due().await?;
        self.gather_runs(now).await?;
        // Whoever made a run has told of its workers before: a run is looked at with those who are there for it.
        for _ in 0..MUSTERS {
            self.hear_all();
            if self.agenda.everything || self.agenda.roster {
                self.muster(now).await?;
            }
        }
        self.lose_the_silent(now).await?;
        self.kill(now).await?;
        self.attend(now);
        self.limit(now).await?;
        self.ping(now);
        let looked = self.look(now).await?;
        self.next_due = self.office.store.next_due(self.seen).await?;
        Ok(looked)
    }

    async fn muster(&mut self, now: Instant) -> Result<(), StoreError> {
        let muster = self.office.store.muster().await?;
        let mut attends = Timers::new();
        for worker in &muster.workers {
            if let Some(asked) = worker.open_request().filter(|asked| asked.heard.is_none()) {
                let key = (worker.id, asked.request.id);
                attends.set(key, self.attends.at(key).unwrap_or(now));
            }
        }
        self.attends = attends;
        let changed = self.roster.update(muster, now);
        self.agenda.roster = false;
        self.agenda.seats |= changed;
        if changed || self.agenda.everything {
            self.look_at_all_due().await?;
        }
        if std::mem::take(&mut self.agenda.everything) {
            let store = &self.office.store;
            self.agenda.jobs.extend(store.jobs_without_next().await?);
            self.agenda.asked.extend(store.open_kills(None).await?);
            let limits = store.time_limits(None).await?;
            self.set_limits(&limits, now);
        }
        Ok(())
    }

    async fn look_at_all_due(&mut self) -> Result<(), StoreError> {
        self.agenda.jobs.extend(self.office.store.jobs_due(None, Utc::now()).await?);
        Ok(())
    }

    async fn lose_the_silent(&mut self, now: Instant) -> Result<(), StoreError> {
        let silent = self.roster.fall_silent(now);
        for worker in &silent {
            let lost = self.office.store.lose(*worker, self.office.settings.max_losses, Utc::now()).await?;
            let runs = lost.iter().map(|run| run.id.to_string()).collect::<Vec<_>>().join(", ");
            if !lost.is_empty() {
                tracing::warn!(target: "job_runner.health", "worker {worker} does not answer; its runs {runs} are lost");
            }
        }
        if !silent.is_empty() {
            // What waits for them waits for another reason now.
            self.look_at_all_due().await?;
        }
        Ok(())
    }

    async fn gather_due(&mut self) -> Result<(), StoreError> {
        let now = Utc::now();
        self.agenda.jobs.extend(self.office.store.jobs_due(Some(self.seen), now).await?);
        self.seen = now;
        Ok(())
    }

    async fn gather_runs(&mut self, now: Instant) -> Result<(), StoreError> {
        for run in self.repeats.due(now) {
            self.agenda.jobs.extend(self.offers.job(run));
            self.agenda.seats = true;
        }
        for run in std::mem::take(&mut self.agenda.claimed) {
            self.repeats.cancel(run);
            self.agenda.jobs.extend(self.offers.end(run));
            self.agenda.asked.extend(self.office.store.open_kills(Some(run)).await?);
            self.hear_of_claim(run, now).await?;
        }
        for run in std::mem::take(&mut self.agenda.ended) {
            self.limits.cancel(run);
        }
        for run in std::mem::take(&mut self.agenda.runs) {
            self.agenda.jobs.extend(self.office.store.job_concerned(run, Utc::now()).await?);
        }
        Ok(())
    }

    /// Who claims is there, whatever it says to pings.
    async fn hear_of_claim(&mut self, run: RunId, now: Instant) -> Result<(), StoreError> {
        if !self.roster.crew().silent.is_empty()
            && let Some(worker) = self.office.store.run(run).await?.and_then(|run| run.worker)
            && self.roster.hear(worker, now)
        {
            self.look_at_all_due().await?;
        }
        Ok(())
    }

    async fn kill(&mut self, now: Instant) -> Result<(), StoreError> {
        for kill in std::mem::take(&mut self.agenda.taken) {
            self.kills.cancel(kill);
        }
        self.agenda.asked.extend(self.kills.due(now));
        for kill in std::mem::take(&mut self.agenda.asked) {
            if let Some(key) = self.office.store.kill_target(kill).await? {
                self.office.orders.give(key, Order::Kill(kill));
                self.kills.set(kill, now + self.office.settings.announce_interval);
            }
        }
        Ok(())
    }

    /// Who is asked something and has not heard it is told to attend, again and again.
    fn attend(&mut self, now: Instant) {
        for (worker, request) in self.attends.due(now) {
            if let Some(key) = self.roster.key(worker) {
                self.office.orders.give(key.clone(), Order::Attend);
                self.attends.set((worker, request), now + self.office.settings.announce_interval);
            }
        }
    }

    async fn limit(&mut self, now: Instant) -> Result<(), StoreError> {
        for run in std::mem::take(&mut self.agenda.started) {
            let limits = self.office.store.time_limits(Some(run)).await?;
            self.set_limits(&limits, now);
        }
        for run in self.limits.due(now) {
            if let Some(kill) = self.office.store.time_out(run, Utc::now()).await? {
                tracing::warn!(target: "job_runner.dispatch", "run {run} takes too long; kill request {kill}");
            }
        }
        Ok(())
    }

    /// How long a run has taken before we knew of it is read off the clock on the wall, within reason.
    fn set_limits(&mut self, limits: &[TimeLimit], now: Instant) {
        for TimeLimit { run, start, limit } in limits {
            let taken = (Utc::now() - *start).to_std().unwrap_or_default().min(*limit);
            self.limits.set(*run, now + (*limit - taken));
        }
    }

    fn ping(&mut self, now: Instant) {
        if self.next_ping <= now {
            self.next_ping = now + self.office.settings.ping_interval / SHARES;
            self.share = (self.share + 1) % SHARES;
            let share = self.roster.share(self.share, SHARES);
            share.for_each(|key| self.office.orders.give(key.clone(), Order::Ping));
        }
        for key in std::mem::take(&mut self.agenda.arrived) {
            let Some(worker) = self.roster.of_key(&key) else { continue };
            self.office.orders.give(key.clone(), Order::Ping);
            if self.attends.keys().any(|(asked, _)| asked == worker) {
                self.office.orders.give(key.clone(), Order::Attend);
            }
            for run in self.offers.of_worker(worker) {
                self.office.orders.give(key.clone(), Order::Enqueue(run));
            }
        }
    }

    /// Looks at some of the jobs; `true` if others are left.
    async fn look(&mut self, now: Instant) -> Result<bool, StoreError> {
        if self.agenda.jobs.is_empty() && !self.agenda.seats {
            return Ok(false);
        }
        let busy = self.office.store.busy().await?;
        if std::mem::take(&mut self.agenda.seats) {
            for pool in self.offers.waiting_pools() {
                let free = self.roster.free_seats(pool, load(&busy, &self.offers));
                self.agenda.jobs.extend(self.offers.seat(pool, free));
            }
        }
        for _ in 0..LOOKS {
            let Some(job) = self.agenda.jobs.pop_first() else { return Ok(false) };
            self.look_at(job, &busy, now).await?;
        }
        Ok(true)
    }

    async fn look_at(&mut self, job: JobId, busy: &BTreeMap<WorkerId, u32>, now: Instant) -> Result<(), StoreError> {
        let Office { store, settings, .. } = &*self.office;
        let look = store.look(job, self.roster.crew(), settings.time_zone, Utc::now()).await?;
        let (pool, offers) = look.map_or((None, Vec::new()), |Look { pool, offers }| (Some(pool), offers));
        let offered: BTreeSet<_> = offers.iter().map(|offer| offer.run.id).collect();
        for over in self.offers.only(job, &offered) {
            self.repeats.cancel(over);
        }
        let Some(pool) = pool else { return Ok(()) };
        for Offer { run, to } in offers {
            if self.repeats.has(run.id) {
                continue;
            }
            let choice = match to {
                Some(worker) => Choice::Tell(worker),
                None => self.roster.choose(pool, &self.offers.told(run.id), load(busy, &self.offers)),
            };
            match choice {
                Choice::Tell(worker) => self.tell(run.id, job, worker, now),
                Choice::TellSilent(worker) => {
                    self.office.store.waits(&run, Reason::NobodyAnswers, Utc::now()).await?;
                    self.tell(run.id, job, worker, now);
                }
                Choice::NoSeat => {
                    if self.offers.wait_for_seat(pool, run.schedule_dts, run.id, job) {
                        self.office.store.waits(&run, Reason::NoSeat, Utc::now()).await?;
                    }
                }
                Choice::Nobody => self.office.store.waits(&run, Reason::NoWorker, Utc::now()).await?,
            }
        }
        Ok(())
    }

    fn tell(&mut self, run: RunId, job: JobId, worker: WorkerId, now: Instant) {
        let Some(key) = self.roster.key(worker) else { return };
        tracing::debug!(target: "job_runner.dispatch", "run {run} is announced to {key}");
        self.office.orders.give(key.clone(), Order::Enqueue(run));
        self.offers.tell(run, job, worker);
        self.repeats.set(run, now + self.office.settings.announce_interval);
    }
}

/// How much a worker has to do: what it has claimed, and what it was told of and may claim.
fn load<'a>(busy: &'a BTreeMap<WorkerId, u32>, offers: &'a Offers) -> impl Fn(WorkerId) -> u32 + 'a {
    |worker| busy.get(&worker).copied().unwrap_or(0) + offers.promised(worker)
}

/// An error with everything behind it, in a line.
fn chain_of(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
