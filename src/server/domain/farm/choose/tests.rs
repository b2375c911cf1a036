use super::*;
use crate::server::domain::farm::standing::StatusChange;

fn id(number: u32) -> ObjectId {
    ObjectId::new(0, [0; 5], number)
}

fn candidate(number: u32, job_priority: i64, priority: i64) -> Candidate {
    Candidate { task: id(number), job_priority, priority }
}

fn standing(asked: Option<StatusChange>) -> FarmStanding {
    FarmStanding { status: FarmWorkerStatus::Awake, asked }
}

#[test]
fn the_priority_of_the_job_comes_first_then_that_of_the_task_then_its_age() {
    let types = ["a".to_owned()];
    let chosen = |candidates: &[Candidate]| choose(&standing(None), &types, None, candidates.iter().copied());
    assert_eq!(chosen(&[candidate(1, 50, 99), candidate(2, 51, 0)]), TaskChoice::Assign(id(2)));
    assert_eq!(chosen(&[candidate(1, 50, 1), candidate(2, 50, 2)]), TaskChoice::Assign(id(2)));
    assert_eq!(chosen(&[candidate(2, 50, 1), candidate(1, 50, 1)]), TaskChoice::Assign(id(1)));
    assert_eq!(chosen(&[candidate(1, -5, 0), candidate(2, -6, 9)]), TaskChoice::Assign(id(1)));
    assert_eq!(chosen(&[]), TaskChoice::Nothing);
}

#[test]
fn a_state_that_is_asked_for_comes_before_any_task() {
    let types = ["a".to_owned()];
    for is_lazy in [false, true] {
        let asked = StatusChange { status: FarmWorkerStatus::Asleep, is_lazy };
        let chosen = choose(&standing(Some(asked)), &types, Some(id(1)), [candidate(2, 0, 0)]);
        assert_eq!(chosen, TaskChoice::StatusAsked(FarmWorkerStatus::Asleep));
    }
    assert_eq!(choose(&standing(None), &[], Some(id(1)), []), TaskChoice::NoTypes);
}

#[test]
fn a_worker_that_has_a_task_gets_that_one_again() {
    let chosen = choose(&standing(None), &["a".to_owned()], Some(id(7)), [candidate(1, 99, 99)]);
    assert_eq!(chosen, TaskChoice::Again(id(7)));
}
