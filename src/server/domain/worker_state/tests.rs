use chrono::{DateTime, TimeDelta};

use super::*;
use crate::run::{RequestId, WorkerRequest};
use crate::server::domain::model::{LatestRequest, RequestEnd, Timestamp, sample};

fn at(minutes: i64) -> Timestamp {
    DateTime::from_timestamp(1_764_000_000, 0).unwrap() + TimeDelta::minutes(minutes)
}

fn heard(duty: Option<WorkerState>, minute: i64) -> Worker {
    let report =
        duty.map(|duty| Report { duty, since: at(0), seats_taken: 0, outbox: 0, restarts: false, held: Vec::new() });
    Worker { heard_dts: Some(at(minute)), report, ..sample::worker(1) }
}

fn asked(action: WorkerCommand, pace: Pace, sent: bool) -> LatestRequest {
    LatestRequest {
        request: WorkerRequest { id: RequestId::new(7).unwrap(), action, pace },
        by: "operator".to_owned(),
        reason: String::new(),
        at: at(1),
        sent: sent.then(|| at(2)),
        heard: None,
        over: None,
    }
}

#[test]
fn where_a_worker_stands_to_people() {
    let mut table = String::new();
    for duty in [None].into_iter().chain(WorkerState::ALL.map(Some)) {
        let name = duty.map_or("original kind", WorkerState::word);
        let [never, long_ago, now] =
            [(Worker { heard_dts: None, ..heard(duty, 0) }, false), (heard(duty, 9), true), (heard(duty, 9), false)]
                .map(|(worker, is_silent)| format!("{:?}", shown(&worker, is_silent)));
        table.push_str(&format!("{name:<14} never: {never:<9} silent: {long_ago:<9} heard: {now}\n"));
    }
    insta::assert_snapshot!(table);
}

#[test]
fn who_only_answered_pings_before_there_was_more_to_say_was_heard() {
    let old = Worker { ping_response_dts: Some(at(20)), ..sample::worker(1) };
    assert_eq!(shown(&old, false), ShownWorkerState::Awake);
    assert_eq!(shown(&old, true), ShownWorkerState::Lost);
}

#[test]
fn a_clock_that_is_off_by_more_than_a_few_seconds_is_said_to_be() {
    let said = |ahead: TimeDelta| clock_in_words(&Worker { clock_ahead: Some(ahead), ..sample::worker(1) });
    for fine in [TimeDelta::zero(), TimeDelta::seconds(5), TimeDelta::milliseconds(-4900)] {
        assert_eq!(said(fine), None);
    }
    let off = [
        (TimeDelta::seconds(-15), "its clock is 15 s behind the server's"),
        (TimeDelta::minutes(3), "its clock is 3 min ahead of the server's"),
        (TimeDelta::hours(-3), "its clock is 3 h behind the server's"),
        (TimeDelta::days(400), "its clock is 400 days ahead of the server's"),
    ];
    for (ahead, words) in off {
        assert_eq!(said(ahead).as_deref(), Some(words));
    }
    assert_eq!(clock_in_words(&sample::worker(1)), None);
}

#[test]
fn who_is_given_new_runs() {
    let mut table = String::new();
    for duty in [None].into_iter().chain(WorkerState::ALL.map(Some)) {
        let mut line = format!("{:<14}", duty.map_or("original kind", WorkerState::word));
        for request in [None].into_iter().chain(WorkerCommand::ALL.map(Some)) {
            let asked = request.map(|action| asked(action, Pace::AfterRuns, true));
            let gives = takes_runs(&Worker { asked, ..heard(duty, 0) });
            let name = request.map_or("nothing asked", WorkerCommand::word);
            line.push_str(&format!(" {name}: {},", if gives { "yes" } else { "no" }));
        }
        table.push_str(&format!("{}\n", line.trim_end_matches(',')));
    }
    insta::assert_snapshot!(table);
    let over = LatestRequest {
        over: Some((at(3), RequestEnd::Confirmed)),
        ..asked(WorkerCommand::Sleep, Pace::AfterRuns, true)
    };
    assert!(takes_runs(&Worker { asked: Some(over), ..heard(Some(WorkerState::Awake), 0) }));
}

#[test]
fn what_becomes_of_a_wish() {
    let mut table = String::new();
    for duty in WorkerState::ALL {
        for open in [
            None,
            Some((WorkerCommand::Sleep, false)),
            Some((WorkerCommand::Sleep, true)),
            Some((WorkerCommand::Wake, true)),
        ] {
            let asked = open.map(|(action, sent)| asked(action, Pace::AfterRuns, sent));
            let told = match open {
                None => "nothing asked".to_owned(),
                Some((action, false)) => format!("{} asked", action.word()),
                Some((action, true)) => format!("{} told", action.word()),
            };
            let mut worker = Worker { asked, ..heard(Some(duty), 0) };
            worker.report.as_mut().unwrap().restarts = true;
            let wishes = [
                (WorkerCommand::Wake, Pace::AfterRuns),
                (WorkerCommand::Sleep, Pace::AfterRuns),
                (WorkerCommand::Sleep, Pace::Now),
                (WorkerCommand::Shutdown, Pace::AfterRuns),
                (WorkerCommand::Restart, Pace::AfterRuns),
            ];
            let answers = wishes.map(|(action, pace)| {
                let now = if pace == Pace::Now { " now" } else { "" };
                let verdict = ask(&worker, action, pace).map_or_else(|_| "cannot".to_owned(), |v| format!("{v:?}"));
                format!("{}{now}: {}", action.word(), verdict.to_lowercase())
            });
            table.push_str(&format!("{:<9} {told:<14} {}\n", duty.word(), answers.join(", ")));
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn what_a_worker_cannot_is_refused_with_a_reason() {
    let said = |worker: &Worker, action| format!("{} {}", worker.title, ask(worker, action, Pace::Now).unwrap_err());
    let lines = [
        said(&sample::worker(1), WorkerCommand::Sleep),
        said(&heard(None, 0), WorkerCommand::Shutdown),
        said(&heard(Some(WorkerState::Awake), 0), WorkerCommand::Restart),
        {
            let mut gone = heard(Some(WorkerState::Offline), 0);
            gone.report.as_mut().unwrap().restarts = true;
            said(&gone, WorkerCommand::Restart)
        },
    ];
    insta::assert_snapshot!(lines.join("\n"), @r"
    web1 has never answered: nobody knows whether it can sleep
    web1 is of the original kind or too old: it cannot shutdown
    web1 cannot restart: restart_exit_code is not set there
    web1 is offline: it cannot restart
    ");
}
