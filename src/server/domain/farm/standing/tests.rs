use std::fmt::Write as _;

use super::*;
use FarmWorkerStatus as S;

fn change(status: S, is_lazy: bool) -> StatusChange {
    StatusChange { status, is_lazy }
}

fn shown(standing: FarmStanding) -> String {
    let asked = standing.asked.map_or_else(String::new, |asked| {
        format!(" asked {}{}", asked.status.word(), if asked.is_lazy { " lazily" } else { "" })
    });
    format!("{:?}{asked}", standing.status)
}

/// Each state with nothing, sleep and shutdown asked, and each event that changes it.
#[test]
fn the_whole_table() {
    let asked = [None, Some(change(S::Asleep, true)), Some(change(S::Shutdown, false))];
    let events = [
        WorkerEvent::SignOn,
        WorkerEvent::Contact,
        WorkerEvent::Acknowledged(S::Asleep),
        WorkerEvent::Acknowledged(S::Shutdown),
        WorkerEvent::SignOff,
        WorkerEvent::Silent,
        WorkerEvent::Asked(change(S::Awake, true)),
        WorkerEvent::TimeoutSeen,
    ];
    let mut table = String::new();
    for status in S::ALL.into_iter().filter(|status| *status != S::Shutdown) {
        for asked in asked {
            let before = FarmStanding { status, asked };
            for event in events {
                let after = before.after(event);
                if after != before {
                    let event = match event {
                        WorkerEvent::Asked(_) => "asked to wake".to_owned(),
                        event => format!("{event:?}"),
                    };
                    writeln!(table, "{:<32} {event:<24} {}", shown(before), shown(after)).unwrap();
                }
            }
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_worker_that_slept_sleeps_on_after_a_restart() {
    let asleep = FarmStanding { status: S::Asleep, asked: None };
    let back = asleep.after(WorkerEvent::SignOff).after(WorkerEvent::SignOn);
    assert_eq!(back.asked, Some(change(S::Asleep, false)));
    assert_eq!(back.after(WorkerEvent::Acknowledged(S::Asleep)), asleep);
}

#[test]
fn a_worker_goes_on_unless_its_task_or_its_manager_says_otherwise() {
    let (me, other) = (ObjectId::new(1, [0; 5], 1), ObjectId::new(1, [0; 5], 2));
    let awake = |asked| FarmStanding { status: S::Awake, asked };
    let mine = Some((TaskStatus::Active, Some(me)));
    for (asked, task, may, reason) in [
        (None, mine, true, None),
        (None, None, false, Some("unable to find task")),
        (None, Some((TaskStatus::Active, Some(other))), false, Some("task reassigned to another worker")),
        (None, Some((TaskStatus::Queued, None)), false, Some("task reassigned to another worker")),
        (
            None,
            Some((TaskStatus::CancelRequested, Some(me))),
            false,
            Some("task is in non-runnable status cancel-requested"),
        ),
        (
            None,
            Some((TaskStatus::ClaimedByManager, Some(me))),
            false,
            Some("task is in non-runnable status claimed-by-manager"),
        ),
        (Some(change(S::Asleep, false)), mine, false, Some("worker status change to asleep requested")),
        (Some(change(S::Shutdown, false)), mine, false, Some("worker status change to shutdown requested")),
        (Some(change(S::Asleep, true)), mine, true, None),
        (Some(change(S::Awake, false)), mine, true, None),
    ] {
        let answer = awake(asked).may_keep_running(me, task);
        assert_eq!((answer.may_keep_running, answer.reason.as_deref()), (may, reason));
        assert_eq!(answer.status_requested, asked.map(|asked| asked.status), "shown also where it may wait");
    }
}
