//! Tests of the delivery plan: the next step of a courier for every state of its delivery.

use std::fmt::Write as _;

use super::super::delivery::samples::{
    ended, ended_with, in_phase, log_of, not_started, phases, quiet_log, running, running_with, start_reports, viewed,
};
use super::super::delivery::{DeliveryEnd, LiveLog, LogExtent};
use super::*;

const LOG_DUE: LogReport = LogReport::Due { rejections: 0 };

fn a_moment() -> Duration {
    Duration::from_secs(5)
}

fn live(now: Instant) -> CallConditions {
    CallConditions { now, sends_live_logs: true, is_long_silent: false, start_waits_until: None }
}

/// Conditions under which the log is sent at the end only.
fn at_the_end(now: Instant) -> CallConditions {
    CallConditions { sends_live_logs: false, ..live(now) }
}

fn long_silent(now: Instant) -> CallConditions {
    CallConditions { is_long_silent: true, ..live(now) }
}

fn next(delivery: &Delivery) -> NextCall {
    delivery.next(&live(Instant::now()))
}

fn now_ended(delivery: Delivery) -> Delivery {
    delivery.step(DeliveryInput::Ended(DeliveryEnd::WithResult))
}

#[test]
fn the_next_call_in_each_phase_is_this() {
    let now = Instant::now();
    let soon = now + a_moment();
    let conditions = [("live", live(now)), ("at the end", at_the_end(now)), ("long silent", long_silent(now))];
    let mut table = String::new();
    for (name, delivery) in phases(soon) {
        for view in [ServerView::Doubtful, ServerView::Assumed, ServerView::Fresh] {
            let delivery = viewed(view, delivery);
            let calls = conditions.map(|(name, at)| format!("{name}: {:?}", delivery.next(&at))).join(", ");
            let _ = writeln!(table, "{name}, {view:?} -> {}", calls.replace(&format!("{soon:?}"), "soon"));
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn nothing_is_told_of_a_run_that_has_not_started() {
    assert_eq!(next(&not_started(0)), NextCall::Wait(None));
    assert_eq!(next(&not_started(10)), NextCall::Wait(None));
}

#[test]
fn the_start_is_told_first() {
    assert_eq!(next(&running_with(StartReport::FIRST, log_of(99, Some(10)))), NextCall::TellStart);
    assert_eq!(next(&ended_with(Some(StartReport::FIRST), LOG_DUE, 0)), NextCall::TellStart);
    assert_eq!(next(&ended_with(Some(StartReport::FIRST), LogReport::Accepted, 0)), NextCall::TellStart);
}

#[test]
fn a_run_that_never_started_tells_its_log_and_its_result() {
    assert_eq!(next(&now_ended(not_started(0))), NextCall::SendLog);
    assert_eq!(next(&ended_with(None, LogReport::Accepted, 0)), NextCall::Return);
}

#[test]
fn after_the_end_comes_the_log_and_after_the_log_the_result() {
    assert_eq!(next(&ended(LOG_DUE)), NextCall::SendLog);
    assert_eq!(next(&ended(LogReport::Accepted)), NextCall::Return);
    assert_eq!(next(&ended(LogReport::Accepted).step(DeliveryInput::Settled)), NextCall::Forget);
}

#[test]
fn of_a_run_that_is_given_back_nothing_else_is_told() {
    let lasting = running_with(StartReport::FIRST, quiet_log());
    assert_eq!(next(&lasting), NextCall::TellStart);
    let given_back = lasting.step(DeliveryInput::Ended(DeliveryEnd::GivenBack));
    assert_eq!(next(&given_back), NextCall::GiveBack);
    assert_eq!(next(&viewed(ServerView::Doubtful, given_back)), NextCall::Look, "it may be given back already");
    assert_eq!(next(&given_back.step(DeliveryInput::Settled)), NextCall::Forget);
}

#[test]
fn a_run_that_the_server_wants_no_report_of_is_forgotten_once_it_is_over() {
    let abandoned = running_with(StartReport::FIRST, log_of(99, None)).step(DeliveryInput::Settled);
    assert_eq!(next(&abandoned), NextCall::Wait(None));
    assert_eq!(next(&viewed(ServerView::Doubtful, abandoned)), NextCall::Wait(None));
    assert_eq!(next(&now_ended(abandoned)), NextCall::Forget);
}

#[test]
fn who_was_silent_for_long_looks_before_the_result_and_once() {
    let silent = long_silent(Instant::now());
    let delivery = ended(LogReport::Accepted);
    assert_eq!(delivery.next(&silent), NextCall::Look);
    assert_eq!(delivery.step(DeliveryInput::Read { has_start: true }).next(&silent), NextCall::Return);
    assert_eq!(ended(LOG_DUE).next(&silent), NextCall::SendLog);
}

#[test]
fn a_result_that_failed_is_looked_for_again_after_long_silence() {
    let silent = long_silent(Instant::now());
    let read = viewed(ServerView::Fresh, ended(LogReport::Accepted));
    for failure in [DeliveryInput::ResultFailed, DeliveryInput::ResultRejected] {
        assert_eq!(read.step(failure).next(&silent), NextCall::Look, "{failure:?}");
    }
}

#[test]
fn without_news_a_lasting_run_is_watched() {
    assert_eq!(next(&running(LiveLog { watch: OutputWatch::Off, ..quiet_log() })), NextCall::Watch);
    assert_eq!(next(&running(quiet_log())), NextCall::Wait(None));
    assert_eq!(next(&running(log_of(0, None))), NextCall::Wait(None));
}

#[test]
fn new_output_is_sent_while_the_run_lasts() {
    assert_eq!(next(&running(log_of(11, Some(10)))), NextCall::SendLive);
    assert_eq!(next(&running(log_of(1, None))), NextCall::SendLive);
}

#[test]
fn new_output_waits_for_its_time() {
    let now = Instant::now();
    let soon = now + a_moment();
    let early = running(LiveLog { next_at: Some(soon), ..log_of(11, Some(10)) });
    assert_eq!(early.next(&live(now)), NextCall::Wait(Some(soon)));
    assert_eq!(early.next(&live(soon)), NextCall::SendLive);
    assert_eq!(early.next(&live(soon + a_moment())), NextCall::SendLive);
}

#[test]
fn the_end_does_not_wait_for_the_time_of_live_output() {
    let now = Instant::now();
    let over = now_ended(running(LiveLog { next_at: Some(now + a_moment()), ..log_of(11, Some(10)) }));
    assert_eq!(over.next(&live(now)), NextCall::SendLog);
}

#[test]
fn without_live_logs_a_lasting_run_says_nothing() {
    let now = Instant::now();
    for log in [quiet_log(), log_of(99, Some(10)), LiveLog { watch: OutputWatch::Off, ..quiet_log() }] {
        assert_eq!(running(log).next(&at_the_end(now)), NextCall::Wait(None), "{log:?}");
    }
    assert_eq!(ended(LOG_DUE).next(&at_the_end(now)), NextCall::SendLog);
}

/// Deliveries in every phase, with every combination of reports within it, at an instant.
fn all(now: Instant) -> Vec<Delivery> {
    let starts = start_reports(now + a_moment());
    let outputs = [(0, None), (10, None), (10, Some(5)), (10, Some(10))];
    let logs = outputs.into_iter().flat_map(|(output, sent)| {
        let times = [None, Some(now - a_moment()), Some(now + a_moment())];
        times.into_iter().flat_map(move |next_at| {
            [OutputWatch::Off, OutputWatch::Requested].map(|watch| LiveLog {
                extent: LogExtent { output, sent },
                watch,
                next_at,
                rejections: 0,
            })
        })
    });
    let mut all = vec![
        not_started(0),
        not_started(10),
        in_phase(DeliveryPhase::GivenBack { rejections: 0 }),
        in_phase(DeliveryPhase::Refused),
        in_phase(DeliveryPhase::LateResult { rejections: 0 }),
        in_phase(DeliveryPhase::Abandoned),
        in_phase(DeliveryPhase::Done),
    ];
    all.extend(logs.flat_map(|log| starts.map(|start| running_with(start, log))));
    for start in starts.map(Some).into_iter().chain([None]) {
        for log in [LOG_DUE, LogReport::Due { rejections: 3 }, LogReport::Accepted] {
            all.push(ended_with(start, log, 0));
        }
    }
    let views = [ServerView::Assumed, ServerView::Fresh, ServerView::Doubtful];
    all.into_iter().flat_map(|delivery| views.map(|view| viewed(view, delivery))).collect()
}

#[test]
fn whatever_is_known_doubt_is_looked_into_first() {
    let now = Instant::now() + a_moment();
    let is_settled = |phase| {
        use DeliveryPhase as P;
        matches!(phase, P::Abandoned | P::Done | P::Refused | P::LateResult { .. })
    };
    for delivery in all(now).into_iter().filter(|delivery| delivery.view == ServerView::Doubtful) {
        if !is_settled(delivery.phase) {
            assert_eq!(delivery.next(&live(now)), NextCall::Look, "{delivery:?}");
            assert_eq!(delivery.next(&at_the_end(now)), NextCall::Look, "{delivery:?}");
        }
    }
}

#[test]
fn whatever_is_known_the_order_of_facts_holds() {
    let now = Instant::now() + a_moment();
    for delivery in all(now) {
        for at in [live(now), at_the_end(now), long_silent(now)] {
            let told = match delivery.start() {
                // A start that the server rejects again and again holds up nothing.
                Some(StartReport::Due { rejections, .. }) => rejections >= REJECTIONS,
                Some(StartReport::Accepted) | None => true,
            };
            let is_running = matches!(delivery.phase, DeliveryPhase::Running { .. });
            let log = match delivery.phase {
                DeliveryPhase::Ended { log, .. } => Some(log),
                _ => None,
            };
            match delivery.next(&at) {
                NextCall::Look => assert!(delivery.view == ServerView::Doubtful || at.is_long_silent, "{delivery:?}"),
                NextCall::TellStart => assert!(!told, "{delivery:?}"),
                NextCall::SendLog => assert!(told && log == Some(LOG_DUE), "{delivery:?}"),
                NextCall::Return if matches!(delivery.phase, DeliveryPhase::LateResult { .. }) => {}
                NextCall::Return => assert!(told && log.is_some_and(|log| log != LOG_DUE), "{delivery:?}"),
                NextCall::GiveBack => assert!(matches!(delivery.phase, DeliveryPhase::GivenBack { .. })),
                NextCall::SendLive => assert!(at.sends_live_logs && told && is_running, "{delivery:?}"),
                NextCall::Watch => assert!(at.sends_live_logs && told && is_running, "{delivery:?}"),
                NextCall::Forget => assert_eq!(delivery.phase, DeliveryPhase::Done),
                NextCall::Wait(until) => {
                    assert!(!delivery.is_over(), "nothing to wait for: {delivery:?}");
                    assert!(until.is_none_or(|until| until > now), "a wait that is over: {delivery:?}");
                }
            }
        }
    }
}

#[test]
fn the_result_of_a_refused_attempt_is_all_that_is_reported_and_until_it_is_answered() {
    let refused = |delivery: Delivery| delivery.step(DeliveryInput::AttemptRefused);
    let over = [refused(ended(LOG_DUE)), now_ended(refused(running(log_of(99, Some(10)))))];
    for mut delivery in over {
        assert_eq!(next(&delivery), NextCall::Return);
        assert_eq!(next(&delivery.step(DeliveryInput::CallInDoubt)), NextCall::Return);
        assert!(delivery.reject(NextCall::Return, Instant::now()), "it waits");
        assert_eq!(next(&delivery), NextCall::Return);
        assert_eq!(next(&delivery.step(DeliveryInput::Settled)), NextCall::Forget);
    }
}

#[test]
fn a_refusal_leaves_the_result_to_report_only_where_attempts_are_compared() {
    for call in [NextCall::TellStart, NextCall::SendLive, NextCall::SendLog] {
        assert!(reports_after_refusal(call, true), "{call:?}");
        assert!(!reports_after_refusal(call, false), "{call:?}");
    }
    for call in [NextCall::Look, NextCall::Return, NextCall::GiveBack] {
        assert!(!reports_after_refusal(call, true), "{call:?}");
    }
}

#[test]
fn a_larger_log_is_sent_less_often() {
    assert_eq!(pause(a_moment(), 0), a_moment());
    assert_eq!(pause(a_moment(), 80 * 1024), a_moment());
    assert_eq!(pause(a_moment(), 160 * 1024), Duration::from_secs(10));
    assert_eq!(pause(a_moment(), 819_200), Duration::from_secs(50));
    assert_eq!(pause(Duration::ZERO, 16 * 1024), Duration::from_secs(1));
}

#[test]
fn a_result_that_is_rejected_is_told_again_however_often() {
    let (now, mut delivery) = (Instant::now(), ended(LogReport::Accepted));
    for _ in 0..1000 {
        assert_eq!(next(&delivery), NextCall::Return);
        assert!(delivery.reject(NextCall::Return, now), "it waits");
    }
}

#[test]
fn what_the_server_can_do_without_is_left_out_in_turns() {
    let mut delivery = ended(LogReport::Accepted);
    let told = [0, 1, 2, 3].map(|_| {
        let parts = delivery.parts_of_result();
        delivery.reject(NextCall::Return, Instant::now());
        parts
    });
    assert_eq!(told, [Parts::All, Parts::Needed, Parts::ResultAlone, Parts::All]);
    let never_started = ended_with(None, LogReport::Accepted, 2);
    assert_eq!(never_started.parts_of_result(), Parts::Needed);
    let mut started = running_with(StartReport::FIRST, quiet_log());
    assert_eq!(started.parts_of_start(), Parts::All);
    started.reject(NextCall::TellStart, Instant::now());
    assert_eq!(started.parts_of_start(), Parts::Needed);
}

#[test]
fn a_start_that_is_rejected_holds_up_neither_log_nor_result() {
    let (now, mut delivery) = (Instant::now(), running_with(StartReport::FIRST, log_of(99, Some(10))));
    let due = now + a_moment();
    assert_eq!([0, 1, 2].map(|_| delivery.reject(NextCall::TellStart, due)), [true, true, false]);
    assert_eq!(delivery.next(&live(now)), NextCall::SendLive);
    assert_eq!(delivery.next(&live(due)), NextCall::TellStart);
    let quiet = delivery.step(DeliveryInput::Output(10)).step(DeliveryInput::WatchRequested);
    assert_eq!(quiet.next(&live(now)), NextCall::Wait(Some(due)));
    assert_eq!(quiet.next(&at_the_end(now)), NextCall::Wait(Some(due)));
    let ended = now_ended(delivery);
    assert_eq!(ended.next(&live(due)), NextCall::SendLog);
    let mut logged = ended.step(DeliveryInput::LogAccepted);
    assert_eq!(logged.next(&live(due)), NextCall::Return);
    logged.reject(NextCall::Return, due);
    assert_eq!(logged.next(&live(due)), NextCall::TellStart, "the server may take everything now");
}

#[test]
fn a_live_log_that_is_rejected_costs_the_whole_log_nothing() {
    let (now, mut delivery) = (Instant::now(), running(log_of(99, Some(10))));
    for _ in 0..100 {
        assert!(!delivery.reject(NextCall::SendLive, now + a_moment()), "what comes meanwhile is heard");
        assert_eq!(delivery.next(&live(now)), NextCall::Wait(Some(now + a_moment())));
    }
    assert_eq!(now_ended(delivery).next(&live(now)), NextCall::SendLog);
}

#[test]
fn a_log_that_is_rejected_is_left_out_unless_the_result_is_rejected_too() {
    let (now, mut delivery) = (Instant::now(), ended(LOG_DUE));
    assert_eq!([0, 1, 2].map(|_| delivery.reject(NextCall::SendLog, now)), [true, true, false]);
    for _ in 0..10 {
        assert_eq!(next(&delivery), NextCall::Return);
        assert!(delivery.reject(NextCall::Return, now));
        assert_eq!(next(&delivery), NextCall::SendLog);
        assert!(!delivery.reject(NextCall::SendLog, now), "the result follows at once");
    }
    assert_eq!(next(&delivery.step(DeliveryInput::LogAccepted)), NextCall::Return);
}

/// Conditions under which a start waits for what can be told with it.
fn waiting_to_tell(now: Instant) -> CallConditions {
    CallConditions { start_waits_until: Some(now + START_WAIT), ..live(now) }
}

#[test]
fn a_start_waits_for_the_first_output_or_the_end_and_no_longer_than_its_time() {
    let now = Instant::now();
    let at = waiting_to_tell(now);
    let quiet = running_with(StartReport::FIRST, LiveLog { watch: OutputWatch::Off, ..log_of(0, None) });
    assert_eq!(quiet.next(&at), NextCall::Watch, "output is heard of meanwhile");
    let watched = quiet.step(DeliveryInput::WatchRequested);
    assert_eq!(watched.next(&at), NextCall::Wait(Some(now + START_WAIT)));
    assert_eq!(watched.next(&CallConditions { now: now + START_WAIT, ..at }), NextCall::TellStart);
    assert_eq!(watched.step(DeliveryInput::Output(5)).next(&at), NextCall::TellStart);
    assert_eq!(now_ended(watched).next(&at), NextCall::TellStart);
    let without_live_logs = CallConditions { sends_live_logs: false, ..at };
    assert_eq!(quiet.step(DeliveryInput::Output(5)).next(&without_live_logs), NextCall::Wait(Some(now + START_WAIT)));
    let mut rejected = watched;
    rejected.reject(NextCall::TellStart, now);
    assert_eq!(rejected.next(&at), NextCall::TellStart, "one that was tried does not wait");
}

#[test]
fn the_calls_that_would_follow_one_another_are_told_together() {
    let at = live(Instant::now());
    let all = TellPlan { start: true, log: Some(TellLog::Whole), result: true };
    let begun = running_with(StartReport::FIRST, log_of(5, None));
    let table = [
        (running_with(StartReport::FIRST, log_of(0, None)), TellPlan { start: true, ..TellPlan::default() }),
        (begun, TellPlan { log: Some(TellLog::Live), result: false, ..all }),
        (running(log_of(5, None)), TellPlan { start: false, log: Some(TellLog::Live), result: false }),
        (running(quiet_log()), TellPlan::default()),
        (now_ended(begun), all),
        (now_ended(running(log_of(5, None))), TellPlan { start: false, ..all }),
        (now_ended(not_started(0)), TellPlan { start: false, ..all }),
        (ended(LogReport::Accepted), TellPlan { start: false, log: None, ..all }),
        (viewed(ServerView::Doubtful, now_ended(begun)), TellPlan::default()),
        (in_phase(DeliveryPhase::GivenBack { rejections: 0 }), TellPlan::default()),
        (in_phase(DeliveryPhase::LateResult { rejections: 0 }), TellPlan::default()),
        (in_phase(DeliveryPhase::Done), TellPlan::default()),
    ];
    for (delivery, plan) in table {
        assert_eq!(delivery.tell_plan(&at), plan, "{delivery:?}");
    }
    let silent = long_silent(Instant::now());
    assert_eq!(
        now_ended(begun).tell_plan(&silent),
        TellPlan { result: false, ..all },
        "the run is read before its result"
    );
}

#[test]
fn a_part_that_was_rejected_is_told_by_itself() {
    let (now, at) = (Instant::now(), live(Instant::now()));
    let both = now_ended(running_with(StartReport::FIRST, log_of(5, None)));
    let mut start = both;
    start.reject(NextCall::TellStart, now);
    assert_eq!(start.tell_plan(&at), TellPlan::default());
    let mut log = both.step(DeliveryInput::StartAccepted);
    log.reject(NextCall::SendLog, now);
    assert_eq!(log.tell_plan(&at), TellPlan::default());
    let mut result = both.step(DeliveryInput::StartAccepted);
    result.reject(NextCall::Return, now);
    assert_eq!(result.tell_plan(&at), TellPlan { log: Some(TellLog::Whole), ..TellPlan::default() });
}

#[test]
fn a_tell_begins_with_the_next_call_and_is_made_of_those_that_would_be_made_alone() {
    let now = Instant::now() + a_moment();
    for delivery in all(now) {
        for at in [live(now), at_the_end(now), long_silent(now), waiting_to_tell(now)] {
            let (plan, next) = (delivery.tell_plan(&at), delivery.next(&at));
            let first = match (plan.start, plan.log, plan.result) {
                (true, ..) => Some(NextCall::TellStart),
                (false, Some(TellLog::Live), _) => Some(NextCall::SendLive),
                (false, Some(TellLog::Whole), _) => Some(NextCall::SendLog),
                (false, None, true) => Some(NextCall::Return),
                (false, None, false) => None,
            };
            assert!(first.is_none_or(|first| first == next), "{delivery:?}: {plan:?}, {next:?}");
            assert!(plan.log != Some(TellLog::Live) || !plan.result, "{delivery:?}");
        }
    }
}
