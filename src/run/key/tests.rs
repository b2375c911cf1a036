//! Tests of ids, keys and secrets: values that are accepted, and values that are not.

use super::*;

#[test]
fn an_id_is_a_positive_integer() {
    for value in [i64::MIN, -1, 0] {
        assert!(RunId::new(value).is_none() && KillId::new(value).is_none(), "{value}");
    }
    assert_eq!(RunId::new(i64::MAX).map(RunId::get), Some(i64::MAX));
    assert_eq!(KillId::new(1).map(|kill| kill.to_string()).as_deref(), Some("1"));
}

#[test]
fn the_attempt_after_the_last_is_the_last() {
    assert_eq!(Attempt::FIRST.next(), Attempt(2));
    assert_eq!(Attempt(u32::MAX).next(), Attempt(u32::MAX));
}

#[test]
fn a_key_fits_into_a_header_and_a_topic() {
    for key in ["k", "testworker", "a-key_with.dots@and/slashes", "wéb", &"x".repeat(255)] {
        assert_eq!(ApiKey::parse(key).map(|parsed| parsed.to_string()), Ok(key.to_owned()));
    }
    for key in ["", "a:b", "a b", "a\tb", "a\r\nX: y", "a\0", "a\u{a0}b", &"x".repeat(256), &"é".repeat(128)] {
        assert!(ApiKey::parse(key).is_err(), "{key:?}");
    }
}
