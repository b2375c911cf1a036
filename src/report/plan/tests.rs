//! Tests of the delivery plan: the next step of a courier for every state of its knowledge.

use super::*;

const LIVE: bool = true;
const AT_THE_END: bool = false;

fn a_moment() -> Duration {
    Duration::from_secs(5)
}

/// Knowledge about a run whose start is reported and whose output the server has.
fn running() -> Knowledge {
    Knowledge {
        started: true,
        start_told: true,
        output: 10,
        output_sent: Some(10),
        watching: true,
        ..Knowledge::default()
    }
}

fn ended() -> Knowledge {
    Knowledge { ended: true, ..running() }
}

fn next(knowledge: &Knowledge) -> NextCall {
    knowledge.next(Instant::now(), LIVE)
}

#[test]
fn nothing_is_told_of_a_run_that_has_not_started() {
    assert_eq!(next(&Knowledge::default()), NextCall::Wait(None));
    assert_eq!(next(&Knowledge { output: 10, ..Knowledge::default() }), NextCall::Wait(None));
}

#[test]
fn the_start_is_told_first() {
    assert_eq!(next(&Knowledge { start_told: false, output: 99, ..running() }), NextCall::TellStart);
    assert_eq!(next(&Knowledge { start_told: false, ..ended() }), NextCall::TellStart);
    assert_eq!(next(&Knowledge { start_told: false, log_sent: true, ..ended() }), NextCall::TellStart);
}

#[test]
fn a_run_that_never_started_tells_its_log_and_its_result() {
    let unstartable = Knowledge { ended: true, ..Knowledge::default() };
    assert_eq!(next(&unstartable), NextCall::SendLog);
    assert_eq!(next(&Knowledge { log_sent: true, ..unstartable }), NextCall::Return);
}

#[test]
fn after_the_end_comes_the_log_and_after_the_log_the_result() {
    assert_eq!(next(&ended()), NextCall::SendLog);
    assert_eq!(next(&Knowledge { log_sent: true, ..ended() }), NextCall::Return);
}

#[test]
fn of_a_run_that_is_given_back_nothing_else_is_told() {
    let given_back = Knowledge { given_back: true, start_told: false, ..ended() };
    assert_eq!(next(&given_back), NextCall::GiveBack);
    assert_eq!(next(&Knowledge { doubt: true, ..given_back.clone() }), NextCall::Look, "it may be given back already");
    assert_eq!(next(&Knowledge { ended: false, ..given_back }), NextCall::TellStart);
}

#[test]
fn who_was_silent_for_long_looks_before_the_result_and_once() {
    let silent = Knowledge { log_sent: true, long_silent: true, ..ended() };
    assert_eq!(next(&silent), NextCall::Look);
    assert_eq!(next(&Knowledge { looked: true, ..silent }), NextCall::Return);
}

#[test]
fn without_news_a_lasting_run_is_watched() {
    assert_eq!(next(&Knowledge { watching: false, ..running() }), NextCall::Watch);
    assert_eq!(next(&running()), NextCall::Wait(None));
    assert_eq!(next(&Knowledge { output: 0, output_sent: None, ..running() }), NextCall::Wait(None));
}

#[test]
fn new_output_is_sent_while_the_run_lasts() {
    assert_eq!(next(&Knowledge { output: 11, ..running() }), NextCall::SendLive);
    assert_eq!(next(&Knowledge { output: 1, output_sent: None, ..running() }), NextCall::SendLive);
}

#[test]
fn new_output_waits_for_its_time() {
    let now = Instant::now();
    let soon = now + a_moment();
    let early = Knowledge { output: 11, live_from: Some(soon), ..running() };
    assert_eq!(early.next(now, LIVE), NextCall::Wait(Some(soon)));
    assert_eq!(early.next(soon, LIVE), NextCall::SendLive);
    assert_eq!(early.next(soon + a_moment(), LIVE), NextCall::SendLive);
}

#[test]
fn the_end_does_not_wait_for_the_time_of_live_output() {
    let now = Instant::now();
    let over = Knowledge { output: 11, live_from: Some(now + a_moment()), ..ended() };
    assert_eq!(over.next(now, LIVE), NextCall::SendLog);
}

#[test]
fn without_live_logs_a_lasting_run_says_nothing() {
    let now = Instant::now();
    for knowledge in [running(), Knowledge { output: 99, ..running() }, Knowledge { watching: false, ..running() }] {
        assert_eq!(knowledge.next(now, AT_THE_END), NextCall::Wait(None), "{knowledge:?}");
    }
    assert_eq!(ended().next(now, AT_THE_END), NextCall::SendLog);
}

/// Every combination of knowledge, at an instant.
fn all(now: Instant) -> impl Iterator<Item = Knowledge> {
    (0..1_u32 << 9).flat_map(move |bits| {
        let bit = move |at: u32| bits >> at & 1 == 1;
        let outputs = [(0, None), (10, None), (10, Some(5)), (10, Some(10))];
        let times = [None, Some(now - a_moment()), Some(now + a_moment())];
        outputs.into_iter().flat_map(move |output| times.map(|time| (output, time))).map(
            move |((output, sent), time)| Knowledge {
                doubt: bit(0),
                started: bit(1),
                start_told: bit(2),
                output,
                output_sent: sent,
                watching: bit(3),
                live_from: time,
                ended: bit(4),
                log_sent: bit(5),
                long_silent: bit(6),
                looked: bit(7),
                given_back: bit(8),
                rejected: Rejected::default(),
                start_from: None,
            },
        )
    })
}

#[test]
fn whatever_is_known_doubt_is_looked_into_first() {
    let now = Instant::now() + a_moment();
    for knowledge in all(now).filter(|knowledge| knowledge.doubt) {
        assert_eq!(knowledge.next(now, LIVE), NextCall::Look, "{knowledge:?}");
        assert_eq!(knowledge.next(now, AT_THE_END), NextCall::Look, "{knowledge:?}");
    }
}

#[test]
fn whatever_is_known_the_order_of_facts_holds() {
    let now = Instant::now() + a_moment();
    for knowledge in all(now) {
        for live in [LIVE, AT_THE_END] {
            let told = !knowledge.started || knowledge.start_told;
            match knowledge.next(now, live) {
                NextCall::Look => assert!(knowledge.doubt || knowledge.long_silent && !knowledge.looked),
                NextCall::TellStart => assert!(!told),
                NextCall::SendLog => assert!(told && knowledge.ended && !knowledge.log_sent, "{knowledge:?}"),
                NextCall::Return => assert!(told && knowledge.ended && knowledge.log_sent && !knowledge.given_back),
                NextCall::GiveBack => assert!(knowledge.ended && knowledge.given_back, "{knowledge:?}"),
                NextCall::SendLive => assert!(live && told && knowledge.started && !knowledge.ended, "{knowledge:?}"),
                NextCall::Watch => assert!(live && !knowledge.watching && !knowledge.ended, "{knowledge:?}"),
                NextCall::Wait(until) => {
                    assert!(!knowledge.ended, "nothing to wait for: {knowledge:?}");
                    assert!(until.is_none_or(|until| until > now), "a wait that is over: {knowledge:?}");
                }
            }
        }
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
    let (now, mut knowledge) = (Instant::now(), Knowledge { log_sent: true, ..ended() });
    for _ in 0..1000 {
        assert_eq!(next(&knowledge), NextCall::Return);
        assert!(knowledge.reject(NextCall::Return, now), "it waits");
    }
}

#[test]
fn what_the_server_can_do_without_is_left_out_in_turns() {
    let mut knowledge = Knowledge { log_sent: true, ..ended() };
    let told = [0, 1, 2, 3].map(|_| {
        let parts = knowledge.parts_of_result();
        knowledge.reject(NextCall::Return, Instant::now());
        parts
    });
    assert_eq!(told, [Parts::All, Parts::Needed, Parts::ResultAlone, Parts::All]);
    let mut never_started = Knowledge { started: false, ..knowledge };
    never_started.rejected.result = 2;
    assert_eq!(never_started.parts_of_result(), Parts::Needed);
    let mut started = Knowledge { start_told: false, ..running() };
    assert_eq!(started.parts_of_start(), Parts::All);
    started.reject(NextCall::TellStart, Instant::now());
    assert_eq!(started.parts_of_start(), Parts::Needed);
}

#[test]
fn a_start_that_is_rejected_holds_up_neither_log_nor_result() {
    let (now, mut knowledge) = (Instant::now(), Knowledge { start_told: false, output: 99, ..running() });
    let due = now + a_moment();
    assert_eq!([0, 1, 2].map(|_| knowledge.reject(NextCall::TellStart, due)), [true, true, false]);
    assert_eq!(knowledge.next(now, LIVE), NextCall::SendLive);
    assert_eq!(knowledge.next(due, LIVE), NextCall::TellStart);
    let quiet = Knowledge { output: 10, ..knowledge.clone() };
    assert_eq!(quiet.next(now, LIVE), NextCall::Wait(Some(due)));
    assert_eq!(quiet.next(now, AT_THE_END), NextCall::Wait(Some(due)));
    let ended = Knowledge { ended: true, ..knowledge };
    assert_eq!(ended.next(due, LIVE), NextCall::SendLog);
    let mut logged = Knowledge { log_sent: true, ..ended };
    assert_eq!(logged.next(due, LIVE), NextCall::Return);
    logged.reject(NextCall::Return, due);
    assert_eq!(logged.next(due, LIVE), NextCall::TellStart, "the server may take everything now");
}

#[test]
fn a_live_log_that_is_rejected_costs_the_whole_log_nothing() {
    let (now, mut knowledge) = (Instant::now(), Knowledge { output: 99, ..running() });
    for _ in 0..100 {
        assert!(!knowledge.reject(NextCall::SendLive, now + a_moment()), "what comes meanwhile is heard");
        assert_eq!(knowledge.next(now, LIVE), NextCall::Wait(Some(now + a_moment())));
    }
    assert_eq!(Knowledge { ended: true, ..knowledge }.next(now, LIVE), NextCall::SendLog);
}

#[test]
fn a_log_that_is_rejected_is_left_out_unless_the_result_is_rejected_too() {
    let (now, mut knowledge) = (Instant::now(), ended());
    assert_eq!([0, 1, 2].map(|_| knowledge.reject(NextCall::SendLog, now)), [true, true, false]);
    for _ in 0..10 {
        assert_eq!(next(&knowledge), NextCall::Return);
        assert!(knowledge.reject(NextCall::Return, now));
        assert_eq!(next(&knowledge), NextCall::SendLog);
        assert!(!knowledge.reject(NextCall::SendLog, now), "the result follows at once");
    }
    assert_eq!(next(&Knowledge { log_sent: true, ..knowledge }), NextCall::Return);
}
