//! The campaign's oracle: each invariant holds for a history without faults, and can fail.

#[path = "../campaign/oracle/mod.rs"]
mod judge;

pub(crate) use judge::history;
use judge::history::{Did, History, Kill, Mark, ORPHAN, Outage, Run, Says, ShimDeath, Size, Step};
use judge::{Verdict, judge};

/// No invariant.
const NONE: [u8; 0] = [];

/// Two runs as they should be, with room for one at a time.
fn sound() -> History {
    let mut history = History {
        concurrent_jobs: 1,
        max_attempts: 3,
        runs: vec![returned(1), returned(7)],
        exit_code: Some(0),
        sizes: vec![size(0, 20_000, 30), size(1000, 20_500, 31)],
        ..History::default()
    };
    history.marks = vec![begin(1, 1, 50, 1.0), end(1, 1, 1, 2.0), begin(7, 1, 50, 2.0), end(7, 1, 0, 3.0)];
    history
}

/// A run with two lines that exits with its number modulo 7.
fn returned(id: i64) -> Run {
    Run {
        id,
        lines: 2,
        steps: steps(&[Did::Claim, Did::Start, Did::Log, Did::Return]),
        log: format!("line 1 of {id}\nline 2 of {id}\n"),
        completions: 1,
        success: Some(id % 7 == 0),
        ..Run::default()
    }
}

fn steps(kinds: &[Did]) -> Vec<Step> {
    (1..).zip(kinds).map(|(seq, did)| Step { seq, did: *did }).collect()
}

fn begin(run: i64, attempt: u32, shim: i32, at: f64) -> Mark {
    Mark { says: Says::Begin { shim }, run, attempt, at }
}

fn end(run: i64, attempt: u32, code: i32, at: f64) -> Mark {
    Mark { says: Says::End { code }, run, attempt, at }
}

fn size(returned: usize, anonymous_kib: u64, descriptors: usize) -> Size {
    Size { returned, anonymous_kib, descriptors }
}

/// Which invariants a change of the sound history breaks.
fn broken(change: impl FnOnce(&mut History)) -> Vec<u8> {
    let mut history = sound();
    change(&mut history);
    let mut broken: Vec<u8> = judge(&history).iter().map(|violation| violation.invariant).collect();
    broken.dedup();
    broken
}

#[test]
fn a_sound_history_is_found_sound() {
    assert_eq!(judge(&sound()), Vec::new());
    assert_eq!(Verdict::of(&judge(&sound())).to_string(), "lost 0, doubled 0, overlapping 0, survivors 0, leaked 0");
}

#[test]
fn i1_another_execution_alive() {
    let overlap = Mark { says: Says::Overlap, run: 1, attempt: 1, at: 1.1 };
    assert_eq!(broken(|h| h.marks.push(overlap)), [1]);
    // A second attempt begins while the first goes on, whatever the lock said.
    let again = [begin(1, 2, 51, 1.5), end(1, 2, 1, 1.8)];
    let broken = broken(|h| {
        h.concurrent_jobs = 2;
        h.shim_deaths.push(ShimDeath { pid: 50, at: 1.2 });
        h.marks = vec![begin(1, 1, 50, 1.0), end(1, 1, 1, 2.0)];
        h.marks.extend(again);
        h.marks.extend([begin(7, 1, 50, 2.0), end(7, 1, 0, 3.0)]);
    });
    assert_eq!(broken, [1]);
}

#[test]
fn i2_executed_again_without_need() {
    assert_eq!(broken(|h| h.marks.extend([begin(1, 1, 52, 4.0), end(1, 1, 1, 5.0)])), [2]);
    assert_eq!(broken(|h| h.marks.extend([begin(1, 2, 52, 4.0), end(1, 2, 1, 5.0)])), [2]);
    let forgotten = |h: &mut History| {
        h.runs[0].was_forgotten = true;
        h.shim_deaths.push(ShimDeath { pid: 50, at: 1.5 });
        h.marks.extend([begin(1, 1, 52, 4.0), end(1, 1, 1, 5.0)]);
    };
    assert_eq!(broken(forgotten), NONE, "its attempts are counted anew");
    let after_a_death = |pid, at| {
        move |h: &mut History| {
            h.shim_deaths.push(ShimDeath { pid, at });
            h.marks.extend([begin(1, 2, 52, 4.0), end(1, 2, 1, 5.0)]);
        }
    };
    assert_eq!(broken(after_a_death(50, 1.5)), NONE, "its shim died");
    assert_eq!(broken(after_a_death(51, 1.5)), [2], "another shim died");
    assert_eq!(broken(after_a_death(50, 0.5)), [2], "it died before and its pid came back");
    assert_eq!(broken(after_a_death(50, 4.5)), [2], "it died afterwards");
    let orphaned = |at| {
        move |h: &mut History| {
            h.marks[0] = begin(1, 1, ORPHAN, 1.0);
            after_a_death(99, at)(h);
        }
    };
    assert_eq!(broken(orphaned(0.9)), NONE);
    assert_eq!(broken(orphaned(-5.0)), [2]);
}

#[test]
fn i3_claimed_and_never_returned() {
    let unreturned = |run: &mut Run| {
        (run.completions, run.success) = (0, None);
        run.steps.pop();
    };
    assert_eq!(broken(|h| unreturned(&mut h.runs[0])), [3]);
    assert_eq!(broken(|h| h.runs[0] = Run { id: 1, ..Run::default() }), [3], "never claimed");
    assert_eq!(broken(|h| h.runs[0].completions = 2), [6], "its children were started twice");
    let disowned = |h: &mut History| {
        unreturned(&mut h.runs[0]);
        h.runs[0].was_disowned = true;
    };
    assert_eq!(broken(disowned), NONE);
}

#[test]
fn i4_another_result_than_the_scripts() {
    assert_eq!(broken(|h| h.runs[0].success = Some(true)), [4]);
    assert_eq!(broken(|h| h.runs[1].success = Some(false)), [4]);
    assert_eq!(
        broken(|h| h.marks.retain(|mark| mark.says != Says::End { code: 1 })),
        [4],
        "it never said that it ended"
    );
    let lost = |deaths: usize, begins: u32| {
        move |h: &mut History| {
            h.runs[0].log = "[job runner worker] The run was lost 3 times: its supervising process died.\n".to_owned();
            let death = |n: usize| ShimDeath { pid: 50, at: 1.0 + f64::from(u32::try_from(n).unwrap()) / 10.0 };
            h.shim_deaths = (0..deaths).map(death).collect();
            h.marks = (0..begins).map(|n| begin(1, n + 1, 50, 1.0 + f64::from(n) / 10.0)).collect();
            h.marks.extend([begin(7, 1, 51, 2.0), end(7, 1, 0, 3.0)]);
        }
    };
    assert_eq!(broken(lost(3, 3)), NONE);
    assert_eq!(broken(lost(0, 1)), [4], "nobody killed its shim");
    assert_eq!(broken(lost(4, 4)), [4], "it was executed too often");
    let killed = |success: bool| {
        move |h: &mut History| {
            h.runs[0].is_killed = true;
            h.runs[0].success = Some(success);
            h.marks.remove(1);
        }
    };
    assert_eq!(broken(killed(false)), NONE);
    assert_eq!(broken(killed(true)), [4]);
}

#[test]
fn i5_lines_are_missing() {
    let log = |log: &'static str, is_long: bool| {
        move |h: &mut History| {
            h.runs[0] = Run { lines: 9, log: log.to_owned(), is_long, ..returned(1) };
        }
    };
    let whole = "line 1 x\nline 2 x\nline 3 x\nline 4 x\nline 5 x\nline 6 x\nline 7 x\nline 8 x\nline 9 x\n";
    assert_eq!(broken(log(whole, false)), NONE);
    assert_eq!(broken(log("line 1 x\nline 2 x\n", false)), [5], "the end");
    assert_eq!(broken(log("", false)), [5], "everything");
    assert_eq!(broken(log("line 1 x\nline 1 x\nline 2 x\n", false)), [5], "twice");
    let cut = "line 1 x\nline 2\n\n[truncated]\n\nne 6 x\nline 7 x\nline 8 x\nline 9 x\n";
    assert_eq!(broken(log(cut, true)), NONE);
    assert_eq!(broken(log(cut, false)), [5], "it is short");
    assert_eq!(broken(log("line 1 x\n\n\n[truncated]\n\nline 7 x\nline 9 x\n", true)), [5], "a gap behind the cut");
    assert_eq!(broken(log("line 1 x\n\n\n[truncated]\n\nx\n\n[truncated]\n\nline 9 x\n", true)), [5], "cut twice");
    assert_eq!(
        broken(|h| {
            log("line 1 x\n", false)(h);
            h.runs[0].is_killed = true;
        }),
        NONE,
        "a killed script says no more"
    );
}

#[test]
fn i6_reported_in_another_order() {
    let told = |kinds: &'static [Did]| move |h: &mut History| h.runs[0].steps = steps(kinds);
    use Did::{Claim, Log, Other, Pid, Reset, Return, Start};
    assert_eq!(broken(told(&[Claim, Log, Start, Return])), NONE, "what never ran starts behind its log");
    let of_a_script = |first: Did, second: Did| {
        move |h: &mut History| {
            let pid = |seq, did| Step { seq, did };
            h.runs[0].steps = vec![
                pid(1, Claim),
                pid(2, first),
                pid(3, second),
                pid(if first == Start { 2 } else { 3 }, Pid),
                pid(4, Return),
            ];
        }
    };
    assert_eq!(broken(of_a_script(Start, Log)), NONE);
    assert_eq!(broken(of_a_script(Log, Start)), [6]);
    assert_eq!(broken(told(&[Start, Claim, Log, Return])), [6]);
    assert_eq!(broken(told(&[Claim, Start, Return, Log])), [6]);
    assert_eq!(broken(told(&[Claim, Start, Log, Return, Pid])), [6]);
    assert_eq!(broken(told(&[Claim, Start, Return])), [6], "no log");
    assert_eq!(broken(told(&[Claim, Log, Return])), [6], "no start");
    assert_eq!(broken(told(&[Claim, Reset, Claim, Start, Log, Return])), [6]);
    assert_eq!(broken(told(&[Claim, Other, Start, Log, Return])), [6]);
    let forgotten = |h: &mut History| {
        told(&[Claim, Reset, Claim, Start, Log, Return])(h);
        h.runs[0].was_forgotten = true;
    };
    assert_eq!(broken(forgotten), NONE);
}

#[test]
fn i7_a_kill_that_spares_or_strays() {
    let kill = |is_taken, is_executed, survivors: &[i32]| {
        let kill = Kill { id: 4, run: 1, is_taken, is_executed, survivors: survivors.to_owned(), ..Kill::default() };
        move |h: &mut History| h.kills = vec![kill]
    };
    assert_eq!(broken(kill(true, true, &[])), NONE);
    assert_eq!(broken(kill(true, false, &[])), [7]);
    assert_eq!(broken(kill(false, true, &[])), [7]);
    assert_eq!(broken(kill(true, true, &[77])), [7]);
    assert_eq!(broken(|h| h.bystanders_gone = vec![12]), [7]);
}

#[test]
fn i8_processes_or_files_are_left() {
    assert_eq!(broken(|h| h.left = vec!["process 8".to_owned()]), [8]);
    assert_eq!(broken(|h| h.exit_code = Some(1)), [8]);
    assert_eq!(broken(|h| h.exit_code = None), [8]);
}

#[test]
fn i9_the_worker_grows() {
    assert_eq!(broken(|h| h.sizes[1].anonymous_kib += 20_000), [9]);
    assert_eq!(broken(|h| h.sizes[1].descriptors += 100), [9]);
    assert_eq!(broken(|h| h.sizes.clear()), NONE);
}

#[test]
fn i10_the_secret_leaked() {
    assert_eq!(broken(|h| h.secret_found = vec!["the log of run 1".to_owned()]), [10]);
}

#[test]
fn i11_more_scripts_than_slots() {
    let together = |h: &mut History| {
        h.marks = vec![begin(1, 1, 50, 1.0), begin(7, 1, 51, 1.5), end(1, 1, 1, 2.0), end(7, 1, 0, 3.0)];
    };
    assert_eq!(broken(together), [11]);
    let with_two_seats = |h: &mut History| {
        together(h);
        h.concurrent_jobs = 2;
    };
    assert_eq!(broken(with_two_seats), NONE);
}

#[test]
fn i12_a_failing_api_is_called_too_often() {
    let outage = |requests: usize, pause: f64, path: &str| {
        let at = |n: usize| f64::from(u32::try_from(n).unwrap()) * pause;
        let requests = (0..requests).map(|n| (at(n), path.to_owned())).collect();
        move |h: &mut History| h.outages = vec![Outage { requests }]
    };
    assert_eq!(broken(outage(20, 0.1, "/api/v1/worker/")), NONE);
    assert_eq!(broken(outage(200, 0.02, "/api/v1/worker/")), [12]);
    let at_first = |h: &mut History| {
        let all_at_once = (0..30).map(|_| (0.4, "/api/v1/worker/".to_owned()));
        let later = (1..20_u32).map(|n| (0.4 + f64::from(n) / 10.0, "/api/v1/worker/".to_owned()));
        h.outages = vec![Outage { requests: all_at_once.chain(later).collect() }];
    };
    assert_eq!(broken(at_first), NONE, "none of them had failed yet");
    assert_eq!(broken(outage(20, 0.1, "/api/v1/run/1/")), [12]);
    assert_eq!(broken(outage(20, 0.6, "/api/v1/run/1/")), NONE);
}

#[test]
fn the_verdict_counts_by_kind() {
    let mut history = sound();
    history.left = vec!["a".to_owned(), "b".to_owned()];
    history.bystanders_gone = vec![1];
    history.runs[0].success = Some(true);
    history.runs[1].completions = 2;
    history.concurrent_jobs = 0;
    let verdict = Verdict { lost: 1, doubled: 1, overlapping: 1, survivors: 1, leaked: 2 };
    assert_eq!(Verdict::of(&judge(&history)), verdict);
}
