//! Tests of excerpts: any output becomes a bounded text, and printable output the original's text to the byte.

use proptest::prelude::*;
use serde::Deserialize;
use sha1::{Digest, Sha1};

use super::*;

/// Excerpt of a log of which no byte is missing.
fn whole(content: &[u8], limit: u64) -> String {
    text(content, 0, b"", limit)
}

/// Splits a log as the spool keeps it: the head's share, and of the rest as much as a ring holds that has the limit
/// together with the head.
fn kept(content: &[u8], limit: u64) -> (Vec<u8>, u64, Vec<u8>) {
    let cap = usize::try_from(limit).expect("a limit of a test");
    let head = usize::try_from(shares(limit).0).expect("a share of a test");
    let (head, rest) = content.split_at(head.min(content.len()));
    let between = rest.len().saturating_sub(cap - cap / 5);
    (head.to_vec(), between as u64, rest[between..].to_vec())
}

fn as_kept(content: &[u8], limit: u64) -> String {
    let (head, between, tail) = kept(content, limit);
    text(&head, between, &tail, limit)
}

/// Row of `truncated.json`; see `record.py` beside it.
#[derive(Deserialize)]
struct Recorded {
    length: usize,
    limit: u64,
    bytes: usize,
    sha1: String,
    text: Option<String>,
}

/// Text with which the rows were recorded: printable ASCII without a short period.
fn log_text(length: usize) -> String {
    (0..length).map(|i| char::from(32 + u8::try_from((i * 7 + i / 95) % 95).expect("less than 95"))).collect()
}

#[test]
fn printable_logs_are_cut_as_the_original_cuts_them() {
    let rows = include_str!("../../../tests/fixtures/python/truncated.json");
    let rows: Vec<Recorded> = serde_json::from_str(rows).expect("the recorded rows");
    assert!(rows.len() >= 200, "only {} rows are recorded", rows.len());
    for row in rows {
        let content = log_text(row.length);
        for ours in [whole(content.as_bytes(), row.limit), as_kept(content.as_bytes(), row.limit)] {
            let of = format!("{} bytes with a limit of {}", row.length, row.limit);
            if let Some(text) = &row.text {
                assert_eq!(&ours, text, "{of}");
            }
            assert_eq!(ours.len(), row.bytes, "{of}");
            let sha1: String = Sha1::digest(ours.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(sha1, row.sha1, "{of}");
        }
    }
}

#[test]
fn no_output_is_an_empty_log() {
    assert_eq!(whole(b"", 819_200), "");
    assert_eq!(whole(b"", 0), "");
}

#[test]
fn one_endless_line_is_bounded() {
    let text = whole(&vec![b'x'; 1_000_000], 1000);
    assert_eq!(text.len(), 1000 + MARKER.len());
}

#[test]
fn invalid_utf8_becomes_replacement_characters() {
    assert_eq!(whole(b"a\xff\xfeb\n", 100), "a\u{fffd}\u{fffd}b\n");
}

#[test]
fn a_character_cut_by_the_end_of_the_output_is_replaced() {
    assert_eq!(whole("é".as_bytes().split_last().expect("two bytes").1, 100), "\u{fffd}");
}

#[test]
fn a_character_between_head_and_tail_of_one_piece_is_whole() {
    let crab = "🦀".as_bytes();
    for at in 0..=crab.len() {
        assert_eq!(text(&crab[..at], 0, &crab[at..], 100), "🦀");
    }
}

#[test]
fn escapes_nuls_and_carriage_returns_are_kept() {
    let output = "\0\x1b[31mred\x1b[0m\r10 %\r20 %\r\n\u{7f}";
    assert_eq!(whole(output.as_bytes(), 100), output);
}

#[test]
fn utf16_is_kept_byte_by_byte() {
    assert_eq!(whole(b"\xff\xfeh\0i\0", 100), "\u{fffd}\u{fffd}h\0i\0");
}

#[test]
fn combining_marks_right_to_left_text_and_byte_order_marks_are_kept() {
    let output = "e\u{301} שלום \u{feff} \u{2028} 👩\u{200d}💻";
    assert_eq!(whole(output.as_bytes(), 100), output);
}

#[test]
fn a_limit_smaller_than_the_marker_holds_for_what_is_around_it() {
    assert_eq!(whole(b"0123456789", 5), format!("0{MARKER}6789"));
    assert_eq!(whole(b"0123456789", 1), MARKER);
    assert_eq!(whole(b"0123456789", 0), MARKER);
}

#[test]
fn a_log_that_contains_the_marker_is_text_like_any_other() {
    let output = format!("a{MARKER}[job runner worker] Could not execute job: b");
    assert_eq!(whole(output.as_bytes(), 100), output);
}

#[test]
fn replacements_count_against_the_limit() {
    // Each of these bytes becomes three.
    let text = whole(&[0xff; 100], 100);
    assert!(text.len() <= 100 + MARKER.len());
    assert!(text.contains(MARKER));
}

#[test]
fn a_text_is_shortened_only_where_it_must_be() {
    assert_eq!(shortened("0123456789", 10), "0123456789");
    assert_eq!(shortened("0123456789", 5), format!("0{MARKER}6789"));
    assert_eq!(shortened("0123456789", 0), MARKER);
}

#[test]
fn halving_again_and_again_comes_to_an_end() {
    let mut text = "é🦀".repeat(10_000);
    let mut limit = text.len();
    while limit > 0 {
        limit /= 2;
        let shorter = shortened(&text, limit);
        assert!(shorter.len() <= limit + MARKER.len());
        text = shorter;
    }
    assert_eq!(text, MARKER);
}

fn any_text() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![Just("a"), Just("é"), Just("日"), Just("🦀"), Just("\n"), Just("e\u{301}")],
        0..120,
    )
    .prop_map(|pieces| pieces.concat())
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    // Bytes that begin and continue characters come more often than by chance.
    let byte = prop_oneof![any::<u8>(), 0x80..=0xbfu8, 0xc0..=0xffu8, 0x20..=0x7eu8];
    proptest::collection::vec(byte, 0..most)
}

/// Splits a text at the marker into the text before and the text after it.
fn around(text: &str) -> Option<(&str, &str)> {
    text.split_once(MARKER)
}

proptest! {
    #[test]
    fn any_bytes_become_at_most_the_limit_and_a_marker(
        head in bytes(200), between in prop_oneof![Just(0), 1..1000u64], tail in bytes(200), limit in 0..300u64,
    ) {
        let text = text(&head, between, &tail, limit);
        prop_assert!(text.len() as u64 <= limit + MARKER.len() as u64);
        prop_assert!(between == 0 || text.contains(MARKER));
    }

    #[test]
    fn any_bytes_of_any_number_are_bounded_wherever_the_spool_cut_them(content in bytes(400), limit in 0..300u64) {
        let text = as_kept(&content, limit);
        prop_assert!(text.len() as u64 <= limit + MARKER.len() as u64);
    }

    #[test]
    fn no_character_is_ever_cut(content in any_text(), limit in 0..300u64) {
        for text in [whole(content.as_bytes(), limit), as_kept(content.as_bytes(), limit)] {
            prop_assert!(!text.contains('\u{fffd}'), "{text:?}");
            match around(&text) {
                None => prop_assert_eq!(&text, &content),
                Some((head, tail)) => {
                    prop_assert!(content.starts_with(head) && content.ends_with(tail));
                    // No more than the rest of one character is lost on either side.
                    let (head_share, tail_share) = shares(limit);
                    prop_assert!(head.len() as u64 + 3 >= head_share.min(content.len() as u64));
                    prop_assert!(tail.len() as u64 + 6 >= tail_share.min(content.len() as u64));
                }
            }
        }
    }

    #[test]
    fn what_fits_is_never_cut(content in any_text(), more in 0..50u64) {
        let limit = content.len() as u64 + more;
        prop_assert_eq!(&whole(content.as_bytes(), limit), &content);
        prop_assert_eq!(&as_kept(content.as_bytes(), limit), &content);
    }

    #[test]
    fn where_the_one_piece_is_split_makes_no_difference(content in bytes(300), at in 0..300usize, limit in 0..400u64) {
        let (head, tail) = content.split_at(at.min(content.len()));
        prop_assert_eq!(text(head, 0, tail, limit), whole(&content, limit));
    }

    #[test]
    fn a_shortened_text_begins_and_ends_as_before(content in any_text(), limit in 0..300usize) {
        let text = shortened(&content, limit);
        prop_assert!(text.len() <= limit + MARKER.len());
        match around(&text) {
            None => prop_assert_eq!(text, content),
            Some((head, tail)) => prop_assert!(content.starts_with(head) && content.ends_with(tail)),
        }
    }

    #[test]
    fn the_shares_are_the_limit_or_one_less(limit in any::<u64>()) {
        let (head, tail) = shares(limit);
        prop_assert!(limit - (head + tail) <= 1);
    }
}
