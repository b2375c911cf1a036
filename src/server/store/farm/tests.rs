use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{TimeZone as _, Utc};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::server::domain::farm::softfail::FailureLimits;
use crate::server::domain::farm::standing::StatusChange;
use crate::server::domain::farm::submission::check;
use crate::server::domain::farm::timeouts::FarmTimes;
use crate::server::domain::farm::why::explain;
use crate::server::domain::model::Timestamp;
use crate::server::store::Store;
use crate::server::store::changes::{Change, ChangeNotice};
use crate::wire::flamenco::SignOn;

const LIMITS: FailureLimits = FailureLimits { blacklist_threshold: 3, softfail_count: 3 };

fn at(seconds: i64) -> Timestamp {
    Utc.timestamp_opt(1_700_000_000 + seconds, 0).unwrap()
}

fn contact(seconds: i64) -> Contact {
    Contact { at: at(seconds), address: "::1".to_owned(), software: "test".to_owned() }
}

fn id(kind: u8, number: usize) -> ObjectId {
    ObjectId::new(1, [kind; 5], u32::try_from(number).unwrap())
}

async fn register(store: &Store, number: usize, types: &[&str]) -> ObjectId {
    let new = NewFarmWorker {
        id: id(1, number),
        nickname: format!("worker {number}"),
        platform: "linux".to_owned(),
        task_types: types.iter().map(|name| (*name).to_owned()).collect(),
        credentials: FarmCredentials { salt: "s".to_owned(), hash: "h".to_owned() },
    };
    assert_eq!(store.register_farm_worker(&new, &contact(0), 100).await.unwrap(), Registered::Yes);
    new.id
}

/// A job whose tasks have a type, a priority and parents.
async fn submit(store: &Store, number: usize, priority: i64, tasks: &[(&str, i64, Vec<usize>)]) -> Vec<ObjectId> {
    let tasks: Vec<_> = tasks
        .iter()
        .enumerate()
        .map(|(place, (task_type, priority, parents))| {
            let parents: Vec<String> = parents.iter().map(usize::to_string).collect();
            json!({"name": place.to_string(), "task_type": task_type, "priority": priority, "parents": parents,
                "commands": [{"name": "echo", "settings": {"message": "hi"}}]})
        })
        .collect();
    let job = json!({"name": "job", "priority": priority, "tasks": tasks});
    let ids: Vec<ObjectId> = (0..tasks.len()).map(|place| id(2, number * 1000 + place)).collect();
    let checked = check(serde_json::from_value(job).unwrap()).unwrap();
    let new = NewFarmJob { id: id(3, number), tasks: ids.clone(), checked, created: at(0) };
    store.add_farm_job(new).await.unwrap();
    ids
}

/// The task that a worker gets or has; `None` for none.
async fn ask(store: &Store, worker: ObjectId, seconds: i64) -> Option<ObjectId> {
    match store.assign_farm_task(worker, &contact(seconds)).await.unwrap() {
        Assignment::Given(_, task) | Assignment::Again(_, task) => {
            assert_eq!((task.status, task.worker), (TaskStatus::Active, Some(worker)));
            Some(task.id)
        }
        Assignment::Nothing => None,
        other => panic!("{other:?}"),
    }
}

async fn report(store: &Store, worker: ObjectId, task: ObjectId, status: TaskStatus, seconds: i64) -> UpdateOutcome {
    let update = FarmUpdate {
        task,
        worker,
        digest: format!("{status:?} {seconds}"),
        status: Some(status),
        activity: Some(format!("reported {}", status.word())),
        at: at(seconds),
    };
    store.record_farm_update(&update, LIMITS).await.unwrap()
}

async fn status(store: &Store, task: ObjectId) -> TaskStatus {
    store.farm_task(task).await.unwrap().unwrap().status
}

async fn standing(store: &Store, worker: ObjectId) -> (FarmWorkerStatus, Option<FarmWorkerStatus>) {
    let found = store.farm_worker(worker).await.unwrap().unwrap().standing;
    (found.status, found.asked.map(|asked| asked.status))
}

async fn store() -> Store {
    Store::in_memory().await.unwrap()
}

#[tokio::test]
async fn a_task_waits_for_its_parents_and_for_them_alone() {
    let store = store().await;
    let worker = register(&store, 1, &["a"]).await;
    let tasks = submit(&store, 1, 50, &[("a", 99, vec![1, 2]), ("a", 1, vec![]), ("a", 2, vec![])]).await;
    assert_eq!(ask(&store, worker, 1).await, Some(tasks[2]));
    assert_eq!(ask(&store, worker, 2).await, Some(tasks[2]), "the same again: the answer may be lost");
    report(&store, worker, tasks[2], TaskStatus::Completed, 3).await;
    assert_eq!(ask(&store, worker, 4).await, Some(tasks[1]), "the first one still waits for this one");
    report(&store, worker, tasks[1], TaskStatus::Completed, 5).await;
    assert_eq!(ask(&store, worker, 6).await, Some(tasks[0]));
    report(&store, worker, tasks[0], TaskStatus::Completed, 7).await;
    assert_eq!(ask(&store, worker, 8).await, None);
}

#[tokio::test]
async fn only_the_worker_that_has_a_task_is_heard_about_it() {
    let store = store().await;
    let (one, two) = (register(&store, 1, &["a"]).await, register(&store, 2, &["a"]).await);
    let task = submit(&store, 1, 50, &[("a", 1, vec![])]).await[0];
    assert_eq!(report(&store, one, task, TaskStatus::Completed, 1).await, UpdateOutcome::OfAnother, "not given yet");
    ask(&store, one, 1).await.unwrap();
    assert_eq!(report(&store, two, task, TaskStatus::Completed, 2).await, UpdateOutcome::OfAnother);
    assert_eq!(store.give_back_farm_task(two, task, at(2)).await.unwrap(), Some(false));
    assert_eq!(status(&store, task).await, TaskStatus::Active);
    assert_eq!(store.give_back_farm_task(one, task, at(3)).await.unwrap(), Some(true));
    let given_back = store.farm_task(task).await.unwrap().unwrap();
    assert_eq!((given_back.status, given_back.worker_name.as_str()), (TaskStatus::ClaimedByManager, "-"));
    assert!(given_back.activity.starts_with("Re-queued task after unassigning from worker worker 1"));
    // Late lines of the log are taken until the next worker has it; a late state is not.
    assert_eq!(report(&store, one, task, TaskStatus::Failed, 4).await, UpdateOutcome::Dropped);
    assert_eq!(ask(&store, two, 5).await, Some(task));
    assert_eq!(report(&store, one, task, TaskStatus::Completed, 6).await, UpdateOutcome::OfAnother);
    assert_eq!(store.give_back_farm_task(one, id(9, 9), at(7)).await.unwrap(), None);
}

#[tokio::test]
async fn an_update_that_is_sent_again_is_recognised_for_ten_minutes() {
    let store = store().await;
    let worker = register(&store, 1, &["a"]).await;
    let task = submit(&store, 1, 50, &[("a", 1, vec![])]).await[0];
    ask(&store, worker, 1).await.unwrap();
    report(&store, worker, task, TaskStatus::Active, 2).await;
    let admit = |digest: &str, seconds| {
        let (store, digest) = (store.clone(), digest.to_owned());
        async move { store.admit_farm_update(worker, task, &digest, at(seconds)).await.unwrap() }
    };
    assert_eq!(admit("Active 2", 3).await, UpdateAdmission::Repeated);
    assert_eq!(admit("Active 2", 603).await, UpdateAdmission::New(id(3, 1)));
    assert_eq!(admit("Active 3", 3).await, UpdateAdmission::New(id(3, 1)));
    assert_eq!(store.admit_farm_update(id(1, 9), task, "", at(3)).await.unwrap(), UpdateAdmission::OfAnother);
    assert_eq!(store.admit_farm_update(worker, id(9, 9), "", at(3)).await.unwrap(), UpdateAdmission::Unknown);
}

#[tokio::test]
async fn a_worker_that_fails_three_tasks_gets_no_more_of_them() {
    let store = store().await;
    let (bad, good) = (register(&store, 1, &["a"]).await, register(&store, 2, &["a"]).await);
    let tasks = submit(&store, 1, 50, &vec![("a", 1, vec![]); 5]).await;
    for (place, seconds) in [(0, 1), (1, 3), (2, 5)] {
        assert_eq!(ask(&store, bad, seconds).await, Some(tasks[place]));
        report(&store, bad, tasks[place], TaskStatus::Failed, seconds + 1).await;
        assert_eq!(status(&store, tasks[place]).await, TaskStatus::SoftFailed);
    }
    assert_eq!(ask(&store, bad, 7).await, None);
    let other = submit(&store, 2, 50, &[("a", 1, vec![])]).await[0];
    assert_eq!(ask(&store, bad, 8).await, Some(other), "another job");
    report(&store, bad, other, TaskStatus::Completed, 9).await;
    assert_eq!(ask(&store, bad, 9 + 7 * 24 * 3600).await, Some(tasks[3]), "a week later");
    store.give_back_farm_task(bad, tasks[3], at(10)).await.unwrap();
    for task in &tasks {
        assert_eq!(ask(&store, good, 11).await, Some(*task));
        report(&store, good, *task, TaskStatus::Completed, 12).await;
        assert_eq!(status(&store, *task).await, TaskStatus::Completed);
    }
}

#[tokio::test]
async fn a_task_of_a_cancelled_job_is_stopped_or_never_started() {
    let store = store().await;
    let worker = register(&store, 1, &["a"]).await;
    let tasks = submit(&store, 1, 50, &[("a", 3, vec![]), ("a", 2, vec![]), ("a", 1, vec![1])]).await;
    ask(&store, worker, 1).await.unwrap();
    let canceled = store.cancel_farm_job(id(3, 1), at(2)).await.unwrap().unwrap();
    assert_eq!((canceled.requested, canceled.canceled), (1, 2));
    let answer = store.may_keep_running(worker, tasks[0], &contact(3)).await.unwrap();
    assert_eq!((answer.may_keep_running, status(&store, tasks[0]).await), (false, TaskStatus::CancelRequested));
    store.give_back_farm_task(worker, tasks[0], at(4)).await.unwrap();
    for task in tasks {
        assert_eq!(status(&store, task).await, TaskStatus::Canceled);
    }
    assert_eq!(ask(&store, worker, 5).await, None);
    assert_eq!(store.cancel_farm_job(id(3, 9), at(6)).await.unwrap(), None);
}

#[tokio::test]
async fn a_worker_is_asked_and_told_in_the_order_of_its_life() {
    use FarmWorkerStatus as S;
    let store = store().await;
    let worker = register(&store, 1, &["a"]).await;
    assert_eq!(standing(&store, worker).await, (S::Registered, None));
    let said = SignOn { supported_task_types: vec!["b".to_owned()], nickname: "new".to_owned() };
    store.sign_on_farm_worker(worker, &said, &contact(1)).await.unwrap();
    assert_eq!(standing(&store, worker).await, (S::Starting, None));
    let types = async || store.farm_workers(10, at(0)).await.unwrap()[0].types.clone();
    assert_eq!(types().await, ["b"]);
    store.sign_on_farm_worker(worker, &SignOn::default(), &contact(2)).await.unwrap();
    assert_eq!(types().await, ["b"], "nothing said, nothing changed");
    let task = submit(&store, 1, 50, &[("b", 1, vec![])]).await[0];
    assert_eq!(ask(&store, worker, 3).await, Some(task));
    assert_eq!(standing(&store, worker).await, (S::Awake, None));
    assert!(store.ask_farm_worker(worker, StatusChange { status: S::Asleep, is_lazy: false }).await.unwrap());
    let answer = store.may_keep_running(worker, task, &contact(4)).await.unwrap();
    assert_eq!((answer.may_keep_running, answer.status_requested), (false, Some(S::Asleep)));
    assert_eq!(store.farm_status_asked(worker, &contact(5)).await.unwrap(), Some(S::Asleep));
    let asked = store.assign_farm_task(worker, &contact(6)).await.unwrap();
    assert_eq!(asked, Assignment::StatusAsked(S::Asleep));
    assert_eq!(status(&store, task).await, TaskStatus::ClaimedByManager, "a worker that asks executes nothing");
    store.acknowledge_farm_status(worker, S::Asleep, &contact(7)).await.unwrap();
    assert_eq!(standing(&store, worker).await, (S::Asleep, None));
    store.sign_off_farm_worker(worker, &contact(8)).await.unwrap();
    assert_eq!(standing(&store, worker).await, (S::Offline, Some(S::Asleep)));
    assert_eq!(store.forget_farm_worker(worker, at(9)).await.unwrap(), Some(Vec::new()));
    assert_eq!(store.assign_farm_task(worker, &contact(10)).await.unwrap(), Assignment::UnknownWorker);
}

#[tokio::test]
async fn tasks_of_a_silent_worker_go_to_another_and_silent_tasks_fail() {
    let store = store().await;
    let (one, two) = (register(&store, 1, &["a"]).await, register(&store, 2, &["a"]).await);
    let tasks = submit(&store, 1, 50, &[("a", 2, vec![]), ("a", 1, vec![])]).await;
    let times = FarmTimes {
        worker_silence: Duration::from_secs(60),
        task_silence: Duration::from_secs(600),
        first_check: Duration::ZERO,
        task_age: Some(Duration::from_secs(86_400)),
    };
    ask(&store, one, 0).await.unwrap();
    assert!(!store.farm_silence(&times.cutoffs(at(60))).await.unwrap().needs_change);
    assert!(store.farm_silence(&times.cutoffs(at(61))).await.unwrap().needs_change);
    let watched = store.watch_farm(times.cutoffs(at(61)), at(61)).await.unwrap();
    assert_eq!(watched.silent_workers, [(one, vec![tasks[0]])]);
    assert_eq!(standing(&store, one).await, (FarmWorkerStatus::Timeout, Some(FarmWorkerStatus::Awake)));
    assert_eq!(ask(&store, two, 62).await, Some(tasks[0]));
    // It is heard of, but not of its task.
    store.farm_status_asked(two, &contact(700)).await.unwrap();
    let watched = store.watch_farm(times.cutoffs(at(700)), at(700)).await.unwrap();
    assert_eq!((watched.silent_workers.len(), watched.silent_tasks), (0, vec![tasks[0]]));
    let failed = store.farm_task(tasks[0]).await.unwrap().unwrap();
    assert_eq!((failed.status, failed.activity.as_str()), (TaskStatus::Failed, "Task timed out on worker worker 2"));
    assert_eq!(store.watch_farm(times.cutoffs(at(87_100)), at(87_100)).await.unwrap().removed_tasks, 0);
    let watched = store.watch_farm(times.cutoffs(at(87_101)), at(87_101)).await.unwrap();
    assert_eq!(watched.removed_tasks, 1, "the one that still waits stays");
    assert_eq!(store.farm_tasks(id(3, 1), None, None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_worker_that_is_away_for_long_is_removed() {
    use FarmWorkerStatus::{Offline, Timeout};
    let store = store().await;
    let [away, awake, recent] =
        [register(&store, 1, &["a"]).await, register(&store, 2, &["a"]).await, register(&store, 3, &["a"]).await];
    store.sign_off_farm_worker(away, &contact(10)).await.unwrap();
    ask(&store, awake, 10).await;
    store.sign_off_farm_worker(recent, &contact(100)).await.unwrap();
    let remove = async |statuses: &[FarmWorkerStatus], before| {
        store.remove_old_farm_workers(statuses, at(before), at(200)).await.unwrap()
    };
    assert_eq!(remove(&[Offline], 10).await, []);
    assert_eq!(remove(&[Timeout], 100).await, []);
    assert_eq!(remove(&[Timeout, Offline], 100).await, [away]);
    assert_eq!(store.farm_workers(10, at(0)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_parent_that_is_removed_counts_as_completed() {
    let store = store().await;
    let worker = register(&store, 1, &["a"]).await;
    let tasks = submit(&store, 1, 50, &[("a", 1, vec![]), ("a", 1, vec![0])]).await;
    ask(&store, worker, 0).await.unwrap();
    report(&store, worker, tasks[0], TaskStatus::Failed, 1).await;
    assert_eq!(status(&store, tasks[0]).await, TaskStatus::Failed, "nobody else is there to try");
    assert_eq!(ask(&store, worker, 2).await, None);
    let cutoffs = FarmTimes {
        worker_silence: Duration::from_secs(1_000),
        task_silence: Duration::from_secs(1_000),
        first_check: Duration::ZERO,
        task_age: Some(Duration::from_secs(10)),
    };
    assert_eq!(store.watch_farm(cutoffs.cutoffs(at(20)), at(20)).await.unwrap().removed_tasks, 1);
    assert_eq!(ask(&store, worker, 21).await, Some(tasks[1]));
}

async fn requeue(store: &Store, which: ObjectId, seconds: i64) -> Option<u64> {
    store.requeue_farm_tasks(which, at(seconds)).await.unwrap()
}

#[tokio::test]
async fn a_task_that_an_operator_requeues_may_be_tried_by_everybody_and_holds_its_children_again() {
    let store = store().await;
    let (one, two) = (register(&store, 1, &["a"]).await, register(&store, 2, &["a"]).await);
    let tasks = submit(&store, 1, 50, &[("a", 2, vec![]), ("a", 1, vec![0])]).await;
    ask(&store, one, 0).await.unwrap();
    assert_eq!(requeue(&store, tasks[0], 1).await, Some(0), "it is executed");
    report(&store, one, tasks[0], TaskStatus::Failed, 1).await;
    assert_eq!(ask(&store, one, 2).await, None, "it has failed it");
    assert_eq!(requeue(&store, tasks[0], 3).await, Some(1));
    assert_eq!(ask(&store, one, 4).await, Some(tasks[0]));
    report(&store, one, tasks[0], TaskStatus::Completed, 5).await;
    assert_eq!(requeue(&store, tasks[0], 6).await, Some(1));
    assert_eq!(ask(&store, two, 7).await, Some(tasks[0]), "the child waits again");
    assert_eq!(ask(&store, one, 8).await, None);
    report(&store, two, tasks[0], TaskStatus::Completed, 9).await;
    assert_eq!(ask(&store, one, 10).await, Some(tasks[1]));
    assert_eq!(requeue(&store, id(9, 9), 11).await, None);
}

#[tokio::test]
async fn a_job_is_requeued_with_what_failed_or_was_cancelled() {
    let store = store().await;
    let worker = register(&store, 1, &["a"]).await;
    let tasks = submit(&store, 1, 50, &[("a", 3, vec![]), ("a", 2, vec![]), ("a", 1, vec![])]).await;
    for end in [TaskStatus::Completed, TaskStatus::Failed] {
        let task = ask(&store, worker, 1).await.unwrap();
        report(&store, worker, task, end, 2).await;
    }
    store.cancel_farm_job(id(3, 1), at(3)).await.unwrap().unwrap();
    let mut changes = store.changes().subscribe();
    assert_eq!(requeue(&store, id(3, 1), 4).await, Some(2));
    let published = (changes.try_next(), changes.try_next());
    assert_eq!(published, (Some(ChangeNotice::Item(Change::FarmChanged)), None), "once for all tasks");
    let job = store.farm_job(id(3, 1)).await.unwrap().unwrap();
    assert_eq!(job.tasks, [(TaskStatus::Queued, 2), (TaskStatus::Completed, 1)].into());
    let of = async |status| store.farm_tasks(id(3, 1), Some(status), None, 10).await.unwrap();
    let queued: Vec<ObjectId> = of(TaskStatus::Queued).await.iter().map(|task| task.id).collect();
    assert_eq!((queued, of(TaskStatus::Failed).await.len()), (tasks[1..].to_vec(), 0));
}

#[tokio::test]
async fn the_situation_of_a_task_has_its_parents_its_workers_and_what_comes_first() {
    let store = store().await;
    let mut changes = store.changes().subscribe();
    let (one, two) = (register(&store, 1, &["a"]).await, register(&store, 2, &["a", "b"]).await);
    assert_eq!(changes.try_next(), Some(ChangeNotice::Item(Change::FarmChanged)));
    let tasks = submit(&store, 1, 50, &[("a", 3, vec![]), ("a", 2, vec![]), ("a", 2, vec![]), ("b", 1, vec![0])]).await;
    let why = async |task| {
        let found = store.farm_task_situation(task, at(5)).await.unwrap().unwrap();
        explain(&found.facts).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let never = "worker 1, worker 2 are registered and never asked for a task";
    assert_eq!(why(tasks[2]).await, [never, "2 tasks of its type come first"]);
    assert_eq!(ask(&store, one, 1).await, Some(tasks[0]));
    assert_eq!(why(tasks[0]).await, ["worker worker 1 executes it"]);
    assert_eq!(ask(&store, two, 1).await, Some(tasks[1]));
    report(&store, two, tasks[1], TaskStatus::Failed, 2).await;
    assert_eq!(why(tasks[1]).await, ["worker 2 failed it", "worker 1 is busy with another task"]);
    let child = ["it waits for 0, which is executed"];
    assert_eq!(why(tasks[3]).await, child, "a worker that is free does not get it");
    let found = store.farm_task_situation(tasks[1], at(5)).await.unwrap().unwrap();
    assert_eq!((found.failed_by, found.job_name.as_str()), (vec!["worker 2".to_owned()], "job"));
    assert_eq!(store.farm_task_situation(id(9, 9), at(5)).await.unwrap().map(|found| found.job_name), None);
    let workers = store.farm_workers(10, at(5)).await.unwrap();
    assert_eq!(workers[0].task.as_ref().map(|task| (task.id, task.name.as_str())), Some((tasks[0], "0")));
    assert_eq!((&workers[1].task, workers[1].types.len()), (&None, 2));
}

/// What a Manager does, written once more as loops over lists.
#[derive(Debug, Default)]
struct Model {
    types: Vec<&'static str>,
    job: Vec<usize>,
    rank: Vec<(i64, i64)>,
    parents: Vec<Vec<usize>>,
    status: Vec<TaskStatus>,
    holder: Vec<Option<usize>>,
    failed_by: Vec<BTreeSet<usize>>,
    listed: BTreeSet<(usize, usize, &'static str)>,
    supports: BTreeMap<usize, Vec<&'static str>>,
}

impl Model {
    fn held(&self, worker: usize) -> Option<usize> {
        (0..self.status.len()).find(|t| self.status[*t] == TaskStatus::Active && self.holder[*t] == Some(worker))
    }

    fn may_try(&self, worker: usize, task: usize) -> bool {
        self.supports[&worker].contains(&self.types[task])
            && !self.listed.contains(&(worker, self.job[task], self.types[task]))
            && !self.failed_by[task].contains(&worker)
    }

    fn ask(&mut self, worker: usize) -> Option<usize> {
        for task in 0..self.status.len() {
            if self.holder[task] == Some(worker) && self.status[task] == TaskStatus::CancelRequested {
                self.status[task] = TaskStatus::Canceled;
            }
        }
        if let Some(task) = self.held(worker) {
            return Some(task);
        }
        let is_ready = |task: &usize| {
            use TaskStatus::{ClaimedByManager, Queued, SoftFailed};
            [Queued, ClaimedByManager, SoftFailed].contains(&self.status[*task])
                && self.parents[*task].iter().all(|parent| self.status[*parent] == TaskStatus::Completed)
                && self.may_try(worker, *task)
        };
        // The first of those with the highest rank.
        let best = (0..self.status.len()).filter(is_ready).rev().max_by_key(|task| self.rank[*task])?;
        (self.status[best], self.holder[best]) = (TaskStatus::Active, Some(worker));
        Some(best)
    }

    fn fail(&mut self, worker: usize, task: usize) {
        use TaskStatus::{Failed, SoftFailed};
        self.failed_by[task].insert(worker);
        let alike = |other: &usize| self.job[*other] == self.job[task] && self.types[*other] == self.types[task];
        let before = (0..self.status.len())
            .filter(alike)
            .filter(|t| self.holder[*t] == Some(worker) && [Failed, SoftFailed].contains(&self.status[*t]));
        let is_final = self.failed_by[task].len() >= 3;
        let others = self.supports.keys().any(|other| *other != worker && self.may_try(*other, task));
        if before.count() + 1 >= 3 {
            let waiting: Vec<usize> =
                (0..self.status.len()).filter(alike).filter(|t| self.status[*t] == SoftFailed).collect();
            self.listed.insert((worker, self.job[task], self.types[task]));
            for other in waiting {
                if !self.supports.keys().any(|w| self.may_try(*w, other)) {
                    self.status[other] = Failed;
                }
            }
        }
        self.status[task] = if is_final || !others { Failed } else { SoftFailed };
    }
}

const TYPES: [&str; 2] = ["a", "b"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    /// The statements of the store choose and judge as the loops do, whatever happens in which order.
    #[test]
    fn the_store_does_what_loops_over_lists_do(
        jobs in prop::collection::vec((0_i64..3, prop::collection::vec((0_usize..2, 0_i64..3, 0_usize..8), 1..6)), 1..3),
        supports in prop::collection::vec(1_usize..4, 3),
        turns in prop::collection::vec((0_usize..3, 0_usize..8), 0..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = store().await;
            let (mut model, mut ids, mut workers) = (Model::default(), Vec::new(), Vec::new());
            for (number, mask) in supports.iter().enumerate() {
                let types: Vec<&'static str> = (0..2).filter(|bit| mask & (1 << bit) != 0).map(|bit| TYPES[bit]).collect();
                workers.push(register(&store, number, &types).await);
                model.supports.insert(number, types);
            }
            for (number, (priority, tasks)) in jobs.iter().enumerate() {
                let first = ids.len();
                let mut submitted = Vec::new();
                for (place, (kind, rank, parent)) in tasks.iter().enumerate() {
                    let parents: Vec<usize> = (*parent < place).then_some(*parent).into_iter().collect();
                    model.types.push(TYPES[*kind]);
                    model.job.push(number);
                    model.rank.push((*priority, *rank));
                    model.parents.push(parents.iter().map(|parent| first + parent).collect());
                    submitted.push((TYPES[*kind], *rank, parents));
                }
                ids.extend(submit(&store, number, *priority, &submitted).await);
            }
            model.status = vec![TaskStatus::Queued; ids.len()];
            model.holder = vec![None; ids.len()];
            model.failed_by = vec![BTreeSet::new(); ids.len()];
            for (seconds, (worker, turn)) in (1..).zip(turns) {
                let held = model.held(worker);
                match (turn, held) {
                    (0..=3, _) => {
                        let expected = model.ask(worker).map(|task| ids[task]);
                        prop_assert_eq!(ask(&store, workers[worker], seconds).await, expected);
                    }
                    (4, Some(task)) => {
                        model.status[task] = TaskStatus::Completed;
                        report(&store, workers[worker], ids[task], TaskStatus::Completed, seconds).await;
                    }
                    (5 | 6, Some(task)) => {
                        model.fail(worker, task);
                        report(&store, workers[worker], ids[task], TaskStatus::Failed, seconds).await;
                    }
                    (7, Some(task)) => {
                        model.status[task] = TaskStatus::ClaimedByManager;
                        store.give_back_farm_task(workers[worker], ids[task], at(seconds)).await.unwrap();
                    }
                    _ => {}
                }
                for (task, id) in ids.iter().enumerate() {
                    prop_assert_eq!(status(&store, *id).await, model.status[task], "task {} after {}", task, seconds);
                }
            }
            Ok(())
        })?;
    }
}
