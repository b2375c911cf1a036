//! Tests of the number of log lines that a flood can cause.

use super::*;

#[test]
fn a_flood_is_one_line_a_minute_that_counts_the_others() {
    let (mut limit, begin) = (LogLimit::new(2), Instant::now());
    // Ten lines a second, for three minutes.
    let logged: Vec<Option<u64>> =
        (0..1800).filter_map(|nth| limit.due(begin + Duration::from_millis(100) * nth)).collect();
    assert_eq!(logged, [None, None, Some(598), Some(599)]);
    assert_eq!(limit.due(begin + Duration::from_secs(300)), Some(Some(599)));
    assert_eq!(limit.due(begin + Duration::from_secs(400)), Some(None), "it was quiet");
    assert_eq!(limit.due(begin + Duration::from_secs(400)), Some(None));
    assert_eq!(limit.due(begin + Duration::from_secs(400)), None);
}
