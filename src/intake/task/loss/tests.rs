//! Tests of the decision about a lost execution: the table of all kinds of facts, and properties of any facts.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const MAX_ATTEMPTS: u32 = 3;
const STOPS: [Option<Cause>; 6] = [
    None,
    Some(Cause::Killed),
    Some(Cause::TimedOut),
    Some(Cause::Interrupted),
    Some(Cause::NotOurs),
    Some(Cause::GivenBack),
];

const PROCESSES: [(&str, Loss, bool); 4] = [
    ("shim died, start written", Loss::ShimDied, true),
    ("shim died, start not written", Loss::ShimDied, false),
    ("no record, start written", Loss::NeverBegan, true),
    ("never began", Loss::NeverBegan, false),
];

#[test]
fn the_whole_table_is_this() {
    let mut table = String::new();
    for (process, loss, start_is_written) in PROCESSES {
        for (attempt, losses) in [(1, 0), (3, 2), (9, 0), (10, 0), (13, 1)] {
            let _ = writeln!(table, "{process}; attempt {attempt}, {losses} lost before, of {MAX_ATTEMPTS}");
            for policy in [IncompleteRuns::Reset, IncompleteRuns::Fail] {
                for stopped in STOPS {
                    let verdict = |claims| {
                        let attempt = Attempt(attempt);
                        let max_attempts = MAX_ATTEMPTS;
                        decide(&ExecutionLossFacts {
                            loss,
                            start_is_written,
                            attempt,
                            losses,
                            policy,
                            max_attempts,
                            stopped,
                            claims,
                        })
                    };
                    let now = verdict(Claims::Allowed);
                    assert_eq!(verdict(Claims::Paused), now, "a worker that sleeps accounts for its runs all the same");
                    let closed = verdict(Claims::Closed);
                    let (policy, stopped) = (format!("{policy:?}"), format!("{stopped:?}"));
                    let _ = write!(table, "    {policy:<6} stop {stopped:<18} -> {now:?}");
                    let closed = if closed == now { String::new() } else { format!("; claims closed: {closed:?}") };
                    let _ = writeln!(table, "{closed}");
                }
            }
            table.push('\n');
        }
    }
    insta::assert_snapshot!(table);
}

fn any_facts() -> impl Strategy<Value = ExecutionLossFacts> {
    let loss = select(vec![Loss::ShimDied, Loss::NeverBegan]);
    let policy = select(vec![IncompleteRuns::Reset, IncompleteRuns::Fail]);
    let claims = select(vec![Claims::Allowed, Claims::Paused, Claims::Closed]);
    (loss, any::<bool>(), 1..40_u32, 0..10_u32, policy, 1..10_u32, select(STOPS.to_vec()), claims).prop_map(
        |(loss, start_is_written, attempt, losses, policy, max_attempts, stopped, claims)| ExecutionLossFacts {
            loss,
            start_is_written,
            attempt: Attempt(attempt),
            losses,
            policy,
            max_attempts,
            stopped,
            claims,
        },
    )
}

proptest! {
    #[test]
    fn a_script_that_was_started_is_started_again_only_where_the_operator_says_so(facts in any_facts()) {
        let started = facts.loss == Loss::ShimDied || facts.start_is_written;
        if started && facts.policy == IncompleteRuns::Fail {
            let is_over = matches!(decide(&facts), LossVerdict::Report { .. });
            prop_assert!(is_over);
        }
    }

    #[test]
    fn a_run_that_was_stopped_is_never_executed_again(facts in any_facts()) {
        if facts.stopped.is_some() {
            let is_over = matches!(decide(&facts), LossVerdict::Report { .. });
            prop_assert!(is_over);
        }
    }

    #[test]
    fn a_run_that_is_lost_again_and_again_ends(facts in any_facts()) {
        let mut facts = ExecutionLossFacts { attempt: Attempt(1), losses: 0, stopped: None, ..facts };
        for _ in 0..=MAX_NEVER_BEGAN + facts.max_attempts {
            match decide(&facts) {
                LossVerdict::Report { outcome, .. } => {
                    prop_assert!(matches!(outcome, Outcome::Lost(1..)));
                    return Ok(());
                }
                LossVerdict::ExecuteAgain { losses } | LossVerdict::LeaveToNextStart { losses } => {
                    facts.losses = losses;
                    facts.attempt = facts.attempt.next();
                }
            }
        }
        prop_assert!(false, "it never ends: {facts:?}");
    }

    #[test]
    fn a_run_is_given_back_whatever_became_of_its_process(facts in any_facts()) {
        let facts = ExecutionLossFacts { stopped: Some(Cause::GivenBack), ..facts };
        let is_given_back = matches!(decide(&facts), LossVerdict::Report { outcome, .. } if outcome.is_given_back());
        prop_assert!(is_given_back);
    }
}
