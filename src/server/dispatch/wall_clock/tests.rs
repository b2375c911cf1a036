use std::time::Duration;

use chrono::Utc;

use super::*;

/// Longest time for a timer to end a wait.
const DEADLINE: Duration = Duration::from_secs(20);

async fn rings(wall: &WallClockTimer, after: TimeDelta) {
    let now = Utc::now();
    let rung = tokio::time::timeout(DEADLINE, wall.wait_until(Some(now + after), now)).await;
    rung.expect("it rings in time").expect("a clock");
    assert!(Utc::now() >= now + after);
}

#[tokio::test]
async fn an_alarm_rings_when_the_clock_says_so_again_and_again() {
    let wall = WallClockTimer::new().unwrap();
    for after in [100, 1, 50] {
        rings(&wall, TimeDelta::milliseconds(after)).await;
    }
}

#[tokio::test]
async fn what_is_past_rings_at_once() {
    let wall = WallClockTimer::new().unwrap();
    rings(&wall, TimeDelta::days(-20_000)).await;
    rings(&wall, TimeDelta::days(-30_000)).await;
}

/// A timer that was set for later is set for sooner.
#[tokio::test]
async fn the_last_setting_counts() {
    let wall = WallClockTimer::new().unwrap();
    let now = Utc::now();
    tokio::select! {
        biased;
        _ = wall.wait_until(Some(now + TimeDelta::days(1)), now) => panic!("a day is over"),
        () = std::future::ready(()) => {}
    }
    rings(&wall, TimeDelta::milliseconds(10)).await;
}
