//! A model of one run between a server that may not answer, a worker and shims that may die at any step: every
//! order of steps is explored, with the house's own machines making the decisions.
//!
//! What must hold in every world: no attempt is executed twice and no two scripts run at once, another attempt is
//! executed only for a shim that died, only a claimed run is executed, and nothing is told after an accepted return. And from every world, once faults stop, the run
//! comes to its return and leaves nothing on disk.

mod shim;
mod worker;
mod world;

use std::collections::{HashMap, HashSet};

use jobrunner::report::delivery::{Delivery, ServerView};
use jobrunner::report::plan::{CallConditions, NextCall};
use jobrunner::run::claim::{ClaimPhase, Effect, Input};

use shim::ShimRules;
use worker::{Answer, Machines};
use world::{Faults, Neighbour, Shim, Task, Worker, World};

/// Within how many steps a run that is left in peace must have returned.
const PEACE: usize = 200;

/// The house that is explored.
#[derive(Clone, Copy)]
struct House {
    machines: Machines,
    shim: ShimRules,
    /// Whether a result that is on disk may wait for the next start.
    rests_untold: bool,
}

impl House {
    fn ours() -> Self {
        Self { machines: Machines::ours(), shim: ShimRules::default(), rests_untold: false }
    }

    /// Everything that may happen next, with its name.
    fn next(&self, world: &World) -> Vec<(&'static str, World)> {
        let mut next = Vec::new();
        match &world.worker {
            None => next.push(("the worker is started", started(world))),
            Some(_) => {
                for answer in &answers(world) {
                    // Only what asks the server can be answered badly.
                    let counts = |after: &World| *answer == Answer::Given || after.faults != world.faults;
                    let task = world.task_step(&self.machines, *answer, false);
                    next.extend(task.filter(counts).map(|after| (answer.of_the_task(), after)));
                    let courier = world.courier_step(&self.machines, *answer);
                    next.extend(courier.filter(counts).map(|after| (answer.of_the_courier(), after)));
                    let list = world.list_step(&self.machines, *answer);
                    next.extend(list.filter(counts).map(|after| (answer.of_the_list(), after)));
                }
                if world.worker.as_ref().is_some_and(|worker| worker.task == Task::Claiming) {
                    let late = world.task_step(&self.machines, Answer::Given, true);
                    next.extend(late.map(|after| ("the claim is accepted late", after)));
                }
            }
        }
        for attempt in 0..world.shims.len() {
            next.extend(world.shim_step(attempt, self.shim).map(|after| ("the shim goes on", after)));
        }
        next.extend(deaths(world));
        next
    }

    /// What happens where nothing goes wrong any more.
    fn in_peace(&self, world: &World) -> Option<World> {
        if world.worker.is_none() {
            return Some(started(world));
        }
        (0..world.shims.len())
            .find_map(|attempt| world.shim_step(attempt, self.shim))
            .or_else(|| world.courier_step(&self.machines, Answer::Given))
            .or_else(|| world.list_step(&self.machines, Answer::Given))
            .or_else(|| world.task_step(&self.machines, Answer::Given, false))
    }

    /// Explores every world within these faults. How many there are and how many steps deep they lie, or how one
    /// comes to what must not be.
    fn explore(&self, faults: Faults) -> Result<(usize, usize), String> {
        let first = World {
            server: world::Server::default(),
            disk: world::Disk::default(),
            shims: [Shim::None; world::ATTEMPTS],
            scripts: [world::Script::default(); world::ATTEMPTS],
            worker: Some(Worker { task: Task::Waiting, courier: None, has_entry: false, list_is_due: false }),
            neighbour: Neighbour::Runs,
            shim_deaths: 0,
            faults,
        };
        let mut from: HashMap<World, Option<(World, &'static str)>> = HashMap::from([(first.clone(), None)]);
        let mut peaceful = HashSet::new();
        let (mut layer, mut depth) = (vec![first], 0);
        while !layer.is_empty() {
            let mut deeper = Vec::new();
            for world in layer {
                let wrong = wrong(&world).or_else(|| self.comes_to_no_good(&world, &mut peaceful));
                if let Some(wrong) = wrong {
                    return Err(format!("{wrong}:{}", way_to(&world, &from)));
                }
                for (step, after) in self.next(&world) {
                    if !from.contains_key(&after) {
                        from.insert(after.clone(), Some((world.clone(), step)));
                        deeper.push(after);
                    }
                }
            }
            depth += usize::from(!deeper.is_empty());
            layer = deeper;
        }
        Ok((from.len(), depth))
    }

    /// Left in peace, a run comes to its return, and nothing of it is left.
    fn comes_to_no_good(&self, world: &World, peaceful: &mut HashSet<World>) -> Option<String> {
        let (mut now, mut passed) = (world.clone(), Vec::new());
        while !peaceful.contains(&now) {
            if let Some(wrong) = wrong(&now) {
                return Some(format!("in peace, {wrong}"));
            }
            passed.push(now.clone());
            match self.in_peace(&now) {
                Some(next) if passed.len() < PEACE => now = next,
                Some(_) => return Some(format!("it never comes to rest: {now:?}")),
                None if now.server.is_returned && now.disk == world::Disk::default() => break,
                // Of an attempt that was taken away from a shim that died just then; the next start removes it.
                None if now.server.is_returned && now.disk.is_only_empty_records() => now = started(&now),
                None if self.rests_untold && now.disk.row.is_some_and(|row| row.is_ended) => now = started(&now),
                None => return Some(format!("it rests as {now:?}")),
            }
        }
        peaceful.extend(passed);
        None
    }
}

impl Answer {
    fn of_the_task(self) -> &'static str {
        match self {
            Self::Given => "the task goes on",
            Self::LostAfter => "the task's request is done, and not answered",
            Self::LostBefore => "the task's request is lost",
            Self::Rejected => "the task's request is rejected",
        }
    }

    fn of_the_courier(self) -> &'static str {
        match self {
            Self::Given => "the courier goes on",
            Self::LostAfter => "the courier's request is done, and not answered",
            Self::LostBefore => "the courier's request is lost",
            Self::Rejected => "what the courier tells is rejected",
        }
    }

    fn of_the_list(self) -> &'static str {
        match self {
            Self::Given => "the list is read",
            Self::LostAfter | Self::LostBefore | Self::Rejected => "the list cannot be read",
        }
    }
}

/// What a request may come to.
fn answers(world: &World) -> Vec<Answer> {
    let mut answers = vec![Answer::Given];
    if world.faults.unanswered > 0 {
        answers.extend([Answer::LostAfter, Answer::LostBefore]);
    }
    if world.faults.rejected > 0 {
        answers.push(Answer::Rejected);
    }
    answers
}

fn started(world: &World) -> World {
    let worker = Worker { task: Task::Starting, courier: None, has_entry: false, list_is_due: true };
    World { worker: Some(worker), ..world.clone() }
}

/// Who may die now.
fn deaths(world: &World) -> Vec<(&'static str, World)> {
    let mut next = Vec::new();
    if world.worker.is_some() && world.faults.worker_crashes > 0 {
        let mut after = World { worker: None, ..world.clone() };
        after.faults.worker_crashes -= 1;
        next.push(("the worker dies", after));
    }
    let lives = |shim: &Shim| shim.is_alive() && *shim != Shim::Done;
    for attempt in (0..world.shims.len()).filter(|attempt| lives(&world.shims[*attempt])) {
        if world.faults.shim_crashes > 0 {
            let mut after = world.clone();
            after.shims[attempt] = Shim::Dead;
            after.faults.shim_crashes -= 1;
            after.shim_deaths += 1;
            next.push(("the shim dies", after));
        }
    }
    for attempt in (0..world.shims.len()).filter(|attempt| world.shims[*attempt] == Shim::Dead) {
        if world.faults.pids_used_again > 0 && world.neighbour == Neighbour::Runs {
            let mut after = World { neighbour: Neighbour::RunsUnderPidOf(attempt), ..world.clone() };
            after.faults.pids_used_again -= 1;
            next.push(("another shim gets the pid of a dead one", after));
        }
    }
    next
}

/// What must not be.
fn wrong(world: &World) -> Option<String> {
    let alive = world.scripts.iter().filter(|script| script.is_alive).count();
    if let Some(attempt) = world.scripts.iter().position(|script| script.executions > 1) {
        return Some(format!("attempt {} is executed twice", attempt + 1));
    }
    if world.scripts.iter().map(|script| script.executions).sum::<u8>() > 1 + world.shim_deaths {
        return Some("the run is executed again, and no shim died for it".to_owned());
    }
    if alive > 1 {
        return Some("two scripts of the run at once".to_owned());
    }
    if world.neighbour == Neighbour::Killed {
        return Some("the script of another run is ended".to_owned());
    }
    let executions = world.scripts.iter().map(|script| script.executions).sum::<u8>();
    if let Some(worker) = &world.worker
        && let (Task::Ordering, Some(row)) = (worker.task, world.disk.row)
        && (row.losses + 1..=world.shim_deaths).contains(&executions)
    {
        return Some("an execution was lost and is not counted".to_owned());
    }
    if world.worker.as_ref().is_some_and(|worker| worker.task == Task::Waiting && !worker.list_is_due)
        && world.disk.row.is_some_and(|row| row.is_ended)
        && !world.server.is_claimed
    {
        return Some("a run whose end is on disk is made due again".to_owned());
    }
    if alive > 0 && !world.server.is_claimed {
        return Some("it runs and is not claimed".to_owned());
    }
    (world.server.told_too_late > 0).then(|| "something was told after the return".to_owned())
}

fn way_to(world: &World, from: &HashMap<World, Option<(World, &'static str)>>) -> String {
    let mut steps = Vec::new();
    let mut at = world;
    while let Some(Some((before, step))) = from.get(at) {
        steps.push(format!("\n  {step}: {:?}", at.worker.as_ref().map(|worker| worker.task)));
        at = before;
    }
    steps.reverse();
    steps.concat()
}

fn faults(worker_crashes: u8, shim_crashes: u8, unanswered: u8) -> Faults {
    Faults { worker_crashes, shim_crashes, unanswered, rejected: 0, pids_used_again: 0 }
}

fn with_rejections(worker_crashes: u8, shim_crashes: u8, rejected: u8) -> Faults {
    Faults { rejected, ..faults(worker_crashes, shim_crashes, 0) }
}

#[test]
fn no_order_of_crashes_and_lost_answers_does_harm() {
    let pids = Faults { pids_used_again: 1, ..faults(1, 1, 0) };
    let rejections = with_rejections(1, 1, 4);
    for faults in [faults(2, 1, 1), faults(1, 2, 1), faults(1, 1, 2), faults(0, 3, 0), rejections, pids] {
        match House::ours().explore(faults) {
            Ok((worlds, depth)) => {
                eprintln!("{faults:?}: {worlds} worlds, all within {depth} steps");
                assert!(depth >= 12, "only {depth} steps deep");
            }
            Err(way) => panic!("{faults:?}: {way}"),
        }
    }
}

/// What the model finds in a house that is built wrong.
fn harm(change: impl FnOnce(&mut House)) -> String {
    harm_within(faults(1, 1, 1), change)
}

fn harm_within(faults: Faults, change: impl FnOnce(&mut House)) -> String {
    let mut house = House::ours();
    change(&mut house);
    let harm = house.explore(faults).expect_err("a house that is built wrong");
    eprintln!("{harm}");
    harm
}

#[test]
fn a_shim_that_minds_no_licence_is_found_out() {
    let harm = harm(|house| house.shim.ignores_missing_script = true);
    assert!(harm.contains("executed again, and no shim died"), "{harm}");
}

#[test]
fn a_worker_that_minds_no_lock_is_found_out() {
    let harm = harm(|house| house.machines.minds_lock = false);
    assert!(harm.contains("executed again, and no shim died"), "{harm}");
}

#[test]
fn a_claim_that_is_taken_for_refused_is_found_out() {
    let forgetful = |phase: ClaimPhase, input| match (phase, input) {
        (ClaimPhase::Claiming, Input::Ambiguous) => (ClaimPhase::Dropped, Effect::Nothing),
        (phase, input) => phase.step(input),
    };
    let harm = harm(|house| house.machines.claim = forgetful);
    assert!(harm.contains("it rests as"), "{harm}");
}

#[test]
fn a_claim_that_is_taken_for_granted_is_found_out() {
    let bold = |phase: ClaimPhase, input| match (phase, input) {
        (ClaimPhase::Claiming, Input::Ambiguous) => (ClaimPhase::Claimed, Effect::Launch),
        (phase, input) => phase.step(input),
    };
    let harm = harm(|house| house.machines.claim = bold);
    assert!(harm.contains("not claimed"), "{harm}");
}

#[test]
fn a_result_that_is_sent_again_unseen_is_found_out() {
    let blind = |delivery: &Delivery, at: &CallConditions| match delivery.next(at) {
        NextCall::Look => Delivery { view: ServerView::Assumed, ..*delivery }.next(at),
        next => next,
    };
    let harm = harm(|house| house.machines.plan = blind);
    assert!(harm.contains("after the return"), "{harm}");
}

#[test]
fn a_result_that_is_given_up_is_found_out() {
    let in_one_life = harm_within(with_rejections(0, 0, 3), |house| house.machines.gives_up_after = Some(3));
    assert!(in_one_life.contains("it rests as"), "{in_one_life}");
}

#[test]
fn a_run_that_is_not_known_because_its_result_was_given_up_is_found_out() {
    let harm = harm_within(with_rejections(1, 0, 3), |house| {
        house.machines.gives_up_after = Some(3);
        house.rests_untold = true;
    });
    assert!(harm.contains("made due again"), "{harm}");
}

#[test]
fn a_loss_that_is_counted_behind_the_removal_of_its_record_is_found_out() {
    let harm = harm(|house| house.machines.counts_first = false);
    assert!(harm.contains("lost and is not counted"), "{harm}");
}

#[test]
fn a_clean_up_by_pid_is_found_out() {
    let pids = Faults { pids_used_again: 1, ..faults(1, 1, 0) };
    let harm = harm_within(pids, |house| house.machines.cleans_by_pid = true);
    assert!(harm.contains("another run is ended"), "{harm}");
}
