//! Tests of outcomes: which count as success, and the note at the end of the log.

use super::*;

fn ran(exit: ProcessExit, cause: Option<Cause>, left: Left) -> Outcome {
    Outcome::Ran { exit, cause, left }
}

#[test]
fn only_status_0_that_nobody_forced_is_success() {
    assert!(ran(ProcessExit::Code(0), None, Left::Nobody).success());
    assert!(ran(ProcessExit::Code(0), None, Left::Kept).success());
    assert!(ran(ProcessExit::Code(0), None, Left::Stopped).success());
    for code in [1, 126, 127, 255] {
        assert!(!ran(ProcessExit::Code(code), None, Left::Nobody).success(), "{code}");
    }
    for signal in [9, 11, 15] {
        assert!(!ran(ProcessExit::Signal(signal), None, Left::Nobody).success(), "{signal}");
    }
    assert!(!ran(ProcessExit::Code(0), Some(Cause::Killed), Left::Nobody).success());
    assert!(!Outcome::Unstartable("why".to_owned()).success());
    assert!(!Outcome::Cancelled(Cause::Killed).success());
    assert!(!Outcome::Lost(1).success());
}

#[test]
fn the_log_of_a_run_that_ended_by_itself_is_its_output_to_the_byte() {
    for code in [0, 1, 3, 255] {
        assert_eq!(ran(ProcessExit::Code(code), None, Left::Nobody).note(), "");
    }
}

#[test]
fn every_other_end_is_told_in_lines_of_the_worker() {
    let mut told = String::new();
    for outcome in [
        ran(ProcessExit::Signal(11), None, Left::Nobody),
        ran(ProcessExit::Signal(64), None, Left::Nobody),
        ran(ProcessExit::Signal(9), Some(Cause::Killed), Left::Nobody),
        ran(ProcessExit::Code(0), Some(Cause::TimedOut), Left::Nobody),
        ran(ProcessExit::Signal(15), Some(Cause::Interrupted), Left::Nobody),
        ran(ProcessExit::Signal(15), Some(Cause::NotOurs), Left::Nobody),
        ran(ProcessExit::Code(0), None, Left::Kept),
        ran(ProcessExit::Signal(9), None, Left::Stopped),
        Outcome::Unstartable("no such interpreter: /no/such".to_owned()),
        Outcome::Cancelled(Cause::Killed),
        Outcome::Lost(1),
        Outcome::Lost(3),
    ] {
        let note = outcome.note();
        assert!(note.lines().all(|line| line.starts_with("[job runner worker] ")), "{note}");
        told.push_str(note.trim_end());
        told.push('\n');
    }
    insta::assert_snapshot!(told);
}

#[test]
fn what_could_not_be_executed_begins_as_in_the_original() {
    for outcome in [Outcome::Unstartable("x".to_owned()), Outcome::Cancelled(Cause::Killed)] {
        assert!(outcome.note().starts_with("[job runner worker] Could not execute job: "));
    }
}

#[test]
fn every_signal_has_a_name() {
    let names = [(1, "SIGHUP"), (17, "SIGCHLD"), (27, "SIGPROF"), (31, "SIGSYS"), (33, "unnamed"), (34, "SIGRTMIN")];
    for (signal, name) in
        names.into_iter().chain([(37, "SIGRTMIN+3"), (64, "SIGRTMIN+30"), (65, "unnamed"), (0, "unnamed")])
    {
        assert_eq!(signal_name(signal), name, "{signal}");
    }
}

#[test]
fn an_outcome_has_a_word_an_exit_code_and_a_signal_for_the_log() {
    let code = |code, cause| ran(ProcessExit::Code(code), cause, Left::Nobody);
    let signal = |signal, cause| ran(ProcessExit::Signal(signal), cause, Left::Nobody);
    for (outcome, word, exit_code, number) in [
        (code(0, None), "succeeded", Some(0), None),
        (code(3, None), "failed", Some(3), None),
        (signal(11, None), "failed", None, Some(11)),
        (signal(9, Some(Cause::Killed)), "killed", None, Some(9)),
        (code(0, Some(Cause::TimedOut)), "timed_out", Some(0), None),
        (Outcome::Cancelled(Cause::GivenBack), "given_back", None, None),
        (Outcome::Unstartable("No shell.".to_owned()), "not_started", None, None),
        (Outcome::Lost(2), "lost", None, None),
    ] {
        assert_eq!((outcome.word(), outcome.exit_code(), outcome.signal()), (word, exit_code, number), "{outcome:?}");
    }
}
