use super::exit_code;
use crate::wire::operator::{Run, State};

#[test]
fn a_run_ends_the_command_as_it_ended() {
    for (state, code, signal, expected) in [
        (State::Succeeded, Some(0), None, 0),
        (State::Failed, Some(3), None, 3),
        (State::Failed, Some(255), None, 255),
        // A worker that tells no code, and one that says something else.
        (State::Failed, None, None, 1),
        (State::Failed, Some(0), None, 1),
        (State::Failed, Some(256), None, 1),
        (State::Failed, None, Some(11), 139),
        (State::Failed, None, Some(999), 1),
        (State::TimedOut, None, Some(9), 124),
        (State::Killed, None, None, 137),
        (State::Killed, None, Some(15), 143),
        (State::Lost, None, None, 1),
    ] {
        let run = Run {
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
        };
        assert_eq!(exit_code(&run), expected, "{run:?}");
    }
}
