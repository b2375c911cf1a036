use super::*;
use crate::server::domain::farm::standing::StatusChange;

fn task(status: TaskStatus) -> TaskFacts {
    let workers = Vec::new();
    TaskFacts {
        status,
        task_type: "render".to_owned(),
        worker_name: "w1".to_owned(),
        parents: vec![],
        workers,
        before: 0,
    }
}

fn worker(nickname: &str, status: FarmWorkerStatus) -> WorkerFacts {
    let standing = FarmStanding { status, asked: None };
    WorkerFacts { nickname: nickname.to_owned(), standing, has_failed: false, is_blacklisted: false, is_busy: false }
}

fn sentences(facts: &TaskFacts) -> Vec<String> {
    explain(facts).iter().map(ToString::to_string).collect()
}

#[test]
fn each_state_of_a_task_has_an_explanation() {
    let told: Vec<String> = TaskStatus::ALL
        .into_iter()
        .map(|status| format!("{}: {}", status.word(), sentences(&task(status)).join("; ")))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_task_that_waits_names_what_keeps_it_from_each_worker() {
    use FarmWorkerStatus as S;
    let asleep = StatusChange { status: S::Asleep, is_lazy: true };
    let mut workers: Vec<WorkerFacts> = [S::Registered, S::Starting, S::Asleep, S::Error, S::Timeout, S::Offline]
        .into_iter()
        .map(|status| worker(&format!("w-{}", status.word()), status))
        .collect();
    workers.push(WorkerFacts { has_failed: true, ..worker("w-failed", S::Asleep) });
    workers.push(WorkerFacts { is_blacklisted: true, ..worker("w-blacklisted", S::Offline) });
    workers.push(WorkerFacts { is_busy: true, ..worker("w-busy", S::Awake) });
    workers.push(WorkerFacts {
        standing: FarmStanding { status: S::Awake, asked: Some(asleep) },
        ..worker("w-asked", S::Awake)
    });
    workers.push(worker("w-free", S::Awake));
    workers.push(worker("w-testing", S::Testing));
    let facts = TaskFacts { workers, ..task(TaskStatus::Queued) };
    insta::assert_snapshot!(sentences(&facts).join("\n"));
}

#[test]
fn a_worker_that_is_free_is_named_only_where_the_task_is_next() {
    let facts = TaskFacts { workers: vec![worker("w", FarmWorkerStatus::Awake)], ..task(TaskStatus::ClaimedByManager) };
    assert_eq!(sentences(&facts), ["w may get it with the next question"]);
    assert_eq!(sentences(&TaskFacts { before: 1, ..facts.clone() }), ["1 task of its type comes first"]);
    let parents = vec![("f1".to_owned(), TaskStatus::Failed), ("f2".to_owned(), TaskStatus::Queued)];
    let waiting = ["it waits for f2, which waits itself", "it waits for f1, which failed"];
    assert_eq!(sentences(&TaskFacts { parents, ..facts }), waiting);
}

#[test]
fn many_names_are_counted() {
    let workers = (0..8).map(|number| worker(&format!("w{number}"), FarmWorkerStatus::Asleep)).collect();
    let facts = TaskFacts { workers, ..task(TaskStatus::SoftFailed) };
    assert_eq!(sentences(&facts), ["w0, w1, w2, w3, w4 and 3 more are asleep"]);
}
