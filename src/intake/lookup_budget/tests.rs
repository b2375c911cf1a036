//! Tests of the calls that a flood of hints can cause.

use super::*;

#[tokio::test(start_paused = true)]
async fn lookups_that_are_not_in_vain_are_not_charged() {
    let lookups = LookupBudget::default();
    for _ in 0..10_000 {
        drop(lookups.take().expect("a permit"));
    }
    assert!(!lookups.is_half_spent());
    // As many at once as runs are claimed at once.
    let under_way: Vec<_> = std::iter::from_fn(|| lookups.take()).collect();
    assert_eq!(under_way.len(), 64);
}

#[tokio::test(start_paused = true)]
async fn a_minute_of_forged_hints_costs_a_bounded_number_of_lookups() {
    let lookups = LookupBudget::default();
    let until = Instant::now() + Duration::from_secs(60);
    let mut made = 0;
    while Instant::now() < until {
        match lookups.take() {
            Some(permit) => {
                permit.charge(WastedLookup::Unknown);
                made += 1;
            }
            None => lookups.replenished().await,
        }
    }
    assert!((300..=64 + 300 + 1).contains(&made), "{made}");
    assert!(lookups.is_half_spent());
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!lookups.is_half_spent());
}
