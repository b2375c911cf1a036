use super::{GAP, Position, exit_code};
use crate::wire::operator::{RunInfo, RunStateName};

#[test]
fn a_run_ends_the_command_as_it_ended() {
    for (state, code, signal, expected) in [
        (RunStateName::Succeeded, Some(0), None, 0),
        (RunStateName::Failed, Some(3), None, 3),
        (RunStateName::Failed, Some(255), None, 255),
        // Failed runs without an exit code, or with one that a process cannot have here.
        (RunStateName::Failed, None, None, 1),
        (RunStateName::Failed, Some(0), None, 1),
        (RunStateName::Failed, Some(256), None, 1),
        (RunStateName::Failed, None, Some(11), 139),
        (RunStateName::Failed, None, Some(999), 1),
        (RunStateName::TimedOut, None, Some(9), 124),
        (RunStateName::Killed, None, None, 137),
        (RunStateName::Killed, None, Some(15), 143),
        (RunStateName::Lost, None, None, 1),
    ] {
        let run = RunInfo {
            id: 1,
            job: 1,
            title: String::new(),
            state,
            due: String::new(),
            claimed: None,
            started: None,
            ended: None,
            worker: None,
            exit_code: code,
            exit_signal: signal,
            attempt: 1,
            retry_of: None,
            manual: true,
            waits: None,
            late: Vec::new(),
        };
        assert_eq!(exit_code(&run), expected, "{run:?}");
    }
}

#[test]
fn the_log_of_another_attempt_is_counted_from_its_beginning() {
    let mut position = Position { attempt: 1, ..Position::default() };
    assert_eq!(position.take(10), 0);
    assert_eq!(position.pass_gap(), GAP);
    assert_eq!(position.take(5), 0);
    position.attempt = 2;
    assert_eq!(position.pass_gap(), "\n[... attempt 2 ...]\n");
    assert_eq!(position.take(4), 0);
    // A new connection sends four bytes again, and none of the mark or of the first attempt.
    position.begin_again();
    assert_eq!((position.take(3), position.take(3), position.take(3)), (3, 1, 0));
}
