//! Tests of the number of log lines that a flood can cause.

use super::*;

#[test]
fn a_flood_is_one_line_a_minute_that_counts_the_others() {
    let (mut rarely, begin) = (Rarely::new(2), Instant::now());
    // Ten lines a second, for three minutes.
    let said: Vec<String> = (0..1800).filter_map(|nth| rarely.due(begin + Duration::from_millis(100) * nth)).collect();
    assert_eq!(said, ["", "", " (598 more since the last such line)", " (599 more since the last such line)"]);
    assert_eq!(rarely.due(begin + Duration::from_secs(300)).as_deref(), Some(" (599 more since the last such line)"));
    assert_eq!(rarely.due(begin + Duration::from_secs(400)).as_deref(), Some(""), "it was quiet");
    assert_eq!(rarely.due(begin + Duration::from_secs(400)).as_deref(), Some(""));
    assert_eq!(rarely.due(begin + Duration::from_secs(400)), None);
}
