//! Table of changes: for each state of a run, each change and each sender; and properties of all changes.

use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;

use super::*;
use crate::server::domain::model::sample;

fn at(seconds: i64) -> Timestamp {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

fn worker(id: i64) -> WorkerId {
    WorkerId::new(id).unwrap()
}

fn me() -> Actor {
    Actor::Worker(worker(1), None)
}

fn other() -> Actor {
    Actor::Worker(worker(2), None)
}

fn scheduled() -> Run {
    sample::run(1)
}

fn claimed_run() -> Run {
    Run { worker: Some(worker(1)), enqueue_dts: Some(at(10)), attempt: Attempt(1), ..scheduled() }
}

fn started_run() -> Run {
    Run { start_dts: Some(at(20)), pid: Some(7), ..claimed_run() }
}

fn phases() -> Vec<(&'static str, Run)> {
    let over =
        Run { return_dts: Some(at(30)), return_success: Some(true), exit: Some(RunExit::Code(0)), ..started_run() };
    vec![
        ("scheduled", scheduled()),
        ("pinned to me", Run { worker: Some(worker(1)), pinned: true, ..scheduled() }),
        ("pinned to another", Run { worker: Some(worker(2)), pinned: true, ..scheduled() }),
        ("claimed by me", claimed_run()),
        ("started by me", started_run()),
        ("claimed by another", Run { worker: Some(worker(2)), ..claimed_run() }),
        ("over, by me", over),
    ]
}

fn claim(seconds: i64, by: i64) -> Patch {
    Patch { enqueue_dts: Some(Some(at(seconds))), worker: Some(worker(by)), ..Patch::default() }
}

fn start(seconds: i64) -> Patch {
    Patch { start_dts: Some(Some(at(seconds))), ..Patch::default() }
}

fn end(seconds: i64, success: bool) -> Patch {
    Patch { return_dts: Some(Some(at(seconds))), return_success: Some(Some(success)), ..Patch::default() }
}

fn back() -> Patch {
    Patch { enqueue_dts: Some(None), start_dts: Some(None), ..Patch::default() }
}

fn changes() -> Vec<(&'static str, Patch)> {
    vec![
        ("nothing", Patch::default()),
        ("claim", claim(11, 1)),
        ("the same claim", claim(10, 1)),
        ("claim for another", claim(11, 2)),
        ("name me alone", Patch { worker: Some(worker(1)), ..Patch::default() }),
        ("give back", back()),
        ("start", start(21)),
        ("the same start", start(20)),
        ("start and pid", Patch { pid: Some(Some(9)), ..start(21) }),
        ("take the start back alone", Patch { start_dts: Some(None), ..Patch::default() }),
        ("pid", Patch { pid: Some(Some(9)), ..Patch::default() }),
        ("success", end(31, true)),
        ("the same success", end(30, true)),
        ("failure", end(31, false)),
        ("return without success", Patch { return_dts: Some(Some(at(31))), ..Patch::default() }),
        ("success without return", Patch { return_success: Some(Some(true)), ..Patch::default() }),
        ("take the return back", Patch { return_dts: Some(None), return_success: Some(None), ..Patch::default() }),
        ("claim, start and success", Patch { start_dts: Some(Some(at(21))), ..merge(claim(11, 1), end(31, true)) }),
    ]
}

fn merge(claim: Patch, end: Patch) -> Patch {
    Patch { return_dts: end.return_dts, return_success: end.return_success, ..claim }
}

fn shown(run: &Run) -> String {
    let time = |name: &str, at: Option<Timestamp>| at.map_or(String::new(), |at| format!(" {name} {}", at.timestamp()));
    format!(
        "{:?} attempt {}{}{}{}{}{}{}{}",
        run.state(),
        run.attempt,
        run.worker.map_or(String::new(), |worker| format!(" worker {worker}")),
        time("enqueue", run.enqueue_dts),
        time("start", run.start_dts),
        run.pid.map_or(String::new(), |pid| format!(" pid {pid}")),
        time("return", run.return_dts),
        run.return_success.map_or(String::new(), |success| format!(" success {success}")),
        run.exit.map_or(String::new(), |exit| format!(" exit {exit:?}")),
    )
}

/// Every combination of facts with its name; the first is the usual one.
fn facts() -> Vec<(String, ChangeFacts)> {
    let kills = [
        ("", AttemptKill::Unrequested),
        ("kill requested", AttemptKill::Requested(KillCause::Asked)),
        ("too long, kill requested", AttemptKill::Requested(KillCause::TimedOut)),
        ("kill taken", AttemptKill::Taken { first: KillCause::Asked, taken: KillCause::Asked }),
        ("too long, another kill taken", AttemptKill::Taken { first: KillCause::TimedOut, taken: KillCause::Asked }),
        (
            "kill requested, too long, that taken",
            AttemptKill::Taken { first: KillCause::Asked, taken: KillCause::TimedOut },
        ),
    ];
    let rules = [("", ClaimRule::Allows), ("not to be claimed", ClaimRule::Forbids)];
    let pair = |(kill_name, kill): (&str, AttemptKill)| {
        rules.map(|(rule_name, claim_rule)| {
            let names: Vec<&str> = [rule_name, kill_name].into_iter().filter(|name| !name.is_empty()).collect();
            (names.join(", "), ChangeFacts { kill, claim_rule, now: at(50) })
        })
    };
    kills.into_iter().flat_map(pair).collect()
}

/// No kill, and a run that may be claimed.
fn usual() -> ChangeFacts {
    facts().remove(0).1
}

fn outcome(run: &Run, patch: &Patch, who: Actor, facts: &ChangeFacts) -> String {
    match change(run, patch, who, facts) {
        Ok(Step { run: after, events }) if after == *run && events.is_empty() => "as it was".to_owned(),
        Ok(Step { run: after, events }) => format!("{events:?} {}", shown(&after)),
        Err(refusal) => format!("refused: {refusal}"),
    }
}

/// Below the outcome with the usual facts stand the facts with which it is another; two facts together stand there only
/// where their outcome is neither that of the one nor that of the other.
#[test]
fn the_whole_table_is_this() {
    let (mut text, all) = (String::new(), facts());
    for (who, name) in [
        (me(), "a worker"),
        (Actor::Worker(worker(1), Some(Attempt(9))), "a worker of another attempt"),
        (Actor::Operator, "an operator"),
    ] {
        for (phase, run) in phases() {
            text += &format!("{phase}; {name} says\n");
            for (change_name, patch) in changes() {
                let expected = outcome(&run, &patch, who, &usual());
                text += &format!("    {change_name}: {expected}\n");
                for (facts_name, facts) in &all {
                    let with = |facts: ChangeFacts| outcome(&run, &patch, who, &facts);
                    let outcome = with(*facts);
                    let one = with(ChangeFacts { kill: usual().kill, ..*facts });
                    let other = with(ChangeFacts { claim_rule: usual().claim_rule, ..*facts });
                    let is_of_one = facts.kill != usual().kill && outcome == one
                        || facts.claim_rule != usual().claim_rule && outcome == other;
                    if outcome != expected && !is_of_one {
                        text += &format!("        {facts_name}: {outcome}\n");
                    }
                }
            }
        }
    }
    insta::assert_snapshot!("the_whole_table", text);
}

#[test]
fn facts_that_are_not_read_make_no_difference() {
    for who in [me(), other(), Actor::Worker(worker(1), Some(Attempt(1))), Actor::Operator] {
        for (phase, run) in phases() {
            for (name, patch) in changes() {
                for (_, read) in facts() {
                    let unread = ChangeFacts {
                        kill: if depends_on_kill(&patch) { read.kill } else { usual().kill },
                        claim_rule: if depends_on_claim_rule(&run, &patch, who) {
                            read.claim_rule
                        } else {
                            usual().claim_rule
                        },
                        ..read
                    };
                    assert_eq!(change(&run, &patch, who, &read), change(&run, &patch, who, &unread), "{phase}: {name}");
                }
            }
        }
    }
}

#[test]
fn clocks_that_step_back_make_no_negative_times() {
    let over = change(&started_run(), &end(5, true), me(), &usual()).unwrap().run;
    assert_eq!((over.start_dts, over.return_dts), (Some(at(20)), Some(at(20))));
    let begun = change(&claimed_run(), &start(5), me(), &usual()).unwrap().run;
    assert_eq!(begun.start_dts, Some(at(10)));
    // A repeat with the worker's own time is recognized, although another time was stored.
    assert_eq!(change(&over, &end(5, true), me(), &usual()).unwrap().events, []);
    assert_eq!(change(&begun, &start(5), me(), &usual()).unwrap().events, []);
}

#[test]
fn what_the_loss_of_its_worker_does_to_a_run_is_this() {
    let mut text = String::new();
    let runs = [
        ("claimed", claimed_run()),
        ("started", started_run()),
        ("started, pinned", Run { pinned: true, ..started_run() }),
        ("started, lost once before", Run { losses: 1, ..started_run() }),
    ];
    for (name, run) in runs {
        for on_lost in [OnLost::Retry, OnLost::Fail] {
            text += &format!("{name}; {on_lost:?}, two losses at most\n");
            for (facts_name, ChangeFacts { kill, .. }) in facts().into_iter().step_by(2) {
                let step = lose(&run, &LossFacts { kill, on_lost, max_losses: 2, now: at(40) });
                let name = if facts_name.is_empty() { "no kill" } else { &facts_name };
                text += &format!("    {name}: {:?} {} losses {}\n", step.events, shown(&step.run), step.run.losses);
            }
        }
    }
    insta::assert_snapshot!("losses", text);
}

fn any_change() -> impl Strategy<Value = (Patch, Actor, ChangeFacts)> {
    let who = prop_oneof![
        Just(me()),
        Just(other()),
        Just(Actor::Worker(worker(1), Some(Attempt(1)))),
        Just(Actor::Worker(worker(2), Some(Attempt(2)))),
        Just(Actor::Operator),
    ];
    let patch = prop_oneof![
        (0i64..100, 1i64..3).prop_map(|(seconds, by)| claim(seconds, by)),
        (0i64..100).prop_map(start),
        (0i64..100, any::<bool>()).prop_map(|(seconds, success)| end(seconds, success)),
        Just(back()),
        (0i64..9).prop_map(|pid| Patch { pid: Some(Some(pid)), ..Patch::default() }),
    ];
    let facts = prop::sample::select(facts()).prop_map(|(_, facts)| facts);
    (patch, who, facts)
}

proptest! {
    /// Holds for changes of any kind, in any order, by any sender.
    #[test]
    fn a_life_has_one_end(changes in prop::collection::vec(any_change(), 0..40)) {
        let mut run = scheduled();
        let mut returns = 0;
        for (patch, who, facts) in changes {
            let Ok(step) = change(&run, &patch, who, &facts) else { continue };
            if run.state() == RunState::Completed {
                prop_assert_eq!(&step.run, &run, "what is over does not change");
                prop_assert!(step.events.is_empty());
            }
            if let (Actor::Worker(worker, _), Some(owner)) = (who, run.worker) {
                prop_assert!(worker == owner || step.events.is_empty(), "another's run");
            }
            prop_assert_eq!(step.run.attempt.0 - run.attempt.0, u32::from(step.events.contains(&LifeEvent::Claimed)));
            // A repeat changes nothing.
            let again = change(&step.run, &patch, who, &facts);
            if let Ok(again) = again {
                prop_assert_eq!(&again.run, &step.run);
                prop_assert!(again.events.is_empty(), "{:?}", again.events);
            }
            returns += usize::from(step.ends());
            run = step.run;
            prop_assert!(run.start_dts >= run.enqueue_dts || run.start_dts.is_none());
            prop_assert!(run.return_dts >= run.start_dts || run.return_dts.is_none());
            prop_assert_eq!(run.return_dts.is_some(), run.return_success.is_some());
        }
        prop_assert_eq!(returns, usize::from(run.state() == RunState::Completed));
    }
}
