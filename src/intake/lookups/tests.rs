//! Tests of the calls that a flood of hints can cause.

use super::*;

#[tokio::test(start_paused = true)]
async fn looks_that_are_not_in_vain_are_not_counted() {
    let looks = Lookups::default();
    for _ in 0..10_000 {
        drop(looks.begin().expect("a look"));
    }
    assert!(!looks.are_vain());
    // As many at once as runs are claimed at once.
    let under_way: Vec<_> = std::iter::from_fn(|| looks.begin()).collect();
    assert_eq!(under_way.len(), 64);
}

#[tokio::test(start_paused = true)]
async fn a_minute_of_forged_hints_costs_a_bounded_number_of_looks() {
    let looks = Lookups::default();
    let until = Instant::now() + Duration::from_secs(60);
    let mut made = 0;
    while Instant::now() < until {
        match looks.begin() {
            Some(look) => {
                look.vain(Vain::Unknown);
                made += 1;
            }
            None => looks.perhaps().await,
        }
    }
    assert!((300..=64 + 300 + 1).contains(&made), "{made}");
    assert!(looks.are_vain());
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!looks.are_vain());
}
