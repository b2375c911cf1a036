//! What the worker does, one step at a time, between which it may die. Decisions are those of the house:
//! [`Phase::step`] and the report's plan; the hands are those of `intake::task`, `report::courier` and
//! `source::leftover`, told as steps.

use jobrunner::report::delivery::{
    Delivery, DeliveryPhase, LiveLog, LogExtent, LogReport, OutputWatch, ServerView, StartReport,
};
use jobrunner::report::plan::{CallConditions, NextCall};
use jobrunner::run::claim::{ClaimPhase, Effect, Input, RunSight};
use tokio::time::Instant;

use super::world::{Courier, MAX_LOSSES, Neighbour, Record, Row, Server, Shim, Task, Worker, World};

/// From how many rejections on they are not counted any more here.
const ENOUGH: u8 = 3;

/// The decisions that the worker is built of. A test puts a wrong one in.
#[derive(Clone, Copy)]
pub struct Machines {
    pub claim: fn(ClaimPhase, Input) -> (ClaimPhase, Effect),
    pub plan: fn(&Delivery, &CallConditions) -> NextCall,
    /// Whether a record whose lock is held is that of a run that goes on.
    pub minds_lock: bool,
    /// How often a result is rejected before nobody tells it any more until the next start.
    pub gives_up_after: Option<u8>,
    /// Whether the entry of the next attempt is written before the files of the lost one are removed.
    pub counts_first: bool,
    /// Whether what a dead shim has left is found by what its pid names.
    pub cleans_by_pid: bool,
}

impl Machines {
    /// Those of the worker.
    pub fn ours() -> Self {
        Self {
            claim: ClaimPhase::step,
            plan: Delivery::next,
            minds_lock: true,
            gives_up_after: None,
            counts_first: true,
            cleans_by_pid: false,
        }
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Given,
    /// It was done, and nobody heard so.
    LostAfter,
    /// It was not done.
    LostBefore,
    /// It was not done, and is rejected.
    Rejected,
}

impl World {
    /// The next step of the run's task. `None` where it waits.
    pub fn task_step(&self, machines: &Machines, answer: Answer, now_late: bool) -> Option<Self> {
        let worker = self.worker.as_ref()?;
        let mut world = self.clone();
        let next = match worker.task {
            Task::Starting => world.take_up(),
            Task::Waiting if !self.server.is_claimed && !self.server.is_returned => {
                world.worker.as_mut()?.has_entry = false;
                Task::Travelling(ClaimPhase::Hinted, Effect::Look)
            }
            Task::Waiting | Task::Over => return None,
            Task::Travelling(phase, effect) => world.travel(machines, phase, effect, answer),
            Task::Claiming => {
                let heard = world.tell(answer, |server| server.is_claimed = true);
                let input = match (heard, now_late) {
                    (false, _) => Input::Ambiguous,
                    (true, true) => Input::AcceptedLate,
                    (true, false) => Input::Accepted,
                };
                let (phase, effect) = (machines.claim)(ClaimPhase::Claiming, input);
                Task::Travelling(phase, effect)
            }
            Task::Ordering => {
                let attempt = self.disk.row?.attempt;
                world.shims[attempt] = Shim::Ordered;
                Task::Watching
            }
            Task::Watching => world.watch()?,
            Task::Looking { is_found } => world.look_at_remains(machines, is_found)?,
            Task::Clearing => {
                let attempt = self.disk.row?.attempt;
                world.scripts[attempt].is_alive = false;
                if machines.cleans_by_pid && world.neighbour == Neighbour::RunsUnderPidOf(attempt) {
                    world.neighbour = Neighbour::Killed;
                }
                world.disk.files[attempt] = false;
                Task::Counting { has_begun: true }
            }
            Task::Counting { has_begun } => world.count_loss(machines, has_begun),
            Task::Relaunching { losses } => world.relaunch(machines, losses),
        };
        world.worker.as_mut()?.task = next;
        Some(world)
    }

    /// `source::leftover`: what the last worker left behind.
    fn take_up(&mut self) -> Task {
        let Some(row) = self.disk.row else {
            // What else no row accounts for would be taken up; here the row is always the last to go.
            for attempt in (0..self.shims.len()).filter(|attempt| !self.shims[*attempt].holds_lock()) {
                self.disk.records[attempt].take_if(|record| *record == Record::Empty);
            }
            return Task::Waiting;
        };
        if let Some(worker) = &mut self.worker {
            worker.has_entry = true;
        }
        // Of an attempt that was written off.
        for attempt in (0..row.attempt).filter(|attempt| !self.shims[*attempt].holds_lock()) {
            if self.disk.records[attempt].take().is_some() {
                self.scripts[attempt].is_alive = false;
            }
        }
        if row.is_ended {
            self.serve(row, true);
            return Task::Over;
        }
        Task::Looking { is_found: true }
    }

    fn serve(&mut self, row: Row, is_in_doubt: bool) {
        if let Some(worker) = &mut self.worker {
            worker.courier.get_or_insert(Courier {
                attempt: row.attempt,
                is_in_doubt,
                is_started: row.is_started,
                is_ended: row.is_ended,
                ..Courier::default()
            });
        }
    }

    fn travel(&mut self, machines: &Machines, phase: ClaimPhase, effect: Effect, answer: Answer) -> Task {
        match effect {
            Effect::Look => {
                if !self.ask(answer) {
                    return Task::Travelling(phase, effect);
                }
                let seen = match (self.server.is_returned, self.server.is_claimed) {
                    (true, _) => RunSight::Returned,
                    (false, true) => RunSight::Ours,
                    (false, false) => RunSight::Free,
                };
                let (phase, effect) = (machines.claim)(phase, Input::Seen(seen));
                Task::Travelling(phase, effect)
            }
            Effect::Claim => {
                if let Some(worker) = &mut self.worker
                    && !std::mem::replace(&mut worker.has_entry, true)
                {
                    self.disk.row = Some(Row { attempt: 0, losses: 0, is_started: false, is_ended: false });
                }
                Task::Claiming
            }
            Effect::Launch => {
                if let Some(row) = self.disk.row {
                    self.serve(row, false);
                    self.disk.files[row.attempt] = true;
                }
                Task::Ordering
            }
            Effect::Forget => {
                if let Some(row) = self.disk.row.take() {
                    self.disk.records[row.attempt] = None;
                }
                if let Some(worker) = &mut self.worker {
                    worker.courier = None;
                }
                Task::Waiting
            }
            Effect::Nothing => Task::Over,
        }
    }

    /// What the shim says of the execution that is watched.
    fn watch(&mut self) -> Option<Task> {
        let row = self.disk.row.as_mut()?;
        let courier = self.worker.as_mut()?.courier.as_mut()?;
        match self.shims[row.attempt] {
            Shim::Running | Shim::Exited | Shim::Done if !row.is_started => {
                (row.is_started, courier.is_started) = (true, true);
                Some(Task::Watching)
            }
            Shim::Done => {
                (row.is_ended, courier.is_ended) = (true, true);
                Some(Task::Over)
            }
            Shim::Dead | Shim::Refused => Some(Task::Looking { is_found: false }),
            _ => None,
        }
    }

    /// `execution::remains`, and what follows from it.
    fn look_at_remains(&mut self, machines: &Machines, is_found: bool) -> Option<Task> {
        let mut row = self.disk.row?;
        let attempt = row.attempt;
        let record = self.disk.records[attempt];
        if machines.minds_lock && self.shims[attempt].holds_lock() {
            // Nothing is said yet: whoever looks waits.
            record.filter(|record| *record != Record::Empty)?;
            self.serve(row, true);
            return Some(Task::Watching);
        }
        match record {
            Some(Record::Ended) => {
                (row.is_started, row.is_ended) = (true, true);
                self.disk.row = Some(row);
                self.serve(row, true);
                if let Some(courier) = self.worker.as_mut()?.courier.as_mut() {
                    (courier.is_started, courier.is_ended) = (true, true);
                }
                Some(Task::Over)
            }
            Some(Record::Begun | Record::Spawned) => {
                if is_found {
                    self.serve(row, true);
                }
                Some(Task::Clearing)
            }
            None | Some(Record::Empty) => {
                // The licence is taken away: a shim that comes later finds the script gone.
                self.disk.files[attempt] = false;
                self.disk.records[attempt] = None;
                if is_found && !row.is_started {
                    self.disk.row = Some(Row { attempt: attempt + 1, ..row });
                    return Some(Task::Travelling(ClaimPhase::Claiming, Effect::Look));
                }
                if is_found {
                    self.serve(row, true);
                }
                Some(Task::Counting { has_begun: row.is_started })
            }
        }
    }

    /// Another attempt, or the end. On disk before anything is done about it.
    fn count_loss(&mut self, machines: &Machines, has_begun: bool) -> Task {
        let Some(row) = &mut self.disk.row else { return Task::Over };
        let losses = row.losses + u8::from(has_begun);
        let Some(courier) = self.worker.as_mut().and_then(|worker| worker.courier.as_mut()) else { return Task::Over };
        if losses >= MAX_LOSSES {
            (row.is_ended, courier.is_ended) = (true, true);
            row.losses = losses;
            return Task::Over;
        }
        if machines.counts_first {
            self.count(losses);
        } else {
            self.disk.records[row.attempt] = None;
        }
        Task::Relaunching { losses }
    }

    /// Another step later: the other half of what a loss leads to.
    fn relaunch(&mut self, machines: &Machines, losses: u8) -> Task {
        let Some(row) = self.disk.row else { return Task::Over };
        if machines.counts_first {
            self.disk.records[row.attempt - 1] = None;
        } else {
            self.count(losses);
        }
        Task::Travelling(ClaimPhase::Claimed, Effect::Look)
    }

    /// The next attempt, on disk.
    fn count(&mut self, losses: u8) {
        let (Some(row), Some(worker)) = (&mut self.disk.row, &mut self.worker) else { return };
        *row = Row { attempt: row.attempt + 1, losses, is_started: false, is_ended: false };
        if let Some(courier) = &mut worker.courier {
            *courier = Courier { attempt: row.attempt, is_in_doubt: courier.is_in_doubt, ..Courier::default() };
        }
    }

    /// The list of the runs that only the server knows of is read: who is not known here is made due again.
    pub fn list_step(&self, machines: &Machines, answer: Answer) -> Option<Self> {
        let worker = self.worker.as_ref().filter(|worker| worker.list_is_due && worker.task != Task::Starting)?;
        let mut world = self.clone();
        if !world.ask(answer) {
            return Some(world);
        }
        world.worker.as_mut()?.list_is_due = false;
        let is_listed = self.server.is_claimed && !self.server.is_returned;
        if is_listed && !self.knows(machines, worker) {
            world.server.is_claimed = false;
            world.worker.as_mut()?.task = Task::Waiting;
        }
        Some(world)
    }

    /// Whether the worker takes the run for one that it has to do with.
    fn knows(&self, machines: &Machines, worker: &Worker) -> bool {
        let is_under_way = !matches!(worker.task, Task::Waiting | Task::Over);
        is_under_way || worker.courier.is_some() || (machines.gives_up_after.is_none() && self.disk.row.is_some())
    }

    /// The next step of the courier. `None` where it waits.
    pub fn courier_step(&self, machines: &Machines, answer: Answer) -> Option<Self> {
        let courier = self.worker.as_ref()?.courier?;
        let mut world = self.clone();
        let mut known = courier;
        if courier.is_leaving {
            // First the files, then the row.
            if world.disk.records[courier.attempt].take().is_none() {
                world.disk.row = None;
                world.worker.as_mut()?.courier = None;
                world.worker.as_mut()?.task = Task::Waiting;
            }
            return Some(world);
        }
        let call = (machines.plan)(&delivery(&courier), &conditions());
        let heard = match call {
            NextCall::Look => world.ask(answer),
            NextCall::TellStart => world.tell(answer, |server| server.is_started = true),
            NextCall::SendLive | NextCall::SendLog => world.tell(answer, |server| server.has_log = true),
            NextCall::Return => world.tell(answer, |server| {
                (server.is_started, server.is_returned) = (true, true);
            }),
            // Nobody asks for anything to be given back here.
            NextCall::Watch | NextCall::Wait(_) | NextCall::GiveBack | NextCall::Forget => return None,
        };
        if answer == Answer::Rejected {
            if call == NextCall::Look {
                return None;
            }
            return world.rejected(machines, call, known);
        }
        match (heard, call) {
            (false, NextCall::Look) => {}
            (false, _) => known.is_in_doubt = true,
            (true, NextCall::Look) => {
                (known.is_in_doubt, known.has_looked) = (false, courier.is_ended);
                known.is_leaving = self.server.is_returned && courier.is_ended;
                known.is_start_told |= courier.is_started && courier.attempt == 0 && self.server.is_started;
            }
            (true, NextCall::TellStart) => known.is_start_told = true,
            (true, NextCall::SendLog) => (known.is_log_sent, known.logs_rejected) = (true, 0),
            (true, _) => known.is_leaving = true,
        }
        world.worker.as_mut()?.courier = Some(known);
        Some(world)
    }

    /// What was told is rejected.
    fn rejected(mut self, machines: &Machines, call: NextCall, mut known: Courier) -> Option<Self> {
        let mut delivery = delivery(&known);
        delivery.reject(call, Instant::now());
        let few = |call| u8::try_from(delivery.times_rejected(call)).unwrap_or(u8::MAX).min(ENOUGH);
        known.starts_rejected = few(NextCall::TellStart);
        known.logs_rejected = few(NextCall::SendLog);
        known.results_rejected = few(NextCall::Return);
        let given_up = machines.gives_up_after.is_some_and(|most| known.results_rejected >= most);
        self.worker.as_mut()?.courier = Some(known).filter(|_| !given_up);
        Some(self)
    }

    /// Sends a request that tells something. Whether its answer is heard.
    fn tell(&mut self, answer: Answer, act: impl FnOnce(&mut Server)) -> bool {
        if !matches!(answer, Answer::LostBefore | Answer::Rejected) {
            self.server.told_too_late += u8::from(self.server.is_returned);
            act(&mut self.server);
        }
        self.ask(answer)
    }

    /// Sends a request that asks something. Whether its answer is heard.
    fn ask(&mut self, answer: Answer) -> bool {
        match answer {
            Answer::Given => {}
            Answer::Rejected => self.faults.rejected -= 1,
            Answer::LostAfter | Answer::LostBefore => self.faults.unanswered -= 1,
        }
        answer == Answer::Given
    }
}

/// The delivery as the report would have it. Logs are sent at the end only, and the server is never silent for long.
fn delivery(courier: &Courier) -> Delivery {
    // A rejection makes the courier wait, which takes no time here.
    let retry_at = None;
    let start = match (courier.is_started, courier.is_start_told) {
        (false, _) => None,
        (true, true) => Some(StartReport::Accepted),
        (true, false) => Some(StartReport::Due { rejections: courier.starts_rejected.into(), retry_at }),
    };
    let extent = LogExtent::default();
    let log = match courier.is_log_sent {
        true => LogReport::Accepted,
        false => LogReport::Due { rejections: courier.logs_rejected.into() },
    };
    let phase = match (courier.is_ended, start) {
        (true, start) => DeliveryPhase::Ended { start, log, extent, rejections: courier.results_rejected.into() },
        (false, None) => DeliveryPhase::NotStarted { output: 0 },
        (false, Some(start)) => {
            let log = LiveLog { extent, watch: OutputWatch::Off, next_at: None, rejections: 0 };
            DeliveryPhase::Running { start, log }
        }
    };
    let view = match (courier.is_in_doubt, courier.has_looked) {
        (true, _) => ServerView::Doubtful,
        (false, false) => ServerView::Assumed,
        (false, true) => ServerView::Fresh,
    };
    Delivery { phase, view }
}

fn conditions() -> CallConditions {
    CallConditions { now: Instant::now(), sends_live_logs: false, is_long_silent: false, start_waits_until: None }
}
