use super::{OwnState, Standing};
use crate::run::{Pace, WorkerCommand, WorkerState};
use crate::wire::flamenco::FarmWorkerStatus as Status;

fn own(worker: WorkerState) -> OwnState {
    OwnState { worker, is_hindered: false, is_testing: false }
}

#[test]
fn a_request_is_followed_once_and_acknowledged_when_it_is_done() {
    let mut standing = Standing::default();
    assert_eq!(standing.ask(Status::Asleep, Pace::Now), Some((WorkerCommand::Sleep, Pace::Now)));
    assert_eq!(standing.ask(Status::Asleep, Pace::Now), None, "it is under way");
    assert_eq!(standing.acknowledgement(own(WorkerState::Draining)), None);
    assert_eq!(standing.acknowledgement(own(WorkerState::Asleep)), Some(Status::Asleep));
    standing.acknowledged(own(WorkerState::Asleep));
    assert_eq!(standing.acknowledgement(own(WorkerState::Asleep)), None);
    assert_eq!(standing.ask(Status::Awake, Pace::Now), Some((WorkerCommand::Wake, Pace::AfterRuns)));
    assert_eq!(standing.acknowledgement(own(WorkerState::Awake)), Some(Status::Awake));
    standing.acknowledged(own(WorkerState::Awake));
    assert_eq!(standing.acknowledgement(own(WorkerState::Awake)), None);
}

#[test]
fn a_worker_that_is_awake_after_its_sign_on_says_nothing_and_one_that_is_not_does() {
    let standing = Standing::default();
    assert_eq!(standing.acknowledgement(own(WorkerState::Awake)), None);
    assert_eq!(standing.acknowledgement(own(WorkerState::Starting)), None);
    assert_eq!(standing.acknowledgement(own(WorkerState::Asleep)), Some(Status::Asleep));
    let hindered = OwnState { is_hindered: true, ..own(WorkerState::Awake) };
    assert_eq!(standing.acknowledgement(hindered), Some(Status::Error));
    let testing = OwnState { is_testing: true, ..own(WorkerState::Awake) };
    assert_eq!(standing.acknowledgement(testing), Some(Status::Testing));
}

#[test]
fn a_shutdown_is_followed_and_never_acknowledged() {
    let mut standing = Standing::default();
    assert_eq!(standing.ask(Status::Shutdown, Pace::Now), Some((WorkerCommand::Shutdown, Pace::Now)));
    for state in WorkerState::ALL {
        assert_ne!(standing.acknowledgement(own(state)), Some(Status::Shutdown));
    }
}

#[test]
fn a_state_that_makes_no_sense_lets_the_worker_sleep_and_is_acknowledged_as_it_was_asked_for() {
    let mut standing = Standing::default();
    assert_eq!(standing.ask(Status::Error, Pace::AfterRuns), Some((WorkerCommand::Sleep, Pace::AfterRuns)));
    assert_eq!(standing.acknowledgement(own(WorkerState::Asleep)), Some(Status::Error));
    standing.acknowledged(own(WorkerState::Asleep));
    assert_eq!(standing.acknowledgement(own(WorkerState::Asleep)), None, "said once");
    assert_eq!(standing.ask(Status::Registered, Pace::Now), None, "nothing is asked for");
    assert_eq!(standing.acknowledgement(own(WorkerState::Asleep)), None);
}
