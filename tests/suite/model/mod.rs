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

use jobrunner::report::plan::{Knowledge, Next};
use jobrunner::run::claim::{Effect, Input, Phase};

use shim::ShimRules;
use worker::{Answer, Machines};
use world::{Faults, Shim, Task, Worker, World};

/// Within how many steps a run that is left in peace must have returned.
const PEACE: usize = 200;

/// The house that is explored.
#[derive(Clone, Copy)]
struct House {
    machines: Machines,
    shim: ShimRules,
}

impl House {
    fn ours() -> Self {
        Self { machines: Machines::ours(), shim: ShimRules::default() }
    }

    /// Everything that may happen next, with its name.
    fn next(&self, world: &World) -> Vec<(&'static str, World)> {
        let mut next = Vec::new();
        match &world.worker {
            None => next.push(("the worker is started", started(world))),
            Some(_) => {
                let unanswered = if world.faults.unanswered > 0 { &Answer::ALL[..] } else { &Answer::ALL[..1] };
                for answer in unanswered {
                    // Only what asks the server can be without an answer.
                    let counts =
                        |after: &World| *answer == Answer::Given || after.faults.unanswered < world.faults.unanswered;
                    let task = world.task_step(&self.machines, *answer, false);
                    next.extend(task.filter(counts).map(|after| (answer.of_the_task(), after)));
                    let courier = world.courier_step(&self.machines, *answer);
                    next.extend(courier.filter(counts).map(|after| (answer.of_the_courier(), after)));
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
            worker: Some(Worker { task: Task::Waiting, courier: None }),
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
                None => return Some(format!("it rests as {now:?}")),
            }
        }
        peaceful.extend(passed);
        None
    }
}

impl Answer {
    const ALL: [Self; 3] = [Self::Given, Self::LostAfter, Self::LostBefore];

    fn of_the_task(self) -> &'static str {
        match self {
            Self::Given => "the task goes on",
            Self::LostAfter => "the task's request is done, and not answered",
            Self::LostBefore => "the task's request is lost",
        }
    }

    fn of_the_courier(self) -> &'static str {
        match self {
            Self::Given => "the courier goes on",
            Self::LostAfter => "the courier's request is done, and not answered",
            Self::LostBefore => "the courier's request is lost",
        }
    }
}

fn started(world: &World) -> World {
    World { worker: Some(Worker { task: Task::Starting, courier: None }), ..world.clone() }
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
    Faults { worker_crashes, shim_crashes, unanswered }
}

#[test]
fn no_order_of_crashes_and_lost_answers_does_harm() {
    for faults in [faults(2, 1, 1), faults(1, 2, 1), faults(1, 1, 2), faults(0, 3, 0)] {
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
    let mut house = House::ours();
    change(&mut house);
    house.explore(faults(1, 1, 1)).expect_err("a house that is built wrong")
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
    let forgetful = |phase: Phase, input| match (phase, input) {
        (Phase::Claiming, Input::Ambiguous) => (Phase::Dropped, Effect::Nothing),
        (phase, input) => phase.step(input),
    };
    let harm = harm(|house| house.machines.claim = forgetful);
    assert!(harm.contains("it rests as"), "{harm}");
}

#[test]
fn a_claim_that_is_taken_for_granted_is_found_out() {
    let bold = |phase: Phase, input| match (phase, input) {
        (Phase::Claiming, Input::Ambiguous) => (Phase::Claimed, Effect::Launch),
        (phase, input) => phase.step(input),
    };
    let harm = harm(|house| house.machines.claim = bold);
    assert!(harm.contains("not claimed"), "{harm}");
}

#[test]
fn a_result_that_is_sent_again_unseen_is_found_out() {
    let blind = |knowledge: &Knowledge, now| match knowledge.next(now, false) {
        Next::Look => Knowledge { doubt: false, ..knowledge.clone() }.next(now, false),
        next => next,
    };
    let harm = harm(|house| house.machines.plan = blind);
    assert!(harm.contains("after the return"), "{harm}");
}
