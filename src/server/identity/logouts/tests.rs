use std::collections::BTreeSet;

use chrono::{TimeZone, Utc};

use super::{MOST, keep};

#[test]
fn what_is_over_by_itself_is_forgotten_and_the_rest_is_bounded() {
    let now = Utc.timestamp_opt(1_000_000_000, 0).unwrap();
    let mut ended = BTreeSet::from(["0999999999.a".to_owned(), "1000000001.b".to_owned(), "nonsense".to_owned()]);
    keep(&mut ended, "1000000002.c", now);
    assert_eq!(ended.iter().map(String::as_str).collect::<Vec<_>>(), ["1000000001.b", "1000000002.c"]);
    for number in 0..MOST {
        ended.insert(format!("1000000003.{number}"));
    }
    keep(&mut ended, "1000000004.d", now);
    assert_eq!(ended.len(), MOST);
    assert!(ended.contains("1000000004.d"));
}
