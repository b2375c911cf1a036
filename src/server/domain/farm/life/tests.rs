use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// What happens to a task without an operator who wants it executed again.
const EVENTS: [TaskEvent; 9] = [
    TaskEvent::Assigned,
    TaskEvent::Reported(TaskReport::Active),
    TaskEvent::Reported(TaskReport::Completed),
    TaskEvent::Reported(TaskReport::Canceled),
    TaskEvent::Reported(TaskReport::Failed(FailureEnd::Retried)),
    TaskEvent::Reported(TaskReport::Failed(FailureEnd::Final)),
    TaskEvent::Released,
    TaskEvent::TimedOut,
    TaskEvent::CancelAsked,
];

/// Each state with each event; an event that is not listed changes nothing.
#[test]
fn the_whole_table() {
    let mut table = String::new();
    for from in TaskStatus::ALL {
        for event in EVENTS.into_iter().chain([TaskEvent::Requeued]) {
            if let Some(to) = change(from, event) {
                writeln!(table, "{:<18} {:<34} {}", from.word(), format!("{event:?}"), to.word()).unwrap();
            }
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_task_that_is_over_stays_over_unless_an_operator_requeues_it() {
    for from in TaskStatus::ALL.into_iter().filter(|status| status.is_over()) {
        for event in EVENTS {
            assert_eq!(change(from, event), None, "{from:?} {event:?}");
        }
    }
}

proptest! {
    /// Whatever happens, a task is only given out while nobody has it, and a worker that is asked to stop never brings
    /// it back.
    #[test]
    fn a_task_that_is_to_be_cancelled_is_never_given_out_again(events in prop::collection::vec(0..EVENTS.len(), 0..40)) {
        let (mut status, mut cancelled) = (TaskStatus::Queued, false);
        for event in events {
            let before = status;
            let Some(after) = change(status, EVENTS[event]) else { continue };
            status = after;
            cancelled |= EVENTS[event] == TaskEvent::CancelAsked;
            prop_assert!(before.is_schedulable() || EVENTS[event] != TaskEvent::Assigned);
            prop_assert!(!(cancelled && (status == TaskStatus::Active || status.is_schedulable())));
        }
    }
}
