use chrono::DateTime;

use super::*;
use crate::run::WorkerState;
use crate::run::lack::Lack;
use crate::server::domain::model::{Report, Worker, sample};

const PATIENCE: Duration = Duration::from_secs(915);

fn id(id: i64) -> WorkerId {
    WorkerId::new(id).unwrap()
}

fn pool() -> PoolId {
    PoolId::new(1).unwrap()
}

fn worker(number: i64, slots: Option<u32>) -> Worker {
    let api_key = ApiKey::parse(&format!("worker{number}")).unwrap();
    Worker { api_key, concurrent_jobs: slots, ..sample::worker(number) }
}

fn snapshot(workers: Vec<Worker>) -> WorkerSnapshot {
    let members = workers.iter().map(|worker| worker.id).collect();
    WorkerSnapshot { workers, pools: [(pool(), members)].into(), disabled: Default::default() }
}

fn table(slots: &[Option<u32>], now: Instant) -> WorkerTable {
    let mut table = WorkerTable::new(PATIENCE);
    let workers = (1..).zip(slots).map(|(number, slots)| worker(number, *slots)).collect();
    assert!(table.update(snapshot(workers), now));
    table
}

fn choose(table: &WorkerTable, told: &[i64], load: &[(i64, u32)]) -> WorkerChoice {
    let told = told.iter().copied().map(id).collect();
    table.choose(pool(), &told, |worker| load.iter().find(|(of, _)| id(*of) == worker).map_or(0, |(_, runs)| *runs))
}

#[test]
fn the_one_with_most_free_slots_is_told_then_the_next_best() {
    let table = table(&[Some(4), Some(8), Some(6)], Instant::now());
    assert_eq!(choose(&table, &[], &[]), WorkerChoice::Announce(id(2)));
    assert_eq!(choose(&table, &[], &[(2, 3)]), WorkerChoice::Announce(id(3)));
    assert_eq!(choose(&table, &[2], &[]), WorkerChoice::Announce(id(3)));
    assert_eq!(choose(&table, &[2, 3], &[]), WorkerChoice::Announce(id(1)));
    assert_eq!(choose(&table, &[1, 2, 3], &[]), WorkerChoice::Announce(id(2)));
    // Among equals, the choice is always the same.
    assert_eq!(choose(&table, &[], &[(2, 4), (3, 2)]), WorkerChoice::Announce(id(1)));
}

#[test]
fn a_run_waits_where_everybody_is_busy() {
    let known = table(&[Some(2), Some(1)], Instant::now());
    assert_eq!(choose(&known, &[], &[(1, 2), (2, 1)]), WorkerChoice::NoSlot);
    assert_eq!(
        choose(&known, &[1], &[(1, 1), (2, 1)]),
        WorkerChoice::Announce(id(1)),
        "the only slot, told before or not"
    );
    // A worker that has not reported its slots is chosen.
    let unknown = table(&[Some(1), None], Instant::now());
    assert_eq!(choose(&unknown, &[], &[(1, 1), (2, 9)]), WorkerChoice::Announce(id(2)));
    assert_eq!(choose(&table(&[], Instant::now()), &[], &[]), WorkerChoice::Nobody);
    assert_eq!(choose(&table(&[Some(0)], Instant::now()), &[], &[]), WorkerChoice::Nobody);
}

#[test]
fn the_silent_are_told_last() {
    let start = Instant::now();
    let mut table = table(&[Some(8), Some(1)], start);
    table.note_alive(id(2), start + PATIENCE);
    assert_eq!(table.falls_silent(start + PATIENCE), Some(id(1)));
    assert_eq!(table.falls_silent(start + PATIENCE), Some(id(1)), "it is said until what follows is done");
    table.fell_silent(id(1));
    assert_eq!(table.falls_silent(start + PATIENCE), None);
    assert_eq!(choose(&table, &[2], &[]), WorkerChoice::Announce(id(2)));
    assert_eq!(choose(&table, &[], &[(2, 1)]), WorkerChoice::NoSlot, "somebody answers, and will have a free slot");
    assert_eq!(table.falls_silent(start + 2 * PATIENCE), Some(id(2)));
    table.fell_silent(id(2));
    assert_eq!(choose(&table, &[], &[]), WorkerChoice::AnnounceToSilent(id(1)));
    assert!(table.note_alive(id(1), start + 2 * PATIENCE), "it is back");
    assert_eq!(choose(&table, &[], &[]), WorkerChoice::Announce(id(1)));
}

#[test]
fn who_has_too_little_to_claim_runs_is_told_when_nobody_else_is_there() {
    let now = Instant::now();
    let mut table = table(&[Some(4), Some(1)], now);
    let low = |left| {
        let held = vec![Lack::Bytes("state_path".into(), left)];
        let at = DateTime::from_timestamp(1, 0);
        let report =
            Report { duty: WorkerState::Awake, since: at.unwrap(), seats_taken: 0, outbox: 0, restarts: false, held };
        Worker { heard_dts: at, report: Some(report), ..worker(1, Some(4)) }
    };
    assert!(table.update(snapshot(vec![low(7), worker(2, Some(1))]), now));
    assert_eq!(choose(&table, &[], &[]), WorkerChoice::Announce(id(2)));
    assert_eq!(choose(&table, &[], &[(2, 1)]), WorkerChoice::NoSlot);
    assert!(!table.may_still_claim(pool(), id(1)), "the other would sooner");
    assert!(!table.update(snapshot(vec![low(6), worker(2, Some(1))]), now), "how much is left is no news");
    table.update(snapshot(vec![low(6)]), now);
    assert_eq!(choose(&table, &[], &[]), WorkerChoice::AnnounceToHolding(id(1)));
    assert!(table.may_still_claim(pool(), id(1)), "nobody else is there");
    let waits = table.waits(pool(), WaitReason::NobodyTakes).to_string();
    assert!(waits.ends_with(": web1 claims no runs: 6 bytes are free where state_path is"), "{waits}");
    assert!(table.update(snapshot(vec![worker(1, Some(4))]), now), "it has room again");
    assert_eq!(choose(&table, &[], &[]), WorkerChoice::Announce(id(1)));
}

/// The time that a worker writes into its answer is never compared with the server's clock.
#[test]
fn another_answer_is_an_answer_whatever_its_clock_says() {
    let start = Instant::now();
    let mut table = table(&[Some(1)], start);
    let later = start + PATIENCE - Duration::from_secs(1);
    let answer = |seconds| {
        let at = DateTime::from_timestamp(seconds, 0);
        snapshot(vec![Worker { ping_response_dts: at, ..worker(1, Some(1)) }])
    };
    assert!(table.update(answer(4_000_000_000), later), "it had never answered");
    assert_eq!(table.next_silence(), Some(later + PATIENCE));
    assert!(!table.update(answer(4_000_000_000), later + PATIENCE / 2), "that was the same answer");
    assert_eq!(table.next_silence(), Some(later + PATIENCE));
    assert!(!table.update(answer(1), later + PATIENCE / 2));
    assert_eq!(table.next_silence(), Some(later + PATIENCE / 2 + PATIENCE));
}

#[test]
fn a_change_of_who_is_there_is_news() {
    let now = Instant::now();
    let mut table = table(&[Some(1), Some(1)], now);
    let both = || snapshot(vec![worker(1, Some(1)), worker(2, Some(1))]);
    assert!(!table.update(both(), now));
    let mut disabled = both();
    disabled.workers[0].enqueue_is_enabled = false;
    assert!(table.update(disabled, now));
    assert!(table.update(both(), now));
    let mut project = both();
    project.disabled[0].push(1);
    assert!(table.update(project, now));
    assert!(table.update(snapshot(vec![worker(2, Some(1))]), now), "one is gone");
    assert_eq!(table.of_key(&ApiKey::parse("worker1").unwrap()), None);
    assert!(table.update(snapshot(vec![worker(2, Some(3))]), now), "it has other slots");
}
