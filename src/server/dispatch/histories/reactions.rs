//! Reactions of the dispatcher: one thing happens, and exactly these orders are given for it, in this order.

use super::Stand;
use super::Step::{self, *};
use super::world::World;
use crate::run::{KillId, Order, RequestId, RunId};
use crate::server::store::changes::{Change, ChangeNotice};

/// Number of the first run that the steps make: the two jobs with a schedule have their next runs by then.
const FIRST: i64 = 3;

/// A world with two workers, of which the first has one slot and the second has four.
struct Scene {
    stand: Stand,
    world: World,
}

impl Scene {
    fn new() -> Self {
        let stand = Stand::new();
        let world = stand.runtime.block_on(World::begin(&stand.blank, 2));
        let mut scene = Self { stand, world };
        for worker in 0..2 {
            assert_eq!(scene.after(Back(worker)), [], "nothing is due");
        }
        scene
    }

    /// Returns the orders that follow a step, apart from pings, with the numbers of their workers.
    fn after(&mut self, step: Step) -> Vec<(usize, Order)> {
        self.stand.runtime.block_on(self.world.react(step))
    }

    /// Lets a worker report its state and the request that it follows; returns the request that is open for it.
    fn report(&mut self, worker: usize, follows: Option<RequestId>) -> Option<RequestId> {
        self.stand.runtime.block_on(self.world.report(worker, follows))
    }
}

fn enqueue(run: i64) -> Order {
    Order::Enqueue(RunId::new(run).unwrap())
}

fn kill(kill: i64) -> Order {
    Order::Kill(KillId::new(kill).unwrap())
}

#[test]
fn a_due_run_is_announced_to_the_worker_with_most_free_slots_and_to_no_other() {
    let mut scene = Scene::new();
    assert_eq!(scene.after(Due(0)), [(1, enqueue(FIRST))]);
    // The second keeps a slot for each of these, and is left with as many as the first.
    assert_eq!(scene.after(Due(2)), [(1, enqueue(FIRST + 1))]);
    assert_eq!(scene.after(Due(2)), [(1, enqueue(FIRST + 2))]);
    assert_eq!(scene.after(Due(2)), [(0, enqueue(FIRST + 3))]);
}

#[test]
fn what_waits_for_a_slot_is_announced_when_one_is_free_and_not_before() {
    let mut scene = Scene::new();
    assert_eq!(scene.after(EnableWorker(1, false)), []);
    assert_eq!(scene.after(Due(2)), [(0, enqueue(FIRST))]);
    assert_eq!(scene.after(Due(2)), []);
    assert_eq!(scene.after(Claim(0)), []);
    assert_eq!(scene.after(Wait(20)), []);
    assert_eq!(scene.after(Return(0, true)), [(0, enqueue(FIRST + 1))]);
}

#[test]
fn nobody_is_told_where_no_worker_takes_runs() {
    let mut scene = Scene::new();
    assert_eq!(scene.after(EnableWorker(0, false)), []);
    assert_eq!(scene.after(EnableWorker(1, false)), []);
    assert_eq!(scene.after(Due(0)), []);
    assert_eq!(scene.after(Wait(20)), []);
    assert_eq!(scene.after(EnableWorker(0, true)), [(0, enqueue(FIRST))]);
}

#[test]
fn an_announcement_that_is_not_followed_goes_to_the_next_worker_after_the_interval() {
    let mut scene = Scene::new();
    assert_eq!(scene.after(Due(0)), [(1, enqueue(FIRST))]);
    assert_eq!(scene.after(Wait(4)), []);
    assert_eq!(scene.after(Wait(1)), [(0, enqueue(FIRST))]);
    assert_eq!(scene.after(Wait(4)), []);
    assert_eq!(scene.after(Wait(1)), [(1, enqueue(FIRST))]);
}

#[test]
fn a_claim_ends_the_repetition() {
    let mut scene = Scene::new();
    assert_eq!(scene.after(Due(0)), [(1, enqueue(FIRST))]);
    assert_eq!(scene.after(Claim(1)), []);
    assert_eq!(scene.after(Wait(30)), []);
}

#[test]
fn a_run_takes_one_slot_from_its_announcement_to_its_claim_and_after_it() {
    let mut scene = Scene::new();
    for run in [FIRST, FIRST + 1] {
        assert_eq!(scene.after(Due(2)), [(1, enqueue(run))]);
        assert_eq!(scene.after(Claim(1)), []);
    }
    assert_eq!(scene.after(Due(2)), [(1, enqueue(FIRST + 2))], "it has two free slots, and the other one");
}

#[test]
fn a_worker_is_reminded_of_a_request_until_it_confirms_receipt() {
    let mut scene = Scene::new();
    assert_eq!(scene.report(1, None), None);
    scene.stand.runtime.block_on(scene.world.request_sleep(1));
    assert_eq!(scene.after(Wait(1)), [(1, Order::Attend)]);
    assert_eq!(scene.after(Wait(4)), []);
    assert_eq!(scene.after(Wait(1)), [(1, Order::Attend)]);
    assert_eq!(scene.after(Back(1)), [(1, Order::Attend)], "it has just connected");
    let open = scene.report(1, None);
    assert!(open.is_some());
    assert_eq!(scene.after(Wait(5)), [(1, Order::Attend)], "its report does not say that it follows");
    assert_eq!(scene.report(1, open), open);
    assert_eq!(scene.after(Wait(20)), []);
}

#[test]
fn a_run_that_exceeds_its_limit_is_killed_once_and_the_order_repeated_until_it_is_taken() {
    let mut scene = Scene::new();
    let job = scene.stand.runtime.block_on(scene.world.add_limited_job(20));
    assert_eq!(scene.after(Due(job)), [(1, enqueue(FIRST))]);
    assert_eq!(scene.after(Claim(1)), []);
    assert_eq!(scene.after(Start(1)), []);
    assert_eq!(scene.after(Wait(19)), []);
    assert_eq!(scene.after(Wait(1)), [(1, kill(1))]);
    assert_eq!(scene.after(Wait(5)), [(1, kill(1))]);
    assert_eq!(scene.after(TakeKills(1)), []);
    assert_eq!(scene.after(Wait(20)), []);
}

#[test]
fn a_silent_worker_loses_its_run_once_and_another_is_told_of_it() {
    let mut scene = Scene::new();
    assert_eq!(scene.after(Due(0)), [(1, enqueue(FIRST))]);
    assert_eq!(scene.after(Claim(1)), []);
    let mut changes = scene.world.changes();
    assert_eq!(scene.after(Silent(1)), []);
    assert_eq!(scene.after(Wait(24)), [], "it answered last when it claimed");
    assert_eq!(scene.after(Wait(1)), [(0, enqueue(FIRST))]);
    assert_eq!(scene.after(Claim(0)), []);
    assert_eq!(scene.after(Wait(29)), []);
    let given_back = std::iter::from_fn(|| changes.try_next())
        .filter(|change| matches!(change, ChangeNotice::Item(Change::RunGivenBack(_))));
    assert_eq!(given_back.count(), 1);
}

#[test]
fn who_connects_receives_what_is_open_for_it_and_others_nothing() {
    let mut scene = Scene::new();
    assert_eq!(scene.after(Due(0)), [(1, enqueue(FIRST))]);
    assert_eq!(scene.after(Back(0)), []);
    assert_eq!(scene.after(Back(1)), [(1, enqueue(FIRST))]);
}

#[test]
fn a_pass_that_fails_is_made_again_after_its_pause_and_not_sooner() {
    let mut scene = Scene::new();
    assert_eq!(scene.after(StoreError(1)), []);
    assert_eq!(scene.after(Due(0)), []);
    assert_eq!(scene.after(Wait(1)), [(1, enqueue(FIRST))]);
}
