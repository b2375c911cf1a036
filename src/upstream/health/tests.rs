//! Tests of the health: the pace of calls to a failing server. Time is paused and advances only by waits.

use super::*;

async fn waited(health: &Health) -> Duration {
    let from = Instant::now();
    health.turn().await;
    from.elapsed()
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_while_all_is_well() {
    let health = Health::default();
    for _ in 0..100 {
        assert_eq!(waited(&health).await, Duration::ZERO);
    }
    health.answered();
    assert_eq!(waited(&health).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn calls_to_a_failing_server_take_turns() {
    let health = Health::default();
    health.failed();
    let from = Instant::now();
    let turns = futures_util::future::join_all((0..20).map(|_| async {
        health.turn().await;
        from.elapsed()
    }));
    let mut turns = turns.await;
    turns.sort_unstable();
    assert_eq!(turns[0], Duration::ZERO);
    // The clock of the runtime counts whole milliseconds and rounds up.
    assert!(turns.windows(2).all(|pair| pair[1] - pair[0] >= PACE - Duration::from_millis(1)), "{turns:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_ends_the_turns() {
    let health = Health::default();
    health.failed();
    health.turn().await;
    health.answered();
    assert_eq!(waited(&health).await, Duration::ZERO);
    assert_eq!(waited(&health).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_nobody_took_is_not_saved_up() {
    let health = Health::default();
    health.failed();
    health.turn().await;
    tokio::time::advance(PACE * 50).await;
    assert_eq!(waited(&health).await, Duration::ZERO);
    assert!(waited(&health).await > Duration::ZERO);
}

#[test]
fn the_first_change_that_the_server_takes_after_one_that_failed_is_a_recovery() {
    let health = Health::default();
    let recoveries = health.recoveries();
    let is_told = |succeeded| {
        health.wrote(succeeded);
        recoveries.clone().has_changed().expect("a sender")
    };
    assert_eq!([true, false, false].map(is_told), [false; 3]);
    assert!(is_told(true));
    let recoveries = health.recoveries();
    health.wrote(true);
    assert!(!recoveries.has_changed().expect("a sender"), "told once");
}

#[tokio::test(start_paused = true)]
async fn the_verdict_says_how_it_was_lately() {
    let health = Health::default();
    assert_eq!(health.verdict(), ServerHealth::Unknown);
    health.failed();
    assert_eq!(health.verdict(), ServerHealth::Failing);
    health.answered();
    assert_eq!(health.verdict(), ServerHealth::Ok);
    health.failed();
    assert_eq!(health.verdict(), ServerHealth::Failing);
    health.credentials(false);
    assert_eq!(health.verdict(), ServerHealth::Refused);
    health.answered();
    assert_eq!(health.verdict(), ServerHealth::Refused);
    health.credentials(true);
    assert_eq!(health.verdict(), ServerHealth::Ok);
}

#[tokio::test(start_paused = true)]
async fn how_long_ago_a_ping_was_accepted_is_known() {
    let health = Health::default();
    assert_eq!((health.since_ping(), health.since_answer()), (None, None));
    health.pinged();
    health.answered();
    tokio::time::advance(Duration::from_secs(600)).await;
    assert_eq!(health.since_ping(), Some(Duration::from_secs(600)));
    assert_eq!(health.since_answer(), Some(Duration::from_secs(600)));
}

#[tokio::test(start_paused = true)]
async fn what_was_under_way_when_it_began_to_fail_counts() {
    let health = Health::default();
    for _ in 0..16 {
        health.failed_at_once();
    }
    assert_eq!(waited(&health).await.as_millis() / 100, 15);
    for _ in 0..1000 {
        health.failed_at_once();
    }
    assert!(waited(&health).await <= MOST + PACE);
}
