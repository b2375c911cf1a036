//! The oracle of the server's campaign: a sound history has no breach, and each figure can be other than zero.

#[path = "../campaign/server/oracle.rs"]
mod judge;

use judge::{Breach, Expected, Fire, History, Job, Row, Rule, judge, sum, without_run};

use crate::oracle::history::{Mark, Says};

/// A minute at which all fields of a cron expression begin.
const MINUTE: i64 = 1_796_029_020;
/// The job, due every ten seconds.
const JOB: i64 = 1;
/// The job of what was handed over.
const AD_HOC: i64 = 2;

fn row(id: i64, job: i64, due: i64, success: bool) -> Row {
    Row { id, job, due: MINUTE + due, is_over: true, success: Some(success), losses: 0, is_on_hold: false }
}

fn mark(run: i64, says: Says) -> Mark {
    Mark { says, run, attempt: 1, at: 0.0 }
}

/// A job with three times, of which the second was missed, and two runs that were handed over.
fn sound() -> History {
    let job = Job { id: JOB, expected: Expected::Success(true), step: 10, phase: 0, from: MINUTE, to: MINUTE + 30 };
    let begun = [1, 2, 3, 4].map(|run| mark(run, Says::Begin { shim: 50 }));
    let ended = [1, 2, 3].map(|run| mark(run, Says::End { code: 0 }));
    History {
        rows: vec![row(1, JOB, 0, true), row(2, JOB, 20, true), row(3, AD_HOC, 1, true), row(4, AD_HOC, 2, false)],
        jobs: vec![job],
        accepted: [(3, Expected::Success(true)), (4, Expected::Success(false))].into(),
        marks: begun.into_iter().chain(ended).collect(),
        fires: vec![Fire { job: JOB, due: MINUTE + 10, times: 1 }],
        survivors: Vec::new(),
        leaked: Vec::new(),
    }
}

/// Which figures a change of the sound history makes other than zero.
fn broken(change: impl FnOnce(&mut History)) -> Vec<Rule> {
    let mut history = sound();
    change(&mut history);
    let mut broken: Vec<Rule> = judge(&history).into_iter().map(|Breach(rule, _)| rule).collect();
    broken.sort();
    broken.dedup();
    broken
}

#[test]
fn a_sound_history_of_the_server_is_found_sound() {
    assert_eq!(judge(&sound()), Vec::new());
    let zeros = "lost 0, doubled 0, overlapping 0, survivors 0, leaked 0, due times without run or recorded reason 0";
    assert_eq!(sum(&judge(&sound())), zeros);
}

#[test]
fn a_lost_run_is_counted() {
    assert_eq!(broken(|h| h.rows.retain(|row| row.id != 3)), [Rule::Lost], "accepted, and the server does not know it");
    assert_eq!(broken(|h| h.rows[2].is_over = false), [Rule::Lost], "it is not over");
    assert_eq!(broken(|h| h.rows[2].success = Some(false)), [Rule::Lost], "another result than the script's");
    assert_eq!(broken(|h| h.rows[3].success = Some(true)), [Rule::Lost], "success instead of failure");
    assert_eq!(broken(|h| h.rows[0].success = None), [Rule::Lost], "over without a result");
    assert_eq!(broken(|h| h.marks.retain(|mark| mark.run != 3)), [Rule::Lost], "success, and it was never executed");
    let executed = mark(9, Says::Begin { shim: 50 });
    assert_eq!(broken(|h| h.marks.push(executed)), [Rule::Lost], "executed, and the server does not know it");
    let silent = |h: &mut History| h.accepted.extend([(3, Expected::NoExecution)]);
    assert_eq!(broken(silent), [Rule::Lost], "what cannot be executed succeeded");
}

#[test]
fn what_a_disabled_job_keeps_waiting_is_not_lost() {
    let waits = |h: &mut History| (h.rows[1].is_over, h.rows[1].success, h.rows[1].is_on_hold) = (false, None, true);
    assert_eq!(broken(waits), []);
    // Nor is what is behind it unexplained; what is before it is.
    let behind = |h: &mut History| {
        waits(h);
        h.jobs[0].to = MINUTE + 600;
    };
    assert_eq!(broken(behind), []);
    let before = |h: &mut History| {
        waits(h);
        h.fires.clear();
    };
    assert_eq!(broken(before), [Rule::UnexplainedTimes]);
}

#[test]
fn a_run_that_was_executed_twice_is_counted() {
    let again = |attempt| Mark { attempt, ..mark(3, Says::Begin { shim: 51 }) };
    assert_eq!(broken(|h| h.marks.push(again(1))), [Rule::Doubled]);
    assert_eq!(broken(|h| h.marks.push(again(2))), [Rule::Doubled], "nobody ended who watches over it");
    let shim_ended = |h: &mut History| h.accepted.extend([(3, Expected::Anything)]);
    let licensed = |h: &mut History| {
        shim_ended(h);
        h.marks.push(again(2));
    };
    assert_eq!(broken(licensed), []);
    let unlicensed = |h: &mut History| {
        shim_ended(h);
        h.marks.push(again(1));
    };
    assert_eq!(broken(unlicensed), [Rule::Doubled], "twice as the same attempt");
}

#[test]
fn executions_beside_each_other_are_counted() {
    assert_eq!(broken(|h| h.marks.push(mark(3, Says::Overlap))), [Rule::Overlapping]);
}

#[test]
fn what_lives_on_and_what_is_left_is_counted() {
    assert_eq!(broken(|h| h.survivors.push("process 7".to_owned())), [Rule::Survivors]);
    assert_eq!(broken(|h| h.leaked.push("a file is left".to_owned())), [Rule::Leaked]);
}

#[test]
fn a_time_without_run_or_reason_is_counted() {
    assert_eq!(broken(|h| h.fires.clear()), [Rule::UnexplainedTimes]);
    assert_eq!(broken(|h| h.fires[0].job = AD_HOC), [Rule::UnexplainedTimes], "the reason is another job's");
    let unmade = |h: &mut History| {
        h.rows.remove(1);
        h.marks.retain(|mark| mark.run != 2);
    };
    assert_eq!(broken(unmade), [Rule::UnexplainedTimes]);
    let both = |times: usize| {
        move |h: &mut History| {
            unmade(h);
            h.fires[0].times = times;
        }
    };
    assert_eq!(broken(both(2)), [], "one record of both times");
    assert_eq!(broken(both(1)), [Rule::UnexplainedTimes]);
    // Counted up to a bound, a record is of all times up to the next run; no further.
    let long = |runs: bool| {
        move |h: &mut History| {
            h.jobs[0].to = MINUTE + 3020;
            (h.rows[1].due, h.fires[0].times) = (MINUTE + 3000, judge::COUNTED);
            h.rows.push(row(5, JOB, 3010, true));
            h.marks.push(mark(5, Says::Begin { shim: 50 }));
            if !runs {
                h.rows.pop();
                h.marks.pop();
            }
        }
    };
    assert_eq!(broken(long(true)), []);
    assert_eq!(broken(long(false)), [Rule::UnexplainedTimes]);
}

#[test]
fn times_without_a_run_are_counted_whether_a_reason_is_recorded_or_not() {
    assert_eq!(without_run(&sound()), 1, "the second of three was missed, and that is recorded");
    let mut history = sound();
    history.fires.clear();
    assert_eq!(without_run(&history), 1);
    // Its times are the seconds 5, 15, 25, none of which has a run.
    history.jobs[0].phase = 5;
    assert_eq!(without_run(&history), 3);
}
